"""`muva migrations status`: files against the history of every environment, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from muva_console.cli.base import Invocation, json_option, print_json, wait
from muva_console.ops.errors import ConfigError
from muva_console.ops.readings import Exit, exit_status, verdict

if TYPE_CHECKING:
    from muva_console.ops.migrations.detail import Detail
    from muva_console.ops.migrations.matrix import Matrix
    from muva_console.ops.readings import Finding


@click.command()
@click.option("--env", "environments", metavar="E", multiple=True, help="Only this one; may be repeated.")
@json_option
@click.option("--problems", is_flag=True, help="Only what somebody should look at.")
@click.option("--all", "everything", is_flag=True, help="All that is applied everywhere, too.")
@click.option("--diff", "version", metavar="VERSION", help="What ran of a migration, against its file.")
@click.option("--strict", is_flag=True, help="What is pending is no success either: exit status 1.")
@click.pass_obj
def status(
    invocation: Invocation,
    environments: tuple[str, ...],
    as_json: bool,
    problems: bool,
    everything: bool,
    version: str | None,
    strict: bool,
) -> int:
    """Files of the branches against the histories of the databases, all environments side by side.

    The files of an environment are those of its own branch and of the one that flows into it. With --diff:
    the statements that were recorded of one migration against its file.

    Exit status: 0 in step (what is pending is news), 1 something is wrong, 3 cannot tell. With --diff: 0 the
    same, 1 they differ, 3 there are not both.
    """
    from muva_console.cli import migrations_show as show

    if version is not None:
        details = wait(lambda: _details(invocation, environments, version))
        if as_json:
            print_json([show.detail_data(one) for one in details])
        else:
            for line in show.detail_lines(details):
                click.echo(line)
        return _differs(details)
    matrix, findings = wait(lambda: _matrix(invocation, environments))
    outcome = exit_status(verdict(findings))
    if strict and outcome == Exit.OK and any(column.pending for column in matrix.columns):
        outcome = Exit.BAD
    if as_json:
        print_json(show.matrix_data(matrix, findings, problems=problems))
        return outcome
    for line in show.matrix_lines(matrix, problems=problems, everything=everything):
        click.echo(line)
    for line in show.finding_lines(matrix, findings):
        click.echo(line)
    return outcome


async def _matrix(invocation: Invocation, environments: Sequence[str]) -> tuple[Matrix, tuple[Finding, ...]]:
    from muva_console.ops.migrations.status import read_matrix
    from muva_console.ops.migrations.status_findings import findings_of

    async with invocation.workspace() as workspace:
        matrix = await read_matrix(workspace, _known(workspace, environments))
        return matrix, findings_of(matrix, asked=bool(environments))


async def _details(invocation: Invocation, environments: Sequence[str], version: str) -> list[Detail]:
    from muva_console.ops.migrations.detail import sql_of
    from muva_console.ops.migrations.status import read_matrix

    async with invocation.workspace() as workspace:
        matrix = await read_matrix(workspace, _known(workspace, environments))
        wanted = [column for column in matrix.columns if column.database or environments]
        version = version.partition("_")[0]  # 20251105_add_bookings.sql is what is at hand to be pasted
        return [await sql_of(workspace, matrix, version, column.environment) for column in wanted]


def _known(workspace: Any, environments: Sequence[str]) -> list[str] | None:
    """The environments that were named, in the configuration's order; None for all. Raises ConfigError."""
    unknown = [name for name in environments if name not in workspace.environments]
    if unknown:
        known = ", ".join(workspace.environments)
        what = f"there is no environment {unknown[0]!r}"
        raise ConfigError(what, where=str(workspace.path), mistakes=(f"--env takes one of: {known}",))
    return [name for name in workspace.environments if name in environments] or None


def _differs(details: Sequence[Detail]) -> int:
    drifts = [one.drift for one in details]
    if any(drift is not None and not drift.same for drift in drifts):
        return Exit.BAD
    return Exit.OK if any(drifts) and not any(one.why for one in details) else Exit.CANNOT_TELL
