"""Who may act, what is recorded, and how every act ends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from muva_console.ops.act import Act
from muva_console.ops.errors import Fault, LinkError, OpsError, Refused
from muva_console.ops.journal import Filter, Kind
from muva_console.ops.operations import Event, EventKind, PlannedCommand, Tier
from muva_console.ops.performer import PLAN_VALID, Confirmation, Performer
from tests.performer.conftest import (
    DONE,
    EVE,
    FAILED,
    SECRET,
    STEP,
    YES,
    Clock,
    Scripted,
    act,
    event,
    until,
)

Make = Callable[..., Performer]


async def kinds(performer: Performer) -> list[str]:
    return [
        f"{entry.kind} {entry.outcome}".strip() for entry in await performer.journal.read(Filter(limit=None))
    ]


async def test_an_act_is_recorded_before_and_after(performer: Performer) -> None:
    seen: list[list[str]] = []

    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        seen.append(await kinds(performer))
        yield STEP
        yield event(EventKind.OUTPUT, "restarted")
        yield event(EventKind.VERIFIED, "stable for 5 s")
        yield event(EventKind.DONE, "muva-staging runs")

    operation = Scripted(script)
    plan = await performer.prepare(operation)
    async with aclosing(performer.perform(operation, plan, YES)) as events:
        told = []
        async for one in events:
            if one.kind is EventKind.DONE:
                seen.append(await kinds(performer))
            told.append(one.kind)
    assert told == [EventKind.STEP, EventKind.OUTPUT, EventKind.VERIFIED, EventKind.DONE]
    assert seen == [["act-begun"], ["act-begun", "act-ended done"]]
    begun, ended = await performer.journal.read()
    assert begun.engineer == "dana"
    assert begun.environment == ended.environment == "staging"
    assert begun.subject == "process-restart muva-staging on vps"
    assert begun.data["plan"]["commands"][0]["line"] == "pm2 restart muva-staging"
    assert ended.ref == begun.id
    assert ended.text == "muva-staging runs"
    assert ended.data["verified"] == ["stable for 5 s"]
    assert ended.data["last_output"] == ["restarted"]
    assert ended.data["events"] == {"step": 1, "output": 1, "verified": 1}
    assert performer.acting == ()


async def test_read_only_refuses_and_records_nothing(make: Make) -> None:
    performer = make(read_only=True)
    for tier in Tier:
        operation = Scripted(tier=tier)
        plan = await performer.prepare(operation)  # looking is no act
        with pytest.raises(Refused, match="read-only"):
            await anext(
                performer.perform(operation, plan, Confirmation(confirmed=True, typed=plan.environment))
            )
        assert operation.began == 0
    assert await kinds(performer) == []


@pytest.mark.parametrize(
    ("tier", "production", "confirmation", "allowed"),
    [
        (Tier.NONE, False, Confirmation(), True),
        (Tier.CONFIRM, False, Confirmation(), False),
        (Tier.CONFIRM, False, Confirmation(typed="staging"), False),
        (Tier.CONFIRM, False, Confirmation(confirmed=True), True),
        (Tier.TYPE_NAME, False, Confirmation(confirmed=True), False),
        (Tier.TYPE_NAME, False, Confirmation(confirmed=True, typed="production"), False),
        (Tier.TYPE_NAME, False, Confirmation(typed="Staging"), False),
        (Tier.TYPE_NAME, False, Confirmation(typed="stagin"), False),
        (Tier.TYPE_NAME, False, Confirmation(typed=" staging\n"), True),
        # on production a question becomes the name
        (Tier.CONFIRM, True, Confirmation(confirmed=True), False),
        (Tier.CONFIRM, True, Confirmation(typed="staging"), True),
        (Tier.NONE, True, Confirmation(), True),
    ],
)
async def test_confirmation_by_tier(
    performer: Performer, tier: Tier, production: bool, confirmation: Confirmation, allowed: bool
) -> None:
    operation = Scripted(tier=tier, production=production)
    if allowed:
        assert (await act(performer, operation, confirmation))[-1].kind is EventKind.DONE
        assert operation.began == 1
    else:
        with pytest.raises(Refused, match="not confirmed"):
            await act(performer, operation, confirmation)
        assert operation.began == 0
        assert await kinds(performer) == []


async def test_no_name_cannot_be_typed(performer: Performer) -> None:
    with pytest.raises(Refused):
        await act(
            performer, Scripted(tier=Tier.TYPE_NAME, environment=""), Confirmation(confirmed=True, typed="")
        )


async def test_on_production_the_plan_asks_for_the_name(performer: Performer) -> None:
    assert (await performer.prepare(Scripted(tier=Tier.CONFIRM, production=True))).tier is Tier.TYPE_NAME


async def test_an_old_plan_is_planned_again(performer: Performer, clock: Clock) -> None:
    operation = Scripted()
    plan = await performer.prepare(operation)
    clock.now += PLAN_VALID + 0.1
    with pytest.raises(Refused, match="60 s old"):
        await anext(performer.perform(operation, plan, YES))
    plan = await performer.prepare(operation)
    clock.now += PLAN_VALID - 0.1
    assert [told.kind async for told in performer.perform(operation, plan, YES)][-1] is EventKind.DONE


async def test_a_plan_is_good_for_one_act(performer: Performer) -> None:
    operation = Scripted()
    plan = await performer.prepare(operation)
    assert [told.kind async for told in performer.perform(operation, plan, YES)][-1] is EventKind.DONE
    with pytest.raises(Refused, match="carried out already"):
        await anext(performer.perform(operation, plan, YES))
    assert operation.began == 1


async def test_a_plan_made_elsewhere_is_refused(performer: Performer, make: Make) -> None:
    operation = Scripted()
    with pytest.raises(Refused, match="not made here"):
        await anext(performer.perform(operation, await operation.plan(), YES))
    with pytest.raises(Refused, match="not made here"):
        await anext(performer.perform(operation, await make(EVE).prepare(operation), YES))
    with pytest.raises(Refused, match="not for process-stop"):
        plan = await performer.prepare(operation)
        await anext(performer.perform(Scripted(name="process-stop"), plan, YES))


async def test_a_refused_confirmation_leaves_the_plan_valid(performer: Performer) -> None:
    operation = Scripted()
    plan = await performer.prepare(operation)
    with pytest.raises(Refused):
        await anext(performer.perform(operation, plan, Confirmation()))
    assert [told.kind async for told in performer.perform(operation, plan, YES)][-1] is EventKind.DONE


def hanging(started: asyncio.Event) -> Callable[[Scripted], AsyncGenerator[Event, None]]:
    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        yield STEP
        started.set()
        await asyncio.Event().wait()

    return script


async def test_two_acts_on_one_target_do_not_overlap(performer: Performer) -> None:
    started = asyncio.Event()
    first = Scripted(hanging(started))
    task = asyncio.create_task(act(performer, first))
    await started.wait()
    (acting,) = performer.acting
    assert (acting.operation, acting.target) == ("process-restart", "muva-staging on vps")
    second = Scripted(name="process-stop")
    with pytest.raises(Refused, match="is under way"):
        await act(performer, second)
    assert second.began == 0
    elsewhere = await act(performer, Scripted(target="another on vps"))
    assert elsewhere[-1].kind is EventKind.DONE
    other_environment = await act(performer, Scripted(environment="dev"))
    assert other_environment[-1].kind is EventKind.DONE
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await act(performer, second))[-1].kind is EventKind.DONE


async def test_another_console_acting_on_the_target_is_told(performer: Performer, make: Make) -> None:
    eve = make(EVE)
    operation = Scripted()
    before = await performer.prepare(operation)
    assert before.risks == ()
    started = asyncio.Event()
    task = asyncio.create_task(act(eve, Scripted(hanging(started), name="process-stop")))
    await started.wait()

    # begun after the plan was made: told when it begins
    told = [one async for one in performer.perform(operation, before, YES)]
    assert told[0].kind is EventKind.WARNING
    assert "another act is under way" in told[0].text
    assert "process-stop muva-staging on vps: begun" in told[0].text
    assert "by eve" in told[0].text

    # begun before: told in the plan, which is what a person confirms
    (risk,) = (await performer.prepare(operation)).risks
    assert "another act is under way" in risk
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await performer.prepare(operation)).risks == ()


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (LinkError(Fault.TIMEOUT, "no answer", where="vps", next="look at the host"), "look at the host"),
        (ValueError("unexpected \x1b[31m"), "defect: ValueError: unexpected"),
    ],
)
async def test_an_exception_is_a_failed_act(performer: Performer, raised: Exception, words: str) -> None:
    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        yield STEP
        raise raised

    events = await act(performer, Scripted(script))
    assert [told.kind for told in events] == [EventKind.STEP, EventKind.FAILED]
    assert words in events[-1].text
    assert "\x1b" not in events[-1].text
    assert await kinds(performer) == ["act-begun", "act-ended failed"]
    assert performer.acting == ()


@pytest.mark.parametrize("script", [[], [STEP], [event(EventKind.OUTPUT)]])
async def test_an_end_that_says_nothing_is_not_done(performer: Performer, script: list[Event]) -> None:
    events = await act(performer, Scripted(script))
    assert events[-1].kind is EventKind.FAILED
    assert "outcome is unknown" in events[-1].text
    assert await kinds(performer) == ["act-begun", "act-ended failed"]


@pytest.mark.parametrize("script", [[DONE, STEP], [FAILED, DONE], [DONE, DONE], [STEP, FAILED, FAILED]])
async def test_the_first_end_is_the_end(performer: Performer, script: list[Event]) -> None:
    operation = Scripted(script)
    events = await act(performer, operation)
    ends = [told.kind for told in events if told.kind in {EventKind.DONE, EventKind.FAILED}]
    assert ends == [next(told.kind for told in script if told.kind is not EventKind.STEP)]
    assert events[-1].kind is ends[0]
    assert operation.finished == 1


async def test_a_clean_up_that_fails_is_told(performer: Performer) -> None:
    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        try:
            yield DONE
        finally:
            raise RuntimeError("the lock could not be removed")

    events = await act(performer, Scripted(script))
    assert [told.kind for told in events] == [EventKind.WARNING, EventKind.DONE]
    assert "the lock could not be removed" in events[0].text


async def test_cancelling_is_recorded_as_abandoned(performer: Performer) -> None:
    started = asyncio.Event()
    operation = Scripted(hanging(started))
    task = asyncio.create_task(act(performer, operation))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # no waiting here: when the cancelled task is over, everything is written and tidied up
    assert await kinds(performer) == ["act-begun", "act-ended abandoned"]
    assert operation.finished == 1
    assert performer.acting == ()


async def test_cancelling_again_and_again_still_records_the_end(performer: Performer) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(act(performer, Scripted(hanging(started))))
    await started.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert await kinds(performer) == ["act-begun", "act-ended abandoned"]


async def test_cancelling_at_any_moment_leaves_no_open_act(performer: Performer) -> None:
    for turns in (*range(12), 20, 40, 80):
        task = asyncio.create_task(act(performer, Scripted([STEP, STEP, DONE])))
        for _ in range(turns):
            await asyncio.sleep(0.0005 if turns > 6 else 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert performer.acting == ()
    await performer.journal.note("after all that was posted")
    assert await performer.journal.open_acts() == []


async def test_abandoning_before_the_first_step_is_recorded(performer: Performer) -> None:
    operation = Scripted()
    under_way = Act(operation, await operation.plan(), performer.journal, performer.engineer, str)
    await under_way.begin()
    over: list[bool] = []
    under_way.start(lambda: over.append(True))
    task = under_way.abandon()  # in the same turn of the loop: the task has not run yet
    assert task is not None
    await task
    assert over == [True]
    assert operation.began == 0
    assert await kinds(performer) == ["act-begun", "act-ended abandoned"]


async def test_cancelling_while_the_end_is_written_does_not_lose_it(make: Make, tmp_path: Path) -> None:
    performer = make(busy_timeout=5.0)
    holders: list[sqlite3.Connection] = []

    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        holder = sqlite3.connect(tmp_path / "journal" / "journal.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        holders.append(holder)
        yield DONE

    operation = Scripted(script)
    task = asyncio.create_task(act(performer, operation))
    await until(lambda: operation.finished == 1)
    for _ in range(5):
        await asyncio.sleep(0.002)
        task.cancel()
    assert not task.done()
    holders[0].close()
    await asyncio.gather(task, return_exceptions=True)
    assert await kinds(performer) == ["act-begun", "act-ended done"]


async def test_leaving_the_events_abandons_the_act(performer: Performer) -> None:
    operation = Scripted(hanging(asyncio.Event()))
    plan = await performer.prepare(operation)
    async with aclosing(performer.perform(operation, plan, YES)) as events:
        async for _ in events:
            break
    assert await kinds(performer) == ["act-begun", "act-ended abandoned"]
    assert operation.finished == 1


async def test_closing_the_performer_abandons_what_is_under_way(performer: Performer) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(act(performer, Scripted(hanging(started))))
    await started.wait()
    await performer.close()
    assert await kinds(performer) == ["act-begun", "act-ended abandoned"]
    events = await task
    assert [told.kind for told in events] == [EventKind.STEP, EventKind.FAILED]
    assert "abandoned" in events[-1].text


async def test_what_operations_tell_is_redacted_and_harmless(performer: Performer, tmp_path: Path) -> None:
    script = [
        event(EventKind.OUTPUT, f"postgres://u:{SECRET}@db \x1b]52;c;ZXZpbA==\x07"),
        event(EventKind.OUTPUT, "x" * 10_000_000),
        event(EventKind.WARNING, SECRET),
        event(EventKind.VERIFIED, SECRET),
        event(EventKind.DONE, f"{SECRET[:5]}\x00{SECRET[5:]} {SECRET}"),
    ]
    operation = Scripted(
        script,
        undo=SECRET,
        risks=(SECRET,),
    )
    events = await act(performer, operation)
    shown = "".join(told.text for told in events)
    assert SECRET not in shown
    assert "\x1b" not in shown
    assert "\x00" not in shown
    assert len(shown) < 40_000
    files = b"".join(path.read_bytes() for path in (tmp_path / "journal").rglob("*") if path.is_file())
    assert SECRET.encode() not in files


async def test_a_flood_of_output_waits_for_the_viewer(performer: Performer) -> None:
    made = 0

    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        nonlocal made
        for _number in range(5000):
            made += 1
            yield event(EventKind.OUTPUT, f"line {made}")
        yield DONE

    operation = Scripted(script)
    plan = await performer.prepare(operation)
    async with aclosing(performer.perform(operation, plan, YES)) as events:
        await anext(events)
        await until(lambda: made >= 1000)
        for _ in range(50):
            await asyncio.sleep(0)
        assert made <= 1100
        texts = [told.text async for told in events]
    assert texts == [f"line {number}" for number in range(2, 5001)] + ["told"]
    (ended,) = await performer.journal.read(Filter(kinds=(Kind.ACT_ENDED,)))
    assert ended.data["events"]["output"] == 5000
    assert ended.data["last_output"] == [f"line {number}" for number in range(4981, 5001)]


async def test_production_does_not_start_unrecorded(make: Make, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")
    performer = make()
    operation = Scripted(production=True, environment="production")
    plan = await performer.prepare(operation)
    assert "it will be refused" in plan.risks[0]  # before anybody types a name
    with pytest.raises(Refused, match="the journal cannot record it") as caught:
        await anext(performer.perform(operation, plan, Confirmation(typed="production")))
    assert "does not start unrecorded" in caught.value.means
    assert caught.value.next
    assert operation.began == 0
    assert performer.acting == ()


async def test_elsewhere_it_starts_with_a_loud_warning(make: Make, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")
    performer = make()
    operation = Scripted()
    plan = await performer.prepare(operation)
    assert "it would go unrecorded" in plan.risks[0]
    events = [told async for told in performer.perform(operation, plan, YES)]
    assert [told.kind for told in events] == [
        EventKind.WARNING, EventKind.STEP, EventKind.WARNING, EventKind.DONE,
    ]  # fmt: skip
    assert "not being recorded" in events[0].text
    assert "recorded nowhere" in events[2].text
    assert "done" in events[2].text


async def test_an_end_that_cannot_be_written_is_kept_and_told(make: Make, tmp_path: Path) -> None:
    performer = make(busy_timeout=0.05)
    holders: list[sqlite3.Connection] = []

    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        holder = sqlite3.connect(tmp_path / "journal" / "journal.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        holders.append(holder)
        yield DONE

    operation = Scripted(script, production=True, environment="production")
    events = await act(performer, operation, Confirmation(typed="production"))
    assert [told.kind for told in events] == [EventKind.WARNING, EventKind.DONE]
    assert "waits beside it" in events[0].text
    holders[0].close()
    await performer.journal.note("unlocked")
    assert await kinds(performer) == ["act-begun", "act-ended done", "note"]


async def test_an_operation_that_cannot_be_planned(performer: Performer) -> None:
    class Broken(Scripted):
        async def plan(self):  # type: ignore[no-untyped-def]
            raise LinkError(Fault.REFUSED, "nobody listens", where="vps")

    with pytest.raises(LinkError):
        await performer.prepare(Broken())

    class Mistaken(Scripted):
        def __init__(self) -> None:
            super().__init__()
            self.name = "another"

    with pytest.raises(OpsError, match="defect"):
        await performer.prepare(Mistaken())


async def test_a_plan_is_told_apart_from_one_that_differs(performer: Performer) -> None:
    operation = Scripted()
    plan = await performer.prepare(operation)
    from msgspec.structs import replace

    forged = replace(plan, commands=(PlannedCommand(where="vps", line="rm -rf /"),))
    with pytest.raises(Refused, match="not made here"):
        await anext(performer.perform(operation, forged, YES))
