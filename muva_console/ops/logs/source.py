"""Lines of the processes of one host: first what the files hold, then what comes.

What comes is heard from PM2's bus; where there is no bus, the files are followed with ``tail -F``. The
two meet without a line lost or shown twice (see `seam`). A connection that drops is taken up again for
ever: what was written meanwhile is read from the files where they still hold it, and a note among the
lines tells the gap. Lines that were not heard as they were written never pass for live: they carry
their own time, or none.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import HostLink
from muva_console.ops.logs.assemble import LineAssembler
from muva_console.ops.logs.buffer import LogBuffer, LogState
from muva_console.ops.logs.files import LEAST, MOST, FilePart, Reading, Wanted, read_ends
from muva_console.ops.logs.merge import interleave
from muva_console.ops.logs.model import LogLine, Origin, Stream, note
from muva_console.ops.logs.seam import Place, Seam
from muva_console.ops.pm2.model import LogChunk, NoticeKind, Process, ProcessEvent
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.pm2.bus import Pm2Bus, Subscription

BATCH = 0.1
"""Seconds for which lines are gathered before they are handed over."""
HISTORY = 1000
"""Lines of history by default."""
BUS_TIMEOUT = 5.0
"""Seconds in which the bus must open, else the files are followed."""
BUS_AGAIN = 30.0
"""Seconds after which the bus is tried again while the files are followed."""
MOST_TAILS = 8
"""Files followed at once: each takes a channel, and sshd allows ten by default (MaxSessions)."""
MOST_WAITING = 50_000
"""Lines that wait for a slow consumer; older ones are dropped, and the drop is told."""
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts to connect again, the last one for ever."""
_BYTES_A_LINE = 200

OnState = Callable[[LogState], None]


class LogFile:
    """One log file, and the outputs of processes that go there."""

    def __init__(self, path: str, origin: Origin) -> None:
        self.path = path
        self.origin = origin
        self.pm_ids: set[int] = set()
        self.place: Place | None = None
        self.seam = Seam(b"", None)
        self.assembler = LineAssembler(origin)
        self.speaker = self.assembler
        """Where what the bus says goes; another one where several processes share the file."""


def log_files(host: str, processes: Sequence[Process]) -> list[LogFile]:
    """The log files of some processes, each once however many processes write to it."""
    names = [process.name for process in processes]
    files: dict[str, LogFile] = {}
    for process in processes:
        several = names.count(process.name) > 1
        for stream, path in ((Stream.OUT, process.out_log), (Stream.ERR, process.err_log)):
            if not path:
                continue
            if path in files:
                files[path].pm_ids.add(process.pm_id)
                if several:  # a file of all instances cannot tell which of them wrote a line
                    files[path].origin = Origin(host, process.name, files[path].origin.stream)
                continue
            name = f"{process.name}:{process.pm_id}" if several else process.name
            file = files[path] = LogFile(path, Origin(host, name, stream))
            file.pm_ids.add(process.pm_id)
    for file in files.values():
        file.assembler = LineAssembler(file.origin)
    return list(files.values())


async def history(
    link: HostLink, processes: Sequence[Process] | Process, lines: int = HISTORY
) -> list[LogLine]:
    """The last `lines` lines that the log files of some processes hold, out and err interleaved by time.

    A file that is not there or cannot be read is a note among the lines. Raises LinkError.
    """
    chosen = (processes,) if isinstance(processes, Process) else processes
    files = log_files(link.host, chosen)
    reading = await read_ends(link, [Wanted(file.path, None, _window(lines)) for file in files])
    told, notes = _take_history(files, reading, lines)
    for file in files:
        told += file.assembler.end()
    return notes + told[-lines:] if lines > 0 else notes


class LogFollower:
    """Follows the processes of one host. Belongs to one event loop; use `batches` or `pump` once.

    `bus` is the host's Pm2Bus; None follows the files. `on_state` is told how the lines come in.
    """

    def __init__(
        self,
        link: HostLink,
        processes: Sequence[Process],
        *,
        bus: Pm2Bus | None = None,
        lines: int = HISTORY,
        on_state: OnState | None = None,
    ) -> None:
        self._link = link
        self._host = link.host
        self._bus = bus
        self._names = {process.name for process in processes}
        self._files = log_files(link.host, processes)
        self._by_output = {
            (pm_id, file.origin.stream.value): file for file in self._files for pm_id in file.pm_ids
        }
        # a process that was deleted and started anew has another number, but its name and its files
        self._by_name = {(file.origin.process, file.origin.stream.value): file for file in self._files}
        self._heard: dict[tuple[int, str], LineAssembler] = {}
        self._lines = lines
        self._on_state = on_state
        self._out: list[LogLine] = []
        self._dropped = 0
        self._filled = asyncio.Event()
        self._begun = False
        self._lost_at: float | None = None
        self._utc_offset: float | None = None
        self._ready: Subscription | None = None

    async def batches(self) -> AsyncGenerator[list[LogLine], None]:
        """Lines as they come, in batches a tenth of a second apart or more; never ends by itself.

        The first batches are the history.
        """
        task = asyncio.create_task(self._run(), name=f"logs {self._host}")
        try:
            while True:
                quiet = BATCH if self._unfinished() else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(quiet):
                        await self._filled.wait()
                self._filled.clear()
                self._flush()
                if self._out:
                    yield self._taken()
                    await asyncio.sleep(BATCH)
                if task.done():
                    task.result()
                    return
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self._ready is not None:
                self._ready.close()

    @property
    def waiting(self) -> int:
        """Lines that wait to be taken."""
        return len(self._out)

    @property
    def dropped(self) -> int:
        """Lines dropped since the last batch, because nobody took them."""
        return self._dropped

    async def pump(self, buffer: LogBuffer) -> None:
        """Put all lines into `buffer`, and how they come in too, until cancelled."""
        tell = self._on_state

        def both(state: LogState) -> None:
            buffer.set_state(state)
            if tell is not None:
                tell(state)

        self._on_state = both
        try:
            async with aclosing(self.batches()) as batches:
                async for batch in batches:
                    buffer.append(batch)
        finally:
            self._tell(live=False, detail="not followed")

    # --- the life of a connection

    async def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except LinkError as error:
                self._lose(error)
            if time.monotonic() - began > BACK_OFF[-1]:
                failures = 0
            if self._lost_at is not None:
                await asyncio.sleep(BACK_OFF[min(failures, len(BACK_OFF) - 1)])
                failures += 1

    async def _session(self) -> None:
        """One connection's life: returns or raises LinkError when it is over."""
        if not self._begun:
            self._tell(live=False, detail="reading the history")
            reading = await self._read(_window(self._lines))
            lines, notes = _take_history(self._files, reading, self._lines)
            self._give(notes + lines)
            self._begun = True
        subscription, why = self._ready, ""
        self._ready = None
        if subscription is None:
            subscription, why = await self._subscribe()
        if subscription is None:
            await self._catch_up(heard=False)
            await self._follow_files(why)
            return
        try:
            # the bus is open: what the files got before is read now, what they get later is heard
            await self._catch_up(heard=True)
            self._tell(live=True, detail="live by PM2's bus")
            dropped = 0
            async for item in subscription:
                if subscription.dropped_bytes > dropped:
                    self._dropped_by_bus(subscription.dropped_bytes - dropped)
                    dropped = subscription.dropped_bytes
                if isinstance(item, LogChunk):
                    self._hear(item)
                elif isinstance(item, ProcessEvent):
                    self._event(item)
                elif item.kind is NoticeKind.LOST:
                    self._lose(None, item.detail)
                    return
        finally:
            subscription.close()

    async def _subscribe(self) -> tuple[Subscription | None, str]:
        """A subscription to the open bus; or None and why the files are followed instead."""
        bus = self._bus
        if bus is None:
            return None, ""
        only = next(iter(self._names)) if len(self._names) == 1 else None
        subscription = bus.subscribe(process=only)
        until = time.monotonic() + BUS_TIMEOUT
        while not bus.connected and bus.error is None and time.monotonic() < until:  # noqa: ASYNC110
            # a bus that cannot open publishes nothing, it only says why
            await asyncio.sleep(0.02)
        if bus.connected:
            return subscription, ""
        subscription.close()
        return None, str(bus.error) if bus.error is not None else f"no answer within {BUS_TIMEOUT:g} s"

    def _dropped_by_bus(self, count: int) -> None:
        told = f"{max(1, count // 1024):,} KiB came faster than they could be read and are missing here"
        self._give([note(self._host, told, at_ms=_now_ms())])

    def _lose(self, error: LinkError | None, detail: str = "") -> None:
        if self._lost_at is None and self._begun:
            self._lost_at = time.monotonic()
            for assembler in self._assemblers():
                self._give(assembler.flush(quiet=0.0))
        elif self._lost_at is None:
            self._lost_at = time.monotonic()
        told = str(error) if error is not None else detail
        self._tell(live=False, detail="connection lost", error=sanitise_line(told, cap=200))

    def _tell(self, *, live: bool, detail: str, error: str = "") -> None:
        if self._on_state is not None:
            state = LogState(host=self._host, live=live, detail=detail, since=utc_now(), error=error)
            self._on_state(state)

    # --- files

    async def _read(self, window: int) -> Reading:
        reading = await read_ends(
            self._link,
            [
                Wanted(file.path, None if file.place is None else file.place.start, window)
                for file in self._files
            ],
        )
        self._utc_offset = reading.utc_offset
        return reading

    async def _catch_up(self, *, heard: bool) -> None:
        """Take from the files what was written since they were last looked at.

        With `heard`, the bus was open already, so it will say the last of it again: seams are laid.
        """
        reading = await self._read(MOST)
        certain = True
        new: list[tuple[list[LogLine], int]] = []
        for file, part in zip(self._files, reading.parts, strict=True):
            if part.problem:
                certain = certain and file.place is None
                continue
            if file.place is None:  # it appeared since
                data, known = _whole_lines(part), not part.shortened
                file.assembler = LineAssembler(file.origin, utc_offset=reading.utc_offset)
            else:
                data, known = file.place.unseen(part.inode, part.start, part.data)
                if not known:
                    file.assembler = LineAssembler(file.origin, utc_offset=reading.utc_offset)
                    data = _whole_lines(part)
            certain = certain and known
            file.place = Place(part.inode, part.end, part.data)
            file.seam = Seam(data, reading.done_ms) if heard else Seam(b"", None)
            new.append((file.assembler.feed(data), part.modified_ms))
        if self._lost_at is not None or not certain:
            self._give([note(self._host, self._gap(certain), at_ms=_now_ms())])
        self._lost_at = None
        self._give(interleave(new))

    def _gap(self, certain: bool) -> str:
        if self._lost_at is None:
            return "a log file was rotated or cut, lines may be missing"
        gap = f"connection lost for {max(1, round(time.monotonic() - self._lost_at))} s"
        if certain and self._files:
            return f"{gap}, what was written meanwhile was read from the files"
        return f"{gap}, lines may be missing"

    async def _follow_files(self, why: str) -> None:
        """Follow the files with a `tail -F` each; returns when the bus has opened meanwhile."""
        followed = self._files[:MOST_TAILS]
        if len(self._files) > MOST_TAILS:
            left = len(self._files) - MOST_TAILS
            self._give([note(self._host, f"{left} more log files are not followed: choose a process")])
        detail = "live by tail -F" if followed else "no log file to follow"
        self._tell(live=bool(followed), detail=detail, error=sanitise_line(why, cap=200))
        try:
            async with asyncio.TaskGroup() as group:
                tails = [group.create_task(self._tail(file)) for file in followed]
                while self._ready is None:
                    await asyncio.sleep(BUS_AGAIN)
                    self._ready, _ = await self._subscribe()
                for tail in tails:
                    tail.cancel()
        except BaseExceptionGroup as errors:
            lost, others = errors.split(LinkError)
            if others is not None or lost is None:
                raise
            raise _first(lost) from None

    async def _tail(self, file: LogFile) -> None:
        start = file.place.offset if file.place is not None else 0
        inode = file.place.inode if file.place is not None else 0
        path = shlex.quote(file.path)
        # a file rotated since it was read is another one: that is shown from its beginning
        command = (
            f's=1; [ "$(stat -L -c %i -- {path} 2>/dev/null)" = {inode} ] && s={start + 1}; '
            f'exec tail -c "+$s" -F -- {path} 2>/dev/null'
        )
        async with self._link.stream(command) as chunks:
            async for data in chunks:
                if file.place is None:
                    file.place = Place(0, 0, b"")
                file.place.advance(data)
                self._give(file.assembler.feed(data, _now_ms()))
        raise LinkError(Fault.CLOSED, "following a log file ended", where=self._host)

    # --- the bus

    def _hear(self, chunk: LogChunk) -> None:
        file = self._by_output.get((chunk.pm_id, chunk.stream)) or self._by_name.get(
            (chunk.process, chunk.stream)
        )
        if file is None and chunk.process not in self._names:
            return
        at_ms = int(chunk.at.timestamp() * 1000)
        if file is None:
            self._give(self._assembler(chunk, None).feed(chunk.data, at_ms))
            return
        data = file.seam.take(chunk.data.encode("utf-8", "replace"), at_ms, time.monotonic())
        file.speaker = self._assembler(chunk, file)
        self._show(file, data, at_ms)

    def _show(self, file: LogFile, data: bytes, at_ms: int) -> None:
        if data:
            if file.place is not None:
                file.place.advance(data)
            self._give(file.speaker.feed(data, at_ms))
        elif file.seam.holding:
            self._filled.set()

    def _assembler(self, chunk: LogChunk, file: LogFile | None) -> LineAssembler:
        """Torn lines are put together by output: by file where one output alone goes there."""
        if file is not None and len(file.pm_ids) == 1:
            return file.assembler
        key = (chunk.pm_id, chunk.stream)
        assembler = self._heard.get(key)
        if assembler is None:
            origin = (
                file.origin if file is not None else Origin(self._host, chunk.process, Stream(chunk.stream))
            )
            assembler = self._heard[key] = LineAssembler(origin, utc_offset=self._utc_offset)
        return assembler

    def _event(self, event: ProcessEvent) -> None:
        if event.process not in self._names or event.event == "exception":
            return  # the exception itself stands in the error log
        told = f"{event.process}: {event.event}{f' {event.detail}' if event.detail else ''}"
        at_ms = int(event.at.timestamp() * 1000)
        self._give([note(self._host, told, process=event.process, at_ms=at_ms)])

    # --- handing over

    def _assemblers(self) -> list[LineAssembler]:
        return [*(file.assembler for file in self._files), *self._heard.values()]

    def _flush(self) -> None:
        for file in self._files:
            if file.seam.holding:
                self._show(file, *file.seam.due(time.monotonic()))
        for assembler in self._assemblers():
            self._give(assembler.flush())

    def _unfinished(self) -> bool:
        return any(file.seam.holding for file in self._files) or any(
            assembler.unfinished for assembler in self._assemblers()
        )

    def _give(self, lines: list[LogLine]) -> None:
        if not lines:
            if self._unfinished():
                self._filled.set()
            return
        self._out += lines
        if len(self._out) > 2 * MOST_WAITING:
            self._dropped += len(self._out) - MOST_WAITING
            del self._out[:-MOST_WAITING]
        self._filled.set()

    def _taken(self) -> list[LogLine]:
        batch, self._out = self._out, []
        if self._dropped:
            told = f"{self._dropped:,} lines came faster than they could be shown and are missing here"
            batch.insert(0, note(self._host, told))
            self._dropped = 0
        return batch


async def follow(
    link: HostLink,
    processes: Sequence[Process],
    *,
    bus: Pm2Bus | None = None,
    lines: int = HISTORY,
    on_state: OnState | None = None,
) -> AsyncGenerator[list[LogLine], None]:
    """The history of some processes' logs and then their lines as they come; see LogFollower."""
    follower = LogFollower(link, processes, bus=bus, lines=lines, on_state=on_state)
    async with aclosing(follower.batches()) as batches:
        async for batch in batches:
            yield batch


def _take_history(
    files: Sequence[LogFile], reading: Reading, lines: int
) -> tuple[list[LogLine], list[LogLine]]:
    """The lines of the files' ends, interleaved, and notes on files that could not be read."""
    told: list[tuple[list[LogLine], int]] = []
    notes: list[LogLine] = []
    for file, part in zip(files, reading.parts, strict=True):
        host, process, _ = file.origin.host, file.origin.process, file.origin.stream
        if part.problem:
            notes.append(note(host, f"{sanitise_line(part.path, cap=200)}: {part.problem}", process=process))
            continue
        file.assembler = LineAssembler(file.origin, utc_offset=reading.utc_offset)
        file.place = Place(part.inode, part.end, part.data)
        told.append((file.assembler.feed(_whole_lines(part)), part.modified_ms))
    merged = interleave(told)
    return merged[-lines:] if lines > 0 else [], notes


def file_lines(origin: Origin, part: FilePart, utc_offset: float | None) -> list[LogLine]:
    """All lines of what was read of one file, with the times that they carry themselves; a last line that
    is not ended yet too.
    """
    assembler = LineAssembler(origin, utc_offset=utc_offset)
    return assembler.feed(_whole_lines(part)) + assembler.end()


def _whole_lines(part: FilePart) -> bytes:
    """A part's data from the beginning of a line on; one huge line's end stays as it is."""
    if part.start == 0:
        return part.data
    end = part.data.find(b"\n")
    return part.data if end < 0 else part.data[end + 1 :]


def _window(lines: int) -> int:
    return max(LEAST, min(MOST, lines * _BYTES_A_LINE))


def _now_ms() -> int:
    return int(utc_now().timestamp() * 1000)


def _first(errors: BaseExceptionGroup[LinkError]) -> LinkError:
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
