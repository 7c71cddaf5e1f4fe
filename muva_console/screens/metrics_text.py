"""The Metrics screen's words: the five figures with what they rest on, bars by day, the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.metrics.chart import by_day, is_hotfix, spelled
from muva_console.ops.metrics.dora import Change, Figure
from muva_console.ops.process_findings import spell
from muva_console.widgets.format import moment
from muva_console.widgets.level import muted
from muva_console.widgets.spark import joined, sparkline
from muva_console.widgets.table import Column, Row

if TYPE_CHECKING:
    from muva_console.ops.metrics.dora import Report
    from muva_console.ops.metrics.reading import Told

FIGURES = (
    Column("figure", 31, keep=100),
    Column("value", 14, align="right", keep=95),
    Column("n", 5, align="right", keep=90),
    Column("", 8, keep=80),
    Column("before", 14, align="right", keep=60),
    Column("n", 5, align="right", keep=50),
    Column("trend", 16, keep=40),
)
RECORDS = (
    Column("live (UTC)", 16, keep=90),
    Column("commit", 8, keep=100),
    Column("version", 10, keep=40),
    Column("kind", 8, keep=70),
    Column("took", 8, align="right", keep=30),
    Column("lead", 8, align="right", keep=50),
    Column("what became of it", 24, flex=True),
)
_STYLES = {"failed": "$t-fail", "hotfix": "$t-warn", "planned": "$t-muted"}
_BETTER_WHEN_HIGHER = {"deployment frequency"}


def figure_rows(told: Told) -> list[Row]:
    """A row a figure: its value, what it rests on, the time before, and how it went within the window."""
    rows = []
    parts = list(zip(*(report.figures for report in told.parts), strict=True))
    for figure, before, through in zip(told.now.figures, told.before.figures, parts, strict=True):
        values = [one.value for one in through]
        rows.append(
            Row(
                figure.name,
                (
                    Content(figure.name),
                    Content.styled(spelled(figure), "$t-strong" if not figure.few else "$t-muted"),
                    muted(str(figure.n)),
                    muted("too few" if figure.few else _turn(figure, before)),
                    muted(spelled(before)),
                    muted(str(before.n)),
                    sparkline(values, 16),
                ),
            )
        )
    return rows


def _turn(now: Figure, before: Figure) -> str:
    """``better`` or ``worse`` than the time before; empty where either rests on too few."""
    if now.few or before.few or now.value is None or before.value is None or now.value == before.value:
        return ""
    higher = now.value > before.value
    return "better" if higher == (now.name in _BETTER_WHEN_HIGHER) else "worse"


def bar_lines(report: Report, width: int, height: int) -> list[Content]:
    """Changes by day as bars: failed lowest, then hotfixes, then what was planned."""
    axis = 4
    bars = by_day(report, max(1, width - axis))
    most = max([len(bar) for bar in bars], default=0)
    if not most:
        return [muted("Nothing went live in this window.")]
    room = max(1, height - 1)
    each = max(1, (width - axis) // len(bars))
    lines = []
    for row in range(room, 0, -1):
        label = str(most) if row == room else ""
        parts: list[tuple[str, str]] = [(f"{label:>{axis - 1}}│", "$t-faint")]
        for bar in bars:
            kinds = sorted((_kind(one) for one in bar), key=("failed", "hotfix", "planned").index)
            tall = -(-len(kinds) * room // most)
            there = row <= tall
            kind = kinds[min(len(kinds) - 1, (row - 1) * len(kinds) // max(1, tall))] if there else ""
            gap = 1 if each > 2 else 0
            parts.append(("█" * (each - gap) if there else " " * (each - gap), _STYLES.get(kind, "")))
            parts.append((" " * gap, ""))
        lines.append(joined(part for part in parts if part[0]))
    used = len(bars) * each
    first, last = f"{report.since:%m-%d}", f"{report.until:%m-%d}"
    lines.append(muted(f"{'':>{axis}}{first}{last:>{max(1, used - len(first))}}"))
    return lines


def _kind(one: Change) -> str:
    return "failed" if one.failed else "hotfix" if is_hotfix(one) else "planned"


def legend(report: Report) -> Content:
    """What the colours of the bars mean, with their counts; words, for who sees none."""
    kinds = [_kind(one) for one in report.changes]
    parts = [
        Content.assemble(("█ ", _STYLES[kind]), muted(f"{kinds.count(kind)} {kind}"))
        for kind in ("failed", "hotfix", "planned")
        if kinds.count(kind)
    ]
    if report.rollbacks:
        parts.append(muted(f"{report.rollbacks} rolled back"))
    if report.failed_before:
        parts.append(muted(f"{report.failed_before} failed before they went live"))
    return Content("  ").join(parts)


def record_rows(changes: Sequence[Change]) -> list[Row]:
    """The newest first."""
    return [Row(one.deployment.id, _cells(one)) for one in reversed(changes)]


def _cells(one: Change) -> tuple[Content, ...]:
    deployment = one.deployment
    leads = sorted(one.leads)
    if one.failed:
        over = ""
        if one.recovered is not None:
            over = f", over after {spell(max(0.0, (one.recovered - one.at).total_seconds()))}"
        became = Content.assemble(("✖ ", "$t-fail"), f"{one.failed}{over}")
    else:
        became = muted("went well")
    return (
        muted(moment(one.at)[:16]),
        Content(deployment.commit[:7]),
        muted(deployment.version),
        Content.styled(deployment.kind.value, "$t-warn") if is_hotfix(one) else muted(deployment.kind.value),
        muted(spell(deployment.duration) if deployment.duration is not None else "–"),
        muted(spell(leads[len(leads) // 2]) if leads else "–"),
        became,
    )


def record_lines(one: Change) -> list[Content]:
    """A record whole."""
    deployment = one.deployment
    leads = sorted(one.leads)
    told = [
        ("live", moment(one.at)),
        ("commit", f"{deployment.commit} of {deployment.branch}"),
        ("version", deployment.version),
        ("status", f"{deployment.status.value}, {deployment.kind.value}"),
        ("began", moment(deployment.started) if deployment.started is not None else ""),
        ("took", spell(deployment.duration) if deployment.duration is not None else ""),
        (
            "lead times",
            f"{len(leads)} commits, from {spell(leads[0])} to {spell(leads[-1])}" if leads else "not known",
        ),
        ("failed", one.failed),
        ("recovered", moment(one.recovered) if one.recovered is not None else ""),
        ("error", deployment.error),
        ("run", deployment.url),
        ("pull request", f"#{deployment.pull}" if deployment.pull else ""),
        ("written by", deployment.by),
        ("entry", f"{deployment.entry} of the journal"),
        ("id", deployment.id),
    ]
    return [Content.assemble(muted(name.ljust(14)), value) for name, value in told if value]
