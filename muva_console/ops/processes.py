"""The processes that PM2 keeps on one host, as one reading.

PM2's daemon is asked on its own socket, through the host's link, on a channel that stays open: 1 ms.
What it does not know or gets wrong (memory and CPU of children, the signal that ended a run, a crash loop
that lives long enough to be "online", the host's clock) comes from one shell command, run beside the
first request and then every few seconds only (`pm2/survey.py`).
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandResult, HostLink, StreamWriterLike
from muva_console.ops.pm2 import client, daemon_log, parse, survey, tree
from muva_console.ops.pm2.bus import Pm2Bus
from muva_console.ops.pm2.client import Call, RpcClient, RpcError
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.pm2.survey import Pm2Down, Survey
from muva_console.ops.process_findings import judge
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

__all__ = ["COMMAND", "SOCKET", "Pm2Down", "ProcessReader", "judge"]

SOCKET = "daemon socket"
COMMAND = "pm2 jlist"

SURVEY_EVERY = 5.0
"""Seconds between surveys of the host, unless a restart counter moved or a pid is new. Ours: at the
console's usual pace of 30 s every reading has its own; at one a second, one in five."""
SURVEY_GOOD = 15.0
"""Seconds after which what a survey told is not taken for the present any more."""
SOCKET_AGAIN = 60.0
"""Seconds until the daemon's socket is tried again after the server refused to forward to it."""
COMMAND_TIMEOUT = 20.0
"""Seconds for `pm2`, which boots Node: 0.2 s on a host that is well, many on one that is in trouble."""
COMMAND_LIMIT = 64 * 1024 * 1024


class ProcessReader:
    """Reads one host's processes, and is the way to its daemon for those who act. One event loop's own.

    Raises LinkError and nothing else: the link's own, `Pm2Down` where the daemon does not run.
    """

    def __init__(self, link: HostLink, host_config: Host, *, restart_window: float = 300.0) -> None:
        self._link = link
        self._config = host_config
        self._window = restart_window
        self._home = ""
        self._rpc = RpcClient(lambda: self._open("rpc.sock"), where=f"pm2 on {link.host}")
        self._bus = Pm2Bus(lambda: self._open("pub.sock"), link.host)
        self._version = ""
        self._source = ""
        self._refused_until = 0.0
        self._survey: Survey | None = None
        self._before: tree.TreeSample | None = None
        self._looking: asyncio.Task[Survey] | None = None
        self._log = daemon_log.DaemonLog()
        self._log_inode = 0
        self._log_known = 0
        self._counters: dict[tuple[int, str], deque[tuple[float, int]]] = {}
        self._pids: frozenset[int | None] = frozenset()
        self.survey_error: LinkError | None = None
        """Why the last look at the host failed (then memory is the leader's alone); None when it did not."""

    @property
    def host(self) -> str:
        """The host's name in muva.toml."""
        return self._link.host

    @property
    def source(self) -> str:
        """Which of the two ways the last reading took: ``daemon socket``, ``pm2 jlist``, or empty."""
        return self._source

    @property
    def bus(self) -> Pm2Bus:
        """The host's live bus; connected while somebody subscribes."""
        return self._bus

    @property
    def config(self) -> Host:
        """The host's table in muva.toml."""
        return self._config

    async def read(self) -> ProcessList:
        """All processes of the host now. Raises LinkError, Pm2Down among them."""
        began = time.monotonic()
        look = self._begin_look() if self._due() else None
        try:
            if look is not None and not self._home:
                await self._looked(look)
            raw, source = await self._fetch()
            processes = parse.processes(raw, self.host)
            moved = any([self._count(processes), self._new(processes)])
            if look is not None:
                await self._looked(look)
            elif moved:  # the daemon's log says why, and /proc has not been asked about what is new
                await self._looked(self._begin_look())
        finally:
            if look is not None:
                look.cancel()
        self._source = source
        now = time.monotonic()
        recent = self._survey if self._survey and now - self._survey.taken <= SURVEY_GOOD else None
        told = tuple(self._complete(process, recent, now) for process in processes)
        at = utc_now()
        offset = 0.0
        if self._survey is not None and self._survey.host_clock is not None:
            offset = self._survey.host_clock + (now - self._survey.taken) - at.timestamp()
        return ProcessList(
            host=self.host,
            at=at,
            processes=told,
            source=source,
            daemon_version=self._version,
            clock_offset=offset,
            took_ms=(now - began) * 1000,
        )

    async def call(self, call: Call, *, timeout: float = client.CALL_TIMEOUT) -> Raw:
        """Make an allow-listed call. Raises LinkError; Pm2Down where the daemon does not run."""
        try:
            return await self._rpc.call(call, timeout=timeout)
        except RpcError:
            raise
        except LinkError as error:
            if error.fault in {Fault.MISSING, Fault.REFUSED, Fault.CLOSED}:
                try:
                    await self._down(error)
                except Pm2Down:
                    raise
                except LinkError:  # no look either; what became of the call is what must be told
                    raise error from None
            raise

    async def command(self, *arguments: str, timeout: float = COMMAND_TIMEOUT) -> CommandResult:
        """Run pm2's own command line on the host, where its daemon lives: it never starts one.

        Raises LinkError; Pm2Down where the daemon does not run, MISSING where there is no pm2.
        """
        argv = [*shlex.split(self._config.pm2), *arguments]
        line = survey.guarded(self._home or self._config.pm2_home, argv)
        result = await self._link.run(line, timeout=timeout, limit=COMMAND_LIMIT)
        if result.exit_status == survey.GUARD_STATUS:
            raise (await self._look()).down(self.host)
        if result.exit_status == 127:
            raise LinkError(
                Fault.MISSING,
                f"there is no command {sanitise_line(self._config.pm2, cap=200)!r}",
                where=self.host,
                means="a login without a terminal often lacks what nvm adds to PATH",
                next=f'set pm2 = "/path/to/pm2" in [hosts.{self.host}] of muva.toml',
            )
        return result

    async def home(self) -> str:
        """PM2's home on the host, absolute. Raises LinkError."""
        if not self._home:
            await self._looked(self._begin_look())
        return self._home

    async def by_socket(self) -> bool:
        """Whether the daemon's socket can be used; False where the server refuses to forward to it."""
        if time.monotonic() < self._refused_until:
            return False
        try:
            await self.call(client.ping())
        except RpcError:
            return True
        except LinkError as error:
            if error.fault is Fault.REFUSED:
                return False
            raise
        return True

    async def close(self) -> None:
        """Close the channels; the reader may be used again. The link stays open."""
        await self._bus.close()
        await self._rpc.close()
        if self._looking is not None:
            self._looking.cancel()

    @asynccontextmanager
    async def _open(self, name: str) -> AsyncIterator[tuple[asyncio.StreamReader, StreamWriterLike]]:
        path = f"{await self.home()}/{name}"
        async with self._link.open_unix(path) as channel:
            yield channel

    async def _fetch(self) -> tuple[Raw | bytes, str]:
        """The list as JSON, and which way it came."""
        if time.monotonic() >= self._refused_until:
            try:
                return await self._ask(), SOCKET
            except RpcError:
                raise
            except LinkError as error:
                if error.fault not in {Fault.MISSING, Fault.REFUSED, Fault.CLOSED, Fault.OTHER}:
                    raise
                await self._down(error)
                self._refused_until = time.monotonic() + SOCKET_AGAIN
        return await self._ask_command(), COMMAND

    async def _ask(self) -> Raw:
        if self._rpc.connected and self._version:
            return await self._rpc.call(client.list_processes())
        answer, version = await asyncio.gather(
            self._rpc.call(client.list_processes()), self._rpc.call(client.version())
        )
        self._version = parse.text(parse.decode_json(version, object, where=self.host), 40)
        return answer

    async def _ask_command(self) -> bytes:
        """`pm2 jlist`'s JSON: a line of its own, after whatever else pm2 has to say."""
        result = await self.command("jlist")
        for line in reversed(result.stdout.splitlines()):
            if line.startswith((b"[{", b"[]")):
                self._version = self._survey.version if self._survey is not None else ""
                return line
        said = sanitise_line((result.stderr or b"no list").strip().split(b"\n")[-1], cap=200)
        raise LinkError(
            Fault.PROTOCOL, f"`pm2 jlist` ended with {result.exit_status}: {said}", where=self.host
        )

    async def _down(self, error: LinkError) -> None:
        """Raise why the daemon cannot be asked unless it is only that the server does not forward."""
        look = await self._look()
        if not (look.alive and look.socket):
            self._version = ""
            raise look.down(self.host) from None
        if error.fault in {Fault.MISSING, Fault.CLOSED}:
            raise error

    def _due(self) -> bool:
        if self._survey is None or time.monotonic() - self._survey.taken >= SURVEY_EVERY:
            return True
        return self._source == SOCKET and not self._rpc.connected  # another daemon, perhaps

    async def _looked(self, look: asyncio.Task[Survey]) -> None:
        """Wait for a look whose failure costs detail only, unless nothing can be read without it."""
        try:
            await look
        except LinkError:
            if not self._home:
                if not self._config.pm2_home.startswith("/"):
                    raise
                self._home = self._config.pm2_home

    def _begin_look(self) -> asyncio.Task[Survey]:
        task = asyncio.create_task(self._look())
        task.add_done_callback(_retrieve)
        return task

    async def _look(self) -> Survey:
        """Look at the host; those who ask meanwhile get the same answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._survey_host(), name=f"pm2 survey {self.host}")
            self._looking.add_done_callback(_retrieve)
        return await asyncio.shield(self._looking)

    async def _survey_host(self) -> Survey:
        try:
            seen = await survey.look(
                self._link,
                self._home or self._config.pm2_home,
                inode=self._log_inode,
                known=self._log_known,
                twice=self._survey is None,
            )
        except LinkError as error:
            self.survey_error = error
            raise
        self.survey_error = None
        self._home = seen.home
        if len(seen.samples) > 1:
            self._before = seen.samples[0]
        elif self._survey is not None and self._survey.samples:
            self._before = self._survey.samples[-1]
        self._survey = seen
        if seen.log is not None:
            self._follow(seen.log, seen.utc_offset)
        return seen

    def _follow(self, piece: survey.LogPiece, host_offset: float) -> None:
        if piece.inode != self._log_inode or piece.start != self._log_known:
            self._log.reset()  # another file, a truncated one, or more was written than is read at once
        self._log_inode = piece.inode
        self._log_known = piece.start + len(piece.data)
        newest = daemon_log.newest_stamp(piece.data)
        if newest is not None:
            try:
                host_offset = daemon_log.utc_offset(newest, piece.modified, host_offset)
            except ValueError:
                pass
        self._log.feed(piece.data, host_offset)

    def _count(self, processes: tuple[Process, ...]) -> bool:
        """Remember the restart counters; True when one of them moved since the reading before."""
        now = time.monotonic()
        moved = False
        counters: dict[tuple[int, str], deque[tuple[float, int]]] = {}
        for process in processes:
            key = (process.pm_id, process.name)
            seen = self._counters.get(key) or deque()
            if seen and process.restarts < seen[-1][1]:
                seen.clear()  # `pm2 reset`, or deleted and added again under the same number
            moved = moved or bool(seen and process.restarts != seen[-1][1])
            seen.append((now, process.restarts))
            while len(seen) > 2 and seen[1][0] <= now - self._window:
                seen.popleft()
            counters[key] = seen
        self._counters = counters
        return moved

    def _new(self, processes: tuple[Process, ...]) -> bool:
        """Whether there is a pid that the reading before did not have."""
        pids = frozenset(process.pid for process in processes)
        new = bool(pids - self._pids)
        self._pids = pids
        return new

    def _complete(self, process: Process, recent: Survey | None, now: float) -> Process:
        """The process with what the host told beside PM2's own words."""
        usage = None
        if recent is not None and recent.samples and process.pid is not None:
            usage = recent.samples[-1].usage(process.pid, self._before)
        unasked, memory = self._restarts(process, now)
        signal = self._log.signal(process.pm_id, process.name)
        asked = self._log.asked(process.pm_id, process.name)
        return msgspec.structs.replace(
            process,
            memory=process.memory if usage is None else usage.memory,
            cpu=process.cpu if usage is None or usage.cpu is None else round(usage.cpu, 1),
            tree=usage is not None,
            restarts_in_window=unasked,
            memory_restarts=memory,
            last_signal=signal,
            asked_at=None if asked is None else datetime.fromtimestamp(asked, UTC),
            exit_code=None if signal else process.exit_code,
        )

    def _restarts(self, process: Process, now: float) -> tuple[int | None, int | None]:
        """Unasked restarts within the window, and those by the memory limit.

        The daemon's log tells a restart that somebody asked for from one that nobody did; the counter
        catches what the log has lost (flushed, rotated, written in another format).
        """
        seen = self._counters[process.pm_id, process.name]
        watched = now - seen[0][0]
        counted = seen[-1][1] - seen[0][1]
        clock = self._survey.host_clock if self._survey is not None else None
        if self._survey is None or clock is None or self._log.covers_from is None:
            known = counted > 0 or watched >= self._window
            return (counted if known else None), None
        host_now = clock + now - self._survey.taken
        since = host_now - self._window
        told = self._log.restarts(process.pm_id, process.name, since)
        unasked = max(told.unasked, counted - told.asked - told.settled)
        began = process.started_at.timestamp() if process.started_at is not None else None
        quiet = began is not None and began <= since  # the present run is older than the window
        known = unasked > 0 or quiet or self._log.covers_from <= since or watched >= self._window
        return (unasked if known else None), told.memory


def _retrieve(task: asyncio.Task[Survey]) -> None:
    """The error of a look is kept in `survey_error`; a task that nobody awaits any more is not a defect."""
    if not task.cancelled():
        task.exception()
