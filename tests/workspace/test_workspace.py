"""Links, feeds, performer and journal together, on a real estate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

import pytest

from muva_console.config.load import load
from muva_console.drill.state import Estate
from muva_console.ops import process_operations
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.feed import Freshness, Snapshot
from muva_console.ops.journal import Filter
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.operations import EventKind, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.pm2.model import ProcessList
from muva_console.ops.process_operations import Action
from muva_console.ops.readings import Verdict
from muva_console.ops.workspace import Workspace
from tests.patience import HANG


@asynccontextmanager
async def opened(estate: Estate, *, read_only: bool = False) -> AsyncIterator[Workspace]:
    workspace = Workspace(load(estate.config), read_only=read_only)
    try:
        yield workspace
    finally:
        await workspace.close()


async def test_nothing_is_opened_before_it_is_asked(estate: Estate) -> None:
    async with opened(estate) as workspace:
        assert workspace.environments["production"].links() == ()
        assert workspace.commands.total == 0


async def test_environments_on_one_host_share_its_reading(estate: Estate) -> None:
    async with opened(estate) as workspace:
        both = [workspace.environments[name].processes["vps"] for name in ("production", "staging")]
        first, second = await asyncio.gather(*(feed.once() for feed in both))
        assert first is second
        states = workspace.environments["production"].links()
        assert [state.status for state in states if state.name.startswith("ssh")] == [LinkStatus.UP]


async def test_a_branch_is_compared_with_the_one_it_flows_into(estate: Estate) -> None:
    async with opened(estate) as workspace:
        flow = {name: workspace.next_branch(name) for name in workspace.environments}
        assert flow == {"dev": "staging", "staging": "main", "production": None}
        reading = await workspace.environments["dev"].read_repository()
        assert [each.branch for each in reading.comparisons] == ["origin/staging"]
        assert (await workspace.environments["production"].read_repository()).comparisons == ()


async def test_the_command_log_tells_what_a_person_would_type(estate: Estate) -> None:
    async with opened(estate) as workspace:
        of = workspace.environments["production"]
        await of.resources["vps"].once()
        listed = await of.read_processes("vps")
        await of.read_logs(listed.processes[:1], 5)
        lines = [record.line for record in workspace.commands.records() if record.where == "vps"]
        assert any(line.startswith("free -h; df -h") for line in lines)
        assert any(line.startswith("ps -eo pid") for line in lines)
        assert any(line.startswith("tail -c") and ".log" in line for line in lines)
        assert not any("muva-" in line and "printf" in line for line in lines)


async def test_the_report_tells_what_is_served(estate: Estate) -> None:
    async with opened(estate) as workspace:
        report = await workspace.environments["production"].read_health()
        assert report.verdict is Verdict.GO
        assert len(report.commit) >= 7
        assert report.api_ms is not None
        assert workspace.environments["production"].history is not None


async def test_a_look_keeps_the_sample_of_the_one_before(estate: Estate) -> None:
    async with opened(estate) as workspace:
        of = workspace.environments["staging"]
        first = await of.watch_health()
        second = await of.watch_health()
        assert second.of("api-health")[0].at > first.of("api-health")[0].at
        if first.level_of("performance") == "ok":
            assert second.of("performance") == first.of("performance")
        assert [f.check for f in second.findings] == [f.check for f in first.findings]


async def test_logs_fill_a_buffer_and_go_on(estate: Estate) -> None:
    async with opened(estate) as workspace:
        of = workspace.environments["production"]
        processes = (await of.read_processes("vps")).processes
        mine = tuple(p for p in processes if p.name == "muva-production")
        buffer = LogBuffer()
        task = asyncio.create_task(of.follow_logs("vps", mine, buffer))
        async with asyncio.timeout(HANG):
            while not len(buffer):
                await asyncio.sleep(0.01)
            before = buffer.next_seq
            while buffer.next_seq == before:
                await of.web.get(f"{of.config.url}/api/accommodations", timeout=5)
                await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_restart_on_production_from_plan_to_record(
    breakable_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tests/console waits for as long as it is watched in earnest
    monkeypatch.setattr(
        process_operations, "ProcessOperation", partial(process_operations.ProcessOperation, stable_for=1.0)
    )
    async with opened(breakable_estate) as workspace:
        of = workspace.environments["production"]
        operation = of.process_operation(Action.RESTART, "vps", "muva-production")
        before = (await of.read_processes("vps")).processes
        plan = await workspace.performer.prepare(operation)
        assert plan.tier is Tier.TYPE_NAME
        with pytest.raises(Refused):
            async for _ in workspace.performer.perform(operation, plan, Confirmation(confirmed=True)):
                pass
        plan = await workspace.performer.prepare(operation)
        given = Confirmation(confirmed=True, typed="production")
        async with aclosing(workspace.performer.perform(operation, plan, given)) as performed:
            events = [event async for event in performed]
        assert events[-1].kind is EventKind.DONE, [event.text for event in events]
        assert any(event.kind is EventKind.VERIFIED for event in events)
        after = (await workspace.process_reader("vps").read()).processes
        pids = [{p.name: p.pid for p in some}["muva-production"] for some in (before, after)]
        assert pids[0] != pids[1]
        kinds = [entry.kind for entry in await workspace.journal.read(Filter(environment="production"))]
        assert kinds[-2:] == ["act-begun", "act-ended"]
        assert (await workspace.journal.verify()).flaw is None


async def test_read_only_refuses_whatever_is_confirmed(estate: Estate) -> None:
    async with opened(estate, read_only=True) as workspace:
        operation = workspace.environments["staging"].process_operation(Action.STOP, "vps", "muva-staging")
        plan = await workspace.performer.prepare(operation)
        with pytest.raises(Refused, match="read-only"):
            async for _ in workspace.performer.perform(operation, plan, Confirmation(confirmed=True)):
                pass
        listed = await workspace.process_reader("vps").read()
        assert {p.status for p in listed.processes} == {"online"}


async def test_a_host_that_goes_and_comes_back(breakable_estate: Estate) -> None:
    """The last value stays, is never called fresh meanwhile, and the feed mends itself."""
    from muva_console.drill import faults

    async with opened(breakable_estate) as workspace:
        feed = workspace.environments["production"].processes["vps"]
        feed.set_interval(0.2)
        seen: list[Snapshot[ProcessList]] = []
        stop = feed.watch(seen.append)

        async def until(freshness: Freshness) -> Snapshot[ProcessList]:
            async with asyncio.timeout(HANG):
                while not seen or seen[-1].freshness() is not freshness:
                    await asyncio.sleep(0.02)
            return seen[-1]

        await until(Freshness.FRESH)
        await faults.break_in(breakable_estate.directory, "ssh-gone")
        gone = await until(Freshness.UNREACHABLE)
        assert gone.value is not None
        assert isinstance(gone.error, OpsError)
        await faults.mend(breakable_estate.directory)
        back = await until(Freshness.FRESH)
        assert back.value is not None
        assert back.value.at > gone.value.at
        stop()
