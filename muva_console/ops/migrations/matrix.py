"""Files against histories, side by side: a row a migration, a column an environment.

What a column's files are: those of the environment's own branch, and those of the branch that flows into it,
which will come with the next release. What neither has is not this environment's concern yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from muva_console.ops.migrations.leftovers import Half, InvalidIndex
from muva_console.ops.migrations.model import State
from muva_console.ops.readings import Level

LEVELS: Mapping[State, Level] = {
    State.APPLIED: Level.OK,
    State.PENDING: Level.OK,
    State.ABSENT: Level.OK,
    State.RENAMED: Level.WARN,
    State.OUT_OF_ORDER: Level.FAIL,
    State.MISSING: Level.FAIL,
    State.DUPLICATE: Level.FAIL,
    State.DRIFTED: Level.FAIL,
    State.HALF_WAY: Level.FAIL,
    State.INVALID_INDEX: Level.FAIL,
    State.UNKNOWN: Level.UNKNOWN,
}
"""How good the news of a state is; what is pending is news and no problem."""


class Cell(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where one migration stands in one environment."""

    state: State
    here: bool = True
    """The environment's own branch has the file; where not, the branch that flows into it may."""
    why: str = ""
    """What tells of it, in a line."""
    by: str = ""
    """Who applied it, where that is known."""
    at: datetime | None = None
    """When, by the console's own journal."""
    path: str = ""
    """The file that was held against the history."""
    blob: str = ""
    """The id of its content."""

    @property
    def level(self) -> Level:
        """How good the news is."""
        return LEVELS[self.state]

    @property
    def problem(self) -> bool:
        """Whether somebody should look."""
        return LEVELS[self.state] is not Level.OK


class Row(Struct, frozen=True, kw_only=True, gc=False):
    """One migration."""

    version: str
    name: str
    cells: tuple[Cell | None, ...]
    """In the order of the columns; None where the environment has no database."""

    @property
    def title(self) -> str:
        """``20251105120000_add_bookings``."""
        return f"{self.version}_{self.name}" if self.name else self.version


class Column(Struct, frozen=True, kw_only=True):
    """One environment."""

    environment: str
    branch: str
    sha: str
    """The commit that the branch stands at."""
    coming: str = ""
    """The branch that flows into it; empty for the first."""
    production: bool = False
    database: str = ""
    """HOST:PORT/NAME; empty where none is configured."""
    command: str = ""
    """What a person would type to see the history."""
    why: str = ""
    """Why nothing can be told: no database, or what its link says."""
    reachable: bool = False
    history: bool = False
    """There is a history table."""
    applied: int = 0
    """Migrations in the history."""
    highest: str = ""
    """The highest version in it."""
    counts: Mapping[State, int] = {}
    indexes: tuple[InvalidIndex, ...] = ()
    """Invalid indexes, of whatever migration."""
    halves: tuple[Half, ...] = ()
    """Files of which something was done and nothing recorded."""
    notes: tuple[str, ...] = ()
    """What is no problem of a migration and should be known all the same."""
    untold: tuple[str, ...] = ()
    """What could not be looked for, and why."""

    @property
    def pending(self) -> int:
        """Files of its own branch or the coming one that wait, those out of order too."""
        return self.counts.get(State.PENDING, 0) + self.counts.get(State.OUT_OF_ORDER, 0)

    @property
    def problems(self) -> int:
        """Cells that somebody should look at."""
        return sum(number for state, number in self.counts.items() if LEVELS[state] is not Level.OK)

    @property
    def stray(self) -> tuple[InvalidIndex, ...]:
        """Invalid indexes that nobody is building."""
        return tuple(one for one in self.indexes if one.building is False)


class Matrix(Struct, frozen=True, kw_only=True):
    """Every migration in every environment, as it was read."""

    at: datetime
    folder: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    """Sorted by version as text, as they are applied."""
    files: int = 0
    """Migrations in the files of all branches."""
    mistakes: tuple[str, ...] = ()
    """Versions that two files of one branch have."""
    warnings: tuple[str, ...] = ()
    """What else is odd about the files themselves, whatever the environment."""
    heads: Mapping[str, str] = {}
    """The commits that the branches of these files stand at."""
    fetch_error: str = ""
    """Why the remote could not be asked: the files are those of the last fetch."""
    took_ms: float = 0.0

    def place(self, environment: str) -> int:
        """The column of an environment. Raises ValueError."""
        return [column.environment for column in self.columns].index(environment)

    def cell(self, version: str, environment: str, name: str | None = None) -> Cell | None:
        """Where a version stands in an environment, the one that tells most where two files have it; None
        where nothing is known of it.
        """
        place = self.place(environment)
        cells = [
            cell
            for row in self.rows
            if row.version == version
            and (name is None or row.name == name)
            and (cell := row.cells[place]) is not None
        ]
        return min(cells, key=lambda cell: cell.state is State.ABSENT, default=None)

    def problems(self, environment: str | None = None) -> Iterator[tuple[Row, Column, Cell]]:
        """What somebody should look at, from the top."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                if cell is not None and cell.problem and environment in (None, column.environment):
                    yield row, column, cell

    def next_problem(
        self, row: int = -1, *, environment: str | None = None, back: bool = False
    ) -> tuple[int, int] | None:
        """The row and column of the next problem after `row` (before it, with `back`), from the other end
        when there is none; None when there is none at all.
        """
        columns = [place for place, one in enumerate(self.columns) if environment in (None, one.environment)]
        end = len(self.rows)
        after, before = range(row + 1, end), range(min(row + 1, end))
        order = [*after, *before]
        if back:
            order = [*reversed(range(max(row, 0))), *reversed(range(max(row, 0), end))]
        for at in order:
            for place in columns:
                cell = self.rows[at].cells[place]
                if cell is not None and cell.problem:
                    return at, place
        return None
