"""`muva migrations rollback`: the newest migrations undone by their own ways back; or a record forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from muva_console.cli.acting import act, acting_options
from muva_console.cli.base import Invocation, environment_of, environment_option, json_option, wait
from muva_console.cli.jobs import detach_option, detached, wait_option

if TYPE_CHECKING:
    from muva_console.ops.operations import Operation


@click.command()
@environment_option
@click.option(
    "--steps", type=click.IntRange(1, 1000), help="How many of the newest are undone (1 when not given)."
)
@click.option(
    "--record-only",
    default="",
    metavar="VERSION",
    help="Another act: forget the record of VERSION alone; the schema stays as it is.",
)
@click.option(
    "--without-backup", default="", metavar="REASON", help="Production: go without a fresh backup, and why."
)
@wait_option
@detach_option
@acting_options
@json_option
@click.pass_obj
def rollback(
    invocation: Invocation,
    environment: str | None,
    steps: int | None,
    record_only: str,
    without_backup: str,
    patience: int,
    detach: bool,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Undo the newest migrations: each by its VERSION_NAME.down.sql or by the rollback that its record holds,
    with its record in one transaction.

    What has neither is restore only: then nothing is done. The plan counts the rows that would be lost.
    """
    from muva_console.ops.database.restore import reason_for

    if record_only and (steps is not None or without_backup):
        raise click.UsageError("--record-only is an act of its own: without --steps and --without-backup")
    if record_only and (detach or patience):
        raise click.UsageError("--record-only is one statement: without --detach and --wait")
    reason = reason_for(without_backup)

    async def run() -> int:
        from muva_console.ops.migrations.apply_ground import Choice, ground_of
        from muva_console.ops.migrations.rollback import ForgetMigration, RollBackMigrations

        async with invocation.workspace() as workspace:
            ground = ground_of(workspace, environment_of(workspace, environment))
            operation: Operation = ForgetMigration(ground, record_only)
            hand_over = None
            if not record_only:
                choice = Choice(without_backup=reason, wait=float(patience))
                operation = undoing = RollBackMigrations(ground, steps or 1, choice)
                hand_over = detached(workspace, undoing, as_json=as_json) if detach else None
            return await act(
                workspace,
                operation,
                yes=yes,
                confirm=confirm,
                plan_only=plan_only,
                as_json=as_json,
                hand_over=hand_over,
            )

    return wait(run)
