"""Reading the matrix: branches and histories side by side, contents only where nothing is known of them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import structs

from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.journal.model import Filter, Kind, Outcome
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.migrations.cache import ContentCache, cache_in
from muva_console.ops.migrations.drift import same_of
from muva_console.ops.migrations.files import LARGEST, sort_files
from muva_console.ops.migrations.history import SHOWN, harmless, read_history, read_statements
from muva_console.ops.migrations.laying import Side, lay_out
from muva_console.ops.migrations.leftovers import LOOKED_INTO, InvalidIndex, half_way, invalid_indexes
from muva_console.ops.migrations.matrix import Column, Matrix
from muva_console.ops.migrations.model import FileSet, History, MigrationFile
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.links.postgres import PostgresLink
    from muva_console.ops.links.source import Source
    from muva_console.ops.links.workshop_reading import Blob
    from muva_console.ops.workspace import Workspace

APPLY = "migrations-apply"
"""The operation whose ends tell who applied what: ``data["applied"]``, the versions."""
ACTS = 2000
"""Ends of it that are read, the newest. Ours."""
TIMEOUT = 60.0
"""Seconds for one reading of the matrix, its links' own time-outs within. Ours."""
_SAME, _UNLIKE = b"\1".ljust(16, b"\0"), b"\2".ljust(16, b"\0")

Who = Mapping[str, tuple[str, datetime]]


class Files:
    """The migrations of branches, by commit."""

    def __init__(self, source: Source, folder: str, heads: Mapping[str, str]) -> None:
        self.source = source
        self.folder = folder
        self.heads = heads
        self.sets: dict[str, FileSet] = {}
        self.trees: dict[str, Mapping[str, Blob]] = {}

    async def read(self, branches: Iterable[str]) -> None:
        """Raises LinkError."""
        shas = {self.heads[branch] for branch in branches if branch in self.heads}
        wanted = [sha for sha in sorted(shas) if sha not in self.trees]
        trees = await asyncio.gather(*(self.source.tree(sha, self.folder) for sha in wanted))
        for sha, tree in zip(wanted, trees, strict=True):
            self.trees[sha] = tree
            self.sets[sha] = _named(sort_files(sha, self.folder, tree))

    def of(self, branch: str) -> FileSet | None:
        """The migrations of a branch; None where there is no such branch."""
        return self.sets.get(self.heads.get(branch, ""))

    async def texts(self, files: FileSet, wanted: Iterable[MigrationFile]) -> dict[str, bytes]:
        """The contents of files by path, without those that are too large. Raises LinkError."""
        tree = self.trees[files.sha]
        blobs = {one.path: tree[one.path] for one in wanted}
        found = await self.source.contents(blobs.values(), limit=LARGEST - 4096)
        return {path: found[blob.oid] for path, blob in blobs.items() if blob.oid in found}


async def read_matrix(workspace: Workspace, environments: Sequence[str] | None = None) -> Matrix:
    """Every migration of these environments' branches (of all, by default) against their histories, after a
    fetch. A database that cannot be reached makes its column unknown, with the reason.

    Raises LinkError where the repository cannot be read at all, or not within `TIMEOUT` seconds.
    """
    began = time.perf_counter()
    of = workspace.config.environments
    # as code flows: in the file's order, production last, where the eye ends
    names = sorted(of if environments is None else environments, key=lambda name: of[name].production)
    try:
        async with asyncio.timeout(TIMEOUT):
            matrix = await _read(workspace, names)
    except TimeoutError:
        raise LinkError(Fault.TIMEOUT, f"migrations could not be read within {TIMEOUT:g} s") from None
    return structs.replace(matrix, took_ms=(time.perf_counter() - began) * 1000)


async def _read(workspace: Workspace, names: list[str]) -> Matrix:
    cache = cache_in(workspace.cache)
    (heads, error), who, databases, _ = await asyncio.gather(
        workspace.workshop.known_heads(),
        _who(workspace),
        asyncio.gather(*(_database(workspace.environments[name].postgres) for name in names)),
        asyncio.to_thread(cache.load),
    )
    files = Files(workspace.workshop, workspace.config.project.migrations, heads)
    flow = {name: _branches(workspace, name) for name in names}
    await files.read(branch for branches in flow.values() for branch in branches if branch)
    sides = [
        _side(workspace, name, flow[name], files, database, who.get(name, {}))
        for name, database in zip(names, databases, strict=True)
    ]
    asked = [side for side in sides if side.history is not None]
    same = await _hold(workspace, files, asked, cache)
    for side in asked:
        await _look_for_leftovers(workspace, files, side)
    return await asyncio.to_thread(
        lambda: lay_out(
            sides,
            tuple(files.sets.values()),
            files.trees,
            same,
            at=utc_now(),
            folder=files.folder,
            heads={branch: heads[branch] for pair in flow.values() for branch in pair if branch in heads},
            fetch_error=error,
        )
    )


def _branches(workspace: Workspace, name: str) -> tuple[str, str]:
    """The environment's own branch and the one that flows into it, empty for the first."""
    before = workspace.previous(name)
    environments = workspace.config.environments
    own, coming = environments[name].branch, environments[before].branch if before is not None else ""
    return own, coming if coming != own else ""


class _Database:
    """What one database says."""

    def __init__(self) -> None:
        self.where = self.command = ""
        self.history: History | None = None
        self.indexes: tuple[InvalidIndex, ...] = ()
        self.why = ""
        self.untold: list[str] = []


async def _database(link: PostgresLink | None) -> _Database:
    found = _Database()
    if link is None:
        found.why = "no database is configured"
        return found
    try:
        found.history = await _history(link)
    except OpsError as error:
        found.why = str(error)
    found.where, found.command = link.where, link.psql(SHOWN)
    if found.history is not None:
        try:
            found.indexes = await invalid_indexes(link)
        except OpsError as error:
            found.untold.append(f"invalid indexes could not be looked for: {error}")
    return found


async def _history(link: PostgresLink) -> History:
    try:
        return await read_history(link, statements=False, digests=True)
    except DatabaseError as error:
        # 22021: what is recorded cannot be told in UTF-8, so it cannot be digested there
        if error.sqlstate != "22021":
            raise
    return _digested(await read_history(link))


def _digested(history: History) -> History:
    applied = {
        version: one
        if one.text is None
        else structs.replace(one, digest=hashlib.sha256(one.text.encode("utf-8", "replace")).digest()[:16])
        for version, one in history.applied.items()
    }
    return structs.replace(history, applied=applied)


async def _who(workspace: Workspace) -> dict[str, Who]:
    """By environment and version, who applied it and when; the newest. Nothing where the journal cannot be
    read: it is no part of what is asked.
    """
    wanted = Filter(kinds=(Kind.ACT_ENDED,), text=APPLY, limit=ACTS)
    try:
        entries = await workspace.journal.read(wanted)
    except OpsError:
        return {}
    found: dict[str, dict[str, tuple[str, datetime]]] = {}
    for entry in entries:
        versions = entry.data.get("applied")
        if entry.subject.startswith(APPLY) and isinstance(versions, list):
            if entry.outcome == Outcome.NOT_BEGUN:
                continue
            of = found.setdefault(entry.environment, {})
            for version in versions:
                if isinstance(version, str) and (version not in of or of[version][1] < entry.at):
                    of[version] = (entry.engineer, entry.at)
    return dict(found)


def _side(
    workspace: Workspace,
    name: str,
    branches: tuple[str, str],
    files: Files,
    database: _Database,
    who: Who,
) -> Side:
    branch, coming = branches
    own, notes = files.of(branch), []
    why, history = database.why, database.history
    if own is None:
        why, history = f"there is no branch {sanitise_line(branch, cap=120)}", None
    elif history is not None and not history.there:
        notes.append("there is no history of migrations: none counts as applied")
    if own is not None and not own.migrations:
        notes.append(f"{branch} holds no migration in {files.folder}")
    notes += [
        f"the index {one.index} on {one.table} is being built"
        for one in database.indexes
        if one.building is True
    ]
    untold = [
        *database.untold,
        *(
            f"the index {one.index} on {one.table} is invalid; whether it is being built cannot be told"
            for one in database.indexes
            if one.building is None
        ),
    ]
    environment = workspace.config.environments[name]
    return Side(
        column=Column(
            environment=name,
            branch=branch,
            sha=files.heads.get(branch, ""),
            coming=coming,
            production=environment.production,
            database=database.where,
            command=database.command,
            why=why,
            reachable=database.history is not None,
            indexes=database.indexes,
            notes=tuple(notes),
            untold=tuple(untold),
        ),
        own=own or FileSet(sha="", folder=files.folder, migrations=()),
        coming=files.of(coming) if coming else None,
        history=history,
        who=who,
    )


async def _hold(
    workspace: Workspace, files: Files, sides: Sequence[Side], cache: ContentCache
) -> dict[bytes, bool | None]:
    """Whether each record says the same as the files of its version. What was once compared is known by the
    file's blob id and the record's digest, and neither is read again.
    """
    unknown: dict[bytes, tuple[Side, str, Blob]] = {}
    same: dict[bytes, bool | None] = {}
    halves = {
        sha: {path: bytes.fromhex(blob.oid[:32]) for path, blob in tree.items()}
        for sha, tree in files.trees.items()
    }
    for side in sides:
        applied = side.history.applied if side.history is not None else {}
        for of in (side.own, side.coming):
            if of is None or not of.migrations:
                continue
            half = halves[of.sha]
            for one in of.migrations:
                record = applied.get(one.version)
                if record is None or not record.digest:
                    continue
                key = half[one.path] + record.digest
                if key in same:
                    continue
                known = cache.get(key)
                same[key] = None if known is None else known == _SAME
                if known is None:
                    unknown[key] = (side, one.version, files.trees[of.sha][one.path])
    return same | await _compare(workspace, files, unknown, cache)


async def _compare(
    workspace: Workspace,
    files: Files,
    unknown: Mapping[bytes, tuple[Side, str, Blob]],
    cache: ContentCache,
) -> dict[bytes, bool | None]:
    """The verdict of pairs that were never compared; kept where there is one. Statements that could not be
    read leave theirs open.
    """
    if not unknown:
        return {}
    by_side: dict[int, tuple[Side, set[str]]] = {}
    for side, version, _ in unknown.values():
        by_side.setdefault(id(side), (side, set()))[1].add(version)
    blobs = [blob for _, _, blob in unknown.values()]
    reading = asyncio.gather(*(_statements(workspace, *one) for one in by_side.values()))
    texts, records = await asyncio.gather(files.source.contents(blobs, limit=LARGEST - 4096), reading)
    ran = dict(zip(by_side, records, strict=True))
    keys: list[bytes] = []
    pairs: list[tuple[bytes, tuple[str, ...]]] = []
    for key, (side, version, blob) in unknown.items():
        record = ran[id(side)].get(version)
        text = texts.get(blob.oid)
        if record is not None and text is not None:
            keys.append(key)
            pairs.append((text, record))
    found = dict(zip(keys, await same_of(pairs, cache=cache), strict=True))
    for key, same in found.items():
        if same is not None:
            cache.put(key, _SAME if same else _UNLIKE)
    await asyncio.to_thread(cache.save)
    return found


async def _statements(
    workspace: Workspace, side: Side, versions: Collection[str]
) -> Mapping[str, tuple[str, ...]]:
    link = workspace.environments[side.column.environment].postgres
    if link is None:
        return {}
    try:
        return await read_statements(link, versions)
    except OpsError as error:
        note = f"what was run could not be read: {error}"
        side.column = structs.replace(side.column, untold=(*side.column.untold, note))
        return {}


async def _look_for_leftovers(workspace: Workspace, files: Files, side: Side) -> None:
    """Files that are half done, and the files that made what is invalid."""
    history, link = side.history, workspace.environments[side.column.environment].postgres
    if history is None or link is None:
        return
    waiting: dict[str, tuple[FileSet, MigrationFile]] = {}
    for of in (side.own, side.coming):
        for one in of.migrations if of is not None else ():
            if of is not None and one.version not in history.applied:
                waiting.setdefault(one.path, (of, one))
    first = sorted(waiting.values(), key=lambda pair: (pair[1].version, pair[1].name))
    beyond = len(first) - LOOKED_INTO
    notes = list(side.column.notes)
    if beyond > 0:
        first = first[:LOOKED_INTO]
        notes.append(
            f"the first {LOOKED_INTO} files that wait were looked for in the schema, {beyond:,} were not"
        )
    texts: dict[str, bytes] = {}
    for of in {pair[0].sha: pair[0] for pair in first}.values():
        texts |= await files.texts(of, [one for whose, one in first if whose is of])
    untold = list(side.column.untold)
    try:
        halves = await half_way(link, [one for _, one in first], texts)
    except OpsError as error:
        halves = ()
        untold.append(f"files that failed half-way could not be looked for: {error}")
    side.column = structs.replace(side.column, halves=halves, notes=tuple(notes), untold=tuple(untold))
    if side.column.stray:
        side.makers = await _makers(files, side.own, side.column.stray)


async def _makers(files: Files, own: FileSet, indexes: Sequence[InvalidIndex]) -> dict[str, str]:
    """The file that makes each of these indexes: the last that names it in a CREATE INDEX."""
    from muva_console.ops.migrations.facts import steps_of
    from muva_console.ops.migrations.text import in_parser

    texts = await files.texts(own, own.migrations)
    names = {one.index: one.index.partition(".")[2].encode() for one in indexes}
    candidates = [
        one for one in own.migrations if any(name in texts.get(one.path, b"") for name in names.values())
    ][-50:]
    steps = await in_parser(lambda: [steps_of(texts[one.path]) for one in candidates])
    found: dict[str, str] = {}
    for one, of in zip(candidates, steps, strict=True):
        for step in of:
            for fact in step.facts:
                if fact.kind == "relation" and not fact.gone and fact.owner in names:
                    found[fact.owner] = one.path
    return found


def _named(files: FileSet) -> FileSet:
    """The same with names that are harmless, as those of a history are."""
    together = "".join([one.name for one in files.migrations])
    if together.isascii() and together.isprintable():
        return files
    migrations = tuple(structs.replace(one, name=harmless(one.name)) for one in files.migrations)
    return structs.replace(files, migrations=migrations)
