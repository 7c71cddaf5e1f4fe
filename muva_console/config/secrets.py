"""Secrets are references; here they become values, in memory and nowhere else.

A value is kept for as long as the console runs (a password manager asks its owner once), is told to the
redactor before anybody else sees it, and stands in no error: what a failing command printed is shown
only after redaction, and its standard output never.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import stat
from contextlib import suppress
from pathlib import Path

from muva_console.config.redact import REDACTED, Redactor, redact, redactor
from muva_console.config.types import Secret
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.text import sanitise_line

__all__ = ["REDACTED", "Redactor", "SecretError", "forget", "redact", "redactor", "resolve", "told"]

COMMAND_TIMEOUT = 30.0
"""Seconds. Ours: long enough for a touch on a security key, short enough for three in the morning."""
FILE_TIMEOUT = 5.0
"""Seconds; a folder on a dead network file system must not hold the console."""
LEFT_OPEN = 1.0
"""Seconds that a command's pipes are waited for after its end."""
OUTPUT_LIMIT = 64 * 1024
"""Bytes read of a command's output or a file."""


class SecretError(LinkError):
    """A secret could not be had; the link that needs it is therefore not configured."""

    def __init__(self, what: str, *, where: str, means: str = "", next: str = "") -> None:
        super().__init__(Fault.CONFIG, what, where=where, means=means, next=next)


_values: dict[tuple[Secret, Path], str] = {}
_asked: dict[tuple[Secret, Path], asyncio.Task[str]] = {}


def told(secret: Secret) -> str:
    """The reference in words, fit for a screen: ``the environment variable PGPASSWORD``."""
    if secret.env is not None:
        return f"the environment variable {secret.env}"
    if secret.command is not None:
        return redact(sanitise_line(f"the command `{secret.command}`", cap=200))
    return sanitise_line(f"the file {secret.file}", cap=400)


async def resolve(secret: Secret, base: Path) -> str:
    """The secret's value, from memory when it was had before.

    `base` is the folder of muva.toml: where commands run and what relative files are relative to.
    Raises SecretError (a LinkError with Fault.CONFIG) which never holds the value.
    """
    key = (secret, base)
    if key in _values:
        return _values[key]
    # two links that want the same secret must not make a password manager ask twice
    task = _asked.get(key)
    if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
        task = asyncio.create_task(_fetch(secret, base), name="secret")
        _asked[key] = task
        task.add_done_callback(lambda done: _settle(key, done))
    return await asyncio.shield(task)


def forget(secret: Secret | None = None) -> None:
    """Drop one value from memory, or all: the next `resolve` asks again (after a refused login, say).
    The redactor goes on knowing them.
    """
    for key in [key for key in _values if secret is None or key[0] == secret]:
        del _values[key]


def _settle(key: tuple[Secret, Path], task: asyncio.Task[str]) -> None:
    if _asked.get(key) is task:
        del _asked[key]
    if not task.cancelled() and task.exception() is None:
        _values[key] = task.result()


async def _fetch(secret: Secret, base: Path) -> str:
    if secret.env is not None:
        value = _of_environment(secret)
    elif secret.command is not None:
        value = await _of_command(secret, secret.command, base)
    elif secret.file is not None:
        value = await _of_file(secret, secret.file, base)
    else:
        raise SecretError("an empty reference", where="secret", next="give one of env, command or file")
    redactor.add(value)
    return value


def _of_environment(secret: Secret) -> str:
    name = secret.env or ""
    value = os.environ.get(name)
    if not value:
        state = "is empty" if value == "" else "is not set"
        raise SecretError(
            f"{name} {state}",
            where=told(secret),
            next=f"export {name}=… before starting muva, or use {{ command = … }} or {{ file = … }} instead",
        )
    return value


# --- file ----------------------------------------------------------------------------------------------


async def _of_file(secret: Secret, file: Path, base: Path) -> str:
    try:
        async with asyncio.timeout(FILE_TIMEOUT):
            data = await asyncio.to_thread(_read_private, base, file)
    except TimeoutError:
        raise SecretError(f"no answer within {FILE_TIMEOUT:g} s", where=told(secret)) from None
    except FileNotFoundError:
        raise SecretError("there is no such file", where=told(secret)) from None
    except _TooOpenError as error:
        raise SecretError(
            f"others on this machine can read it (mode {error.mode:04o})",
            where=told(secret),
            means="a secret that others can read is none; it is not used",
            next=f"chmod 600 {shlex.quote(sanitise_line(str(base / file)))}",
        ) from None
    except OSError as error:
        raise SecretError(error.strerror or type(error).__name__, where=told(secret)) from None
    return _first_line(data, secret)


class _TooOpenError(Exception):
    def __init__(self, mode: int) -> None:
        super().__init__(f"mode {mode:04o}")
        self.mode = mode


def _read_private(base: Path, file: Path) -> bytes:
    path = base / file.expanduser()
    # the mode is asked of what was opened, so nothing can change in between; O_NONBLOCK: a pipe does not hang
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "not a regular file")
        mode = stat.S_IMODE(about.st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _TooOpenError(mode)
        return opened.read(OUTPUT_LIMIT)


# --- command -------------------------------------------------------------------------------------------


def user_shell() -> str:
    """The shell that runs the commands of secrets: $SHELL, else /bin/sh."""
    shell = os.environ.get("SHELL", "")
    return shell if shell.startswith("/") and os.access(shell, os.X_OK) else "/bin/sh"


async def _of_command(secret: Secret, command: str, base: Path) -> str:
    """Run the command in a session of its own, so that it can neither draw over the console nor read the
    keys typed there, and so that it is ended with everything that it started.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, output = await loop.subprocess_exec(
            lambda: _Output(loop),
            user_shell(),
            "-c",
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=base,
            start_new_session=True,
        )
    except OSError as error:
        raise SecretError(f"could not be started: {error.strerror}", where=told(secret)) from None
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT):
            await output.exited
            # something it left behind (an agent) may hold the pipes; what was printed is there by now
            await asyncio.wait((output.closed,), timeout=LEFT_OPEN)
    except TimeoutError:
        raise SecretError(
            f"no answer within {COMMAND_TIMEOUT:g} s",
            where=told(secret),
            next="it runs without a terminal: unlock the password manager first, or let it ask in a window",
        ) from None
    finally:
        if transport.get_returncode() is None:
            with suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await asyncio.wait((output.exited,), timeout=LEFT_OPEN)
        transport.close()
    if status := transport.get_returncode():
        raise SecretError(
            f"exit status {status}{_complaint(output.out, output.err)}",
            where=told(secret),
            next="run it in a shell and see",
        )
    return _first_line(bytes(output.out), secret)


class _Output(asyncio.SubprocessProtocol):
    """What a command prints, its first bytes; the rest is read too, and dropped, so that it can end.

    `asyncio.create_subprocess_exec` waits for the pipes' end as well as the command's, and so for whoever
    inherited them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.out, self.err = bytearray(), bytearray()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._open = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.out if fd == 1 else self.err
        kept += data[: OUTPUT_LIMIT - len(kept)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open -= 1
        if self._open == 0 and not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


def _complaint(out: bytearray, err: bytearray) -> str:
    """The last line of standard error, without anything that the command printed as its answer."""
    lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    local = Redactor(line.strip() for line in out.decode("utf-8", "replace").splitlines())
    return f": {redact(local.redact(sanitise_line(lines[-1], cap=200)))}"


def _first_line(data: bytes, secret: Secret) -> str:
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        value = line.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError("the first line is not UTF-8 text", where=told(secret)) from None
    if not value.strip():
        raise SecretError("the first line is empty", where=told(secret))
    if "\x00" in value or (len(data) >= OUTPUT_LIMIT and b"\n" not in data):
        raise SecretError("the first line is no secret: too long, or with a NUL in it", where=told(secret))
    return value
