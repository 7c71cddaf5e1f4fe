"""One migration looked at closely, for the screen: read in the ops loop, once for each that is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.matrix import Matrix, Row
from muva_console.ops.migrations.model import State
from muva_console.ops.readings import Level, worst

if TYPE_CHECKING:
    from muva_console.ops.migrations.catalog import Size
    from muva_console.ops.migrations.detail import Detail
    from muva_console.ops.migrations.findings import FileReport, Hazard
    from muva_console.ops.migrations.locks import Taken
    from muva_console.ops.migrations.weigh import Scales
    from muva_console.ops.workspace import Workspace


class Peril(Struct, frozen=True, kw_only=True):
    """A hazard, at its line."""

    level: Level
    line: int
    """From 1; 0 for the whole file."""
    what: str
    more: tuple[str, ...] = ()
    """What it means where it is going, with sizes."""
    safe: str = ""
    """The safe way to write it."""
    rule: str = ""
    allowed: str = ""
    """The reason of a comment in the file that allows it."""


class Held(Struct, frozen=True, kw_only=True):
    """What one statement locks."""

    line: int
    about: str
    locks: tuple[str, ...] = ()
    """What it locks, how large that is, whom it keeps waiting; empty: nothing that was there."""
    level: Level = Level.OK
    alone: bool = False
    """Runs in no transaction."""


class Looked(Struct, frozen=True, kw_only=True):
    """What was found out of a file: hazards and locks, or why not."""

    perils: tuple[Peril, ...] = ()
    held: tuple[Held, ...] = ()
    why: tuple[str, ...] = ()
    """What could not be looked at."""
    applied: bool = False
    """It is applied already: it is told what it would do now."""


class Seen(Struct, frozen=True, kw_only=True):
    """A migration as the environment in hand has it, and as others do where they differ."""

    detail: Detail | None = None
    error: OpsError | None = None
    looked: Looked | None = None
    """None while it is looked at."""
    drifted: tuple[Detail, ...] = ()
    """Every environment in which what ran is not what the file says, the one in hand first."""


async def look(workspace: Workspace, matrix: Matrix, row: Row, environment: str) -> Seen:
    """Read a row's texts, without hazards. To be called in the ops loop; never raises OpsError."""
    from muva_console.ops.migrations.detail import sql_of

    others = [
        column.environment
        for column, cell in zip(matrix.columns, row.cells, strict=True)
        if cell is not None and cell.state is State.DRIFTED and column.environment != environment
    ]
    try:
        detail, *more = await asyncio.gather(
            *(sql_of(workspace, matrix, row.version, name, name=row.name) for name in (environment, *others))
        )
    except OpsError as error:
        return Seen(error=error)
    drifted = tuple(one for one in (detail, *more) if one.drift is not None and not one.drift.same)
    return Seen(detail=detail, drifted=drifted)


class Judged(Struct, frozen=True, kw_only=True):
    """The hazards of all files that are going to an environment, and the sizes that they were weighed by."""

    reports: Mapping[str, FileReport]
    """By path."""
    sizes: Mapping[str, Size] | None
    untold: tuple[str, ...]


async def judge_going(workspace: Workspace, environment: str) -> Judged:
    """Look at what is going to an environment. To be called in the ops loop. Raises OpsError."""
    from muva_console.ops.migrations.going import read_going
    from muva_console.ops.migrations.hazards import validate

    going = await read_going(workspace, environment)
    reports = await validate(
        going.files, going.sizes, before=going.before, environment=environment, folder=workspace.cache
    )
    untold = [*going.untold, *(f"{path} is too large to be looked into" for path in going.large)]
    return Judged(reports={one.path: one for one in reports}, sizes=going.sizes, untold=tuple(untold))


async def look_into(workspace: Workspace, judged: Judged, detail: Detail) -> Looked:
    """The hazards and locks of one file; of one that is applied already what it would do now. To be called in
    the ops loop.
    """
    from muva_console.ops.migrations.hazards import validate

    report = judged.reports.get(detail.path)
    applied = report is None
    if report is None:
        text = detail.text or "\n".join(f"{one.rstrip().rstrip(';')};" for one in detail.recorded or ())
        if not text:
            return Looked()
        (report,) = await validate(
            {"file.sql": text.encode()}, judged.sizes, environment=detail.environment, with_squawk=False
        )
    return looked_of(report, judged, detail.environment, applied=applied)


def looked_of(report: FileReport, judged: Judged, environment: str, *, applied: bool = False) -> Looked:
    """A report as it is shown."""
    from muva_console.ops.migrations.weigh import Scales

    scales = Scales(judged.sizes, environment)
    perils = [Peril(level=Level.FAIL, line=one.line, what=one.what) for one in report.problems]
    perils += [_peril(one) for one in report.hazards]
    perils += [
        structs.replace(_peril(one.hazard), allowed=one.reason or "no reason is given")
        for one in report.allowed
    ]
    levels: dict[int, Level] = {}
    for hazard in report.hazards:
        levels[hazard.statement] = worst((levels.get(hazard.statement, Level.OK), hazard.level))
    held = [
        Held(
            line=one.line,
            about=one.kind,
            locks=tuple(_lock(taken, scales) for taken in one.locks),
            level=levels.get(number, Level.OK),
            alone=one.alone,
        )
        for number, one in enumerate(report.statements, start=1)
    ]
    notes = () if applied else report.notes
    perils.sort(key=lambda one: one.line)
    return Looked(perils=tuple(perils), held=tuple(held), why=(*judged.untold, *notes), applied=applied)


def _peril(one: Hazard) -> Peril:
    more = [", ".join(one.sizes)] if one.sizes else []
    if one.blocks:
        more.append(f"keeps waiting: {one.blocks}")
    by = "" if one.by == ("muva",) else f" ({', '.join(one.by)})"
    return Peril(
        level=one.level, line=one.line, what=one.what, more=tuple(more), safe=one.safe, rule=one.rule + by
    )


def _lock(taken: Taken, scales: Scales) -> str:
    told = f"{taken.mode} on {scales.size(taken.on).told}"
    more = [f"blocks {taken.blocks}"] if taken.blocks else ["blocks nobody"]
    if taken.rewrites:
        more.append("rewrites it")
    elif taken.scans:
        more.append("reads all of it")
    return f"{told}: {', '.join(more)}"
