"""The evidence behind a finding, and the readings around it, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.feed import Freshness
from muva_console.ops.readings import Finding, Level
from muva_console.screens.board import Topic
from muva_console.screens.frame import why_not
from muva_console.screens.tracks import Track, hysteresis, series
from muva_console.widgets.fit import Part, crop, fit
from muva_console.widgets.format import duration, milliseconds, moment, percent, plural, short, size
from muva_console.widgets.level import STYLE, mark, muted, strong
from muva_console.widgets.plot import plot
from muva_console.widgets.spark import gauge

if TYPE_CHECKING:
    from muva_console.ops.links.answers import DatabaseReading
    from muva_console.ops.resources import HostResources
    from muva_console.screens.board import Board

_LABEL = 10


def _label(text: str) -> Content:
    return muted(text.ljust(_LABEL))


def finding_lines(board: Board, environment: str, finding: Finding) -> list[Content]:
    """A finding whole: what, why, what a person would type, how it is counted."""
    level = finding.level
    lines = [
        Content.assemble(mark(level), "  ", strong(finding.title or finding.check)),
        Content.assemble(
            "  ", Content.styled(finding.summary, STYLE[level]) if level is not Level.OK else finding.summary
        ),
        Content(""),
    ]
    if finding.subject:
        lines.append(Content.assemble(_label("of"), finding.subject))
    for number, fact in enumerate(finding.evidence):
        lines.append(Content.assemble(_label("seen" if number == 0 else ""), fact))
    if finding.next:
        lines.append(Content.assemble(_label("next"), strong(finding.next)))
    counted = hysteresis(board, environment, finding)
    if counted:
        lines.append(Content.assemble(_label("counted"), counted))
    if finding.command:
        lines.append(Content.assemble(_label("command"), strong(finding.command), muted("   y copies")))
    lines.append(
        Content.assemble(
            _label("asked"), muted(f"{moment(finding.at)}, took {milliseconds(finding.took_ms)}")
        )
    )
    if level is Level.UNKNOWN:
        lines += [
            Content(""),
            muted("Unknown is not ok: something needed for this check could not be asked."),
        ]
    return lines


def history_lines(board: Board, environment: str, width: int, height: int) -> list[Content]:
    """Both latencies, plotted one over the other."""
    if not environment:
        return []
    tracks = [
        (which, track) for which in ("api", "db") if (track := series(board, environment, which)) is not None
    ]
    if not tracks:
        return [muted("No endpoint and no database is configured here.")]
    each = max(3, (height - (len(tracks) - 1)) // len(tracks))
    lines: list[Content] = []
    for number, (which, track) in enumerate(tracks):
        if number:
            lines.append(Content(""))
        lines += _plotted(which, track, width, each)
    return lines


_NAMES = {"api": "api", "db": "database"}


def _plotted(which: str, track: Track, width: int, height: int) -> list[Content]:
    known = [value for value in track.values if value is not None]
    figure = Content.styled(
        milliseconds(track.last), STYLE[track.level] if track.level is not Level.OK else "$t-strong"
    )
    head = fit(
        [Part(Content.assemble(_label(_NAMES[which]), figure), 90)],
        [
            Part(
                muted(
                    "  ".join(part for part in (track.note, duration(track.span) if known else "") if part)
                ),
                20,
            )
        ],
        width,
    )
    if len(known) < 2:
        return [head, muted(" " * _LABEL + "from the second reading on")] if known else [head]
    return [
        head,
        *plot(track.values, width, height - 1, levels=track.levels, limit=track.limit, ceiling=track.ceiling),
    ]


def host_lines(board: Board, environment: str, width: int) -> list[Content]:
    """Memory, disks, CPU of each host, as gauges."""
    hosts = board.environment(environment).hosts if environment else ()
    if not hosts:
        return [muted("No host is configured here.")]
    lines: list[Content] = []
    for host in hosts:
        snapshot = board.resources(environment, host)
        reading = snapshot.value
        if lines:
            lines.append(Content(""))
        if reading is None:
            lines += [Content.assemble(strong(host)), *why_not(snapshot, f"memory and disk of {host}")]
            continue
        lines += _host(reading, board, environment, width)
        if snapshot.error is not None:
            lines.append(Content.styled(f"✖ {snapshot.error}", "$t-fail"))
    return lines


def _host(reading: HostResources, board: Board, environment: str, width: int) -> list[Content]:
    limits = board.environment(environment).config.thresholds
    oom = reading.oom_kills
    killed = (
        Content.styled(f"▲ {plural(oom, 'kill')} for lack of memory since boot", "$t-warn")
        if oom
        else muted("no kill for lack of memory" if oom == 0 else "kills not told")
    )
    head = fit(
        [
            Part(strong(reading.host), 90),
            Part(muted(reading.hostname), 10),
            Part(muted(f"up {short(reading.uptime)}"), 30),
            Part(muted(f"load {reading.load[0]:.2f} of {reading.cores}"), 60),
        ],
        [Part(killed, 70 if oom else 5)],
        width,
        gap="  ",
    )
    room = max(8, min(30, width - 42))
    rows = [head, _gauge("memory", reading.memory_fraction, limits.memory, room, _of(reading))]
    rows += [
        _gauge(
            f"disk {disk.mount}",
            disk.used_fraction,
            limits.disk,
            room,
            f"{size(disk.used)} of {size(disk.size)}",
        )
        for disk in reading.filesystems
    ]
    rows += [
        _gauge(f"inodes {disk.mount}", disk.inodes_fraction, limits.inodes, room, "")
        for disk in reading.filesystems
        if disk.inodes_fraction is not None and disk.inodes_fraction > limits.inodes / 2
    ]
    if reading.cpu_fraction is not None:
        rows.append(_gauge("cpu", reading.cpu_fraction, None, room, plural(reading.cores, "core")))
    if reading.swap_total:
        used = 1 - reading.swap_free / reading.swap_total
        rows.append(_gauge("swap", used, None, room, f"of {size(reading.swap_total)}"))
    return [crop(row, width) for row in rows]


def _of(reading: HostResources) -> str:
    return f"{size(reading.memory_total - reading.memory_available)} of {size(reading.memory_total)}"


def _gauge(name: str, fraction: float | None, limit: float | None, room: int, note: str) -> Content:
    over = fraction is not None and limit is not None and fraction > limit
    figure = Content.styled(percent(fraction).rjust(6), "$t-warn" if over else "")
    return Content.assemble(
        muted(f"  {name[:14]:<14} "), gauge(fraction, room, limit=limit), figure, muted(f"  {note}")
    )


def database_lines(board: Board, environment: str, width: int, *, whole: bool = False) -> list[Content]:
    """Connections, blocked and long queries, critical tables."""
    if not environment or board.feed(Topic("database", environment)) is None:
        return [muted("No database is configured here.")]
    snapshot = board.database(environment)
    reading = snapshot.value
    if reading is None:
        return why_not(snapshot, "the database")
    lines = _database(reading, board, environment, width, whole=whole)
    if snapshot.freshness(board.monotonic()) is Freshness.UNREACHABLE and snapshot.error is not None:
        lines.insert(0, Content.styled(f"✖ {snapshot.error}", "$t-fail"))
    return lines


def _database(
    reading: DatabaseReading, board: Board, environment: str, width: int, *, whole: bool
) -> list[Content]:
    limits = board.environment(environment).config.thresholds
    slow = reading.latency_ms > limits.database * 1000
    figure = Content.styled(milliseconds(reading.latency_ms), "$t-warn" if slow else "$t-strong")
    head = fit(
        [
            Part(figure, 90),
            Part(muted(f"limit {milliseconds(limits.database * 1000)}"), 40),
            Part(Content.styled("in recovery: read-only", "$t-warn"), 80)
            if reading.in_recovery
            else Part(Content("")),
        ],
        [Part(muted(reading.version if whole else reading.version.split(" on ")[0]), 10)],
        width,
    )
    used = reading.connections / reading.max_connections if reading.max_connections else None
    room = max(8, min(30, width - 42))
    note = f"{reading.connections} of {reading.max_connections}"
    lines = [head, crop(_gauge("connections", used, limits.connections, room, note), width)]
    unread = [table for table in reading.tables if not table.readable]
    if reading.tables:
        good = len(reading.tables) - len(unread)
        lines.append(
            Content.assemble(muted("  tables         "), f"{good} of {len(reading.tables)} readable")
        )
    lines += [Content.styled(f"✖ {table.name}: {table.error}", "$t-fail") for table in unread]
    if reading.blocked:
        lines.append(
            Content.styled(
                f"▲ {plural(len(reading.blocked), 'query waits', 'queries wait')} for others", "$t-warn"
            )
        )
        for blocked in reading.blocked if whole else reading.blocked[:2]:
            lines.append(
                Content.assemble(
                    strong(f"  {blocked.pid}"), f" waits {duration(blocked.waiting)}: ", blocked.query
                )
            )
            for pid, query in zip(
                blocked.blockers, (*blocked.blocker_queries, *[""] * len(blocked.blockers)), strict=False
            ):
                lines.append(Content.assemble(muted("    for "), strong(str(pid)), f" {query}"))
    if reading.long_queries:
        lines.append(
            Content.styled(
                f"▲ {plural(len(reading.long_queries), 'query runs', 'queries run')} for long", "$t-warn"
            )
        )
        for busy in reading.long_queries if whole else reading.long_queries[:2]:
            who = " ".join(part for part in (busy.user, busy.application) if part)
            lines.append(
                Content.assemble(
                    strong(f"  {busy.pid}"),
                    f" {duration(busy.running)} {busy.state} ",
                    muted(who),
                    f" {busy.query}",
                )
            )
    if not reading.blocked and not reading.long_queries:
        lines.append(muted("  no query waits for another, none runs for long"))
    if whole:
        lines.append(Content(""))
        for table in reading.tables:
            rows = f"about {table.estimated_rows:,} rows" if table.estimated_rows is not None else ""
            glyph = Content.styled("● ", "$t-ok") if table.readable else Content.styled("✖ ", "$t-fail")
            lines.append(Content.assemble("  ", glyph, table.name, muted(f"  {rows}")))
    return lines if whole else [crop(line, width) for line in lines]
