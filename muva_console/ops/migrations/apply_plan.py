"""The plan of an apply in words: each file, each statement with what it locks, and what may go wrong."""

from __future__ import annotations

import shlex

from muva_console.config.units import format_duration
from muva_console.ops.health.words import count
from muva_console.ops.migrations.apply_ground import Choice, Ground, Prepared, Step
from muva_console.ops.migrations.apply_prepare import lossy
from muva_console.ops.migrations.pieces import Piece
from muva_console.ops.migrations.weigh import Scales
from muva_console.ops.operations import Plan, PlannedCommand, Tier
from muva_console.ops.readings import Level

STATEMENTS = 120
"""Statements that a plan lists one by one, the first ones. Ours."""


def plan_of(ground: Ground, choice: Choice, prepared: Prepared, operation: str) -> Plan:
    """What is shown and confirmed. Every file's digest stands in it: the plan of other files is another."""
    steps = prepared.steps
    where = ground.link.where
    what = count(len(steps), "migration")
    at = f"{prepared.branch} at {prepared.files.sha[:12]}"
    return Plan(
        operation=operation,
        title=f"Apply {what} of {at}: {_names(steps)}",
        environment=ground.environment,
        target=where,
        tier=Tier.TYPE_NAME if ground.production else Tier.CONFIRM,
        commands=commands_of(ground, prepared),
        risks=(*_risks(ground, choice, prepared), *prepared.warnings),
        undo=undo_of(ground, steps),
        production=ground.production,
    )


def commands_of(ground: Ground, prepared: Prepared) -> tuple[PlannedCommand, ...]:
    """A line for each file and, as far as there is room, for each of its statements."""
    settings = ground.settings
    limits = (
        f"lock_timeout {format_duration(settings.lock_timeout)}, "
        f"statement_timeout {format_duration(settings.statement_timeout)}"
    )
    found = []
    left = STATEMENTS
    for step in prepared.steps:
        script = step.script
        found.append(
            PlannedCommand(
                ground.link.where,
                ground.link.psql(f"\\i {shlex.quote(step.file.path)}"),
                f"{_how(step)}; {limits}; SHA-256 {step.digest[:16]}…{_of(step)}",
            )
        )
        for piece in script.pieces[:left]:
            told = [_locks(piece, step, prepared)]
            if piece.statement.alone:
                told.append("runs alone, in no transaction")
            told += [f"sets {name} itself" for name in piece.limits]
            found.append(
                PlannedCommand(
                    f"{step.file.version}:{piece.line}", piece.about, "; ".join(one for one in told if one)
                )
            )
        if len(script.pieces) > left:
            found.append(
                PlannedCommand(
                    step.file.version, f"-- … {count(len(script.pieces) - left, 'statement')} not listed"
                )
            )
        left = max(0, left - len(script.pieces))
    return tuple(found)


def _locks(piece: Piece, step: Step, prepared: Prepared) -> str:
    """``ACCESS EXCLUSIVE on public.guests (about 120 rows, 96 KiB): blocks reads, writes …; rewrites it``."""
    report = prepared.reports.get(step.file.path)
    found = [
        one
        for one in (report.statements if report is not None else ())
        if (one.line, one.column) == (piece.line, piece.column)
    ]
    if not found:
        return "its locks cannot be told"
    scales = Scales(prepared.sizes)
    told = []
    for lock in found[0].locks:
        words = f"{lock.mode} on {scales.size(lock.on).told}"
        if lock.blocks:
            words += f": blocks {lock.blocks}"
        if lock.takes_time:
            words += f", while it {'rewrites it' if lock.rewrites else 'reads all of it'}"
        told.append(words)
    return "; ".join(told)


def undo_of(ground: Ground, steps: tuple[Step, ...]) -> str:
    """How it is undone; empty when a file has no way back."""
    if all(step.rollback for step in steps):
        return f"muva migrations rollback --env {shlex.quote(ground.environment)} --steps {len(steps)}"
    return ""


def _of(step: Step) -> str:
    """The branch that a file comes from, where it is not said above."""
    return f"; of {step.branch} at {step.sha[:7]}" if step.branch else ""


def _names(steps: tuple[Step, ...], most: int = 3) -> str:
    shown = ", ".join(step.title for step in steps[:most])
    return shown + (f" and {len(steps) - most} more" if len(steps) > most else "")


def _how(step: Step) -> str:
    script = step.script
    what = count(len(script.pieces), "statement")
    if not script.pieces:
        return "no statement; recorded all the same"
    if not any(segment.alone for segment in script.segments):
        own = "; its own BEGIN and COMMIT are left out" if script.unwrapped else ""
        return f"{what} and the record in one transaction{own}"
    if len(script.pieces) == 1:
        return "alone, in no transaction; the record after it"
    parts = len(script.segments)
    return f"{what} in {parts} parts, each by itself; the record with the last"


def _hazards(prepared: Prepared) -> list[str]:
    """What validating warns of, and what loses data besides; the worst first."""
    found = []
    told = set()
    for report in prepared.reports.values():
        for one in report.hazards:
            if one.level not in (Level.OK, Level.UNKNOWN):
                told.add((report.path, one.line))
                safe = f" Safer: {one.safe}" if one.safe else ""
                line = f"{report.path} line {one.line} ({one.rule}): {one.what}{safe}"
                found.append((one.level is not Level.FAIL, line))
        found += [(True, f"{report.path}: {note}") for note in report.notes]
    found += [(False, text) for path, line, text in lossy(prepared.steps) if (path, line) not in told]
    return [line for _, line in sorted(found, key=lambda one: one[0])]


def _risks(ground: Ground, choice: Choice, prepared: Prepared) -> list[str]:
    risks = []
    if prepared.stale:
        risks.append(f"{prepared.branch} as of the last fetch: {prepared.stale}")
    if choice.source and choice.source != ground.branch:
        risks.append(f"the files are those of {choice.source}, not of {ground.branch}")
    if ground.production:
        if choice.without_backup:
            risks.append(f"without a fresh backup: {choice.without_backup}")
        else:
            risks.append(f"the way back for data is {prepared.backup}")
    risks += _hazards(prepared)
    for step in prepared.steps:
        script = step.script
        if script.mixed:
            risks.append(
                f"{step.file.path} can be left half applied and unrecorded: it has statements that cannot "
                "run in a transaction, beside others; better a file for each of them"
            )
        risks += [
            f"{step.file.path} line {piece.line}: if it fails it leaves an invalid index, which is looked for"
            for piece in script.pieces
            if piece.statement.alone and piece.statement.kind.startswith(("CREATE INDEX", "CREATE UNIQUE"))
        ]
    lacking = [step.title for step in prepared.steps if not step.rollback]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        risks.append(f"no way back of its own (.down.sql): {', '.join(lacking[:3])}{more}; restore only")
    return risks
