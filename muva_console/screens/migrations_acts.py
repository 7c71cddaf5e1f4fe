"""From a key on the Migrations screen to what is done: looked at, led, shown, confirmed, verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs
from textual.content import Content

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.apply_ground import Choice, NotApplicable, NothingToApply
from muva_console.ops.migrations.matrix import Matrix
from muva_console.ops.migrations.model import State
from muva_console.ops.operations import Operation
from muva_console.screens.acting import act
from muva_console.screens.choices import Choice as Offer
from muva_console.screens.choices import Chooser
from muva_console.screens.migrations_lead import Leading, Refusal
from muva_console.widgets.format import moment, plural, short
from muva_console.widgets.level import muted
from muva_console.widgets.table import Column

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.backups import Backup

VERIFIED = 12
"""Backups that are read before they are offered, the newest. Ours."""


async def begin(app: MuvaApp, what: str, environment: str, matrix: Matrix) -> None:
    """Lead through an act; whatever stands in the way is told whole."""
    try:
        match what:
            case "apply":
                await _apply(app, environment, matrix)
            case "rollback":
                await _roll_back(app, environment, matrix)
            case "backup":
                await back_up(app, environment)
            case "restore":
                await _restore(app, environment)
            case "dry":
                await _dry_run(app, environment)
    except OpsError as error:
        await app.push_screen_wait(Refusal("Not done", error.lines()))


async def _apply(app: MuvaApp, environment: str, matrix: Matrix) -> None:
    """Hazards, backup, plan, question, progress, verification."""
    from muva_console.screens.migrations_ahead import look_ahead

    workspace, choice = app.workspace, Choice()
    while True:
        app.tell(f"Looking at what waits for {environment} …", timeout=2)
        try:
            outlook = await app.ask_ops(lambda: look_ahead(workspace, environment, choice))  # noqa: B023
        except NothingToApply as nothing:
            instead = await _nothing(app, environment, matrix, choice, nothing)
            if instead is None:
                return
            choice = instead
            continue
        except NotApplicable as error:
            instead = await _in_the_way(app, environment, matrix, choice, error)
            if instead is None:
                return
            choice = instead
            continue
        go = await app.push_screen_wait(Leading(outlook, read_only=workspace.read_only))
        if go is None:
            return
        if go.what == "backup":
            await back_up(app, environment)
            continue
        if go.what == "without":
            choice = structs.replace(choice, without_backup=go.reason)
        break
    await _do(app, _applying(app, environment, choice))


def _applying(app: MuvaApp, environment: str, choice: Choice) -> Operation:
    from muva_console.ops.migrations.apply import ApplyMigrations
    from muva_console.ops.migrations.apply_ground import ground_of

    workspace = app.workspace
    return ApplyMigrations(ground_of(workspace, workspace.environments[environment]), choice)


async def _do(app: MuvaApp, operation: Operation) -> None:
    await act(app, operation)


async def _nothing(
    app: MuvaApp, environment: str, matrix: Matrix, choice: Choice, nothing: NothingToApply
) -> Choice | None:
    """Nothing waits on the environment's own branch; what comes from another may be taken, but for
    production.
    """
    place = matrix.place(environment)
    column = matrix.columns[place]
    coming = [
        row.title
        for row in matrix.rows
        if (cell := row.cells[place]) is not None and cell.state is State.PENDING and not cell.here
    ]
    lines = [str(nothing)]
    if not coming or choice.source:
        await app.push_screen_wait(Refusal("Nothing to apply", lines, bad=False))
        return None
    lines.append(
        f"{plural(len(coming), 'migration')} will come with {column.coming}: {', '.join(coming[:5])}"
    )
    if column.production:
        lines.append(f"They are applied when they are on {column.branch}.")
        await app.push_screen_wait(Refusal("Nothing to apply", lines, bad=False))
        return None
    answer = await app.push_screen_wait(
        Refusal("Nothing to apply", lines, [("coming", f"Those of {column.coming}")], bad=False)
    )
    return structs.replace(choice, source=column.coming) if answer == "coming" else None


async def _in_the_way(
    app: MuvaApp, environment: str, matrix: Matrix, choice: Choice, error: NotApplicable
) -> Choice | None:
    """What stands in the way; files that come late may be taken knowingly."""
    place = matrix.place(environment)
    late = any(
        cell is not None and cell.state is State.OUT_OF_ORDER
        for row in matrix.rows
        for cell in [row.cells[place]]
    )
    answers = [("late", "Take them out of order")] if late and not choice.out_of_order else []
    answer = await app.push_screen_wait(Refusal("Something stands in the way", error.lines(), answers))
    return structs.replace(choice, out_of_order=True) if answer == "late" else None


async def back_up(app: MuvaApp, environment: str) -> None:
    """A backup, now; it harms nobody and asks nothing."""
    from muva_console.ops.database.backup import BackupOperation
    from muva_console.ops.database.target import target_of

    await _do(app, BackupOperation(target_of(app.workspace, environment)))


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
            told.append((one, "$t-ok" if seen.good else "$t-fail", f"{'●' if seen.good else '✖'} {seen.why}"))
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
        await _do(app, RestoreOperation(target, path))


async def _roll_back(app: MuvaApp, environment: str, matrix: Matrix) -> None:
    """Choose how far, then plan it."""
    raise OpsError("rolling back is not there yet")


async def _dry_run(app: MuvaApp, environment: str) -> None:
    """Choose how deep, then do it."""
    raise OpsError("dry runs are not there yet")
