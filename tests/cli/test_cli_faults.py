"""Each fault broken into a real estate, once: whether it truly happens, what the command line says of it,
what a console that looked before sees of it, and whether it is undone.

All in one test, because breaking and mending one is the dearest thing there is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from muva_console.drill import estate as estates
from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.environment import EnvironmentOps
from muva_console.ops.readings import Level
from tests.checklist_cli.cases import FAULTS as CHECKED
from tests.checklist_cli.cases import SLOW
from tests.checklist_cli.looking import assert_seen, settle
from tests.cli.conftest import Answer, Muva
from tests.drill.seen import SEEN, assert_mended
from tests.hostility.parts import level, opened
from tests.patience import HANG


@dataclass(frozen=True)
class Expected:
    """What a fault must look like."""

    health: int
    processes: int
    told: Callable[[Answer, Answer], None]


CALM = ("ok", "warn")
"""A restart that the fault before on this estate brought is told for a minute, and is no failure."""


def _stopped(health: Answer, processes: Answer) -> None:
    assert "refused" in health.finding("api-health", "fail")["summary"]
    assert "stopped" in processes.finding("processes", "fail")["summary"]
    # what waits on the application is unknown, not failed
    assert health.finding("database", "unknown")


def _crashing(health: Answer, processes: Answer) -> None:
    told = processes.finding("processes", "fail")
    assert "restarted" in told["summary"] or "errored" in told["summary"]


def _memory(health: Answer, processes: Answer) -> None:
    told = processes.finding("processes", "fail")
    assert "memory limit" in told["summary"] + " ".join(told["evidence"])


def _database(health: Answer, processes: Answer) -> None:
    assert health.finding("api-health", "fail")
    assert health.finding("database", "fail")
    assert "database" in health.finding("critical-tables", "unknown")["summary"]
    assert processes.finding("processes")["level"] in CALM


def _slow(health: Answer, processes: Answer) -> None:
    assert "×" in health.finding("performance", "fail")["summary"]


def _errors(health: Answer, processes: Answer) -> None:
    assert "failed" in health.finding("performance", "fail")["summary"]


def _unreachable(health: Answer, processes: Answer) -> None:
    assert health.finding("api-health", "ok")
    assert "refused" in processes.finding("processes", "unknown")["summary"]
    assert processes.data["processes"] == []


def _no_daemon(health: Answer, processes: Answer) -> None:
    assert "daemon" in processes.finding("processes", "fail")["summary"]


EXPECTED = {
    "process-stopped": Expected(1, 1, _stopped),
    "crash-loop": Expected(1, 1, _crashing),
    "memory-exhausted": Expected(1, 1, _memory),
    "database-stopped": Expected(1, 0, _database),
    "slow-responses": Expected(1, 0, _slow),
    "elevated-errors": Expected(1, 0, _errors),
    "ssh-gone": Expected(3, 3, _unreachable),
    "pm2-daemon-killed": Expected(1, 1, _no_daemon),
}


def test_every_fault_is_here() -> None:
    names = {fault.name for fault in faults.FAULTS}
    # tests/checklist_cli, tests/migration_status, tests/diagnosis
    elsewhere = {
        "github-gone", "migration-failed-half-way", "port-taken", "variable-missing", "connections-taken",
        "machine-gone",
    }  # fmt: skip
    assert set(EXPECTED) | CHECKED | elsewhere == names
    assert set(SEEN) == set(EXPECTED)


LOOKS = {"slow-responses": 1, "elevated-errors": 60}
"""Of a console that goes on: in how many looks at most it is seen. One request in twelve fails."""


WHERE = {"slow-responses": "staging"}
"""Those that are not broken into production."""


async def until_ok(of: EnvironmentOps) -> None:
    """Until the performance was sampled, and found good."""
    async with asyncio.timeout(HANG):
        while level(await of.watch_health(), "performance") is not Level.OK:
            pass


async def assert_seen_by_who_looked_before(of: EnvironmentOps, looks: int) -> None:
    """Samples are taken once a minute; what a look in between shows may contradict the good one at once."""
    for _ in range(looks):
        if level(await of.watch_health(), "performance") is Level.FAIL:
            return
    raise AssertionError(f"not seen in {looks} looks")


@pytest.mark.parametrize("name", list(EXPECTED))
async def test_a_fault_happens_is_told_and_so_is_its_end(
    name: str, muva: Muva, breakable_estate: Estate
) -> None:
    expected, where = EXPECTED[name], WHERE.get(name, "production")
    config = breakable_estate.config

    async def told(what: str) -> Answer:
        return await muva(what, "--env", where, "--json", config=config)

    async with opened(config) as workspace:
        of = workspace.environments[where]
        if name in LOOKS:
            await until_ok(of)

        estate = await faults.break_in(breakable_estate.directory, name, environment=where)

        assert [active.name for active in estate.faults] == [name]
        if name in LOOKS:
            await assert_seen_by_who_looked_before(of, LOOKS[name])
            await SEEN[name](estate)  # which counts answers, so that nobody else may ask
            health, processes = await asyncio.gather(told("health"), told("processes"))
        else:
            _, health, processes = await asyncio.gather(SEEN[name](estate), told("health"), told("processes"))
        assert (health.status, processes.status) == (expected.health, expected.processes), health.out
        expected.told(health, processes)
        if expected.processes == 3:
            logs = await muva("logs", "--env", "production", config=config)
            assert logs.status == 3
            assert "sshd is stopped" in logs.err  # what it means, not only what happened
        if name == SLOW.fault:
            settle(estate)
            await assert_seen(estate, SLOW)
        assert not (await estates.status(estate.directory)).whole

        await assert_mended(await faults.mend(estate.directory))

    health = await told("health")
    assert health.status == 0, health.out
    assert health.finding("processes")["level"] in CALM
