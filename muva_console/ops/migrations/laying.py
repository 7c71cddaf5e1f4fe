"""Laying out a matrix of what was read: which state each migration is in, in each environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct, structs

from muva_console.ops.links.workshop_reading import Blob
from muva_console.ops.migrations.files import mistaken
from muva_console.ops.migrations.matrix import Cell, Column, Matrix, Row
from muva_console.ops.migrations.model import Applied, FileSet, History, MigrationFile, State
from muva_console.ops.text import sanitise_line


class Side(Struct, kw_only=True):
    """One environment as it was read, to be laid out."""

    column: Column
    own: FileSet
    coming: FileSet | None
    history: History | None
    """None where it could not be read."""
    who: Mapping[str, tuple[str, datetime]] = {}
    """By version, who applied it and when, as the journal knows."""
    makers: Mapping[str, str] = {}
    """By the name of an invalid index, the path of the file that makes it."""


Same = Mapping[bytes, bool | None]
"""By `pair_of`, whether a record says the same as a content; None where that cannot be told."""
Trees = Mapping[str, Mapping[str, Blob]]
"""By commit and path, the contents."""


def pair_of(blob: Blob, applied: Applied) -> bytes:
    """The name of a content and a record: 32 bytes."""
    return bytes.fromhex(blob.oid[:32]) + applied.digest


def lay_out(
    sides: Sequence[Side],
    files: Sequence[FileSet],
    trees: Trees,
    same: Same,
    *,
    at: datetime,
    folder: str = "",
    heads: Mapping[str, str] | None = None,
    fetch_error: str = "",
) -> Matrix:
    """The matrix of what was read; `files` are those of every branch."""
    titles_of_files = {(one.version, one.name) for of in files for one in of.migrations}
    versions = {version for version, _ in titles_of_files}
    titles = set(titles_of_files)
    for side in sides:
        for version, applied in (side.history.applied if side.history else {}).items():
            if version not in versions:
                titles.add((version, applied.name or ""))
    order = sorted(titles)
    laid = [_Laying(side, trees, same).cells(order) for side in sides]
    rows = tuple(
        Row(version=version, name=name, cells=cells)
        for (version, name), cells in zip(order, zip(*laid, strict=True), strict=True)
    )
    columns = tuple(_counted(side, cells) for side, cells in zip(sides, laid, strict=True))
    return Matrix(
        at=at,
        folder=folder,
        columns=columns,
        rows=rows,
        files=len(titles_of_files),
        mistakes=_mistakes(files),
        warnings=_warnings(files),
        heads=heads or {},
        fetch_error=fetch_error,
    )


def _mistakes(files: Sequence[FileSet]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for of in files:
        for version, several in of.duplicates.items():
            found[f"{version} twice: {' and '.join(_shown(one.path) for one in several)}"] = None
    return tuple(found)


def _warnings(files: Sequence[FileSet]) -> tuple[str, ...]:
    """What is odd about the files themselves."""
    found: dict[str, None] = {}
    for of in files:
        for path in of.skipped:
            found[f"{_shown(path)} is skipped: a migration is named VERSION_NAME.sql"] = None
        # `supabase db push` takes it for the migration NAME.down
        for line in mistaken(one.path for one in (*of.migrations[:1], *of.downs)):
            found[line] = None
        if len(of.widths) > 1:
            widths = " and ".join(map(str, of.widths))
            found[f"versions of {widths} digits: they sort as text, not as numbers"] = None
    return tuple(found)


def _shown(path: str) -> str:
    return sanitise_line(path, cap=200)


def _counted(side: Side, cells: Sequence[Cell | None]) -> Column:
    counts = Counter(cell.state for cell in cells if cell is not None)
    history = side.history
    return structs.replace(
        side.column,
        counts={state: counts[state] for state in State if counts[state]},
        history=bool(history and history.there),
        applied=len(history.applied) if history else 0,
        highest=history.highest if history else "",
    )


class _Laying:
    """Lays out one column."""

    def __init__(self, side: Side, trees: Trees, same: Same) -> None:
        self.side = side
        self.same = same
        self.own = side.own.by_version
        self.coming = side.coming.by_version if side.coming is not None else {}
        self.trees = trees
        self.highest = side.history.highest if side.history else ""
        self.halves = {half.file.path: half for half in side.column.halves}
        self.invalid: dict[str, list[str]] = {}
        for index in side.column.stray:
            if index.index in side.makers:
                self.invalid.setdefault(side.makers[index.index], []).append(index.index)

    def cells(self, titles: Sequence[tuple[str, str]]) -> list[Cell | None]:
        """A cell a title."""
        if not self.side.column.database:
            return [None] * len(titles)
        history = self.side.history
        if history is None:
            unknown = Cell(state=State.UNKNOWN, why=self.side.column.why)
            return [unknown] * len(titles)
        found: list[Cell | None] = []
        for version, name in titles:
            applied = history.applied.get(version)
            own = self.own.get(version, ())
            coming = self.coming.get(version, ())
            # the plain case, of nearly all
            if applied is not None and len(own) == 1 == (len(coming) or 1) and not self.invalid:
                cell = self._plain(applied, own[0], coming[0] if coming else None, name)
                if cell is not None:
                    found.append(cell)
                    continue
            found.append(self._cell(version, name, own, coming, applied))
        return found

    def _plain(
        self, applied: Applied, own: MigrationFile, coming: MigrationFile | None, name: str
    ) -> Cell | None:
        """Applied, by the one name that it has, with what both branches have; None where that is not so."""
        if own.name != name or (applied.name is not None and applied.name != name):
            return None
        blob = self._blob(self.side.own, own)
        other = self.side.coming
        if coming is not None and other is not None:
            alike = coming.name == name and self._blob(other, coming).oid == blob.oid
            if not alike:
                return None
        if not applied.digest or self.same.get(pair_of(blob, applied)) is not True:
            return None
        by, at = self._who(applied)
        return Cell(state=State.APPLIED, by=by, at=at, path=own.path, blob=blob.oid)

    def _cell(
        self,
        version: str,
        name: str,
        own: Sequence[MigrationFile],
        coming: Sequence[MigrationFile],
        applied: Applied | None,
    ) -> Cell:
        mine = [one for one in own if one.name == name]
        theirs = [one for one in coming if one.name == name]
        first = next(iter([*mine, *theirs]), None)
        by, at = self._who(applied) if applied is not None else ("", None)
        if first is None:
            if applied is None or own or coming:
                return Cell(state=State.ABSENT, here=False)
            if applied.name is not None and applied.name != name:
                return Cell(state=State.ABSENT, here=False)
            column = self.side.column
            where = f"{column.branch} does not have it"
            if column.coming:
                where = f"neither {column.branch} nor {column.coming} has it"
            return Cell(state=State.MISSING, here=False, why=where, by=by, at=at)
        file, files = first, self.side.own if mine else self.side.coming
        assert files is not None
        blob = self._blob(files, file)
        column = self.side.column
        branch = column.branch if mine else column.coming

        def tell(state: State, why: str = "") -> Cell:
            return Cell(state=state, here=bool(mine), why=why, by=by, at=at, path=file.path, blob=blob.oid)

        double = own if len(own) > 1 and mine else coming if len(coming) > 1 and theirs else ()
        if double:
            others = ", ".join(_shown(one.path) for one in double if one.path != file.path)
            return tell(State.DUPLICATE, f"{others} has this version too")
        if applied is None:
            return self._waiting(version, file, tell, "" if mine else f"comes from {branch}")
        if applied.name is not None and applied.name != name:
            renames = not mine and own  # the environment's own branch has the name that was applied
            return tell(
                State.RENAMED, f"{branch} renames {applied.name}" if renames else f"applied as {applied.name}"
            )
        for of, one, on in ((self.side.own, mine, column.branch), (self.side.coming, theirs, column.coming)):
            if one and of is not None and applied.digest:
                file, blob = one[0], self._blob(of, one[0])
                same = self.same.get(pair_of(blob, applied))
                if same is None:
                    return tell(State.UNKNOWN, f"applied; what ran cannot be compared with the file on {on}")
                if not same:
                    return tell(State.DRIFTED, f"what ran is not what {on} has")
        broken = self.invalid.get(file.path)
        if broken:
            return tell(State.INVALID_INDEX, f"{', '.join(broken)} is invalid")
        return tell(State.APPLIED, "" if applied.digest else "what ran is not recorded")

    def _waiting(
        self, version: str, file: MigrationFile, tell: Callable[[State, str], Cell], comes: str
    ) -> Cell:
        half = self.halves.get(file.path)
        if half is not None:
            return tell(State.HALF_WAY, f"{'; '.join(half.found[:3])}; not in the history")
        if version < self.highest:
            return tell(State.OUT_OF_ORDER, f"{self.highest} is applied, which comes later")
        return tell(State.PENDING, comes)

    def _blob(self, files: FileSet, file: MigrationFile) -> Blob:
        return self.trees[files.sha][file.path]

    def _who(self, applied: Applied) -> tuple[str, datetime | None]:
        known = self.side.who.get(applied.version)
        if known is not None:
            return known
        return applied.by or "", None
