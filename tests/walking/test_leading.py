"""A deployment that leads itself: what it does next, what it waits for, where it stops."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys import acts
from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Event, EventKind, Operation, Plan, Tier
from muva_console.ops.readings import Exit, Verdict, utc_now
from muva_console.ops.runbooks.model import Runbook, Step
from muva_console.ops.runbooks.standing import ItemView, State
from muva_console.ops.walking.lead_act import Lead
from muva_console.ops.walking.leading import Leader, open_run, under_way
from muva_console.ops.walking.moves import Turn, next_move
from muva_console.ops.walking.walk import Walk
from tests.walking.conftest import Flow, Open
from tests.walking.test_ordered import FAIL, OK, PENDING, SENSED, UNKNOWN, WARN, step, view, world

__all__ = ["world"]

BOOK = Runbook(
    id="deploy-production",
    title="Deploy",
    environments=("production",),
    ordered=True,
    steps=(
        step("look"),
        step("merge", operation="test-act", again=0.1),
        step("approve", operation="test-act", again=0.1, who="Reviewer"),
        step("run", again=0.1),
        Step(id="tell", title="tell", operation="test-tell", attest="Told?"),
        Step(id="seen", title="seen", attest="Seen?"),
    ),
)


class Act:
    """Makes true what its step's check looks at; or fails, as the world says."""

    name = "test-act"

    def __init__(self, ctx: CheckContext) -> None:
        self.step = str(ctx.parameters["name"])
        self.world: dict[str, str] = WORLD

    async def plan(self) -> Plan:
        if self.world.get("refuses") == self.step:
            raise OpsError("the branch is protected", next="ask an administrator")
        return Plan(operation=self.name, title=self.step, environment="production", target=self.step,
                    tier=Tier.CONFIRM, commands=(), production=True)  # fmt: skip

    async def perform(self, plan: Plan) -> AsyncIterator[Event]:
        if self.world.get("breaks") == self.step:
            yield Event(kind=EventKind.FAILED, text="it broke", at=utc_now())
            return
        self.world[f"{self.step} done"] = str(int(self.world.get(f"{self.step} done", "0")) + 1)
        self.world[self.step] = OK
        yield Event(kind=EventKind.DONE, text=f"{self.step} is done", at=utc_now())


WORLD: dict[str, str] = {}


def no_webhook(ctx: CheckContext) -> Operation:
    raise OpsError("no webhook is configured")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, world: dict[str, str]) -> dict[str, str]:
    global WORLD
    WORLD = world
    monkeypatch.setitem(acts.ACTS, "test-act", f"{__name__}:Act")
    monkeypatch.setitem(acts.ACTS, "test-tell", f"{__name__}:no_webhook")
    return world


class Face:
    """Confirms everything, and remembers."""

    def __init__(self, walk: Walk, on_wait: Callable[[ItemView], None] = lambda item: None) -> None:
        self.walk, self.on_wait = walk, on_wait
        self.told: list[str] = []

    async def act(self, item: ItemView, operation: Operation) -> str | None:
        plan = await operation.plan()
        async for event in operation.perform(plan):
            if event.kind is EventKind.DONE:
                return event.text
        return None

    def settled(self, item: ItemView) -> None:
        self.told.append(f"{item.id} {item.state.value} {item.level.value}")

    async def waits(self, item: ItemView, walk: Walk) -> None:
        self.told.append(f"waits {item.id}")
        self.on_wait(item)


async def led(console: Open, world: dict[str, str], **more: Any) -> tuple[Any, Face]:
    walk = await Walk.begin(console(), BOOK, "production")
    face = Face(walk, more.pop("on_wait", lambda item: None))
    return await Leader(walk, face, **more).lead(), face


async def test_it_does_each_act_in_its_turn_and_leaves_the_reviewers_to_another(
    console: Open, world: dict[str, str]
) -> None:
    world |= {"merge": PENDING, "approve": PENDING, "run": UNKNOWN}

    def somebody(item: ItemView) -> None:
        world[item.id] = OK

    ending, face = await led(console, world, on_wait=somebody)
    assert (ending.status, ending.item) == (Exit.OK, None)
    assert (world["merge done"], "approve done" in world) == ("1", False)
    assert [line for line in face.told if line.startswith("waits")] == ["waits approve", "waits run"]
    assert [item.id for item in ending.view.items if item.open] == ["tell", "seen"], "left to a person"
    assert ending.view.verdict is Verdict.CANNOT_TELL
    again, _ = await led(console, world)
    assert again.status == Exit.OK
    assert world["merge done"] == "1", "nothing is done twice"


async def test_it_stops_at_the_first_thing_that_is_wrong(console: Open, world: dict[str, str]) -> None:
    world |= {"merge": PENDING, "look": FAIL}
    ending, _ = await led(console, world)
    assert (ending.status, ending.item.id) == (Exit.BAD, "look")
    assert "merge asked" not in world
    passed, _ = await led(console, world, overrides={"look": "known"}, approve=True)
    assert passed.status == Exit.OK
    assert [item.id for item in passed.view.overridden] == ["look"]
    world |= {"merge": PENDING, "look": OK, "refuses": "merge"}
    refused, _ = await led(console, world)
    assert (refused.status, refused.why, refused.next) == (
        Exit.BAD,
        "the branch is protected",
        "ask an administrator",
    )
    world |= {"refuses": "", "breaks": "merge"}
    broken, _ = await led(console, world)
    assert (broken.status, broken.item.id) == (Exit.BAD, "merge")
    world |= {"merge": OK, "run": FAIL}
    failed, _ = await led(console, world)
    assert (failed.status, failed.item.id) == (Exit.BAD, "run")


async def test_what_was_wrong_before_is_looked_at_again_before_it_stops_there(
    console: Open, world: dict[str, str]
) -> None:
    world |= {"run": FAIL}
    walk = await Walk.begin(console(), BOOK, "production")
    first = await Leader(walk, Face(walk)).lead()
    assert (first.status, first.item and first.item.id) == (Exit.BAD, "run")
    still = await Walk.resume(console(), walk.run.id)
    second = await Leader(still, Face(still)).lead()
    assert (second.status, second.item and second.item.id) == (Exit.BAD, "run")
    world |= {"run": OK}
    mended = await Walk.resume(console(), walk.run.id)
    third = await Leader(mended, Face(mended)).lead()
    assert third.status == Exit.OK


async def test_a_message_that_was_sent_already_is_answered_so(
    console: Open, world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(ctx: CheckContext) -> Operation:
        raise AlreadyError("the team was told at 12:00Z, by eve")

    monkeypatch.setattr(sys.modules[__name__], "no_webhook", told)
    ending, _ = await led(console, world)
    assert ending.status == Exit.OK
    assert [item.id for item in ending.view.items if item.open] == ["seen"]


async def test_it_does_not_wait_for_ever_nor_for_what_nobody_will_do(
    console: Open, world: dict[str, str]
) -> None:
    world |= {"run": UNKNOWN}
    ending, _ = await led(console, world, patience=0.2)
    assert (ending.status, ending.item.id) == (Exit.CANNOT_TELL, "run")
    world |= {"look": PENDING}  # a checklist that is to be walked
    walked, _ = await led(console, world)
    assert (walked.status, walked.item.id) == (Exit.CANNOT_TELL, "look")


async def test_the_whole_is_an_act_of_its_own_for_a_job(console: Open, world: dict[str, str]) -> None:
    world |= {"merge": PENDING}
    workspace = console()
    walk = await Walk.begin(workspace, BOOK, "production")
    lead = Lead(workspace, "production", walk.run.id, approve=True)
    assert lead.arguments() == {"run": walk.run.id, "approve": True}
    plan = await workspace.performer.prepare(lead)
    assert (plan.tier, [command.why for command in plan.commands]) == (
        Tier.TYPE_NAME,
        ["merge", "approve", "tell"],
    )
    assert await Lead(workspace, "production", walk.run.id, approve=True).plan() == await lead.plan()
    events = [event async for event in lead.perform(plan)]
    assert events[-1].kind is EventKind.DONE
    assert world["merge done"] == "1"
    assert "for a person: tell, seen" in events[-1].text


async def test_an_open_run_is_gone_on_with_where_it_is_for_this_commit_or_under_way(
    console: Open, flow: Flow, world: dict[str, str]
) -> None:
    world |= {"merge": PENDING, "look": FAIL}
    workspace = console()
    first = await Walk.begin(workspace, BOOK, "production")
    assert await open_run(workspace, "production", BOOK) == first.run
    flow.commit("more.txt", "x", "feat: more")
    flow.push("staging")
    fresh = console()
    assert await open_run(fresh, "production", BOOK) is None, "it is for another commit, and did nothing"
    world |= {"look": OK, "run": UNKNOWN, "approve": OK}
    second = await Walk.begin(fresh, BOOK, "production")
    await Leader(second, Face(second), patience=0.1).lead()
    flow.commit("yet.txt", "x", "feat: yet more")
    flow.push("staging")
    found = await open_run(console(), "production", BOOK)
    assert found is not None
    assert found.id == second.run.id, "it merged: it is seen to its end"
    assert under_way(found)
    assert await open_run(console(), "production", BOOK, "v2.0.0") is None


@given(st.dictionaries(st.sampled_from(SENSED), st.sampled_from([OK, PENDING, FAIL, WARN, UNKNOWN])))
def test_the_next_turn_is_the_first_item_that_is_not_well(found: dict[str, str]) -> None:
    of = view(found)
    move = next_move(of)
    opened = [item for item in of.items if item.open and (item.step.sensed or item.step.operation)]
    if not opened:
        assert move.turn is Turn.DONE
        return
    assert move.item == opened[0]
    match move.turn:
        case Turn.ACT:
            assert move.item.actable
        case Turn.STOP:
            assert move.item.state in (State.SENSED, State.PENDING)
        case Turn.WAIT:
            assert move.item.step.again
        case Turn.LOOK:
            assert found.get(move.item.id) is None
