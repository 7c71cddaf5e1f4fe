"""Files judged one after the other: each deed by the rules, weighed by sizes, with what comments allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from muva_console.ops.migrations import rules_access, rules_index, rules_rows, rules_table
from muva_console.ops.migrations.deeds import Deed, Do, Read, Remark
from muva_console.ops.migrations.findings import Allowed, FileReport, Hazard, StatementReport, level_of
from muva_console.ops.migrations.known import BEFORE, Known
from muva_console.ops.migrations.locks import Mode, Taken, locks_of
from muva_console.ops.migrations.rules import RULES, Found, Rule, Scene, sql
from muva_console.ops.migrations.rules_flow import Flow
from muva_console.ops.migrations.squawk import OURS, TAKEN_OVER, Said
from muva_console.ops.migrations.suppress import statement_of
from muva_console.ops.migrations.weigh import Scales, Weight, weigh
from muva_console.ops.readings import Level
from muva_console.ops.text import sanitise_line

_RULES: dict[Do, Rule] = {
    **rules_table.RULES_OF,
    **rules_index.RULES_OF,
    **rules_rows.RULES_OF,
    **rules_access.RULES_OF,
}
_AT_THE_END = frozenset([Do.CREATE_TABLE, Do.RLS_ON])
"""And foreign keys."""
_FILES = frozenset(["allow-wrong", "allow-unused"])
"""Rules that nothing allows."""
_CAP = 400
"""Characters of what is told of a hazard. Ours."""
_LOSES = frozenset([Weight.LOSS, Weight.BREAKS])


@dataclass(slots=True)
class _Sheet:
    """A file while it is judged."""

    path: str
    read: Read
    down: bool
    hazards: list[Hazard] = field(default_factory=list)
    statements: list[StatementReport] = field(default_factory=list)
    late: list[tuple[int, Deed]] = field(default_factory=list)
    """What only the end tells whether it is well."""


class Judge:
    """Knows what files before did, and weighs what the next does."""

    def __init__(self, scales: Scales, known: Known) -> None:
        self._scales = scales
        self._known = known
        self._sheets: list[_Sheet] = []
        self._file = 0

    def learn(self, read: Read) -> None:
        """A file that is applied already: nothing of it is judged."""
        for number, stated in enumerate(read.statements):
            self._known.take_all(stated.deeds, BEFORE, number, stated)

    def judge(self, path: str, read: Read, *, down: bool = False) -> None:
        """The next file. `down`: it is a way back, which takes away what its file made: that is what it is
        for, and nothing is learnt from it.
        """
        sheet = _Sheet(path, read, down)
        self._sheets.append(sheet)
        flow = Flow(alone=any(one.alone for one in read.statements))
        known, file, late, reports = self._known, self._file, sheet.late, sheet.statements
        for number, stated in enumerate(read.statements):
            deeds = stated.deeds
            scene = Scene(file, read, number, known, down)
            locks = locks_of(deeds, known, file)
            if flow.concerns(stated, locks):
                self._add(sheet, number, flow.step(scene, locks))
            for deed in deeds:
                do = deed.do
                rule = _RULES.get(do)
                if rule is not None and not _is_plain(deed):
                    self._add(sheet, number, rule(deed, scene))
                if do in _AT_THE_END or (do is Do.CONSTRAINT and deed.type == "FOREIGN KEY"):
                    late.append((number, deed))
            if locks and self._scales.any_huge:
                self._add(sheet, number, self._brief(locks))
            reports.append(
                StatementReport(
                    line=stated.line, column=stated.column, kind=stated.kind, locks=locks, alone=stated.alone
                )
            )
            if not down:
                known.take_all(deeds, file, number, stated)
        for line, found in flow.end():
            begin = next((n for n, one in enumerate(read.statements) if one.line == line), 0)
            self._add(sheet, begin, iter((found,)))
        if read.crlf:
            sheet.hazards.append(
                Hazard(
                    rule="line-ends",
                    level=Level.WARN,
                    line=read.crlf,
                    column=1,
                    statement=0,
                    kind="",
                    what=RULES["line-ends"],
                    safe="Save the file with LF; `* text eol=lf` in .gitattributes keeps it so.",
                )
            )
        self._file += 1

    def reports(self, said: Mapping[str, tuple[Said, ...] | None]) -> tuple[FileReport, ...]:
        """The reports of all files judged, in their order. `said`: what squawk says of each, by path; None
        where it was not asked.
        """
        return tuple(
            self._report(number, sheet, said.get(sheet.path)) for number, sheet in enumerate(self._sheets)
        )

    def _add(self, sheet: _Sheet, number: int, found: Iterator[Found]) -> None:
        for one in found:
            self._weigh(sheet, number, one)

    def _weigh(self, sheet: _Sheet, number: int, found: Found) -> None:
        known = self._known
        tables = [self._scales.size(one, is_new=known.born.get(one, BEFORE) >= 0) for one in found.tables]
        level = weigh(found.weight, tables)
        if level is None:
            return
        if sheet.down and found.weight in _LOSES:
            level = Level.WARN
        stated = sheet.read.statements[number]
        line, column = sheet.read.place(found.at) if found.at else (stated.line, stated.column)
        sheet.hazards.append(
            Hazard(
                rule=found.rule,
                level=level,
                line=line,
                column=column,
                statement=number + 1,
                kind=stated.kind,
                what=_harmless(found.what),
                blocks=found.blocks,
                sizes=tuple(one.told for one in tables if one.table),
                safe=found.safe,
            )
        )

    def _brief(self, locks: Sequence[Taken]) -> Iterator[Found]:
        """A lock of a moment, where the table is known to be huge."""
        for one in locks:
            if one.mode is Mode.ACCESS_EXCLUSIVE and not one.takes_time:
                yield Found(
                    "brief-lock",
                    f"the lock on {sql(one.on)} lasts a moment, but waits for the longest query on it, and "
                    "all "
                    "others wait behind it",
                    Weight.HUGE,
                    (one.on,),
                    "SET LOCAL lock_timeout = '2s';  -- and again until it gets it: `muva migrations "
                    "apply` does",
                    0,
                    one.blocks,
                )

    # --- the end: what all files together tell, squawk's word, what comments allow

    def _report(self, number: int, sheet: _Sheet, said: tuple[Said, ...] | None) -> FileReport:
        self._late(number, sheet)
        _merge(sheet, said or ())
        hazards, allowed = _allow(sheet)
        hazards.sort(key=lambda one: (one.line, one.column, one.rule))
        problems = sheet.read.problems
        notes = () if said is not None or problems else ("squawk was not asked",)
        done = tuple(hazards)
        return FileReport(
            path=sheet.path,
            level=level_of(problems, done, large=sheet.read.large),
            problems=problems,
            hazards=done,
            allowed=tuple(allowed),
            statements=tuple(sheet.statements),
            notes=notes,
        )

    def _late(self, file: int, sheet: _Sheet) -> None:
        if sheet.down:
            return
        for number, deed in sheet.late:
            if self._stands(deed, file):
                self._add(sheet, number, rules_access.at_the_end(deed, self._known))

    def _stands(self, deed: Deed, file: int) -> bool:
        """Whether what it did is there at the end, made by this file."""
        return deed.do is not Do.CREATE_TABLE or self._known.born.get(deed.on) == file


def _merge(sheet: _Sheet, word: tuple[Said, ...]) -> None:
    """Squawk's word: beside ours where both say it, by itself where we have no rule or no tree."""
    for said in word:
        number = _statement_at(sheet.read, said.line, said.column)
        rules = OURS.get(said.rule, ())
        at = next(
            (
                place
                for place, one in enumerate(sheet.hazards)
                if one.statement == number + 1 and one.rule in rules
            ),
            None,
        )
        if at is not None:
            sheet.hazards[at] = _also(sheet.hazards[at], f"squawk {said.rule}")
            continue
        stated = sheet.read.statements[number] if number >= 0 else None
        if rules and stated is not None and stated.known:
            continue
        rule = TAKEN_OVER.get(said.rule) or (rules[0] if rules else "")
        if not rule:
            continue
        sheet.hazards.append(
            Hazard(
                rule=rule,
                level=Level.FAIL if rule == "duplicate-assignment" else Level.WARN,
                line=said.line,
                column=said.column,
                statement=number + 1,
                kind=stated.kind if stated else "",
                what=sanitise_line(said.message, cap=400),
                safe=sanitise_line(said.help, cap=400),
                by=(f"squawk {said.rule}",),
            )
        )


def _harmless(text: str) -> str:
    """Nearly all are harmless as they are, and there may be thousands."""
    plain = len(text) <= _CAP and text.isascii() and text.isprintable()
    return text if plain else sanitise_line(text, cap=_CAP)


def _is_plain(deed: Deed) -> bool:
    """What most deeds are: columns and constraints of a new table, which nobody waits for."""
    do = deed.do
    if do is Do.COLUMN:
        return not deed.type.startswith("json")
    return do is Do.CONSTRAINT and "new table" in deed.marks


def _also(hazard: Hazard, who: str) -> Hazard:
    from msgspec import structs

    return hazard if who in hazard.by else structs.replace(hazard, by=(*hazard.by, who))


def _statement_at(read: Read, line: int, column: int) -> int:
    """The number of the statement that a place is in; -1 where it is in none."""
    found = -1
    for number, one in enumerate(read.statements):
        if (one.line, one.column) > (line, column):
            break
        found = number
    return found


def _allow(sheet: _Sheet) -> tuple[list[Hazard], list[Allowed]]:
    """The hazards that stand, and those that a comment allows; with what is wrong about the comments."""
    stand, allowed = list(sheet.hazards), []
    extra = []
    for remark in sheet.read.remarks:
        if remark.wrong:
            extra.append(_of_remark(remark, "allow-wrong", remark.wrong))
            continue
        number = statement_of(remark, sheet.read.statements)
        rules = _rules_of(remark)
        missing = [rule for rule in remark.rules if not remark.squawk and rule not in RULES]
        if missing:
            extra.append(_of_remark(remark, "allow-wrong", f"there is no rule {', '.join(missing)}"))
        hits = [
            one
            for one in stand
            if (remark.file or (number is not None and one.statement == number + 1))
            and (one.rule in rules or not remark.rules)
            and one.rule not in _FILES
        ]
        if not hits and not missing and not remark.squawk:
            extra.append(
                _of_remark(remark, "allow-unused", f"nothing here is {', '.join(remark.rules)}: leave it out")
            )
        for hit in hits:
            stand.remove(hit)
            allowed.append(Allowed(hazard=hit, reason=remark.reason, line=remark.line, squawk=remark.squawk))
    return [*stand, *extra], allowed


def _rules_of(remark: Remark) -> frozenset[str]:
    if not remark.squawk:
        return frozenset(remark.rules)
    return frozenset(
        rule for said in remark.rules for rule in (*OURS.get(said, ()), TAKEN_OVER.get(said, said))
    )


def _of_remark(remark: Remark, rule: str, what: str) -> Hazard:
    return Hazard(
        rule=rule,
        level=Level.WARN,
        line=remark.line,
        column=remark.column,
        statement=0,
        kind="",
        what=what,
        safe="-- muva: allow RULE: REASON" if rule == "allow-wrong" else "",
    )
