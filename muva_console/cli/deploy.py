"""`muva deploy`: the deployment runbook, led headless: sensed, acted, waited for, verified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.acting import acting_options, ask, perform, tell_plan
from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.lines import COLOUR, glyph
from muva_console.ops.operations import Event, EventKind, Operation
from muva_console.ops.readings import Exit, Level
from muva_console.ops.runbooks.standing import ItemView, RunView, State

if TYPE_CHECKING:
    from muva_console.ops.walking.leading import Ending
    from muva_console.ops.walking.walk import Walk
    from muva_console.ops.workspace import Workspace


@click.command()
@environment_option
@click.option("--version", "version", default="", metavar="vX.Y.Z", help="Production: the release's version.")
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="ITEM=REASON",
    help="Pass over an item; may be repeated.",
)
@click.option("--approve", is_flag=True, help="Do also what is a reviewer's: approve as yourself.")
@click.option("--run", "run_id", default="", metavar="ID", help="Go on with this run of the journal.")
@click.option("--anew", is_flag=True, help="Begin another run where one is open.")
@click.option(
    "--patience",
    default=60,
    metavar="MINUTES",
    type=click.IntRange(0, 1440),
    help="How long what is waited for may stay as it is; 60 by default.",
)
@click.option(
    "--detach", is_flag=True, help="Go on in a process of its own, whatever becomes of the terminal."
)
@acting_options
@json_option
@click.pass_obj
def deploy(
    invocation: Invocation,
    environment: str | None,
    version: str,
    overrides: tuple[str, ...],
    approve: bool,
    run_id: str,
    anew: bool,
    patience: int,
    detach: bool,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Lead the deployment runbook: sense, do each act in its order, follow the run, verify, record, tell.

    What has happened already is not done again, whoever did it; begun again it goes on where the world
    stands. It stops at the first item that is not well. What is a reviewer's is waited for.

    Exit status: 0 deployed (what is left for a person, a message or a question, is told), 1 something is
    wrong, was refused or not confirmed, 2 usage or configuration, 3 something could not be told, or a person
    has to act before it goes on.
    """
    if run_id and (anew or version):
        raise click.UsageError("--run goes on with a run as it was begun")
    if detach and (plan_only or overrides):
        raise click.UsageError("--detach goes neither with --plan nor with --override")
    passed = {}
    for word in overrides:
        item, _, reason = word.partition("=")
        if not item.strip() or not reason.strip():
            raise click.UsageError("--override wants ITEM=REASON")
        passed[item.strip()] = reason.strip()

    async def run() -> int:
        from muva_console.ops.walking.leading import Leader, open_walk

        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment).name
            if workspace.read_only and not plan_only:
                from muva_console.ops.errors import Refused

                raise Refused("read-only: nothing is deployed", next="muva deploy --plan shows what is next")
            walk, before = await open_walk(workspace, of, version=version, anew=anew, run_id=run_id)
            _opened(walk, before=before)
            unknown = [name for name in passed if walk.run.item(name) is None]
            if unknown:
                items = ", ".join(item.step.id for item in walk.run.items)
                raise click.UsageError(f"--override: there is no item {unknown[0]}; there are: {items}")
            if detach:
                return await _detached(
                    workspace, walk, approve=approve, yes=yes, confirm=confirm, as_json=as_json
                )
            face = Narrator(workspace, yes=yes, confirm=confirm, plan_only=plan_only)
            leader = Leader(walk, face, overrides=passed, approve=approve, patience=patience * 60.0)
            ending = await leader.lead()
            return told_ending(ending, face, as_json=as_json, command=f"muva deploy --env {of}")

    return wait(run)


class Narrator:
    """Tells on standard error what happens, and asks for what an act's tier wants."""

    def __init__(self, workspace: Workspace, *, yes: bool, confirm: str, plan_only: bool) -> None:
        self._workspace = workspace
        self._yes, self._confirm = yes, confirm
        self.plan_only = plan_only
        self.acts: list[dict[str, Any]] = []
        self.events: Sequence[Event] = ()

    async def act(self, item: ItemView, operation: Operation) -> str | None:
        """Plan, show, ask, perform."""
        plan = await self._workspace.performer.prepare(operation)
        tell_plan(plan)
        confirmation = None if self.plan_only else ask(plan, yes=self._yes, confirm=self._confirm)
        told: dict[str, Any] = {"item": item.id, "plan": to_builtins(plan), "events": []}
        self.acts.append(told)
        if confirmation is None:
            return None
        self.events = await perform(self._workspace, operation, plan, confirmation)
        told["events"] = [to_builtins(event) for event in self.events]
        last = self.events[-1] if self.events else None
        return last.text if last is not None and last.kind is EventKind.DONE else None

    def settled(self, item: ItemView) -> None:
        """A line; beneath what is not well its evidence."""
        pending = item.state in (State.PENDING, State.YOURS, State.HANDED)
        mark = "◌" if pending else glyph(item.level)
        line = f"{mark} {item.step.title}: {item.summary}"
        click.echo(click.style(line, fg=None if pending else COLOUR[item.level]), err=True)
        if item.level is Level.FAIL:
            for finding in item.findings:
                for fact in finding.evidence[:12]:
                    click.echo(f"    {fact}", err=True)

    async def waits(self, item: ItemView, walk: Walk) -> None:
        """What a workflow's run does is streamed while it is waited for."""
        from muva_console.cli.runs import follow_item

        if item.step.who:
            click.echo(f"  waiting for the {item.step.who.lower()}; --approve does it as yourself", err=True)
        await follow_item(self._workspace, item, walk)


def _opened(walk: Walk, *, before: bool) -> None:
    run = walk.run
    commit = run.about.get("commit", "")[:7]
    goes = f"{run.about.get('source', '')} {commit} to {run.environment}".strip()
    begun = f"going on with run {run.id[:8]}, begun by {run.begun_by}" if before else f"run {run.id[:8]}"
    click.echo(f"{run.runbook.title}: {goes} ({begun})", err=True)


def told_ending(ending: Ending, face: Narrator, *, as_json: bool, command: str) -> int:
    """Tell how it ended, and return the exit status; `command` goes on with it."""
    from muva_console.ops.runbooks.export import as_data

    view, item = ending.view, ending.item
    status = Exit.OK if face.plan_only and face.acts else ending.status
    if as_json:
        stopped = None
        if item is not None:
            stopped = {"item": item.id, "why": ending.why, "next": ending.next}
        print_json({**as_data(view), "done": item is None, "stopped": stopped, "acts": face.acts})
    if item is None:
        _tell_left(view)
        click.echo(f"{view.run.runbook.title}: done", err=True)
    elif not (face.plan_only and face.acts):
        click.echo(f"muva: it stopped at “{item.step.title}”: {ending.why}", err=True)
        if ending.next:
            click.echo(f"  {ending.next}", err=True)
        click.echo(f"  go on with it: {command}", err=True)
    return status


def _tell_left(view: RunView) -> None:
    for item in view.items:
        if item.open:
            click.echo(f"◌ for a person: {item.step.title}: {item.step.attest or item.summary}", err=True)


async def _detached(
    workspace: Workspace, walk: Walk, *, approve: bool, yes: bool, confirm: str, as_json: bool
) -> int:
    """Hand it to a process of its own, once it is confirmed as a whole."""
    from muva_console.cli.acting import act
    from muva_console.cli.jobs import detached
    from muva_console.ops.walking.lead_act import Lead

    run = walk.run
    await walk.close()
    operation = Lead(workspace, run.environment, run.id, approve=approve)
    hand_over = detached(workspace, operation, as_json=as_json)
    return await act(workspace, operation, yes=yes, confirm=confirm, as_json=as_json, hand_over=hand_over)
