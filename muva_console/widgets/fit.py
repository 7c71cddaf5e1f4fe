"""Narrow is a design: lines whose parts fall away in a chosen order until the rest fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content


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
