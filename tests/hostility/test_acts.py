"""Acts on the estate when the journal cannot record, when two consoles act at once, when the clock jumps."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from muva_console.drill.state import Estate
from muva_console.ops import readings, shared_reading
from muva_console.ops.errors import Refused
from muva_console.ops.feed import Freshness
from muva_console.ops.journal import Filter
from muva_console.ops.operations import Event, EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.process_operations import Action, ProcessOperation
from muva_console.ops.readings import Level
from muva_console.ops.workspace import Workspace
from tests.hostility.parts import Watched, level, opened, reconfigured, until
from tests.journal.test_faults import small_disk

__all__ = ["small_disk"]


def restart(workspace: Workspace, environment: str) -> ProcessOperation:
    return ProcessOperation(
        Action.RESTART,
        workspace.process_reader("vps"),
        f"muva-{environment}",
        environment=environment,
        production=environment == "production",
        stable_for=0.5,
    )


async def perform(workspace: Workspace, environment: str) -> list[Event]:
    """A restart, planned and confirmed."""
    operation = restart(workspace, environment)
    plan = await workspace.performer.prepare(operation)
    given = Confirmation(confirmed=True, typed=environment)
    async with aclosing(workspace.performer.perform(operation, plan, given)) as events:
        return [event async for event in events]


async def pids(workspace: Workspace) -> dict[str, int | None]:
    return {p.name: p.pid for p in (await workspace.process_reader("vps").read()).processes}


def journal_in(folder: Path) -> Any:
    def change(document: dict[str, Any]) -> None:
        document["journal"]["directory"] = str(folder)

    return change


async def test_on_a_locked_journal_production_is_not_touched(
    breakable_estate: Estate, tmp_path: Path
) -> None:
    config = reconfigured(breakable_estate, tmp_path / "muva.toml", journal_in(tmp_path / "journal"))
    async with opened(config) as workspace:
        await workspace.journal.note("it is there")
        before = await pids(workspace)
        operation = restart(workspace, "production")
        plan = await workspace.performer.prepare(operation)
        with closing(sqlite3.connect(tmp_path / "journal" / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(Refused, match="cannot record"):
                async for _ in workspace.performer.perform(
                    operation, plan, Confirmation(confirmed=True, typed="production")
                ):
                    pass
            assert await pids(workspace) == before
            other.execute("ROLLBACK")
        events = await perform(workspace, "production")
        assert events[-1].kind is EventKind.DONE
        after = await pids(workspace)
        assert after["muva-production"] != before["muva-production"]
        assert after["muva-staging"] == before["muva-staging"]


async def test_on_a_full_disk_production_is_not_touched(
    breakable_estate: Estate, tmp_path: Path, small_disk: Path
) -> None:
    config = reconfigured(breakable_estate, tmp_path / "muva.toml", journal_in(small_disk / "journal"))
    async with opened(config) as workspace:
        await workspace.journal.note("it is there")
        before = await pids(workspace)
        with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(b"\0" * 4096)
        with pytest.raises(Refused, match="cannot record"):
            for _ in range(50):  # until the room within the file is used up, acts are recorded
                await perform(workspace, "production")
        known = await pids(workspace)
        with pytest.raises(Refused, match="cannot record"):
            await perform(workspace, "production")
        assert await pids(workspace) == known
        assert known["muva-staging"] == before["muva-staging"]
        (small_disk / "filler").unlink()
        assert (await perform(workspace, "production"))[-1].kind is EventKind.DONE
        assert (await workspace.journal.verify()).flaw is None


async def test_two_consoles_restart_the_same_process_at_once(breakable_estate: Estate) -> None:
    """Each is told of the other, both are recorded, and each ends with an answer that is true."""
    async with opened(breakable_estate.config) as one, opened(breakable_estate.config) as two:
        first = await pids(one)
        before = len(await one.journal.read(Filter()))
        both = await asyncio.gather(perform(one, "staging"), perform(two, "staging"))
        texts = [[f"{event.kind}: {event.text}" for event in events] for events in both]
        assert all(events[-1].kind in (EventKind.DONE, EventKind.FAILED) for events in both), texts
        assert any("another act" in text for told in texts for text in told), texts
        entries = (await one.journal.read(Filter()))[before:]
        assert sorted(entry.kind for entry in entries) == ["act-begun"] * 2 + ["act-ended"] * 2
        assert (await two.journal.verify()).flaw is None
        [now] = [p for p in (await two.process_reader("vps").read()).processes if p.name == "muva-staging"]
        assert now.status == "online"
        assert now.pid != first["muva-staging"]


class Clock:
    """The wall clock under the test's hand; the monotonic one stays as it is."""

    def __init__(self) -> None:
        self.ahead = timedelta()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    now, since_epoch = datetime.now, time.time

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return now(tz) + made.ahead

    monkeypatch.setattr(readings, "datetime", Jumping)
    monkeypatch.setattr(time, "time", lambda: since_epoch() + made.ahead.total_seconds())
    yield made


async def test_a_wall_clock_that_jumps(breakable_estate: Estate, clock: Clock) -> None:
    """What is old stays old, nothing is asked more often, uptimes hold, and the journal keeps its order."""
    async with opened(breakable_estate.config) as workspace:
        of = workspace.environments["staging"]
        feed, health = Watched(of.processes["vps"]), Watched(of.health, interval=0.5)
        before = await feed.until(Freshness.FRESH)
        await health.until(Freshness.FRESH)
        assert before.value is not None
        [running] = [p for p in before.value.processes if p.name == "muva-staging"]
        up = before.value.uptime(running)
        assert up is not None
        resting = Watched(of.resources["vps"])
        await resting.until(Freshness.FRESH)
        resting.stop()  # nobody looks any more: it grows old
        await until(lambda: resting.now.freshness() is Freshness.STALE, "it is stale")
        began, at = time.monotonic(), datetime.now(UTC)
        for hours in (-30, 7, 24 * 400, -1):
            clock.ahead = timedelta(hours=hours)
            assert abs((readings.utc_now() - at).total_seconds() - hours * 3600) < 60
            assert resting.now.freshness() is Freshness.STALE
            polls, since = len(feed.seen), time.monotonic()
            now = await feed.since(time.monotonic())
            assert len(feed.seen) - polls <= 4 + (time.monotonic() - since) / 0.1, "it asks no faster"
            assert (now.age() or 0.0) < 5
            assert now.value is not None
            [process] = [p for p in now.value.processes if p.name == "muva-staging"]
            told = now.value.uptime(process)
            assert told is not None
            assert abs(told - up - (time.monotonic() - began)) < 10, "an uptime of the host's own clock"
            # a list from before the jump, shared for a moment, is not known to be fresh; the next one is
            await health.since(time.monotonic() + shared_reading.MAX_AGE)
            judged = await health.since(time.monotonic())
            assert level(judged.value, "processes") is Level.OK
            assert await workspace.journal.note(f"at {hours} h")
        assert (await perform(workspace, "staging"))[-1].kind is EventKind.DONE
        texts = [
            entry.text for entry in await workspace.journal.read(Filter()) if entry.text.startswith("at")
        ]
        assert texts == ["at -30 h", "at 7 h", "at 9600 h", "at -1 h"], "the order of what happened"
        checked = await workspace.journal.verify()
        assert checked.flaw is None
        clock.ahead = timedelta(hours=-100)
        assert (await workspace.journal.verify()).flaw is None
