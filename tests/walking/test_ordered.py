"""An ordered runbook: what has not happened yet, what waits on what, and what is sensed when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops import checks
from muva_console.ops.checks import CheckContext, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Finding, Level, Verdict
from muva_console.ops.runbooks.export import as_data, as_markdown
from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import Answer, Item, Run, Sensed, Word
from muva_console.ops.runbooks.saying import may_say
from muva_console.ops.runbooks.standing import RunView, State, ready, stand
from muva_console.ops.walking.once import sense_once
from muva_console.ops.walking.walk import Walk
from muva_console.screens.checklist_text import Enter, enter_does, item_mark, sayable, told
from tests.walking.conftest import Flow, Open
from tests.walking.test_walk import until

NOW = datetime(2026, 11, 26, 3, 12, tzinfo=UTC)
STEPS = (
    Step(id="out", title="Going out", section="before", check="a"),
    Step(id="verdict", title="Verdict", section="before", check="b"),
    Step(id="merged", title="Merge", section="merge", check="c", operation="deploy-merge"),
    Step(id="run", title="Run", section="watch", check="d", again=5.0),
    Step(id="served", title="Served", section="verify", check="e"),
    Step(id="stable", title="Stable", section="verify", check="f"),
    Step(id="seen", title="Seen", section="verify", attest="Have you seen it?"),
    Step(id="record", title="Record", section="after", check="g", operation="deploy-record"),
    Step(id="tell", title="Tell", section="after", operation="notify"),
)
SENSED = [step.id for step in STEPS if step.sensed]
OK, PENDING, FAIL, WARN, UNKNOWN = "ok", "pending", "fail", "warn", "unknown"


def finding(word: str) -> Finding:
    level = Level.UNKNOWN if word == PENDING else Level(word)
    return Finding(check="x", level=level, summary=word, at=NOW, pending=word == PENDING,
                   expires=NOW + timedelta(minutes=2))  # fmt: skip


def view(found: dict[str, str], *, after: float = 0.0, over: tuple[str, ...] = ()) -> RunView:
    """How a run stands of which these items were found so; `over` were overridden."""
    items = []
    for step in STEPS:
        word = found.get(step.id)
        sensed = Sensed(findings=(finding(word),), by="dana", at=NOW) if word else None
        answer = None
        if step.id in over:
            answer = Answer(word=Word.OVERRIDDEN, by="dana", at=NOW, note="known", over_red=True)
        items.append(Item(step=step, sensed=sensed, answer=answer))
    book = Runbook(id="d", title="D", steps=STEPS, ordered=True)
    run = Run(id="r1", runbook=book, environment="staging", begun_by="dana", begun_at=NOW, items=tuple(items))
    return stand(run, NOW + timedelta(seconds=after))


def states(of: RunView) -> dict[str, State]:
    return {item.id: item.state for item in of.items}


def test_nothing_is_asked_before_its_turn() -> None:
    first = view({})
    assert ready(first) == ("out", "verdict"), "side by side within a section"
    assert states(first)["merged"] is State.WAITING
    assert ready(view({"out": OK})) == ("verdict",)
    before = view({"out": OK, "verdict": OK})
    assert (ready(before), before.next) == (("merged",), "merged")
    assert ready(view({"out": OK, "verdict": OK, "merged": OK, "run": OK})) == ("served", "stable")


def test_what_has_not_happened_is_neither_well_nor_wrong_and_is_yours() -> None:
    of = view({"out": OK, "verdict": WARN, "merged": PENDING})
    merge = of.item("merged")
    assert merge is not None
    assert (merge.state, merge.level, merge.actable) == (State.PENDING, Level.UNKNOWN, True)
    assert (of.verdict, of.next, of.yours) == (Verdict.CANNOT_TELL, "merged", 2)
    assert ready(of) == (), "the run is not asked for before there is one"
    assert enter_does(merge, ended=False) is Enter.PERFORM
    assert enter_does(merge, ended=True) is Enter.SEE
    assert item_mark(merge).plain == "◌ yours"
    assert told(merge).endswith(": enter to do it")
    assert Word.YES not in sayable(merge, ended=False)
    with pytest.raises(OpsError, match="has not happened yet"):
        may_say(view_of_attested(), view_of_attested().run.items[0], Word.YES)
    assert "**Merge** not yet: pending" in as_markdown(of)
    told_of = {item["item"]: item for item in as_data(of)["items"]}
    assert told_of["merged"]["actable"]
    assert told_of["run"]["waits_on"] == "Merge"


def view_of_attested() -> RunView:
    step = Step(id="m", title="M", check="c", operation="deploy-merge", attest="Is it merged?")
    item = Item(step=step, sensed=Sensed(findings=(finding(PENDING),), by="dana", at=NOW))
    run = Run(id="r", runbook=Runbook(id="d", title="D", steps=(step,)), environment="s", begun_by="dana",
              begun_at=NOW, items=(item,))  # fmt: skip
    return stand(run, NOW)


def test_a_red_item_holds_every_act_below_until_it_is_passed_over_with_a_reason() -> None:
    found = {"out": OK, "verdict": FAIL, "merged": PENDING}
    held = view(found).item("merged")
    assert held is not None
    assert (held.state, held.actable, held.summary) == (State.WAITING, False, "waits on Verdict")
    assert enter_does(held, ended=False) is Enter.SEE
    passed = view(found, over=("verdict",)).item("merged")
    assert passed is not None
    assert passed.actable


def test_a_message_waits_too_and_a_question_holds_nothing_up() -> None:
    every = dict.fromkeys(SENSED, OK)
    assert [item.id for item in view(every).items if item.actable] == ["tell"]
    assert [item.id for item in view({**every, "record": PENDING}).items if item.actable] == ["record"]
    assert states(view({**every, "record": PENDING}))["tell"] is State.WAITING
    assert states(view({}))["seen"] is State.YOURS


def test_what_has_expired_is_asked_again_in_its_turn() -> None:
    of = view({"out": OK, "verdict": OK, "merged": OK, "run": FAIL}, after=121)
    assert ready(of) == ("out", "verdict")
    assert states(of)["run"] is State.WAITING


@given(st.dictionaries(st.sampled_from(SENSED), st.sampled_from([OK, PENDING, FAIL, WARN, UNKNOWN])))
def test_no_act_is_offered_below_what_is_not_well(found: dict[str, str]) -> None:
    of = view(found)
    well = True
    for item in of.items:
        if item.actable:
            assert well, item.id
        if item.state is State.WAITING:
            assert not well, item.id
        if item.step.sensed and found.get(item.id) not in (OK, WARN):
            well = False
    assert of.verdict is not Verdict.GO
    for name in ready(of):
        assert name not in found
        above = [step.id for step in STEPS[: [step.id for step in STEPS].index(name)] if step.sensed]
        acts = [one for one in above if next(step for step in STEPS if step.id == one).operation]
        assert all(found.get(one) in (OK, WARN) for one in acts)


# --- a walk


@pytest.fixture
async def world() -> AsyncIterator[dict[str, str]]:
    """What the checks ``w-*`` find, by name; and how often each was asked, by ``name asked``."""
    found: dict[str, str] = {}

    async def look(ctx: CheckContext) -> Finding:
        name = str(ctx.parameters["name"])
        found[f"{name} asked"] = str(int(found.get(f"{name} asked", "0")) + 1)
        found[f"{name} version"] = str(ctx.parameters.get("version", ""))
        found[f"{name} head"] = (await ctx.outgoing()).head
        one = finding(found.get(name, OK))
        return tell(one.level, one.summary, pending=one.pending)

    checks.check("w-look", title="Look")(look)
    yield found
    checks._checks.pop("w-look")


def step(id: str, **more: object) -> Step:
    return Step(id=id, title=id, section=id, check="w-look", parameters={"name": id}, **more)  # type: ignore[arg-type]


ACTS = Runbook(
    id="acts",
    title="Acts",
    ordered=True,
    steps=(step("first"), step("second", operation="deploy-merge", again=0.2), step("third")),
)


async def test_a_walk_goes_on_by_itself_and_sees_what_others_do(
    console: Open, flow: Flow, world: dict[str, str]
) -> None:
    world["second"] = PENDING
    walk = await Walk.begin(console(), ACTS, "production", given={"version": "v1.2.0"})
    going_out = flow._git("rev-parse", "HEAD")
    walk.start()
    try:
        await until(walk, lambda view: states(view)["second"] is State.PENDING)
        assert "third asked" not in world
        with pytest.raises(OpsError, match="waits on “second”"):
            await walk.operation("third")
        flow.commit("later.txt", "x", "feat: after it began")
        flow.push("staging")
        entries = walk.run.last
        asked = int(world["second asked"])
        await until(walk, lambda view: int(world["second asked"]) >= asked + 3)
        assert walk.run.last <= entries + 1, "what stays as it was is not written down again and again"
        world["second"] = OK  # somebody else did it
        view_ = await until(walk, lambda view: states(view)["third"] is State.SENSED)
        assert view_.verdict is Verdict.GO
        assert world["third head"] == going_out, "the run is for the commit that went out when it began"
        assert world["third version"] == "v1.2.0"
        asked = int(world["second asked"])
        await asyncio.sleep(0)
        walk.acted("second")
        await until(walk, lambda view: int(world["second asked"]) == asked + 1)
    finally:
        await walk.close()
    again = await Walk.resume(console(), walk.run.id)
    try:
        again.start()
        await until(again, lambda view: view.verdict is Verdict.GO)
        assert again.run.about["commit"] == going_out
    finally:
        await again.close()


async def test_once_asks_as_far_as_it_goes(console: Open, world: dict[str, str]) -> None:
    world["second"] = PENDING
    view_ = await sense_once(console(), ACTS, "production")
    assert list(states(view_).values()) == [State.SENSED, State.PENDING, State.WAITING]
    assert "third asked" not in world


async def test_what_a_round_sees_to_have_moved_is_looked_at_at_once(
    console: Open, flow: Flow, world: dict[str, str]
) -> None:
    """An item that hangs on what is served does not wait half a minute to be believed after a deployment."""
    workspace = console()

    async def moves(ctx: CheckContext) -> Finding:
        await walk.known()
        flow.push("main")
        workspace.workshop.expire()
        return tell(Level.OK, (await ctx.outgoing()).base)

    checks.check("w-moves", title="Moves")(moves)
    book = Runbook(
        id="moves",
        title="Moves",
        ordered=True,
        steps=(Step(id="moved", title="moved", check="w-moves", depends=(Basis.TARGET,)),),
    )
    walk = await Walk.begin(workspace, book, "production", basis_every=1000.0)
    walk.start()
    try:
        await until(walk, lambda view: states(view)["moved"] is State.SENSED)
    finally:
        await walk.close()
        checks._checks.pop("w-moves")
