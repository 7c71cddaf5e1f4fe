"""Running commands on the engineer's own machine: bounded, without a terminal, ended with their children."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandLog, CommandRecord
from muva_console.ops.links.local_lines import AT_ONCE, Kept, Lines
from muva_console.ops.links.local_tree import TAG, end_tree, new_tag
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

LIMIT = 64 * 1024 * 1024
"""Bytes that a command may print before it is ended."""
TAIL = 256 * 1024
"""Bytes kept of the end of what was printed."""
_CHUNK = 64 * 1024
_DRAIN = 1.0
"""Seconds to read what is still in the pipes when all is ended."""
_LEFTOVERS = 0.25
"""Seconds for which children may outlive the command that began them."""

ENVIRONMENT = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CI": "true",  # pnpm and its like ask nothing, test runners do not stay to watch
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}
"""What every command gets beside the console's own environment: nothing may ask, page or paint."""
_NEVER = ("SSH_ASKPASS", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")


class LocalResult(Struct, frozen=True, kw_only=True):
    """How a command ended, and what it printed: raw bytes, to be made harmless by whoever shows them
    (`local_lines.clean_lines`).
    """

    exit_status: int
    """The exit status; 128 + n when it was ended by signal n."""
    output: bytes
    """Both outputs as they came: the last 256 KiB."""
    stdout: bytes
    """The first `limit` bytes of standard output alone."""
    total: int
    """Bytes printed in all, as far as they were read."""
    truncated: bool = False
    """More than `limit` was printed; the command was ended."""
    timed_out: bool = False
    """It was ended at its time-out."""
    took_ms: float
    kept: Path | None = None
    """The file with the whole output."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.exit_status == 0 and not self.truncated and not self.timed_out


async def run_local(
    command: str | Sequence[str],
    *,
    cwd: Path,
    timeout: float,
    limit: int = LIMIT,
    env: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    on_line: Callable[[str], None] | None = None,
    keep: Path | None = None,
    input: bytes | None = None,
    log: CommandLog | None = None,
    shown: str = "",
    leftovers: bool = True,
) -> LocalResult:
    """Run a command to its end: a str by ``/bin/sh -c``, a sequence as it is.

    It is ended with all its children at `timeout` (seconds), at `limit` bytes of output, and when the
    awaiting task is cancelled; what it leaves running when it ends by itself is ended too. It has no
    terminal, and nothing to read but `input`. Its environment is the console's own and `ENVIRONMENT`,
    and `env` over both, without the variables named in `without`.

    `on_line` is told clean lines (harmless, redacted, capped), not more than `AT_ONCE` at a time; `keep`
    is a file for all of them (0600, the first 50 MiB; its folder is made). `shown` is what the command
    log has instead of the command; `leftovers` False spares the search for what outlives a command that
    is known to leave nothing. A non-zero exit status is an answer, not an error.

    Raises LinkError: MISSING when there is no such program or folder, OTHER when it cannot be started
    or its output cannot be kept.
    """
    line = shown or (command if isinstance(command, str) else shlex.join(command))
    run = _Run(limit, on_line, keep)
    outcome = "given up"
    try:
        result = await run.go(command, cwd, timeout, _environment(env, without), input, leftovers)
        outcome = _outcome(result)
        return result
    except LinkError as error:
        outcome = error.what
        raise
    finally:
        run.close()
        if log is not None:
            log.add(
                CommandRecord(
                    at=run.at,
                    where="here",
                    line=redact(sanitise_line(line, cap=1000)),
                    took_ms=run.took_ms,
                    outcome=outcome,
                )
            )


class _Run:
    """One command while it runs."""

    def __init__(self, limit: int, on_line: Callable[[str], None] | None, keep: Path | None) -> None:
        self.at = utc_now()
        self._began = time.perf_counter()
        self._limit = limit
        self._on_line = on_line
        self._tail = bytearray()
        self._stdout = bytearray()
        self._total = 0
        self._over = asyncio.Event()
        """It must be ended: too much was printed, or the file cannot be written."""
        self._keep_error: OSError | None = None
        self._open = 0
        self._closed = asyncio.Event()
        """Both pipes have ended."""
        try:
            self._kept = Kept(keep) if keep is not None else None
        except OSError as error:
            raise _cannot_keep(keep, error) from error

    @property
    def took_ms(self) -> float:
        """Milliseconds so far."""
        return (time.perf_counter() - self._began) * 1000

    async def go(
        self,
        command: str | Sequence[str],
        cwd: Path,
        timeout: float,
        environment: dict[str, str],
        input: bytes | None,
        leftovers: bool,
    ) -> LocalResult:
        """Start the command, read what it prints, and end it."""
        tag = environment[TAG] = new_tag()
        process = _start(command, cwd, environment, input)
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        # the end is seen without reaping: while the number is the process's own, the tree can be found by it
        descriptor = os.pidfd_open(process.pid)
        loop.add_reader(descriptor, _once, loop, descriptor, ended)
        lines = []
        assert process.stdout is not None and process.stderr is not None
        for pipe, first in ((process.stdout, True), (process.stderr, False)):
            os.set_blocking(pipe.fileno(), False)
            lines.append(Lines(self._tell))
            self._open += 1
            loop.add_reader(pipe.fileno(), self._read, loop, pipe.fileno(), lines[-1], first)
        timed_out = False
        try:
            timed_out = not await _first((ended, self._over), timeout)
            if ended.is_set():
                # the last in a pipeline may still be writing; who keeps a pipe longer is a leftover
                await _first((self._closed,), _LEFTOVERS)
        finally:
            try:
                if leftovers or not ended.is_set():
                    await _to_the_end(asyncio.to_thread(end_tree, process.pid, tag))
                await _first((self._closed,), _DRAIN)
            finally:
                for number in (descriptor, process.stdout.fileno(), process.stderr.fileno()):
                    loop.remove_reader(number)
                os.close(descriptor)
                process.stdout.close()
                process.stderr.close()
                status = _reap(process)
                for each in lines:
                    each.end()
        if self._keep_error is not None:
            assert self._kept is not None
            raise _cannot_keep(self._kept.path, self._keep_error) from self._keep_error
        return LocalResult(
            exit_status=status,
            output=bytes(self._tail[-TAIL:]),
            stdout=bytes(self._stdout),
            total=self._total,
            truncated=self._over.is_set(),
            timed_out=timed_out,
            took_ms=self.took_ms,
            kept=self._kept.path if self._kept is not None else None,
        )

    def close(self) -> None:
        """Close the file."""
        if self._kept is not None:
            self._kept.close()

    def _read(self, loop: asyncio.AbstractEventLoop, number: int, lines: Lines, first: bool) -> None:
        try:
            data = os.read(number, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(number)
            self._open -= 1
            if not self._open:
                self._closed.set()
            return
        if self._over.is_set():
            return  # read, so that nothing blocks while it is being ended; not counted
        self._total += len(data)
        self._tail += data
        if len(self._tail) > 4 * TAIL:
            del self._tail[:-TAIL]
        if first:
            self._stdout += data[: max(0, self._limit - len(self._stdout))]
        if self._on_line is not None or self._kept is not None:
            lines.feed(data)
        if self._total > self._limit:
            self._over.set()

    def _tell(self, text: str) -> None:
        if self._kept is not None and self._keep_error is None:
            try:
                self._kept.add(text)
            except OSError as error:
                self._keep_error = error
                self._over.set()
        if self._on_line is not None:
            for line in text.rsplit("\n", AT_ONCE)[-AT_ONCE:]:
                self._on_line(sanitise_line(line))


def _start(
    command: str | Sequence[str], cwd: Path, environment: dict[str, str], input: bytes | None
) -> subprocess.Popen[bytes]:
    words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    if not cwd.is_dir():
        raise LinkError(Fault.MISSING, "there is no such folder", where=str(cwd))
    stdin: int = subprocess.DEVNULL
    file = None
    try:
        if input is not None:
            # a file and not a pipe: a command that reads nothing cannot hold us up
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
            file.write(input)
            file.seek(0)
            stdin = file.fileno()
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        name = sanitise_line(words[0], cap=120)
        raise LinkError(Fault.MISSING, f"{name} is not installed", where="here") from error
    except (OSError, ValueError) as error:
        why = sanitise_line(str(error), cap=200)
        raise LinkError(Fault.OTHER, f"the command cannot be started: {why}", where="here") from error
    finally:
        if file is not None:
            file.close()


def _environment(extra: Mapping[str, str] | None, without: Collection[str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in (*_NEVER, *without)}
    return {**inherited, **ENVIRONMENT, **(extra or {})}


def _once(loop: asyncio.AbstractEventLoop, descriptor: int, event: asyncio.Event) -> None:
    loop.remove_reader(descriptor)  # it stays readable for ever
    event.set()


async def _first(events: Sequence[asyncio.Event], timeout: float) -> bool:
    """Wait until one of the events is set; False at the time-out."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in waiting:
            task.cancel()


async def _to_the_end(work: object) -> None:
    """Wait for a short piece of work even while this task is being cancelled again."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _reap(process: subprocess.Popen[bytes]) -> int:
    """The exit status. A process that even SIGKILL does not end (a hung disk) is left to itself."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.1)
    status = process.returncode
    if status is None:
        return 128 + signal.SIGKILL
    return 128 - status if status < 0 else status


def _outcome(result: LocalResult) -> str:
    if result.timed_out:
        return "timed out"
    if result.truncated:
        return f"ended at {result.total // 1024:,} KiB of output"
    return f"exit {result.exit_status}"


def _cannot_keep(path: Path | None, error: OSError) -> LinkError:
    why = error.strerror or type(error).__name__
    return LinkError(Fault.OTHER, f"the output cannot be kept: {why}", where=str(path))
