"""Requests to PM2's daemon over its `rpc.sock`: an allow-list of calls, pipelined on one channel.

Source: `modules/pm2-axon-rpc/lib/server.js`, `modules/pm2-axon/lib/sockets/rep.js` and `lib/Daemon.js` of
pm2 7.0.4. A request is the frame `[message, id]`, a reply `[result, id]`; replies come in any order.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Raw, Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import StreamWriterLike
from muva_console.ops.pm2 import amp
from muva_console.ops.pm2.parse import decode_json
from muva_console.ops.text import sanitise_line

CALL_TIMEOUT = 8.0
"""Seconds that an answer may take. Ours; a reading takes the daemon 1 ms, a second under load."""
OPEN_TIMEOUT = 8.0
"""Seconds that opening the channel may take on a link that is up."""
READ_SIZE = 256 * 1024

OpenChannel = Callable[[], AbstractAsyncContextManager[tuple[asyncio.StreamReader, StreamWriterLike]]]


class Method(StrEnum):
    """The daemon's methods that this console may call; there is no way to name another.

    Left out on purpose: `killMe`, `deleteProcessId`, `prepare`, `sendLineToStdin`, `msgProcess`,
    `profile*` (they do harm), `getReport` (it tells the daemon's environment).
    """

    PING = "ping"
    VERSION = "getVersion"
    LIST = "getMonitorData"
    START = "startProcessId"
    STOP = "stopProcessId"
    RESTART = "restartProcessId"
    RELOAD = "reloadProcessId"
    NOTIFY = "notifyByProcessId"


_READS = frozenset({Method.PING, Method.VERSION, Method.LIST})
_BY_ID = frozenset({Method.START, Method.STOP})
_LABELS = frozenset({"start", "restart", "stop", "reload"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method with its one argument, checked when it is made.

    Every exposed method takes one argument and a callback. With no argument at all (``args: []``) the
    daemon takes the callback for the argument and dies, restarting every application: a `Call` always
    has one, and it has the method's shape, or ValueError is raised.
    """

    method: Method
    argument: int | Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.method, Method):
            raise TypeError(f"not a method of the allow-list: {self.method!r}")
        if not self._valid():
            raise ValueError(f"{self.method} does not take this argument")

    @property
    def reads(self) -> bool:
        """Whether the call changes nothing, so that it may be made twice."""
        return self.method in _READS

    def message(self) -> bytes:
        """The request as JSON."""
        return msgspec.json.encode({"type": "call", "method": self.method.value, "args": [self.argument]})

    def _valid(self) -> bool:
        argument = self.argument
        if self.method in _READS:
            return isinstance(argument, dict) and not argument
        if self.method in _BY_ID:
            return _is_id(argument)
        if not isinstance(argument, dict) or not _is_id(argument.get("id")):
            return False
        if self.method is Method.NOTIFY:
            return (
                set(argument) == {"id", "action_name", "manually"}
                and argument["action_name"] in _LABELS
                and argument["manually"] is True
            )
        if set(argument) == {"id"}:
            return True
        return (
            self.method is Method.RESTART
            and set(argument) == {"id", "env"}
            and _is_memory_limit(argument["env"])
        )


def ping() -> Call:
    """Whether the daemon answers."""
    return Call(Method.PING, {})


def version() -> Call:
    """The daemon's own version (the command line's may be newer), a string."""
    return Call(Method.VERSION, {})


def list_processes() -> Call:
    """All processes with CPU and memory; `parse.processes` reads the answer."""
    return Call(Method.LIST, {})


def start(pm_id: int) -> Call:
    """Start a stopped process without resetting its counters of unstable starts."""
    return Call(Method.START, pm_id)


def stop(pm_id: int) -> Call:
    """Stop; answers when the process has ended (SIGINT, SIGKILL after its kill_timeout)."""
    return Call(Method.STOP, pm_id)


def restart(pm_id: int, *, memory_limit: int | None = None) -> Call:
    """Restart, or start what is stopped; sets max_memory_restart to `memory_limit` bytes when given."""
    if memory_limit is None:
        return Call(Method.RESTART, {"id": pm_id})
    return Call(Method.RESTART, {"id": pm_id, "env": {"current_conf": {"max_memory_restart": memory_limit}}})


def reload(pm_id: int) -> Call:
    """Replace a cluster worker by a new one; a process in fork mode is restarted by this."""
    return Call(Method.RELOAD, {"id": pm_id})


def notify(pm_id: int, label: str) -> Call:
    """Tell everybody on the bus that a person did this, as pm2's own command line does."""
    return Call(Method.NOTIFY, {"id": pm_id, "action_name": label, "manually": True})


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_memory_limit(env: object) -> bool:
    """``{"current_conf": {"max_memory_restart": bytes}}`` and nothing beside; 0 would restart for ever."""
    if not isinstance(env, dict) or set(env) != {"current_conf"}:
        return False
    conf = env["current_conf"]
    if not isinstance(conf, dict) or set(conf) != {"max_memory_restart"}:
        return False
    limit = conf["max_memory_restart"]
    return isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit < 2**53


class RpcError(LinkError):
    """The daemon answered, and what it answered is an error."""


class _Reply(Struct):
    args: list[Raw] | None = None
    error: Any = None


class RpcClient:
    """Calls over one channel that stays open, is reopened when it is lost, and serves many at once.

    Belongs to one event loop. Raises LinkError and nothing else: REFUSED, MISSING … as the channel's
    opening does, TIMEOUT, CLOSED, PROTOCOL, and RpcError for the daemon's own errors.
    """

    def __init__(self, open_channel: OpenChannel, *, where: str, limit: int = amp.FRAME_LIMIT) -> None:
        self._open = open_channel
        self._where = where
        self._limit = limit
        self._channel: _Channel | None = None
        self._opening = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether the channel is open now."""
        return self._channel is not None and self._channel.alive

    async def call(self, call: Call, *, timeout: float = CALL_TIMEOUT) -> Raw:
        """The result of a call, as the JSON it came in; ``null`` where the method answers nothing.

        A read whose channel is lost on the way is asked once more on a new one; an act never is, since
        it may have happened.
        """
        for last in (False, True):
            channel = await self._ensure()
            try:
                return await channel.call(call, timeout)
            except LinkError as error:
                if last or not (call.reads and error.fault is Fault.CLOSED):
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the channel; a later call opens a new one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _ensure(self) -> _Channel:
        if self._channel is not None and self._channel.alive:
            return self._channel
        async with self._opening:
            if self._channel is None or not self._channel.alive:
                await self.close()
                channel = _Channel(self._open, self._where, self._limit)
                await channel.opened()
                self._channel = channel
            return self._channel


class _Channel:
    """One channel's life. A task of its own enters and leaves it, whoever asks and is cancelled."""

    def __init__(self, open_channel: OpenChannel, where: str, limit: int) -> None:
        self._open = open_channel
        self._where = where
        self._decoder = amp.Decoder(limit=limit, where=where)
        self._pending: dict[bytes, asyncio.Future[bytes]] = {}
        self._numbers = itertools.count(1)
        self._writer: StreamWriterLike | None = None
        self._ended: LinkError | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name=f"pm2 rpc {where}")

    @property
    def alive(self) -> bool:
        return self._ended is None and self._writer is not None

    async def opened(self) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await asyncio.shield(self._ready)
        except TimeoutError:
            await self.close()
            raise LinkError(
                Fault.TIMEOUT, f"PM2's socket did not open within {OPEN_TIMEOUT:g} s", where=self._where
            ) from None
        except asyncio.CancelledError:
            self._task.cancel()
            raise

    async def call(self, call: Call, timeout: float) -> Raw:
        if self._ended is not None or self._writer is None:
            raise self._lost(call)
        identity = f"s:{os.getpid()}:{next(self._numbers)}".encode()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[identity] = answer
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(amp.encode((b"j:" + call.message(), identity)))
                await self._writer.drain()
                payload = await answer
        except TimeoutError:
            if not self._pending.keys() - {identity}:  # it may be dead without a word
                self._abandon("the channel to PM2's daemon fell silent")
            raise LinkError(
                Fault.TIMEOUT,
                f"PM2's daemon did not answer {call.method} within {timeout:g} s",
                where=self._where,
                means="" if call.reads else "whether it did what was asked is not known",
            ) from None
        except LinkError:
            raise self._lost(call) from None
        except Exception:  # the channel's writer raises what its library has for a lost connection
            self._abandon("the channel to PM2's daemon was lost")
            raise self._lost(call) from None
        finally:
            self._pending.pop(identity, None)
        return self._result(call, payload)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _live(self) -> None:
        ended = LinkError(Fault.CLOSED, "the channel to PM2's daemon was closed", where=self._where)
        try:
            async with self._open() as (reader, writer):
                self._writer = writer
                self._ready.set_result(None)
                while data := await reader.read(READ_SIZE):
                    for frame in self._decoder.feed(data):
                        self._answered(frame)
        except LinkError as error:
            ended = error
        except Exception as error:  # a channel's reader raises what its library has for a lost connection
            ended = LinkError(
                Fault.CLOSED,
                f"the channel to PM2's daemon broke: {sanitise_line(str(error), cap=200)}",
                where=self._where,
            )
        finally:
            self._end(ended)

    def _answered(self, frame: tuple[bytes, ...]) -> None:
        if len(frame) < 2:
            raise LinkError(Fault.PROTOCOL, "an answer without an id from PM2's socket", where=self._where)
        future = self._pending.get(frame[-1])
        if future is not None and not future.done():  # else: late, its caller has gone
            future.set_result(frame[0])

    def _end(self, error: LinkError) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self._writer = None
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # whoever waits gets it; nobody may wait any more
        for future in self._pending.values():
            if not future.done():
                future.set_exception(error)
                future.exception()

    def _abandon(self, why: str) -> None:
        """Nobody may use it any more, from this moment."""
        self._end(LinkError(Fault.CLOSED, why, where=self._where))
        self._task.cancel()

    def _lost(self, call: Call) -> LinkError:
        ended = self._ended
        return LinkError(
            ended.fault if ended is not None else Fault.CLOSED,
            ended.what if ended is not None else "the channel to PM2's daemon was lost",
            where=self._where,
            means="" if call.reads else f"whether {call.method} was done is not known",
        )

    def _result(self, call: Call, payload: bytes) -> Raw:
        if payload[:2] != b"j:":
            raise LinkError(Fault.PROTOCOL, "an answer that is not JSON from PM2's socket", where=self._where)
        reply = decode_json(Raw(payload[2:]), _Reply, where=self._where)
        if reply.args is None or reply.error is not None:
            raise RpcError(
                Fault.OTHER, f"PM2 refused {call.method}: {_error_text(reply.error)}", where=self._where
            )
        return reply.args[0] if reply.args else Raw(b"null")


def _error_text(error: object) -> str:
    """A line about the daemon's error. Of an object (a system error carries the arguments of what was
    spawned, which may hold secrets) only its message and code are read.
    """
    if isinstance(error, dict):
        error = error.get("message") or error.get("msg") or error.get("code")
    return sanitise_line(error, cap=300) if isinstance(error, str) and error else "no reason given"
