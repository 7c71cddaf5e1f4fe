"""AMP framing, as PM2's daemon speaks it on its two sockets.

A frame is one byte ``0x10 | argc`` (version 1, at most 15 arguments) and, for each argument, its length
as a big-endian uint32 and its bytes. An argument is ``j:`` and JSON, ``s:`` and UTF-8 text, or raw bytes.
Source: `amp/lib/{encode,stream}.js` and `amp-message/index.js`, as installed by pm2 7.0.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from muva_console.ops.errors import Fault, LinkError

VERSION = 1
MAX_ARGUMENTS = 15
"""Four bits count the arguments."""
FRAME_LIMIT = 64 * 1024 * 1024
"""Bytes of one frame. Ours: `getMonitorData` of 500 processes with 30 KB of environment each (which PM2
sends twice) stays below; whatever claims to be larger is not PM2."""

_HEADER = 4


def encode(arguments: Sequence[bytes]) -> bytes:
    """One frame. Raises ValueError for more than 15 arguments.

    An empty argument is refused: PM2's own parser never finishes a frame that holds one
    (`amp/lib/stream.js` looks for the end of an argument only after a byte of it).
    """
    if len(arguments) > MAX_ARGUMENTS:
        raise ValueError(f"an AMP frame has at most {MAX_ARGUMENTS} arguments, not {len(arguments)}")
    parts = [bytes([VERSION << 4 | len(arguments)])]
    for argument in arguments:
        if not argument:
            raise ValueError("PM2's parser cannot read an empty AMP argument")
        parts += (len(argument).to_bytes(_HEADER, "big"), argument)
    return b"".join(parts)


class Decoder:
    """Makes frames of bytes that arrive in any pieces.

    Memory is bounded by `limit` plus one piece: a frame that announces more is refused before it is
    read. After an error the decoder is of no more use, and neither is the connection.
    """

    def __init__(self, *, limit: int = FRAME_LIMIT, where: str = "") -> None:
        self._limit = limit
        self._where = where
        self._buffer = bytearray()
        self._offsets: list[tuple[int, int]] = []
        """Begin and end of the arguments of the present frame whose length is known."""
        self._need = 1
        """Bytes that must be there before looking again: no byte is looked at twice."""

    def feed(self, data: bytes) -> list[tuple[bytes, ...]]:
        """The frames that `data` completes, each as its arguments.

        Raises LinkError(PROTOCOL) for what is not AMP and for a frame beyond the limit.
        """
        self._buffer += data
        frames: list[tuple[bytes, ...]] = []
        start = 0
        while len(self._buffer) - start >= self._need:
            end = self._complete(start)
            if end is None:
                continue
            view = memoryview(self._buffer)
            frames.append(tuple(bytes(view[begin:stop]) for begin, stop in self._offsets))
            view.release()
            self._offsets.clear()
            self._need = 1
            start = end
        if start:
            del self._buffer[:start]
            self._offsets = [(begin - start, stop - start) for begin, stop in self._offsets]
        return frames

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame that are held."""
        return len(self._buffer)

    def _complete(self, start: int) -> int | None:
        """Where the frame at `start` ends when it is all there; else None, and `_need` is what it lacks."""
        meta = self._buffer[start]
        if meta >> 4 != VERSION:
            raise LinkError(Fault.PROTOCOL, f"not an AMP frame (first byte 0x{meta:02x})", where=self._where)
        count = meta & 0xF
        position = self._offsets[-1][1] if self._offsets else start + 1
        while True:
            if len(self._buffer) < position:  # the argument begun before is not all there
                self._need = position - start
                return None
            if len(self._offsets) == count:
                return position
            if len(self._buffer) < position + _HEADER:
                self._need = position + _HEADER - start
                return None
            length = int.from_bytes(self._buffer[position : position + _HEADER], "big")
            stop = position + _HEADER + length
            if stop - start > self._limit:
                raise LinkError(
                    Fault.PROTOCOL,
                    f"an AMP frame of at least {stop - start:,} bytes; the limit is {self._limit:,}",
                    where=self._where,
                )
            self._offsets.append((position + _HEADER, stop))
            position = stop
