"""SSH that drops, freezes or never answers, on the estate: everything ends in time and mends itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from muva_console.drill import sshd
from muva_console.drill.deploy import get
from muva_console.drill.state import Estate
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.feed import Freshness
from muva_console.ops.journal import Filter
from muva_console.ops.logs.model import Stream
from muva_console.ops.operations import Event, EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.process_operations import Action, ProcessOperation
from muva_console.ops.readings import Level
from tests.cli.conftest import Muva
from tests.hostility.parts import (
    Watched,
    black_hole,
    by_way_of,
    followed,
    frozen,
    level,
    lines,
    live,
    opened,
    until,
    until_true,
)
from tests.ssh.servers import Proxy


@asynccontextmanager
async def way_to(estate: Estate, folder: Path, **host: object) -> AsyncIterator[tuple[Proxy, Path]]:
    """A proxy before the estate's SSH server, and a configuration that goes through it."""
    proxy = Proxy(estate.ssh_port)
    await proxy.start()
    try:
        yield proxy, by_way_of(estate, folder / "muva.toml", proxy.port, **host)
    finally:
        await proxy.stop()


async def test_cut_in_mid_stream_all_mend_themselves(estate: Estate, tmp_path: Path) -> None:
    """Feeds and log come back by themselves; the log says that it was cut, and lacks no line."""
    site = estate.sites["staging"]
    async with way_to(estate, tmp_path) as (proxy, config), opened(config) as workspace:
        of = workspace.environments["staging"]
        feeds: list[Watched[Any]] = [Watched(of.processes["vps"]), Watched(of.resources["vps"])]
        web = Watched(of.health)
        for feed in (*feeds, web):
            await feed.until(Freshness.FRESH)
        async with followed(workspace, "staging") as buffer:
            proxy.cut()
            await until(lambda: not live(buffer), "the loss is told")
            await get(site, "/api/accommodations?said=while-it-was-cut")
            await until(lambda: live(buffer), "the log is live again")
            await get(site, "/api/accommodations?said=afterwards")

            def told(text: str) -> int:
                return sum(text in line for _, line in lines(buffer))

            await until(lambda: told("said=afterwards"), "a line after the cut")
            assert told("said=while-it-was-cut") == 1
            assert told("said=afterwards") == 1
            notes = [text for stream, text in lines(buffer) if stream is Stream.NOTE]
            assert any("connection lost for" in text for text in notes), notes
        taken = time.monotonic()
        for feed in feeds:
            await feed.until(Freshness.FRESH, where=lambda now: now.taken is not None and now.taken > taken)
        assert all(snapshot.error is None for snapshot in web.seen), "the web does not go by SSH"


async def test_cut_in_mid_command_it_says_so_at_once(estate: Estate, tmp_path: Path) -> None:
    async with way_to(estate, tmp_path) as (proxy, config), opened(config) as workspace:
        link = workspace.host("vps")
        await link.run("true")
        cut = asyncio.create_task(link.run("echo begun >&2; sleep 600", timeout=300))
        await asyncio.sleep(0)
        async with link.stream("echo there; exec sleep 600") as chunks:
            assert b"there" in await anext(chunks)
            proxy.cut()
            with pytest.raises(LinkError) as streamed:
                await anext(chunks)
        with pytest.raises(LinkError) as told:
            await cut
        assert {streamed.value.fault, told.value.fault} == {Fault.CLOSED}
        outcomes = [record.outcome for record in workspace.commands.records() if "sleep 600" in record.line]
        assert outcomes == [Fault.CLOSED.value] * 2


class Answerless(Proxy):
    """A way on which what is asked arrives and, once `deaf` is set, no answer comes back."""

    deaf = False

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back = writer.get_extra_info("sockname")[1] == self.port
        while data := await reader.read(65536):
            if not (back and self.deaf):
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_an_act_whose_answer_is_lost_tells_what_became_of_it(
    breakable_estate: Estate, tmp_path: Path
) -> None:
    """The daemon is told to restart, and the connection goes before it has answered: it was done, once."""
    proxy = Answerless(breakable_estate.ssh_port)
    await proxy.start()
    config = by_way_of(breakable_estate, tmp_path / "muva.toml", proxy.port)
    async with opened(breakable_estate.config) as direct, opened(config) as workspace:
        reader, other = workspace.process_reader("vps"), direct.process_reader("vps")
        operation = ProcessOperation(
            Action.RESTART, reader, "muva-staging", environment="staging", production=False, stable_for=0.5
        )
        plan = await workspace.performer.prepare(operation)
        [before] = [p for p in (await other.read()).processes if p.name == "muva-staging"]
        events: list[Event] = []

        async def restarted() -> bool:
            [now] = [p for p in (await other.read()).processes if p.name == "muva-staging"]
            return now.pid not in (None, before.pid)

        async with aclosing(
            workspace.performer.perform(operation, plan, Confirmation(confirmed=True))
        ) as performed:
            async for event in performed:
                events.append(event)
                if "to PM2's daemon" in event.text:
                    proxy.deaf = True
                    await until_true(restarted, "the daemon restarts it")
                    await proxy.stop()  # and nothing can be asked for a while
                elif "looking whether it was done" in event.text:
                    proxy.deaf = False
                    await proxy.start()
        await proxy.stop()
        texts = [f"{event.kind}: {event.text}" for event in events]
        [after] = [p for p in (await other.read()).processes if p.name == "muva-staging"]
        assert events[-1].kind is EventKind.DONE, texts
        assert any("looking whether it was done" in text for text in texts), texts
        assert after.restarts == before.restarts + 1, "an act is never sent twice"
        entries = await workspace.journal.read(Filter(environment="staging"))
        assert [entry.kind for entry in entries][-2:] == ["act-begun", "act-ended"]
        assert "looking whether it was done" in str(entries[-1].data)
        assert (await workspace.journal.verify()).flaw is None


async def test_the_server_killed_while_it_is_watched_whether_it_stays_up(breakable_estate: Estate) -> None:
    estate = breakable_estate
    async with opened(estate.config) as workspace:
        reader = workspace.process_reader("vps")
        operation = ProcessOperation(
            Action.RESTART, reader, "muva-staging", environment="staging", production=False, stable_for=0.5
        )
        plan = await workspace.performer.prepare(operation)
        events: list[Event] = []
        async with aclosing(
            workspace.performer.perform(operation, plan, Confirmation(confirmed=True))
        ) as performed:
            async for event in performed:
                events.append(event)
                if "is online with pid" in event.text:
                    await sshd.stop(estate)
                    await sshd.start(estate)
        texts = [f"{event.kind}: {event.text}" for event in events]
        assert events[-1].kind is EventKind.DONE, texts
        assert any(event.kind is EventKind.VERIFIED and "stable" in event.text for event in events), texts


COMMANDS = (
    ("health", "--env", "production", "--json"),
    ("processes", "--env", "production", "--json"),
    ("logs", "--env", "production"),
    ("logs", "--follow", "--env", "production", "--json"),
    ("doctor", "--env", "production", "--json"),
)


async def test_a_host_that_accepts_and_says_nothing(estate: Estate, tmp_path: Path, muva: Muva) -> None:
    """Every command ends in time and says that it cannot tell; web and database are told."""
    with black_hole() as port:
        config = by_way_of(estate, tmp_path / "muva.toml", port, connect_timeout="2s")
        answers = await asyncio.gather(*(muva(*words, config=config) for words in COMMANDS))
    health, processes, logs, following, doctor = answers
    assert [answer.status for answer in answers] == [3, 3, 3, 3, 1], [a.err for a in answers]
    for told in (processes.out, logs.err, following.err, doctor.out):
        assert "SSH server did not answer within 2 s" in told
    assert health.finding("api-health", "ok")
    assert health.finding("database", "ok")
    assert "SSH server did not answer within 2 s" in health.finding("processes", "unknown")["summary"]
    assert processes.data["processes"] == []
    # the doctor's question is whether it can be reached, and the answer to that is known
    assert doctor.finding("host-port", "fail")
    assert doctor.finding("pm2-daemon", "unknown")
    assert doctor.finding("database", "ok")


async def test_a_server_that_freezes_while_it_is_talked_to(breakable_estate: Estate, tmp_path: Path) -> None:
    """The keepalive notices; feeds say why; what does not go by SSH goes on; thawed, all is well again."""
    estate = breakable_estate
    config = by_way_of(estate, tmp_path / "muva.toml", estate.ssh_port, keepalive="1s", connect_timeout="2s")
    async with opened(config) as workspace:
        of = workspace.environments["production"]
        processes, health = Watched(of.processes["vps"]), Watched(of.health)
        await processes.until(Freshness.FRESH)
        await health.until(Freshness.FRESH)
        async with followed(workspace, "production") as buffer:
            pid = sshd.server_pid(estate)
            assert pid is not None
            with frozen(pid):
                gone = await processes.until(Freshness.UNREACHABLE)
                assert isinstance(gone.error, LinkError), gone.error
                assert gone.error.fault in (Fault.TIMEOUT, Fault.CLOSED, Fault.UNREACHABLE)
                await until(lambda: not live(buffer), "the log does not pass for live")
                bad = await health.until(
                    Freshness.FRESH,
                    where=lambda now: level(now.value, "processes") is Level.UNKNOWN,
                )
                assert bad.value is not None
                assert bad.value.level_of("api-health") is Level.OK
            await processes.until(Freshness.FRESH)
            await until(lambda: live(buffer), "the log is live again")
            await health.until(Freshness.FRESH, where=lambda now: level(now.value, "processes") is Level.OK)
