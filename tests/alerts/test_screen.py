"""Alerts in the console: heard and seen once, seen to from anywhere, silenced with a reason and an end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from textual.pilot import Pilot
from textual.widgets import Input

from muva_console.app import MuvaApp
from muva_console.ops.alerts.desk import Alerts
from muva_console.ops.alerts.round import Round, Row, rows_of
from muva_console.ops.alerts.watch import Looked
from muva_console.ops.journal import Journal
from muva_console.ops.readings import Level, utc_now
from muva_console.screens.alerts import AlertsScreen
from muva_console.screens.emergency import Emergency
from tests.alerts.conftest import NOTICED, journal_of
from tests.patience import HANG
from tests.screens import estate as e

pytestmark = pytest.mark.timeout(HANG)


async def rows(journal: Journal) -> tuple[Row, ...]:
    """What a round gives that sees what was raised."""
    known = await Alerts(journal).all("production")
    seen = (NOTICED,) if any(one.open for one in known.values()) else ()
    report = e.report("production", e.troubled())
    return rows_of(Looked(environment="production", noticed=seen, report=report), known)


def given(rows: tuple[Row, ...]) -> Any:
    return e.fresh(Round(environment="production", at=e.NOW, rows=rows))


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    made = journal_of(tmp_path, "dana")
    await Alerts(made).raise_(NOTICED, None)
    yield made
    await made.close()


def estate_of(journal: Journal, shown: tuple[Row, ...]) -> e.Estate:
    made = e.Estate()
    made.journal = journal  # type: ignore[assignment]
    made.snapshots["alerts", "production"] = given(shown)
    return made


async def settled(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_a_new_alert_rings_once_and_stands_in_the_band(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(MuvaApp, "bell", lambda self: rung.append("bell"))
    made = estate_of(journal, ())
    app = made.app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert rung == []
        assert "alert" not in app.alarm
        shown = await rows(journal)
        made.feed("alerts", "production").give(given(shown))
        await settled(pilot)
        assert rung == ["bell"]
        assert app.alarm == "alert, A: production api-health"
        made.feed("alerts", "production").give(given(shown))  # the next look says the same
        await settled(pilot)
        assert rung == ["bell"]
        warned = (structs.replace(shown[0], key="pattern/1", level=Level.WARN, alert=None), *shown)
        made.feed("alerts", "production").give(given(warned))
        await settled(pilot)
        assert rung == ["bell", "bell"]
        assert app.alarm == "alert and 1 more, A: production api-health"
        made.feed("alerts", "production").give(given(()))
        await settled(pilot)
        assert "alert" not in app.alarm


async def test_no_bell_where_none_is_wanted(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(MuvaApp, "bell", lambda self: rung.append("bell"))
    made = estate_of(journal, await rows(journal))
    made.config = structs.replace(made.config, alerts=structs.replace(made.config.alerts, bell=False))
    app = made.app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.alarm
        assert rung == []


async def test_it_is_seen_to_from_anywhere_and_calls_for_nobody_then(journal: Journal) -> None:
    made = estate_of(journal, await rows(journal))
    app = made.app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("6", "A")
        await settled(pilot)
        assert isinstance(app.screen, AlertsScreen)
        await pilot.press("a")
        await settled(pilot)
        (alert,) = await Alerts(journal).open()
        assert alert.acked_by == "dana"
        assert "refresh" in made.feed("alerts", "production").told
        made.feed("alerts", "production").give(given(await rows(journal)))
        await settled(pilot)
        assert "alert" not in app.alarm


async def test_a_silence_takes_its_time_from_the_reason(journal: Journal) -> None:
    made = estate_of(journal, await rows(journal))
    app = made.app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await settled(pilot)
        await pilot.press("z")
        await pilot.pause()
        field = app.screen.query_one("#reason", Input)
        field.value = "1d: known, see #12"
        app.screen.dismiss(field.value)  # the way through the answers is the dialog's own test
        await settled(pilot)
        (alert,) = await Alerts(journal).open()
        assert alert.silence is not None
        assert alert.silence.reason == "known, see #12"
        left = alert.silence.until - utc_now()
        assert timedelta(hours=23) < left <= timedelta(hours=24)


async def test_read_only_says_nothing_of_an_alert(journal: Journal) -> None:
    made = estate_of(journal, await rows(journal))
    made.read_only = True
    app = made.app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("A", "a")
        await settled(pilot)
        (alert,) = await Alerts(journal).open()
        assert not alert.acked_by


async def test_an_emergency_closes_what_only_shows_something(journal: Journal) -> None:
    app = estate_of(journal, await rows(journal)).app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await pilot.pause()
        assert isinstance(app.screen, AlertsScreen)
        await pilot.press("exclamation_mark")
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, Emergency)
