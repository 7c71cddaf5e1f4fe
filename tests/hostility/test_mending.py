"""Postgres and PM2's daemon gone, frozen and back, with people looking: bounded, rightly told, mended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from muva_console.drill import faults
from muva_console.drill.faults.processes import daemon_pid
from muva_console.drill.state import Estate
from muva_console.drill.sweep import members
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.feed import Freshness
from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.logs.model import Stream
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Level
from tests.cli.conftest import Muva
from tests.hostility.parts import Watched, followed, frozen, level, lines, live, opened, reconfigured, until


def postgres_pids(estate: Estate) -> list[int]:
    """The server and every one of its backends."""
    found = members(estate.id, estate.data)
    return [pid for pid in found if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"]


def impatient(document: dict[str, Any]) -> None:
    document["health"]["timeout"] = "2s"


def by_bus(buffer: LogBuffer) -> bool:
    """Whether the log is said to be live by PM2's bus; else it may be by the files, which still grow."""
    return any(state.live and "bus" in state.detail for state in buffer.states())


async def test_a_frozen_postgres_is_given_up_in_time_and_taken_up_again(
    breakable_estate: Estate, tmp_path: Path, muva: Muva
) -> None:
    estate = breakable_estate
    config = reconfigured(estate, tmp_path / "muva.toml", impatient)
    async with opened(config) as workspace:
        of = workspace.environments["production"]
        assert of.database is not None
        database, health = Watched(of.database), Watched(of.health)
        await database.until(Freshness.FRESH)
        await health.until(Freshness.FRESH)
        with frozen(*postgres_pids(estate)):
            told = asyncio.ensure_future(muva("health", "--env", "production", "--json", config=config))
            gone = await database.until(Freshness.UNREACHABLE)
            assert isinstance(gone.error, LinkError)
            assert gone.error.fault is Fault.TIMEOUT
            assert gone.value is not None, "the last value stays, and is not called fresh"
            await health.until(
                Freshness.FRESH,
                where=lambda now: (
                    level(now.value, "database") is not Level.OK
                    and level(now.value, "critical-tables") is Level.UNKNOWN
                    and level(now.value, "processes") is Level.OK
                    and level(now.value, "performance") is not Level.OK
                ),
            )
            answer = await told
            assert answer.status in (1, 3)
            assert answer.finding("database")["level"] != "ok"
            assert answer.finding("critical-tables", "unknown")
        await database.until(Freshness.FRESH)
        await health.until(Freshness.FRESH, where=lambda now: level(now.value, "database") is Level.OK)
        await health.until(Freshness.FRESH, where=lambda now: level(now.value, "api-health") is Level.OK)


async def test_postgres_gone_and_back_while_it_is_looked_at(breakable_estate: Estate) -> None:
    estate = breakable_estate
    async with opened(estate.config) as workspace:
        of = workspace.environments["staging"]
        assert of.database is not None
        database, health = Watched(of.database), Watched(of.health)
        before = await database.until(Freshness.FRESH)
        await faults.break_in(estate.directory, "database-stopped", environment="staging")
        gone = await database.until(Freshness.UNREACHABLE)
        assert isinstance(gone.error, LinkError)
        await health.until(Freshness.FRESH, where=lambda now: level(now.value, "database") is Level.FAIL)
        await faults.mend(estate.directory)
        back = await database.until(Freshness.FRESH)
        assert before.taken is not None
        assert back.taken is not None
        assert back.taken > before.taken
        await health.until(Freshness.FRESH, where=lambda now: level(now.value, "database") is Level.OK)


async def test_a_password_that_was_changed_is_taken_up(estate: Estate, tmp_path: Path) -> None:
    """The console need not be opened anew because somebody rotated a password."""
    kept = tmp_path / "staging.password"
    kept.write_text("the one of before")
    kept.chmod(0o600)

    def change(document: dict[str, Any]) -> None:
        document["environments"]["staging"]["database"]["password"] = {"file": str(kept)}

    config = reconfigured(estate, tmp_path / "muva.toml", change)
    async with opened(config) as workspace:
        of = workspace.environments["staging"]
        assert of.database is not None
        database = Watched(of.database)
        refused = await database.until(Freshness.UNREACHABLE)
        assert "password" in str(refused.error)
        kept.write_text(estate.password("muva_staging"))
        of.retry_now()
        await database.until(Freshness.FRESH)


async def test_the_daemon_gone_and_back_and_none_is_started_by_looking(
    breakable_estate: Estate, muva: Muva
) -> None:
    """The feed says that it is gone, the log that it is not live; a new daemon is taken up by both."""
    estate = breakable_estate
    async with opened(estate.config) as workspace:
        of = workspace.environments["production"]
        feed = Watched(of.processes["vps"])
        first = await feed.until(Freshness.FRESH)
        assert first.value is not None
        async with followed(workspace, "production") as buffer:
            await faults.break_in(estate.directory, "pm2-daemon-killed")
            gone = await feed.until(Freshness.UNREACHABLE)
            assert isinstance(gone.error, Pm2Down), gone.error
            await until(lambda: not by_bus(buffer), "the log does not pass for heard by the bus")
            polls = len(feed.seen)
            answers = [
                await muva(*words, config=estate.config)
                for words in (
                    ("processes", "--env", "production"),
                    ("logs", "--env", "production"),
                    ("health", "--env", "production"),
                    ("doctor", "--env", "production"),
                )
            ]
            assert [answer.status for answer in answers] == [1, 3, 1, 1], [a.out + a.err for a in answers]
            await until(lambda: len(feed.seen) > polls + 4, "the feed has looked again and again")
            assert daemon_pid(estate) is None, "looking starts no daemon"
            await faults.mend(estate.directory)
            assert daemon_pid(estate) is not None
            back = await feed.until(Freshness.FRESH)
            assert back.value is not None
            assert {p.pid for p in back.value.processes}.isdisjoint(p.pid for p in first.value.processes)
            await until(lambda: live(buffer), "the log is live again")
            await of.web.get(f"{of.config.url}/api/accommodations?said=after-the-daemon", timeout=5)
            await until(
                lambda: any("after-the-daemon" in text for _, text in lines(buffer)), "what is said now"
            )
            assert sum("after-the-daemon" in text for _, text in lines(buffer)) == 1
            assert any("lost for" in text for stream, text in lines(buffer) if stream is Stream.NOTE)
