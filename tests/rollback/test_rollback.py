"""The act on an estate that a release broke, with the connection cut at every step; and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from muva_console.drill import faults
from muva_console.drill.postgres import connect
from muva_console.drill.state import Estate
from muva_console.ops.database.backup import BackupOperation
from muva_console.ops.database.restore import RestoreOperation
from muva_console.ops.database.target import target_of
from muva_console.ops.deploys.lock import read_lock
from muva_console.ops.deploys.record_act import record
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.operations import Event, EventKind, Operation, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import Level, utc_now
from muva_console.ops.release.records import Deployment, DeploymentKind, Status, newest_good, read_deployments
from muva_console.ops.rollback.act import Rollback
from muva_console.ops.runbooks.load import find_runbook
from muva_console.ops.walking.looking import look
from muva_console.ops.walking.walk import Walk
from muva_console.ops.workspace import Workspace
from tests.hostility.parts import by_way_of, opened
from tests.patience import HANG
from tests.walking.test_walk import until

REASON = "crash loop since the last deployment"


class _Relay:
    """A way to the SSH server that can be cut: every connection at once, as often as one likes."""

    def __init__(self, to: int) -> None:
        self._to, self._open, self.cuts = to, set[asyncio.StreamWriter](), 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, onward}
        with contextlib.suppress(OSError):
            await asyncio.gather(_pump(reader, onward), _pump(there, writer))
        for one in (writer, onward):
            one.close()
            self._open.discard(one)

    def cut(self) -> None:
        self.cuts += 1
        for one in tuple(self._open):
            one.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def _cut_at_every_step(estate: Estate, target: Path) -> AsyncIterator[tuple[Path, _Relay, list[str]]]:
    relay, seen = _Relay(estate.ssh_port), list[str]()
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    home = estate.directory / "host" / ".muva" / "rollback" / "production"
    before = set(home.glob("*"))  # of another test on the same estate

    async def cut() -> None:
        while True:
            for phase in (folder / "phase" for folder in home.glob("*") if folder not in before):
                with contextlib.suppress(OSError):
                    now = phase.read_text().strip()
                    if now and now not in seen:
                        seen.append(now)
                        relay.cut()
            await asyncio.sleep(0.01)

    cutting = asyncio.create_task(cut())
    port = server.sockets[0].getsockname()[1]
    try:
        yield by_way_of(estate, target, port), relay, seen
    finally:
        cutting.cancel()
        server.close()


async def head_of(estate: Estate) -> str:
    head = estate.sites["production"].directory / ".git" / "refs" / "heads" / "main"
    return head.read_text().strip()


def _rollback(workspace: Workspace, **parameters: str) -> Rollback:
    target = look(workspace, "production").target
    target.parameters = {"reason": REASON, **parameters}
    return Rollback(target)


async def _done(workspace: Workspace, act: Operation) -> list[Event]:
    plan = await workspace.performer.prepare(act)
    word = Confirmation(confirmed=True, typed="production")
    return [event async for event in workspace.performer.perform(act, plan, word)]


async def test_rolled_back_though_the_connection_is_cut_at_every_step(
    breakable_estate: Estate, tmp_path: Path
) -> None:
    estate = breakable_estate
    good = await head_of(estate)
    async with (
        _cut_at_every_step(estate, tmp_path / "muva.toml") as (config, relay, seen),
        opened(config) as workspace,
    ):
        with pytest.raises(Refused, match="no other release of production is recorded as good"):
            await _rollback(workspace).plan()
        ctx = look(workspace, "production").target
        await record(ctx, deployment(good))
        with pytest.raises(OpsError, match="nothing to go back"):
            await _rollback(workspace, to=good).plan()
        await faults.break_in(estate.directory, "crash-loop")
        bad = await head_of(estate)
        assert bad != good
        act = _rollback(workspace)
        plan = await act.plan()
        assert plan.tier is Tier.TYPE_NAME and plan.production
        assert any(bad[:7] in risk for risk in plan.risks), "what is taken back is named"
        with pytest.raises(Refused, match="is not recorded"):
            await _rollback(workspace, to=bad).plan()
        async with asyncio.timeout(3 * HANG):
            events = await _done(workspace, act)
        assert events[-1].kind is EventKind.DONE, events[-1].text
        assert seen == ["fetch", "build", "try", "flip", "restart", "verify", "save"]
        assert relay.cuts == len(seen)
        assert any("answers again" in one.text for one in events), "that it was cut is told"
        assert await head_of(estate) == good
        told = await read_deployments(workspace.journal, "production")
        assert (told[-1].kind, told[-1].status, told[-1].rolls_back) == (
            DeploymentKind.ROLLBACK, Status.SUCCESS, bad,
        )  # fmt: skip
        assert (found := newest_good(told)) is not None and found.commit == good
        lock = await read_lock(ctx.hosts["vps"], "production")
        assert lock.held and lock.owner is not None and REASON in lock.owner.why, "until a fix is out"
        walk = await Walk.begin(workspace, find_runbook(workspace.runbooks, "rollback"), "production")
        walk.start()
        try:
            view = await until(walk, lambda view: _level(view, "rollback") is Level.OK)
            assert all(_level(view, one) is Level.OK for one in ("candidate", "schema")), "of a rollback"
        finally:
            await walk.close()
    await faults.mend(estate.directory)


def _level(view: object, item: str) -> Level:
    found = view.item(item)  # type: ignore[attr-defined]
    assert found is not None
    return Level(found.level)


def deployment(commit: str) -> Deployment:
    now = utc_now()
    return Deployment(
        id=f"production/commit/{commit}", environment="production", commit=commit, branch="main",
        started=now, finished=now, status=Status.SUCCESS, live=True,
    )  # fmt: skip


async def test_a_console_that_was_killed_takes_up_what_goes_on(breakable_estate: Estate) -> None:
    """The first console is gone while it builds; the second finds the job, follows it and marks it."""
    estate = breakable_estate
    good = await head_of(estate)
    async with opened(estate.config) as workspace:
        await record(look(workspace, "production").target, deployment(good))
        await faults.break_in(estate.directory, "crash-loop")
        act = _rollback(workspace)
        plan = await act.plan()
        performed = act.perform(plan)
        async for event in performed:
            if "building beside" in event.text:
                break
        await performed.aclose()
    async with opened(estate.config) as workspace:
        act = _rollback(workspace, reason="")
        plan = await act.plan()
        assert plan.title.startswith("Go on with the rollback"), plan.title
        async with asyncio.timeout(2 * HANG):
            events = await _done(workspace, act)
        assert events[-1].kind is EventKind.DONE, events[-1].text
        assert await head_of(estate) == good
        with pytest.raises(OpsError):
            await _rollback(workspace, reason="").plan()
    await faults.mend(estate.directory)


DROP = "ALTER TABLE public.accommodations DROP COLUMN price_cents"


async def test_with_its_database_it_goes_back_past_a_migration_that_took_away(
    breakable_estate: Estate,
) -> None:
    estate = breakable_estate
    good = await head_of(estate)
    async with opened(estate.config) as workspace:
        await record(look(workspace, "production").target, deployment(good))
        backup = BackupOperation(target_of(workspace, "production"))
        assert (await _done(workspace, backup))[-1].kind is EventKind.DONE
        await faults.break_in(estate.directory, "crash-loop")
        async with connect(estate, estate.sites["production"].database, "postgres") as session:
            await session.execute(DROP)
            await session.execute(
                "INSERT INTO supabase_migrations.schema_migrations (version, name, statements)"
                " VALUES ('20991231235959', 'drop_price', $1::text[])",
                [DROP],
            )
        with pytest.raises(Refused, match="drop column"):
            await _rollback(workspace).plan()
        act = _rollback(workspace, despite_schema="nobody reads the price")
        assert any("nobody reads" in risk for risk in (await act.plan()).risks)

        def restoring(file: Path) -> RestoreOperation:
            return RestoreOperation(target_of(workspace, "production"), file)

        target = look(workspace, "production").target
        target.parameters = {"reason": REASON, "restore": "auto"}
        async with asyncio.timeout(3 * HANG):
            events = await _done(workspace, Rollback(target, restoring))
        assert events[-1].kind is EventKind.DONE, events[-1].text
        assert await head_of(estate) == good
        async with connect(estate, estate.sites["production"].database, "postgres") as session:
            ((count,),) = await session.fetch("SELECT count(price_cents) FROM public.accommodations")
            assert count > 0, "what the migration took away is back"
    await faults.mend(estate.directory)
