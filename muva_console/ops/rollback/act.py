"""The act "rollback": the release that serves goes, the last good one comes back.

Nine steps (our incidents.md): freeze, lock, candidate, schema gate, build beside, put in place, restart,
verify, mark. The five in the middle are a job on each host; planned again while one goes on, this act takes
it up where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import cast

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import Deed, engineer_of, step, verified, warning
from muva_console.ops.deploys.lock import HeldError, new_owner, read_lock, take
from muva_console.ops.errors import LinkError, OpsError, Refused
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.links.base import HostLink
from muva_console.ops.operations import Event, EventKind, Operation, Plan, PlannedCommand, Tier
from muva_console.ops.rollback.backup_choice import backup_of
from muva_console.ops.rollback.begun import Underway, links_of, new_id, open_rollback
from muva_console.ops.rollback.following import Follower
from muva_console.ops.rollback.freeze import freeze
from muva_console.ops.rollback.host_job import FOLDER, script, start
from muva_console.ops.rollback.marking import conclude, let_go
from muva_console.ops.rollback.planning import commands_of, parameters_of, risks_of
from muva_console.ops.rollback.release import GoingBack, going_back
from muva_console.ops.text import sanitise_line

LEAST_REASON = 8
"""Characters of a reason. Ours: "broken" helps nobody tomorrow."""
LOOK_ONLY = "look_only"
"""The parameter that says that it is planned to be looked at: without a reason."""
AUTO = "auto"
"""The backup that was taken while the good release served."""


class Rollback(Deed):
    """Go back to a release that was good, on every host of the environment."""

    NAME = "rollback"

    def __init__(self, ctx: CheckContext, restoring: Callable[[Path], Operation] | None = None) -> None:
        """`ctx.parameters`: ``reason``; ``to``, a commit; ``despite_schema``, why the schema's gate is passed
        over; ``restore``, a backup's file, or "auto". With it, `restoring` makes the act that restores the
        database from a file.
        """
        super().__init__(ctx)
        self._restoring = restoring
        self._restore: tuple[Operation, Plan] | None = None
        self._planned_way: GoingBack | None = None
        self._open: Underway | None = None
        self._begun: Underway | None = None
        self._stop = ""
        self._kept: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was gone back to, and how each host ended."""
        return self._kept

    async def _plan(self, ctx: CheckContext) -> Plan:
        self._open = await open_rollback(ctx)
        if self._open is not None:
            return self._plan_to_go_on(ctx, self._open)
        way = await going_back(ctx, str(ctx.parameters.get("to", "") or ""))
        self._planned_way = way
        reason = await _reason(ctx)
        if len(reason) < LEAST_REASON and not ctx.parameters.get(LOOK_ONLY):
            raise Refused("a rollback needs its reason", next="--reason: what is wrong with what serves?")
        await self._plan_restore(ctx, way)
        despite = self._despite(way)
        for link in links_of(ctx):
            lock = await read_lock(link, ctx.environment_name)
            if lock.held and not (lock.owner is not None and lock.owner.is_of(engineer_of(ctx))):
                raise HeldError(lock)
        good = way.good
        version = f" (v{good.version})" if good.version else ""
        production = ctx.environment.production
        data = " with its database" if self._restore is not None else ""
        risks = risks_of(ctx, way, despite)
        risks.append(f"told as the reason: {reason}" if reason else "no reason is given yet: --reason")
        if self._restore is not None:
            risks = [f"the database: {risk}" for risk in self._restore[1].risks] + risks
        return self._planned(
            f"Roll {ctx.environment_name}{data} back to {good.commit[:7]}{version}",
            f"{ctx.environment.directory} on {', '.join(ctx.environment.hosts)}",
            await commands_of(ctx, way, None if self._restore is None else self._restore[1]),
            risks=risks,
            undo=f"deploy {way.old[:7]} again, mended; where this fails, what serves now is put back",
            tier=Tier.TYPE_NAME if production or despite else Tier.CONFIRM,
        )

    def _plan_to_go_on(self, ctx: CheckContext, found: Underway) -> Plan:
        command = f"cat ~/{FOLDER}/{ctx.environment_name}/{found.id}/events"
        return self._planned(
            f"Go on with the rollback to {found.commit[:7]} that was begun",
            f"rollback {found.id} on {', '.join(found.hosts)}",
            [
                PlannedCommand(host, command, f"it is at {at}")
                for host, at in zip(found.hosts, found.at, strict=True)
            ],
            risks=["where its process is gone, what served before is put back"],
            undo=f"deploy {found.old[:7]} again, mended",
        )

    async def _plan_restore(self, ctx: CheckContext, way: GoingBack) -> None:
        self._restore = None
        asked = str(ctx.parameters.get("restore", "") or "")
        if not asked:
            return
        if self._restoring is None:
            raise OpsError("a database is not restored from here", next="muva rollback --restore-db")
        file = await backup_of(ctx, way.good, way.old) if asked == AUTO else Path(asked)
        operation = self._restoring(file)
        self._restore = (operation, await operation.plan())

    def _despite(self, way: GoingBack) -> str:
        told = sanitise_line(str(self._ctx.parameters.get("despite_schema", "") or ""), cap=300).strip()
        if way.gate.open:
            return ""
        if self._restore is not None:
            return f"{self._restore[1].title}, before the old code starts"
        if len(told) < LEAST_REASON:
            raise Refused(
                "the schema has moved on in a way that the old code may not live with:\n  "
                + "\n  ".join(way.gate.against),
                means="code goes back by a rollback, the schema does not",
                next="Undo the migrations (`muva migrations rollback`), go back with the database "
                "(--restore-db), or say --despite-schema REASON where it is harmless.",
            )
        return told

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        job = self._open
        if job is not None:
            yield step(f"going on with rollback {job.id}: {job.reason}")
        else:
            async for event in self._begin(ctx):
                yield event
            job = self._begun
            assert job is not None
        several = len(job.hosts) > 1
        followers = [
            Follower(ctx.hosts[host], ctx.environment_name, job.id, prefix=f"{host}: " if several else "")
            for host in job.hosts
        ]
        # every host is built before the first is changed; one after the other, for what they tell is kept
        for follower in followers:
            async for event in follower.follow(lambda one: one.phase == "hold" and one.alive):
                yield event
        if all(one.waits for one in followers):
            async for event in self._restored(job):
                yield event
        go_on = not self._stop and not any(one.outcome == "untouched" for one in followers)
        for follower in followers:
            if follower.waits:
                await follower.tell("go" if go_on else "stop")
            async for event in follower.follow(lambda one: False):
                yield event
            go_on = go_on and follower.outcome == "rolled-back"  # the hosts after it stay as they are
        heard = {one.heard.host: one.heard for one in followers if one.heard is not None}
        self._kept = {
            "rollback": job.id,
            "commit": job.commit,
            "from": job.old,
            "hosts": {host: f"{one.outcome}: {one.why}" for host, one in heard.items()},
        }
        async for event in conclude(ctx, job, heard, stopped=self._stop):
            yield event

    async def _begin(self, ctx: CheckContext) -> AsyncGenerator[Event, None]:
        """Freeze, lock, and the job on every host."""
        assert self._planned_way is not None
        yield step("looking again at what serves, and at the schema")
        way = await going_back(ctx, self._planned_way.good.commit)
        if (way.serving, way.gate) != (self._planned_way.serving, self._planned_way.gate):
            raise OpsError(
                "another release serves by now, or the schema moved on",
                means="nothing was done",
                next="Plan it again.",
            )
        reason = await _reason(ctx)
        async for event in freeze(ctx, reason):
            yield event
        job = Underway(
            id=new_id(),
            commit=way.good.commit,
            old=way.old,
            reason=reason,
            restore=self._restore[1].title if self._restore is not None else "",
            hosts=tuple(ctx.environment.hosts),
        )
        owner = new_owner(
            engineer_of(ctx), f"rolled back from {job.old[:7]}: {reason}", version=job.commit[:7]
        )
        yield step("taking the lock")
        taken = await take(links_of(ctx), ctx.environment_name, owner)
        where = ", ".join(link.host for link in taken)
        yield verified(f"locked on {where}" if where else "the lock was yours already")
        yield step("beginning the job on each host")
        try:
            for link in links_of(ctx):
                await _started(
                    link, ctx.environment_name, job.id, script(parameters_of(ctx, way, link.host, job))
                )
        except OpsError:
            # what was begun elsewhere waits for a word, and gives up without one
            async for event in let_go(taken, ctx.environment_name, owner.token):
                yield event
            raise
        self._begun = job

    async def _restored(self, job: Underway) -> AsyncGenerator[Event, None]:
        """The database as the backup has it, while what is built waits; nothing for code alone. Where that
        fails, or another console was at it, `_stop` says why nothing is put in place.
        """
        if self._restore is None:
            if job.restore:
                self._stop = f"whether “{job.restore}” was done is not known here"
                yield warning(f"{self._stop}: nothing is put in place")
            return
        operation, plan = self._restore
        yield step(plan.title)
        async with aclosing(cast("AsyncGenerator[Event, None]", operation.perform(plan))) as performed:
            async for event in performed:
                if event.kind is EventKind.DONE:
                    yield verified(event.text)
                elif event.kind is EventKind.FAILED:
                    self._stop = f"the database was not restored: {event.text}"
                    yield warning(self._stop)
                else:
                    yield event


async def _reason(ctx: CheckContext) -> str:
    """What was given; else what the open incident is about; else what a runbook's step gives for it."""
    told = sanitise_line(str(ctx.parameters.get("reason", "") or ""), cap=300).strip()
    if told:
        return told
    incident = await Desk(ctx.going_out().journal).current(ctx.environment_name)
    if incident is not None:
        return f"{incident.name}: {incident.title}"
    return sanitise_line(str(ctx.parameters.get("otherwise", "") or ""), cap=300).strip()


async def _started(link: HostLink, environment: str, id: str, job: bytes) -> None:
    """Begun, also where the answer is lost: beginning it twice is beginning it once."""
    try:
        await start(link, environment, id, job)
    except LinkError:
        await asyncio.sleep(1.0)
        await start(link, environment, id, job)


def factory(ctx: CheckContext) -> Rollback:
    """The act for an environment."""
    return Rollback(ctx)
