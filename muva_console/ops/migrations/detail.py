"""One migration in one environment, looked at closely: its text, what ran, and in what they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.drift import Drift, diff
from muva_console.ops.migrations.files import LARGEST, sort_files
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import Half, InvalidIndex
from muva_console.ops.migrations.matrix import Cell, Column, Matrix
from muva_console.ops.migrations.model import MigrationFile, State
from muva_console.ops.text import sanitise, sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

SHOWN = 256 * 1024
"""Bytes of a text that are shown. Ours."""


class Detail(Struct, frozen=True, kw_only=True):
    """Texts are harmless and redacted; what is empty is not there."""

    version: str
    name: str
    environment: str
    cell: Cell
    branch: str = ""
    """The branch whose file this is."""
    path: str = ""
    text: str = ""
    """The file."""
    down_path: str = ""
    down: str = ""
    """The file's way back."""
    recorded: tuple[str, ...] | None = None
    """The statements that ran; None where that is not recorded."""
    rollback: tuple[str, ...] = ()
    """The recorded way back."""
    drift: Drift | None = None
    """The record against the file; None where there are not both."""
    half: Half | None = None
    indexes: tuple[InvalidIndex, ...] = ()
    """Invalid indexes that this file names."""
    why: str = ""
    """What could not be read, and why."""


async def sql_of(
    workspace: Workspace, matrix: Matrix, version: str, environment: str, *, name: str | None = None
) -> Detail:
    """A version as it stands in an environment of the matrix; `name` tells two files of one version apart.

    Raises OpsError where the matrix has no such version or environment, LinkError where the file cannot
    be read. A database that cannot be read makes `why`.
    """
    names = [column.environment for column in matrix.columns]
    if environment not in names:
        raise OpsError(f"there is no environment {sanitise_line(environment, cap=80)} in this matrix")
    column = matrix.columns[matrix.place(environment)]
    rows = [row for row in matrix.rows if row.version == version and name in (None, row.name)]
    if not rows:
        what = sanitise_line(version, cap=80)
        raise OpsError(f"no branch and no history has a migration {what}", where=environment)
    row = next(
        (
            one
            for one in rows
            if (cell := one.cells[names.index(environment)]) and cell.state is not State.ABSENT
        ),
        rows[0],
    )
    cell = row.cells[names.index(environment)] or Cell(state=State.ABSENT, here=False, why=column.why)
    found = await _file(workspace, matrix, column, version, cell)
    raw = found.text
    recorded, rollback, why = await _record(workspace, column, version)
    drift = None
    if recorded is not None and raw is not None:
        drift = await diff(
            recorded, raw, recorded=f"recorded on {environment}", file=f"{found.path} on {found.branch}"
        )
    return Detail(
        version=version,
        name=row.name,
        environment=environment,
        cell=cell,
        branch=found.branch,
        path=sanitise_line(found.path, cap=400),
        text=_shown(raw or b""),
        down_path=sanitise_line(found.down_path, cap=400),
        down=_shown(found.down or b""),
        recorded=None
        if recorded is None
        else tuple(_shown(one.encode("utf-8", "replace")) for one in recorded),
        rollback=tuple(_shown(one.encode("utf-8", "replace")) for one in rollback),
        drift=drift,
        half=next((one for one in column.halves if one.file.path == found.path), None),
        indexes=tuple(one for one in column.stray if one.index.partition(".")[2].encode() in (raw or b"")),
        why=why or found.why,
    )


class _Found(Struct):
    branch: str = ""
    path: str = ""
    text: bytes | None = None
    down_path: str = ""
    down: bytes | None = None
    why: str = ""


async def _file(workspace: Workspace, matrix: Matrix, column: Column, version: str, cell: Cell) -> _Found:
    """The file that the cell is about; of a version that this environment lacks, any branch's."""
    for branch in dict.fromkeys([column.branch, column.coming, *matrix.heads]):
        sha = matrix.heads.get(branch, "")
        if not sha:
            continue
        tree = await workspace.workshop.tree(sha, matrix.folder)
        files = sort_files(sha, matrix.folder, tree)
        fitting = [one for one in files.by_version.get(version, ()) if _fits(one, cell)]
        fitting = [one for one in fitting if not cell.blob or tree[one.path].oid == cell.blob]
        if not fitting:
            continue
        file = fitting[0]
        downs = [one for one in files.downs if (one.version, one.name) == (version, file.name)]
        wanted = [tree[one.path] for one in (file, *downs[:1])]
        texts = await workspace.workshop.contents(wanted, limit=LARGEST - 4096)
        found = _Found(branch=branch, path=file.path, text=texts.get(wanted[0].oid))
        if found.text is None:
            found.why = f"{sanitise_line(file.path, cap=200)} is too large to be read"
        if downs:
            found.down_path, found.down = downs[0].path, texts.get(wanted[1].oid)
        return found
    return _Found()


def _fits(file: MigrationFile, cell: Cell) -> bool:
    return not cell.path or file.path == cell.path


async def _record(
    workspace: Workspace, column: Column, version: str
) -> tuple[tuple[str, ...] | None, tuple[str, ...], str]:
    link = workspace.environments[column.environment].postgres
    if link is None:
        return None, (), column.why
    try:
        applied = (await read_history(link, versions=[version])).applied.get(version)
    except OpsError as error:
        return None, (), str(error)
    return (None, (), "") if applied is None else (applied.statements, applied.rollback or (), "")


def _shown(text: bytes) -> str:
    # redacted before it is cut: half a password is no longer known for one
    told = redact(sanitise(text[: SHOWN + 8192].removeprefix(b"\xef\xbb\xbf")))
    return f"{told[:SHOWN]}\n… +{len(text) - SHOWN:,} bytes" if len(text) > SHOWN else told
