"""The shared journal's schema, brought to its database by the console's own migration engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from muva_console.config.model import Backups, Migrations
from muva_console.ops.migrations.apply_ground import Choice, Ground, NothingToApply
from muva_console.ops.migrations.apply_prepare import prepare
from muva_console.ops.migrations.applying import ApplyFailed, Applying

if TYPE_CHECKING:
    from muva_console.ops.links.postgres import PostgresLink
    from muva_console.ops.links.source import Source
    from muva_console.ops.operations import EventKind

FOLDER = "shared"
BRANCH = "packaged"
WAIT = 20.0
"""Seconds for which another jump host may be at it."""


class Packaged:
    """The schema's files, as the engine reads those of a repository: a branch, a commit, this version's."""

    SHA = "0" * 40

    @cached_property
    def _files(self) -> dict[str, bytes]:
        folder = files("muva_console").joinpath("migrations", FOLDER)
        return {f"{FOLDER}/{one.name}": one.read_bytes() for one in folder.iterdir()}

    async def known_heads(self) -> tuple[Mapping[str, str], str]:
        """The branch, and nothing that could be stale."""
        return {BRANCH: self.SHA}, ""

    async def files(self, sha: str, folder: str = "") -> tuple[str, ...]:
        """The paths."""
        return tuple(sorted(self._files))

    async def read(self, sha: str, path: str, *, limit: int = 4 * 1024 * 1024) -> bytes | None:
        """One file."""
        return self._files.get(path)

    async def read_all(self, sha: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Several."""
        return {path: self._files[path] for path in paths if path in self._files}


async def bring_up(link: PostgresLink, engineer: str) -> None:
    """Apply what the database lacks; of two hosts that do so at once one does it. Raises OpsError."""
    try:
        await _bring_up(link, engineer)
    finally:
        await link.close()  # it is needed once in the life of a journal


async def _bring_up(link: PostgresLink, engineer: str) -> None:
    ground = Ground(
        environment="the shared journal",
        production=False,
        link=link,
        repository=cast("Source", Packaged()),
        branch=BRANCH,
        folder=FOLDER,
        settings=Migrations(),
        backups=Backups(),
        engineer=engineer,
        session=link.session,
    )
    choice = Choice(wait=WAIT)
    for attempt in (1, 2):
        try:
            prepared = await prepare(ground, choice, backup=False)
            await Applying(ground, choice, prepared, _quiet).run()
        except NothingToApply:
            return
        except ApplyFailed:
            if attempt == 2:  # the first time another host was faster, and the plan is no longer true
                raise
        else:
            return


def _quiet(kind: EventKind, text: str) -> None:
    """What the engine narrates is nobody's to read here; what fails is raised."""
