"""Narrow is a design: lines whose parts fall away in a chosen order until the rest fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.content import Content

WIDTHS: list[tuple[int, str]] = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]
"""Columns from which a class applies; at 80 panels stack, at 160 detail opens beside the list."""
HEIGHTS: list[tuple[int, str]] = [(0, "-short"), (32, "-tall"), (50, "-high")]
"""Rows from which a class applies."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a line. Where space lacks the lowest `keep` gives way: to `shorter`, then to nothing."""

    text: Content
    keep: int = 0
    shorter: Content | None = None


def fit(left: Sequence[Part], right: Sequence[Part], width: int, *, gap: Content | str = " ") -> Content:
    """One line of exactly `width` cells: `left` from the left, `right` at the end, parts joined by `gap`."""
    spacer = Content(gap) if isinstance(gap, str) else gap
    parts: list[list[Part]] = [list(left), list(right)]

    def line(which: int) -> Content:
        return spacer.join([part.text for part in parts[which]]) if parts[which] else Content("")

    while True:
        first, second = line(0), line(1)
        used = first.cell_length + second.cell_length + (1 if first and second else 0)
        if used <= width:
            break
        candidates = [
            (part.keep, -index, which, index) for which in (0, 1) for index, part in enumerate(parts[which])
        ]
        if len(candidates) <= 1:
            break
        _, _, which, index = min(candidates)
        part = parts[which][index]
        if part.shorter is not None:
            parts[which][index] = Part(part.shorter, part.keep)
        else:
            del parts[which][index]
    if not second:
        return crop(first, width)
    return first.pad_right(max(0, width - first.cell_length - second.cell_length)) + second


def crop(text: Content, width: int) -> Content:
    """`text` in exactly `width` cells; what was cut ends in an ellipsis."""
    if width <= 0:
        return Content("")
    return text.truncate(width, ellipsis=True, pad=True)


_LABEL = re.compile(r"(?:\S{1,12}\s{2,}|.{0,2}\S{1,12}\s{2,})")
"""The label at the beginning of a line, with the space behind it."""


def wrapped(lines: Iterable[Content], width: int) -> list[Content]:
    """Lines of at most `width` cells; what goes on begins where its line's text began."""
    out: list[Content] = []
    for line in lines:
        if line.cell_length <= width or width <= 4:
            out.append(line)
            continue
        label = _LABEL.match(line.plain)
        indent = min(label.end() if label else len(line.plain) - len(line.plain.lstrip()), width // 2)
        first, *rest = line.wrap(width)
        out.append(first.rstrip())
        if not rest:
            continue
        remainder = line[len(first.plain.rstrip()) :]
        text = remainder.plain.lstrip()
        remainder = remainder[len(remainder.plain) - len(text) :]
        pad = " " * indent
        out.extend(Content(pad) + piece.rstrip() for piece in remainder.wrap(max(4, width - indent)))
    return out
