"""Where a file ends and the live bus begins: nothing twice, nothing left out.

The bus tells no place in the file, but PM2 writes to both the same pieces in the same order. So of what
the file got while the bus was being opened, some may come by the bus again; it is known by its bytes,
and only what the bus dates before the file was read, or a moment later, can be among it.
"""

from __future__ import annotations

REMEMBERED = 256
"""Bytes of a file's last lines by which the place is found again. Ours: two lines of a chatty server."""


HOLD = 0.5
"""Seconds for which the bus may lag behind the file before what it said is shown. Ours."""
DATED_LATE = 100
"""Milliseconds by which the bus may date a piece after the file had it already: PM2 (lib/God/ClusterMode.js,
ForkMode.js) hands the piece to the file first and looks at the clock afterwards. Ours, for a busy host.
"""


class Place:
    """How far a file has been shown, whether it was read or heard of by the bus."""

    __slots__ = ("inode", "offset", "recent")

    def __init__(self, inode: int, offset: int, recent: bytes) -> None:
        self.inode = inode
        self.offset = offset
        self.recent = recent[-REMEMBERED:]
        """The last bytes before `offset`."""

    def advance(self, data: bytes) -> None:
        """`data` was shown next."""
        self.offset += len(data)
        self.recent = (self.recent + data)[-REMEMBERED:]

    @property
    def start(self) -> int:
        """Where to read from so that the remembered bytes come along."""
        return self.offset - len(self.recent)

    def unseen(self, inode: int, start: int, data: bytes) -> tuple[bytes, bool]:
        """What of a part of the file (read from `start`) was not shown yet, and whether that is certain.

        It is not when the file was rotated, truncated or has grown beyond what was read.
        """
        if inode == self.inode and start == self.start and data.startswith(self.recent):
            return data[len(self.recent) :], True
        if self.recent and (found := data.rfind(self.recent)) >= 0:
            return data[found + len(self.recent) :], True
        return data, False


class Seam:
    """Takes from the bus what the file gave already.

    `written` is what the file got since before the bus was opened, `until_ms` the host's clock when it was
    read (None when that is not known). What the bus dates before that is held until it is clear how much
    of it `written` ends with: when something later comes, or after `HOLD` seconds. In a quiet moment
    `written` is empty and nothing is held at all.
    """

    __slots__ = ("_at", "_expected", "_held", "_since", "_until")

    def __init__(self, written: bytes, until_ms: int | None) -> None:
        self._expected = written
        self._until = until_ms
        self._held = b""
        self._at = 0
        self._since = 0.0

    @property
    def closed(self) -> bool:
        """Nothing more can come twice, and nothing is held."""
        return not self._expected

    @property
    def holding(self) -> bool:
        """Something waits for `due`."""
        return bool(self._held)

    def take(self, data: bytes, at_ms: int, now: float) -> bytes:
        """What may be shown after this chunk came at `now` (monotonic seconds)."""
        if not self._expected:
            return data
        if self._until is not None and at_ms > self._until + DATED_LATE:
            return self._close() + data
        if not self._held:
            self._since, self._at = now, at_ms
        self._held += data
        return self._close() if len(self._held) >= len(self._expected) else b""

    def due(self, now: float) -> tuple[bytes, int]:
        """What was held long enough and is new, and when it came (the host's clock)."""
        if not self._held or now - self._since < HOLD:
            return b"", self._at
        inside = self._expected.find(self._held)
        if inside >= 0 and not self._expected.endswith(self._held):
            # the bus lags behind the file: the rest of what the file has is still to come
            self._expected, self._held = self._expected[inside + len(self._held) :], b""
            return b"", self._at
        return self._close(), self._at

    def _close(self) -> bytes:
        held, expected = self._held, self._expected
        self._held = self._expected = b""
        return held[overlap(expected, held) :]


def overlap(written: bytes, heard: bytes) -> int:
    """The length of the longest beginning of `heard` that `written` ends with."""
    head = heard[:64]
    if len(head) == 64:
        place = written.find(head, max(0, len(written) - len(heard)))
        while place >= 0:
            if heard.startswith(written[place:]):
                return len(written) - place
            place = written.find(head, place + 1)
    for length in range(min(len(head), len(written)), 0, -1):
        if written.endswith(heard[:length]):
            return length
    return 0
