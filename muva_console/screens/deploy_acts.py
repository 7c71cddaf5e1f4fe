"""From a key on the Deploy screen to what is done: approve, reject, break the lock, lead."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.errors import OpsError
from muva_console.screens.acting import act
from muva_console.widgets.answer import Answer
from muva_console.widgets.dialog import DEAF_FOR, Dialog, Words
from muva_console.widgets.level import muted

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.links.github_runs import WorkflowRun
    from muva_console.ops.operations import Operation
    from muva_console.ops.workspace import Workspace


class Reason(Dialog[str]):
    """Asks why; the answer is None for nothing said, and never empty."""

    DEAF = DEAF_FOR
    HELP = "Type the reason; `enter` leads to the answer, `escape` changes nothing. It is written down."
    DEFAULT_CSS = """
    Reason #box { max-width: 92; }
    Reason Input { border: none; height: 1; padding: 0; width: 1fr; background: $panel; margin: 0 1; }
    Reason Input:focus { border: none; }
    Reason .field { height: 1; margin: 1 0 0 0; }
    Reason .field Words { width: 10; }
    Reason #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    """

    def __init__(
        self, title: str, lines: Sequence[str], *, field: str = "reason", answer: str = "Go on to the plan"
    ) -> None:
        super().__init__()
        self._title, self._said = title, tuple(lines)
        self._field, self._answer = field, answer

    def heading(self) -> str:
        """What is asked about."""
        return self._title

    def content(self) -> Iterable[Widget]:
        """What is so, the field, the answers."""
        yield Words([Content(line) for line in self._said])
        yield Horizontal(
            Words([muted(self._field)]), Input(id="reason", select_on_focus=False), classes="field"
        )
        yield Horizontal(
            Answer("Cancel", id="cancel"), Answer(self._answer, id="go", disabled=True), id="answers"
        )

    def on_mount(self) -> None:
        """Ready to type."""
        self.query_one("#reason", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The way is open once there is a reason."""
        self.query_one("#go", Answer).disabled = not event.value.strip()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter confirms nothing: it leads to the answer."""
        answer = self.query_one("#go", Answer)
        if not answer.disabled:
            answer.focus()
            self._opened = time.monotonic()

    def on_answer_given(self, event: Answer.Given) -> None:
        """The reason, or nothing."""
        given = event.answer.id == "go"
        self.dismiss(self.query_one("#reason", Input).value.strip() if given else None)


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
