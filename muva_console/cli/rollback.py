"""`muva rollback`: back to the last release that was good."""

from __future__ import annotations

import click

from muva_console.cli.acting import act, acting_options
from muva_console.cli.base import Invocation, environment_of, environment_option, json_option, wait


@click.command()
@environment_option
@click.option(
    "--reason", default="", metavar="TEXT", help="What is wrong with what serves; told to the team."
)
@click.option("--to", default="", metavar="COMMIT", help="Another one that was recorded as good.")
@click.option(
    "--despite-schema", default="", metavar="REASON", help="Go although the schema moved on, and why."
)
@click.option(
    "--restore-db",
    is_flag=False,
    flag_value="auto",
    default="",
    metavar="[FILE]",
    help="The database too: from the backup of when that release served, or from FILE.",
)
@acting_options
@json_option
@click.pass_obj
def rollback(
    invocation: Invocation,
    environment: str | None,
    reason: str,
    to: str,
    despite_schema: str,
    restore_db: str,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Roll an environment back to the last release that is recorded as good.

    Deployments under way are waited for or called off, the lock is taken; the release is built beside what
    serves, put in place, restarted and watched, by a job on the host that outlives this command. Where it
    does not get well, what served is put back. Called again while one goes on, it takes that one up.

    Code goes back alone; --restore-db restores the database too, between the build and the start of the old
    release, and what was written since is lost from it (it is kept: docs/rollback.md).

    Exit status: 0 rolled back (or planned), 1 refused, not confirmed or not rolled back, 2 usage or
    configuration.
    """

    async def run() -> int:
        from muva_console.ops.database.restore import RestoreOperation
        from muva_console.ops.database.target import target_of
        from muva_console.ops.incidents.desk import Desk
        from muva_console.ops.rollback.act import LOOK_ONLY, Rollback
        from muva_console.ops.walking.looking import look

        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment).name
            incident = await Desk(workspace.journal).current(of)
            round_ = look(workspace, of)
            round_.target.parameters = {
                "reason": reason,
                "to": to,
                "despite_schema": despite_schema,
                "restore": restore_db,
                LOOK_ONLY: "yes" if plan_only else "",
                "incident": "" if incident is None else str(incident.id),
            }
            try:
                return await act(
                    workspace,
                    Rollback(round_.target, lambda file: RestoreOperation(target_of(workspace, of), file)),
                    yes=yes,
                    confirm=confirm,
                    plan_only=plan_only,
                    as_json=as_json,
                )
            finally:
                round_.end()

    return wait(run)
