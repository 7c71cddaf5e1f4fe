"""The detail of one migration, section by section, as lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual.content import Content

from muva_console.ops.migrations.matrix import LEVELS, Cell, Column, Matrix, Row
from muva_console.ops.migrations.model import State
from muva_console.ops.readings import Level, worst
from muva_console.screens.migrations_read import Looked, Peril, Seen
from muva_console.screens.migrations_table import Section
from muva_console.screens.migrations_text import MEANS, state_mark
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import moment, plural
from muva_console.widgets.level import GLYPH, STYLE, faint, muted, strong, tinted
from muva_console.widgets.sql import highlighted

LINES = 4000
"""Lines of SQL that are shown. Ours."""
LONG = 1000
"""Characters of a line of it. Ours."""


def section_of(section: Section | None, seen: Seen | None, cell: Cell | None) -> Section:
    """The section that is shown: the one chosen; else what tells most of a migration in this state."""
    if section is not None:
        return section
    state = cell.state if cell is not None else None
    if state is State.DRIFTED or (seen is not None and seen.drifted):
        return Section.DIFF
    if state in (State.HALF_WAY, State.INVALID_INDEX, State.MISSING, State.DUPLICATE, State.RENAMED):
        return Section.HISTORY
    return Section.SQL


def counts_of(seen: Seen | None) -> dict[Section, Content]:
    """What stands beside the names of sections."""
    if seen is None:
        return {}
    found: dict[Section, Content] = {}
    looked = seen.looked or Looked()
    perils = [one for one in looked.perils if one.level is not Level.OK and not one.allowed]
    if perils:
        level = worst(one.level for one in perils)
        found[Section.HAZARDS] = Content.styled(f"{GLYPH[level]} {len(perils)}", STYLE[level])
    if seen.drifted:
        found[Section.DIFF] = Content.styled(f"✖ {len(seen.drifted)}", "$t-fail")
    return found


def detail_lines(
    section: Section, matrix: Matrix, row: Row, names: Sequence[str], seen: Seen | None, width: int
) -> Sequence[Content]:
    """The lines of a section."""
    if section is Section.HISTORY:
        return wrapped(_history(matrix, row, names, seen), width)
    if seen is None:
        return [muted("◐ reading …")]
    if seen.error is not None:
        first, *rest = seen.error.lines()
        return wrapped(
            [Content.styled(f"? {first}", "$t-unknown"), *(muted(f"  {line}") for line in rest)], width
        )
    make: Callable[[Seen], Iterable[Content]]
    match section:
        case Section.SQL:
            return list(_sql(seen, width))
        case Section.HAZARDS:
            make = _hazards
        case Section.LOCKS:
            make = _locks
        case _:
            return list(_diff(seen, width))
    return wrapped(make(seen), width)


def _sql(seen: Seen, width: int) -> Iterable[Content]:
    detail = seen.detail
    if detail is None:
        return
    text = detail.text
    if not text and detail.recorded is not None:
        yield muted("No branch that was looked at has the file; this is what ran.")
        text = "\n".join(f"{one.rstrip().rstrip(';')};" for one in detail.recorded)
    elif detail.path:
        yield muted(f"{detail.path} on {detail.branch}")
    if detail.why:
        yield Content.styled(f"? {detail.why}", STYLE[Level.UNKNOWN])
    if not text:
        yield muted("There is no text: no branch has the file, and what ran is not recorded.")
        return
    yield from numbered(text, width, seen.looked.perils if seen.looked is not None else ())
    if detail.down:
        yield Content("")
        yield muted(f"the way back: {detail.down_path}")
        yield from numbered(detail.down, width)
    elif detail.rollback:
        yield Content("")
        yield muted("the way back, as recorded")
        yield from numbered("\n".join(f"{one.rstrip().rstrip(';')};" for one in detail.rollback), width)


def numbered(text: str, width: int, perils: Sequence[Peril] = ()) -> Iterable[Content]:
    """SQL with the numbers of its lines; a hazard stands below its line."""
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    cut = max(0, len(lines) - LINES)
    kept = [f"{line[:LONG]} …" if len(line) > LONG else line for line in lines[:LINES]]
    room = len(str(len(kept)))
    at: dict[int, list[Peril]] = {}
    for peril in perils:
        at.setdefault(peril.line, []).append(peril)
    for peril in at.get(0, ()):
        yield from _peril_below(peril, room, width)
    for number, line in enumerate(highlighted("\n".join(kept)), start=1):
        worst_here = [one.level for one in at.get(number, ()) if not one.allowed]
        level = worst(worst_here) if worst_here else Level.OK
        mark = faint("│") if level is Level.OK else Content.styled(GLYPH[level], STYLE[level])
        gutter = Content.assemble(muted(f"{number:>{room}} "), mark, " ")
        first, *rest = line.wrap(max(8, width - room - 3)) if line.cell_length > width - room - 3 else [line]
        yield Content.assemble(gutter, first.rstrip())
        for piece in rest:
            yield Content.assemble(" " * (room + 1), faint("│"), " ", piece.rstrip())
        for peril in at.get(number, ()):
            yield from _peril_below(peril, room, width)
    if cut:
        yield muted(f"… {plural(cut, 'line')} more")


def _peril_below(peril: Peril, room: int, width: int) -> Iterable[Content]:
    style = "$t-muted" if peril.allowed else STYLE[peril.level]
    if peril.level is Level.OK:
        return
    pad = " " * (room + 1)
    for number, line in enumerate(Content(peril.what).wrap(max(8, width - room - 6))):
        lead = "╰▸ " if number == 0 else "   "
        yield Content.assemble(pad, faint(lead), line.rstrip().stylize(style))


def _looking(looked: Looked | None) -> Iterable[Content]:
    """What is to be known before hazards and locks."""
    if looked is None:
        yield muted("◐ looking for hazards …")
        return
    for line in looked.why:
        yield Content.styled(f"? {line}", STYLE[Level.UNKNOWN])
    if looked.applied:
        yield muted("It is applied here. This is what it would do to the tables of now.")


def _hazards(seen: Seen) -> Iterable[Content]:
    looked = seen.looked
    yield from _looking(looked)
    if looked is None:
        return
    news = [one for one in looked.perils if one.level is not Level.OK]
    for one in sorted(news, key=lambda one: (bool(one.allowed), one.line)):
        place = f"line {one.line}" if one.line else "the file"
        mark = (
            muted("◌ allowed")
            if one.allowed
            else Content.styled(f"{GLYPH[one.level]} {one.level}", STYLE[one.level])
        )
        yield Content.assemble(mark, "  ", muted(place), "  ", one.what)
        for line in one.more:
            yield Content.assemble("    ", muted(line))
        if one.allowed:
            yield Content.assemble("    ", muted(f"allowed in the file: {one.allowed}"))
        if one.safe:
            yield Content.assemble("    ", muted("safer   "), one.safe)
        if one.rule:
            yield Content.assemble("    ", faint(one.rule))
    if not news and not looked.why:
        yield Content.assemble(("● ", STYLE[Level.OK]), "No hazard was found.")
        quiet = len(looked.perils)
        if quiet:
            yield muted(f"{plural(quiet, 'thing')} would be one on larger tables.")


def _locks(seen: Seen) -> Iterable[Content]:
    looked = seen.looked
    yield from _looking(looked)
    if looked is None:
        return
    room = max((len(str(one.line)) for one in looked.held), default=1)
    for one in looked.held:
        alone = muted("   alone, in no transaction") if one.alone else Content("")
        yield Content.assemble(muted(f"{one.line:>{room}}  "), strong(one.about), alone)
        for lock in one.locks:
            yield Content.assemble(" " * (room + 2), tinted(lock, one.level))
        if not one.locks:
            yield Content.assemble(" " * (room + 2), muted("locks nothing that was there"))
    if not looked.held:
        yield muted("No statement.")


def _history(matrix: Matrix, row: Row, names: Sequence[str], seen: Seen | None) -> Iterable[Content]:
    for name in names:
        place = matrix.place(name)
        column, cell = matrix.columns[place], row.cells[place]
        label = muted(name.ljust(max(len(one) for one in names) + 2))
        if cell is None:
            yield Content.assemble(label, muted(column.why or "no database"))
            continue
        told = MEANS[cell.state] if cell.state is not State.APPLIED else "applied"
        mark = state_mark(cell.state) if cell.state is not State.ABSENT else muted(f"– {told}")
        yield Content.assemble(label, mark)
        pad = " " * label.cell_length
        if LEVELS[cell.state] is not Level.OK:
            yield Content.assemble(pad, muted(told))
        left = list(_left(column, cell))
        if cell.why and not left:
            yield Content.assemble(pad, cell.why)
        if cell.by or cell.at is not None:
            when = f" at {moment(cell.at)}" if cell.at is not None else ", when is not known"
            yield Content.assemble(pad, muted("by "), cell.by or "somebody", muted(when))
        elif cell.state is State.APPLIED:
            yield Content.assemble(pad, muted("by whom and when is not recorded"))
        yield from (Content.assemble(pad, line) for line in left)
    detail = seen.detail if seen is not None else None
    if detail is not None:
        back = detail.down_path or ("recorded in the history" if detail.rollback else "")
        yield Content("")
        yield Content.assemble(muted("the way back  "), back or "none: restore only")


def _left(column: Column, cell: Cell) -> Iterable[Content]:
    """What was left behind of a file."""
    for half in column.halves:
        if cell.path and half.file.path == cell.path:
            for word, lines, style in (
                ("there", half.found, "$t-fail"),
                ("seems done", half.done, ""),
                ("not done", half.undone, ""),
                ("cannot be told", half.untold, "$t-unknown"),
            ):
                for line in lines[:20]:
                    yield Content.assemble(
                        muted(f"{word:<15}"), Content.styled(line, style) if style else line
                    )
    if cell.state is State.INVALID_INDEX:
        for index in column.stray:
            yield Content.styled(str(index), "$t-fail")
            yield Content.assemble(muted("mend  "), index.mend)


def _diff(seen: Seen, width: int) -> Iterable[Content]:
    detail = seen.detail
    for one in seen.drifted:
        drift = one.drift
        if drift is None:
            continue
        head = f"{one.environment}: what ran against {one.path} on {one.branch}"
        yield from wrapped([strong(head)], width)
        counts = (
            f"{plural(drift.changed, 'statement')} ran that the file has not, {drift.added} the other way"
        )
        yield muted(counts)
        if drift.why:
            yield Content.styled(f"? {drift.why}", STYLE[Level.UNKNOWN])
        for line in drift.lines[2:] if drift.lines[:1] and drift.lines[0].startswith("---") else drift.lines:
            yield from _diff_line(line, width)
        if drift.cut:
            yield muted(f"… {plural(drift.cut, 'line')} more")
        yield Content("")
    if seen.drifted or detail is None:
        return
    if detail.recorded is None:
        yield muted(
            "What ran is not recorded: there is nothing to compare." if not detail.why else detail.why
        )
    elif detail.drift is not None:
        yield Content.assemble(("● ", STYLE[Level.OK]), "What ran is what the file says, comments aside.")
    else:
        yield muted("There is no file to compare with what ran.")


def _diff_line(line: str, width: int) -> Iterable[Content]:
    if line.startswith("@@"):
        yield faint(line)
        return
    sign, rest = line[:1], line[1:]
    mark = {"-": "− ran ", "+": "+ file "}.get(sign, "")
    lead = Content.styled(f"{mark:<7}", "$t-strong" if sign in "+-" and sign else "$t-faint")
    (body,) = highlighted(rest) or (Content(""),)
    for number, piece in enumerate(body.wrap(max(8, width - 7)) if body.cell_length > width - 7 else [body]):
        shown = piece.rstrip()
        yield Content.assemble(lead if number == 0 else " " * 7, shown if mark else shown.stylize("$t-muted"))
