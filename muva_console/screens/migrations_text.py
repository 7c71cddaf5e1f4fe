"""Migrations in words and glyphs: a cell, a column's standing, what a filter keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from textual.content import Content

from muva_console.ops.migrations.matrix import LEVELS, Cell, Column, Matrix, Row
from muva_console.ops.migrations.model import State
from muva_console.ops.readings import Level, worst
from muva_console.widgets.fit import Part, fit
from muva_console.widgets.format import commit, plural, short
from muva_console.widgets.level import GLYPH, STYLE, faint, muted, strong

WORDS: dict[State, str] = {
    State.APPLIED: "applied",
    State.PENDING: "pending",
    State.OUT_OF_ORDER: "out of order",
    State.MISSING: "missing",
    State.DUPLICATE: "duplicate",
    State.DRIFTED: "drifted",
    State.RENAMED: "renamed",
    State.HALF_WAY: "half-way",
    State.INVALID_INDEX: "invalid index",
    State.ABSENT: "–",
    State.UNKNOWN: "unknown",
}
"""A state in a word that fits a column."""
MEANS: dict[State, str] = {
    State.APPLIED: "applied, and the file says what ran",
    State.PENDING: "pending: in the files, not in the history",
    State.OUT_OF_ORDER: "out of order: pending, and a later one is applied already",
    State.MISSING: "applied, but missing in the files",
    State.DUPLICATE: "another file has the same version",
    State.DRIFTED: "drifted: what ran is not what the file says",
    State.RENAMED: "applied under another name",
    State.HALF_WAY: "failed half-way: not recorded, and some of it is there",
    State.INVALID_INDEX: "applied, and left an invalid index behind",
    State.ABSENT: "not on this environment's branch, and not on the one that flows into it",
    State.UNKNOWN: "unknown",
}
CELL = 15
"""Cells of a state in the table."""


def state_mark(state: State) -> Content:
    """``● applied``, ``◌ pending``, ``✖ drifted``."""
    if state is State.ABSENT:
        return faint("–")
    if state is State.PENDING:
        return Content("◌ pending")
    level = LEVELS[state]
    if level is Level.OK:
        return Content.assemble((GLYPH[level], STYLE[level]), muted(f" {WORDS[state]}"))
    return Content.styled(f"{GLYPH[level]} {WORDS[state]}", STYLE[level])


def cell_mark(cell: Cell | None, now: datetime, *, roomy: bool) -> Content:
    """A cell of the table: the state, and by whom and when where that is known and there is room."""
    if cell is None:
        return faint("–")
    mark = state_mark(cell.state)
    if not roomy:
        return mark
    if cell.by:
        since = f" {short((now - cell.at).total_seconds())} ago" if cell.at is not None else ""
        return Content.assemble(mark, muted(f"  {cell.by}{since}"))
    if cell.why and cell.state not in (State.UNKNOWN, State.ABSENT):
        return Content.assemble(mark, muted(f"  {cell.why}"))
    return mark


class Cells(Sequence[Content]):
    """A row's cells, made when they are drawn: of ten thousand rows some forty are in sight."""

    __slots__ = ("_now", "places", "roomy", "row")

    def __init__(
        self, row: Row, places: tuple[int, ...], now: Callable[[], datetime], *, roomy: bool
    ) -> None:
        self.row, self.places, self.roomy, self._now = row, places, roomy, now

    def _made(self) -> Iterator[Content]:
        yield muted(self.row.version)
        yield Content(self.row.name) if self.row.name else muted("no name")
        for place in self.places:
            yield cell_mark(self.row.cells[place], self._now(), roomy=self.roomy)

    def __iter__(self) -> Iterator[Content]:
        return self._made()

    def __len__(self) -> int:
        return 2 + len(self.places)

    def __getitem__(self, index: object) -> Content:  # type: ignore[override]
        return list(self._made())[index]  # type: ignore[call-overload, no-any-return]

    def alike(self, other: object) -> bool:
        """Whether both draw the same, but for ages."""
        return isinstance(other, Cells) and (self.row, self.places, self.roomy) == (
            other.row,
            other.places,
            other.roomy,
        )


def column_level(column: Column) -> Level:
    """How an environment's migrations stand."""
    if not column.reachable:
        return Level.UNKNOWN
    levels = [Level.OK, *(LEVELS[state] for state in column.counts)]
    if column.stray:
        levels.append(Level.FAIL)
    if column.untold:
        levels.append(Level.UNKNOWN)
    return worst(levels)


def told(column: Column) -> list[str]:
    """What is not as it should be, a few words each; then what waits."""
    counts = column.counts
    found = [
        f"{counts[state]:,} {WORDS[state]}"
        for state in State
        if counts.get(state) and LEVELS[state] is not Level.OK
    ]
    if column.stray and not counts.get(State.INVALID_INDEX):
        found.append(plural(len(column.stray), "invalid index", "invalid indexes"))
    if counts.get(State.PENDING):
        found.append(f"{counts[State.PENDING]:,} pending")
    return found


def standing_mark(column: Column, *, brief: bool = False) -> Content:
    """``● in step``, ``◌ 2 pending``, ``✖ 1 drifted · 2 pending``, ``? unknown``; where it is to be brief
    problems are counted together: ``✖ 3 problems · 2 pending``.
    """
    if not column.database:
        return muted("– no database")
    if not column.reachable:
        return Content.styled(f"? {column.why or 'unknown'}", STYLE[Level.UNKNOWN])
    level, words = column_level(column), told(column)
    if brief and column.problems > 1:
        waiting = [f"{column.counts[State.PENDING]:,} pending"] if column.counts.get(State.PENDING) else []
        words = [plural(column.problems, "problem"), *waiting]
    if level is Level.OK and not words:
        if not column.applied:
            return muted("◌ nothing applied")
        return Content.assemble((f"{GLYPH[Level.OK]} ", STYLE[Level.OK]), "in step")
    if level is Level.OK:
        return Content(f"◌ {' · '.join(words)}")
    text = f"{GLYPH[level]} {' · '.join(words) or 'not all could be looked for'}"
    return Content.styled(text, STYLE[level])


def heads(matrix: Matrix, names: Sequence[str], in_hand: str, width: int) -> list[Content]:
    """A line an environment: how it stands, how far it is, what its branch is at."""
    found = []
    room = max((len(name) for name in names), default=0)
    for name in names:
        column = matrix.columns[matrix.place(name)]
        here = name == in_hand
        label = name.ljust(room)
        first = Content.assemble("▸ " if here else "  ", strong(label) if here else muted(label))
        left = [Part(first, 100), Part(standing_mark(column), 90, standing_mark(column, brief=True))]
        if column.reachable:
            left.append(Part(muted(f"{column.applied:,} applied, the last {column.highest or 'none'}"), 40))
        right = [Part(muted(f"{column.branch} {commit(column.sha)}"), 30)] if column.sha else []
        found.append(fit(left, right, width, gap="   "))
    return found


def notes(matrix: Matrix, environment: str) -> list[Content]:
    """What else should be known, of the files and of the environment in hand; the most pressing first."""
    column = matrix.columns[matrix.place(environment)] if environment in _names(matrix) else None
    found = [Content.styled(f"✖ {line}", "$t-fail") for line in matrix.mistakes]
    if column is not None:
        found += [Content.styled(f"✖ {index}", "$t-fail") for index in column.stray]
        found += [Content.styled(f"? {line}", "$t-unknown") for line in column.untold]
    if matrix.fetch_error:
        text = f"▲ the files are those of the last fetch: {matrix.fetch_error}"
        found.append(Content.styled(text, "$t-warn"))
    found += [Content.styled(f"▲ {line}", "$t-warn") for line in matrix.warnings]
    if column is not None:
        found += [muted(f"· {line}") for line in column.notes]
    return found


def _names(matrix: Matrix) -> list[str]:
    return [column.environment for column in matrix.columns]


class Wanted:
    """What a filter keeps: every word must fit, ``!`` turns one round; ``state:pending`` in any environment,
    ``production:pending`` in that one, ``state:problem`` whatever somebody should look at.
    """

    def __init__(self, text: str, environments: Sequence[str]) -> None:
        self.text = text.strip()
        self._places = {name: place for place, name in enumerate(environments)}
        self._tests = [self._test(word) for word in self.text.split()]

    def __bool__(self) -> bool:
        return bool(self._tests)

    def keeps(self, row: Row) -> bool:
        """Whether a row is shown."""
        return all(test(row) for test in self._tests)

    def _test(self, word: str) -> Callable[[Row], bool]:
        inverse, word = word.startswith("!"), word.removeprefix("!").lower()
        where, colon, state = word.partition(":")
        if colon and (where == "state" or where in self._places):
            places = range(len(self._places)) if where == "state" else (self._places[where],)
            test = _in_state(state.replace("-", " ").replace("_", " "), places)
        else:
            test = _with_text(word)
        return (lambda row: not test(row)) if inverse and word else test


def _in_state(state: str, places: Sequence[int]) -> Callable[[Row], bool]:
    fitting = {one for one, word in WORDS.items() if word.replace("-", " ").startswith(state)}
    problem = bool(state) and "problem".startswith(state)

    def test(row: Row) -> bool:
        cells = (row.cells[place] for place in places)
        return any(
            cell is not None and (cell.state in fitting or (problem and cell.problem)) for cell in cells
        )

    return test


def _with_text(word: str) -> Callable[[Row], bool]:
    def test(row: Row) -> bool:
        if word in row.version or word in row.name.lower():
            return True
        return any(cell is not None and word in cell.by.lower() for cell in row.cells)

    return test
