"""What the checks of migrations stand on, read once for all of them: files of both branches, histories."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.migrations.compare import differ
from muva_console.ops.migrations.files import files_of, texts_of
from muva_console.ops.migrations.model import FileSet, History, MigrationFile
from muva_console.ops.readings import Level

if TYPE_CHECKING:
    from muva_console.ops.checks import CheckContext


@dataclass(slots=True)
class Ground:
    """The migrations of the commit that goes out (`head`) and of the target branch (`base`)."""

    outgoing: Outgoing
    head: FileSet
    base: FileSet
    head_texts: Mapping[str, bytes]
    """By path; without those in `large`."""
    base_texts: Mapping[str, bytes]
    large: tuple[str, ...]
    """Paths of the outgoing commit's files that are too large to be read."""
    edited: Mapping[str, tuple[MigrationFile, MigrationFile | None, bool]] = field(default_factory=dict)
    """By version, what the outgoing commits change of files that the target branch has: the file there, the
    file now (None: removed), and whether more than comments differs."""

    @property
    def changed(self) -> frozenset[str]:
        """Paths that the outgoing commits add or change."""
        return frozenset(one.path for one in self.outgoing.files if one.status != "D")

    @property
    def news(self) -> tuple[MigrationFile, ...]:
        """The migrations that the target branch does not have."""
        known = self.base.by_version
        return tuple(one for one in self.head.migrations if one.version not in known)


async def ground_of(ctx: CheckContext) -> Ground:
    """Raises OpsError."""
    return await ctx.shared("migrations of the release", lambda: _read(ctx))


async def _read(ctx: CheckContext) -> Ground:
    outgoing = await ctx.outgoing()
    repository, folder = ctx.going_out().repository, ctx.config.project.migrations
    head, base = await asyncio.gather(
        files_of(repository, outgoing.head, folder), files_of(repository, outgoing.base, folder)
    )
    (texts, large), (before, _) = await asyncio.gather(
        texts_of(repository, outgoing.head, [one.path for one in (*head.migrations, *head.downs)]),
        texts_of(repository, outgoing.base, [one.path for one in base.migrations]),
    )
    ground = Ground(outgoing, head, base, texts, before, large)
    ground.edited = await _edited(ground)
    return ground


async def _edited(ground: Ground) -> dict[str, tuple[MigrationFile, MigrationFile | None, bool]]:
    moved = {one.before: one.path for one in ground.outgoing.files if one.before}
    removed = {one.path for one in ground.outgoing.files if one.status == "D"}
    now = {one.path: one for one in ground.head.migrations}
    pairs: dict[str, tuple[MigrationFile, MigrationFile | None]] = {}
    for old in ground.base.migrations:
        path = moved.get(old.path, old.path)
        if old.path in removed or (path in ground.changed and path not in now):
            pairs[old.version] = (old, None)
        elif path in ground.changed and path in now:
            pairs[old.version] = (old, now[path])
    unlike = await differ(
        {
            version: ground.base_texts[old.path]
            for version, (old, _) in pairs.items()
            if old.path in ground.base_texts
        },
        {
            version: ground.head_texts[new.path]
            for version, (_, new) in pairs.items()
            if new and new.path in ground.head_texts
        },
    )
    return {version: (old, new, unlike.get(version, True)) for version, (old, new) in pairs.items()}


async def history_of(ctx: CheckContext, of: CheckContext) -> History:
    """The history of an environment's database, read once a run. Raises OpsError."""
    from muva_console.ops.migrations.history import read_history

    link = of.postgres
    if link is None:
        raise no_database(of)
    return await ctx.shared(f"migrations applied on {of.environment_name}", lambda: read_history(link))


async def history_or_reason(ctx: CheckContext, of: CheckContext) -> tuple[History | None, str]:
    """The history, or why there is none to be had."""
    try:
        return await history_of(ctx, of), ""
    except OpsError as error:
        return None, f"{of.environment_name}: {error}"


def no_database(of: CheckContext) -> OpsError:
    """The error of an environment without one."""
    return OpsError(
        f"no database is configured for {of.environment_name}",
        next=f"Give [environments.{of.environment_name}.database] a url or a host.",
    )


def source_of(ctx: CheckContext) -> CheckContext:
    """The environment that the code comes from. Raises OpsError where there is none."""
    source = ctx.going_out().source
    if source is None:
        raise OpsError(f"no environment has the branch {ctx.going_out().source_branch}")
    return source


class Told:
    """Lines of evidence with their level, gathered; the worst first."""

    def __init__(self) -> None:
        self.lines: dict[Level, list[str]] = {level: [] for level in Level}

    def add(self, level: Level, line: str) -> None:
        """Remember a line."""
        self.lines[level].append(line)

    @property
    def level(self) -> Level:
        """The worst level of a line; OK of none."""
        return next((one for one in _WORST if self.lines[one]), Level.OK)

    @property
    def evidence(self) -> list[str]:
        """All lines, the worst first; at most 40 of each level."""
        found = []
        for level in _WORST:
            lines = self.lines[level]
            found += lines[:_LISTED]
            if len(lines) > _LISTED:
                found.append(f"… and {len(lines) - _LISTED:,} more")
        return found

    def headline(self, level: Level) -> str:
        """The first line of a level, and how many more there are."""
        lines = self.lines[level]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        return f"{lines[0]}{more}"


_WORST = (Level.FAIL, Level.UNKNOWN, Level.WARN, Level.OK)
_LISTED = 40


def unfetched(ground: Ground) -> list[str]:
    """A line of evidence when the remote could not be asked."""
    outgoing = ground.outgoing
    return [] if outgoing.fetched else [f"as of the last fetch: {outgoing.fetch_error}"]


def names(files: tuple[MigrationFile, ...], most: int = 3) -> str:
    """``20251105_a, 20251106_b and 4 more``."""
    shown = ", ".join(f"{one.version}_{one.name}" for one in files[:most])
    return shown + (f" and {len(files) - most} more" if len(files) > most else "")
