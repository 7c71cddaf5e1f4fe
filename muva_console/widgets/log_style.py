"""How a line of a log is drawn: marker, glyph, time, process, text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.style import Style as TextualStyle

from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Stream
from muva_console.widgets.log_rows import breaks

GLYPH: dict[LogLevel, str] = {
    LogLevel.ERROR: "✖",
    LogLevel.WARN: "▲",
    LogLevel.INFO: " ",
    LogLevel.DEBUG: "·",
    LogLevel.NONE: " ",
}
"""Information needs no glyph: a healthy log is quiet."""
PROCESS_WIDTH = 16
"""Cells that a process's name may take; longer ones end in an ellipsis."""

_FALLBACK = {
    "t-fail": "$error",
    "t-warn": "$warning",
    "t-muted": "$text-muted",
    "t-cursor": "reverse",
    "t-strong": "bold",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns stand before the text."""

    time: str = "time"
    """``time`` of day, ``full`` date and time, or ``off``; always UTC."""
    process: int = 0
    """Cells for the process's name, 0 for none."""

    @property
    def width(self) -> int:
        """Cells before the text."""
        return 3 + _TIME_WIDTH[self.time] + (self.process + 1 if self.process else 0)


_TIME_WIDTH = {"off": 0, "time": 10, "full": 26}


@lru_cache(4096)
def _second(second: int) -> tuple[str, str]:
    try:
        at = datetime.fromtimestamp(second, UTC)
    except (ValueError, OverflowError, OSError):
        return "----------", "--:--:--"
    return at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%S")


def time_text(line: LogLine, form: str) -> str:
    """The time column of a line: ``~`` before a time that is an estimate, dashes for none."""
    if line.at_ms is None:
        return " --:--:--" if form == "time" else f" {'':10} --:--:--     "
    day, clock = _second(line.at_ms // 1000)
    mark = "~" if line.clock is Clock.ESTIMATED else " "
    return f"{mark}{clock}" if form == "time" else f"{mark}{day} {clock}.{line.at_ms % 1000:03d}Z"


def plain(line: LogLine, columns: Columns) -> str:
    """A line as it is copied and saved: the columns that are shown, whole."""
    parts = []
    if columns.time != "off":
        parts.append(time_text(line, "full").strip())
    if columns.process and line.process:
        parts.append(line.process)
    return "  ".join([*parts, line.text])


class Painter:
    """Draws lines in one theme. `variables` are the theme's, `base` the style of the widget."""

    def __init__(self, variables: Mapping[str, str], base: Style) -> None:
        known = dict(variables)

        def style(name: str) -> Style:
            wanted = f"${name}" if name in known else _FALLBACK[name]
            return TextualStyle.parse(wanted, known).rich_style

        self.base = base
        self._muted = style("t-muted")
        self._cursor = style("t-cursor")
        self._levels = {
            LogLevel.ERROR: style("t-fail"),
            LogLevel.WARN: style("t-warn"),
            LogLevel.DEBUG: self._muted,
        }
        self._match = style("t-strong") + Style(underline=True)

    def strip(
        self,
        line: LogLine,
        part: int,
        columns: Columns,
        *,
        wrap: int | None,
        left: int,
        width: int,
        mark: str,
        spans: list[tuple[int, int]],
    ) -> Strip:
        """One row of a line, exactly `width` cells.

        `part` is which of its rows when wrapped at `wrap` cells; `left` how many cells of the text are
        scrolled away otherwise; `mark` the marker before it (a cursor or a selection), blank for none;
        `spans` what to highlight in the text.
        """
        base = self.base + self._cursor if mark != " " else self.base
        muted = base + self._muted
        told = base + self._levels.get(line.level, Style.null())
        text_style = muted if line.stream is Stream.NOTE else told
        # every change of style costs some forty bytes on the way to the terminal: as few as can be
        before = ""
        segments: list[Segment] = []
        if part:
            before = " " * (columns.width - 1)
        else:
            if columns.time != "off":
                before = time_text(line, columns.time) + " "
            if columns.process:
                before += _named(line.process, columns.process) + " "
            if (glyph := GLYPH[line.level]) == " ":
                before = f"  {before}"
            else:
                segments.append(Segment(f"{mark}{glyph} ", told))
        segments.append(Segment(before if segments else mark + before, muted))
        room = max(0, width - columns.width)
        text = line.text
        begin, end = left, left + room
        if wrap is not None:
            starts = breaks(text, wrap)
            part = min(part, len(starts) - 1)
            begin = starts[part]
            end = starts[part + 1] if part + 1 < len(starts) else len(text)
        if text.isascii():  # a character is a cell: no need to measure and cut strips
            segments += self._body(text, begin, min(end, len(text)), spans, text_style, room)
        elif wrap is not None:
            segments += self._body(text, begin, end, spans, text_style, room)
        else:
            # far more than fits is not worth cutting into segments
            body = Strip(self._body(text, 0, min(len(text), end), spans, text_style, end))
            segments += body.crop(left, end)
        strip = Strip(segments)
        return strip if strip.cell_length == width else strip.adjust_cell_length(width, base)

    def _body(
        self, text: str, begin: int, end: int, spans: list[tuple[int, int]], style: Style, cells: int
    ) -> list[Segment]:
        """The text from `begin` to `end`, filled up to `cells` cells in its own style."""
        segments = []
        place = begin
        match = style + self._match
        for first, last in spans:
            start, stop = max(first, place), min(last, end)
            if stop <= start:
                continue
            if start > place:
                segments.append(Segment(text[place:start], style))
            segments.append(Segment(text[start:stop], match))
            place = stop
        fill = " " * (cells - cell_len(text[begin:end]))
        if place < end or fill:
            segments.append(Segment(text[place:end] + fill, style))
        return segments


@lru_cache(256)
def _named(name: str, width: int) -> str:
    if cell_len(name) <= width:
        return set_cell_size(name, width)
    return set_cell_size(name, width - 1) + "…"
