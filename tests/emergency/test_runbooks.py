"""The emergency runbooks, walked on an estate that is really broken: what is offered, and what it mends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from muva_console.config.model import Host
from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.diagnosis.runbooks import RUNBOOKS
from muva_console.ops.diagnosis.scenarios import rank
from muva_console.ops.emergency.processes import Found, _memory
from muva_console.ops.health.port import families
from muva_console.ops.operations import EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import Level
from muva_console.ops.runbooks.load import PLAYBOOK, find_runbook
from muva_console.ops.runbooks.standing import ItemView, RunView, State
from muva_console.ops.walking.walk import Walk
from muva_console.ops.workspace import Workspace
from tests.diagnosis.test_scenarios import TABLE, WELL
from tests.hostility.parts import opened
from tests.patience import HANG
from tests.walking.test_walk import until


def test_every_scenario_but_health_opens_a_runbook_that_is_there() -> None:
    assert set(RUNBOOKS.values()) <= set(PLAYBOOK)
    for name, facts in TABLE.items():
        first = rank(structs.replace(WELL, **facts))[0]
        assert bool(first.runbook) is (name != "healthy"), name


def _item(view: RunView, name: str) -> ItemView:
    found = view.item(name)
    assert found is not None
    return found


async def _act(workspace: Workspace, walk: Walk, item: str) -> None:
    """Do an item's act as an engineer would, once it is offered."""
    await until(walk, lambda view: _item(view, item).actable)
    operation = await walk.operation(item)
    plan = await workspace.performer.prepare(operation)
    word = Confirmation(confirmed=True, typed=plan.environment)
    events = [event async for event in workspace.performer.perform(operation, plan, word)]
    assert events[-1].kind is EventKind.DONE, events[-1].text
    walk.acted(item)


async def _walked(workspace: Workspace, book: str, environment: str, *acts: str) -> None:
    walk = await Walk.begin(workspace, find_runbook(workspace.runbooks, book), environment)
    walk.start()
    try:
        for item in acts:
            await _act(workspace, walk, item)
        wanted = [*acts, "health"]
        async with asyncio.timeout(2 * HANG):
            view = await until(walk, lambda view: all(_item(view, one).level is Level.OK for one in wanted))
        assert all(_item(view, one).state is State.SENSED for one in wanted)
    finally:
        await walk.close()


@pytest.mark.parametrize(
    ("fault", "book", "act"),
    [
        ("process-stopped", "emergency-service-down", "start"),
        ("pm2-daemon-killed", "emergency-host", "daemon"),
        ("process-frozen", "emergency-service-down", "answers"),
        ("port-taken", "emergency-service-down", "port"),
    ],
)
async def test_a_fault_is_mended_by_its_runbooks_act(
    breakable_estate: Estate, fault: str, book: str, act: str
) -> None:
    await faults.break_in(breakable_estate.directory, fault)
    async with opened(breakable_estate.config) as workspace:
        await _walked(workspace, book, "production", act)
    await faults.mend(breakable_estate.directory)


async def test_parents_are_read_from_a_real_host(estate: Estate) -> None:
    async with opened(estate.config) as workspace:
        await workspace.prepare()
        ctx = workspace.environments["production"].context()
        (one,) = [p for p in (await ctx.processes("vps")).processes if p.name == "muva-production"]
        assert one.pid
        gone = 2**22 - 1
        found = await families(ctx, "vps", [one.pid, gone])
    assert list(found) == [one.pid]
    assert any(name.startswith("PM2 v") for name in found[one.pid].values())


def test_what_outgrew_its_memory_is_to_be_given_more() -> None:
    host = Host(address="vps.example.org")
    ctx = cast(Any, SimpleNamespace(
        parameters={}, config=SimpleNamespace(hosts={"vps": host}), ssh_line=lambda host, line: line,
    ))  # fmt: skip

    def judged(**told: Any) -> tuple[str, bool]:
        process = cast(Any, SimpleNamespace(**{"memory_restarts": 0, "memory_limit": None, **told}))
        found = _memory(ctx, Found("vps", "muva", process, 10.0))
        return found.level.value, found.pending

    assert judged() == ("ok", False)
    assert judged(memory_restarts=None) == ("unknown", False), "not known yet"
    assert judged(memory_restarts=4, memory_limit=300 * 2**20) == ("unknown", True)
    assert judged(memory_restarts=4, memory_limit=2**30) == ("fail", False), "more of the same does not help"
    assert _memory(ctx, Found("vps", "muva", None, None)).level is Level.FAIL
