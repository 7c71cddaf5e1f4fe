"""muva.toml is found, read and made into a Config, or every mistake in it is named."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.config.checks import check
from muva_console.config.files import (
    NotTomlError,
    of_another,
    parse_toml,
    read_file,
    shown,
    writable_by_others,
)
from muva_console.config.model import Config, Project
from muva_console.config.places import line_of, places
from muva_console.config.walk import Walk, build_config
from muva_console.ops.errors import ConfigError
from muva_console.ops.text import sanitise_line

__all__ = [
    "FILE",
    "VARIABLE",
    "LoadedConfig",
    "check_document",
    "find",
    "load",
    "parse",
    "shown",
    "user_file",
]

FILE = "muva.toml"
VARIABLE = "MUVA_CONFIG"


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
    file = find(path)
    data, about = read_file(file)
    loaded = parse(data, file)
    _trustworthy(loaded, about, named=path is not None or bool(os.environ.get(VARIABLE)))
    return loaded


def _trustworthy(loaded: LoadedConfig, about: os.stat_result, *, named: bool) -> None:
    """Refuse commands that somebody else could have written: the console would run them as its user.

    Raises ConfigError. Without commands in it a file can do no more than point elsewhere.
    """
    anybodys, anothers = writable_by_others(about), not named and of_another(about)
    if not (anybodys or anothers) or not _runs_commands(loaded.config):
        return
    where = shown(loaded.path)
    if anybodys:
        raise ConfigError(
            "anybody on this machine can change it, and it names commands that would run as you",
            where=where,
            mistakes=(f"{where}: expected a file that others cannot write; next: chmod o-w {where}",),
        )
    raise ConfigError(
        "it belongs to somebody else, and it names commands that would run as you",
        where=where,
        mistakes=(f"{where}: read it, and if you agree with it name it: muva --config {where}",),
    )


def _runs_commands(config: Config) -> bool:
    """Whether commands that the file names, or the scripts of a checkout of somebody else's that it names,
    would run on this machine.
    """
    databases = [each.database for each in config.environments.values() if each.database]
    secrets = [secret for database in databases for secret in (database.url, database.password)]
    secrets += [config.github.token, config.notices.slack, config.alerts.webhook, config.migrations.scratch]
    secrets.append(config.journal.url)
    if any(secret is not None and secret.command is not None for secret in secrets):
        return True
    project = config.project
    if config.backups.programs is not None:
        return True
    if project.build != Project().build or project.tests is not None:
        return True
    try:
        return of_another(project.checkout.stat())
    except OSError:
        return False


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
        document, text = parse_toml(data, shown(path))
    except NotTomlError as error:
        raise _error(path, [str(error)]) from None
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
