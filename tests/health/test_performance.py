"""The sample of requests: what it says, what it must not say, and that it ends in time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.config.model import Seconds, Thresholds
from muva_console.ops.checks import CheckContext, run_check
from muva_console.ops.health import performance
from muva_console.ops.health.performance import Sample, judge
from muva_console.ops.readings import Finding, Level
from tests.patience import HANG

from .conftest import App, MakeContext


async def look(ctx: CheckContext) -> Finding:
    (finding,) = await run_check("performance", ctx)
    return finding


async def test_a_quick_application(app: App, context: MakeContext) -> None:
    finding = await look(context(url=app.url))
    assert finding.level is Level.OK
    assert "no baseline yet" in finding.summary
    assert len(app.asked) >= 59, "as many as rule out 5 %"
    assert any("no baseline" in line for line in finding.evidence)
    assert finding.command.startswith("for i in $(seq 25); do curl ")


async def test_eight_percent_of_errors_are_never_ok(app: App, context: MakeContext) -> None:
    app.status_of = lambda n: 500 if n % 12 == 0 else 200
    finding = await look(context(url=app.url))
    assert finding.level is Level.FAIL
    assert "the limit is 5 %" in finding.summary
    assert any("× answers 500" in line for line in finding.evidence)


async def test_few_errors_are_a_warning(app: App, context: MakeContext) -> None:
    app.status_of = lambda n: 500 if n == 7 else 200
    finding = await look(context(url=app.url))
    assert finding.level is Level.WARN
    assert "1 of " in finding.summary


async def test_ten_times_slower_than_the_baseline(app: App, context: MakeContext) -> None:
    app.delay = lambda n: 0.6
    finding = await look(context(url=app.url, thresholds=Thresholds(baseline=Seconds(0.02))))
    assert finding.level is Level.FAIL
    assert "10 ×" in finding.summary
    assert len(app.asked) < 20, "plain after ten answers"


async def test_slower_than_usual_is_a_warning(app: App, context: MakeContext) -> None:
    app.delay = lambda n: 0.24

    async def learnt() -> float:
        return 60.0

    ctx = context(url=app.url)
    ctx.baseline = learnt
    finding = await look(ctx)
    assert finding.level is Level.WARN
    assert any("learnt" in line for line in finding.evidence)


async def test_a_tiny_baseline_is_noise(app: App, context: MakeContext) -> None:
    app.delay = lambda n: 0.04
    finding = await look(context(url=app.url, thresholds=Thresholds(baseline=Seconds(0.001))))
    assert finding.level in (Level.OK, Level.WARN)
    assert any("below that is noise" in line for line in finding.evidence)


async def test_waking_the_application_up_is_not_held_against_it(app: App, context: MakeContext) -> None:
    app.delay = lambda n: 0.7 if n <= performance.CONCURRENCY else 0.0
    finding = await look(context(url=app.url, thresholds=Thresholds(baseline=Seconds(0.05))))
    assert finding.level is Level.OK


async def test_a_rate_limit_tells_nothing(app: App, context: MakeContext) -> None:
    app.status_of = lambda n: 429 if n > 4 else 200
    finding = await look(context(url=app.url))
    assert finding.level is Level.UNKNOWN
    assert "429" in finding.summary
    assert len(app.asked) < 25, "who is asked to slow down does not go on"


async def test_nobody_there(context: MakeContext) -> None:
    assert (await look(context(url="http://127.0.0.1:1"))).level is Level.FAIL
    assert (await look(context(url="http://255.255.255.255"))).level is Level.UNKNOWN


async def test_a_hanging_application_ends_in_time(
    app: App, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance, "BUDGET", 0.6)
    app.delay = lambda n: 600.0
    async with asyncio.timeout(HANG):
        finding = await look(context(url=app.url, timeout=0.3))
    assert finding.level is Level.FAIL


SAMPLES = st.builds(
    lambda bad, good, ms, limited: Sample(
        sent=bad + good,
        failed=bad,
        limited=limited,
        own_side=0,
        latencies=tuple(ms for _ in range(good)),
        reasons=("x",),
    ),
    st.integers(0, 60),
    st.integers(0, 200),
    st.floats(0.1, 20_000),
    st.integers(0, 5),
)


@given(SAMPLES, st.none() | st.floats(0.1, 5000))
def test_ok_only_on_enough_good_answers(sample: Sample, baseline: float | None) -> None:
    level, summary = judge(sample, Thresholds(), baseline, 20)
    assert summary
    if level is Level.OK:
        assert sample.sent >= 20
        assert sample.failed == 0
        assert (sample.p95 or 0) < 5000
    if sample.sent >= 20 and sample.error_rate > 0.05:
        assert level is Level.FAIL
    if sample.sent < 5:
        assert level is Level.UNKNOWN
