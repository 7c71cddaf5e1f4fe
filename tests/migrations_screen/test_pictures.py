"""The Migrations screen in its states, as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.screens.migrations import Migrations
from muva_console.screens.migrations_ahead import Ahead, BackupState, Outlook
from muva_console.screens.migrations_lead import Leading
from tests.checklist.test_checklist import until
from tests.migrations_screen import made
from tests.screens import estate as e
from tests.screens.test_pictures import still

Compare = Callable[..., bool]


async def opened(app: MuvaApp, pilot: Pilot[Any]) -> Migrations:
    await until(pilot, lambda: app.current_mode == "overview", "the overview")
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.mode_screen, Migrations) and app.mode_screen.is_mounted)
    await still(pilot)
    screen = app.mode_screen
    assert isinstance(screen, Migrations)
    return screen


def picture(
    compare: Compare, app: MuvaApp, size: tuple[int, int], *keys: str, chosen: int | None = None
) -> bool:
    async def go(pilot: Pilot[Any]) -> None:
        screen = await opened(app, pilot)
        if chosen is not None:
            screen.table.choose(f"{made.version(chosen)}_{made.NAMES[chosen]}")
            await still(pilot)
        await pilot.press(*keys)
        await still(pilot)

    return compare(app, terminal_size=size, run_before=go)


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> made.Reading:
    return made.Reading(monkeypatch)


def test_one_is_pending_and_its_hazards_stand_below_their_lines(snap_compare: Compare) -> None:
    assert picture(snap_compare, made.console(made.pending()), (120, 40))


def test_problems_with_the_difference_beside(snap_compare: Compare) -> None:
    assert picture(snap_compare, made.console(made.troubled()), (200, 50), chosen=2)


def test_problems_narrow_in_sixteen_colours(snap_compare: Compare) -> None:
    assert picture(snap_compare, made.console(made.troubled(), theme="muva-16"), (80, 24))


def test_what_was_left_behind_narrow_without_colours(snap_compare: Compare) -> None:
    app = made.console(made.troubled(), theme="muva-mono", glyphs="ascii")
    assert picture(snap_compare, app, (80, 24), "enter")


def test_one_database_out_of_reach(snap_compare: Compare) -> None:
    assert picture(snap_compare, made.console(made.unreachable(), theme="muva-light"), (120, 32))


def test_before_an_apply(snap_compare: Compare) -> None:
    outlook = Outlook(
        environment="production", production=True, branch="main", sha=e.SHA["production"],
        files=(Ahead(title="20251010090000_index_bookings_by_guest", statements=3, looked=made.LOOKED),),
        warnings=("the newest backup is of another commit than production serves",),
        backup=BackupState(needed=True, good=False, told="there is none of production"),
    )  # fmt: skip
    app = made.console(made.pending())

    async def go(pilot: Pilot[Any]) -> None:
        await opened(app, pilot)
        app.push_screen(Leading(outlook, read_only=False))
        await still(pilot)

    assert snap_compare(app, terminal_size=(100, 36), run_before=go)
