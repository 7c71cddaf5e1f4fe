"""Where a file ends and the live bus begins: nothing twice, nothing left out.

The bus tells no place in the file, but PM2 writes to both the same pieces in the same order. So of what
the file got while the bus was being opened, some may come by the bus again; it is known by its bytes,
and only what the bus dates before the file was read can be among it.
"""

from __future__ import annotations

REMEMBERED = 256
"""Bytes of a file's last lines by which the place is found again. Ours: two lines of a chatty server."""


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
    """Takes from the bus what the file gave already. `written` is what the file got since before the bus
    was opened; `until_ms` the host's clock when it was read, None when that is not known.
    """

    __slots__ = ("_expected", "_found", "_until")

    def __init__(self, written: bytes, until_ms: int | None) -> None:
        self._expected = written
        self._until = until_ms
        self._found = False

    @property
    def closed(self) -> bool:
        """Nothing more can come twice."""
        return not self._expected

    def rest(self, data: bytes, at_ms: int) -> bytes:
        """What of a chunk from the bus is new."""
        expected = self._expected
        if not expected:
            return data
        if self._until is not None and at_ms > self._until:
            self._expected = b""
            return data
        if not self._found:
            place = _meeting(expected, data)
            if place < 0:
                # written after the file was read, though by the clock it could have been before
                self._expected = b""
                return data
            self._found = True
            expected = expected[place:]
        if data.startswith(expected):
            self._expected = b""
            return data[len(expected) :]
        if expected.startswith(data):
            self._expected = expected[len(data) :]
            return b""
        self._expected = b""
        return data


def _meeting(written: bytes, data: bytes) -> int:
    """The first place in `written` from which on it and `data` are the same as far as both go; -1: none."""
    head = data[:64]
    place = written.find(head)
    while place >= 0:
        length = min(len(data), len(written) - place)
        if written[place : place + length] == data[:length]:
            return place
        place = written.find(head, place + 1)
    for length in range(min(len(head) - 1, len(written)), 0, -1):
        if written.endswith(data[:length]):
            return len(written) - length
    return -1
