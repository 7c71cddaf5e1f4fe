"""The checks "deployment-window" and "on-call", at dictated times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muva_console.config.load import check_document
from muva_console.config.release import OnCall, Shift, Window
from muva_console.ops.checks import run_check
from muva_console.ops.errors import ConfigError, OpsError
from muva_console.ops.readings import Level
from muva_console.ops.release import plans
from muva_console.ops.release.plans import GOOD_FOR, judge_rota, judge_window
from tests.health.conftest import MakeContext

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)  # a Wednesday; 11:30 in Madrid
MADRID = "Europe/Madrid"


@pytest.mark.parametrize(
    ("window", "level", "summary"),
    [
        (Window(), Level.UNKNOWN, "no window is configured"),
        (Window(timezone=MADRID), Level.UNKNOWN, "no window is configured"),
        (
            Window(timezone=MADRID, hours=("09:00-12:00",)),
            Level.OK,
            "inside the window until 12:00 CET (in 30m)",
        ),
        (Window(hours=("00:00-00:00",)), Level.OK, "inside the window, for more than a year"),
        (
            Window(timezone=MADRID, hours=("22:00-06:00",), days=("fri",)),
            Level.FAIL,
            "outside of the window; the next opens Fri 2026-11-27 22:00 CET (in 2d 10h)",
        ),
        (
            Window(hours=("09:00-12:00",), freeze=("2026-11-20/2026-11-25", "2026-12-24")),
            Level.FAIL,
            "deployments are frozen until Thu 2026-11-26 00:00 UTC (in 13h 30m); "
            "the next opens Thu 2026-11-26 09:00 UTC (in 22h 30m)",
        ),
        (
            Window(timezone="America/Sao_Paulo", hours=("09:00-12:00",)),
            Level.FAIL,
            "outside of the window; the next opens 09:00 America/Sao_Paulo (in 1h 30m)",
        ),
    ],
)
def test_the_window_says_until_when(window: Window, level: Level, summary: str) -> None:
    finding = judge_window(window, NOW)
    assert (finding.level, finding.summary) == (level, summary)
    assert level is Level.OK or finding.next


def test_what_is_inside_is_believed_until_the_window_closes() -> None:
    closes = NOW + timedelta(seconds=30)
    finding = judge_window(Window(hours=("09:00-11:00",)), NOW.replace(minute=59, second=30))
    assert finding.expires == finding.at + timedelta(seconds=30)
    assert judge_window(Window(hours=("09:00-11:00",)), NOW).expires is None
    assert closes < NOW + timedelta(seconds=GOOD_FOR)


def shift(name: str, start: str, end: str, reach: str = "") -> Shift:
    return Shift(name=name, start=f"2026-11-25T{start}", end=f"2026-11-25T{end}", reach=reach)


@pytest.mark.parametrize(
    ("shifts", "level", "summary"),
    [
        ((), Level.UNKNOWN, "no rota is configured"),
        (
            (shift("dana", "06:00Z", "16:30+01:00", "+34 600"),),
            Level.OK,
            "dana until 15:30 UTC (5h), reach +34 600",
        ),
        (
            (shift("dana", "06:00Z", "11:00Z"), shift("eli", "11:00Z", "18:00Z", "#ops")),
            Level.OK,
            "dana until 11:00 UTC (30m); then eli until 18:00 UTC, reach #ops",
        ),
        (
            (
                shift("eli", "10:45Z", "18:00Z"),
                shift("dana", "06:00Z", "11:00Z"),
                shift("x", "10:00Z", "10:40Z"),
            ),
            Level.OK,
            "dana until 11:00 UTC (30m); then eli until 18:00 UTC",
        ),
        (
            (shift("dana", "06:00Z", "11:00Z"), shift("eli", "12:00Z", "18:00Z")),
            Level.FAIL,
            "dana is there until 11:00 UTC only, then eli comes at 12:00 UTC",
        ),
        ((shift("eli", "12:00Z", "18:00Z"),), Level.FAIL, "nobody is on call now; eli comes at 12:00 UTC"),
        (
            (shift("dana", "06:00Z", "12:29Z"),),
            Level.FAIL,
            "dana is there until 12:29 UTC only, then nobody comes after",
        ),
    ],
)
def test_the_rota_covers_two_hours_from_now_or_says_where_it_does_not(
    shifts: tuple[Shift, ...], level: Level, summary: str
) -> None:
    finding = judge_rota(OnCall(shifts=shifts), NOW)
    assert (finding.level, finding.summary) == (level, summary)


def test_a_shift_that_ends_before_it_begins_is_named_when_judged_and_when_loaded() -> None:
    wrong = shift("dana", "08:00Z", "08:00+01:00")
    with pytest.raises(OpsError, match=r"number 1 \(dana\): ends at"):
        judge_rota(OnCall(shifts=(wrong,)), NOW)
    document = {
        "environments": {"production": {"branch": "main"}},
        "window": {"timezone": "Mars/Olympus", "hours": ["09:00-09:00"], "freeze": ["2026-02-30"]},
        "on_call": {"shifts": [{"name": "dana", "start": wrong.start, "end": wrong.end}]},
    }
    with pytest.raises(ConfigError) as caught:
        check_document(document, Path("muva.toml"))
    told = "\n".join(caught.value.mistakes)
    assert len(caught.value.mistakes) == 4
    for place in ("[window] timezone", "[window] hours, item 1", "[window] freeze, item 1"):
        assert place in told
    assert '[[on_call.shifts]] number 1, end: "dana" ends at' in told


async def test_both_checks_go_by_the_injected_clock(
    context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from msgspec.structs import replace

    ctx = context()
    ctx.config = replace(
        ctx.config,
        window=Window(timezone=MADRID, hours=("11:00-12:00",)),
        on_call=OnCall(shifts=(shift("dana", "08:00Z", "18:00Z"),)),
    )
    monkeypatch.setattr(plans, "clock", lambda: NOW)
    (window,), (rota,) = [await run_check(name, ctx) for name in ("deployment-window", "on-call")]
    assert (window.level, rota.level) == (Level.OK, Level.OK)
    ctx.config = replace(ctx.config, window=Window(timezone="Mars/Olympus", hours=("11:00-12:00",)))
    (window,) = await run_check("deployment-window", ctx)
    assert window.level is Level.UNKNOWN
    assert window.summary.startswith('[window] timezone: there is no time zone "Mars/Olympus"')
