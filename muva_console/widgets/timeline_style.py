"""A moment of a time line as a line: its time, who tells it, how loud it is, its text in its own colours."""

from __future__ import annotations

from textual.content import Content

from muva_console.ops.deploys.ansi import RGB, Look
from muva_console.ops.deploys.joblog import Mark
from muva_console.ops.deploys.timeline import Moment, Source
from muva_console.ops.logs.model import Clock, LogLevel

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_CUBE = (0, 95, 135, 175, 215, 255)
"""The steps of xterm's colour cube (colours 16 to 231)."""
_WHO = {
    Source.WORKFLOW: "step",
    Source.JOB: "log",
    Source.HOST: "host",
    Source.PM2: "pm2",
    Source.APPLICATION: "app",
    Source.HEALTH: "health",
    Source.NOTE: "note",
}


def moment_line(one: Moment, *, folded: bool) -> Content:
    """``10:00:04 host  · text``; a group's head says whether it is folded."""
    time = f"{'~' if one.clock is Clock.ESTIMATED else ' '}{one.at:%H:%M:%S} {_WHO[one.source]:<6} "
    if one.mark is Mark.GROUP:
        glyph, style = ("▸", "$t-strong") if folded else ("▾", "$t-strong")
    elif one.level >= LogLevel.ERROR:
        glyph, style = "✖", "$t-fail"
    elif one.level >= LogLevel.WARN:
        glyph, style = "▲", "$t-warn"
    else:
        glyph, style = " ", "$t-strong" if one.source is Source.WORKFLOW else ""
    text = Content(one.text)
    if style:
        text = Content.styled(one.text, style)
    else:
        for span in one.spans:
            if look := _style(span.look):
                text = text.stylize(look, span.start, span.end)
    return Content.assemble((time, "$t-muted"), (f"{glyph} ", style), "  " * one.depth, text)


def plain(one: Moment) -> str:
    """The same for a file or the clipboard: with its whole time, without colours."""
    return f"{one.at:%Y-%m-%dT%H:%M:%SZ} {_WHO[one.source]:<6} {'  ' * one.depth}{one.text}"


def _style(look: Look) -> str:
    flags = ("bold", "dim", "italic", "underline", "reverse", "strike")
    words = [name for name in flags if getattr(look, name)]
    if look.colour is not None:
        words.append(_colour(look.colour))
    if look.ground is not None:
        words.append(f"on {_colour(look.ground)}")
    return " ".join(words)


def _colour(number: int) -> str:
    if number >= RGB:
        return f"#{number - RGB:06x}"
    if number < 16:
        return f"ansi_{'bright_' if number > 7 else ''}{_NAMES[number % 8]}"
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    index = number - 16
    return "#" + "".join(f"{_CUBE[index // size % 6]:02x}" for size in (36, 6, 1))
