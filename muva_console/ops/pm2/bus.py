"""The live bus of PM2's daemon (`pub.sock`): what processes write and what happens to them.

The daemon ignores back-pressure: for a subscriber that stops reading it keeps everything in its own
memory (65 to 324 MB in 11 s, measured). So a task of its own reads always, whatever consumers do; what
a slow one cannot take is dropped here, oldest first, and counted. With no consumer that wants anything
the bus is disconnected.

Source: `lib/Daemon.js`, `lib/Event.js`, `lib/God.js` of pm2 7.0.4.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

from msgspec import Raw, Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.pm2 import amp
from muva_console.ops.pm2.client import OPEN_TIMEOUT, READ_SIZE, OpenChannel
from muva_console.ops.pm2.model import BusNotice, LogChunk, NoticeKind, ProcessEvent
from muva_console.ops.pm2.parse import decode_json, moment, process_id, text
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

BusItem = ProcessEvent | LogChunk | BusNotice

BUFFER_BYTES = 8 * 1024 * 1024
"""Log text kept for a consumer that does not keep up. Ours: half a second of the worst flood measured."""
BUFFER_ITEMS = 20_000
BACK_OFF = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between attempts to reconnect; the last one for ever."""

OVER_MEMORY = "over its memory limit"

_STREAMS: dict[bytes, Literal["out", "err"]] = {b"s:log:out": "out", b"s:log:err": "err"}
# lib/God.js, handleExit: written just before the event "exit" of the same process, which lacks the signal
_EXIT = re.compile(r"App \[.*:(?:_old_)?(\d+)\] exited with code \[([^\]]*)\] via signal \[([^\]]*)\]")
_MEMORY = re.compile(r"\[PM2\]\[WORKER\] Process (\d+) restarted because it exceeds --max-memory-restart")


class _Who(Struct):
    """The fields of a bus message's `process` that are read: the rest holds the environment, flattened."""

    name: Any = None
    pm_id: Any = None


class _Message(Struct):
    at: Any = None
    event: Any = None
    manually: Any = None
    process: Raw = Raw(b"null")
    data: Raw = Raw(b"null")


class _Exception(Struct):
    message: Any = None
    stack: Any = None


class _Kill(Struct):
    msg: Any = None


class Subscription:
    """One consumer's view of the bus: an asynchronous iterator over what happens from now on.

    Ends when closed. `dropped_chunks` and `dropped_bytes` count what this consumer was too slow for.
    """

    def __init__(
        self,
        *,
        logs: bool,
        process: str | None,
        pm_id: int | None,
        limit: int,
        changed: Callable[[], None],
    ) -> None:
        self.logs = logs
        self.process = process
        self.pm_id = pm_id
        self.dropped_chunks = 0
        self.dropped_bytes = 0
        self._limit = limit
        self._changed = changed
        self._items: deque[BusItem] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._paused = False
        self._closed = False

    @property
    def wanting(self) -> bool:
        """Whether it takes anything at present."""
        return not (self._paused or self._closed)

    @property
    def pending(self) -> int:
        """Items that wait to be taken."""
        return len(self._items)

    def pause(self, paused: bool) -> None:
        """Take nothing for a while; the bus is disconnected when nobody else listens."""
        self._paused = paused
        self._changed()

    def close(self) -> None:
        """Stop; the iteration ends."""
        self._closed = True
        self._items.clear()
        self._filled.set()
        self._changed()

    def offer(self, item: BusItem) -> None:
        """Take an item if it is wanted, at the price of the oldest log chunks if there is no room."""
        if not self.wanting or not self._wants(item):
            return
        self._items.append(item)
        if isinstance(item, LogChunk):
            self._size += len(item.data)
        while self._size > self._limit or len(self._items) > BUFFER_ITEMS:
            self._drop()
        self._filled.set()

    def _wants(self, item: BusItem) -> bool:
        if isinstance(item, BusNotice):
            return True
        if isinstance(item, LogChunk) and not self.logs:
            return False
        return self.process in {None, item.process} and self.pm_id in {None, item.pm_id}

    def _drop(self) -> None:
        """The oldest log chunk, since what happened matters more than what was said; else the oldest."""
        for index, item in enumerate(self._items):
            if isinstance(item, LogChunk):
                del self._items[index]
                self._size -= len(item.data)
                self.dropped_chunks += 1
                self.dropped_bytes += len(item.data)
                return
        self._items.popleft()

    def __aiter__(self) -> AsyncIterator[BusItem]:
        return self

    async def __anext__(self) -> BusItem:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        if isinstance(item, LogChunk):
            self._size -= len(item.data)
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pm2Bus:
    """One host's bus, shared by all its consumers. Belongs to one event loop.

    It connects while a subscription wants something, reconnects for ever when the connection is lost
    (subscribers are told by a BusNotice and see `error`), and disconnects when nobody listens.
    """

    def __init__(self, open_channel: OpenChannel, host: str, *, limit: int = amp.FRAME_LIMIT) -> None:
        self._open = open_channel
        self._host = host
        self._limit = limit
        self._subscriptions: list[Subscription] = []
        self._task: asyncio.Task[None] | None = None
        self._exits: dict[int, str] = {}
        self.connected = False
        self.error: LinkError | None = None
        """Why the bus is not connected although somebody listens; None when it is or nobody does."""
        self.received = 0
        """Bytes read since the beginning."""

    def subscribe(
        self,
        *,
        logs: bool = True,
        process: str | None = None,
        pm_id: int | None = None,
        limit: int = BUFFER_BYTES,
    ) -> Subscription:
        """Listen from now on; `async with` or `close()` ends it. By name or number: that process alone."""
        subscription = Subscription(
            logs=logs, process=process, pm_id=pm_id, limit=limit, changed=self._reconsider
        )
        self._subscriptions.append(subscription)
        if self.connected:
            subscription.offer(self._notice(NoticeKind.CONNECTED))
        self._reconsider()
        return subscription

    async def close(self) -> None:
        """End all subscriptions and disconnect."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
        task = self._task
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _reconsider(self) -> None:
        self._subscriptions = [s for s in self._subscriptions if not s._closed]
        wanted = any(s.wanting for s in self._subscriptions)
        if wanted and (self._task is None or self._task.done() or self._task.cancelling()):
            self._task = asyncio.create_task(self._run(self._task), name=f"pm2 bus {self._host}")
        elif not wanted and self._task is not None:
            self._task.cancel()

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        failures = 0
        try:
            while True:
                try:
                    await self._listen()
                except LinkError as error:
                    self.error = error
                except Exception as error:  # a channel's reader raises what its library has for a loss
                    self.error = self._lost(sanitise_line(f"{type(error).__name__}: {error}", cap=200))
                if self.connected:
                    self.connected = False
                    failures = 0
                    self._publish(self._notice(NoticeKind.LOST, str(self.error)))
                delay = BACK_OFF[min(failures, len(BACK_OFF) - 1)]
                failures += 1
                await asyncio.sleep(delay)
        finally:
            self.connected = False
            self.error = None

    async def _listen(self) -> None:
        """Read until the channel ends. Waiting for the next byte has no time-out: silence is good news,
        and a connection that died in silence is found by the link's own keepalive.
        """
        decoder = amp.Decoder(limit=self._limit, where=self._host)
        self._exits.clear()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT) as opening, self._open() as (reader, _):
                opening.reschedule(None)
                self.connected = True
                self.error = None
                self._publish(self._notice(NoticeKind.CONNECTED))
                while data := await reader.read(READ_SIZE):
                    self.received += len(data)
                    for frame in decoder.feed(data):
                        self._received(frame)
        except TimeoutError:
            what = f"PM2's bus did not open within {OPEN_TIMEOUT:g} s"
            raise LinkError(Fault.TIMEOUT, what, where=self._host) from None
        raise self._lost("PM2's daemon closed the bus")

    def _received(self, frame: tuple[bytes, ...]) -> None:
        if len(frame) < 2 or frame[1][:2] != b"j:":
            return  # not one of PM2's own messages; an application may send what it likes
        topic, payload = frame[0], Raw(frame[1][2:])
        stream = _STREAMS.get(topic)
        if stream is not None:
            if any(s.logs and s.wanting for s in self._subscriptions):
                self._log(stream, payload)
        elif topic == b"s:process:event":
            self._event(payload)
        elif topic == b"s:process:exception":
            self._exception(payload)
        elif topic == b"s:log:PM2":
            self._daemon_line(payload)
        elif topic == b"s:pm2:kill":
            detail = text(decode_json(payload, _Kill, where=self._host).msg)
            self._publish(self._notice(NoticeKind.KILLED, detail))

    def _log(self, stream: Literal["out", "err"], payload: Raw) -> None:
        message = decode_json(payload, _Message, where=self._host)
        who = self._who(message)
        data = _plain(message.data)
        if who is not None and isinstance(data, str):
            pm_id, name = who
            self._publish(
                LogChunk(
                    host=self._host,
                    process=name,
                    pm_id=pm_id,
                    stream=stream,
                    at=_at(message),
                    data=data,
                )
            )

    def _event(self, payload: Raw) -> None:
        message = decode_json(payload, _Message, where=self._host)
        who = self._who(message)
        if who is None:
            return
        event = text(message.event, 60)
        detail = self._exits.pop(who[0], "") if event == "exit" else ""
        self._tell(message, who, event, detail, manually=message.manually is True)

    def _exception(self, payload: Raw) -> None:
        message = decode_json(payload, _Message, where=self._host)
        who = self._who(message)
        if who is None or not _is_object(message.data):
            return
        thrown = decode_json(message.data, _Exception, where=self._host)
        detail = text(thrown.message, 500)
        if isinstance(thrown.stack, str):  # its first line has the error's kind too
            first = text(thrown.stack.split("\n", 1)[0], 500)
            detail = first if detail in first else detail
        self._tell(message, who, "exception", detail)

    def _daemon_line(self, payload: Raw) -> None:
        line = _plain(decode_json(payload, _Message, where=self._host).data)
        if not isinstance(line, str):
            return
        if match := _EXIT.search(line):
            if self._exits.get(int(match[1])) != OVER_MEMORY:  # the reason, written before the exit
                self._exits[int(match[1])] = exit_text(match[2], match[3])
        elif match := _MEMORY.search(line):
            self._exits[int(match[1])] = OVER_MEMORY
        while len(self._exits) > 1000:  # exits whose events never came
            del self._exits[next(iter(self._exits))]

    def _tell(
        self, message: _Message, who: tuple[int, str], event: str, detail: str, *, manually: bool = False
    ) -> None:
        self._publish(
            ProcessEvent(
                host=self._host,
                at=_at(message),
                event=event,
                process=who[1],
                pm_id=who[0],
                manually=manually,
                detail=detail,
            )
        )

    def _who(self, message: _Message) -> tuple[int, str] | None:
        if not _is_object(message.process):
            return None
        who = decode_json(message.process, _Who, where=self._host)
        pm_id = process_id(who.pm_id)
        return None if pm_id is None else (pm_id, text(who.name) or f"#{pm_id}")

    def _publish(self, item: BusItem) -> None:
        for subscription in self._subscriptions:
            subscription.offer(item)

    def _notice(self, kind: NoticeKind, detail: str = "") -> BusNotice:
        return BusNotice(host=self._host, at=utc_now(), kind=kind, detail=detail)

    def _lost(self, what: str) -> LinkError:
        return LinkError(Fault.CLOSED, what, where=self._host)


def exit_text(code: str, signal: str) -> str:
    """How a run ended, from the daemon's log; it writes SIGINT where there was no signal at all."""
    if signal and signal != "SIGINT":
        return f"by {sanitise_line(signal, cap=20)}"
    return f"with code {sanitise_line(code, cap=20)}"


def _at(message: _Message) -> datetime:
    return moment(message.at) or utc_now()


def _is_object(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def _plain(raw: Raw) -> object:
    return decode_json(raw, object)
