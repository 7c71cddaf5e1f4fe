"""From a key on the Migrations screen to what is done: looked at, led, shown, confirmed, verified."""

from __future__ import annotations

from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

from msgspec import structs
from textual.content import Content

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.apply_ground import Choice, NotApplicable, NothingToApply
from muva_console.ops.migrations.matrix import Cell, Matrix, Row
from muva_console.ops.migrations.model import State
from muva_console.screens.acting import act, plan_lines
from muva_console.screens.choices import Choice as Offer
from muva_console.screens.choices import Chooser
from muva_console.screens.migrations_lead import Leading, Refusal
from muva_console.screens.reader import Reader
from muva_console.widgets.fit import wrapped
from muva_console.widgets.format import moment, plural, short
from muva_console.widgets.level import muted
from muva_console.widgets.table import Column

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.backups import Backup
    from muva_console.screens.migrations_ahead import BackupState, Outlook

STEPS = 30
"""How far back is offered. Ours."""
FORGET = "forget"
_ALONE = "a plan alone changes nothing"
VERIFIED = 12
"""Backups that are read before they are offered, the newest. Ours."""


async def begin(app: MuvaApp, what: str, environment: str, matrix: Matrix, row: Row | None) -> None:
    """Lead through an act; whatever stands in the way is told whole."""
    try:
        match what:
            case "apply":
                await _apply(app, environment, matrix)
            case "rollback":
                await _roll_back(app, environment, matrix, row)
            case "backup":
                await back_up(app, environment)
            case "restore":
                await _restore(app, environment)
            case "dry":
                await _dry_run(app, environment, matrix)
    except OpsError as error:
        await app.push_screen_wait(Refusal("Not done", error.lines()))


async def _apply(app: MuvaApp, environment: str, matrix: Matrix) -> None:
    """Hazards, backup, plan, question, progress, verification."""
    from muva_console.screens.migrations_ahead import look_ahead

    workspace, choice = app.workspace, Choice(source=_source(matrix, environment))
    app.tell(f"Looking at what waits for {environment} …", timeout=3)
    while True:
        looking = partial(look_ahead, workspace, environment, choice)
        instead: Choice | None
        try:
            outlook = await app.ask_ops(looking)
        except NothingToApply as nothing:
            await _nothing(app, environment, matrix, choice, nothing)
            return
        except NotApplicable as error:
            instead = await _in_the_way(app, environment, matrix, choice, error)
        else:
            reason = await _led(app, environment, outlook, "Apply")
            if reason is not None:
                await _applying(app, environment, structs.replace(choice, without_backup=reason))
            return
        if instead is None:
            return
        choice = instead


async def _led(app: MuvaApp, environment: str, outlook: Outlook, verb: str) -> str | None:
    """Show what lies ahead; returns the reason to go without a backup, empty where there is one, None for no.
    A backup that is made on the way is looked at anew.
    """
    read_only = app.workspace.read_only
    while True:
        go = await app.push_screen_wait(Leading(outlook, read_only=read_only, verb=verb))
        if go is None:
            return None
        if go.what != "backup":
            return go.reason
        await back_up(app, environment)
        outlook = structs.replace(outlook, backup=await _backup_of(app, environment))


async def _backup_of(app: MuvaApp, environment: str) -> BackupState:
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.screens.migrations_ahead import backup_state

    workspace = app.workspace
    return await app.ask_ops(lambda: backup_state(ground_of(workspace, workspace.environments[environment])))


async def _applying(app: MuvaApp, environment: str, choice: Choice) -> None:
    """Plan and confirm an apply; a job does it, so that it goes on if the terminal is gone."""
    from muva_console.ops.migrations.apply import ApplyMigrations
    from muva_console.ops.migrations.apply_ground import ground_of

    workspace = app.workspace
    operation = ApplyMigrations(ground_of(workspace, workspace.environments[environment]), choice)
    await act(app, operation, job=operation)


async def _nothing(
    app: MuvaApp, environment: str, matrix: Matrix, choice: Choice, nothing: NothingToApply
) -> None:
    """Nothing waits; what will come with the branch that flows in is told."""
    place = matrix.place(environment)
    column = matrix.columns[place]
    coming = [
        row.title
        for row in matrix.rows
        if (cell := row.cells[place]) is not None and cell.state is State.PENDING and not cell.here
    ]
    lines = [str(nothing)]
    if coming and not choice.source:
        what = f"{plural(len(coming), 'migration')} will come with {column.coming}"
        lines.append(f"{what}, and can be applied when on {column.branch}: {', '.join(coming[:5])}")
    await app.push_screen_wait(Refusal("Nothing to apply", lines, bad=False))


async def _in_the_way(
    app: MuvaApp, environment: str, matrix: Matrix, choice: Choice, error: NotApplicable
) -> Choice | None:
    """What stands in the way; files that come late may be taken knowingly."""
    place = matrix.place(environment)
    cells = [row.cells[place] for row in matrix.rows]
    late = any(cell is not None and cell.state is State.OUT_OF_ORDER for cell in cells)
    answers = [("late", "Take them out of order")] if late and not choice.out_of_order else []
    answer = await app.push_screen_wait(Refusal("Something stands in the way", error.lines(), answers))
    return structs.replace(choice, out_of_order=True) if answer == "late" else None


async def back_up(app: MuvaApp, environment: str) -> None:
    """A backup, now; it harms nobody and asks nothing."""
    from muva_console.ops.database.backup import BackupOperation
    from muva_console.ops.database.target import target_of

    operation = BackupOperation(target_of(app.workspace, environment))
    await act(app, operation, job=operation)


async def _restore(app: MuvaApp, environment: str) -> None:
    """Choose a backup, then plan its restore."""
    from muva_console.ops.backups import find_backups, spell_size, verify
    from muva_console.ops.database.backup import folder_of
    from muva_console.ops.database.restore import RestoreOperation
    from muva_console.ops.database.target import target_of

    target = target_of(app.workspace, environment)
    folder = folder_of(target)

    async def found() -> list[tuple[Backup, str, str]]:
        backups = (await find_backups(folder, environment)).found if folder.is_dir() else ()
        told = []
        for place, one in enumerate(backups):
            if place >= VERIFIED:
                told.append((one, "", "◌ not looked at"))
                continue
            seen = await verify(one, target.backups.programs)
            told.append((one, "$t-ok", "● can be read") if seen.good else (one, "$t-fail", f"✖ {seen.why}"))
        return told

    backups = await app.ask_ops(found)
    if not backups:
        await app.push_screen_wait(
            Refusal(
                "Nothing to restore", [f"There is no backup of {environment} in {folder}.", "B makes one."]
            )
        )
        return
    now = app.now()
    offers = [
        Offer(
            str(one.path),
            (
                Content(moment(one.at)),
                muted(f"{short((now - one.at).total_seconds())} ago"),
                Content(spell_size(one.size)),
                muted(one.commit[:7]),
                Content.styled(why, style) if style else muted(why),
            ),
        )
        for one, style, why in backups
    ]
    columns = (
        Column("", 20), Column("", 9, align="right", keep=60), Column("", 8, align="right"),
        Column("", 7, keep=40), Column("", 18, flex=True, keep=80),
    )  # fmt: skip
    chosen = await app.push_screen_wait(Chooser(f"Restore {environment} from", columns, offers))
    if chosen is not None:
        path = next(one.path for one, _, _ in backups if str(one.path) == chosen)
        operation = RestoreOperation(target, path)
        await act(app, operation, job=operation)


async def _roll_back(app: MuvaApp, environment: str, matrix: Matrix, row: Row | None) -> None:
    """Choose how far, look at the ways back, then plan it; or forget a record alone."""
    from muva_console.screens.migrations_ahead import look_back

    place = matrix.place(environment)
    applied = [one for one in reversed(matrix.rows) if _recorded(one.cells[place])]
    offers = [
        Offer(
            str(number),
            (
                Content(plural(number, "step")),
                muted("back to before"),
                Content.assemble(muted(one.version), f" {one.name}"),
            ),
        )
        for number, one in enumerate(applied[:STEPS], start=1)
    ]
    if row is not None and _recorded(row.cells[place]):
        told = Content.assemble("the record of ", muted(row.version), f" {row.name}")
        offers.append(Offer(FORGET, (Content("forget"), muted("undoes nothing"), told)))
    if not offers:
        raise OpsError(f"nothing is applied on {environment}, so there is nothing to roll back")
    columns = (Column("", 9), Column("", 14, keep=50), Column("", 20, flex=True))
    chosen = await app.push_screen_wait(Chooser(f"Roll back {environment}", columns, offers))
    workspace = app.workspace
    if chosen is None:
        return
    if chosen == FORGET and row is not None:
        await _forget(app, environment, row)
        return
    steps = int(chosen)
    outlook = await app.ask_ops(lambda: look_back(workspace, environment, steps))
    reason = await _led(app, environment, outlook, "Roll back")
    if reason is not None:
        await _rolling_back(app, environment, steps, Choice(without_backup=reason))


def _recorded(cell: Cell | None) -> bool:
    """Whether the history has it."""
    waiting = (State.PENDING, State.OUT_OF_ORDER, State.HALF_WAY, State.ABSENT, State.UNKNOWN)
    return cell is not None and cell.state not in waiting


async def _rolling_back(app: MuvaApp, environment: str, steps: int, choice: Choice) -> None:
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.ops.migrations.rollback import RollBackMigrations

    workspace = app.workspace
    ground = ground_of(workspace, workspace.environments[environment])
    operation = RollBackMigrations(ground, steps, choice)
    await act(app, operation, job=operation)


async def _forget(app: MuvaApp, environment: str, row: Row) -> None:
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.ops.migrations.rollback import ForgetMigration

    workspace = app.workspace
    await act(app, ForgetMigration(ground_of(workspace, workspace.environments[environment]), row.version))


async def _dry_run(app: MuvaApp, environment: str, matrix: Matrix) -> None:
    """Choose how deep, then do it."""
    from muva_console.ops.migrations.apply import ApplyMigrations
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.ops.migrations.rehearse import RehearseMigrations, TryMigrations
    from muva_console.ops.migrations.scratch import scratch_of

    workspace = app.workspace
    column = matrix.columns[matrix.place(environment)]
    offers = [
        Offer("plan", (Content("plan"), muted("takes no lock: files, statements, locks, sizes"))),
        Offer("rehearse", (Content("rehearse"), muted("on a scratch database with the schema of this one"))),
    ]
    if not column.production:
        told = "executes here, then rolls back: real rows, real locks"
        offers.append(Offer("try", (Content("try"), muted(told))))
    chosen = await app.push_screen_wait(
        Chooser(f"Dry run on {environment}", (Column("", 9), Column("", 30, flex=True)), offers)
    )
    if chosen is None:
        return
    ground = ground_of(workspace, workspace.environments[environment])
    choice = Choice(source=_source(matrix, environment))
    if chosen == "rehearse":
        await act(app, RehearseMigrations(ground, scratch_of(workspace, ground), choice))
    elif chosen == "try":
        await act(app, TryMigrations(ground, choice))
    else:
        looked_at = structs.replace(choice, without_backup=_ALONE)
        operation = ApplyMigrations(ground, looked_at)
        plan = await app.ask_ops(operation.plan)
        # what was given for a reason not to look for a backup is none
        lines = plan_lines(structs.replace(plan, risks=tuple(one for one in plan.risks if _ALONE not in one)))
        reader = Reader(plan.title, lambda width: wrapped(lines, width), command=_typed(environment))
        await app.push_screen(reader)


def _typed(environment: str) -> str:
    return f"muva migrations apply --env {quote(environment)} --dry-run plan"


def _source(matrix: Matrix, environment: str) -> str:
    """The branch whose files are taken: the environment's own, unless all that waits comes from the one that
    flows into it. Production takes its own alone.
    """
    place = matrix.place(environment)
    column = matrix.columns[place]
    cells = [row.cells[place] for row in matrix.rows]
    waiting = [cell for cell in cells if cell is not None and cell.state is State.PENDING]
    own = column.production or not waiting or any(cell.here for cell in waiting)
    return "" if own else column.coming
