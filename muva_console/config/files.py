"""Files of TOML that somebody wrote: read with a bound, decoded, and asked whose they are."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from muva_console.config.redact import redact
from muva_console.ops.errors import ConfigError
from muva_console.ops.text import sanitise_line

SIZE_LIMIT = 1024 * 1024
"""Bytes. Ours: a hundred environments take 50 KiB."""

_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


class NotTomlError(Exception):
    """The text is no TOML; the message is a line that begins with the file and the place."""


def shown(path: Path) -> str:
    """A path as an engineer would write it: relative when it is below, ``~`` for the home."""
    for folder, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return sanitise_line(prefix + str(path.relative_to(folder())))
        except (ValueError, OSError, RuntimeError):  # not below it; it is gone; nobody's home is known
            continue
    return sanitise_line(str(path))


def read_file(path: Path, *, follow: bool = True) -> tuple[bytes, os.stat_result]:
    """The bytes of a file, and what was opened; `follow` symbolic links at its end.

    Raises ConfigError when it cannot be read, is no regular file, or is larger than `SIZE_LIMIT`.
    """
    # O_NONBLOCK: a pipe in the place of the file must not hang the console
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError("expected a file, found something else", where=shown(path))
            data = opened.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=shown(path)) from None
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"larger than {SIZE_LIMIT:,} bytes", where=shown(path))
    return data, about


def parse_toml(data: bytes, name: str) -> tuple[dict[str, Any], str]:
    """The document in a file's bytes, and its text. `name` is the file as it is told.

    Raises NotTomlError.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotTomlError(
            f"{name}:{line}: expected UTF-8 text, found byte 0x{data[error.start]:02x}"
        ) from None
    try:
        return tomllib.loads(text), text
    except RecursionError:
        raise NotTomlError(f"{name}: expected TOML, found lists or tables nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and what int() says to a number of thousands of digits
        raise NotTomlError(_syntax(error, text, name)) from None


def writable_by_others(about: os.stat_result) -> bool:
    """Whether anybody on this machine can change it."""
    return bool(about.st_mode & stat.S_IWOTH)


def of_another(about: os.stat_result) -> bool:
    """Whether it belongs to somebody else than this user and root."""
    return about.st_uid not in (os.geteuid(), 0)


def _syntax(error: ValueError, text: str, name: str) -> str:
    """Tomllib's complaint with its place in front."""
    message = str(error)
    at = _AT.search(message)
    reason = redact(sanitise_line(message[: at.start()] if at else message, cap=200))
    if "digits" in reason:
        reason = "a number of too many digits"
    if at is None:
        return f"{name}: not TOML: {reason}"
    if at[1] is None:
        ends = text.count("\n") + 1
        return f"{name}:{ends}: not TOML: {reason}, at the end of the file"
    return f"{name}:{at[1]}:{at[2]}: not TOML: {reason} (line {at[1]}, column {at[2]})"
