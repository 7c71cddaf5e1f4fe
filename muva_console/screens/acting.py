"""An act from its plan to its verified end: the commands first, then the question, then what happens."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.operations import Event, EventKind, Operation, Plan, Tier
from muva_console.ops.performer import Confirmation
from muva_console.screens.deeds import Deed, in_a_job, performed
from muva_console.screens.frame import CopyItem
from muva_console.widgets.answer import Answer
from muva_console.widgets.dialog import DEAF_FOR, Dialog, Words
from muva_console.widgets.format import clock, duration
from muva_console.widgets.level import muted, strong

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.jobs.builders import Rebuilt

_EVENT: dict[EventKind, tuple[str, str]] = {
    EventKind.STEP: ("▸", "$t-strong"),
    EventKind.OUTPUT: (" ", "$t-muted"),
    EventKind.WARNING: ("▲", "$t-warn"),
    EventKind.VERIFIED: ("●", "$t-ok"),
    EventKind.FAILED: ("✖", "$t-fail"),
    EventKind.DONE: ("●", "$t-ok"),
}


async def act(app: MuvaApp, operation: Operation, *, job: Rebuilt | None = None) -> Event | None:
    """Plan, ask, perform, and wait for the end. Runs in a worker; whatever fails is told. With `job`, the
    same operation as one that can be made again, it is done by a process that outlives this one.

    Returns the event that ended it when it was done; None when it was not: refused, cancelled or failed.
    """
    performer = app.workspace.performer
    plan = await app.ask_ops(lambda: performer.prepare(operation))
    confirmation = Confirmation(confirmed=plan.tier is Tier.NONE)
    if plan.tier is not Tier.NONE or app.workspace.read_only:
        answer = await app.push_screen_wait(PlanDialog(plan, read_only=app.workspace.read_only))
        if answer is None:
            return None
        confirmation = answer
    done_by = performed(operation, confirmation)
    if job is not None:
        done_by = in_a_job(operation.name, job.arguments(), confirmation)
    deed = Deed(plan, done_by)
    await app.push_screen(Performing(deed))
    return await deed.outcome()


def plan_lines(plan: Plan) -> list[Content]:
    """A plan as it is shown: what will be run where and why, what may go wrong, how it is undone."""
    lines = [Content.assemble(muted("on       "), plan.target)]
    for number, command in enumerate(plan.commands):
        head = "runs     " if number == 0 else "         "
        why = muted(f"   {command.why}") if command.why else ""
        lines.append(Content.assemble(muted(head), muted(f"{command.where}: "), strong(command.line), why))
    if not plan.commands:
        lines.append(Content.assemble(muted("runs     "), muted("nothing on a host")))
    for number, risk in enumerate(plan.risks):
        lines.append(
            Content.assemble(muted("risk     " if number == 0 else "         "), ("▲ ", "$t-warn"), risk)
        )
    undo = plan.undo or "cannot be undone"
    lines.append(Content.assemble(muted("undo     "), undo))
    return lines


def verb_of(title: str) -> str:
    """What an act is called on its button: ``Restart``, ``Roll back``."""
    first, *rest = title.split(" ")
    return f"{first} {rest[0]}" if rest and rest[0] in ("back", "up") else first


class PlanDialog(Dialog[Confirmation]):
    """Shows a plan and asks. The answer is None for no."""

    DEAF = DEAF_FOR
    HELP = (
        "What would be done, and whether to do it. Nothing has happened yet. The focus is on Cancel; an act "
        "on production asks for the environment's name."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", id="plan.copy", tooltip="Copy the commands"),
    ]
    DEFAULT_CSS = """
    PlanDialog #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    PlanDialog Input { border: none; height: 1; padding: 0; width: 1fr; background: $panel; margin: 0 1; }
    PlanDialog Input:focus { border: none; }
    PlanDialog #typing { height: 1; margin: 1 0 0 0; }
    PlanDialog #typing Words { width: auto; min-width: 34; }
    """

    def __init__(self, plan: Plan, *, read_only: bool) -> None:
        super().__init__()
        self._plan = plan
        self._read_only = read_only
        self._typed_name = plan.tier is Tier.TYPE_NAME

    def heading(self) -> str:
        """The act."""
        return self._plan.title

    def content(self) -> Iterable[Widget]:
        """The environment's band, the plan, the question."""
        plan = self._plan
        kind = "production" if plan.production else "other"
        band = Content.assemble((f" {plan.environment.upper()} ", f"$t-band-{kind}"))
        yield Words([band, Content(""), *plan_lines(plan)], id="plan")
        if self._read_only:
            yield Words(
                [Content(""), Content.styled("read-only: this console looks, it does not act", "$t-warn")]
            )
        elif self._typed_name:
            label = Content.assemble("Type ", strong(plan.environment), " to do it:")
            yield Horizontal(Words([label]), Input(id="name", select_on_focus=False), id="typing")
        answers = [Answer("Cancel", id="cancel")]
        if not self._read_only:
            answers.append(Answer(verb_of(plan.title), id="do", disabled=self._typed_name))
        yield Horizontal(*answers, id="answers")

    def on_mount(self) -> None:
        """No answer is the answer at hand."""
        self.query_one("#name" if self._typed_name and not self._read_only else "#cancel").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The way is open once the name is there."""
        self.query_one("#do", Answer).disabled = event.value.strip() != self._plan.environment

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter confirms nothing: it leads to the answer once the name is right."""
        answer = self.query_one("#do", Answer)
        if not answer.disabled:
            answer.focus()
            self._opened = time.monotonic()  # a key held down goes no further

    def on_answer_given(self, event: Answer.Given) -> None:
        """Yes or no."""
        if event.answer.id != "do":
            self.dismiss(None)
            return
        typed = self.query_one("#name", Input).value if self._typed_name else ""
        self.dismiss(Confirmation(confirmed=True, typed=typed))

    def action_copy(self) -> None:
        """Copy the commands."""
        from muva_console.screens.copying import copy_text

        text = "\n".join(command.line for command in self._plan.commands)
        self.app.run_worker(copy_text(self.app, CopyItem("the commands", text)))


class Performing(Dialog[None]):
    """What happens while an act is performed. Closing this view does not stop the act."""

    HELP = "What happens. Closing this leaves the act alone: it goes on to its end and is recorded."
    DEFAULT_CSS = """
    Performing #events { height: auto; min-height: 6; max-height: 70vh; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "close", "close", show=False, id="performing.close"),
        Binding("y", "copy", "copy", id="performing.copy", tooltip="Copy what happened"),
        Binding("X", "stop", "stop it", id="performing.stop", tooltip="Have its job give up; asks"),
    ]

    def __init__(self, deed: Deed) -> None:
        super().__init__()
        self._deed = deed

    def heading(self) -> str:
        """The act."""
        return self._deed.plan.title

    def content(self) -> Iterable[Widget]:
        """The events, and where it stands."""
        yield Words(id="events", focusable=True)
        yield Words(id="outcome")

    def on_mount(self) -> None:
        """Begin it, where it is not begun, and follow it."""
        self._deed.watchers.append(self._show)
        if not self._deed.begun:
            self._deed.begin(cast("MuvaApp", self.app))
        self._show()
        self.set_interval(1.0, self._show)

    def on_unmount(self) -> None:
        """Follow it no more."""
        if self._show in self._deed.watchers:
            self._deed.watchers.remove(self._show)

    def _show(self) -> None:
        if not self.is_attached:
            return
        lines = []
        for event in self._deed.events:
            glyph, style = _EVENT[event.kind]
            text = (
                Content.styled(event.text, style) if event.kind is not EventKind.DONE else Content(event.text)
            )
            lines.append(Content.assemble(muted(f"{clock(event.at)} "), (f"{glyph} ", style), text))
        self._deed.looked_at = not self._deed.under_way
        self.refresh_bindings()
        events = self.query_one("#events", Words)
        at_end = events.is_vertical_scroll_end
        events.say(lines or [muted("◐ beginning …")])
        if at_end:
            events.scroll_end(animate=False)
        self.query_one("#outcome", Words).say([Content(""), outcome_line(self._deed)])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a job can be stopped, while it is under way."""
        if action == "stop":
            return bool(self._deed.job) and self._deed.under_way
        return super().check_action(action, parameters)

    def action_stop(self) -> None:
        """Ask, then have its job give up."""
        app = cast("MuvaApp", self.app)
        app.work_on("stopping", lambda: stop(app, self._deed), group="acts")

    def action_copy(self) -> None:
        """Copy what happened."""
        from muva_console.screens.copying import copy_text

        lines = [f"{clock(event.at)} {event.kind} {event.text}" for event in self._deed.events]
        text = "\n".join((self._deed.plan.title, *lines))
        self.app.run_worker(copy_text(self.app, CopyItem("what happened", text)))


async def stop(app: MuvaApp, deed: Deed) -> None:
    """Ask whether a job shall give up, and have it do so; what it has committed stays."""
    from muva_console.screens.answering import Asking

    lines = [
        Content.assemble("Have ", strong(deed.plan.title), " give up?"),
        muted("What is under way is cancelled and rolled back; what was committed before stays."),
    ]
    if await app.push_screen_wait(Asking("Stop it?", lines, [("stop", "Stop it")])) != "stop":
        return
    workspace = app.workspace

    async def give_up() -> None:
        from muva_console.ops.jobs.job import job_of

        job_of(workspace, deed.job).stop()

    await app.ask_ops(give_up)


def outcome_line(deed: Deed) -> Content:
    """Where an act stands: ``◐ under way for 12 s``, ``● done in 14 s, verified``, ``✖ failed after 3 s``."""
    took = duration(deed.took)
    if deed.refused is not None:
        return Content.assemble(("✖ ", "$t-fail"), " — ".join(deed.refused.lines()))
    if deed.under_way:
        held = "it goes on whatever becomes of this terminal" if deed.job else "closing this does not stop it"
        name = f" as job {deed.job}" if deed.job else ""
        return muted(f"◐ under way for {took}{name}; {held}")
    if deed.done is not None:
        seen = any(event.kind is EventKind.VERIFIED for event in deed.events)
        return Content.assemble(("● done", "$t-ok"), muted(f" in {took}{', verified' if seen else ''}"))
    return Content.assemble(("✖ failed", "$t-fail"), muted(f" after {took}; the journal has it"))
