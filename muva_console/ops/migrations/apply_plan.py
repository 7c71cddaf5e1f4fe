"""The plan of an apply in words: each file, each statement with what it locks, and what may go wrong."""

from __future__ import annotations

import shlex

from muva_console.config.units import format_duration
from muva_console.ops.health.words import count
from muva_console.ops.migrations.apply_ground import Choice, Ground, Prepared, Step
from muva_console.ops.migrations.apply_locks import Taken, taken_by
from muva_console.ops.migrations.apply_prepare import lossy
from muva_console.ops.operations import Plan, PlannedCommand, Tier

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
                f"{_how(step)}; {limits}; SHA-256 {step.digest[:16]}…",
            )
        )
        for piece in script.pieces[:left]:
            taken = taken_of(piece.statement, prepared)
            told = [taken.told(prepared.sizes)]
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


def taken_of(statement: object, prepared: Prepared) -> Taken:
    """What a statement locks. The seam to the hazards."""
    from muva_console.ops.migrations.model import Statement

    assert isinstance(statement, Statement)
    return taken_by(statement, prepared.sizes)


def undo_of(ground: Ground, steps: tuple[Step, ...]) -> str:
    """How it is undone; empty when a file has no way back."""
    if all(step.rollback for step in steps):
        return f"muva migrations rollback --env {shlex.quote(ground.environment)} --steps {len(steps)}"
    return ""


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
    risks += lossy(prepared.steps)
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
