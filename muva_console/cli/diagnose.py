"""`muva diagnose`: what was seen, and what it is taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.lines import finding_lines
from muva_console.cli.observe import finding_data
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.diagnosis.model import Diagnosis
    from muva_console.ops.workspace import Workspace


@click.command()
@environment_option
@json_option
@click.pass_obj
def diagnose(invocation: Invocation, environment: str | None, as_json: bool) -> int:
    """Look at everything at once, and rank what may be wrong. Changes nothing.

    Exit status: 0 healthy, 1 something is wrong, 3 cannot tell.
    """

    async def answer() -> Diagnosis:
        from muva_console.ops.diagnosis.diagnose import diagnose as diagnosed

        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment)
            await workspace.prepare()
            told = await diagnosed(of.context())
            await _keep(workspace, told, production=of.config.production)
            return told

    told = wait(answer)
    if as_json:
        data: dict[str, Any] = to_builtins(told)
        print_json({**data, "findings": [finding_data(finding) for finding in told.findings]})
    else:
        _print(told)
    if not told.scenarios:
        return Exit.CANNOT_TELL
    return Exit.OK if told.scenarios[0].id == "healthy" else Exit.BAD


async def _keep(workspace: Workspace, told: Diagnosis, *, production: bool) -> None:
    """Into the journal; a first red verdict of production opens an incident. Nothing in read-only mode."""
    from muva_console.ops.incidents.verdicts import keep_verdict
    from muva_console.ops.journal.errors import JournalError

    if workspace.read_only:
        return
    try:
        opened = await keep_verdict(workspace.journal, told, opens=production)
    except JournalError as error:  # what was seen is told all the same
        click.echo(f"muva: the verdict was not kept: {error}", err=True)
        return
    if opened is not None:
        click.echo(f"muva: {opened.name} was opened with this verdict: muva incident tell, show", err=True)


def _print(told: Diagnosis) -> None:
    click.echo(f"What I saw of {told.environment}, in {told.took_ms / 1000:.1f} s")
    for line in finding_lines(told.findings, verbose=False):
        click.echo(f"  {line}")
    click.echo("What I think")
    for number, one in enumerate(told.scenarios, 1):
        click.echo(f"  {number}  {one.title} ({one.id})  {one.confidence}")
        for mark, facts in (("+", one.supports), ("-", one.against)):
            for fact in facts:
                click.echo(f"     {mark} {fact}")
        if one.tell_apart:
            click.echo(f"     what would tell: {one.tell_apart}")
        if one.runbook:
            click.echo(f"     what helps: the runbook {one.runbook}, in the console: 7, enter")
    if told.cannot_tell:
        click.echo(f"  {told.cannot_tell}")
