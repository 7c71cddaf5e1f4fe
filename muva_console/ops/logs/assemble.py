"""Chunks into lines.

What PM2's bus and a file's tail hand over are pieces of output, cut anywhere: in the middle of a line,
of a character, of an escape sequence. Applications log their secrets, too: what a line says is made
harmless and redacted here, before it is cut to size, and nobody after this has to think of either.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable

from muva_console.config.redact import redact, redactor
from muva_console.ops.logs.model import LogLine, Origin
from muva_console.ops.logs.parse import LineParser
from muva_console.ops.text import LINE_CAP, sanitise

QUIET = 0.25
"""Seconds without more after which a line without an end is shown as it stands. Ours: longer than the
gap between two reads of a busy pipe, shorter than an engineer's patience."""

_HELD = 4 * LINE_CAP
"""Characters held of a line that does not end; the rest is counted only."""
_CONTROLS = bytes(range(9)) + bytes(range(11, 32)) + b"\x7f"
"""The control characters of ASCII but tab and newline: a chunk without them needs no cleaning."""


class LineAssembler:
    """One output of one process: feed it chunks, get its lines.

    Keeps at most 16 KiB of an unfinished line, however long that gets.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        utc_offset: float | None = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parser = LineParser(origin, utc_offset=utc_offset)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._monotonic = monotonic
        self._held: list[str] = []
        self._held_size = 0
        self._cut = 0
        self._held_at: int | None = None
        self._fed = monotonic()

    @property
    def origin(self) -> Origin:
        """Whose lines these are."""
        return self._parser.origin

    @property
    def unfinished(self) -> bool:
        """Whether a line waits for its end."""
        return bool(self._held)

    def feed(self, data: bytes | str, at_ms: int | None = None) -> list[LogLine]:
        """The lines that `data` completes; `at_ms` is when it came, None when that is not known."""
        self._fed = self._monotonic()
        text = self._decoder.decode(data) if isinstance(data, bytes) else data
        end = text.find("\n")
        if end < 0:
            self._hold(text, at_ms)
            return []
        parse = self._parser.parse
        lines = []
        begin = 0
        if self._held:
            began = self._held_at
            self._hold(text[:end], at_ms)
            lines.append(parse(self._release(), began))
            begin = end + 1
        end = text.rfind("\n")
        if begin <= end:
            whole = text[begin:end]
            if _clean(whole):
                innocent = redactor.innocent(whole)
                for line in whole.replace("\t", "    ").split("\n"):
                    if len(line) <= LINE_CAP:
                        lines.append(parse((line if innocent else redact(line)).rstrip(), at_ms))
                    else:
                        lines.append(parse(_tidy(line, 0), at_ms))
            else:
                lines += [parse(_tidy(line, 0), at_ms) for line in whole.split("\n")]
        self._hold(text[end + 1 :], at_ms)
        return lines

    def flush(self, *, quiet: float = QUIET) -> list[LogLine]:
        """The unfinished line, once nothing came for `quiet` seconds; what follows is a new line."""
        if not self._held or self._monotonic() - self._fed < quiet:
            return []
        began = self._held_at
        return [self._parser.parse(self._release(), began)]

    def end(self) -> list[LogLine]:
        """The output ended: whatever is unfinished, as a line."""
        self._hold(self._decoder.decode(b"", final=True), None)
        return self.flush(quiet=0.0)

    def _hold(self, text: str, at_ms: int | None) -> None:
        if not text:
            return
        if not self._held:
            self._held_at = at_ms
        room = _HELD - self._held_size
        if len(text) > room:
            self._cut += len(text) - max(0, room)
            text = text[: max(0, room)]
        self._held.append(text)
        self._held_size += len(text)
        if len(self._held) > 1024:  # a line that comes in drips
            self._held = ["".join(self._held)]

    def _release(self) -> str:
        line = _tidy("".join(self._held), self._cut)
        self._held, self._held_size, self._cut = [], 0, 0
        return line


def _clean(text: str) -> bool:
    """Whether ASCII text holds no control character but tabs and newlines; a pass over it at memory speed."""
    if not text.isascii():
        return False
    data = text.encode("ascii")
    return len(data.translate(None, _CONTROLS)) == len(data)


def _tidy(line: str, cut: int) -> str:
    """A harmless, redacted, capped line; `cut` characters are gone already. Cuts are told as in text.py."""
    if len(line) > _HELD:
        cut += len(line) - _HELD
        line = line[:_HELD]
    # redacted before it is cut: half a password is no longer known for one
    line = redact(sanitise(line.rstrip("\r"), newlines=False)).rstrip()
    if len(line) > LINE_CAP:
        cut += len(line) - LINE_CAP
        line = line[:LINE_CAP]
    return f"{line} … +{cut:,} characters" if cut else line
