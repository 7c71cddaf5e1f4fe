"""The act "rollback": the release that serves goes, the last good one comes back.

Nine steps (our incidents.md): freeze, lock, candidate, schema gate, build beside, put in place, restart,
verify, mark. The five in the middle are a job on each host; planned again while one goes on, this act takes
it up where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import cast
from uuid import uuid4

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import Deed, done, engineer_of, step, verified, warning
from muva_console.ops.deploys.lock import HeldError, drop, new_owner, read_lock, take
from muva_console.ops.deploys.record_act import record
from muva_console.ops.errors import LinkError, OpsError, Refused
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.links.base import HostLink
from muva_console.ops.operations import Event, EventKind, Operation, Plan, PlannedCommand, Tier
from muva_console.ops.readings import utc_now
from muva_console.ops.release.records import Deployment, DeploymentKind, Status
from muva_console.ops.rollback.backup_choice import backup_of
from muva_console.ops.rollback.begun import Open, links_of, open_rollback, record_id
from muva_console.ops.rollback.following import Follower
from muva_console.ops.rollback.freeze import freeze
from muva_console.ops.rollback.host_job import FOLDER, Heard, script, start
from muva_console.ops.rollback.planning import commands_of, parameters_of, risks_of
from muva_console.ops.rollback.release import GoingBack, going_back
from muva_console.ops.rollback.seeing import IN_A_ROW, seen_from_here
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
        self._open: Open | None = None
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

    def _plan_to_go_on(self, ctx: CheckContext, found: Open) -> Plan:
        command = f"cat ~/{FOLDER}/{ctx.environment_name}/{found.id}/events"
        return self._planned(
            f"Go on with the rollback to {found.commit[:7]} that was begun",
            f"rollback {found.id} on {', '.join(found.heard)}",
            [
                PlannedCommand(host, command, f"it is at {one.outcome or one.phase or 'its beginning'}")
                for host, one in found.heard.items()
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
        began = utc_now()
        reason = await _reason(ctx)
        if self._open is not None:
            name, commit, old = self._open.id, self._open.commit, self._open.old
            reason = self._open.reason or reason
            yield step(f"going on with rollback {name}: {reason}")
        else:
            assert self._planned_way is not None
            if len(reason) < LEAST_REASON:
                raise Refused("a rollback needs its reason", next="--reason: what is wrong with what serves?")
            yield step("looking again at what serves, and at the schema")
            way = await going_back(ctx, self._planned_way.good.commit)
            if (way.serving, way.gate) != (self._planned_way.serving, self._planned_way.gate):
                raise OpsError(
                    "another release serves by now, or the schema moved on",
                    means="nothing was done",
                    next="Plan it again.",
                )
            async for event in freeze(ctx, reason):
                yield event
            name, commit, old = f"{began:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}", way.good.commit, way.old
            owner = new_owner(engineer_of(ctx), f"rolled back from {old[:7]}: {reason}", version=commit[:7])
            yield step("taking the lock")
            taken = await take(links_of(ctx), ctx.environment_name, owner)
            yield verified(
                f"locked on {', '.join(link.host for link in taken) or 'no host: it was yours already'}"
            )
            yield step("beginning the job on each host")
            file = self._restore[1].title if self._restore is not None else ""
            try:
                for link in links_of(ctx):
                    job = script(parameters_of(ctx, way, link.host, name, reason, restore=file))
                    await _started(link, ctx.environment_name, name, job)
            except OpsError:
                # what was begun elsewhere waits for a word, and gives up without one
                async for event in _let_go(taken, ctx.environment_name, owner.token):
                    yield event
                raise
        followers = {
            link.host: Follower(
                link, ctx.environment_name, name, prefix=f"{link.host}: " if len(links_of(ctx)) > 1 else ""
            )
            for link in links_of(ctx)
            if self._open is None or link.host in self._open.heard
        }
        async for event in _all_built(ctx, name, followers):
            yield event
        waiting = all(one.heard is not None and not one.heard.ended for one in followers.values())
        if self._open is not None and self._open.restore and waiting:
            self._stop = f"whether “{self._open.restore}” was done is not known here"
            yield warning(f"{self._stop}: nothing is put in place")
        elif self._restore is not None and waiting:
            async for event in self._restored():
                yield event
        for follower in followers.values():
            heard = follower.heard
            if heard is not None and not heard.ended:
                if self._stop or any(
                    one.heard is not None and one.heard.outcome == "untouched" for one in followers.values()
                ):
                    await follower.tell("stop")
                elif heard.phase == "hold":
                    await follower.tell("go")
                async for event in follower.follow(lambda one: False):
                    yield event
            assert follower.heard is not None
            if follower.heard.outcome != "rolled-back":
                break  # the hosts after it stay as they are
        for follower in followers.values():
            if follower.heard is not None and not follower.heard.ended:
                await follower.tell("stop")
                async for event in follower.follow(lambda one: False):
                    yield event
        heard_all = {host: one.heard for host, one in followers.items() if one.heard is not None}
        self._kept = {
            "rollback": name,
            "commit": commit,
            "from": old,
            "hosts": {host: f"{one.outcome}: {one.why}" for host, one in heard_all.items()},
        }
        async for event in self._ending(ctx, name, commit, old, reason, began, heard_all):
            yield event

    async def _restored(self) -> AsyncGenerator[Event, None]:
        """The database as the backup has it, while what is built waits. Where that fails, nothing is put in
        place: `_stop` says so to the hosts.
        """
        assert self._restore is not None
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

    async def _ending(
        self,
        ctx: CheckContext,
        id: str,
        commit: str,
        old: str,
        reason: str,
        began: datetime,
        heard: dict[str, Heard],
    ) -> AsyncGenerator[Event, None]:
        good = all(one.outcome == "rolled-back" for one in heard.values())
        for host, one in heard.items():
            told = f"{host} serves {_serves(one, commit, old)}: {one.why}"
            yield verified(told) if one.outcome == "rolled-back" else warning(told)
        seen = ""
        if good and ctx.environment.url is not None:
            yield step("looking from outside")
            seen = await seen_from_here(ctx, commit)
        if not good or seen:
            await self._record(ctx, id, commit, old, reason or seen, began, good=False, live=good)
            untouched = all(one.outcome == "untouched" for one in heard.values())
            if untouched:
                async for event in _let_go_ours(ctx):
                    yield event
            what = self._stop or (
                f"the hosts are well with {commit[:7]}, and from outside it is not: {seen}"
                if good
                else "; ".join(f"{host}: {_serves(one, commit, old)} serves" for host, one in heard.items())
            )
            raise OpsError(
                what if good else f"not rolled back: {what}",
                means="nothing that serves was changed" if untouched else "",
                next="`muva diagnose` looks again; the log is in "
                f"~/{FOLDER}/{ctx.environment_name}/{id}/log on the host.",
            )
        if ctx.environment.url is not None:
            yield verified(f"from outside: well {IN_A_ROW} times in a row, with {commit[:7]}")
        entry = await self._record(ctx, id, commit, old, reason, began, good=True, live=True)
        yield verified(f"{old[:7]} is marked as taken back: entry {entry} of the journal")
        yield done(f"{ctx.environment_name} serves {commit[:7]} again; the lock stays until a fix is out")

    async def _record(
        self,
        ctx: CheckContext,
        id: str,
        commit: str,
        old: str,
        reason: str,
        began: datetime,
        *,
        good: bool,
        live: bool,
    ) -> int:
        now = utc_now()
        made = Deployment(
            id=record_id(ctx, id),
            environment=ctx.environment_name,
            started=began,
            finished=now,
            duration=(now - began).total_seconds(),
            commit=commit,
            branch=ctx.environment.branch,
            status=Status.SUCCESS if good else Status.FAILED,
            kind=DeploymentKind.ROLLBACK,
            live=live,
            rolls_back=old if good else "",
            incident=sanitise_line(str(ctx.parameters.get("incident", "") or ""), cap=120),
            error=reason,
        )
        entry, _ = await record(ctx, made)
        return entry


async def _reason(ctx: CheckContext) -> str:
    """What was given; else what the open incident is about; else what a runbook's step gives for it."""
    told = sanitise_line(str(ctx.parameters.get("reason", "") or ""), cap=300).strip()
    if told:
        return told
    incident = await Desk(ctx.going_out().journal).current(ctx.environment_name)
    if incident is not None:
        return f"{incident.name}: {incident.title}"
    return sanitise_line(str(ctx.parameters.get("otherwise", "") or ""), cap=300).strip()


def _serves(heard: Heard, commit: str, old: str) -> str:
    """Which release a host serves, as far as it told."""
    return {"rolled-back": commit[:7], "untouched": old[:7], "returned": old[:7]}.get(
        heard.outcome, "it is not known what"
    )


async def _started(link: HostLink, environment: str, id: str, job: bytes) -> None:
    """Begun, also where the answer is lost: beginning it twice is beginning it once."""
    try:
        await start(link, environment, id, job)
    except LinkError:
        await asyncio.sleep(1.0)
        await start(link, environment, id, job)


async def _all_built(
    ctx: CheckContext, id: str, followers: Mapping[str, Follower]
) -> AsyncGenerator[Event, None]:
    """Every host until it waits for the word or ended; one after the other, for what they tell is kept."""
    for follower in followers.values():
        async for event in follower.follow(lambda one: one.phase == "hold" and one.alive):
            yield event


async def _let_go(links: tuple[HostLink, ...], environment: str, token: str) -> AsyncGenerator[Event, None]:
    for link in links:
        try:
            await drop(link, environment, token)
        except OpsError as error:
            yield warning(f"the lock on {link.host} could not be let go: {error.what}")


async def _let_go_ours(ctx: CheckContext) -> AsyncGenerator[Event, None]:
    """Nothing was changed: nobody needs to wait for it."""
    for link in links_of(ctx):
        lock = await read_lock(link, ctx.environment_name)
        if lock.held and lock.owner is not None and lock.owner.is_of(engineer_of(ctx)):
            async for event in _let_go((link,), ctx.environment_name, lock.token):
                yield event


def factory(ctx: CheckContext) -> Rollback:
    """The act for an environment."""
    return Rollback(ctx)
