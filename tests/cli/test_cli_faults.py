"""Each fault broken into a real estate: what the command line says of it, and after it is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from muva_console.drill import faults
from muva_console.drill.state import Estate
from tests.cli.conftest import Answer, Muva


@dataclass(frozen=True)
class Expected:
    """What a fault must look like."""

    health: int
    processes: int
    told: Callable[[Answer, Answer], None]


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
    assert processes.finding("processes")["level"] == "ok"


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
    assert set(EXPECTED) == {fault.name for fault in faults.FAULTS}


@pytest.mark.parametrize("name", list(EXPECTED))
async def test_a_fault_is_told_and_so_is_its_end(name: str, muva: Muva, breakable_estate: Estate) -> None:
    expected = EXPECTED[name]
    config = breakable_estate.config
    await faults.break_in(breakable_estate.directory, name)

    health = await muva("health", "--env", "production", "--json", config=config)
    processes = await muva("processes", "--env", "production", "--json", config=config)
    assert (health.status, processes.status) == (expected.health, expected.processes), health.out
    expected.told(health, processes)
    if expected.processes == 3:
        logs = await muva("logs", "--env", "production", config=config)
        assert logs.status == 3
        assert "sshd is stopped" in logs.err  # what it means, not only what happened

    await faults.mend(breakable_estate.directory)
    healthy = await muva("health", "--env", "production", "--json", config=config)
    assert healthy.status == 0, healthy.out
    assert (await muva("processes", "--env", "production", "--json", config=config)).status == 0
