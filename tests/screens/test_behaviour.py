"""What the screens do: who is asked, what is refused, what stays in place; and that nothing ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.ops.operations import Plan, PlannedCommand, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.process_operations import Action
from muva_console.screens.acting import PlanDialog
from muva_console.screens.health import Health
from muva_console.screens.overview import Overview
from muva_console.screens.processes import Processes
from muva_console.screens.trust import TrustDialog
from muva_console.widgets.bars import KeyBar
from muva_console.widgets.table import Table
from tests.patience import HANG
from tests.screens import estate as e
from tests.screens.test_pictures import PLAN, calm, out_of_reach, stale, trouble

CONFIRM = Plan(
    operation="process-start",
    title="Start muva-staging",
    environment="staging",
    target="muva-staging on vps",
    tier=Tier.CONFIRM,
    commands=(PlannedCommand("vps", "pm2 start muva-staging"),),
)


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + HANG
    while True:
        await pilot.pause()
        if condition():
            return
        assert time.monotonic() < deadline, f"never: {what or condition}"
        await asyncio.sleep(0.01)


async def opened(app: MuvaApp, pilot: Pilot[Any]) -> None:
    """Until the Overview has taken the place of the frame that was painted first."""
    await until(pilot, lambda: isinstance(app.mode_screen, Overview) and app.mode_screen.is_mounted)
    await pilot.pause()


def screen_of(app: MuvaApp) -> Any:
    return app.mode_screen


async def in_mode(app: MuvaApp, pilot: Pilot[Any], name: str) -> Any:
    await until(pilot, lambda: app.current_mode == "overview", "the overview")
    app.action_mode(name)
    await until(pilot, lambda: app.current_mode == name and screen_of(app).is_mounted)
    await pilot.pause()
    return app.mode_screen


def toasts(app: MuvaApp) -> str:
    return "\n".join(f"{each.title}: {each.message}" for each in app._notifications)


# ------------------------------------------------------------------ questions


def asked() -> tuple[MuvaApp, list[Any]]:
    """A console, and where the answer goes."""
    return calm().app(), []


async def test_a_question_takes_no_key_at_first_and_repeated_enter_never_confirms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert PlanDialog.DEAF > 0
    monkeypatch.setattr(PlanDialog, "DEAF", 60.0)  # a loaded machine types slowly
    app, answers = asked()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await app.push_screen(PlanDialog(CONFIRM, read_only=False), answers.append)
        await pilot.press("right", "enter", "enter", "tab", "enter")
        assert isinstance(app.screen, PlanDialog), "keys typed ahead were taken"
        assert app.screen.focused is not None
        assert app.screen.focused.id == "cancel"
        monkeypatch.setattr(PlanDialog, "DEAF", 0.0)
        await pilot.press(*["enter"] * 20)
        assert answers == [None]


@pytest.fixture
def hearing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that take keys at once, where what they take is not what is tested."""
    monkeypatch.setattr(PlanDialog, "DEAF", 0.0)


async def test_what_is_confirmed_is_confirmed_by_going_to_the_answer(hearing: None) -> None:
    app, answers = asked()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await app.push_screen(PlanDialog(CONFIRM, read_only=False), answers.append)
        await pilot.press("right", "enter")
        await until(pilot, lambda: answers)
        assert answers == [Confirmation(confirmed=True, typed="")]


async def test_production_wants_its_own_name(hearing: None) -> None:
    app, answers = asked()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        for typed in ("", "staging", "Production", "productio"):
            dialog = PlanDialog(PLAN, read_only=False)
            await app.push_screen(dialog, answers.append)
            await pilot.press(*typed, *["enter"] * 5)
            await pilot.pause()
            assert app.screen is dialog
            assert dialog.query_one("#do").disabled, typed
            assert answers == []
            await pilot.press("escape")
            await until(pilot, lambda: answers)
            assert answers.pop() is None


async def test_the_right_name_opens_the_way_and_enter_alone_does_not_go_it() -> None:
    app, answers = asked()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await app.push_screen(PlanDialog(PLAN, read_only=False), answers.append)
        await until(pilot, lambda: not cast(PlanDialog, app.screen).deaf)
        await pilot.press(*"production", "enter", "enter", "enter")
        assert answers == [], "a held enter went on to the answer"
        assert app.screen.focused is not None
        assert app.screen.focused.id == "do"
        await until(pilot, lambda: not cast(PlanDialog, app.screen).deaf)
        await pilot.press("enter")
        await until(pilot, lambda: answers)
        assert answers == [Confirmation(confirmed=True, typed="production")]


async def test_read_only_offers_no_yes() -> None:
    app, answers = asked()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await app.push_screen(PlanDialog(PLAN, read_only=True), answers.append)
        await pilot.pause()
        assert not app.screen.query("#do")
        assert not app.screen.query("#name")


async def test_a_changed_host_key_cannot_be_accepted() -> None:
    from pathlib import Path

    from muva_console.ops.links.ssh_trust import HostKeyOffer

    known: dict[str, Any] = {
        "host": "vps",
        "address": "vps",
        "algorithm": "ssh-ed25519",
        "key": "",
        "file": Path("x"),
    }
    answers: list[Any] = []
    app = calm().app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await app.push_screen(TrustDialog(HostKeyOffer(fingerprint="SHA256:a", changed=True, **known)))
        await pilot.pause()
        assert not app.screen.query("Input")
        await pilot.press("escape")
        dialog = TrustDialog(HostKeyOffer(fingerprint="SHA256:a", **known))
        await app.push_screen(dialog, answers.append)
        await until(pilot, lambda: not dialog.deaf)
        await pilot.press(*"yes", "enter")
        assert answers == []
        await pilot.press(*["backspace"] * 3, *"trust", "enter")
        await until(pilot, lambda: answers)
        assert answers == [True]


# --------------------------------------------------------------------- acting


@pytest.mark.parametrize("made", [out_of_reach, stale])
async def test_nothing_is_done_on_old_readings_and_the_reason_is_told(made: Callable[[], e.Estate]) -> None:
    estate = made()
    app = estate.app()
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        screen = await in_mode(app, pilot, "processes")
        assert screen.table.chosen is not None
        await pilot.press("R")
        await pilot.pause()
        assert estate.operations == []
        assert "cannot be reached" in toasts(app) or "stale" in toasts(app)


async def test_a_capital_letter_plans_an_act_on_the_process_under_the_cursor() -> None:
    estate = trouble()
    app = estate.app()

    class Performer:
        async def prepare(self, operation: Any) -> Plan:
            return PLAN

    cast(Any, app.workspace).performer = Performer()
    async with app.run_test(size=(120, 36)) as pilot:
        await in_mode(app, pilot, "processes")
        await pilot.press("down", "S")
        await until(pilot, lambda: isinstance(app.screen, PlanDialog), "the plan")
        ((arguments, more),) = estate.operations
        assert arguments[0] is Action.STOP
        assert arguments[1:] == ("vps", "muva-production")
        assert more == {"pm_id": 1, "limit": None}


# ------------------------------------------------------------- staying in place


async def test_the_cursor_stays_on_its_process_while_others_come_and_go() -> None:
    estate = trouble()
    app = estate.app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen: Processes = await in_mode(app, pilot, "processes")
        await pilot.press("down")
        before = screen.table.chosen
        assert screen.process is not None
        assert screen.process.pm_id == 1
        others = [e.process("muva-production", number) for number in (0, 1, 7, 8)]
        estate.feed("processes", "vps").give(e.fresh(e.listing(*others)))
        await pilot.pause()
        assert screen.table.chosen == before
        assert len(screen.table.rows) == 4


async def test_only_what_changed_is_drawn_again() -> None:
    drawn: list[int] = []

    class Counting(Table):
        def render_line(self, y: int) -> Any:
            drawn.append(y)
            return super().render_line(y)

    from textual.app import App, ComposeResult
    from textual.content import Content

    from muva_console.widgets.table import Column, Row
    from muva_console.widgets.theme import DARK, THEMES

    class One(App[None]):
        def __init__(self) -> None:
            super().__init__()
            for theme in THEMES:
                self.register_theme(theme)
            self.theme = DARK

        def compose(self) -> ComposeResult:
            yield Counting([Column("a", 10), Column("b", 10, flex=True)])

    def rows(changed: int) -> list[Row]:
        return [
            Row(str(number), (Content(str(number)), Content("new" if number == changed else "same")))
            for number in range(500)
        ]

    app = One()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(Counting)
        table.fill(rows(-1))
        await pilot.pause()
        drawn.clear()
        table.fill(rows(5))
        await pilot.pause()
        assert drawn == [6]  # row 5, below the heading
        table.fill(rows(400))  # out of sight, but row 5 goes back
        drawn.clear()
        await pilot.pause()
        assert set(drawn) <= {6}


# ---------------------------------------------------------------------- asking


async def test_a_hidden_mode_asks_nothing_and_health_is_always_asked() -> None:
    estate = calm()
    app = estate.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await in_mode(app, pilot, "health")
        assert estate.feed("database", "production").viewer is not None
        await in_mode_from(app, pilot, "journal")
        assert estate.feed("database", "production").viewer is None
        assert estate.feed("resources", "vps").viewer is None
        assert estate.feed("health", "production").viewer is not None
        assert estate.feed("health", "staging").viewer is not None


async def in_mode_from(app: MuvaApp, pilot: Pilot[Any], name: str) -> None:
    app.action_mode(name)
    await until(pilot, lambda: app.current_mode == name)
    await pilot.pause()


async def test_refresh_pause_and_pace_reach_the_feeds() -> None:
    estate = calm()
    app = estate.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await pilot.press("r", "p", "+", "-")
        await pilot.pause()
        told = estate.feed("health", "production").told
        assert told == ["refresh", "pause True", "interval 60", "interval 30"]
        assert app.paused


async def test_another_environment_in_hand_is_another_band_and_another_question() -> None:
    estate = calm()
    app = estate.app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen: Health = await in_mode(app, pilot, "health")
        assert app.environment == "production"
        await pilot.press("e")
        await pilot.press("up", "enter")
        await until(pilot, lambda: app.environment == "staging")
        assert estate.feed("database", "staging").viewer is not None
        assert estate.feed("database", "production").viewer is None
        assert "staging" in str(screen.query_one("#findings", Table).border_title)


async def test_what_needs_the_engineer_opens_its_evidence() -> None:
    app = trouble().app(environment="staging")
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await pilot.pause()
        screen_of(app).query_one("#needs").focus()
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.mode_screen, Health), "the health mode")
        await until(pilot, lambda: getattr(screen_of(app).finding, "check", "") == "database")
        assert app.environment == "production"


# -------------------------------------------------------------------- defects


async def test_a_defect_in_drawing_an_arrival_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    estate = calm()
    app = estate.app()
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await in_mode(app, pilot, "health")

        def broken(_self: Health) -> None:
            raise KeyError("[red]a defect[/]")

        monkeypatch.setattr(Health, "refresh_all", broken)
        estate.feed("health", "production").give(e.fresh(e.report("production", e.troubled())))
        await pilot.pause()
        assert "a defect" in toasts(app)
        assert "[red]" in toasts(app)  # text, not markup
        monkeypatch.undo()
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "overview")


async def test_a_defect_in_an_action_or_beside_the_screen_is_told_and_ends_nothing() -> None:
    app = calm().app()

    async def broken() -> None:
        raise ZeroDivisionError("beside")

    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await opened(app, pilot)
        cast(Any, app).action_refresh = lambda: 1 // 0
        await pilot.press("r")
        app.work_on("something", broken)
        await until(pilot, lambda: "beside" in toasts(app))
        assert "ZeroDivisionError" in toasts(app)
        assert app.is_running


async def test_hostile_text_stays_text() -> None:
    estate = calm()
    hostile = e.process("[red]x[/]", 0)
    estate.snapshots["processes", "vps"] = e.fresh(e.listing(hostile))
    app = estate.app()
    async with app.run_test(size=(160, 36)) as pilot:
        screen = await in_mode(app, pilot, "processes")
        assert screen.table.rows == []  # not one that production expects
        assert "does not have muva-production" in "".join(line.plain for line in screen.table._empty)
        screen.table.fill([_row(hostile)])
        await pilot.pause()
        assert "[red]x[/]" in screen.table.text()


def _row(process: Any) -> Any:
    from muva_console.ops.readings import Level
    from muva_console.screens.process_text import process_cells
    from muva_console.widgets.table import Row

    return Row("x", process_cells(e.listing(process), process, Level.OK, old=False))


async def test_a_second_q_leaves_and_the_first_does_not() -> None:
    app = calm().app()
    async with app.run_test(size=(120, 36)) as pilot:
        await in_mode(app, pilot, "journal")
        await pilot.press("q")
        await until(pilot, lambda: app.current_mode == "overview")
        await pilot.press("q")
        await pilot.pause()
        assert app.is_running
        await pilot.press("q")
        await until(pilot, lambda: app._exit)


async def test_a_click_on_a_mode_and_on_a_key_are_the_keys() -> None:
    app = calm().app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await pilot.click("ModeBar", offset=(54, 0))
        await until(pilot, lambda: app.current_mode == "processes")
        await pilot.pause()
        bar = app.screen.query_one(KeyBar)
        start = next(start for start, _, _, binding in bar._hits if binding.id == "help")
        await pilot.click(KeyBar, offset=(start, 0))
        await until(pilot, lambda: type(app.screen).__name__ == "HelpScreen")


async def test_a_theme_can_be_chosen_and_no_color_holds() -> None:
    from muva_console.palette import use_theme

    app = calm().app(environ={"TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": "1"})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.theme == "muva-mono"
        use_theme(app, "muva-dark")
        assert app.theme == "muva-mono"
    app = calm().app()
    async with app.run_test(size=(80, 24)) as pilot:
        for theme in ("muva-light", "muva-16", "muva-mono", "muva-dark"):
            use_theme(app, theme)
            await pilot.pause()
            assert app.theme == theme
