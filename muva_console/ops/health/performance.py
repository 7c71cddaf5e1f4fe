"""The check "performance": a sample of requests, its p95 and error rate, against limits and baseline.

Success and failure are judged apart, and between them lies "cannot tell" (Kayenta, Argo Rollouts):
presence of data first, then the playbook's limits, then the comparison with the baseline.
"""

from __future__ import annotations

import asyncio
import statistics

from msgspec import Struct

from muva_console.config.model import Thresholds
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.health.api import has_url
from muva_console.ops.health.history import FLOOR_MS
from muva_console.ops.health.stats import percentile, samples_to_exclude, wilson
from muva_console.ops.health.words import percent, spell_ms
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.answers import HttpAnswer
from muva_console.ops.readings import Finding, Level

CONCURRENCY = 5
"""Requests at a time: enough to be quick, too few to be a load. Ours."""
PLAIN = 10
"""Answers of which the median alone may say that it is too slow: more would not change that. Ours."""
ENOUGH = 20
"""Answers below which a p95 is only the slowest one, and nothing is said to be well. Ours."""
DOUBT = 200
"""Requests sent at most to settle a doubtful error rate. Ours."""
QUICK = 3.0
"""Seconds after which a sample that has its configured size is not made larger. Ours."""
BUDGET = 20.0
"""Seconds for the whole sample. Ours."""
PERCENTILE = 0.95
_ROLL_BACK = "This meets the playbook's criteria for a rollback: see what was deployed last."


class Sample(Struct, frozen=True, kw_only=True):
    """What a sample of requests tells."""

    sent: int
    failed: int
    """Without an answer, or with one of 400 and above."""
    limited: int
    """Refused with 429: the server limits our rate, which tells nothing."""
    own_side: int
    """Failed for reasons of this machine."""
    latencies: tuple[float, ...]
    """Milliseconds, of the good answers; of those alone that opened no connection, where most did not."""
    reasons: tuple[str, ...] = ()
    """Why requests failed, the most frequent first."""

    @property
    def error_rate(self) -> float:
        """Failed of sent; 0 of nothing."""
        return self.failed / self.sent if self.sent else 0.0

    @property
    def p95(self) -> float | None:
        """Milliseconds; None when nothing was answered well."""
        return percentile(self.latencies, PERCENTILE) if self.latencies else None

    @property
    def median(self) -> float | None:
        """Milliseconds; None when nothing was answered well."""
        return statistics.median(self.latencies) if self.latencies else None


@check("performance", title="Performance thresholds", applies=has_url)
async def performance(ctx: CheckContext) -> Finding:
    """A sample of at least [health] probes requests: error rate over 5 % or p95 over 5 s or 10 × the baseline
    is a failure (playbook, when to roll back); any error, or p95 over 3 × the baseline, is a warning. A
    baseline below 50 ms counts as 50 ms. While no failures are seen the sample grows to where they would be
    (59 for 5 %), and where some are, until the rate is settled, as long as that takes moments.
    """
    url = ctx.url(ctx.environment.health)
    thresholds = ctx.environment.thresholds
    timeout = min(ctx.config.health.timeout, BUDGET)
    loop = asyncio.get_running_loop()
    began = loop.time()
    probes = ctx.config.health.probes

    baseline_ms, told = await _baseline(ctx)
    too_slow = _too_slow(thresholds, baseline_ms)

    def enough(answers: list[HttpAnswer]) -> bool:
        return _settled(answers, probes, thresholds.error_rate, too_slow, loop.time() - began)

    answers = await ctx.web.sample(
        url,
        max(probes, DOUBT),
        timeout=timeout,
        concurrency=CONCURRENCY,
        budget=BUDGET,
        enough=enough,
    )
    sample = summarise(answers)
    level, summary = judge(sample, thresholds, baseline_ms, min(ENOUGH, probes))
    one = curl_line(url, timeout=timeout).replace(
        "-sS", "-sS -o /dev/null -w '%{http_code} %{time_total}\\n'", 1
    )
    return tell(
        level,
        summary,
        subject=url,
        evidence=[*_facts(sample, thresholds), told],
        command=f"for i in $(seq {probes}); do {one}; done",
        next=_ROLL_BACK if level is Level.FAIL and sample.latencies else "",
    )


async def is_slow(ctx: CheckContext, took_ms: float) -> bool:
    """Whether one answer took as long as would be at least a warning if all did."""
    thresholds = ctx.environment.thresholds
    baseline_ms, _ = await _baseline(ctx)
    limit_ms = thresholds.response * 1000
    if baseline_ms is not None:
        limit_ms = min(limit_ms, max(baseline_ms, FLOOR_MS) * thresholds.degraded_factor)
    return took_ms >= limit_ms


async def _baseline(ctx: CheckContext) -> tuple[float | None, str]:
    configured = ctx.environment.thresholds.baseline
    if configured is not None:
        baseline = configured * 1000
        source = "configured"
    else:
        learnt = await ctx.baseline() if ctx.baseline is not None else None
        if learnt is None:
            return None, "no baseline yet: slower than usual cannot be told; the fixed limits hold"
        baseline, source = learnt, "learnt from healthy samples"
    floor = f", taken for {spell_ms(FLOOR_MS)}: below that is noise" if baseline < FLOOR_MS else ""
    return baseline, f"baseline p95 {spell_ms(baseline)} ({source}{floor})"


def _too_slow(thresholds: Thresholds, baseline_ms: float | None) -> float:
    """Milliseconds from which a response time is a failure, by the fixed limit or by the baseline."""
    limit_ms = thresholds.response * 1000
    if baseline_ms is None:
        return limit_ms
    return min(limit_ms, max(baseline_ms, FLOOR_MS) * thresholds.slow_factor)


def _settled(answers: list[HttpAnswer], probes: int, limit: float, too_slow: float, elapsed: float) -> bool:
    """Whether more requests would not change the answer, or are not worth the time."""
    if sum(answer.status == 429 for answer in answers) >= 3:
        return True
    if len(answers) < probes:
        # every other one is too slow: the p95 will be
        return len(answers) >= PLAIN and statistics.median(a.timing.total for a in answers) >= too_slow
    if elapsed > QUICK:
        return True
    failed = sum(map(_failed, answers))
    if not failed:
        needed = samples_to_exclude(limit)
        return needed is None or len(answers) >= min(needed, DOUBT)
    low, high = wilson(failed, len(answers))
    return low > limit or high < limit


def _failed(answer: HttpAnswer) -> bool:
    return answer.fault is not None or answer.status is None or answer.status >= 400


def summarise(answers: tuple[HttpAnswer, ...]) -> Sample:
    """The answers in figures. Those refused with 429 count neither as sent nor as failed."""
    counted = [answer for answer in answers if answer.status != 429]
    bad = [answer for answer in counted if _failed(answer)]
    reasons: dict[str, int] = {}
    for answer in bad:
        reason = answer.error if answer.fault is not None else f"answers {answer.status}"
        reasons[reason] = reasons.get(reason, 0) + 1
    good = [answer for answer in counted if not _failed(answer)]
    # the first of each connection pays for opening it, and often for waking the application up
    warm = [answer for answer in good if answer.timing.connect is None]
    return Sample(
        sent=len(counted),
        failed=len(bad),
        limited=len(answers) - len(counted),
        own_side=sum(answer.own_side for answer in bad),
        latencies=tuple(a.timing.total for a in (warm if 2 * len(warm) >= len(good) else good)),
        reasons=tuple(f"{n} × {reason}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1])),
    )


def judge(
    sample: Sample, thresholds: Thresholds, baseline_ms: float | None, enough: int
) -> tuple[Level, str]:
    """The level and the line of a sample; `enough` answers are wanted before anything is well."""
    if sample.sent and sample.own_side == sample.failed == sample.sent:
        return Level.UNKNOWN, f"cannot be asked from here: {sample.reasons[0]}"
    errors = f"{sample.failed} of {sample.sent} requests failed ({percent(sample.error_rate)})"
    limit_ms = thresholds.response * 1000
    usual = max(baseline_ms, FLOOR_MS) if baseline_ms is not None else None
    # a failure may be plain before the sample is large enough to call anything well
    if sample.sent >= min(5, enough):
        if sample.error_rate > thresholds.error_rate and (sample.sent >= enough or sample.error_rate >= 0.5):
            why = f", mostly: {sample.reasons[0]}" if sample.reasons else ""
            return Level.FAIL, f"{errors}; the limit is {percent(thresholds.error_rate)}{why}"
        if sample.median is not None and sample.median >= limit_ms:
            slow = f"every other request takes {spell_ms(sample.median)} or more"
            return Level.FAIL, f"{slow}; the limit is {spell_ms(limit_ms)}"
    if usual is not None and sample.sent >= min(PLAIN, enough) and sample.median is not None:
        times = sample.median / usual
        if times >= thresholds.slow_factor:
            slow = f"every other request takes {spell_ms(sample.median)} or more: {times:.0f} × the usual p95"
            return Level.FAIL, f"{slow} of {spell_ms(usual)}; the limit is {thresholds.slow_factor:g} ×"
    if sample.sent < enough or sample.p95 is None:
        limited = f", {sample.limited} refused with 429" if sample.limited else ""
        return Level.UNKNOWN, f"too few answers to tell: {sample.sent} of {enough}{limited}"
    p95 = sample.p95
    shown = f"p95 {spell_ms(p95)} over {sample.sent} requests"
    if p95 >= limit_ms:
        return Level.FAIL, f"{shown}; the limit is {spell_ms(limit_ms)}"
    if usual is not None and p95 >= usual * thresholds.degraded_factor:
        against = f"{shown}: {p95 / usual:.1f} × the usual {spell_ms(usual)}"
        if p95 >= usual * thresholds.slow_factor:
            return Level.FAIL, f"{against}; the limit is {thresholds.slow_factor:g} ×"
        return Level.WARN, f"{against}; {thresholds.degraded_factor:g} × is slow"
    if sample.failed:
        return Level.WARN, f"{errors}; the limit is {percent(thresholds.error_rate)}, {shown}"
    return Level.OK, f"{shown}, none failed" + ("" if usual is not None else " (no baseline yet)")


def _facts(sample: Sample, thresholds: Thresholds) -> list[str]:
    _, high = wilson(sample.failed, sample.sent)
    lines = [
        f"{sample.sent} requests, {sample.failed} failed ({percent(sample.error_rate)}); "
        f"the true rate is below {percent(high)} with 95 % confidence, the limit is "
        f"{percent(thresholds.error_rate)}"
    ]
    if sample.median is not None and sample.p95 is not None:
        slowest = max(sample.latencies)
        lines.append(
            f"median {spell_ms(sample.median)}, p95 {spell_ms(sample.p95)}, slowest {spell_ms(slowest)}; "
            f"the limit is {spell_ms(thresholds.response * 1000)}"
        )
    if sample.limited:
        lines.append(f"{sample.limited} refused with 429: the server limits our rate")
    return [*lines, *sample.reasons[:5]]
