"""Tables of facts to scenarios, and what is never said on missing evidence; then a real estate."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.diagnosis.diagnose import watch
from muva_console.ops.diagnosis.model import Diagnosis, Facts, ProbeState
from muva_console.ops.diagnosis.scenarios import rank
from muva_console.ops.diagnosis.signatures import Sign, sign_of
from muva_console.ops.readings import Level
from tests.hostility.parts import opened

WELL = Facts(
    web=True, local=True, ssh=True, pm2=True, stopped=False, gave_up=False, looping=False, by_memory=False,
    database=True, database_free=True, disk_full=False, slow=False, errors=False, others=True,
)  # fmt: skip
TABLE: dict[str, dict[str, Any]] = {
    "healthy": {},
    "host-unreachable": {"ssh": False, "pm2": None, "stopped": None},
    "process-stopped": {"web": False, "local": False, "stopped": True},
    "crash-loop": {"web": False, "local": False, "looping": True},
    "out-of-memory": {"looping": True, "by_memory": True},
    "pm2-down": {"web": False, "local": False, "pm2": False, "stopped": None},
    "database-connectivity": {"web": False, "local": False, "database": False, "looping": True},
    "database-unresponsive": {"database_free": False},
    "disk-full": {"web": False, "disk_full": True, "looping": True},
    "app-crashed": {"web": False, "local": False},
    "proxy-or-dns": {"web": False},
    "certificate": {"web": False, "tls": False},
    "slow-responses": {"slow": True},
    "elevated-errors": {"errors": True},
    "system-failure": {"web": False, "local": None, "ssh": False, "pm2": None, "database": False},
    "migration-failed": {"web": False, "local": False, "tables": False},
    "port-conflict": {
        "web": False,
        "local": False,
        "looping": True,
        "taken_by": "nginx (pid 9)",
        "signs": {"port": "EADDRINUSE"},
    },
    "missing-configuration": {
        "web": False,
        "local": False,
        "gave_up": True,
        "signs": {"configuration": "DATABASE_URL must be set"},
    },
    "dependency-down": {"web": False, "local": False, "dependency": False},
    "cpu-saturated": {"slow": True, "cpu": True},
    "bad-deployment": {
        "web": False,
        "local": False,
        "looping": True,
        "deployed": 60.0,
        "signs": {"code": "Cannot find module './rates'"},
    },
}


@pytest.mark.parametrize("id", TABLE)
def test_the_cause_comes_first(id: str) -> None:
    assert rank(msgspec.structs.replace(WELL, **TABLE[id]))[0].id == id


def test_a_database_that_has_a_connection_for_us_and_none_for_the_application_is_the_cause() -> None:
    facts = {"web": False, "local": False, "dependency": False, "told_database": False}
    found = rank(msgspec.structs.replace(WELL, **facts))
    assert found[0].id == "database-unresponsive"
    assert "it answers us, and the application gets nothing of it" in found[0].supports
    assert found[0].confidence != "very likely"  # it had connections left when it was asked
    assert "dependency-down" not in [one.id for one in found]


@given(st.sampled_from(["web", "ssh", "pm2", "stopped", "database", "slow", "errors", "disk_full"]))
def test_what_is_not_known_is_never_healthy(name: str) -> None:
    assert rank(msgspec.structs.replace(WELL, **{name: None})) == ()


@pytest.mark.parametrize(
    ("facts", "not_first"),
    [
        ({"web": False, "local": False, "looping": True, "deployed": 60.0}, "bad-deployment"),
        ({"web": False, "looping": True, "signs": {"code": "TypeError"}}, "bad-deployment"),
        ({"signs": {"configuration": "X must be set"}}, "missing-configuration"),
        ({"web": False, "local": False, "taken_by": "", "signs": {"port": "EADDRINUSE"}}, "port-conflict"),
        (
            {"web": False, "stopped": True, "signs": {"configuration": "X must be set"}},
            "missing-configuration",
        ),
        ({"web": False, "local": False, "tables": None}, "migration-failed"),
        ({"cpu": True}, "cpu-saturated"),
        # what hangs on the database is down with it
        ({"web": False, "local": False, "dependency": False, "told_database": False}, "dependency-down"),
    ],
)
def test_nothing_is_said_on_half_the_evidence(facts: dict[str, Any], not_first: str) -> None:
    found = rank(msgspec.structs.replace(WELL, **facts))
    assert found[0].id != not_first
    sure = [one.id for one in found if one.confidence == "very likely"]
    assert not_first not in sure


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("Error: listen EADDRINUSE: address already in use 127.0.0.1:3000", "port"),
        (
            "Error: Invalid environment variables in .env.production: DATABASE_URL must be set",
            "configuration",
        ),
        ('error: column "nights" does not exist', "schema"),
        ("Error: Cannot find module './rates'", "code"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "memory"),
        ("Error: ENOSPC: no space left on device, write", "disk"),
        ("Error: connect ECONNREFUSED 127.0.0.1:5432", "connection"),
        ("GET /api/health 200 in 4ms", None),
        ("the guest does not exist", None),
    ],
)
def test_what_a_line_is_a_sign_of(line: str, sign: str | None) -> None:
    assert sign_of(line) == sign


@given(st.text(max_size=300))
def test_any_line_is_some_sign_or_none(line: str) -> None:
    assert sign_of(line) in (*Sign, None)


def test_a_failure_that_no_scenario_explains_is_not_healthy() -> None:
    assert rank(msgspec.structs.replace(WELL, others=False)) == ()


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        # two at once: the cause, then what follows from it or stands beside it
        ({"web": False, "local": False, "database": False, "stopped": True}, ["database-connectivity"]),
        ({"disk_full": True, "web": False, "local": False, "database": False}, ["disk-full"]),
        ({"ssh": False, "pm2": None, "stopped": None, "database": False}, ["host-unreachable"]),
        # what a probe beside the health checks adds
        (
            {"web": False, "local": False, "looping": True, "database_from_host": False},
            ["database-connectivity", "crash-loop"],
        ),
        ({"web": False, "name": False}, ["proxy-or-dns"]),
        # an hour's log tells of the last incident too
        (
            {"looping": True, "by_memory": True, "signs": {"configuration": "X must be set"}},
            ["out-of-memory", "missing-configuration"],
        ),
        ({"half_done": ("the index x is invalid",)}, ["migration-failed"]),
        (
            {
                "web": False,
                "local": False,
                "looping": True,
                "unapplied": ("1_a.sql",),
                "signs": {"schema": 'column "a" does not exist'},
            },
            ["migration-failed", "crash-loop"],
        ),
        ({"web": False, "local": False, "killed": ("node (pid 3)",)}, ["out-of-memory"]),
        ({"web": False, "local": False, "looping": True, "lacking": ("PORT",)}, ["crash-loop"]),
    ],
)
def test_the_cause_comes_before_what_follows(facts: dict[str, Any], first: list[str]) -> None:
    found = rank(msgspec.structs.replace(WELL, **facts))
    assert [one.id for one in found][: len(first)] == first
    assert all(one.supports for one in found)


def test_a_database_that_the_host_reaches_is_not_called_away() -> None:
    facts = msgspec.structs.replace(WELL, database=False, database_from_host=True, web=False)
    found = {one.id: one for one in rank(facts)}["database-connectivity"]
    assert found.confidence == "possible"
    assert any("answers the host" in one for one in found.against)


def test_what_the_provider_reports_is_evidence_and_no_verdict() -> None:
    reported = {"provider": "Partial outage in eu-central-1"}
    assert [one.id for one in rank(msgspec.structs.replace(WELL, **reported))] == ["healthy"]
    found = rank(msgspec.structs.replace(WELL, web=False, local=False, database=False, **reported))[0]
    assert any("Partial outage" in one for one in found.supports)


@pytest.mark.parametrize(
    ("deployed", "onset", "blamed"),
    [
        (60.0, None, True),
        (600.0, 590.0, True),
        (7200.0, 7000.0, True),  # hours ago, and it began with it
        (30.0, 800.0, False),  # it was so before
        (9000.0, 60.0, False),  # hours lie between
        (9000.0, None, False),
        (None, 60.0, False),
    ],
)
def test_a_deployment_is_held_against_the_onset(
    deployed: float | None, onset: float | None, blamed: bool
) -> None:
    facts = msgspec.structs.replace(WELL, web=False, local=False, deployed=deployed, onset=onset)
    assert any(one.id == "bad-deployment" for one in rank(facts)) is blamed


def test_every_verdict_says_what_would_tell_it_from_others() -> None:
    for name, facts in TABLE.items():
        found = rank(msgspec.structs.replace(WELL, **facts))[0]
        assert name == "healthy" or found.tell_apart, name


def test_nothing_is_asserted_on_nothing() -> None:
    assert rank(Facts()) == ()


FAULTS = {
    "process-stopped": "process-stopped",
    "database-stopped": "database-connectivity",
    "ssh-gone": "host-unreachable",
    "pm2-daemon-killed": "pm2-down",
    "process-frozen": "app-crashed",
    "port-taken": "port-conflict",
    "variable-missing": "missing-configuration",
    "connections-taken": "database-unresponsive",
    "migration-failed-half-way": "migration-failed",
    "machine-gone": "system-failure",
}


async def _diagnose(estate: Estate) -> Diagnosis:
    async with opened(estate.config) as workspace:
        await workspace.prepare()
        told = [state async for state in watch(workspace.environments["production"].context())]
    assert isinstance(told[0], ProbeState) and not told[0].done
    assert isinstance(told[-1], Diagnosis)
    return told[-1]


async def test_faults_of_a_real_estate_are_told_apart(breakable_estate: Estate) -> None:
    for fault, scenario in FAULTS.items():
        await faults.break_in(breakable_estate.directory, fault)
        told = await _diagnose(breakable_estate)
        await faults.mend(breakable_estate.directory)
        assert told.scenarios[0].id == scenario, (fault, told.scenarios)


async def test_a_host_that_swallows_everything_holds_up_nothing(estate: Estate, tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    hole = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = hole.sockets[0].getsockname()[1]
    config = tmp_path / "muva.toml"
    text = estate.config.read_text().replace(f"port = {estate.ssh_port}\n", f"port = {port}\n")
    assert f"port = {port}\n" in text
    config.write_text(text)
    config.chmod(0o600)
    async with opened(config) as workspace:
        await workspace.prepare()
        told = [state async for state in watch(workspace.environments["production"].context())][-1]
    hole.close()
    assert isinstance(told, Diagnosis)
    assert told.took_ms <= 10_000
    assert told.scenarios[0].id == "host-unreachable"
    assert all(f.level is Level.UNKNOWN for f in told.findings if f.check in ("processes", "health-on-host"))


async def test_two_faults_at_once_are_both_seen_the_cause_first(breakable_estate: Estate) -> None:
    for fault in ("process-stopped", "database-stopped"):
        await faults.break_in(breakable_estate.directory, fault)
    told = await _diagnose(breakable_estate)
    await faults.mend(breakable_estate.directory)
    found = [one.id for one in told.scenarios]
    assert found[0] == "database-connectivity"
    assert "process-stopped" in found


async def test_a_healthy_estate_is_healthy(estate: Estate) -> None:
    told = await _diagnose(estate)
    assert [one.id for one in told.scenarios] == ["healthy"], told
