"""How a validation is shown: for a tired person, and as JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from msgspec import to_builtins

from muva_console.cli.lines import COLOUR, glyph
from muva_console.cli.observe import finding_data
from muva_console.ops.migrations.files import mistaken
from muva_console.ops.migrations.findings import FileReport, Hazard
from muva_console.ops.migrations.rules import RULES
from muva_console.ops.readings import Finding, Level, utc_now, verdict, worst
from muva_console.ops.text import sanitise_line


@dataclass(frozen=True, slots=True)
class Answer:
    """What was validated, and what that told."""

    environment: str
    """Empty where none was asked."""
    reports: tuple[FileReport, ...]
    large: tuple[str, ...] = ()
    """Files that are too large to be read."""
    untold: tuple[str, ...] = ()
    """What could not be looked at, for standard error."""
    about: str = ""
    """``staging at 1a2b3c4``."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd about where the files lie."""
        return mistaken(report.path for report in self.reports)

    began: float = field(default_factory=time.perf_counter)


CHECK = "migrations-validate"


def findings_of(answer: Answer) -> list[Finding]:
    """A finding for each problem and hazard, and one for each file without any."""
    found = []
    at = utc_now()
    for report in answer.reports:
        path = sanitise_line(report.path, cap=300)
        for problem in report.problems:
            level = Level.UNKNOWN if report.level is Level.UNKNOWN else Level.FAIL
            found.append(
                Finding(
                    check=CHECK,
                    title="syntax",
                    level=level,
                    subject=_place(path, problem.line, problem.column),
                    summary=problem.what,
                    at=at,
                )
            )
        found += [
            Finding(
                check=CHECK,
                title=one.rule,
                level=one.level,
                subject=_place(path, one.line, one.column),
                summary=one.what,
                evidence=tuple(_facts(one)),
                next=one.safe,
                at=at,
            )
            for one in report.hazards
        ]
        if not report.problems and not report.hazards:
            count = len(report.statements)
            found.append(
                Finding(
                    check=CHECK,
                    level=Level.OK,
                    subject=path,
                    summary=f"{count} statement{'' if count == 1 else 's'}, no hazard",
                    at=at,
                )
            )
    found += [
        Finding(
            check=CHECK,
            level=Level.UNKNOWN,
            subject=sanitise_line(path, cap=300),
            summary="too large to be read",
            at=at,
        )
        for path in answer.large
    ]
    found += [
        Finding(check=CHECK, title="down-file", level=Level.WARN, subject="", summary=line, at=at)
        for line in answer.remarks
    ]
    return found


def data(answer: Answer, findings: Sequence[Finding]) -> dict[str, Any]:
    """The answer as `--json` gives it: findings as everywhere, and every file with its statements' locks."""
    return {
        "environment": answer.environment or None,
        "verdict": verdict(findings) if findings else "GO",
        "level": worst((Level.OK, *(one.level for one in findings))),
        "about": answer.about,
        "findings": [finding_data(one) for one in findings],
        "files": [_file_data(one) for one in answer.reports],
        "untold": list(answer.untold),
    }


def _file_data(report: FileReport) -> dict[str, Any]:
    plain: dict[str, Any] = to_builtins(report)
    for told, statement in zip(plain["statements"], report.statements, strict=True):
        for lock, taken in zip(told["locks"], statement.locks, strict=True):
            lock["blocks"] = taken.blocks
    for told in plain["hazards"]:
        told["title"] = RULES.get(told["rule"], "")
    return plain


def lines(answer: Answer, *, locks: bool, verbose: bool) -> Iterator[str]:
    """A block a hazard, by file and line: what happens, whom it keeps waiting, how large the table is, the
    safe way; a line at the end that says how many there are.
    """
    for report in answer.reports:
        path = sanitise_line(report.path, cap=300)
        for problem in report.problems:
            level = Level.UNKNOWN if report.level is Level.UNKNOWN else Level.FAIL
            yield _head(level, _place(path, problem.line, problem.column), "", problem.what)
        for hazard in report.hazards:
            if hazard.level is not Level.OK or verbose:
                yield from _hazard(path, hazard)
        for one in report.allowed:
            why = f": {one.reason}" if one.reason else " (squawk-ignore, without a reason)"
            yield click.style(
                f"  {_place(path, one.hazard.line, one.hazard.column)}  {one.hazard.rule} is allowed{why}",
                dim=True,
            )
        if locks:
            yield from _locks(path, report)
        for note in report.notes if verbose else ():
            yield click.style(f"  {path}  {note}", dim=True)
    for path in answer.large:
        yield _head(Level.UNKNOWN, sanitise_line(path, cap=300), "", "too large to be read")
    for line in answer.remarks:
        yield click.style(f"{glyph(Level.WARN)} {Level.WARN.value:<7} {line}", fg=COLOUR[Level.WARN])
    notes = Counter(note for report in answer.reports for note in report.notes)
    for note, count in notes.items():
        yield click.style(f"{note} ({count:,} file{'' if count == 1 else 's'})", fg=COLOUR[Level.WARN])
    if answer.reports or answer.large:
        yield _summary(answer)


def _hazard(path: str, hazard: Hazard) -> Iterator[str]:
    yield _head(hazard.level, _place(path, hazard.line, hazard.column), hazard.rule, hazard.what)
    yield from (f"    {fact}" for fact in _facts(hazard))
    for number, line in enumerate(hazard.safe.split("\n") if hazard.safe else ()):
        yield f"    {'safe: ' if not number else '      '}{line}"


def _facts(hazard: Hazard) -> Iterator[str]:
    if hazard.blocks:
        yield f"blocks {hazard.blocks}"
    if hazard.sizes:
        yield f"on {', '.join(hazard.sizes)}"
    others = [who for who in hazard.by if who != "muva"]
    if others:
        yield f"{'squawk too' if 'muva' in hazard.by else 'squawk'}: " + ", ".join(
            who.removeprefix("squawk ") for who in others
        )


def _head(level: Level, place: str, rule: str, what: str) -> str:
    named = f"{rule}  " if rule else ""
    return click.style(f"{glyph(level)} {level.value:<7} {place}  {named}{what}", fg=COLOUR[level])


def _locks(path: str, report: FileReport) -> Iterator[str]:
    for one in report.statements:
        told = "; ".join(lock.told for lock in one.locks) or "no lock on what was there before"
        alone = ", alone" if one.alone else ""
        yield f"  {_place(path, one.line, one.column)}  {one.kind}{alone}: {told}"


def _summary(answer: Answer) -> str:
    levels = Counter(one.level for report in answer.reports for one in report.hazards)
    levels.update(
        Level.UNKNOWN if report.level is Level.UNKNOWN else Level.FAIL
        for report in answer.reports
        for _ in report.problems
    )
    levels[Level.UNKNOWN] += len(answer.large)
    levels[Level.WARN] += len(answer.remarks)
    allowed = sum(len(report.allowed) for report in answer.reports)
    statements = sum(len(report.statements) for report in answer.reports)
    count = len(answer.reports) + len(answer.large)
    parts = [
        f"{levels[level]:,} {word}"
        for level, word in (
            (Level.FAIL, "to mend"),
            (Level.UNKNOWN, "not known"),
            (Level.WARN, "to look at"),
            (Level.OK, "no news at this size"),
        )
        if levels[level]
    ]
    if allowed:
        parts.append(f"{allowed:,} allowed")
    of = f"{answer.environment}: " if answer.environment else ""
    about = f" of {answer.about}" if answer.about else ""
    told = f"{of}{count:,} file{'' if count == 1 else 's'}{about}, {statements:,} statements: "
    level = worst((Level.OK, *(one.level for one in answer.reports)))
    if answer.large:
        level = worst((level, Level.UNKNOWN))
    return click.style(told + (", ".join(parts) or "no hazard"), fg=COLOUR[level], bold=True)


def _place(path: str, line: int, column: int) -> str:
    return f"{path}:{line}:{column}" if line and column else f"{path}:{line}" if line else path
