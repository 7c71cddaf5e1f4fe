r"""A job's log as GitHub gives it, as lines: time, step, group, level, colours.

Every line begins with its time, ``2026-01-01T12:00:00.1234567Z``; what a step wrote in one piece has it on
its first line only. Commands of the runner stand in the text: ``##[group]`` and ``##[endgroup]``,
``##[error]``, ``##[warning]``, ``##[notice]``, ``##[debug]``, ``##[command]`` (and ``[command]`` of actions);
docs.github.com, "Workflow commands"; actions/runner, ``src/Runner.Worker/ActionCommandManager.cs``. Groups do
not nest: one that begins within another ends it.

Which step a line belongs to stands nowhere in the log. A step that runs something begins with
``##[group]Run …``; the steps' own times, whole seconds, tell which of these begins which step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.config.redact import redact, redactor
from muva_console.ops.deploys.ansi import Span, styled
from muva_console.ops.logs.model import LogLevel
from muva_console.ops.logs.parse import level_of
from muva_console.ops.text import LINE_CAP

if TYPE_CHECKING:
    from muva_console.ops.links.github_runs import JobStep

MOST_LINES = 200_000
"""Lines kept of one log; of a longer one the first tenth and the end. Ours: four times the largest log that
DESIGN names; the whole of it is in the file."""
_HELD = 4 * LINE_CAP
_TOGETHER = 256
"""Lines that are asked together whether a secret may be in them."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)(?: |$)")
_MARK = re.compile(r"(?:##)?\[(group|endgroup|error|warning|notice|debug|command|section)\]")
_BEGINS = re.compile(r"Run (?=\S)|Post job cleanup\.|Cleaning up orphan processes")
_SECOND = 1_000_000


class Mark(IntEnum):
    """What the runner says a line is."""

    NONE = 0
    GROUP = 1
    """The head of a group: what folds stands behind it."""
    ERROR = 2
    WARNING = 3
    NOTICE = 4
    DEBUG = 5
    COMMAND = 6
    """A command that was run."""
    SECTION = 7
    GAP = 8
    """Our own: lines are left out here."""


_MARKS = {
    "group": Mark.GROUP,
    "error": Mark.ERROR,
    "warning": Mark.WARNING,
    "notice": Mark.NOTICE,
    "debug": Mark.DEBUG,
    "command": Mark.COMMAND,
    "section": Mark.SECTION,
}
_LEVELS = {
    Mark.ERROR: LogLevel.ERROR,
    Mark.WARNING: LogLevel.WARN,
    Mark.NOTICE: LogLevel.INFO,
    Mark.DEBUG: LogLevel.DEBUG,
}


class JobLine(Struct, frozen=True, gc=False):
    """One line of a job's log, fit for a screen."""

    number: int
    """Its place in the log as GitHub gave it, from 0; the ends of groups are no lines."""
    at_us: int | None
    """Microseconds since 1970 UTC; a line without its own has that of the line before. None before the
    first time."""
    text: str
    mark: Mark = Mark.NONE
    level: LogLevel = LogLevel.NONE
    group: int = -1
    """The number of the line that heads its group; -1 outside of one."""
    step: int = 0
    """The number of its step; 0 where that is not known."""
    spans: tuple[Span, ...] = ()

    @property
    def depth(self) -> int:
        """How deep it is folded: 1 in a group, 0 outside and for the head."""
        return int(self.group >= 0)


class _Begin(Struct, frozen=True):
    """Where a step may begin."""

    index: int
    second: int
    title: str


def parse(data: bytes | str, steps: Iterable[JobStep] = (), *, most: int = MOST_LINES) -> tuple[JobLine, ...]:
    """The lines of a log; with the job's `steps`, each with its step. Never raises for what stands in it.

    Bounded: a line keeps `text.LINE_CAP` characters, the log `most` lines.
    """
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    found = _Lines()
    for first, lines in _pieces(text, most):
        found.take(first, lines)
    starts = _starts(found.begins, sorted(steps, key=lambda step: step.number), found.times)
    return found.made(starts)


class _Lines:
    """The columns of what was parsed."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.times: list[int | None] = []
        self.texts: list[str] = []
        self.marks: list[Mark] = []
        self.levels: list[LogLevel] = []
        self.groups: list[int] = []
        self.spans: dict[int, tuple[Span, ...]] = {}
        self.begins: list[_Begin] = []
        self._at: int | None = None
        self._group = -1
        self._seconds: dict[str, int | None] = {}

    def take(self, first: int, lines: list[str]) -> None:
        """Parse lines in a row; `first` is the number of the first. Of a gap there is one, with number -1."""
        if first < 0:
            self._add(-1, lines[0], Mark.GAP, LogLevel.WARN)
            self._group = -1
            return
        for begin in range(0, len(lines), _TOGETHER):
            part = lines[begin : begin + _TOGETHER]
            self._part(first + begin, part, innocent=redactor.innocent("\n".join(part)))

    def _part(self, first: int, lines: list[str], *, innocent: bool) -> None:
        for number, raw in enumerate(lines, first):
            line = raw
            if line[:1] == "\ufeff":  # at the head of the file, and of each piece that GitHub put together
                line = line.lstrip("\ufeff")
            stamp = _STAMP.match(line) if line[:1].isdigit() else None
            if stamp is not None and (at := self._moment(stamp)) is not None:
                self._at = at
                line = line[stamp.end() :]
            cut = 0
            if len(line) > _HELD:
                cut = len(line) - _HELD
                line = line[:_HELD]
            mark = Mark.NONE
            # tools colour what follows a command, never the command itself
            if (line[:1] == "#" or line[:1] == "[") and (command := _MARK.match(line)) is not None:
                word = command[1]
                # "[command]" alone is written without the marks, by actions' toolkit
                if line[0] == "#" or word == "command":
                    if word == "endgroup":
                        self._group = -1
                        continue
                    mark = _MARKS[word]
                    line = line[command.end() :]
            spans: tuple[Span, ...] = ()
            if not (line.isascii() and line.isprintable()):
                line, spans = styled(line.rstrip("\r"))
            if not innocent and (clean := redact(line)) is not line and clean != line:
                line, spans = clean, ()
            line = line.rstrip()
            if len(line) > LINE_CAP:
                cut += len(line) - LINE_CAP
                line = line[:LINE_CAP]
            if cut:
                spans = tuple(span for span in spans if span.end <= LINE_CAP)
                line = f"{line} … +{cut:,} characters"
            level = _LEVELS.get(mark)
            if level is None:
                level = (level_of(line) if mark is Mark.NONE else None) or LogLevel.NONE
            if mark is Mark.GROUP:
                self._group = -1
            if (mark is Mark.GROUP or mark is Mark.NONE) and self._group < 0 and _BEGINS.match(line):
                at = self._at if self._at is not None else 0
                self.begins.append(_Begin(len(self.numbers), at // _SECOND, line))
            if spans:
                self.spans[len(self.numbers)] = spans
            self._add(number, line, mark, level)
            if mark is Mark.GROUP:
                self._group = number

    def _add(self, number: int, text: str, mark: Mark, level: LogLevel) -> None:
        self.numbers.append(number)
        self.times.append(self._at)
        self.texts.append(text)
        self.marks.append(mark)
        self.levels.append(level)
        self.groups.append(self._group)

    def _moment(self, stamp: re.Match[str]) -> int | None:
        written, fraction = stamp.groups()
        second = self._seconds.get(written, -1)
        if second == -1:
            if len(self._seconds) > 1024:
                self._seconds.clear()
            try:
                at = datetime.fromisoformat(written).replace(tzinfo=UTC)
                second = int(at.timestamp()) * _SECOND
            except (ValueError, OverflowError):
                second = None
            self._seconds[written] = second
        if second is None:
            return None
        return second + (int((fraction + "00000")[:6]) if fraction else 0)

    def made(self, starts: Sequence[tuple[int, int]]) -> tuple[JobLine, ...]:
        """The lines; `starts` are the places where steps begin, with their numbers."""
        steps = [0] * len(self.numbers)
        ends = [*(index for index, _ in starts[1:]), len(self.numbers)]
        for (index, number), end in zip(starts, ends, strict=True) if starts else ():
            steps[index:end] = [number] * (end - index)
        look = self.spans.get
        columns = zip(
            self.numbers, self.times, self.texts, self.marks, self.levels, self.groups, steps, strict=True
        )
        return tuple(
            JobLine(number, at, text, mark, level, group, step, look(index, ()))
            for index, (number, at, text, mark, level, group, step) in enumerate(columns)
        )


def _pieces(text: str, most: int) -> list[tuple[int, list[str]]]:
    """The lines of a text, each piece with the number of its first; a gap is a piece of number -1."""
    count = text.count("\n") + 1
    if text.endswith("\n"):
        count, text = count - 1, text[:-1]
    elif not text:
        return []
    if count <= most:
        return [(0, text.split("\n"))]
    head, place = most // 10, 0
    for _ in range(head):
        place = text.index("\n", place) + 1
    end, kept = len(text), most - head - 1
    for _ in range(kept):
        end = text.rindex("\n", 0, end)
    left = count - head - kept
    gap = f"— {left:,} lines are left out here; the whole log is kept in the run's folder —"
    pieces: list[tuple[int, list[str]]] = [(0, text[: place - 1].split("\n"))] if head else []
    return [*pieces, (-1, [gap]), (count - kept, text[end + 1 :].split("\n"))]


def _starts(
    begins: Sequence[_Begin], steps: Sequence[JobStep], times: Sequence[int | None]
) -> list[tuple[int, int]]:
    """Where each step begins: the first place that looks like a beginning at or after its own time (a whole
    second, cut off) and not after its end; by its time alone where nothing looks like one.
    """
    if not times:
        return []
    ran = [step for step in steps if step.started_at is not None and step.conclusion != "skipped"]
    found: list[tuple[int, int]] = []
    left = list(begins)
    after = 0
    for place, step in enumerate(ran):
        assert step.started_at is not None
        began = int(step.started_at.timestamp())
        ended = int(step.completed_at.timestamp()) if step.completed_at is not None else None
        if place == 0:
            index = 0  # what comes before the first command is the setting up of the job
        else:
            fitting = [
                one
                for one in left
                if one.index > after and one.second >= began and (ended is None or one.second <= ended)
            ]
            named = next((one for one in fitting if _same_title(one.title, step.name)), None)
            begin = named or (fitting[0] if fitting else None)
            index = begin.index if begin is not None else _first_at(times, after + 1, began)
        if index >= len(times):
            continue
        found.append((index, step.number))
        after = index
        left = [one for one in left if one.index > index]
    return found


def _same_title(title: str, name: str) -> bool:
    """Whether a step without a name of its own is called as its command is."""
    return name.startswith("Run ") and title.startswith(name)


def _first_at(times: Sequence[int | None], start: int, second: int) -> int:
    for index in range(start, len(times)):
        at = times[index]
        if at is not None and at // _SECOND >= second:
            return index
    return len(times)
