"""`muva migrations apply`: what is pending, planned, confirmed, applied and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from muva_console.cli.acting import act, acting_options
from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.jobs import detach_option, detached, wait_option
from muva_console.ops.migrations.apply_ground import Choice, NothingToApply
from muva_console.ops.operations import Operation
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.workspace import Workspace

DRY = ("plan", "rehearse", "rollback")


@click.command()
@environment_option
@click.option(
    "--dry-run",
    "dry",
    type=click.Choice(DRY),
    help="plan: take no lock. rehearse: on a scratch database with this one's schema. "
    "rollback: run it here and roll it back (not on production).",
)
@click.option("--to", default="", metavar="VERSION", help="The last version to apply.")
@click.option("--source", default="", metavar="BRANCH", help="Take the files of another branch.")
@click.option("--out-of-order", is_flag=True, help="Apply versions below the highest one applied too.")
@click.option("--without-backup", default="", metavar="REASON", help="Production: go without a fresh backup.")
@wait_option
@detach_option
@acting_options
@json_option
@click.pass_obj
def apply(
    invocation: Invocation,
    environment: str | None,
    dry: str | None,
    to: str,
    source: str,
    out_of_order: bool,
    without_backup: str,
    patience: int,
    detach: bool,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Apply what is pending: each file with its record in one transaction, stopped at the first error.

    Production wants a fresh backup, or a reason to go without.
    """
    if without_backup and not without_backup.strip():
        raise click.UsageError("--without-backup wants a reason")
    if detach and dry:
        raise click.UsageError("a dry run is not detached")
    choice = Choice(
        source=source,
        to=to,
        out_of_order=out_of_order,
        without_backup=without_backup.strip(),
        wait=float(patience),
    )

    async def run() -> int:
        from muva_console.ops.migrations.apply import ApplyMigrations

        async with invocation.workspace() as workspace:
            chosen = environment_of(workspace, environment)
            operation = _operation(workspace, chosen, choice, dry)
            hand_over = None
            if detach and isinstance(operation, ApplyMigrations):
                hand_over = detached(workspace, operation, as_json=as_json)
            try:
                return await act(
                    workspace,
                    operation,
                    yes=yes,
                    confirm=confirm,
                    plan_only=plan_only or dry == "plan",
                    as_json=as_json,
                    hand_over=hand_over,
                )
            except NothingToApply as nothing:
                click.echo(f"muva: {nothing}", err=True)
                if as_json:
                    print_json({"plan": None, "events": []})
                return Exit.OK

    return wait(run)


def _operation(
    workspace: Workspace, environment: EnvironmentOps, choice: Choice, dry: str | None
) -> Operation:
    from muva_console.ops.migrations.apply import ApplyMigrations
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.ops.migrations.rehearse import RehearseMigrations, TryMigrations
    from muva_console.ops.migrations.scratch import scratch_of

    ground = ground_of(workspace, environment)
    if dry == "rehearse":
        return RehearseMigrations(ground, scratch_of(workspace, ground), choice)
    if dry == "rollback":
        return TryMigrations(ground, choice)
    return ApplyMigrations(ground, choice)
