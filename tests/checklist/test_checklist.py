"""Walking on a screen, for real: what a held key does not do, two people, a death, another commit, an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.ops.readings import Verdict
from muva_console.ops.runbooks.run import Word
from muva_console.ops.runbooks.standing import RunView, State
from muva_console.ops.walking.runs import list_runs
from muva_console.ops.walking.walk import Walk
from muva_console.ops.workspace import Workspace
from muva_console.screens.answering import Asking, Saying
from muva_console.screens.checklist import Checklist
from muva_console.screens.checklist_walk import WalkPane
from muva_console.screens.reader import Reader
from muva_console.widgets.dialog import DEAF_FOR
from tests.checklist.conftest import Open
from tests.patience import HANG
from tests.screens.show_text import text_of
from tests.walking.conftest import Flow

SIZE = (100, 32)


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    ends = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < ends, f"never: {what}\n{text_of(pilot.app)}"
        await pilot.pause(0.05)


def screen(app: MuvaApp) -> Checklist:
    return cast(Checklist, app.mode_screen)


def view_of(app: MuvaApp) -> RunView | None:
    hand = screen(app).hand if app.current_mode == "checklist" else None
    return hand.view if hand is not None else None


def state_of(app: MuvaApp, item: str) -> State | None:
    view = view_of(app)
    found = view.item(item) if view is not None else None
    return found.state if found is not None else None


async def listed(app: MuvaApp, pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: app.current_mode == "overview", "the overview")
    await pilot.press("2")
    await until(pilot, lambda: app.current_mode == "checklist" and screen(app).is_mounted, "the mode")
    await until(pilot, lambda: screen(app).begin_pane.known is not None, "the list")


async def begun(app: MuvaApp, pilot: Pilot[Any]) -> None:
    """Begin the quick runbook and wait until all is sensed."""
    await listed(app, pilot)
    screen(app).begin_pane.choices.choose("book quick")
    await pilot.press("enter")
    await sensed(app, pilot)


async def sensed(app: MuvaApp, pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: state_of(app, "built") is State.SENSED, "the build")
    await until(pilot, lambda: state_of(app, "broken") is State.SENSED, "the tests")
    await pilot.pause()


async def heard(app: MuvaApp, pilot: Pilot[Any], dialog: type[Any]) -> Any:
    """Until the question takes keys."""
    await until(pilot, lambda: isinstance(app.screen, dialog) and app.screen.is_mounted, dialog.__name__)
    await until(pilot, lambda: not cast(Any, app.screen).deaf, "it listens")
    return app.screen


async def test_a_run_from_its_beginning_to_its_end_by_keys(
    console: Open, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await begun(app, pilot)
        pane = screen(app).walk_pane
        pane.items.choose("broken")
        await until(pilot, lambda: "1 of 3 failed" in text_of(app), "the evidence of the red item")
        await until(pilot, lambda: "◀ next" in text_of(app), "what is next")
        shown = text_of(app)
        assert "✖ NO-GO" in shown
        assert "✖ fail" in shown
        assert "1 ok · 1 fail · 2 yours" in shown
        pane.items.choose("team")

        # what is asked is answered by going to the answer; a key held down gives none
        monkeypatch.setattr(Saying, "DEAF", 60.0)  # a loaded machine types slowly
        await pilot.press(*["enter"] * 20)
        assert isinstance(app.screen, Saying)
        monkeypatch.setattr(Saying, "DEAF", DEAF_FOR)
        await heard(app, pilot, Saying)
        await pilot.press(*"told", "enter")
        monkeypatch.setattr(Saying, "DEAF", 60.0)
        await pilot.press(*["enter"] * 20)
        assert app.screen.focused is not None
        assert app.screen.focused.id == "say-yes", "enter leads to the answer"
        assert state_of(app, "team") is State.YOURS
        monkeypatch.setattr(Saying, "DEAF", DEAF_FOR)
        await heard(app, pilot, Saying)
        await pilot.press("enter")
        await until(pilot, lambda: state_of(app, "team") is State.ANSWERED, "the answer")
        assert pane.items.chosen == "team", "the cursor stays on its item"

        # a red item is overridden with a reason only, and the reason stays beside the verdict
        await pilot.press("tab", "tab")
        assert pane.items.chosen == "broken", "tab goes to what is open, round and round"
        await pilot.press("a")
        assert len(app.screen_stack) == 1, "what a machine can tell is not ticked"
        await pilot.press("o")
        await heard(app, pilot, Saying)
        await pilot.press("enter")
        await heard(app, pilot, Saying)
        await pilot.press("enter")
        await until(pilot, lambda: "needs a reason" in text_of(app), "the refusal")
        await heard(app, pilot, Saying)
        await pilot.press(*"flaky", "enter")
        await heard(app, pilot, Saying)
        await pilot.press("enter")
        await until(pilot, lambda: "▲ overridden  Tests: flaky" in text_of(app), "the reason in sight")

        await pilot.press("tab", "a")
        await heard(app, pilot, Saying)
        await pilot.press(*"eve", "enter")
        await heard(app, pilot, Saying)
        await pilot.press("enter")
        await until(pilot, lambda: "● GO" in text_of(app), "GO")

        # w writes it down; E asks, and only an answer ends it
        await pilot.press("w")
        await until(pilot, lambda: len(list((flow.folder / "state").rglob("quick-*"))) == 2, "the files")
        document = next((flow.folder / "state").rglob("quick-*.md")).read_text()
        assert "overridden: flaky" in document
        await pilot.press("E")
        await heard(app, pilot, Asking)
        await pilot.press("enter")
        await pilot.pause()
        assert not pane.ended, "the answer at hand is Cancel"
        await pilot.press("E")
        await heard(app, pilot, Asking)
        await pilot.press("right", "enter")
        await until(pilot, lambda: pane.ended, "the end")
        run = cast(RunView, view_of(app)).run
        assert run.outcome == Verdict.GO
        await pilot.press("o")
        await pilot.pause()
        assert len(app.screen_stack) == 1, "nothing is said of a run that ended"


async def test_two_people_see_each_other_and_one_item_is_answered_once(console: Open, flow: Flow) -> None:
    app = console()
    other = Workspace(load(flow.config))
    async with app.run_test(size=SIZE) as pilot:
        await begun(app, pilot)
        view = view_of(app)
        assert view is not None
        screen(app).walk_pane.items.choose("there")
        await pilot.press("a")
        await heard(app, pilot, Saying)
        walk = await Walk.resume(other, view.run.id)
        try:
            await walk.answer("there", Word.YES, note="eve until six")
            wrote = time.monotonic()
            await until(pilot, lambda: state_of(app, "there") is State.ANSWERED, "the other's answer")
            assert time.monotonic() - wrote < 2.0
            await pilot.press(*"dana", "enter")
            await heard(app, pilot, Saying)
            await pilot.press("enter")
            await until(pilot, lambda: app._notifications, "the refusal")
            told = "\n".join(f"{each.title}: {each.message}" for each in app._notifications)
            assert "Somebody was first" in told
            assert "eve until six" in told
            await until(pilot, lambda: not isinstance(app.screen, Saying), "the list")
            assert "eve until six" in text_of(app)
        finally:
            await walk.close()
            await other.close()


async def test_a_killed_console_is_gone_on_from_and_a_new_commit_takes_the_word_back(
    console: Open, flow: Flow
) -> None:
    before = Workspace(load(flow.config))
    walk = await Walk.begin(before, next(one for one in before.runbooks if one.id == "quick"), "production")
    walk.start()
    await walk.known()
    await walk.sensed()
    await walk.answer("team", Word.YES, note="all of them")
    walk = None  # type: ignore[assignment]  # nobody closes it: what is written is what there is

    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await listed(app, pilot)
        assert "Open runs" in text_of(app)
        assert "2 of 4 are well" in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: state_of(app, "team") is State.ANSWERED, "the run as it was left")
        pane = screen(app).walk_pane
        await until(pilot, lambda: pane.items.chosen == "broken", "at what is next")

        await until(pilot, lambda: cast(RunView, view_of(app)).basis, "which commit goes out")
        rows = [row.key for row in pane.items.rows]
        pane.items.choose("there")
        flow.commit("more.txt", "x\n", "feat: still more")
        flow.push("staging")
        await asyncio.sleep(2.1)  # a fetch is not repeated within two seconds
        await pilot.press("r")
        await until(pilot, lambda: state_of(app, "team") is State.EXPIRED, "the expiry")
        await until(pilot, lambda: "⌛ expired" in text_of(app), "in sight")
        assert "another commit is going out" in text_of(app)
        assert [row.key for row in pane.items.rows] == rows
        assert pane.items.chosen == "there"

        # elsewhere and back: the run is still in hand; back to the list: it is offered before another one
        await pilot.press("9")
        await until(pilot, lambda: app.current_mode == "journal", "the journal")
        await pilot.press("2")
        await until(pilot, lambda: state_of(app, "team") is State.EXPIRED, "the run in hand")
        await pilot.press("escape")
        await until(pilot, lambda: not screen(app).walking, "the list")
        screen(app).begin_pane.choices.choose("book quick")
        await pilot.press("enter")
        await heard(app, pilot, Asking)
        await pilot.press("enter")
        await until(pilot, lambda: screen(app).walking, "the run that was open")
        assert len(await app.ask_ops(lambda: list_runs(app.workspace))) == 1

        pane.items.choose("built")
        await pilot.press("enter")
        await until(pilot, lambda: state_of(app, "built") is State.SENSED, "sensed again")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Reader), "all that is known of it")
    await before.close()


async def test_a_walk_may_be_told_of_before_its_pane_is_made() -> None:
    pane = WalkPane(id="walk")
    pane.laid_out(narrow=True)
    pane.take(None)
    assert not pane.composed
