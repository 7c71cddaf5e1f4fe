"""Operations ``migrations-rollback`` and ``migrations-forget``: undo the newest, or forget a record alone.

The two are different acts. A rollback runs a migration's own way back and removes its record in the same
transaction; to forget a record changes nothing of the schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from muva_console.ops.database.narrated import Tell, narrated
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.pg_errors import DatabaseError
from muva_console.ops.migrations.apply import ApplyMigrations
from muva_console.ops.migrations.apply_ground import Choice, Ground, Step
from muva_console.ops.migrations.apply_plan import commands_of
from muva_console.ops.migrations.applying import ApplyFailed, Applying
from muva_console.ops.migrations.files import LARGEST
from muva_console.ops.migrations.history import SCHEMA, TABLE, read_history
from muva_console.ops.migrations.locking import take
from muva_console.ops.migrations.model import Applied, History
from muva_console.ops.migrations.rollback_prepare import RECORDED, Undoing, prepare_rollback
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.text import sanitise_line

FORGET = f"DELETE FROM {SCHEMA}.{TABLE} WHERE version = $1 RETURNING version"  # noqa: S608 - names of ours


def forgetting(version: str) -> str:
    """The statement that removes a record, for a person. A version is digits alone in every plan of ours."""
    quoted = sanitise_line(version, cap=120).replace("'", "''")
    return f"DELETE FROM {SCHEMA}.{TABLE} WHERE version = '{quoted}'"  # noqa: S608 - shown, not run


class RollingBack(Applying):
    """One rollback: ways back are run as files are, and take their record with them."""

    removes = True
    kept = "undone, and its record removed"

    async def _record(self, step: Step) -> None:
        await self._session.execute("RESET SESSION AUTHORIZATION; RESET ROLE")
        rows = await self._session.fetch(FORGET, step.file.version)
        if len(rows) != 1:
            await self._session.execute("ROLLBACK")
            raise ApplyFailed(
                f"the record of {step.title} is gone: somebody removed it meanwhile",
                where=self._session.where,
                means="Rolled back: nothing of its way back was kept.",
                next="Plan it again.",
            )

    async def _reread(self, step: Step) -> None:
        """The way back is still what was planned. Raises ApplyFailed."""
        if not step.file.path.startswith(RECORDED):
            text = await self._ground.repository.read(step.sha, step.file.path, limit=LARGEST)
            if text is None or hashlib.sha256(text).hexdigest() != step.digest:
                raise self._stopped(step, "its down file changed since the plan was made")
            return
        now = (await read_history(self._ground.link)).applied.get(step.file.version)
        then = self._prepared.history.applied[step.file.version]
        if now is None or now.rollback != then.rollback:
            raise self._stopped(step, "the rollback that the history records changed since the plan was made")


class RollBackMigrations(ApplyMigrations):
    """Undo the newest migrations of an environment by their own ways back. An `Operation`."""

    name = "migrations-rollback"

    def __init__(self, ground: Ground, steps: int = 1, choice: Choice | None = None) -> None:
        super().__init__(ground, choice)
        self._steps = steps
        self._undoing: tuple[Plan, Undoing] | None = None

    def arguments(self) -> dict[str, Any]:
        """Of what a job makes it again; the versions are for whoever looks what an interrupted one left."""
        versions = [step.file.version for step in self._undoing[1].prepared.steps] if self._undoing else []
        return {"steps": self._steps, "choice": msgspec.to_builtins(self._choice), "versions": versions}

    async def plan(self) -> Plan:
        """Look, and say what would be undone. Raises NotApplicable with every reason (what is restore only
        among them), OpsError where it cannot be told.
        """
        ground = self._ground
        undoing = await prepare_rollback(ground, self._steps, self._choice)
        prepared = undoing.prepared
        titles = [step.title for step in prepared.steps]
        records = [
            PlannedCommand(
                ground.link.where,
                forgetting(step.file.version),
                "in the same transaction" if not step.script.mixed else "with its last part",
            )
            for step in prepared.steps
        ]
        shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
        again = f"muva migrations apply --env {ground.environment}" if undoing.pending else ""
        plan = Plan(
            operation=self.name,
            title=f"Roll back {count(len(titles), 'migration')}: {shown}",
            environment=ground.environment,
            target=ground.link.where,
            tier=Tier.TYPE_NAME if ground.production else Tier.CONFIRM,
            commands=(*commands_of(ground, prepared), *records),
            risks=tuple(self._risks(undoing)),
            undo=f"{again}; what is lost comes back by a restore alone"
            if again and undoing.losses
            else again,
            production=ground.production,
        )
        self._undoing = (plan, undoing)
        return plan

    def _risks(self, undoing: Undoing) -> list[str]:
        ground, prepared = self._ground, undoing.prepared
        risks = list(undoing.losses)
        risks.append("the code that runs may rely on what is undone: roll that back first")
        if prepared.stale:
            risks.append(f"{prepared.branch} as of the last fetch: {prepared.stale}")
        if undoing.pending:
            risks.append(
                f"{', '.join(undoing.pending[:5])} stay among the files of {ground.branch}: the next apply "
                "brings them again"
            )
        if ground.production and self._choice.without_backup:
            risks.append(f"without a fresh backup: {self._choice.without_backup}")
        elif ground.production:
            risks.append(f"the way back for data is {prepared.backup}")
        risks += [
            f"{step.file.path} can be left half undone, its record still there: it has statements that "
            "cannot run in a transaction, beside others"
            for step in prepared.steps
            if step.script.mixed
        ]
        return [*risks, *prepared.warnings]

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Undo what was planned, the newest first; ends with DONE or FAILED."""
        return narrated(lambda tell: self._undone(plan, tell), self.name)

    async def _undone(self, plan: Plan, tell: Tell) -> str:
        # the performer may have raised the tier and added risks; what would be done must be the same
        if self._undoing is None or self._undoing[0].commands != plan.commands:
            raise ApplyFailed("this plan is not the last one that was made here", next="Plan it again.")
        prepared = self._undoing[1].prepared
        self._undoing = None  # a plan is performed once
        try:
            await RollingBack(self._ground, self._choice, prepared, tell).run()
        except OpsError as error:
            await self._tell_invalid(prepared, tell, error)
            raise
        done = f"{count(len(prepared.steps), 'migration')} rolled back on {self._ground.environment}"
        try:
            history = await read_history(self._ground.link, statements=False)
        except OpsError as error:
            raise ApplyFailed(f"{done}; the history cannot be looked at: {error}", next=error.next) from None
        left = [step.title for step in prepared.steps if step.file.version in history.applied]
        if left:
            raise ApplyFailed(f"{done}, but the history holds again: {', '.join(left)}")
        tell(
            EventKind.VERIFIED,
            f"the history holds {count(len(history.applied), 'migration')}, {history.highest or 'none'} last",
        )
        await self._healthy(done, tell)
        return done


class ForgetMigration:
    """Remove the record of one version, and nothing else. An `Operation`."""

    name = "migrations-forget"

    def __init__(self, ground: Ground, version: str) -> None:
        self._ground, self._version = ground, version
        self._planned: tuple[Plan, Applied] | None = None

    async def plan(self) -> Plan:
        """Look whether there is such a record. Raises OpsError."""
        ground, link = self._ground, self._ground.link
        await ground.session().check()
        history = await read_history(link)
        row = self._row(history)
        title = f"{row.version}_{row.name}" if row.name else row.version
        ran = count(len(row.statements), "statement") if row.statements is not None else "no statements"
        plan = Plan(
            operation=self.name,
            title=f"Forget the record of {title}, and undo nothing",
            environment=ground.environment,
            target=link.where,
            tier=Tier.TYPE_NAME if ground.production else Tier.CONFIRM,
            commands=(
                PlannedCommand(link.where, forgetting(row.version), f"the record alone ({ran} in it)"),
            ),
            risks=(
                "the schema stays as it is: nothing that this migration did is undone",
                "it counts as pending then: the next apply runs its file again, and fails where what it "
                "makes is there already",
                "to undo it, `muva migrations rollback` without --record-only",
            ),
            undo=f"supabase migration repair --status applied {row.version}",
            production=ground.production,
        )
        self._planned = (plan, row)
        return plan

    def _row(self, history: History) -> Applied:
        row = history.applied.get(self._version)
        if row is None:
            raise OpsError(
                f"there is no record of {sanitise_line(self._version, cap=60)} on {self._ground.environment}",
                next=f"The newest there is {history.highest}." if history.highest else "",
            )
        return row

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Remove it; ends with DONE or FAILED."""
        return narrated(lambda tell: self._forgotten(plan, tell), self.name)

    async def _forgotten(self, plan: Plan, tell: Tell) -> str:
        if self._planned is None or self._planned[0].commands != plan.commands:
            raise ApplyFailed("this plan is not the last one that was made here", next="Plan it again.")
        then = self._planned[1]
        self._planned = None
        ground = self._ground
        session = ground.session()
        try:
            await session.open()
            await take(session, ground.link)
            if self._row(await read_history(ground.link)) != then:
                raise ApplyFailed("the record changed since the plan was made", next="Plan it again.")
            tell(EventKind.STEP, forgetting(then.version))
            rows = await session.fetch(FORGET, then.version)
        except DatabaseError as error:
            if session.usable:
                raise
            raise await self._told(error) from None
        finally:
            await session.close()
        if len(rows) != 1:
            raise ApplyFailed("there was no record any more; nothing was done")
        if then.version in (await read_history(ground.link, statements=False)).applied:
            raise ApplyFailed("it was removed, and is there again: somebody recorded it anew")
        tell(EventKind.VERIFIED, f"the history holds no {then.version}; the schema is as it was")
        return f"the record of {then.version} is gone on {ground.environment}; nothing was undone"

    async def _told(self, error: DatabaseError) -> OpsError:
        """The connection was lost: whether the record is gone."""
        question = self._ground.link.psql(f"SELECT version FROM {SCHEMA}.{TABLE}")  # noqa: S608
        try:
            self._ground.link.retry_now()
            there = self._version in (await read_history(self._ground.link, statements=False)).applied
        except OpsError:
            return ApplyFailed(
                f"{error}; whether the record is gone cannot be told", next=f"Look: {question}"
            )
        return ApplyFailed(f"{error}; the record is {'still there' if there else 'gone'}")
