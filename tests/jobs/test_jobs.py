"""What jobs write down, how one stands by that, and whether a plan made again is the same."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muva_console.ops.errors import OpsError
from muva_console.ops.identity import Engineer
from muva_console.ops.jobs.job import Job
from muva_console.ops.jobs.model import Ended, JobState, Request, Started
from muva_console.ops.jobs.sameness import difference
from muva_console.ops.jobs.store import (
    ENDED,
    EVENTS,
    REQUEST,
    STARTED,
    EventFile,
    find_job,
    info_of,
    list_jobs,
    make_job,
    read_events,
    write,
)
from muva_console.ops.journal.liveness import this_process
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import utc_now

PLAN = Plan(
    operation="migrations-apply",
    title="Apply 1 migration",
    environment="staging",
    target="db:5432/staging",
    tier=Tier.CONFIRM,
    commands=(PlannedCommand("db", "alter table t add x int", "ACCESS EXCLUSIVE on t (about 120 rows)"),),
    risks=("the way back is a backup of 52s ago", "no way back of its own"),
)


def request(**more: Any) -> Request:
    told = {
        "operation": "migrations-apply",
        "environment": "staging",
        "arguments": {},
        "plan": PLAN,
        "confirmation": Confirmation(confirmed=True),
        "engineer": Engineer(name="dana", host="jump", origin="test"),
        "config": "/x/muva.toml",
        "digest": "d",
        "read_only": False,
        "at": utc_now(),
    }
    return Request(**{**told, **more})


def event(text: str, kind: EventKind = EventKind.STEP) -> Event:
    return Event(kind=kind, text=text, at=utc_now())


def gone() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_where_a_job_stands(tmp_path: Path) -> None:
    path = make_job(tmp_path / "jobs", request())
    assert stat.S_IMODE((tmp_path / "jobs").stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.iterdir()} == {0o600}

    def state() -> JobState:
        info = info_of(path)
        assert info is not None
        return info.state

    assert state() is JobState.STARTING
    write(path, STARTED, Started(owner=this_process(), at=utc_now()))
    assert state() is JobState.RUNNING
    owner = msgspec.structs.replace(this_process(), started=1)  # the pid is another process's now
    write(path, STARTED, Started(owner=owner, at=utc_now()))
    assert state() is JobState.INTERRUPTED
    write(path, STARTED, Started(owner=msgspec.structs.replace(owner, pid=gone()), at=utc_now()))
    assert state() is JobState.INTERRUPTED
    write(path, ENDED, Ended(status=1, at=utc_now()))
    assert state() is JobState.FAILED
    write(path, ENDED, Ended(status=0, at=utc_now()))
    assert state() is JobState.DONE
    late = make_job(tmp_path / "jobs", request(at=utc_now() - timedelta(minutes=5)))
    assert [one.state for one in list_jobs(tmp_path / "jobs")] == [JobState.DONE, JobState.INTERRUPTED]
    assert find_job(tmp_path / "jobs", path.name[:18]) in (path, late)
    for name, told in (
        ("3", "there is no job"),
        ("", "there is no job"),
        ("2", "more than one job begins with"),
    ):
        with pytest.raises(OpsError, match=told):
            find_job(tmp_path / "jobs", name)
    write(late, REQUEST, request(at=utc_now() - timedelta(days=40)))
    assert [one.id for one in list_jobs(tmp_path / "jobs")] == [path.name]
    assert not late.exists()


async def test_events_are_followed_from_any_and_a_cut_line_waits(tmp_path: Path) -> None:
    path = make_job(tmp_path, request())
    write(path, STARTED, Started(owner=this_process(), at=utc_now()))
    file = EventFile(path)
    for text in ("one", "two\nlines", "three"):
        file.add(event(text))
    with (path / EVENTS).open("ab") as cut:
        cut.write(b'{"kind":"step","te')
    events, at = read_events(path)
    assert [one.text for one in events] == ["one", "two\nlines", "three"]
    with (path / EVENTS).open("ab") as rest:
        rest.write(b'xt":"four","at":"2026-01-01T00:00:00Z"}\n')
    assert [one.text for one in read_events(path, at)[0]] == ["four"]
    file.add(event("all", EventKind.DONE))
    file.close()
    assert [one.text async for one in Job(path).attach(3)] == ["four", "all"]
    assert stat.S_IMODE((path / EVENTS).stat().st_mode) == 0o600


async def test_a_job_that_is_gone_is_told_so(tmp_path: Path) -> None:
    path = make_job(tmp_path, request())
    write(path, STARTED, Started(owner=msgspec.structs.replace(this_process(), started=1), at=utc_now()))
    EventFile(path).add(event("one"))
    *_, last = [one async for one in Job(path).attach()]
    assert last.kind is EventKind.FAILED
    assert f"pid {os.getpid()}) is gone without having told an end" in last.text
    with pytest.raises(OpsError, match="does not run here: it is interrupted"):
        Job(path).stop()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"risks": ("the way back is a backup of 1m 3s ago", "no way back of its own")}, ""),
        ({"risks": PLAN.risks[:1]}, ""),
        ({"risks": (*PLAN.risks, "it loses data")}, "there is another risk: it loses data"),
        ({"target": "db:5432/production"}, "its target was"),
        ({"tier": Tier.TYPE_NAME}, "its tier was"),
        ({"commands": ()}, "it no longer runs alter table"),
        ({"commands": (PlannedCommand("db", "drop table t"),)}, "it runs something else: drop table t"),
        (
            {"commands": (*PLAN.commands, PlannedCommand("db", "select 1"))},
            "it runs something else: select 1",
        ),
        ({"title": "Apply 2 migrations"}, "its title was"),
    ],
)
def test_a_plan_made_again(change: dict[str, Any], told: str) -> None:
    now = msgspec.structs.replace(PLAN, **change)
    found = difference(PLAN, now)
    assert found.startswith(told)
    assert bool(found) is bool(told)
