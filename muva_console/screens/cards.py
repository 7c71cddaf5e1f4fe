"""An environment in seven lines, or in three where it is narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.feed import Freshness
from muva_console.ops.health.words import floored
from muva_console.ops.readings import Level, worst
from muva_console.screens.board import Topic
from muva_console.screens.facts import process_level, standing
from muva_console.screens.tracks import series
from muva_console.widgets.fit import Part, crop, fit
from muva_console.widgets.format import milliseconds, short
from muva_console.widgets.level import GLYPH, STYLE, mark_of, muted
from muva_console.widgets.plot import plot
from muva_console.widgets.spark import sparkline

if TYPE_CHECKING:
    from muva_console.screens.board import Board

_LABEL = 11
"""Cells of the label at the beginning of a line."""


def card_lines(board: Board, environment: str, width: int, height: int) -> list[Content]:
    """The card's lines, each at most `width` cells wide: three where `height` gives no more, and a plot
    below where it gives plenty.
    """
    compact = height < 6
    of = board.environment(environment)
    lines = [_head(board, environment, width), _code(board, environment, width, compact=compact)]
    migrations = _migrations(board, environment)
    if migrations is not None and not compact:
        lines.append(crop(Content.assemble(_label("migrations"), migrations), width))
    processes = _processes(board, environment, width)
    times = [line for line in (_time(board, environment, which, width) for which in ("api", "db")) if line]
    if compact:
        both = [part for part in (processes, *times) if part is not None]
        first = _joined(processes, times, board, environment, width) if both else None
        return [*lines, first] if first is not None else lines
    if processes is not None:
        lines.append(processes)
    lines += times
    hosts = _hosts(board, environment, width)
    lines += hosts
    if of.config.url is None and not of.hosts:
        lines.append(muted("no address, no host: nothing to ask"))
    room = height - len(lines) - 1
    if room >= 3:
        lines += _plotted(board, environment, width, room)
    return lines


def _label(text: str) -> Content:
    return muted(text.ljust(_LABEL))


def _head(board: Board, environment: str, width: int) -> Content:
    level, word, since = standing(board, environment)
    left = mark_of(level, word)
    if since:
        left = Content.assemble(left, muted(f" {since}"))
    right = []
    report = board.health(environment).value
    week = board.weeks.get(environment)
    if week is not None and week.availability is not None:
        spent = week.budget.left is not None and week.budget.left < 0
        told = Content.styled(f"{floored(week.availability)} 7d", "$t-warn" if spent else "$t-muted")
        right.append(Part(told, 20))
    if report is not None and report.version:
        right.append(Part(muted(report.version), 10))
    return fit([Part(left, 90)], right, width)


def _migrations(board: Board, environment: str) -> Content | None:
    """How the migrations stand; None where there is no database."""
    if board.environment(environment).config.database is None:
        return None
    snapshot = board.migrations()
    matrix = snapshot.value
    if matrix is None or environment not in [column.environment for column in matrix.columns]:
        if snapshot.error is not None:
            return Content.styled(f"? {snapshot.error.what}", STYLE[Level.UNKNOWN])
        return muted("◐ asking" if snapshot.asking else "◌ not asked")
    from muva_console.screens.migrations_text import standing_mark

    mark = standing_mark(matrix.columns[matrix.place(environment)], brief=True)
    if snapshot.freshness(board.monotonic()) in (Freshness.STALE, Freshness.UNREACHABLE):
        return Content.assemble(mark, muted(" ⌛"))
    return mark


def _code(board: Board, environment: str, width: int, *, compact: bool) -> Content:
    """Branch and commit: what is served, and where the branch stands; where there is no line for migrations,
    what they have to tell.
    """
    branch = board.environment(environment).config.branch
    report = board.health(environment).value
    served = report.commit if report is not None else ""
    snapshot = board.repository(environment)
    reading = snapshot.value
    parts = [Part(_label(branch) if len(branch) < _LABEL else Content(f"{branch} "), 90)]
    tip = (reading.remote or reading.head) if reading is not None else None
    head = tip.sha if tip is not None else ""
    shown = served or head
    if shown:
        parts.append(Part(Content(shown[:7]), 80))
    if served and head and not head.startswith(served[:7]):
        parts.append(Part(Content.styled(f"branch is at {head[:7]}", "$t-muted"), 50))
    elif tip is not None:
        parts.append(Part(muted(tip.subject), 20))
    if not shown:
        parts.append(Part(muted("commit not known"), 40))
    right = []
    migrations = _migrations(board, environment) if compact else None
    if migrations is not None and migrations.plain[:1] in "▲✖◌" and "ask" not in migrations.plain:
        right.append(Part(migrations, 60))
    if reading is not None:
        apart = [f"{each.ahead} ahead of {each.branch}" for each in reading.comparisons if each.ahead]
        if apart:
            right.append(Part(muted(apart[0]), 25))
    if tip is not None and head.startswith(shown[:7]):
        right.append(Part(muted(f"{short((board.now() - tip.at).total_seconds())} ago"), 30))
    return fit(parts, right, width)


def _processes(board: Board, environment: str, width: int) -> Content | None:
    of = board.environment(environment)
    if not of.hosts:
        return None
    total = up = 0
    levels: list[Level] = []
    restarts = 0
    newest: float | None = None
    unknown: list[str] = []
    for host in of.hosts:
        snapshot = board.processes(environment, host)
        listing = snapshot.value
        freshness = snapshot.freshness(board.monotonic())
        if listing is None or freshness in (Freshness.UNREACHABLE, Freshness.STALE):
            unknown.append(host)
        if listing is None:
            continue
        for process in listing.processes:
            if of.config.processes and process.name not in of.config.processes:
                continue
            total += 1
            up += process.status == "online"
            levels.append(process_level(process, of.config.thresholds.restarts))
            restarts += process.restarts_in_window or 0
            uptime = listing.uptime(process)
            newest = uptime if newest is None else min(newest, uptime) if uptime is not None else newest
        missing = set(of.config.processes) - {process.name for process in listing.processes}
        levels += [Level.FAIL] * len(missing)
        total += len(missing)
    label = _label("processes")
    if unknown and not total:
        snapshot = board.processes(environment, unknown[0])
        if snapshot.error is None:
            return crop(
                Content.assemble(label, muted("◐ asking" if snapshot.asking else "◌ not asked")), width
            )
        text = Content.styled(f"? {unknown[0]}: {snapshot.error.what}", STYLE[Level.UNKNOWN])
        return crop(Content.assemble(label, text), width)
    if unknown:
        levels.append(Level.UNKNOWN)
    level = worst(levels) if levels else Level.UNKNOWN
    count = f"{up} up" if up == total and not unknown else f"{up} of {total} up"
    if not total:
        count = "none in PM2"
    parts = [Part(Content.assemble(label, (f"{GLYPH[level]} ", STYLE[level]), count), 90)]
    if newest is not None and up:
        parts.append(Part(muted(short(newest)), 50))
    if restarts:
        style = STYLE[level] if level is not Level.OK else "$t-muted"
        parts.append(Part(Content.styled(f"{restarts} restarts", style), 60))
    if unknown:
        parts.append(Part(Content.styled(f"{', '.join(unknown)}?", STYLE[Level.UNKNOWN]), 55))
    return fit(parts, [], width)


def _time(board: Board, environment: str, which: str, width: int) -> Content | None:
    """A latency with its history: ``api  82 ms ▁▁▂▁▁ p95 95 ms``."""
    track = series(board, environment, which)
    if track is None:
        return None
    now = milliseconds(track.last)
    roomy = width >= 44
    label = muted(which.ljust(_LABEL if roomy else 4))
    figure = Content.styled(now.rjust(7), STYLE[track.level] if track.level is not Level.OK else "")
    limit = track.note if roomy else track.note.removesuffix(" ms")
    room = width - label.cell_length - 8 - (len(limit) + 1 if limit else 0)
    spark = sparkline(track.values, max(0, min(room, 60)), levels=track.levels, ceiling=track.ceiling)
    parts = [Part(Content.assemble(label, figure, " "), 90), Part(spark, 50)]
    return fit(parts, [Part(muted(limit), 20)] if limit else [], width, gap="")


def _plotted(board: Board, environment: str, width: int, height: int) -> list[Content]:
    """The answer times as a plot, where there is room for one."""
    track = series(board, environment, "api")
    if track is None or sum(value is not None for value in track.values) < 2:
        return []
    return [
        Content(""),
        *plot(track.values, width, height, levels=track.levels, limit=track.limit, ceiling=track.ceiling),
    ]


def _hosts(board: Board, environment: str, width: int) -> list[Content]:
    """One line for the worst host: memory, disk, load."""
    of = board.environment(environment)
    lines = []
    for host in of.hosts[:1]:
        snapshot = board.resources(environment, host)
        if board.feed(Topic("resources", environment, host)) is None:
            continue
        value = snapshot.value
        if value is None:
            lines.append(Content.assemble(_label(host[: _LABEL - 1]), muted("not read yet")))
            continue
        limits = of.config.thresholds
        disk = max((each.used_fraction for each in value.filesystems), default=None)
        pieces = [
            _share("memory", value.memory_fraction, limits.memory),
            _share("disk", disk, limits.disk) if disk is not None else muted("disk ?"),
            muted(f"load {value.load[0]:.1f}"),
        ]
        more = f" +{len(of.hosts) - 1}" if len(of.hosts) > 1 else ""
        label = _label(f"{host[: _LABEL - 1 - len(more)]}{more}")
        lines.append(crop(Content.assemble(label, Content("  ").join(pieces)), width))
    return lines


def _share(what: str, fraction: float, limit: float) -> Content:
    style = "$t-warn" if fraction > limit else "$t-muted"
    return Content.assemble(muted(f"{what} "), (f"{fraction * 100:.0f} %", style if fraction > limit else ""))


def _joined(
    processes: Content | None, times: list[Content], board: Board, environment: str, width: int
) -> Content:
    """Processes and both latencies in one line, for eighty columns."""
    parts = []
    if processes is not None:
        text = processes.rstrip()[_LABEL:]
        parts.append(Part(text, 90))
    for which in ("api", "db"):
        track = series(board, environment, which)
        if track is None:
            continue
        style = STYLE[track.level] if track.level is not Level.OK else ""
        figure = Content.assemble(muted(f"{which} "), (milliseconds(track.last), style), " ")
        spark = sparkline(track.values, 12, levels=track.levels, ceiling=track.ceiling)
        parts.append(Part(Content.assemble(figure, spark), 60, figure))
    return fit(parts, [], width, gap="  ")
