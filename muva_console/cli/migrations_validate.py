"""`muva migrations validate`: files parsed, and what they would lock, break or lose where they are going."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.ops.errors import LinkError
from muva_console.ops.readings import Exit, exit_status, verdict

if TYPE_CHECKING:
    from muva_console.cli.validate_show import Answer


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE|FOLDER]…", type=click.Path(exists=True, path_type=Path))
@environment_option
@json_option
@click.option("--all", "everything", is_flag=True, help="What is applied already, too.")
@click.option("--locks", is_flag=True, help="The locks of every statement.")
@click.option("--verbose", "-v", is_flag=True, help="What is no news at the size it has, too.")
@click.option("--rules", is_flag=True, help="List the rules, and what each is about.")
@click.pass_obj
def validate(
    invocation: Invocation,
    paths: tuple[Path, ...],
    environment: str | None,
    as_json: bool,
    everything: bool,
    locks: bool,
    verbose: bool,
    rules: bool,
) -> int:
    """Parse migrations with PostgreSQL's own parser, and name what they would lock, break or lose.

    Without a path: those that are going to the environment and are not applied there. With paths: any files,
    without an environment or even a muva.toml; sizes are then unknown, and taken as large. With both: these
    files, weighed by the environment's sizes.

    A hazard is allowed by a comment before its statement, with a reason: -- muva: allow RULE: REASON

    Exit status: 0 nothing worse than a warning, 1 a hazard or an error, 2 usage, 3 cannot tell.
    """
    if rules:
        return _rules(as_json)
    from muva_console.cli import validate_show as show

    answer = wait(lambda: _answer(invocation, paths, environment, everything=everything))
    findings = show.findings_of(answer)
    if as_json:
        print_json(show.data(answer, findings))
    else:
        for line in show.lines(answer, locks=locks, verbose=verbose):
            click.echo(line)
    for line in answer.untold:
        click.echo(f"muva: {line}", err=True)
    if not answer.reports and not answer.large:
        click.echo("nothing is pending" if not paths else "no file was given", err=True)
        return Exit.OK
    return exit_status(verdict(findings))


def _rules(as_json: bool) -> int:
    from muva_console.ops.migrations.rules import RULES
    from muva_console.ops.migrations.squawk import LEFT_OUT

    if as_json:
        print_json({"rules": RULES, "left_out_of_squawk": LEFT_OUT})
        return Exit.OK
    width = max(map(len, RULES))
    for name, about in RULES.items():
        click.echo(f"{name:<{width}}  {about}")
    click.echo("\nrules of squawk's that are left out:")
    for name, why in LEFT_OUT.items():
        click.echo(f"{name:<{width}}  {why}")
    return Exit.OK


async def _answer(
    invocation: Invocation, paths: tuple[Path, ...], environment: str | None, *, everything: bool
) -> Answer:
    from muva_console.cli.validate_show import Answer
    from muva_console.ops.migrations.gathering import gather
    from muva_console.ops.migrations.going import read_going, read_there
    from muva_console.ops.migrations.hazards import validate as judge
    from muva_console.ops.migrations.hazards import validate_sets

    if not paths:
        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment)
            going = await read_going(workspace, of.name, everything=everything)
            reports = await judge(
                going.files,
                going.sizes,
                before=going.before,
                environment=of.name,
                folder=workspace.cache,
            )
            about = f"{going.branch} at {going.sha[:7]}"
            return Answer(of.name, reports, large=going.large, untold=going.untold, about=about)
    try:
        sets, large = gather(paths)
    except LinkError as error:
        raise click.UsageError(str(error)) from error
    if environment is None:
        from platformdirs import user_cache_path

        reports = await validate_sets(sets, folder=user_cache_path("muva-console"))
        return Answer("", reports, large=large)
    async with invocation.workspace() as workspace:
        name = environment_of(workspace, environment).name
        sizes, _, untold = await read_there(workspace, name)
        reports = await validate_sets(sets, sizes, environment=name, folder=workspace.cache)
        return Answer(name, reports, large=large, untold=tuple(untold))
