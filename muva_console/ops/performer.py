"""The one place where the console acts: read-only mode, confirmation, locks and the journal.

An operation says what it would do and how; whether it may is decided here, and what became of it is
written down here. No other module calls `Operation.perform`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec import Struct
from msgspec.structs import replace

from muva_console.ops.act import Act, Acting, other_act
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal, JournalError, Redact
from muva_console.ops.journal.clean import clean_line
from muva_console.ops.operations import Event, Operation, Plan, Tier

PLAN_VALID = 60.0
"""Seconds for which a plan may be carried out. Ours: long enough to read it and type a name, too short for
the world to have become another."""
PLANS_KEPT = 64
CLOSE_TIMEOUT = 4.0
"""Seconds that acts under way may take to be abandoned and recorded when the console ends. Ours: below
the engine's own limit (engine.STOP_TIMEOUT)."""


class Confirmation(Struct, frozen=True, kw_only=True):
    """What the engineer answered to a plan."""

    confirmed: bool = False
    """The question was answered with yes."""
    typed: str = ""
    """What was typed where the environment's name is asked for."""


class Performer:
    """Prepares and performs operations for one engineer. Lives in one event loop, that of the ops."""

    def __init__(
        self,
        journal: Journal,
        engineer: Engineer,
        *,
        read_only: bool,
        redact: Redact,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.journal = journal
        self.engineer = engineer
        self.read_only = read_only
        self._redact = redact
        self._clock = clock
        self._prepared: OrderedDict[Plan, float] = OrderedDict()
        self._acts: dict[tuple[str, str], Act] = {}

    @property
    def acting(self) -> tuple[Acting, ...]:
        """What this process is doing now, e.g. for the question whether to quit."""
        return tuple(act.acting for act in self._acts.values())

    async def prepare(self, operation: Operation) -> Plan:
        """The operation's plan, fit to be shown and confirmed; valid for PLAN_VALID seconds, for one act.

        On production a plan that asks for a confirmation asks for the name. Where another console acts on
        the same target, the risks say so. Works in read-only mode too: looking is no act. Raises OpsError
        when the operation cannot be planned.
        """
        plan = await operation.plan()
        if plan.operation != operation.name:
            raise OpsError(f"defect: operation {operation.name} planned {plan.operation}")
        if plan.production and plan.tier is Tier.CONFIRM:
            plan = replace(plan, tier=Tier.TYPE_NAME)
        plan = replace(plan, risks=(*plan.risks, *await self._seen_by_others(plan)))
        self._prepared.pop(plan, None)
        self._prepared[plan] = self._clock()
        while len(self._prepared) > PLANS_KEPT:
            self._prepared.popitem(last=False)
        return plan

    async def perform(
        self, operation: Operation, plan: Plan, confirmation: Confirmation
    ) -> AsyncGenerator[Event, None]:
        """Carry out a prepared and confirmed plan; yields events, exactly one of them DONE or FAILED, last.

        Raises Refused, before anything has happened, in read-only mode, without the confirmation that the
        plan's tier asks for, with a plan that is too old, was carried out already or was not prepared here,
        while this process acts on the same target, and on production when the journal cannot record it.

        The begin is in the journal before the operation starts and the end before the last event is
        yielded. Closing the iteration or cancelling it abandons the act, and the journal says so; wrap it
        in `contextlib.aclosing`.
        """
        self._admit(operation, plan, confirmation)
        del self._prepared[plan]  # a second key press finds no plan
        key = (plan.environment, plan.target)
        act = Act(operation, plan, self.journal, self.engineer, self._redact)
        self._acts[key] = act  # no await since _admit looked
        try:
            await act.begin()
            act.start(lambda: self._acts.pop(key, None))
        except BaseException:
            self._acts.pop(key, None)
            raise
        async with aclosing(act.events()) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Abandon what is under way, bounded in time; each abandonment is recorded."""
        tasks = [task for act in tuple(self._acts.values()) if (task := act.abandon()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)

    def _admit(self, operation: Operation, plan: Plan, confirmation: Confirmation) -> None:
        title = clean_line(plan.title, self._redact) or plan.operation
        if self.read_only:
            raise Refused(
                f"read-only: {title} was not done",
                next="start muva without --read-only (and without [console] read_only) to act",
            )
        if plan.operation != operation.name:
            raise Refused(f"this plan is for {plan.operation}, not for {operation.name}")
        prepared = self._prepared.get(plan)
        if prepared is None:
            raise Refused(
                f"{title}: this plan was carried out already or was not made here", next="plan it again"
            )
        age = self._clock() - prepared
        if not 0 <= age <= PLAN_VALID:
            self._prepared.pop(plan, None)
            raise Refused(
                f"{title}: the plan is {age:.0f} s old",
                means=f"things may have changed; a plan is valid for {PLAN_VALID:.0f} s",
                next="plan it again",
            )
        _confirmed(plan, title, confirmation)
        held = self._acts.get((plan.environment, plan.target))
        if held is not None:
            raise Refused(
                f"{title}: {held.acting.title} is under way on {plan.target}",
                next="wait for its end, or abandon it",
            )

    async def _seen_by_others(self, plan: Plan) -> tuple[str, ...]:
        """Acts of other consoles on the same target, as risks; a journal that cannot be used is one too."""
        try:
            acts = await self.journal.open_acts(plan.environment)
            if not self.read_only:
                await self.journal.ready()
        except JournalError as error:
            then = "it will be refused" if plan.production else "it would go unrecorded"
            return (f"the journal cannot be used, so {then}: {error}",)
        return tuple(other_act(act) for act in acts if act.target == plan.target)


def _confirmed(plan: Plan, title: str, confirmation: Confirmation) -> None:
    match plan.tier:
        case Tier.NONE:
            return
        case Tier.CONFIRM:
            if not confirmation.confirmed:
                raise Refused(f"{title}: not confirmed, so not done")
        case Tier.TYPE_NAME:
            if not plan.environment or confirmation.typed.strip() != plan.environment:
                typed = "nothing was typed" if not confirmation.typed.strip() else "another name was typed"
                raise Refused(
                    f"{title}: not confirmed, so not done: {typed}",
                    next=f"type the environment's name: {plan.environment}",
                )
