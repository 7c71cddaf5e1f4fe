"""A report as SVG and as CSV: for a page or a spread sheet, made of nothing but text."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from xml.sax.saxutils import escape

from muva_console.ops.metrics.dora import Change, Figure, Report
from muva_console.ops.process_findings import spell
from muva_console.ops.release.records import DeploymentKind

WIDTH, HEIGHT, MARGIN = 900, 360, 40
_COLOURS = {"planned": "#4c78a8", "hotfix": "#e0a030", "failed": "#c0392b"}
COLUMNS = (
    "live_at", "commit", "version", "kind", "status", "duration_s", "lead_median_s", "failed", "recovered_at",
)  # fmt: skip
"""Of the table."""
BARS = 60
"""Bars at most; each is a day, or as many as it takes."""


def spelled(figure: Figure) -> str:
    """A figure's value in words: ``0.4 per day``, ``3h 20m``, ``12 %``; ``–`` where there is none."""
    if figure.value is None:
        return "–"
    if figure.unit == "seconds":
        return spell(figure.value)
    if figure.unit == "share":
        return f"{figure.value * 100:.0f} %"
    return f"{figure.value:.2f} {figure.unit}"


def as_csv(report: Report) -> str:
    """The changes, one a line; texts that a spread sheet would take for a formula are made harmless."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "live_at",
            "commit",
            "version",
            "kind",
            "status",
            "duration_s",
            "lead_median_s",
            "failed",
            "recovered_at",
        ]
    )
    for one in report.changes:
        deployment = one.deployment
        leads = sorted(one.leads)
        writer.writerow(
            [
                one.at.isoformat(),
                deployment.commit,
                _plain(deployment.version),
                deployment.kind.value,
                deployment.status.value,
                "" if deployment.duration is None else f"{deployment.duration:.0f}",
                f"{leads[len(leads) // 2]:.0f}" if leads else "",
                _plain(one.failed),
                one.recovered.isoformat() if one.recovered is not None else "",
            ]
        )
    return out.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


def as_svg(report: Report) -> str:
    """Changes by day as bars, failed ones marked, and the five figures beneath."""
    days = max(1, round((report.until - report.since).total_seconds() / 86_400))
    step = -(-days // BARS)
    count = -(-days // step)
    bars: list[list[Change]] = [[] for _ in range(count)]
    for one in report.changes:
        place = int((one.at - report.since) / timedelta(days=step))
        bars[min(max(place, 0), count - 1)].append(one)
    most = max([len(bar) for bar in bars], default=0) or 1
    room, high = (WIDTH - 2 * MARGIN) / count, HEIGHT - 150
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="24" font-size="16">{escape(report.environment)}: changes, '
        f"{report.since:%Y-%m-%d} to {report.until:%Y-%m-%d}</text>",
    ]
    wide = max(1.0, room - 2)
    for place, bar in enumerate(bars):
        for level, one in enumerate(bar):
            tall = high / most
            kind = "failed" if one.failed else "hotfix" if _is_hotfix(one) else "planned"
            x, y = MARGIN + place * room, 40 + high - (level + 1) * tall
            told = escape(f"{one.at:%Y-%m-%d %H:%M} {one.deployment.commit[:7]} {one.failed}".strip())
            lines.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{max(1.0, tall - 1):.1f}" '
                f'fill="{_COLOURS[kind]}"><title>{told}</title></rect>'
            )
    base = 40 + high
    lines.append(f'<line x1="{MARGIN}" y1="{base}" x2="{WIDTH - MARGIN}" y2="{base}" stroke="#888888"/>')
    for place, figure in enumerate(report.figures):
        few = "  (too few)" if figure.few else ""
        text = escape(f"{figure.name}: {spelled(figure)}, n = {figure.n}{few}")
        lines.append(f'<text x="{MARGIN}" y="{base + 24 + 18 * place}">{text}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _is_hotfix(one: Change) -> bool:
    return one.deployment.kind is DeploymentKind.HOTFIX
