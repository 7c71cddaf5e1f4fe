"""A report as SVG, PNG, CSV and data: for a page, a spread sheet, another program."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from msgspec import to_builtins

from muva_console.ops.errors import OpsError
from muva_console.ops.metrics.dora import Change, Figure, Report
from muva_console.ops.process_findings import spell
from muva_console.ops.release.records import DeploymentKind

WIDTH, HEIGHT, MARGIN = 900, 360, 40
_COLOURS = {"planned": "#4c78a8", "hotfix": "#e0a030", "failed": "#c0392b"}
COLUMNS = (
    "live_at", "commit", "version", "kind", "status", "duration_s", "lead_median_s", "failed", "recovered_at",
)  # fmt: skip
"""Of the table."""
_FONTS = (
    ("DejaVu Sans", "DejaVuSans.ttf"),
    ("Liberation Sans", "LiberationSans-Regular.ttf"),
    ("Noto Sans", "NotoSans-Regular.ttf"),
    ("FreeSans", "FreeSans.*tf"),
    ("Open Sans", "OpenSans-Regular.ttf"),
)
_FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts")
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
    writer.writerow(COLUMNS)
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
    bars = by_day(report, BARS)
    count = len(bars)
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
            kind = "failed" if one.failed else "hotfix" if is_hotfix(one) else "planned"
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


def as_png(report: Report, *, width: int = 2 * WIDTH) -> bytes:
    """The same picture as PNG, `width` pixels wide. Raises OpsError where this machine has no font that its
    words could be written with.

    By resvg (MIT), a rasterizer of SVG without a browser or a system library: jump hosts have neither.
    """
    from resvg_py import svg_to_bytes

    found = find_font()
    if found is None:
        raise OpsError(
            "a picture wants a font, and this machine has none of "
            f"{', '.join(family for family, _ in _FONTS)}",
            next="Write SVG, or install one (apt install fonts-dejavu-core).",
        )
    family, file = found
    return bytes(
        svg_to_bytes(
            svg_string=as_svg(report),
            width=width,
            skip_system_fonts=True,
            font_files=[str(file)],
            font_family=family,
            sans_serif_family=family,
        )
    )


def find_font(folders: Sequence[Path] = _FONT_FOLDERS) -> tuple[str, Path] | None:
    """A font of this machine that has Latin letters: its family and its file; None where there is none."""
    for family, name in _FONTS:
        for folder in folders:
            file = next(iter(sorted(folder.rglob(name))), None) if folder.is_dir() else None
            if file is not None:
                return family, file
    return None


def data_of(report: Report) -> dict[str, Any]:
    """The report as plain data, for JSON; each figure with ``too_few``."""
    data: dict[str, Any] = to_builtins(report)
    for figure, source in zip(data["figures"], report.figures, strict=True):
        figure["too_few"] = source.few
    return data


def by_day(report: Report, most: int) -> tuple[tuple[Change, ...], ...]:
    """The changes of a window in at most `most` bars of as many days each, oldest first."""
    days = max(1, round((report.until - report.since).total_seconds() / 86_400))
    step = -(-days // max(1, most))
    count = -(-days // step)
    bars: list[list[Change]] = [[] for _ in range(count)]
    for one in report.changes:
        place = int((one.at - report.since) / timedelta(days=step))
        bars[min(max(place, 0), count - 1)].append(one)
    return tuple(tuple(bar) for bar in bars)


def is_hotfix(one: Change) -> bool:
    """Whether it was made to mend the one before it."""
    return one.deployment.kind is DeploymentKind.HOTFIX
