"""The Metrics screen: figures with what they rest on, drilled down to records, written to files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.ops.errors import OpsError
from muva_console.ops.incidents.model import Incident
from muva_console.ops.metrics import reading
from muva_console.ops.metrics.chart import as_png, find_font
from muva_console.ops.metrics.dora import changes_of, report_of
from muva_console.ops.metrics.reading import PARTS, Told
from muva_console.ops.release.records import Deployment
from muva_console.widgets.table import Table
from tests.metrics.test_dora import INCIDENT, LEADS, MONDAY, SUNDAY, WEEK, deployed
from tests.patience import HANG
from tests.screens import estate as e
from tests.screens.estate import NOW

Compare = Callable[..., bool]
SHIFT = NOW - SUNDAY  # the week that was reckoned by hand, moved to the week before now


def moved(one: Deployment) -> Deployment:
    assert one.finished is not None
    begun = one.started + SHIFT if one.started is not None else None
    return structs.replace(one, started=begun, finished=one.finished + SHIFT)


def told(days: int, *, empty: bool = False) -> Told:
    """The hand-reckoned week and a calmer one before it."""
    week = () if empty else tuple(moved(one) for one in WEEK)
    before = () if empty else tuple(moved(deployed(100 + day, day - 6.5)) for day in range(6))
    incident: Incident = structs.replace(
        INCIDENT,
        opened_at=INCIDENT.opened_at + SHIFT,
        onset=(INCIDENT.onset or MONDAY) + SHIFT,
        stable_at=(INCIDENT.stable_at or MONDAY) + SHIFT,
    )
    known = (*before, *week)
    changes = changes_of(known, () if empty else (incident,), LEADS)
    since = NOW - timedelta(days=days)
    borders = [since + (NOW - since) / PARTS * number for number in range(PARTS + 1)]
    return Told(
        now=report_of("production", changes, known, since, NOW),
        before=report_of("production", changes, known, since - (NOW - since), since),
        parts=tuple(report_of("production", changes, known, *pair) for pair in pairwise(borders)),
    )


def given(monkeypatch: pytest.MonkeyPatch, *, empty: bool = False) -> None:
    async def read(_workspace: Any, _environment: str, since: Any, until: Any) -> Told:
        return told((until - since).days, empty=empty)

    monkeypatch.setattr(reading, "read_report", read)


async def in_metrics(pilot: Pilot[None], *keys: str) -> MuvaApp:
    app = pilot.app
    assert isinstance(app, MuvaApp)
    await pilot.press("8")
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.press(*keys)
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()
    return app


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=["narrow", "normal", "wide"])
@pytest.mark.parametrize("empty", [False, True], ids=["week", "empty"])
def test_pictures(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], empty: bool
) -> None:
    given(monkeypatch, empty=empty)

    async def before(pilot: Pilot[None]) -> None:
        await in_metrics(pilot, "w", "w", "w")  # a week, after 90 d and a year

    app = e.Estate().app(environment="production")
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.timeout(HANG)
async def test_a_figure_keeps_its_records_and_escape_shows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch)
    app = e.Estate().app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await in_metrics(pilot)
        records = app.screen.query_one("#records", Table)
        assert len(records.rows) == 14  # eight of the week, six before it: 30 days
        figures = app.screen.query_one("#figures", Table)
        figures.choose("change fail rate")
        await pilot.press("enter")
        assert {row.key for row in records.rows} == {f"production/run/{n}/1" for n in (2, 5, 6, 8)}
        await pilot.press("escape")
        assert len(records.rows) == 14


@pytest.mark.timeout(HANG)
@pytest.mark.parametrize("shape", ["csv", "svg", "png", "json"])
async def test_a_file_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shape: str) -> None:
    given(monkeypatch)
    if shape == "png" and find_font() is None:
        pytest.skip("this machine has no font")
    monkeypatch.setattr("muva_console.clipboard.state_folder", lambda: tmp_path)
    app = e.Estate().app(environment="production")
    async with app.run_test(size=(120, 36)) as pilot:
        await in_metrics(pilot)
        await pilot.press("x")
        await pilot.pause()
        app.screen.query_one(Table).choose(shape)
        await pilot.press("enter")
        await app.workers.wait_for_complete()
    (file,) = (tmp_path / "metrics").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    data = file.read_bytes()
    if shape == "png":
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert int.from_bytes(data[16:20]) == 1800  # pixels wide
        assert len(data) > 20_000  # with its words: without them it is half of that
    elif shape == "json":
        figures = json.loads(data)["report"]["figures"]
        assert next(one for one in figures if one["name"] == "change fail rate")["n"] == 14
    else:
        assert b"live_at" in data if shape == "csv" else data.startswith(b"<svg")


def test_without_a_font_no_picture_without_words_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("muva_console.ops.metrics.chart.find_font", lambda: None)
    with pytest.raises(OpsError, match="wants a font"):
        as_png(told(7).now)
    assert find_font((tmp_path,)) is None
