"""The migrations that are going to an environment, with what is there: files, those applied, sizes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.migrations.catalog import Size, read_sizes
from muva_console.ops.migrations.files import files_of, texts_of
from muva_console.ops.migrations.history import read_history

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


class Going(Struct, frozen=True, kw_only=True):
    """What goes to an environment, and what it meets there."""

    environment: str
    branch: str = ""
    sha: str = ""
    files: Mapping[str, bytes]
    """What is to be judged, by path, as it is applied."""
    before: Mapping[str, bytes]
    """What is applied already."""
    large: tuple[str, ...] = ()
    """Paths of files that are too large to be read."""
    sizes: Mapping[str, Size] | None = None
    """Of the tables there; None where they could not be read."""
    untold: tuple[str, ...] = ()
    """What could not be looked at, and what follows from that."""


async def read_going(workspace: Workspace, environment: str, *, everything: bool = False) -> Going:
    """The migrations of the commit that goes to an environment (of the branch that flows into it, of its own
    where none does): those that its history lacks, or all of them with `everything`. What the database does
    not tell is in `untold`. Raises LinkError where the repository cannot be read.
    """
    config = workspace.config
    coming = workspace.previous(environment)
    branch = config.environments[coming or environment].branch
    untold: list[str] = []
    (heads, error), there = await asyncio.gather(
        workspace.workshop.known_heads(), read_there(workspace, environment)
    )
    sizes, applied, why = there
    untold += why
    if error:
        untold.append(f"as of the last fetch: {error}")
    if branch not in heads:
        raise OpsError(f"the repository has no branch {branch}", where=environment)
    sha = heads[branch]
    files = await files_of(workspace.workshop, sha, config.project.migrations, downs=config.migrations.downs)
    texts, large = await texts_of(
        workspace.workshop, sha, [one.path for one in (*files.migrations, *files.downs)]
    )
    if applied is None:
        own = config.environments[environment].branch
        known = await files_of(workspace.workshop, heads[own], files.folder) if own in heads else None
        applied = frozenset(known.by_version) if known is not None and own != branch else frozenset()
    news = [one for one in (*files.migrations, *files.downs) if everything or one.version not in applied]
    return Going(
        environment=environment,
        branch=branch,
        sha=sha,
        files={one.path: texts[one.path] for one in news if one.path in texts},
        before={
            one.path: texts[one.path]
            for one in files.migrations
            if one.version in applied and not everything and one.path in texts
        },
        large=tuple(path for path in large if any(one.path == path for one in news)),
        sizes=sizes,
        untold=tuple(untold),
    )


async def read_there(
    workspace: Workspace, environment: str
) -> tuple[Mapping[str, Size] | None, frozenset[str] | None, list[str]]:
    """The sizes of an environment's tables, the versions that its history has (None where either cannot be
    told), and why not.
    """
    link = workspace.environments[environment].postgres
    if link is None:
        return None, None, [f"no database is configured for {environment}: every table is taken as large"]
    try:
        sizes = await read_sizes(link)
        history = await read_history(link, statements=False)
    except (LinkError, OpsError) as error:
        return None, None, [f"{error}: every table is taken as large"]
    return sizes, frozenset(history.applied), []
