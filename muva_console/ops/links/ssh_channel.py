"""The ends of SSH channels: a command's output collected or streamed, and bytes to a socket.

Memory is bounded everywhere: what is over a limit is dropped, what is not read pauses the sender.
Imports asyncssh: import this module from functions only.
"""

# ruff: noqa: D102 (what asyncssh calls is described by asyncssh)

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable
from typing import Any

import asyncssh

from muva_console.ops.errors import LinkError

QUIET = 0.3
"""Seconds without output after which a command that has exited counts as done although something it
left behind still holds its output open."""
STREAM_HIGH = 1024 * 1024
"""Bytes of a stream that wait for their reader before the sender is paused."""
READER_LIMIT = 256 * 1024
ENDED_BY_TERM = 128 + signal.SIGTERM


class CommandSession(asyncssh.SSHClientSession[bytes]):
    """What both kinds of command have in common: how they end, and how they are given up."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._abandoned = False
        self._eof = False
        self.slot: Callable[[], None] = lambda: None
        """Gives the session's slot back; set by who opened it."""
        self.exit_status: int | None = None
        self.error: Exception | None = None
        self.closed = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if not self._abandoned:
            self._data(data, datatype)

    def eof_received(self) -> bool:
        self._eof = True
        self._changed()
        return True  # our side, the lifeline, stays open

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status
        self._changed()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.exit_status = _signal_status(signal)
        self._changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.closed.set()
        self._changed()

    def write(self, data: bytes) -> None:
        """Write to the lifeline, if it still stands."""
        if self._channel is not None and not self.closed.is_set() and not self._channel.is_closing():
            try:
                self._channel.write(data)
            except BrokenPipeError:
                return  # our side is ended already

    def abandon(self, patience: float) -> None:
        """Cut the lifeline; give the slot back when the server has closed the channel.

        Until then what still comes is dropped. A server that has not closed it after `patience`
        seconds is told to. Returns at once.
        """
        self._abandoned = True
        channel = self._channel
        if channel is None or self.closed.is_set():
            self.slot()
            return
        if not channel.is_closing():
            channel.write_eof()
            channel.resume_reading()
        timer = self._loop.call_later(patience, channel.close)

        def gone(_: asyncio.Task[Any]) -> None:
            timer.cancel()
            self.slot()

        self._waiting = self._loop.create_task(self._wait_closed(patience + 2.0))
        self._waiting.add_done_callback(gone)

    async def _wait_closed(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closed.wait()

    def _data(self, data: bytes, datatype: asyncssh.DataType) -> None:
        raise NotImplementedError

    def _changed(self) -> None:
        raise NotImplementedError


def _signal_status(name: str) -> int:
    try:
        return 128 + signal.Signals["SIG" + name]
    except KeyError:
        return 255


class Collector(CommandSession):
    """Keeps a command's output up to `limit` bytes, standard output and error together."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._room = limit
        self._quiet: asyncio.TimerHandle | None = None
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False
        self.settled = asyncio.Event()
        """The command has ended and its output is in, or more came than is kept, or it is lost."""

    def _data(self, data: bytes, datatype: asyncssh.DataType) -> None:
        kept = self.stdout if datatype is None else self.stderr
        kept += data[: self._room]
        if len(data) > self._room:
            self.truncated = True
            self.settled.set()
        self._room = max(0, self._room - len(data))
        if self._quiet is not None:
            self._wait_for_quiet()

    def _changed(self) -> None:
        if self.closed.is_set() or (self.exit_status is not None and self._eof):
            self.settled.set()
        elif self.exit_status is not None:
            self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self._loop.call_later(QUIET, self.settled.set)


class Streamer(CommandSession):
    """A command's output as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._over = False
        self._quiet: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()

    async def next(self) -> bytes | None:
        """The next chunk; None when the command has ended or the channel is gone (see `error`)."""
        while not self._chunks:
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        # One chunk for all that waits: a slow reader catches up in large steps.
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused and self._channel is not None:
            self._paused = False
            self._channel.resume_reading()
        return chunk

    def _data(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > STREAM_HIGH and not self._paused and self._channel is not None:
            self._paused = True
            self._channel.pause_reading()
        if self._quiet is not None:
            self._wait_for_quiet()
        self._news.set()

    def _changed(self) -> None:
        if self.closed.is_set() or (self.exit_status is not None and self._eof):
            self._end()
        elif self.exit_status is not None:
            self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self._loop.call_later(QUIET, self._end)

    def _end(self) -> None:
        self._over = True
        self._news.set()


class Terminal(Streamer):
    """A command, or a login shell, that has a terminal on the host."""

    def resize(self, columns: int, rows: int) -> None:
        """Tell the host that the window has another size."""
        if self._channel is not None and not self.closed.is_set() and not self._channel.is_closing():
            self._channel.change_terminal_size(columns, rows)

    def hang_up(self) -> None:
        """Close the terminal: what runs in it gets SIGHUP."""
        if self._channel is not None and not self.closed.is_set():
            self._channel.close()
        self._end()  # a host that is gone does not answer to the close


class ByteChannel(asyncssh.SSHTCPSession[bytes]):
    """A channel to a socket behind the host, as a real asyncio.StreamReader and a writer."""

    def __init__(self, explain: Callable[[Exception | None], LinkError]) -> None:
        self._explain = explain
        self._channel: asyncssh.SSHTCPChannel[bytes] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost: LinkError | None = None
        self._closed_here = False
        self.reader = asyncio.StreamReader(limit=READER_LIMIT)

    # what asyncssh calls

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        self.reader.set_transport(_Pausable(chan))

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if not self._closed_here:
            self.reader.feed_data(data)

    def eof_received(self) -> bool:
        self.reader.feed_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._closed_here:
            self._lost = self._explain(exc)
            self.reader.set_exception(self._lost)
        else:
            self.reader.feed_eof()
        self._writable.set()
        self._channel = None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # what its user calls

    @property
    def gone(self) -> bool:
        """Whether the peer has ended the channel, or the connection."""
        return self._channel is None or self.reader.at_eof()

    def write(self, data: bytes) -> None:
        """Queue bytes. Raises LinkError(CLOSED) when the channel is gone."""
        if self._channel is None or self._channel.is_closing():
            raise self._lost or self._explain(None)
        try:
            self._channel.write(data)
        except OSError as error:
            raise self._explain(error) from error

    def write_eof(self) -> None:
        """Say that nothing more is written; reading goes on."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write_eof()

    async def drain(self) -> None:
        """Wait until the peer takes more."""
        await self._writable.wait()
        if self._channel is None:
            raise self._lost or self._explain(None)

    def close(self) -> None:
        """Close the channel at once; what was not read is dropped."""
        self._closed_here = True
        if self._channel is not None:
            self._channel.abort()


class _Pausable(asyncio.ReadTransport):
    """The two methods of a transport that asyncio.StreamReader uses to hold back a fast sender."""

    def __init__(self, channel: asyncssh.SSHTCPChannel[bytes]) -> None:
        super().__init__()
        self._channel = channel

    def pause_reading(self) -> None:
        self._channel.pause_reading()

    def resume_reading(self) -> None:
        # asyncssh delivers what waits within the call; StreamReader calls before it listens.
        self._channel.get_loop().call_soon(self._channel.resume_reading)

    def is_closing(self) -> bool:
        return self._channel.is_closing()
