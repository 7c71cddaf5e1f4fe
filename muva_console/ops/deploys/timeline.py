"""One time line of everything that tells of a deployment: steps, job logs, the host, PM2, health, notes.

A `Moment` never changes and has an id that no other has, on any console. It comes when it is known, which
may be late: a job's log is there when the job is over. So the time line keeps two orders: that of arrival,
which only grows and which a view reads on from where it was, and that of time (`Moment.key`). A view that
keeps hold of a moment by its id is not moved by what is put in before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from muva_console.ops.deploys.ansi import Span
from muva_console.ops.deploys.joblog import Mark
from muva_console.ops.logs.model import Clock, LogLevel

CAPACITY = 200_000
"""Moments kept in memory. Ours: four job logs of 50,000 lines; all of it is in the run's folder."""
MAX_CHARACTERS = 64 * 1024 * 1024
"""Characters of text kept in memory, whatever the number of moments."""
_SPARE = 0.9
"""What is kept when there is too much: making room for each moment by itself would be slow."""


class Source(StrEnum):
    """Who tells a moment."""

    WORKFLOW = "workflow"
    """GitHub: a run, a job, a step began or ended."""
    JOB = "job"
    """A line of a job's log."""
    HOST = "host"
    """A line that the deployment wrote on the host, as it was written."""
    PM2 = "pm2"
    """Something happened to a process."""
    APPLICATION = "application"
    """A line of the application's log."""
    HEALTH = "health"
    """A probe of the health endpoint."""
    NOTE = "note"
    """The console's own remark: what it cannot see at present, and why."""


LINES = frozenset({Source.JOB, Source.HOST, Source.APPLICATION})
"""What tells lines: there are many, and they leave first when there is too much."""


class Moment(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something that happened or was said, at a time."""

    source: Source
    stream: str
    """Which of its sources: ``run/1``, ``job/38/log``, ``host/vps`` …; with `seq` it is the id."""
    seq: int
    """Its place in the stream: the number of a line, the byte of a file where it begins."""
    at_us: int
    """Microseconds since 1970 UTC."""
    order_us: int
    """Where it stands on the time line: `at_us`, but for lines that must not stand before their step."""
    text: str
    """A line, sanitised and redacted."""
    lane: str = ""
    """What belongs together where times are the same: a job's steps and its lines; `stream` where empty."""
    place: int = -1
    """Its place in the lane; `seq` where it is -1."""
    clock: Clock = Clock.STAMPED
    """What the time rests on; ESTIMATED is told by a ``~``."""
    level: LogLevel = LogLevel.NONE
    mark: Mark = Mark.NONE
    job: str = ""
    """The job's name, where it belongs to one."""
    job_id: int = 0
    step: int = 0
    """The step's number in its job; 0 where it belongs to none or that is not known."""
    group: int = -1
    """`seq` of the moment in the same stream that heads its group; -1 outside of one."""
    where: str = ""
    """The host, the process (``vps muva-staging``) or the address."""
    value: float | None = None
    """Milliseconds of a health probe; seconds of a step that ended."""
    spans: tuple[Span, ...] = ()
    echo: bool = False
    """A line of a job's log that the host has told already, live: a view shows one of the two."""

    @property
    def id(self) -> str:
        """No other moment has it, and the same one has it on every console."""
        return f"{self.stream}#{self.seq}"

    @property
    def key(self) -> tuple[int, str, int]:
        """What moments are sorted by."""
        return (self.order_us, self.lane or self.stream, self.seq if self.place < 0 else self.place)

    @property
    def at(self) -> datetime:
        """Its time in UTC."""
        return datetime.fromtimestamp(self.at_us / 1_000_000, UTC)

    @property
    def depth(self) -> int:
        """How deep it folds: 1 within a group, else 0."""
        return int(self.group >= 0)

    def as_json(self) -> dict[str, Any]:
        """As `muva runs watch --json` prints it; colours are left out."""
        told: dict[str, Any] = {
            "id": self.id,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "clock": self.clock.name.lower(),
            "source": self.source.value,
            "level": self.level.word,
            "text": self.text,
        }
        if self.mark is not Mark.NONE:
            told["mark"] = self.mark.name.lower()
        for name in ("job", "step", "where", "value", "echo"):
            if (value := getattr(self, name)) not in ("", 0, None, False) or (name == "value" and value == 0):
                told[name] = value
        if self.group >= 0:
            told["group"] = f"{self.stream}#{self.group}"
        return told


Listener = Callable[[], None]


class Timeline:
    """The moments of one watch. One thread adds, any may read.

    Bounded: when there is too much the oldest lines leave, errors and what is no line last; `left` counts
    them.
    """

    def __init__(self, capacity: int = CAPACITY, *, max_characters: int = MAX_CHARACTERS) -> None:
        self._capacity = capacity
        self._max = max_characters
        self._lock = threading.Lock()
        self._arrived: list[Moment] = []
        self._known: set[tuple[str, int]] = set()
        self._first = 0
        self._characters = 0
        self._ordered: tuple[int, list[Moment]] = (0, [])
        self._epoch = 0
        self._listeners: tuple[Listener, ...] = ()
        self.left = 0
        """Moments that were here and are no more."""

    @property
    def next(self) -> int:
        """The number that the next moment gets in the order of arrival: changes with every addition."""
        return self._first + len(self._arrived)

    @property
    def epoch(self) -> int:
        """Changes when moments have left: a view then takes `ordered` anew."""
        return self._epoch

    def __len__(self) -> int:
        return len(self._arrived)

    def __contains__(self, moment: Moment) -> bool:
        return (moment.stream, moment.seq) in self._known

    def add(self, moments: Iterable[Moment]) -> list[Moment]:
        """Take moments that are not here yet; returns those. A moment is known by its id."""
        with self._lock:
            new = []
            for moment in moments:
                name = (moment.stream, moment.seq)
                if name in self._known:
                    continue
                self._known.add(name)
                new.append(moment)
                self._characters += len(moment.text)
            self._arrived += new
            if len(self._arrived) > self._capacity or self._characters > self._max:
                self._make_room()
        if new:
            for listener in self._listeners:
                listener()
        return new

    def since(self, number: int) -> tuple[int, list[Moment]]:
        """What has arrived from `number` on, in the order of arrival, and the number to ask for next."""
        with self._lock:
            start = max(0, number - self._first)
            return self.next, self._arrived[start:]

    def ordered(self) -> list[Moment]:
        """All moments in the order of time: a list that nobody changes."""
        with self._lock:
            upto, known = self._ordered
            new = self._arrived[max(0, upto - self._first) :]
            if new:
                known = [*known, *new]
                known.sort(key=_key)  # two runs that are sorted already: one pass
                self._ordered = (self.next, known)
            return known

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` in the writer's thread after each addition; it must be quick. Returns the end."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return stop

    def _make_room(self) -> None:
        """Let the oldest lines go, then whatever is oldest."""
        ordered = sorted(self._arrived, key=_key)
        most, characters = int(self._capacity * _SPARE), int(self._max * _SPARE)
        leaving: set[tuple[str, int]] = set()
        count, size = len(ordered), self._characters
        for lines in (True, False):
            for moment in ordered:
                if count <= most and size <= characters:
                    break
                if lines is not (moment.source in LINES and moment.level < LogLevel.WARN):
                    continue
                leaving.add((moment.stream, moment.seq))
                count, size = count - 1, size - len(moment.text)
        self._arrived = [one for one in self._arrived if (one.stream, one.seq) not in leaving]
        # their ids stay known: what has left does not come again
        self._first += len(leaving)
        self._characters = size
        self.left += len(leaving)
        self._epoch += 1
        self._ordered = (self._first, [])


def _key(moment: Moment) -> tuple[int, str, int]:
    return moment.key


def microseconds(at: datetime) -> int:
    """A time as moments carry it."""
    return int(at.timestamp() * 1_000_000)
