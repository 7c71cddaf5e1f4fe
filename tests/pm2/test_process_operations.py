"""What may be done to a process: planned, done to a real one, and never believed without looking."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Event, EventKind, Operation, Plan, Tier
from muva_console.ops.pm2 import client
from muva_console.ops.pm2.bus import Subscription
from muva_console.ops.pm2.model import Process, ProcessEvent
from muva_console.ops.process_operations import (
    SMALLEST_LIMIT,
    Action,
    ProcessOperation,
    checked_limit,
    memory_limit,
)
from muva_console.ops.processes import ProcessReader
from muva_console.ops.readings import Finding, Level, utc_now
from tests.patience import HANG
from tests.pm2.real_pm2 import LOOP, SERVER, Pm2, wait

MIB = 1024 * 1024
CLUSTER = "require('http').createServer((_, answer) => answer.end()).listen(0)"


def operation(action: Action, reader: ProcessReader, process: str = "web", **more: Any) -> ProcessOperation:
    options: dict[str, Any] = {"environment": "staging", "production": False, "stable_for": 0.2} | more
    return ProcessOperation(action, reader, process, **options)


async def done(act: Operation, plan: Plan | None = None) -> list[Event]:
    """Plan where there is none, perform, and check the shape of what is told."""
    events = [event async for event in act.perform(plan or await act.plan())]
    assert events[-1].kind in {EventKind.DONE, EventKind.FAILED}
    assert not {event.kind for event in events[:-1]} & {EventKind.DONE, EventKind.FAILED}
    return events


async def process(reader: ProcessReader, name: str = "web", pm_id: int | None = None) -> Process:
    return next(
        p for p in (await reader.read()).processes if p.name == name and (pm_id is None or p.pm_id == pm_id)
    )


def texts(events: list[Event], kind: EventKind) -> list[str]:
    return [event.text for event in events if event.kind is kind]


async def heard(subscription: Subscription, label: str) -> bool:
    async with asyncio.timeout(HANG):
        async for item in subscription:
            if isinstance(item, ProcessEvent) and item.event == label:
                return item.manually
    return False


@pytest.mark.parametrize("forwarding", [True, False])
async def test_every_act_both_ways(pm2: Pm2, forwarding: bool) -> None:
    pm2.start(web=SERVER)
    reader = pm2.reader(forwarding=forwarding)
    others = pm2.reader()  # another console that looks on
    bus = others.bus.subscribe(logs=False)
    before = await process(reader)

    events = await done(operation(Action.RESTART, reader))
    assert events[-1].kind is EventKind.DONE
    after = await process(reader)
    assert after.pid not in {None, before.pid}
    assert texts(events, EventKind.VERIFIED) == ["up and stable for 0.2 s, no restart"]
    assert await heard(bus, "restart")
    assert after.restarts_in_window == 0  # it was asked for
    if forwarding:
        assert "PM2: online" in texts(events, EventKind.OUTPUT)
    else:
        assert texts(events, EventKind.STEP)[0] == f"PM2_HOME={pm2.home} pm2 restart 0"

    events = await done(operation(Action.STOP, reader))
    assert events[-1].text == "web on vps is stopped"
    assert (await process(reader)).pid is None
    assert await heard(bus, "stop")
    with pytest.raises(OpsError, match="stopped already"):
        await operation(Action.STOP, reader).plan()

    if forwarding:  # by command it is one word more, and pm2 boots Node five times
        events = await done(operation(Action.START, reader))
        assert events[-1].kind is EventKind.DONE
        assert (await process(others)).status == "online"
        assert await heard(bus, "start")
        with pytest.raises(OpsError, match="online already"):
            await operation(Action.START, reader).plan()

    events = await done(operation(Action.MEMORY_LIMIT, reader, limit=memory_limit("1.5G"), save=True))
    assert texts(events, EventKind.VERIFIED)[-2:] == [
        "its memory limit is 1.5G",
        "saved: it holds after a reboot",
    ]
    assert (await process(reader)).memory_limit == 1536 * MIB
    assert str(1536 * MIB) in (pm2.home / "dump.pm2").read_text()
    await done(operation(Action.RESTART, others))
    assert (await process(others)).memory_limit == 1536 * MIB
    with pytest.raises(OpsError, match="already"):
        await operation(Action.MEMORY_LIMIT, reader, limit=1536 * MIB).plan()
    await reader.close()
    await others.close()


async def test_a_cluster_is_reloaded_instance_by_instance(pm2: Pm2) -> None:
    pm2.start(web={"source": CLUSTER, "exec_mode": "cluster", "instances": 2})
    reader = pm2.reader()
    before = {p.pm_id: p.pid for p in (await reader.read()).processes}
    act = operation(Action.RELOAD, reader)
    plan = await act.plan()
    assert plan.commands[0].line == f"PM2_HOME={pm2.home} pm2 reload web"
    assert any("side by side" in risk for risk in plan.risks)
    assert (await done(act, plan))[-1].kind is EventKind.DONE
    after = (await reader.read()).processes
    assert [p.pm_id for p in after] == [0, 1]
    assert not {p.pid for p in after} & set(before.values())
    assert [p.restarts_in_window for p in after] == [0, 0]

    one = operation(Action.RESTART, reader, pm_id=1)
    plan = await one.plan()
    assert plan.commands[0].line == f"PM2_HOME={pm2.home} pm2 restart 1"  # by name it would be both
    await done(one, plan)
    again = {p.pm_id: p.pid for p in (await reader.read()).processes}
    assert again[0] == after[0].pid
    assert again[1] != after[1].pid
    await reader.close()


async def test_a_process_that_does_not_stay_up_is_a_failure(pm2: Pm2) -> None:
    pm2.start(loop=LOOP, dead={"source": "process.exit(3)", "autorestart": False})
    reader = pm2.reader()
    events = await done(operation(Action.RESTART, reader, "loop", stable_for=4))
    assert events[-1].kind is EventKind.FAILED
    assert "did not stay up" in events[-1].text
    assert "code 1" in events[-1].text
    assert "err: ECONNREFUSED 127.0.0.1:5432" in texts(events, EventKind.OUTPUT)

    wait(lambda: "[dead:1] exited" in (pm2.home / "pm2.log").read_text())
    events = await done(operation(Action.START, reader, "dead", stable_for=4))
    assert events[-1].kind is EventKind.FAILED
    await reader.close()


async def test_what_changed_since_the_plan_is_not_acted_on(pm2: Pm2) -> None:
    pm2.start(web=SERVER, other=SERVER)
    reader = pm2.reader()
    stop = operation(Action.STOP, reader)
    plan = await stop.plan()
    pm2.run("stop", "web")
    events = await done(stop, plan)
    assert [event.kind for event in events] == [EventKind.FAILED]
    assert events[0].text == "it changed since: web was online and is stopped. Plan again"

    restart = operation(Action.RESTART, reader, "other")
    plan = await restart.plan()
    pid = (await process(reader, "other")).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)  # a crash loop's pids change all the time: that alone is no reason
    wait(lambda: (pm2.home / "pm2.log").read_text().count("App [other:1] online") == 2)
    events = await done(restart, plan)
    assert texts(events, EventKind.WARNING) == ["other was restarted since the plan was made"]
    assert events[-1].kind is EventKind.DONE
    assert (await done(restart, plan))[-1].text == "this plan is not the last one that was made here"

    limit = operation(Action.MEMORY_LIMIT, reader, "other", limit=256 * MIB)
    plan = await limit.plan()
    pm2.run("delete", "other")
    events = await done(limit, plan)
    assert [event.kind for event in events] == [EventKind.FAILED]
    assert "there is no process other" in events[0].text

    start = operation(Action.START, reader)
    plan = await start.plan()
    pm2.kill_daemon()
    events = await done(start, plan)
    assert [event.kind for event in events] == [EventKind.FAILED]
    assert "is gone" in events[0].text
    assert not any("God Daemon" in " ".join(p.cmdline()) for p in pm2.processes())
    await reader.close()


async def test_health_has_the_last_word(shared: Pm2, shared_reader: ProcessReader) -> None:
    def health(level: Level) -> Any:
        async def ask() -> Finding:
            return Finding(check="api-health", level=level, summary=f"it is {level}", at=utc_now())

        return ask

    for level, kind in ((Level.OK, EventKind.VERIFIED), (Level.UNKNOWN, EventKind.WARNING)):
        events = await done(operation(Action.RESTART, shared_reader, health=health(level)))
        assert texts(events, kind)[-1] == f"it is {level}"
        assert events[-1].kind is EventKind.DONE
    events = await done(operation(Action.RESTART, shared_reader, health=health(Level.FAIL)))
    assert (events[-1].kind, events[-1].text) == (EventKind.FAILED, "it is up, but not healthy: it is fail")


async def test_the_plan_tells_what_it_will_do(shared: Pm2, shared_reader: ProcessReader) -> None:
    plan = await operation(Action.RESTART, shared_reader, production=True).plan()
    assert (plan.operation, plan.title, plan.target) == ("process-restart", "Restart web", "web on vps")
    assert (plan.tier, plan.production) == (Tier.TYPE_NAME, True)
    assert plan.commands[0].line == f"PM2_HOME={shared.home} pm2 restart web"
    assert '"restartProcessId","args":[{"id":0}]' in plan.commands[0].why
    assert any("requests fail" in risk for risk in plan.risks)
    assert plan.undo == ""
    assert any("cannot be undone" in risk for risk in plan.risks)

    assert (await operation(Action.RESTART, shared_reader).plan()).tier is Tier.CONFIRM
    stop = await operation(Action.STOP, shared_reader, production=True).plan()
    assert stop.tier is Tier.TYPE_NAME
    assert stop.undo.endswith("pm2 start web")
    reload = await operation(Action.RELOAD, shared_reader).plan()
    assert any("fork mode" in risk for risk in reload.risks)
    limit = await operation(Action.MEMORY_LIMIT, shared_reader, "wrapper", limit=SMALLEST_LIMIT).plan()
    assert limit.commands[0].line.endswith("pm2 restart wrapper --max-memory-restart 32M")
    assert any("more than the new limit" in risk for risk in limit.risks)
    assert any("until `pm2 save` is run" in risk for risk in limit.risks)
    with pytest.raises(OpsError, match="there is no process nobody") as caught:
        await operation(Action.STOP, shared_reader, "nobody").plan()
    assert "web, loop, wrapper" in caught.value.means


async def test_hostile_names_are_spoken_by_number(pm2: Pm2) -> None:
    names = ["--version", "all", "3", "it's $(id)", "app.js", "two\nlines", "/x/"]
    pm2.start(**dict.fromkeys(names, SERVER))
    reader = pm2.reader()
    for target in (await reader.read()).processes:
        plan = await operation(Action.RESTART, reader, target.name).plan()
        assert plan.commands[0].line == f"PM2_HOME={pm2.home} pm2 restart {target.pm_id}"
    events = await done(operation(Action.STOP, reader, "--version"))
    assert events[-1].kind is EventKind.DONE
    assert [p.status for p in (await reader.read()).processes].count("stopped") == 1
    await reader.close()


async def test_who_stops_looking_leaves_nothing_behind(shared: Pm2, shared_reader: ProcessReader) -> None:
    act = operation(Action.RESTART, shared_reader, stable_for=60)
    events = act.perform(await act.plan())
    async for event in events:
        if "watching" in event.text:
            break
    await events.aclose()  # type: ignore[attr-defined]
    assert [task.get_name() for task in asyncio.all_tasks() if "process-" in task.get_name()] == []


@pytest.mark.parametrize(
    ("said", "mebibytes"), [("512M", 512), ("1.5G", 1536), ("1g", 1024), (" 64m ", 64), ("65536K", 64)]
)
def test_memory_limits(said: str, mebibytes: int) -> None:
    assert memory_limit(said) == mebibytes * MIB


@pytest.mark.parametrize(
    "said", ["0", "0M", "31M", "1", "-1G", "G", "1.5", "", "1e9G", "2T", "512M; reboot", "١G"]
)
def test_memory_limits_that_do_harm_are_refused(said: str) -> None:
    with pytest.raises(OpsError):
        memory_limit(said)


@given(st.integers())
def test_what_is_sent_pm2_understands(size: int) -> None:
    try:
        limit = checked_limit(size)
    except OpsError:
        return
    assert limit % MIB == 0
    assert limit >= SMALLEST_LIMIT
    assert client.restart(1, memory_limit=limit)
