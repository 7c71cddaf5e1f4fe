"""From a key on the Deploy screen to what is done: approve, reject, break the lock, lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError
from muva_console.screens.acting import act
from muva_console.screens.reason import Reason

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.links.github_runs import WorkflowRun
    from muva_console.ops.operations import Operation
    from muva_console.ops.workspace import Workspace


async def decide(app: MuvaApp, environment: str, run: WorkflowRun, *, approve: bool) -> None:
    """Approve or reject the run that waits; the plan is shown and asked for. Whatever fails is told."""
    parameters = {}
    if not approve:
        lines = [f"{run.workflow} #{run.number} of {run.sha[:7]}, started by {run.actor.login}"]
        reason = await app.push_screen_wait(Reason(f"Reject the deployment to {environment}", lines))
        if reason is None:
            return
        parameters = {"comment": reason}
    name = "deploy-approve" if approve else "deploy-reject"
    try:
        operation = await _operation(app, environment, name, parameters)
        plan = await app.ask_ops(operation.plan)
        if plan.target == f"run {run.id}":
            await act(app, operation)
        else:
            app.tell(f"{plan.target} waits, not the run that was chosen", title="Not decided")
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not decided", severity="warning", timeout=15)


async def break_lock(app: MuvaApp, environment: str, holders: Sequence[str]) -> None:
    """Break the lock of somebody else, with a reason. Whatever fails is told."""
    reason = await app.push_screen_wait(Reason(f"Break the lock of {environment}", holders))
    if reason is None:
        return
    try:
        operation = await _operation(app, environment, "deploy-lock-break", {"reason": reason})
        await act(app, operation)
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not broken", severity="warning", timeout=15)


async def roll_back(app: MuvaApp, environment: str) -> None:
    """Roll back, with a reason; the plan is shown and asked for. What goes on already is gone on with, and
    needs none. Whatever fails is told.
    """
    try:
        found = await app.ask_ops(lambda: _under_way(app.workspace, environment))
        reason = found
        if not found:
            lines = ["What is wrong with what serves? It is kept with the rollback, and with the lock."]
            given = await app.push_screen_wait(Reason(f"Roll {environment} back", lines))
            reason = given or ""
        if reason:
            operation = await _operation(app, environment, "rollback", {"reason": reason})
            await act(app, operation)
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not rolled back", severity="warning", timeout=15)


async def _under_way(workspace: Workspace, environment: str) -> str:
    """Why the rollback that goes on was begun; empty where none does. Raises OpsError."""
    from muva_console.ops.rollback.begun import open_rollback
    from muva_console.ops.walking.looking import look

    found = await open_rollback(look(workspace, environment).target)
    return "" if found is None else found.reason or found.id


async def lead(app: MuvaApp, environment: str) -> None:
    """Go on with the open deployment, or begin one, where runbooks are walked; each act is asked for."""
    from muva_console.ops.walking.leading import deployment_of, open_run
    from muva_console.screens.checklist import Checklist

    workspace = app.workspace
    try:
        book = deployment_of(workspace, environment)
        found = await app.ask_ops(lambda: open_run(workspace, environment, book))
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not led", severity="warning", timeout=15)
        return
    await app.switch_mode("checklist")
    screen = app.mode_screen
    if isinstance(screen, Checklist) and environment == app.environment:
        if found is not None:
            screen.go_on(found)
        else:
            screen.begin(book)


async def _operation(app: MuvaApp, environment: str, name: str, parameters: dict[str, str]) -> Operation:
    workspace = app.workspace
    return await app.ask_ops(lambda: _made(workspace, environment, name, parameters))


async def _made(workspace: Workspace, environment: str, name: str, parameters: dict[str, str]) -> Operation:
    from muva_console.ops.deploys.acts import operation_for
    from muva_console.ops.walking.looking import look

    workspace.workshop.expire()
    return await operation_for(name, look(workspace, environment, given=parameters).target)
