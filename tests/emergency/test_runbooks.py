"""The emergency runbooks, walked on an estate that is really broken: what is offered, and what it mends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from msgspec import structs

from muva_console.config.model import Host
from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.diagnosis.runbooks import RUNBOOKS
from muva_console.ops.diagnosis.scenarios import rank
from muva_console.ops.emergency.processes import Found, _memory
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


async def test_a_process_that_is_stopped_is_started(breakable_estate: Estate) -> None:
    estate = breakable_estate
    await faults.break_in(estate.directory, "process-stopped")
    async with opened(estate.config) as workspace:
        await _walked(workspace, "emergency-service-down", "production", "start")
    await faults.mend(estate.directory)


async def test_a_daemon_that_is_gone_is_brought_back_with_what_was_saved(breakable_estate: Estate) -> None:
    estate = breakable_estate
    await faults.break_in(estate.directory, "pm2-daemon-killed")
    async with opened(estate.config) as workspace:
        await _walked(workspace, "emergency-host", "production", "daemon")
    await faults.mend(estate.directory)


async def test_a_process_that_stands_still_is_restarted(breakable_estate: Estate) -> None:
    estate = breakable_estate
    await faults.break_in(estate.directory, "process-frozen")
    async with opened(estate.config) as workspace:
        await _walked(workspace, "emergency-service-down", "production", "answers")
    await faults.mend(estate.directory)


async def test_a_port_that_another_has_is_cleared(breakable_estate: Estate) -> None:
    estate = breakable_estate
    await faults.break_in(estate.directory, "port-taken")
    async with opened(estate.config) as workspace:
        await _walked(workspace, "emergency-service-down", "production", "port")
    await faults.mend(estate.directory)


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
