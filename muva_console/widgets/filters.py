"""Last looks at every line before the terminal gets it: no colour where none is wanted, ASCII where no more
can be shown. They work on whatever was drawn, by us or by a library's widget, so nothing slips past.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_TWINS = {
    "●": "*", "▲": "!", "✖": "X", "◌": "o", "◐": "~", "⏸": "=", "⌛": "%", "◀": "<", "▶": ">", "▸": ">",
    "▾": "v", "▴": "^", "▼": "v", "·": ".", "…": "_", "–": "-", "—": "-", "×": "x", "→": ">", "←": "<",
    "↑": "^", "↓": "v", "↗": "^", "↘": "v", "▏": "|", "▎": "|", "▌": "|", "▐": "|", "│": "|", "┃": "|",
    "║": "|", "─": "-", "━": "=", "═": "=", "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+",
    "┬": "+", "┴": "+", "┼": "+", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "╔": "+", "╗": "+", "╚": "+",
    "╝": "+", "┏": "+", "┓": "+", "┗": "+", "┛": "+", "┊": ":", "╌": "-", "█": "#", "▉": "#", "▊": "#",
    "▋": "#", "▇": "#", "▆": "#", "▅": "+", "▄": "+", "▃": "=", "▂": "-", "▁": "_", "░": ".", "▒": ":",
    "▓": "#", "▔": "-", "▀": "-", "▍": "|", "▕": "|", "⎯": "-", "✓": "v", "✔": "v", "“": '"', "”": '"',
    "‘": "'", "’": "'", "≤": "<", "≥": ">", "±": "~", "µ": "u", "∅": "0", "⚿": "#", "≈": "~", "◆": "*",
    "■": "#", "□": "o", "▪": "*", "◉": "*", "○": "o", "◇": "o", "⋯": "_", "⏎": "<", "⟳": "@", "🔎": ">",
}  # fmt: skip


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """`text` of the same width in cells, in ASCII alone: twins where there are any, else ``?``."""
    if text.isascii():
        return text
    out = []
    for character in text:
        twin = _TWINS.get(character)
        if twin is not None or character.isascii():
            out.append((twin or character).ljust(cell_len(character)))
        elif "\u2800" <= character <= "\u28ff":  # braille: a plot's dots
            out.append(" " if character == "\u2800" else ":")
        else:
            out.append("?" * cell_len(character))
    return "".join(out)


class Ascii(LineFilter):
    """Everything in ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with ASCII text of the same width."""
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


_DEFAULT = Style.from_color(RichColor.parse("default"), RichColor.parse("default"))


class Colourless(LineFilter):
    """No colour at all; bold, dim, reverse and underline stay."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without colours."""
        return [
            Segment(text, None if style is None else _colourless(style), control)
            for text, style, control in segments
        ]


@lru_cache(2048)
def _colourless(style: Style) -> Style:
    return style + _DEFAULT


class Sixteen(LineFilter):
    """The sixteen colours of the terminal's own palette and none else."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with every colour among the sixteen."""
        return [
            Segment(text, None if style is None else _sixteen(style), control)
            for text, style, control in segments
        ]


@lru_cache(2048)
def _sixteen(style: Style) -> Style:
    changed = False
    colours: list[RichColor | None] = []
    for colour in (style.color, style.bgcolor):
        many = colour is not None and colour.triplet is not None
        changed = changed or many
        colours.append(colour.downgrade(ColorSystem.STANDARD) if colour is not None and many else colour)
    return style + Style.from_color(*colours) if changed else style
