"""`muva handover`: a shift for whoever comes next."""

from __future__ import annotations

from datetime import datetime

import click

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.moments import Moment
from muva_console.ops.readings import Exit, Verdict


@click.command()
@environment_option
@click.option("--since", type=Moment(), default="12h", show_default=True, help="Where the shift began.")
@json_option
@click.pass_obj
def handover(invocation: Invocation, environment: str | None, since: datetime, as_json: bool) -> int:
    """A shift as Markdown: how it stands, alerts and silences, availability, incidents, deployments,
    overrides, certificates, who is on call, backups.

    Exit status: 0 all is healthy, 1 something is not, 3 something could not be told.
    """

    async def tell() -> int:
        from muva_console.ops.handover import read_shift, written

        async with invocation.workspace() as workspace:
            names = (
                [environment_of(workspace, environment).name] if environment else list(workspace.environments)
            )
            shift = await read_shift(workspace, names, since)
        if as_json:
            print_json(shift)
        else:
            click.echo(written(shift), nl=False)
        verdicts = {report.verdict for report in shift.health}
        if Verdict.NO_GO in verdicts or any(one.open for one in shift.incidents):
            return Exit.BAD
        return Exit.CANNOT_TELL if Verdict.CANNOT_TELL in verdicts else Exit.OK

    return wait(tell)
