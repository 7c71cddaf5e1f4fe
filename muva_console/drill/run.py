"""Programs that the drill runs: always with a time-out; a failure names the command and its last words."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise_line

_LAST_WORDS = 6


async def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: bytes | None = None,
    timeout: float = 60.0,
    check: bool = True,
) -> bytes:
    """Run a program to its end and return its standard output.

    It gets a process group of its own, which is killed at the time-out (seconds) and on cancellation.
    Raises OpsError when the program is not there, does not end in time or, with `check`, ends with
    anything but 0.
    """
    words = [str(word) for word in argv]
    line = shlex.join(words)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL if input is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise OpsError(f"cannot run it: {error.strerror}", where=line) from error
    try:
        out, err = await asyncio.wait_for(process.communicate(input), timeout)
    except TimeoutError as error:
        raise OpsError(f"did not end within {timeout:g} s and was killed", where=line) from error
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
            await process.wait()
    if check and process.returncode:
        told = [sanitise_line(text) for text in (err + b"\n" + out).splitlines() if text.strip()]
        raise OpsError(f"ended with {process.returncode}", where=line, means="\n".join(told[-_LAST_WORDS:]))
    return out


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def spawn(
    argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, log: Path, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a server that outlives this process, in a session of its own, printing into a log file.

    asyncio's own subprocesses are killed when their loop goes, so this is a plain one; a thread waits for
    it, so that none stays a zombie in a process that lives long. Raises OpsError.
    """
    words = [str(word) for word in argv]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            words, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor,
            start_new_session=True, pass_fds=pass_fds,
        )  # fmt: skip
    except OSError as error:
        raise OpsError(f"cannot run it: {error.strerror}", where=shlex.join(words)) from error
    finally:
        os.close(descriptor)
    threading.Thread(target=process.wait, name=f"reaper-{process.pid}", daemon=True).start()
    return process
