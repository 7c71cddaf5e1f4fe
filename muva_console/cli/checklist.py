"""`muva checklist`: the runbooks, one of them sensed once, and the runs of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    wait,
)
from muva_console.ops.readings import Exit, Verdict, exit_status

if TYPE_CHECKING:
    from muva_console.ops.runbooks.model import Runbook, Step
    from muva_console.ops.runbooks.run import Run
    from muva_console.ops.runbooks.standing import RunView
    from muva_console.ops.walking.walk import Walk
    from muva_console.ops.workspace import Workspace

WORDS = ("yes", "no", "overridden", "not-applicable", "handed", "withdrawn")


@click.command()
@click.argument("runbook", required=False)
@environment_option
@json_option
@click.option("--markdown", is_flag=True, help="As a document, for a pull request or an incident.")
@click.option("--verbose", "-v", is_flag=True, help="The evidence of what is well, too.")
@click.option("--item", "items", multiple=True, metavar="ITEM", help="Only this item; may be repeated.")
@click.option("--again", is_flag=True, help="Ask anew what was remembered, such as a build.")
@click.option("--begin", is_flag=True, help="Begin a run that is kept, and sense it; prints its id.")
@click.option("--runs", is_flag=True, help="List the runs of the journal.")
@click.option("--run", "run_id", metavar="ID", help="A run of the journal, as it stands.")
@click.option("--say", type=click.Choice(WORDS), help="With --run and --item: answer that item.")
@click.option("--note", default="", metavar="TEXT", help="With --say: the note, or the reason.")
@click.option("--to", default="", metavar="NAME", help="With --say handed: to whom.")
@click.pass_obj
def checklist(
    invocation: Invocation,
    runbook: str | None,
    environment: str | None,
    as_json: bool,
    markdown: bool,
    verbose: bool,
    items: tuple[str, ...],
    again: bool,
    begin: bool,
    runs: bool,
    run_id: str | None,
    say: str | None,
    note: str,
    to: str,
) -> int:
    """List the runbooks; or sense every item of one, once, and give the verdict.

    Without --begin nothing is asked of a person: the verdict and the exit status are of what a machine can
    tell, and what waits for a person is listed. With --run they are of the whole run.

    Exit status: 0 GO, 1 NO-GO, 2 usage or configuration, 3 CANNOT TELL.
    """
    from muva_console.cli import checklist_show as show

    modes = [word for word, given in (("--runs", runs), ("--run", run_id), ("--begin", begin)) if given]
    if len(modes) > 1:
        raise click.UsageError(f"{' and '.join(modes)} do not go together")
    if runbook is not None and (runs or run_id):
        raise click.UsageError(f"{modes[0]} names no runbook: a run knows its own")
    if runbook is None and (begin or again or (items and not run_id)):
        raise click.UsageError("name the runbook: muva checklist lists them")
    if say is None and ((run_id and items) or note or to):
        raise click.UsageError("--item, --note and --to of a run go with --say")
    if say is not None and (run_id is None or len(items) != 1):
        raise click.UsageError("--say goes with --run ID and one --item")
    if to and say != "handed":
        raise click.UsageError("--to goes with --say handed")
    if begin and items:
        raise click.UsageError("--begin senses every item of the run")
    if as_json and markdown:
        raise click.UsageError("either --json or --markdown")

    if runs:
        found = wait(lambda: _runs(invocation, environment))
        show.runs(found, as_json=as_json)
        return Exit.OK
    if run_id is not None:
        view = wait(lambda: _run(invocation, run_id, items, say, note, to))
        show.view(view, as_json=as_json, markdown=markdown, verbose=verbose)
        return exit_status(view.verdict)
    if runbook is None:
        show.runbooks(wait(lambda: _runbooks(invocation)), as_json=as_json)
        return Exit.OK
    if begin:
        view = wait(lambda: _begin(invocation, runbook, environment, again=again))
        show.view(view, as_json=as_json, markdown=markdown, verbose=verbose)
        return exit_status(view.verdict)
    view, verdict = wait(lambda: _once(invocation, runbook, environment, items, again=again))
    if verdict is None:  # nothing in it is sensed
        show.view(view, as_json=as_json, markdown=markdown, verbose=verbose)
        asked = any(item.open for item in view.items)
        return Exit.CANNOT_TELL if asked else Exit.OK
    show.once(view, verdict, as_json=as_json, markdown=markdown, verbose=verbose)
    return exit_status(verdict)


async def _runbooks(invocation: Invocation) -> tuple[Runbook, ...]:
    async with invocation.workspace() as workspace:
        return workspace.runbooks


async def _runs(invocation: Invocation, environment: str | None) -> tuple[Run, ...]:
    from muva_console.ops.walking.runs import list_runs

    async with invocation.workspace() as workspace:
        return await list_runs(workspace, environment=environment)


async def _once(
    invocation: Invocation, name: str, environment: str | None, items: tuple[str, ...], *, again: bool
) -> tuple[RunView, Verdict | None]:
    from muva_console.ops.walking.once import sense_once, sensed_verdict

    async with invocation.workspace() as workspace:
        runbook, of = _chosen(workspace, name, environment)
        view = await sense_once(workspace, runbook, of, only=items, again=again, told=_tell_progress)
        sensed = any(item.step.sensed for item in view.items)
        return view, sensed_verdict(view) if sensed else None


async def _begin(invocation: Invocation, name: str, environment: str | None, *, again: bool) -> RunView:
    from muva_console.ops.walking.walk import Walk

    async with invocation.workspace() as workspace:
        runbook, of = _chosen(workspace, name, environment)
        walk = await Walk.begin(workspace, runbook, of)
        return await _walk(walk, sense=True, again=again)


async def _run(
    invocation: Invocation, run_id: str, items: tuple[str, ...], say: str | None, note: str, to: str
) -> RunView:
    from muva_console.ops.runbooks.run import Word
    from muva_console.ops.walking.walk import Walk

    async with invocation.workspace() as workspace:
        walk = await Walk.resume(workspace, run_id)
        if say is None:
            return await _walk(walk)
        try:
            walk.start(sense=False)
            await walk.known()  # what the answer hangs on is written with it
            await walk.answer(items[0], Word(say), note=note, to=to)
            return walk.view
        finally:
            await walk.close()


async def _walk(walk: Walk, *, sense: bool = False, again: bool = False) -> RunView:
    """The run's view once what it hangs on is known, and what is to be sensed is sensed."""
    try:
        walk.start(sense=False)
        if sense:
            await walk.all_sensed(again=again)
        await walk.known()
        return walk.view
    finally:
        await walk.close()


def _chosen(workspace: Workspace, name: str, environment: str | None) -> tuple[Runbook, str]:
    """The runbook, and the environment: the only one that it is for, when none is named."""
    from muva_console.ops.runbooks.load import find_runbook

    runbook = find_runbook(workspace.runbooks, name)
    if environment is None:
        fitting = [one for one in workspace.environments if one in runbook.environments]
        if len(fitting) == 1:
            return runbook, fitting[0]
        if all(not step.environments for step in runbook.steps) and not any(
            step.sensed for step in runbook.steps
        ):
            return runbook, next(iter(workspace.environments))
    return runbook, environment_of(workspace, environment).name


def _tell_progress(step: Step, line: str | None) -> None:
    if line is None:
        click.echo(f"sensed: {step.title}", err=True)
