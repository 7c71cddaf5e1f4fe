"""Rows of the log view to lines and back: one row a line, or several where long lines are wrapped."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from itertools import accumulate

from rich.cells import get_character_cell_size

from muva_console.ops.logs.index import Entry, LogIndex

BUDGET = 0.008
"""Seconds a refresh may spend on measuring wrapped lines; what is not measured yet counts as one row."""


def breaks(text: str, width: int) -> list[int]:
    """Where the rows of `text` begin when it is cut at `width` cells; always at least one row."""
    if text.isascii():
        return list(range(0, len(text), width)) or [0]
    starts, used = [0], 0
    for place, character in enumerate(text):
        size = get_character_cell_size(character)
        if used + size > width and place > starts[-1]:
            starts.append(place)
            used = 0
        used += size
    return starts


class LogRows:
    """The rows of an index. `width` is the cells that a line's text may take, None when nothing wraps."""

    def __init__(self, index: LogIndex) -> None:
        self.index = index
        self._width: int | None = None
        self._heights: dict[int, array[int]] = {}
        self._generation = index.generation
        self._sums: list[int] | None = None
        self._version = -1

    @property
    def width(self) -> int | None:
        """Cells of text in a row, None when lines are not wrapped."""
        return self._width

    def wrap(self, width: int | None) -> bool:
        """Wrap at `width` cells, or not at all; returns whether that changed anything."""
        if width == self._width:
            return False
        self._width = width
        self._forget()
        return True

    def refresh(self, budget: float = BUDGET) -> bool:
        """Take up what the index took up. Returns whether lines are left to be measured."""
        if self._generation != self.index.generation:
            self._generation = self.index.generation
            self._forget()
        if self._version != self.index.version:
            self._version = self.index.version
            self._sums = None
        if self._width is None:
            return False
        return self._measure(self._width, budget)

    @property
    def total(self) -> int:
        """Rows there are."""
        if self._width is None:
            return len(self.index)
        sums = self._totals()
        return sums[-1] if sums else 0

    def at(self, row: int) -> tuple[int, int] | None:
        """The number of the line at a row, and which of its rows that is; None where there is none."""
        found = self.find(row)
        if found is None:
            return None
        entry, index, part = found
        return entry.block.first + entry.place(index), part

    def find(self, row: int) -> tuple[Entry, int, int] | None:
        """The line at a row as the index keeps it, and which of its rows that is."""
        if not 0 <= row < self.total:
            return None
        if self._width is None:
            return *self.index.at(row), 0
        sums = self._totals()
        number = bisect_right(sums, row)
        entry = self.index.entries[number]
        within = row - (sums[number - 1] if number else 0)
        heights = self._heights.get(entry.block.first)
        measured = heights[-1] if heights else 0
        if not heights or within >= measured:
            return entry, len(heights or ()) + within - measured, 0
        index = bisect_right(heights, within)
        return entry, index, within - (heights[index - 1] if index else 0)

    def row_of(self, seq: int, part: int = 0) -> int:
        """The row of a line by its number; of the next line that is shown when that one is not."""
        if self._width is None:
            return self.index.position(seq)
        if not self.index.entries:
            return 0
        number, index = self.index.locate(seq)
        sums = self._totals()
        row = sums[number - 1] if number else 0
        entry = self.index.entries[number]
        heights = self._heights.get(entry.block.first)
        measured = len(heights) if heights else 0
        if not heights or index > measured:
            return row + (heights[-1] if heights else 0) + index - measured
        row += heights[index - 1] if index else 0
        if index < measured and entry.block.first + entry.place(index) == seq:
            height = heights[index] - (heights[index - 1] if index else 0)
            row += min(part, height - 1)
        return row

    def _forget(self) -> None:
        self._heights.clear()
        self._sums = None

    def _totals(self) -> list[int]:
        if self._sums is None:
            self._sums = list(accumulate(map(self._rows, self.index.entries)))
        return self._sums

    def _rows(self, entry: Entry) -> int:
        heights = self._heights.get(entry.block.first)
        return heights[-1] + entry.count - len(heights) if heights else entry.count

    def _measure(self, width: int, budget: float) -> bool:
        until = time.perf_counter() + budget
        entries = self.index.entries
        if len(self._heights) > len(entries):
            first = entries[0].block.first if entries else 0
            self._heights = {key: value for key, value in self._heights.items() if key >= first}
        for entry in reversed(entries):
            heights = self._heights.get(entry.block.first)
            if heights is None:
                heights = self._heights[entry.block.first] = array("I")
            if len(heights) >= entry.count:
                continue
            if time.perf_counter() > until:
                return True
            texts = entry.block.texts()
            top = heights[-1] if heights else 0
            for index in range(len(heights), entry.count):
                text = texts[entry.place(index)]
                if len(text) <= width and text.isascii():
                    top += 1
                else:
                    top += len(breaks(text, width))
                heights.append(top)
            self._sums = None
        return False
