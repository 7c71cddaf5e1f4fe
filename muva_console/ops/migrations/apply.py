"""The operation ``migrations-apply``: looks, plans, applies, and verifies what it says it did."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from muva_console.ops.database.narrated import Tell, narrated
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.migrations.apply_ground import Choice, Ground, Prepared
from muva_console.ops.migrations.apply_plan import plan_of
from muva_console.ops.migrations.apply_prepare import prepare
from muva_console.ops.migrations.applying import ApplyFailed, Applying, invalid_now
from muva_console.ops.migrations.history import read_history
from muva_console.ops.operations import Event, EventKind, Plan
from muva_console.ops.readings import Level


class ApplyMigrations:
    """Apply what is pending in an environment. An `Operation`."""

    name = "migrations-apply"

    def __init__(self, ground: Ground, choice: Choice | None = None) -> None:
        self._ground, self._choice = ground, choice or Choice()
        self._planned: tuple[Plan, Prepared] | None = None
        self._applying: Applying | None = None

    def arguments(self) -> dict[str, Any]:
        """Of what a job makes it again."""
        data: dict[str, Any] = msgspec.to_builtins(self._choice)
        return data

    def kept(self) -> dict[str, object]:
        """The versions that were applied and recorded, whatever came afterwards: status tells by whom."""
        applying = self._applying
        return {"applied": [step.file.version for step in applying.applied] if applying else []}

    async def plan(self) -> Plan:
        """Look, and say what would be done. Raises NothingToApply, NotApplicable with every reason, OpsError
        where it cannot be told.
        """
        prepared = await prepare(self._ground, self._choice)
        plan = plan_of(self._ground, self._choice, prepared, self.name)
        self._planned = (plan, prepared)
        return plan

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Apply what was planned; ends with DONE or FAILED, and raises nothing of its own. Left early, it
        cancels the statement on the server, which rolls back what is not committed.
        """
        return narrated(lambda tell: self._applied_and_verified(plan, tell), self.name)

    async def _applied_and_verified(self, plan: Plan, tell: Tell) -> str:
        # the performer may have raised the tier and added risks; what would be done must be the same
        if self._planned is None or self._planned[0].commands != plan.commands:
            raise ApplyFailed("this plan is not the last one that was made here", next="Plan it again.")
        _, prepared = self._planned
        self._planned = None  # a plan is performed once
        self._applying = applying = Applying(self._ground, self._choice, prepared, tell)
        try:
            await applying.run()
        except OpsError as error:
            await self._tell_invalid(prepared, tell, error)
            raise
        return await self._verified(prepared, tell)

    async def _tell_invalid(self, prepared: Prepared, tell: Tell, error: OpsError) -> None:
        """After a failure, too: an index that was left behind is named."""
        with contextlib.suppress(OpsError):
            for line in await invalid_now(self._ground, prepared):
                tell(EventKind.WARNING, line)

    async def _verified(self, prepared: Prepared, tell: Tell) -> str:
        where, steps = self._ground.environment, prepared.steps
        done = f"{count(len(steps), 'migration')} applied and recorded on {where}"
        try:
            history = await read_history(self._ground.link, statements=False)
            lacking = [step.title for step in steps if step.file.version not in history.applied]
            invalid = await invalid_now(self._ground, prepared)
        except OpsError as error:
            raise ApplyFailed(
                f"{done}; whether all is well afterwards cannot be told: {error}", next=error.next
            ) from None
        if lacking:
            raise ApplyFailed(f"the history of {where} lacks {', '.join(lacking)}, which was committed")
        tell(
            EventKind.VERIFIED, f"the history holds {count(len(steps), 'file')} more, {history.highest} last"
        )
        if invalid:
            raise ApplyFailed(f"{done}, but {invalid[0]}", means=" ".join(invalid[1:]))
        tell(EventKind.VERIFIED, "no invalid index was left behind")
        await self._healthy(done, tell)
        return done

    async def _healthy(self, done: str, tell: Tell) -> None:
        if self._ground.health is None:
            return
        bad = []
        for finding in await self._ground.health():
            line = f"{finding.title}: {finding.summary}"
            if finding.level in (Level.FAIL, Level.UNKNOWN):
                bad.append(line)
            else:
                tell(EventKind.WARNING if finding.level is Level.WARN else EventKind.VERIFIED, line)
        if bad:
            raise ApplyFailed(
                f"{done}, but {self._ground.environment} is not well, or it cannot be told: {bad[0]}",
                means=" ".join(bad[1:]),
                next="What was applied stays applied: roll it back, or mend what is wrong.",
            )
