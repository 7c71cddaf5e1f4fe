"""A matrix as findings: what an engineer should hear of each environment, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from msgspec import structs

from muva_console.ops.checks import tell
from muva_console.ops.health.words import count
from muva_console.ops.migrations.leftovers import Half
from muva_console.ops.migrations.matrix import LEVELS, Cell, Column, Matrix, Row
from muva_console.ops.migrations.model import State
from muva_console.ops.readings import Finding, Level, worst

CHECK, FILES = "migrations-in-step", "migration-files"
LISTED = 40
"""Lines of evidence of each kind. Ours."""

_WORDS = {
    State.APPLIED: "applied",
    State.PENDING: "pending",
    State.OUT_OF_ORDER: "out of order",
    State.MISSING: "applied but missing in the files",
    State.DUPLICATE: "with a version that another has too",
    State.DRIFTED: "applied with another content",
    State.RENAMED: "applied under another name",
    State.HALF_WAY: "failed half-way",
    State.INVALID_INDEX: "with an invalid index",
    State.UNKNOWN: "unknown",
}
_ORDER = (
    State.HALF_WAY, State.INVALID_INDEX, State.MISSING, State.DRIFTED, State.DUPLICATE, State.OUT_OF_ORDER,
    State.UNKNOWN, State.RENAMED,
)  # fmt: skip
"""Problems, the most pressing first."""


def findings_of(matrix: Matrix, *, asked: bool = False) -> tuple[Finding, ...]:
    """A finding about the files and one an environment. An environment without a database is passed over,
    unless it was `asked` for or no other has one.
    """
    found = [_files(matrix)]
    known = any(column.database for column in matrix.columns)
    for place, column in enumerate(matrix.columns):
        if column.database or asked or not known:
            found.append(_column(matrix, place, column))
    return tuple(structs.replace(one, at=matrix.at, took_ms=round(matrix.took_ms, 2)) for one in found)


def _files(matrix: Matrix) -> Finding:
    branches = ", ".join(matrix.heads) or "no branch"
    evidence = [*matrix.mistakes[:LISTED], *matrix.warnings[:LISTED]]
    if matrix.fetch_error:
        evidence.append(f"as of the last fetch: {matrix.fetch_error}")
    level, summary, next_step = Level.OK, f"{count(matrix.files, 'migration')} on {branches}", ""
    if not matrix.files:
        level, summary = Level.UNKNOWN, f"no branch holds a migration in {matrix.folder}"
        next_step = "Name the folder in [project] migrations."
    elif matrix.mistakes:
        level, summary = Level.FAIL, _first(matrix.mistakes)
        next_step = "Give the later of them a version of its own."
    elif matrix.warnings:
        level, summary = Level.WARN, _first(matrix.warnings)
    finding = tell(level, summary, subject=matrix.folder, evidence=evidence, next=next_step)
    return structs.replace(finding, check=FILES, title="Files")


def _first(lines: tuple[str, ...]) -> str:
    return f"{lines[0]} (and {len(lines) - 1} more)" if len(lines) > 1 else lines[0]


def _column(matrix: Matrix, place: int, column: Column) -> Finding:
    name = column.environment
    if column.why or not column.reachable:
        finding = tell(
            Level.UNKNOWN,
            f"cannot tell: {column.why or 'nothing is known'}",
            subject=name,
            evidence=column.notes,
            command=column.command,
            next="" if column.database else f"Give [environments.{name}.database] a url or a host.",
        )
        return structs.replace(finding, check=CHECK, title="Migrations")
    levels = [Level.OK, *(LEVELS[state] for state in column.counts)]
    if column.stray:
        levels.append(Level.FAIL)
    if column.untold or not matrix.files:
        levels.append(Level.UNKNOWN)
    problems = [(row, cell) for row, of, cell in matrix.problems(name) if of is column]
    problems.sort(key=lambda pair: _ORDER.index(pair[1].state))
    waiting = [
        (row, cell)
        for row in matrix.rows
        if (cell := row.cells[place]) is not None and cell.state is State.PENDING
    ]
    finding = tell(
        worst(levels),
        _summary(column),
        subject=name,
        evidence=list(_evidence(matrix, column, problems, waiting)),
        command=column.command,
        next=_next(column, problems),
    )
    return structs.replace(finding, check=CHECK, title="Migrations")


def _summary(column: Column) -> str:
    shown = [State.APPLIED, State.PENDING, *_ORDER]
    told = [f"{column.counts[state]:,} {_WORDS[state]}" for state in shown if column.counts.get(state)]
    if column.stray and not column.counts.get(State.INVALID_INDEX):
        told.append(f"{count(len(column.stray), 'invalid index', 'invalid indexes')} left behind")
    told += [f"{len(column.untold)} could not be looked for"] if column.untold else []
    return ", ".join(told) or "no migration here"


def _evidence(
    matrix: Matrix, column: Column, problems: list[tuple[Row, Cell]], waiting: list[tuple[Row, Cell]]
) -> Iterator[str]:
    for row, cell in problems[:LISTED]:
        by = f" (by {cell.by})" if cell.by else ""
        yield f"{row.title}: {cell.state}{f': {cell.why}' if cell.why else ''}{by}"
    if len(problems) > LISTED:
        yield f"… and {len(problems) - LISTED:,} more"
    for half in column.halves:
        yield from half_lines(half)
    yield from (str(one) for one in column.stray)
    yield from column.untold
    for row, cell in waiting[:LISTED]:
        yield f"pending: {row.title}{f', {cell.why}' if cell.why else ''}"
    if len(waiting) > LISTED:
        yield f"… and {len(waiting) - LISTED:,} more pending"
    yield from column.notes
    if matrix.fetch_error:
        yield f"as of the last fetch: {matrix.fetch_error}"


def half_lines(half: Half) -> Iterator[str]:
    """What seems done of a file that failed half-way, and what not."""
    title = f"{half.file.version}_{half.file.name}"
    for word, lines in (
        ("seems done", half.done),
        ("not done", half.undone),
        ("cannot be told", half.untold),
    ):
        for line in lines[:LISTED]:
            yield f"{title} {line}: {word}"


def _next(column: Column, problems: list[tuple[Row, Cell]]) -> str:
    """What to do about the most pressing problem."""
    mend = " ".join(one.mend for one in column.stray[:3])
    if not problems:
        return mend
    row, cell = problems[0]
    match cell.state:
        case State.HALF_WAY:
            undo = f"Undo what seems done of {row.title} by hand, then apply it again."
            return f"{undo} {mend}".rstrip()
        case State.INVALID_INDEX:
            return f"{mend} Then build it again."
        case State.MISSING:
            return f"git log --all --oneline -- {shlex.quote(f'*{row.version}_*')} tells which branch had it."
        case State.DRIFTED:
            environment, version = shlex.quote(column.environment), shlex.quote(row.version)
            return f"muva migrations status --env {environment} --diff {version}"
        case State.OUT_OF_ORDER:
            return (
                f"Give {row.title} a version after {column.highest}, or apply it knowing that it comes late."
            )
        case State.DUPLICATE:
            return "Give one of the files a version of its own."
        case _:
            return ""
