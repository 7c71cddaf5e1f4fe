"""An apply in a process of its own: it outlives who began it; of one that was killed the truth is told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from msgspec.structs import replace

from muva_console.ops.jobs.builders import aftermath
from muva_console.ops.jobs.job import Job, jobs_of
from muva_console.ops.jobs.model import JobState
from muva_console.ops.journal import Filter, Life
from muva_console.ops.migrations.apply_ground import Choice
from muva_console.ops.migrations.apply_job import arguments_of, build
from muva_console.ops.operations import EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.workspace import Workspace
from tests.patience import HANG

from .conftest import commit
from .world import World

YES = Confirmation(confirmed=True)


async def begin(workspace: Workspace) -> Job:
    arguments = arguments_of(Choice())
    operation = build(workspace, "staging", arguments)
    plan = await workspace.performer.prepare(operation)
    return await Job.start(workspace, operation.name, "staging", arguments, plan, YES)


def state(job: Job) -> JobState:
    return job.info.state


async def until_asleep(world: World) -> None:
    async with asyncio.timeout(HANG):
        while not await world.sql("select 1 from pg_stat_activity where wait_event = 'PgSleep'"):
            await asyncio.sleep(0.02)


async def test_it_goes_on_without_its_terminal(world: World, workspace: Workspace, tmp_path: Path) -> None:
    commit(tmp_path, {"1_x.sql": "create table t (id int);\nselect pg_sleep(0.6);"})
    job = await begin(workspace)
    pid = job.info.pid
    assert state(job) is JobState.RUNNING
    assert os.getsid(pid) not in (os.getsid(0), pid), "a session of its own that it does not lead"
    await until_asleep(world)
    os.kill(pid, signal.SIGHUP)
    events = [event async for event in job.attach()]
    assert events[-1].text == "1 migration applied and recorded on staging"
    assert [event async for event in job.attach(len(events) - 1)] == events[-1:]
    async with asyncio.timeout(HANG):
        while state(job) is JobState.RUNNING:
            await asyncio.sleep(0.02)
    assert state(job) is JobState.DONE
    assert [one.id for one in jobs_of(workspace)] == [job.id]
    assert await world.recorded() == ["1"]
    entries = await workspace.journal.read(Filter(kinds=("act-begun", "act-ended")))
    subject = f"migrations-apply 127.0.0.1:{world.server.port}/postgres"
    assert sorted((one.kind, one.subject, one.outcome) for one in entries) == [
        ("act-begun", subject, ""),
        ("act-ended", subject, "done"),
    ]
    assert entries[-1].data["applied"] == ["1"]


async def test_killed_in_the_midst(world: World, workspace: Workspace, tmp_path: Path) -> None:
    commit(
        tmp_path,
        {"1_a.sql": "create table t (id int);", "2_b.sql": "create table u (id int);\nselect pg_sleep(60);"},
    )
    job = await begin(workspace)
    await until_asleep(world)
    os.kill(job.info.pid, signal.SIGKILL)
    events = [event async for event in job.attach()]
    assert events[-1].kind is EventKind.FAILED
    assert "gone without having told an end" in events[-1].text
    assert state(job) is JobState.INTERRUPTED
    (act,) = await workspace.journal.open_acts("staging")
    assert act.life is Life.INTERRUPTED
    async with asyncio.timeout(HANG):  # the server looks every five seconds whether anybody is there
        while await world.sql("select 1 from pg_stat_activity where wait_event = 'PgSleep'"):
            await asyncio.sleep(0.05)
    left = await aftermath(workspace, "migrations-apply", "staging", arguments_of(Choice()))
    assert any(line.startswith("not recorded, so not applied") and "2_b" in line for line in left)
    assert await world.recorded() == ["1"]
    assert await world.there("t", "u") == ["t"]


async def test_what_is_another_plan_by_then_is_refused(
    world: World, workspace: Workspace, tmp_path: Path
) -> None:
    commit(tmp_path, {"1_x.sql": "create table t (id int);"})
    arguments = arguments_of(Choice())
    plan = await workspace.performer.prepare(build(workspace, "staging", arguments))
    confirmed = replace(plan, risks=())
    job = await Job.start(workspace, "migrations-apply", "staging", arguments, confirmed, YES)
    *_, last = [event async for event in job.attach()]
    assert last.kind is EventKind.FAILED
    assert "not done, for the plan is another than the one confirmed: there is another risk" in last.text
    assert await world.recorded() == []
