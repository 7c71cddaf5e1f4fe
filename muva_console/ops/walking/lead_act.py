"""The act "deploy-lead": a deployment led to its end by a process of its own, confirmed once as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Event, EventKind, Operation, Plan, PlannedCommand, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import Exit, Level, utc_now
from muva_console.ops.runbooks.model import Step
from muva_console.ops.runbooks.standing import ItemView, State
from muva_console.ops.walking.leading import Ending, Leader
from muva_console.ops.walking.runs import read_run
from muva_console.ops.walking.walk import COMMIT, Walk

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

NAME = "deploy-lead"


class Lead:
    """Leads one run of a deployment's runbook. An `Operation`; each act within it is recorded as its own."""

    def __init__(self, workspace: Workspace, environment: str, run_id: str, *, approve: bool = False) -> None:
        """The run is one of the journal's. `approve`: acts that are another's by role are done too."""
        self._workspace = workspace
        self._environment = environment
        self._run_id = run_id
        self._approve = approve

    @property
    def name(self) -> str:
        """Stable name."""
        return NAME

    def arguments(self) -> dict[str, Any]:
        """What its builder makes it of again."""
        return {"run": self._run_id, "approve": self._approve}

    async def plan(self) -> Plan:
        """Every act that the runbook may come to; those that have happened by then are not done. Raises
        OpsError where there is no such run.
        """
        run = await read_run(self._workspace, self._run_id)
        production = self._workspace.config.environments[self._environment].production
        steps = [step for step in run.runbook.steps if step.operation and (self._approve or not step.who)]
        waits = [step.title for step in run.runbook.steps if step.operation and step not in steps]
        commit = run.about.get(COMMIT, "")[:7]
        risks = ["every act of it is confirmed with this one, and done without a further question"]
        risks += [f"it waits for somebody else: {title}" for title in waits]
        return Plan(
            operation=NAME,
            title=f"Lead {run.runbook.title.lower()}: {commit}".rstrip(": "),
            environment=self._environment,
            target=f"the deployment to {self._environment}",
            tier=Tier.CONFIRM,
            commands=tuple(_command(step) for step in steps),
            risks=tuple(risks),
            undo="each act has a way back of its own; what is served is rolled back",
            production=production,
        )

    async def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Lead it; DONE when all is done, FAILED with what to do next where a person is needed."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        walk = await Walk.resume(self._workspace, self._run_id)
        face = _Told(self._workspace, self._environment, queue)
        leading = asyncio.create_task(Leader(walk, face, approve=self._approve).lead(), name="lead")
        try:
            while not leading.done() or not queue.empty():
                getting = asyncio.create_task(queue.get())
                await asyncio.wait({getting, leading}, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    yield getting.result()
                else:
                    getting.cancel()
            yield _last(leading.result(), self._run_id)
        finally:
            leading.cancel()
            with suppress(asyncio.CancelledError, OpsError):
                await leading


class _Told:
    """Turns what happens into events."""

    def __init__(self, workspace: Workspace, environment: str, queue: asyncio.Queue[Event]) -> None:
        self._workspace, self._environment, self._queue = workspace, environment, queue

    async def act(self, item: ItemView, operation: Operation) -> str | None:
        """Perform what was confirmed with the whole; its events are told as this one's."""
        performer = self._workspace.performer
        plan = await performer.prepare(operation)
        self._say(EventKind.STEP, plan.title)
        confirmation = Confirmation(confirmed=True, typed=self._environment)
        performed = performer.perform(operation, plan, confirmation)
        last: Event | None = None
        async with aclosing(performed):
            async for event in performed:
                last = event
                if event.kind is EventKind.DONE:
                    self._say(EventKind.VERIFIED, event.text)
                elif event.kind is EventKind.FAILED:
                    self._say(EventKind.WARNING, event.text)
                else:
                    self._queue.put_nowait(event)
        return last.text if last is not None and last.kind is EventKind.DONE else None

    def settled(self, item: ItemView) -> None:
        """An item stands otherwise than it did."""
        kind = {
            Level.OK: EventKind.VERIFIED,
            Level.WARN: EventKind.WARNING,
            Level.FAIL: EventKind.WARNING,
        }.get(item.level, EventKind.OUTPUT)
        self._say(kind, f"{item.step.title}: {item.summary}")

    async def waits(self, item: ItemView, walk: Walk) -> None:
        """What is waited for is told as it changes, by `settled`."""
        whose = f" ({item.step.who})" if item.step.who and item.state is State.PENDING else ""
        self._say(EventKind.STEP, f"waiting for: {item.step.title}{whose}")

    def _say(self, kind: EventKind, text: str) -> None:
        self._queue.put_nowait(Event(kind=kind, text=text, at=utc_now()))


def _last(ending: Ending, run_id: str) -> Event:
    if ending.status == Exit.OK:
        open_ = [item.step.title for item in ending.view.items if item.open]
        left = f"; for a person: {', '.join(open_)}" if open_ else ""
        return Event(kind=EventKind.DONE, text=f"deployed{left}", at=utc_now())
    where = f"{ending.item.step.title}: " if ending.item is not None else ""
    lines = [
        f"it stopped at {where}{ending.why}",
        ending.next,
        f"Go on with it: muva deploy --run {run_id[:12]}",
    ]
    return Event(kind=EventKind.FAILED, text="\n".join(line for line in lines if line), at=utc_now())


def _command(step: Step) -> PlannedCommand:
    return PlannedCommand(where="here", line=step.command or step.operation, why=step.title)


def build(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> Operation:
    """The act made again in a job's own process: ``run`` and ``approve``."""
    run_id, approve = str(arguments.get("run", "")), bool(arguments.get("approve"))
    return Lead(workspace, environment, run_id, approve=approve)


async def aftermath(workspace: Workspace, environment: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """What an interrupted one has left: the run as the journal has it. Raises OpsError."""
    run = await read_run(workspace, str(arguments.get("run", "")))
    done = [item.step.title for item in run.items if item.step.operation and _well(item.sensed)]
    told = f"done: {', '.join(done)}" if done else "nothing of it was done"
    return (told, f"muva deploy --env {environment} --run {run.id[:12]} goes on where it stands")


def _well(sensed: object) -> bool:
    findings = getattr(sensed, "findings", ())
    return bool(findings) and all(finding.level in (Level.OK, Level.WARN) for finding in findings)
