r"""Which lines an engineer wants to see.

::

    timeout              lines that hold the text (small letters match any case)
    !health              lines that don't
    /ECONN\w+ \d+/         lines that match the regular expression
    !/GET .* 200/        lines that don't
    level:warn           warnings and worse
    process:muva-prod    processes whose name holds the text; also host: and stream:out, stream:err
    !process:staging level:error /5432/       all of them at once

A regular expression can take for ever on one line. Python's engine cannot be told a time limit, but it
looks for signals as it matches: matching runs under a timer of processor time, and an expression that
exceeds it is given up and said so. Where no signal can come (outside of the main thread), expressions
that can explode are refused beforehand.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.logs.buffer import Block
from muva_console.ops.logs.model import LogLevel, LogLine, Origin, Stream
from muva_console.ops.text import sanitise_line

CPU_LIMIT = 0.25
"""Seconds of processor time that one block of lines (512 at most) may take to be matched."""

_TERM = re.compile(r"(!?)(process|host|stream|level):(\S+)(?:\s+|$)")
_LEVEL_WORDS = {
    "error": LogLevel.ERROR,
    "err": LogLevel.ERROR,
    "warn": LogLevel.WARN,
    "warning": LogLevel.WARN,
    "info": LogLevel.INFO,
    "debug": LogLevel.DEBUG,
}
_LEVELS = tuple(LogLevel)


class FilterError(OpsError):
    """A filter cannot be used; its text says why, fit for a line under the filter."""


class _Term(Struct, frozen=True):
    kind: str
    word: str
    inverted: bool

    def accepts(self, origin: Origin) -> bool:
        if self.kind == "stream":
            found = origin.stream.value == self.word
        else:
            name = origin.process if self.kind == "process" else origin.host
            found = self.word in name.lower()
        return found is not self.inverted


class LogFilter(Struct, frozen=True):
    """A filter made by `parse_filter`. The console's own notes pass all but process: and host:."""

    source: str = ""
    """As it was typed."""
    needle: str = ""
    pattern: re.Pattern[str] | None = None
    inverted: bool = False
    ignore_case: bool = False
    levels: frozenset[LogLevel] | None = None
    terms: tuple[_Term, ...] = ()

    def __bool__(self) -> bool:
        """Whether it keeps anything out."""
        return bool(self.needle or self.pattern or self.levels is not None or self.terms)

    def matches(self, line: LogLine) -> bool:
        """Whether one line passes. Raises FilterError when the expression takes too long on it."""
        if not self._accepts(line.origin):
            return False
        if line.stream is Stream.NOTE:
            return True
        if self.levels is not None and line.level not in self.levels:
            return False
        if self.pattern is not None:
            with cpu_limit(CPU_LIMIT):
                return (self.pattern.search(line.text) is not None) is not self.inverted
        if self.needle:
            text = line.text.lower() if self.ignore_case else line.text
            return (self.needle in text) is not self.inverted
        return True

    def select(self, block: Block, start: int, stop: int) -> Sequence[int]:
        """The places within `block`, from `start` to before `stop`, of the lines that pass.

        Raises FilterError when the expression takes too long.
        """
        places: Sequence[int] = range(start, stop)
        notes: frozenset[int] = frozenset()
        numbers = block.origins
        present = set(numbers[start:stop])
        noted = {number for number in present if block.origin(number).stream is Stream.NOTE}
        accepted = {number for number in present if self._accepts(block.origin(number))}
        if accepted != present:
            places = [place for place in places if numbers[place] in accepted]
        if noted:
            notes = frozenset(place for place in places if numbers[place] in noted)
        if self.levels is not None:
            levels = block.levels
            wanted = {int(level) for level in self.levels}
            places = [place for place in places if levels[place] in wanted or place in notes]
        if not places or not (self.needle or self.pattern):
            return places
        return self._with_text(block, places, notes)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in a line that passes the filter's text stands, for highlighting; at most 64 places."""
        found: list[tuple[int, int]] = []
        if self.inverted or not (self.needle or self.pattern):
            return found
        if self.pattern is None:
            # a character whose small letter is longer would shift what follows: leave such a line plain
            text = text.lower() if self.ignore_case and len(text.lower()) == len(text) else text
            at = text.find(self.needle)
            while at >= 0 and len(found) < 64:
                found.append((at, at + len(self.needle)))
                at = text.find(self.needle, at + len(self.needle))
            return found
        try:
            with cpu_limit(CPU_LIMIT):
                for match in self.pattern.finditer(text):
                    if match.end() > match.start():
                        found.append(match.span())
                    if len(found) >= 64:
                        break
        except FilterError:
            return []
        return found

    def _accepts(self, origin: Origin) -> bool:
        if origin.stream is Stream.NOTE:
            # a gap that names no process concerns whoever looks at that host
            kinds = ("host", "process") if origin.process else ("host",)
            return all(term.accepts(origin) for term in self.terms if term.kind in kinds)
        return all(term.accepts(origin) for term in self.terms)

    def _with_text(self, block: Block, places: Sequence[int], notes: frozenset[int]) -> Sequence[int]:
        inverted = self.inverted
        if self.pattern is not None:
            texts = block.texts()
            search = self.pattern.search
            with cpu_limit(CPU_LIMIT):
                return [
                    place
                    for place in places
                    if (search(texts[place]) is not None) is not inverted or place in notes
                ]
        needle = self.needle
        whole = block.text()
        if whole is None:
            texts = block.texts()
            if self.ignore_case:
                texts = [text.lower() for text in texts]
        else:
            if self.ignore_case:
                whole = whole.lower()
            if needle not in whole:
                return places if inverted else [place for place in places if place in notes]
            texts = whole.split("\n")
        return [place for place in places if (needle in texts[place]) is not inverted or place in notes]


def parse_filter(source: str) -> LogFilter:
    """The filter that an engineer typed; an empty one lets everything pass.

    Raises FilterError: an unknown level or stream, an expression that is none or (outside of the main
    thread) one that could take for ever.
    """
    rest = source.strip()
    levels: frozenset[LogLevel] | None = None
    terms = []
    while (term := _TERM.match(rest)) is not None:
        inverted, kind, word = bool(term[1]), term[2], term[3].lower()
        rest = rest[term.end() :]
        if kind == "level":
            told = _levels(word, inverted)
            levels = told if levels is None else levels & told
            continue
        if kind == "stream" and word not in ("out", "err"):
            raise FilterError(f"stream:{sanitise_line(word, cap=40)}: there are stream:out and stream:err")
        terms.append(_Term(kind, word, inverted))
    inverted = rest.startswith("!") and len(rest) > 1
    if inverted:
        rest = rest[1:].lstrip()
    ignore_case = rest == rest.lower()
    pattern = None
    needle = rest
    if len(rest) >= 2 and rest.startswith("/"):
        expression = rest[1:-1] if len(rest) > 2 and rest.endswith("/") else rest[1:]
        needle, pattern = "", _compiled(expression)
    return LogFilter(source.strip(), needle, pattern, inverted, ignore_case, levels, tuple(terms))


def _levels(word: str, inverted: bool) -> frozenset[LogLevel]:
    least = _LEVEL_WORDS.get(word)
    if least is None:
        raise FilterError(
            f"level:{sanitise_line(word, cap=40)}: the levels are error, warn, info, debug",
            means="level:warn means warnings and worse; !level:error everything but errors",
        )
    if inverted:
        return frozenset(level for level in _LEVELS if level is not least)
    return frozenset(level for level in _LEVELS if level >= least)


def _compiled(expression: str) -> re.Pattern[str]:
    # what is not escaped decides about case: \S and \s, \W and \w differ by nothing but their case
    plain = re.sub(r"\\.", "", expression)
    try:
        pattern = re.compile(expression, re.IGNORECASE if plain == plain.lower() else 0)
    except (re.error, OverflowError, RecursionError) as error:
        what = error.msg if isinstance(error, re.error) else "too large"
        place = f" at {error.pos + 1}" if isinstance(error, re.error) and error.pos is not None else ""
        raise FilterError(f"not a regular expression yet: {sanitise_line(what, cap=120)}{place}") from None
    if threading.current_thread() is not threading.main_thread() and can_explode(expression):
        raise FilterError("the expression repeats within a repeat: on some lines it would take for ever")
    return pattern


def can_explode(expression: str) -> bool:
    """Whether an unbounded repeat stands within another, or more than two in a row could share a match."""
    from re import _parser  # type: ignore[attr-defined]

    unbounded = 0

    def walk(items: Any, within: bool) -> bool:
        nonlocal unbounded
        for operator, argument in items:
            name = str(operator)
            if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                endless = argument[1] is _parser.MAXREPEAT or argument[1] > 64
                unbounded += endless
                if (endless and within) or walk(argument[2], within or endless):
                    return True
            elif name == "SUBPATTERN":
                if walk(argument[3], within):
                    return True
            elif name == "BRANCH":
                if any(walk(branch, within) for branch in argument[1]):
                    return True
            elif name in ("ASSERT", "ASSERT_NOT"):
                if walk(argument[1], within):
                    return True
            elif name == "ATOMIC_GROUP":
                if walk(argument, within):
                    return True
            elif name == "GROUPREF_EXISTS" and any(
                walk(branch, within) for branch in argument[1:] if branch is not None
            ):
                return True
        return False

    return walk(_parser.parse(expression), False) or unbounded > 3


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise FilterError in the block once the process has used `seconds` of processor time in it.

    In the main thread only, by SIGVTALRM (wall-clock timers are others' business); elsewhere it does
    nothing. CPython's matcher looks for signals every 4,096 steps (Modules/_sre/sre_lib.h).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def expired(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise FilterError(
                "the expression takes too long on a line here: given up",
                means="it goes back and forth over the same characters, as (a+)+ or .*.*.* do",
                next="make a repeat narrower, or search for a plain text",
            )

    before = signal.signal(signal.SIGVTALRM, expired)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
