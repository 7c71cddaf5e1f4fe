"""The lines of a buffer that pass a filter, kept up to date a slice of time at a time.

It belongs to the reader's thread. The newest lines are looked at first, so that a screen that follows
the end is right at once while a million older lines are still being searched.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

from muva_console.ops.logs.buffer import Block, LogBuffer
from muva_console.ops.logs.filter import FilterError, LogFilter
from muva_console.ops.logs.model import LogLevel, LogLine

SLICE = 0.008
"""Seconds that one refresh may take by default: half a frame at 60 Hz."""
_TEXTS = 16
"""Full blocks whose texts are kept at hand; a screen shows two at most, a search back and forth a few."""


class Entry:
    """A block, and which of its lines pass."""

    __slots__ = ("block", "matches", "scanned")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.matches: array[int] | None = None
        """The places within the block; None when all that is scanned passes."""
        self.scanned = 0

    @property
    def count(self) -> int:
        """Lines that pass, of those looked at so far."""
        return self.scanned if self.matches is None else len(self.matches)

    def place(self, index: int) -> int:
        """The place within the block of the `index`-th line that passes."""
        return index if self.matches is None else self.matches[index]


class LogIndex:
    """The lines that pass, oldest first, by position from 0 and by number (`seq`)."""

    def __init__(self, buffer: LogBuffer) -> None:
        self.buffer = buffer
        self.entries: list[Entry] = []
        self.generation = 0
        """Changes with the filter: positions of before mean nothing then."""
        self.version = 0
        """Changes when a refresh changed anything."""
        self.full = False
        """It is pinned and holds all it may: newer lines are waiting in the buffer."""
        self._filter = LogFilter()
        self._pinned = False
        self._unfinished: list[Entry] = []
        self._sums: list[int] | None = None
        self._texts: dict[int, list[str]] = {}

    @property
    def filter(self) -> LogFilter:
        """The filter in force."""
        return self._filter

    def set_filter(self, wanted: LogFilter) -> None:
        """Look at every line again, as time allows."""
        self._filter = wanted
        self._reset()

    def pin(self, pinned: bool) -> None:
        """While pinned (somebody is reading) no line leaves, though it leave the buffer.

        What is held beyond the buffer is bounded by the buffer's own capacity; at that bound nothing new
        comes in, and `full` says so.
        """
        self._pinned = pinned
        if not pinned:
            self.full = False

    def refresh(self, budget: float = SLICE) -> bool:
        """Take in what is new, drop what left, look at more of the rest for `budget` seconds.

        Returns whether anything changed. A filter whose expression takes too long is dropped, and
        FilterError raised.
        """
        until = time.perf_counter() + budget
        changed = self._follow_buffer()
        while self._unfinished:
            entry = self._unfinished.pop()
            changed |= self._scan(entry)
            if time.perf_counter() > until:
                break
        if changed:
            self._sums = None
            self.version += 1
        return changed

    @property
    def backlog(self) -> int:
        """Lines not looked at yet."""
        return sum(entry.block.count - entry.scanned for entry in self._unfinished)

    def __len__(self) -> int:
        return self._totals()[-1] if self.entries else 0

    @property
    def next_seq(self) -> int:
        """One more than the number of the newest line taken in, whether it passes or not."""
        if not self.entries:
            return self.buffer.first_seq
        last = self.entries[-1]
        return last.block.first + last.scanned

    def line(self, position: int) -> LogLine:
        """The line at a position. Raises IndexError beyond the ends."""
        if not 0 <= position < len(self):
            raise IndexError(position)
        entry, index = self.at(position)
        return self.line_of(entry, index)

    def line_of(self, entry: Entry, index: int) -> LogLine:
        """The `index`-th line that passes of one entry."""
        place = entry.place(index)
        return entry.block.line(place, self._texts_of(entry.block)[place])

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[LogLine]:
        """The lines from one position to before another."""
        stop = len(self) if stop is None else min(stop, len(self))
        for position in range(max(0, start), stop):
            yield self.line(position)

    def locate(self, seq: int) -> tuple[int, int]:
        """Entry number and index within it of the first line that passes numbered `seq` or later."""
        number = bisect_right(self.entries, seq, key=lambda entry: entry.block.first) - 1
        if number < 0:
            return 0, 0
        entry = self.entries[number]
        place = seq - entry.block.first
        index = min(place, entry.scanned) if entry.matches is None else bisect_left(entry.matches, place)
        while number < len(self.entries) - 1 and index >= self.entries[number].count:
            number, index = number + 1, 0
        return number, index

    def position(self, seq: int) -> int:
        """The position of the first line that passes numbered `seq` or later; len() when there is none."""
        if not self.entries:
            return 0
        number, index = self.locate(seq)
        return (self._totals()[number - 1] if number else 0) + index

    def find_level(self, seq: int, step: int, level: LogLevel = LogLevel.ERROR) -> int | None:
        """The number of the next (`step` 1) or previous (-1) line of at least `level` as seen from `seq`.

        Of the lines that pass. A run of such lines without a break (a stack trace) counts as one: its
        first line is meant. None when there is none.
        """
        total = len(self)
        position = self.position(seq)
        if step > 0:
            while position < total and self._loud(position, level):
                position += 1
            while position < total and not self._loud(position, level):
                position = self._beyond_quiet(position, level, 1)
            return self.line(position).seq if position < total else None
        position -= 1
        while position >= 0 and not self._loud(position, level):
            position = self._beyond_quiet(position, level, -1)
        while position > 0 and self._loud(position - 1, level):
            position -= 1
        return self.line(position).seq if position >= 0 else None

    def _loud(self, position: int, level: LogLevel) -> bool:
        entry, index = self.at(position)
        return entry.block.levels[entry.place(index)] >= level

    def _beyond_quiet(self, position: int, level: LogLevel, step: int) -> int:
        """The next position worth looking at: a block without an error is passed over whole."""
        entry, index = self.at(position)
        if level is not LogLevel.ERROR or entry.block.errors:
            return position + step
        return position + (entry.count - index if step > 0 else -index - 1)

    def at(self, position: int) -> tuple[Entry, int]:
        """The entry of a position, and the index within it. Raises IndexError beyond the end."""
        totals = self._totals()
        number = bisect_right(totals, position)
        return self.entries[number], position - (totals[number - 1] if number else 0)

    def _texts_of(self, block: Block) -> list[str]:
        texts = self._texts.get(block.first)
        if texts is None or len(texts) < block.count:
            if len(self._texts) >= _TEXTS:
                del self._texts[next(iter(self._texts))]
            texts = self._texts[block.first] = block.texts()
        return texts

    def _totals(self) -> list[int]:
        if self._sums is None:
            self._sums = list(accumulate(entry.count for entry in self.entries))
        return self._sums

    def _reset(self) -> None:
        for entry in self.entries:
            entry.matches = array("H") if self._filter else None
            entry.scanned = 0
        self._unfinished = list(self.entries)
        self._sums = None
        self.generation += 1
        self.version += 1

    def _follow_buffer(self) -> bool:
        changed = False
        blocks = self.buffer.blocks()
        first = blocks[0].first if blocks else self.buffer.next_seq
        if not self._pinned and self.entries and self.entries[0].block.first < first:
            gone = bisect_left(self.entries, first, key=lambda entry: entry.block.first)
            del self.entries[:gone]
            self._unfinished = [entry for entry in self._unfinished if entry.block.first >= first]
            changed = True
        if self.entries:
            last = self.entries[-1]
            if last.scanned < last.block.count and (not self._unfinished or self._unfinished[-1] is not last):
                self._unfinished.append(last)
            known = last.block.first
            start = bisect_right(blocks, known, key=lambda block: block.first)
            held = last.block.first + last.block.count - self.entries[0].block.first
        else:
            start = held = 0
        self.full = self._pinned and held >= 2 * self.buffer.capacity and start < len(blocks)
        if self.full:
            return changed
        for block in blocks[start:]:
            entry = Entry(block)
            if self._filter:
                entry.matches = array("H")
            self.entries.append(entry)
            self._unfinished.append(entry)
        return changed

    def _scan(self, entry: Entry) -> bool:
        stop = entry.block.count
        if stop == entry.scanned:
            return False
        if entry.matches is not None:
            try:
                entry.matches.extend(self._filter.select(entry.block, entry.scanned, stop))
            except FilterError:
                self.set_filter(LogFilter())
                raise
        entry.scanned = stop
        return True
