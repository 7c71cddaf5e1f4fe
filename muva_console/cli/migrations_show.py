"""How the matrix of migrations is printed: a table of 80 columns, a diff, data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs, to_builtins

from muva_console.cli.lines import COLOUR, glyph
from muva_console.cli.lines import finding_lines as lines_of
from muva_console.ops.migrations.model import State
from muva_console.ops.readings import Finding, Level, verdict

if TYPE_CHECKING:
    from muva_console.ops.migrations.detail import Detail
    from muva_console.ops.migrations.matrix import Cell, Column, Matrix, Row

FEW = 40
"""Rows that are all shown; of more, those that are applied everywhere are counted but for the last ones."""
LAST = 5
NARROWEST = 12
"""Characters that a migration's name keeps."""
_WORD = {
    State.APPLIED: "applied",
    State.PENDING: "pending",
    State.OUT_OF_ORDER: "out of order",
    State.MISSING: "no file",
    State.DUPLICATE: "twice",
    State.DRIFTED: "drifted",
    State.RENAMED: "renamed",
    State.HALF_WAY: "half-way",
    State.INVALID_INDEX: "bad index",
    State.ABSENT: "-",
    State.UNKNOWN: "unknown",
}


def matrix_lines(matrix: Matrix, *, problems: bool, everything: bool) -> Iterator[str]:
    """The table; of many migrations those that are applied everywhere only as a number."""
    rows, left_out = _chosen(matrix, problems=problems, everything=everything)
    if not rows:
        if left_out and not problems:
            yield f"{left_out:,} applied everywhere"
        return
    width = shutil.get_terminal_size((80, 24)).columns
    cells = [[_cell(cell) for cell in row.cells] for row in rows]
    heads = [_head(column) for column in matrix.columns]
    widths = [max(len(head), *(len(row[place][0]) for row in cells)) for place, head in enumerate(heads)]
    short = max(len(row.version) for row in rows)
    left = width - short - 1 - sum(one + 2 for one in widths)
    if left < NARROWEST:  # glyphs say it too
        cells = [[(told[:1], level) for told, level in row] for row in cells]
        fits = max(3, (width - short - 1 - NARROWEST) // max(1, len(heads)) - 2)
        heads = [head[:fits] for head in heads]
        widths = [max(len(head), 1) for head in heads]
        left = max(NARROWEST, width - short - 1 - sum(one + 2 for one in widths))
    longest = min(max(4, *(len(row.name) for row in rows)), left)
    head = f"{'VERSION':<{short}} {'NAME':<{longest}}"
    yield "  ".join([head, *(one.ljust(size) for one, size in zip(heads, widths, strict=True))]).rstrip()
    if left_out:
        yield click.style(f"{'…':<{short}} {left_out:,} applied everywhere (--all shows them)", dim=True)
    for row, told in zip(rows, cells, strict=True):
        name = row.name if len(row.name) <= longest else row.name[: longest - 1] + "…"
        line = f"{row.version:<{short}} {name:<{longest}}"
        for place, ((text, level), size) in enumerate(zip(told, widths, strict=True), 1):
            padded = text if place == len(widths) else text.ljust(size)
            line += "  " + (click.style(padded, fg=COLOUR[level]) if COLOUR[level] else padded)
        yield line.rstrip()


def _chosen(matrix: Matrix, *, problems: bool, everything: bool) -> tuple[list[Row], int]:
    if problems:
        wanted = [row for row in matrix.rows if any(cell is not None and cell.problem for cell in row.cells)]
        return wanted, 0
    if everything or len(matrix.rows) <= FEW:
        return list(matrix.rows), 0
    last = len(matrix.rows) - LAST
    rows = [
        row
        for place, row in enumerate(matrix.rows)
        if place >= last or any(cell is not None and cell.state is not State.APPLIED for cell in row.cells)
    ]
    return rows, len(matrix.rows) - len(rows)


def _head(column: Column) -> str:
    return column.environment.upper()


def _cell(cell: Cell | None) -> tuple[str, Level]:
    if cell is None:
        return "", Level.OK
    if cell.state is State.ABSENT:
        return "-", Level.OK
    if cell.state is State.PENDING:
        waits = "◌" if glyph(Level.OK) == "●" else "-"
        return f"{waits} {'pending' if cell.here else 'to come'}", Level.OK
    return f"{glyph(cell.level)} {_WORD[cell.state]}", cell.level


def finding_lines(matrix: Matrix, findings: Sequence[Finding]) -> list[str]:
    """What is to be said of each environment, and of those without a database."""
    # a title a line: nothing else tells the environments apart
    told = [
        structs.replace(one, title=one.subject if one.title == "Migrations" else one.title)
        for one in findings
    ]
    lines = lines_of(told, verbose=False)
    known = {one.subject for one in findings}
    for column in matrix.columns:
        if column.environment not in known:
            lines.append(f"- {'':<7} {column.environment}: {column.why}; only its branch was looked at")
    return lines


def matrix_data(matrix: Matrix, findings: Sequence[Finding], *, problems: bool) -> dict[str, Any]:
    """The answer as `--json` gives it: findings, and the matrix with its cells by environment."""
    from muva_console.cli.observe import finding_data

    names = [column.environment for column in matrix.columns]
    rows, _ = _chosen(matrix, problems=problems, everything=True)
    return {
        "environment": names[0] if len(names) == 1 else None,
        "verdict": verdict(findings),
        "findings": [finding_data(one) for one in findings],
        "at": matrix.at,
        "took_ms": round(matrix.took_ms, 2),
        "folder": matrix.folder,
        "fetch_error": matrix.fetch_error,
        "environments": [
            {
                **to_builtins(column),
                "counts": {slug(state): number for state, number in column.counts.items()},
                "pending": column.pending,
                "problems": column.problems,
            }
            for column in matrix.columns
        ],
        "migrations": [
            {
                "version": row.version,
                "name": row.name,
                "states": {
                    name: {**to_builtins(cell), "state": slug(cell.state), "level": cell.level}
                    for name, cell in zip(names, row.cells, strict=True)
                    if cell is not None
                },
            }
            for row in rows
        ],
    }


def detail_lines(details: Sequence[Detail]) -> Iterator[str]:
    """The diff of one migration in each environment."""
    for one in details:
        title = f"{one.version}_{one.name}" if one.name else one.version
        yield click.style(f"{one.environment}: {title}: {one.cell.state}", bold=True)
        yield from (f"  {line}" for line in (one.cell.why, one.why) if line)
        drift = one.drift
        if drift is None:
            nothing = "is not recorded" if one.recorded is None else "is recorded, and there is no file"
            yield f"  what ran {nothing}"
        elif drift.same:
            yield f"  what ran is what {one.path} on {one.branch} says"
        else:
            yield from (_coloured(line) for line in drift.lines)
            if drift.cut:
                yield f"… {drift.cut:,} more lines"
            if drift.why:
                yield f"  {drift.why}"


def _coloured(line: str) -> str:
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line


def detail_data(one: Detail) -> dict[str, Any]:
    """A detail as `--json` gives it."""
    data: dict[str, Any] = to_builtins(one)
    return {**data, "cell": {**data["cell"], "state": slug(one.cell.state), "level": one.cell.level}}


def slug(state: State) -> str:
    """The word that scripts know a state by: ``out-of-order``, ``half-way``."""
    return state.name.lower().replace("_", "-")
