"""muva.toml is found, read and made into a Config, or every mistake in it is named."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.config.checks import check
from muva_console.config.model import Config
from muva_console.config.places import line_of, places
from muva_console.config.redact import redact
from muva_console.config.walk import Walk, build_config
from muva_console.ops.errors import ConfigError
from muva_console.ops.text import sanitise_line

FILE = "muva.toml"
VARIABLE = "MUVA_CONFIG"
SIZE_LIMIT = 1024 * 1024
"""Bytes. Ours: a hundred environments take 50 KiB."""

_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


class LoadedConfig(Struct, frozen=True, kw_only=True):
    """A configuration and where it is from."""

    config: Config
    path: Path
    """The file, absolute."""
    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""

    @property
    def base(self) -> Path:
        """The folder of the file: what `secrets.resolve` wants."""
        return self.path.parent


def load(path: Path | None = None) -> LoadedConfig:
    """The configuration: of `path`, else of $MUVA_CONFIG, ./muva.toml or the user's configuration folder.

    Raises ConfigError with every mistake of the file, or with where it was looked for.
    """
    data, file, about = _read(find(path))
    loaded = parse(data, file)
    _trustworthy(loaded, about, named=path is not None)
    return loaded


def _trustworthy(loaded: LoadedConfig, about: os.stat_result, *, named: bool) -> None:
    """Refuse commands that somebody else could have written: the console would run them as its user.

    Raises ConfigError. Without commands in it a file can do no more than point elsewhere.
    """
    databases = [each.database for each in loaded.config.environments.values() if each.database]
    secrets = [secret for database in databases for secret in (database.url, database.password) if secret]
    if all(secret.command is None for secret in secrets):
        return
    where = shown(loaded.path)
    if about.st_mode & stat.S_IWOTH:
        raise ConfigError(
            "anybody on this machine can change it, and it names commands that would run as you",
            where=where,
            mistakes=(f"{where}: expected a file that others cannot write; next: chmod o-w {where}",),
        )
    if not named and about.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            "it belongs to somebody else, and it names commands that would run as you",
            where=where,
            mistakes=(f"{where}: read it, and if you agree with it name it: muva --config {where}",),
        )


def find(path: Path | None = None) -> Path:
    """The file that `load` reads, absolute. Raises ConfigError when there is none."""
    variable = os.environ.get(VARIABLE)
    if path is not None:
        return _named(path, "--config")
    if variable:
        return _named(Path(variable), f"${VARIABLE}")
    here, there = _here() / FILE, user_file()
    for candidate in (here, there):
        if candidate.exists():
            return candidate
    raise ConfigError(
        "there is no configuration",
        mistakes=(
            f"looked for --config (not given), ${VARIABLE} (not set), {here} and {there}: none is there",
            "muva init   writes one from what is here: ssh_config, git remotes, PM2",
            "muva demo   opens the console on a practice estate, without any",
        ),
    )


def user_file() -> Path:
    """muva.toml in the user's configuration folder (XDG: ~/.config/muva/muva.toml)."""
    from platformdirs import user_config_path

    return user_config_path("muva") / FILE


def shown(path: Path) -> str:
    """A path as an engineer would write it: relative when it is below, ``~`` for the home."""
    for folder, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return sanitise_line(prefix + str(path.relative_to(folder())))
        except (ValueError, OSError, RuntimeError):  # not below it; it is gone; nobody's home is known
            continue
    return sanitise_line(str(path))


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise ConfigError(
            "the folder that you are in is gone",
            mistakes=("cd to one that is there, or name the file whole",),
        ) from None


def parse(data: bytes, path: Path) -> LoadedConfig:
    """The configuration in the bytes of the file `path`. Raises ConfigError with every mistake."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(
            path, [f"{shown(path)}:{line}: expected UTF-8 text, found byte 0x{data[error.start]:02x}"]
        ) from None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise _error(
            path, [f"{shown(path)}: expected TOML, found lists or tables nested too deeply"]
        ) from None
    except ValueError as error:  # TOMLDecodeError, and what int() says to a number of thousands of digits
        raise _error(path, [_syntax(error, text, path)]) from None
    config = _checked(document, path, text)
    return LoadedConfig(config=config, path=path, digest=hashlib.sha256(data).hexdigest())


def check_document(document: dict[str, Any], path: Path) -> Config:
    """The configuration in an already parsed document. Raises ConfigError with every mistake."""
    return _checked(document, path, "")


def _checked(document: dict[str, Any], path: Path, text: str) -> Config:
    walk = Walk(path.parent)
    tree = walk.table(document, Config) or {}
    mistakes = [*walk.mistakes, *check(document, tree)]
    if mistakes:
        lines = places(text)
        told = [(line_of(mistake.place, lines), mistake) for mistake in mistakes]
        told.sort(key=lambda each: each[0] or 0)
        raise _error(path, [mistake.told(shown(path), line) for line, mistake in told])
    return build_config(tree, path.parent)


def _error(path: Path, mistakes: list[str]) -> ConfigError:
    count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return ConfigError(f"{count} in the configuration", where=shown(path), mistakes=tuple(mistakes))


def _syntax(error: ValueError, text: str, path: Path) -> str:
    """Tomllib's complaint with its place in front."""
    message = str(error)
    at = _AT.search(message)
    reason = redact(sanitise_line(message[: at.start()] if at else message, cap=200))
    if "digits" in reason:
        reason = "a number of too many digits"
    if at is None:
        return f"{shown(path)}: not TOML: {reason}"
    if at[1] is None:
        ends = text.count("\n") + 1
        return f"{shown(path)}:{ends}: not TOML: {reason}, at the end of the file"
    return f"{shown(path)}:{at[1]}:{at[2]}: not TOML: {reason} (line {at[1]}, column {at[2]})"


def _named(path: Path, by: str) -> Path:
    with suppress(RuntimeError):  # ~nobody stays as it is, and is then not found
        path = path.expanduser()
    found = path if path.is_absolute() else _here() / path
    if not found.exists():
        raise ConfigError(
            f"there is no such file ({by})",
            where=sanitise_line(str(found)),
            mistakes=("`muva init` writes one; `muva demo` needs none",),
        )
    return found


def _read(path: Path) -> tuple[bytes, Path, os.stat_result]:
    try:
        # O_NONBLOCK: a pipe in the place of the file must not hang the console
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError("expected a file, found something else", where=shown(path))
            data = opened.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=shown(path)) from None
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"larger than {SIZE_LIMIT:,} bytes", where=shown(path))
    return data, path, about
