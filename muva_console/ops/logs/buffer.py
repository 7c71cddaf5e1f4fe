"""The last lines of the logs in hand: a ring of columns, written by one thread and read by another.

A line is not kept as an object. Lines are gathered into blocks; a full block is one run of UTF-8 and a
few arrays, which takes little more than the text itself and lets a filter reject 512 lines with one
search. Blocks never change once they are full, so a reader may hold on to one that has left the ring.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Origin

CAPACITY = 100_000
"""Lines kept by default: at 20 lines a second an hour and a half."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of text kept by default, whatever the number of lines."""
BLOCK_LINES = 512
BLOCK_BYTES = 256 * 1024
"""A block is full at this many lines or characters, whichever comes first."""

_LEVELS = tuple(LogLevel)
_CLOCKS = tuple(Clock)
_NO_TIME = -(1 << 62)


class LogState(Struct, frozen=True, kw_only=True):
    """How the lines of one host come in, as the log's status line tells it."""

    host: str
    live: bool
    """False while the history is read and while a connection is lost: then nothing shown is live."""
    detail: str
    """``live by PM2's bus``, ``live by tail -F``, ``reading the history``, ``connection lost``."""
    since: datetime
    error: str = ""


class Block:
    """Up to 512 lines in a row. Grows at its end while it is the newest, then never changes."""

    __slots__ = (
        "_blob",
        "_lines",
        "_table",
        "clocks",
        "count",
        "errors",
        "first",
        "levels",
        "origins",
        "size",
        "times",
    )

    def __init__(self, first: int, table: list[Origin]) -> None:
        self.first = first
        """The number of its first line."""
        self.count = 0
        """Lines in it; set last, so that what is counted is there."""
        self.errors = 0
        self.size = 0
        """Characters of text."""
        self.levels = bytearray()
        self.clocks = bytearray()
        self.origins = array("H")
        self.times = array("q")
        self._table = table
        self._lines: list[str] | None = []
        self._blob = b""

    def extend(self, lines: Sequence[LogLine], texts: list[str], origins: list[int]) -> None:
        """Add lines (the writer's thread only)."""
        levels = bytes([line.level for line in lines])
        self.levels += levels
        self.clocks += bytes([line.clock for line in lines])
        self.origins.extend(origins)
        self.times.extend([_NO_TIME if line.at_ms is None else line.at_ms for line in lines])
        self.errors += levels.count(LogLevel.ERROR)
        self.size += sum(map(len, texts))
        assert self._lines is not None
        self._lines += texts
        self.count += len(texts)

    @property
    def full(self) -> bool:
        """Whether the next line belongs in a new block."""
        return self.count >= BLOCK_LINES or self.size >= BLOCK_BYTES

    def seal(self) -> None:
        """Give up the lines as objects (the writer's thread only)."""
        assert self._lines is not None
        self._blob = "\n".join(self._lines).encode("utf-8", "replace")
        self._lines = None

    def texts(self) -> list[str]:
        """The text of every line: made anew each time for a full block, so keep it while it is needed."""
        lines = self._lines
        return self._blob.decode("utf-8").split("\n") if lines is None else lines[: self.count]

    def text(self) -> str | None:
        """All lines in one string, for a search that rejects the block at once; None while it grows."""
        return self._blob.decode("utf-8") if self._lines is None else None

    def line(self, index: int, text: str) -> LogLine:
        """The line at `index`, whose text is `text`, as an object."""
        at_ms = self.times[index]
        return LogLine(
            self._table[self.origins[index]],
            text,
            _LEVELS[self.levels[index]],
            None if at_ms == _NO_TIME else at_ms,
            _CLOCKS[self.clocks[index]],
            self.first + index,
        )

    def origin(self, number: int) -> Origin:
        """The origin that `origins` calls `number`."""
        return self._table[number]


class LogBuffer:
    """The last `capacity` lines (at most 511 more: whole blocks leave).

    `append`, `clear` and `set_state` are for one writer's thread; everything else may be read by another.
    """

    def __init__(self, capacity: int = CAPACITY, *, max_bytes: int = MAX_BYTES) -> None:
        self.capacity = max(1, capacity)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._blocks: deque[Block] = deque()
        self._next = 0
        self._size = 0
        self._origins: list[Origin] = []
        self._numbers: dict[Origin, int] = {}
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._states: dict[str, LogState] = {}
        self._version = 0
        self._named = 0
        self._processes: frozenset[str] = frozenset()

    @property
    def version(self) -> int:
        """Changes whenever anything does."""
        return self._version

    @property
    def next_seq(self) -> int:
        """The number that the next line will get: how many lines there ever were."""
        return self._next

    @property
    def first_seq(self) -> int:
        """The number of the oldest line still here."""
        with self._lock:
            return self._blocks[0].first if self._blocks else self._next

    def __len__(self) -> int:
        return self._next - self.first_seq

    @property
    def errors(self) -> int:
        """Lines of level error still here."""
        return sum(block.errors for block in self.blocks())

    def blocks(self) -> list[Block]:
        """The blocks now in the ring, oldest first; only the last may still grow."""
        with self._lock:
            return list(self._blocks)

    def processes(self) -> frozenset[str]:
        """The names of all processes that ever had a line here."""
        if len(self._origins) != self._named:
            self._named = len(self._origins)
            self._processes = frozenset(one.process for one in tuple(self._origins) if one.process)
        return self._processes

    def states(self) -> list[LogState]:
        """How the lines of each host come in, by host."""
        return [state for _, state in sorted(self._states.copy().items())]

    def set_state(self, state: LogState) -> None:
        """Tell how the lines of a host come in from now on."""
        self._states[state.host] = state
        self._changed()

    def append(self, lines: Sequence[LogLine]) -> None:
        """Add lines at the end; the oldest leave."""
        if not lines:
            return
        begin = 0
        while begin < len(lines):
            block = self._open()
            part = lines[begin : begin + BLOCK_LINES - block.count]
            texts = [line.text for line in part]
            room = BLOCK_BYTES - block.size
            if sum(map(len, texts)) > room:
                texts = texts[: _fitting(texts, room)]
                part = part[: len(texts)]
            if any("\n" in text for text in texts):
                texts = [text.replace("\n", " ") for text in texts]
            block.extend(part, texts, self._number(part))
            self._next = block.first + block.count
            self._size += sum(map(len, texts))
            if block.full:
                block.seal()
            begin += len(part)
        self._evict()
        self._changed()

    def clear(self) -> None:
        """Forget every line; numbers go on."""
        with self._lock:
            self._blocks.clear()
            self._size = 0
        self._changed()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` in the writer's thread after each change; it must be quick. Returns how to stop."""
        with self._lock:
            self._listeners = (*self._listeners, callback)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not callback)

        return stop

    def _open(self) -> Block:
        with self._lock:
            if not self._blocks or self._blocks[-1].full:
                self._blocks.append(Block(self._next, self._origins))
            return self._blocks[-1]

    def _number(self, lines: Sequence[LogLine]) -> list[int]:
        last: Origin | None = None
        number = 0
        numbers = []
        for line in lines:
            origin = line.origin
            if origin is not last:
                known = self._numbers.get(origin)
                if known is None:
                    known = len(self._origins)
                    self._origins.append(origin)
                    self._numbers[origin] = known
                last, number = origin, known
            numbers.append(number)
        return numbers

    def _evict(self) -> None:
        with self._lock:
            while len(self._blocks) > 1:
                oldest = self._blocks[0]
                kept = self._next - oldest.first - oldest.count
                if kept < self.capacity and self._size <= self._max_bytes:
                    break
                self._size -= oldest.size
                self._blocks.popleft()

    def _changed(self) -> None:
        self._version += 1
        for callback in self._listeners:
            callback()


def _fitting(texts: list[str], room: int) -> int:
    """How many of `texts` go into a block with `room` characters left: at least one."""
    for count, text in enumerate(texts, 1):
        room -= len(text)
        if room <= 0:
            return count
    return len(texts)
