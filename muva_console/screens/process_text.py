"""A process as cells of a row, and as the lines of its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.feed import Freshness, Snapshot
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.process_findings import judge
from muva_console.ops.readings import Level
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import commit, duration, moment, percent, plural, short, size
from muva_console.widgets.level import GLYPH, STYLE, mark, muted, strong
from muva_console.widgets.spark import gauge

if TYPE_CHECKING:
    from muva_console.screens.board import Board


def process_cells(listing: ProcessList, process: Process, level: Level, *, old: bool) -> tuple[Content, ...]:
    """The cells of a row. An old reading's good news is not told as good news."""
    if old:
        status = Content.styled(f"? {process.status}", STYLE[Level.UNKNOWN])
    else:
        status = Content.styled(f"{GLYPH[level]} {process.status}", STYLE[level])
    uptime = listing.uptime(process)
    share = process.own_memory / process.memory_limit if process.memory_limit and process.own_memory else None
    lately = process.restarts_in_window
    return (
        status,
        Content(process.name),
        muted(process.host),
        Content(f"{process.cpu:.0f} %") if process.pid else muted("–"),
        Content(size(process.memory)) if process.pid else muted("–"),
        Content.styled(percent(share), "$t-warn" if share > 0.9 else "") if share is not None else muted("–"),
        Content(f"{process.restarts:,}"),
        muted("?") if lately is None else Content.styled(f"{lately}", STYLE[level]) if lately else muted("0"),
        Content(duration(uptime) if uptime is not None and uptime < 3600 else short(uptime)),
        muted(str(process.pid) if process.pid else "–"),
        Content(commit(process.commit)) if process.commit else muted("–"),
        muted(str(process.pm_id)),
    )


def process_lines(
    board: Board, environment: str, snapshot: Snapshot[ProcessList], process: Process, width: int
) -> list[Content]:
    """All that is known of a process, and what it means."""
    listing = snapshot.value
    if listing is None:
        return []
    thresholds = board.environment(environment).config.thresholds
    lines: list[Content] = []
    now = board.now()
    for finding in judge(listing, [process.name], thresholds, now):
        if finding.subject.startswith(f"{process.name} on "):
            lines += [Content.assemble(mark(finding.level), "  ", finding.summary), Content("")]
    freshness = snapshot.freshness(board.monotonic())
    if freshness in (Freshness.STALE, Freshness.UNREACHABLE):
        why = f": {snapshot.error}" if snapshot.error is not None else ""
        lines.insert(0, Content.styled(f"? {freshness.value}{why}", STYLE[Level.UNKNOWN]))
    facts: list[tuple[str, Content]] = [
        ("status", Content(f"{process.status}, pid {process.pid}" if process.pid else process.status)),
        ("since", _since(listing, process)),
        ("restarts", _restarts(process, thresholds.restart_window)),
        ("last end", _last_end(process)),
        ("cpu", Content(f"{process.cpu:.1f} % of a core" if process.pid else "–")),
        ("memory", _memory(process)),
    ]
    if process.memory_limit:
        share = process.own_memory / process.memory_limit
        room = max(8, min(24, width - 30))
        bar = Content.assemble(
            gauge(share, room, limit=0.9), f"  {percent(share)} of {size(process.memory_limit)}"
        )
        facts.append(("limit", bar))
    else:
        facts.append(("limit", muted("none: PM2 never restarts it for its memory")))
    facts += [
        (
            "commit",
            Content(f"{process.commit[:7]} {process.branch}".strip())
            if process.commit
            else muted("not known"),
        ),
        ("mode", Content(f"{process.exec_mode or '–'}, {plural(process.instances, 'instance')}")),
        (
            "runs",
            Content(
                " ".join(
                    p
                    for p in (f"node {process.node_version}" if process.node_version else "", process.version)
                    if p
                )
                or "–"
            ),
        ),
        ("in", Content(process.cwd or "–")),
        ("logs", Content(process.out_log or "–")),
        ("", Content(process.err_log)),
        (
            "read by",
            muted(
                f"{listing.source}, PM2 {listing.daemon_version}"
                if listing.daemon_version
                else listing.source
            ),
        ),
    ]
    for name, value in facts:
        if value.plain:
            lines.append(Content.assemble(muted(name.ljust(10)), value))
    return wrapped(lines, width)


def _since(listing: ProcessList, process: Process) -> Content:
    uptime = listing.uptime(process)
    if uptime is None:
        return muted("not running")
    return Content.assemble(f"up {duration(uptime)}", muted(f"  {moment(process.started_at)}"))


def _restarts(process: Process, window: float) -> Content:
    lately = process.restarts_in_window
    counted = (
        "how many lately is not known yet"
        if lately is None
        else f"{lately} unasked in the last {short(window)}"
    )
    memory = f", {process.memory_restarts} for memory" if process.memory_restarts else ""
    return Content.assemble(f"{process.restarts:,} in all, ", counted, memory)


def _last_end(process: Process) -> Content:
    if process.last_signal:
        return Content(f"by {process.last_signal}")
    if process.exit_code is not None:
        return Content(f"with code {process.exit_code}")
    return Content("")


def _memory(process: Process) -> Content:
    if not process.pid:
        return muted("–")
    if process.tree and process.memory != process.own_memory:
        return Content.assemble(
            strong(size(process.memory)), f" with its children, {size(process.own_memory)} its own"
        )
    note = "" if process.tree else "  its children are not counted"
    return Content.assemble(size(process.memory), muted(note))
