"""The act "rollback": the release that serves goes, the last good one comes back.

Nine steps (our incidents.md): freeze, lock, candidate, schema gate, build beside, put in place, restart,
verify, mark. The five in the middle are a job on each host; planned again while one goes on, this act takes
it up where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from shlex import quote
from uuid import uuid4

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import Deed, done, engineer_of, here, step, verified, warning
from muva_console.ops.deploys.lock import HeldError, drop, mkdir_line, new_owner, read_lock, take
from muva_console.ops.deploys.record_act import record
from muva_console.ops.errors import LinkError, OpsError, Refused
from muva_console.ops.health.document import read_document
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.links.base import HostLink
from muva_console.ops.operations import Event, Plan, PlannedCommand, Tier
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.readings import utc_now
from muva_console.ops.release.records import Deployment, DeploymentKind, Status, read_deployments
from muva_console.ops.release.served import same
from muva_console.ops.rollback.following import Follower
from muva_console.ops.rollback.freeze import freeze, under_way
from muva_console.ops.rollback.host_job import FOLDER, Heard, hear, script, start, word
from muva_console.ops.rollback.release import GoingBack, going_back, serving_of
from muva_console.ops.text import sanitise_line

LEAST_REASON = 8
"""Characters of a reason. Ours: "broken" helps nobody tomorrow."""
HOLD = 1800
"""Seconds for which a host that is built waits for the others. Ours."""
SEEN_FROM_HERE = 3
"""Good answers in a row from outside, after the hosts' own. Ours."""
SEEN_WITHIN = 60.0
"""Seconds for them."""
_SPARE = 20000
"""Added to the application's port: where a port to try on is looked for. Ours."""


class Open(Struct, frozen=True, kw_only=True):
    """A rollback that was begun and is not marked yet."""

    id: str
    commit: str
    old: str
    reason: str
    heard: dict[str, Heard]


async def open_rollback(ctx: CheckContext) -> Open | None:
    """The newest, where its job goes on, was broken off, or ended well, is not recorded and serves still.
    Raises OpsError where a host cannot be asked.
    """
    links = _links(ctx)
    told = await asyncio.gather(*(hear(link, ctx.environment_name) for link in links))
    newest = max((one.id for one in told if one is not None), default="")
    heard = {one.host: one for one in told if one is not None and one.id == newest}
    if not newest:
        return None
    first = next(iter(heard.values()))
    if all(one.ended for one in heard.values()):
        if not all(one.outcome == "rolled-back" for one in heard.values()):
            return None
        known = await read_deployments(ctx.going_out().journal, ctx.environment_name)
        serving, _, _ = await serving_of(ctx)
        if any(one.id == _record_id(ctx, newest) for one in known) or set(serving.values()) != {first.commit}:
            return None
    return Open(id=newest, commit=first.commit, old=first.old, reason=first.reason, heard=heard)


class Rollback(Deed):
    """Go back to a release that was good, on every host of the environment."""

    NAME = "rollback"

    def __init__(self, ctx: CheckContext) -> None:
        """`ctx.parameters`: ``reason``; ``to``, a commit; ``despite_schema``, why the schema's gate is passed
        over.
        """
        super().__init__(ctx)
        self._planned_way: GoingBack | None = None
        self._open: Open | None = None
        self._kept: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """What was gone back to, and how each host ended."""
        return self._kept

    async def _plan(self, ctx: CheckContext) -> Plan:
        self._open = await open_rollback(ctx)
        if self._open is not None:
            return self._plan_to_go_on(ctx, self._open)
        way = await going_back(ctx, str(ctx.parameters.get("to", "") or ""))
        despite = self._despite(way)
        self._planned_way = way
        for link in _links(ctx):
            lock = await read_lock(link, ctx.environment_name)
            if lock.held and not (lock.owner is not None and lock.owner.is_of(engineer_of(ctx))):
                raise HeldError(lock)
        good = way.good
        version = f" (v{good.version})" if good.version else ""
        production = ctx.environment.production
        return self._planned(
            f"Roll {ctx.environment_name} back to {good.commit[:7]}{version}",
            f"{ctx.environment.directory} on {', '.join(ctx.environment.hosts)}",
            await self._commands(ctx, way),
            risks=_risks(ctx, way, despite),
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

    def _despite(self, way: GoingBack) -> str:
        told = sanitise_line(str(self._ctx.parameters.get("despite_schema", "") or ""), cap=300).strip()
        if way.gate.open:
            return ""
        if len(told) < LEAST_REASON:
            raise Refused(
                "the schema has moved on in a way that the old code may not live with:\n  "
                + "\n  ".join(way.gate.against),
                means="code goes back by a rollback, the schema does not",
                next="Undo the migrations (`muva migrations rollback`), restore the database "
                "(`muva db restore`), or say --despite-schema REASON where it is harmless.",
            )
        return told

    async def _commands(self, ctx: CheckContext, way: GoingBack) -> list[PlannedCommand]:
        settings, environment = ctx.environment.rollback, ctx.environment
        directory, short = environment.directory or "", way.good.commit[:7]
        runs = await under_way(ctx)
        commands = [
            here(f"gh run cancel {run.id}", "it is queued, and would deploy over this") for run in runs.queued
        ]
        commands += [
            here(f"gh run view {run.id}", "rejected: it waits for an approval") for run in runs.waiting
        ]
        commands += [
            here(f"gh run watch {run.id}", "waited for: it may be in a migration") for run in runs.going
        ]
        build = settings.build or ctx.config.project.build
        for host in environment.hosts:
            commands += [
                PlannedCommand(
                    host, mkdir_line(ctx.environment_name), "the lock; it stays until a fix is out"
                ),
                PlannedCommand(
                    host,
                    f"cd {quote(directory)} && git worktree add BESIDE {short}",
                    "as a job of its own there",
                ),
                PlannedCommand(host, f"cd BESIDE && {build}", "beside: what serves is not touched"),
            ]
            if settings.start:
                commands.append(
                    PlannedCommand(host, f"PORT=SPARE {settings.start}", "tried beside, and ended again")
                )
            flip = (
                f"ln -s BESIDE next && mv -T next {quote(directory)}"
                if settings.way == "symlink"
                else f"cd {quote(directory)} && mv what was built into it && git reset --hard {short}"
            )
            restart, _, save = _pm2_lines(ctx, host)
            commands += [
                PlannedCommand(host, flip),
                PlannedCommand(host, restart),
                PlannedCommand(
                    host,
                    f"curl http://127.0.0.1:{environment.port}{environment.health}",
                    f"{settings.passes} good answers in a row, else what serves now is put back",
                ),
                PlannedCommand(host, save),
            ]
        return commands

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
            taken = await take(_links(ctx), ctx.environment_name, owner)
            yield verified(
                f"locked on {', '.join(link.host for link in taken) or 'no host: it was yours already'}"
            )
            yield step("beginning the job on each host")
            try:
                for link in _links(ctx):
                    job = script(_parameters(ctx, way, link.host, name, reason))
                    await _started(link, ctx.environment_name, name, job)
            except OpsError:
                # what was begun elsewhere waits for a word, and gives up without one
                async for event in _let_go(taken, ctx.environment_name, owner.token):
                    yield event
                raise
        followers = {
            link.host: Follower(
                link, ctx.environment_name, name, prefix=f"{link.host}: " if len(_links(ctx)) > 1 else ""
            )
            for link in _links(ctx)
            if self._open is None or link.host in self._open.heard
        }
        async for event in _all_built(ctx, name, followers):
            yield event
        for host, follower in followers.items():
            heard = follower.heard
            if heard is not None and not heard.ended:
                if any(
                    one.heard is not None and one.heard.outcome == "untouched" for one in followers.values()
                ):
                    await word(ctx.hosts[host], ctx.environment_name, name, "stop")
                elif heard.phase == "hold":
                    await word(ctx.hosts[host], ctx.environment_name, name, "go")
                async for event in follower.follow(lambda one: False):
                    yield event
            assert follower.heard is not None
            if follower.heard.outcome != "rolled-back":
                break  # the hosts after it stay as they are
        for host, follower in followers.items():
            if follower.heard is not None and not follower.heard.ended:
                await word(ctx.hosts[host], ctx.environment_name, name, "stop")
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
            seen = await _seen(ctx, commit)
        if not good or seen:
            await self._record(ctx, id, commit, old, reason or seen, began, good=False, live=good)
            untouched = all(one.outcome == "untouched" for one in heard.values())
            if untouched:
                async for event in _let_go_ours(ctx):
                    yield event
            what = (
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
            yield verified(f"from outside: well {SEEN_FROM_HERE} times in a row, with {commit[:7]}")
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
            id=_record_id(ctx, id),
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
    """What was given; else what the open incident is about."""
    told = sanitise_line(str(ctx.parameters.get("reason", "") or ""), cap=300).strip()
    if told:
        return told
    incident = await Desk(ctx.going_out().journal).current(ctx.environment_name)
    return "" if incident is None else incident.title


def _record_id(ctx: CheckContext, id: str) -> str:
    return f"{ctx.environment_name}/rollback/{id}"


def _serves(heard: Heard, commit: str, old: str) -> str:
    """Which release a host serves, as far as it told."""
    return {"rolled-back": commit[:7], "untouched": old[:7], "returned": old[:7]}.get(
        heard.outcome, "it is not known what"
    )


def _links(ctx: CheckContext) -> tuple[HostLink, ...]:
    if not ctx.environment.hosts:
        raise OpsError(f"{ctx.environment_name} has no hosts: there is nothing to roll back")
    return tuple(ctx.hosts[host] for host in ctx.environment.hosts)


def _pm2_lines(ctx: CheckContext, host: str) -> tuple[str, str, str]:
    """Restarting, the processes' numbers, and saving, as lines of the host's shell."""
    config, names = ctx.config.hosts[host], ctx.environment.processes
    if not names:
        raise OpsError(
            f"which processes run {ctx.environment_name} is not known",
            next=f"Give [environments.{ctx.environment_name}] processes.",
        )
    restart = " && ".join(pm2_line(config, "restart", name) for name in names)
    return restart, "; ".join(pm2_line(config, "pid", name) for name in names), pm2_line(config, "save")


def _parameters(ctx: CheckContext, way: GoingBack, host: str, id: str, reason: str) -> dict[str, str]:
    """Those that host.sh begins with."""
    environment, settings = ctx.environment, ctx.environment.rollback
    if environment.port is None:
        raise OpsError(
            f"where {ctx.environment_name} listens on its hosts is not known: it could not be verified there",
            next=f"Give [environments.{ctx.environment_name}] a port.",
        )
    restart, pids, save = _pm2_lines(ctx, host)
    several = len(environment.hosts) > 1
    return {
        "id": id,
        "reason": redact(reason),
        "commit": way.good.commit,
        "old": way.serving[host],
        "branch": way.branch or environment.branch,
        "directory": environment.directory or "",
        "way": settings.way,
        "env_file": environment.env_file or "",
        "build": settings.build or ctx.config.project.build,
        "build_timeout": str(int(settings.build_timeout)),
        "start": settings.start or "",
        "spare": str((environment.port + _SPARE - 1024) % 64000 + 1024),
        "port": str(environment.port),
        "health": environment.health,
        "restart": restart,
        "pids": pids,
        "save": save,
        "passes": str(settings.passes),
        "every": "1",
        "patience": str(int(settings.patience)),
        "hold": str(HOLD) if several else "",
    }


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
    for link in _links(ctx):
        lock = await read_lock(link, ctx.environment_name)
        if lock.held and lock.owner is not None and lock.owner.is_of(engineer_of(ctx)):
            async for event in _let_go((link,), ctx.environment_name, lock.token):
                yield event


async def _seen(ctx: CheckContext, commit: str) -> str:
    """Why it is not well from outside, several times in a row; empty where it is."""
    row, why = 0, "no answer"
    deadline = asyncio.get_running_loop().time() + SEEN_WITHIN
    while row < SEEN_FROM_HERE:
        if asyncio.get_running_loop().time() > deadline:
            return why
        try:
            answer = await ctx.fresh().health()
            document = read_document(answer.json)
            served = document.commit if document is not None else ""
            if answer.status != 200:
                row, why = 0, f"{answer.url} answers {answer.status or answer.error or 'not'}"
            elif served and not same(served, commit):
                row, why = 0, f"{answer.url} serves {served[:7]}"
            else:
                row += 1
        except OpsError as error:
            row, why = 0, error.what
        await asyncio.sleep(0.5)
    return ""


def _risks(ctx: CheckContext, way: GoingBack, despite: str) -> list[str]:
    settings = ctx.environment.rollback
    risks = [f"taken back: {line}" for line in way.commits]
    if way.gate.applied:
        risks.append(f"stays applied, for the schema does not go back: {', '.join(way.gate.applied)}")
    if despite:
        risks += [f"the old code may not live with it: {line}" for line in way.gate.against]
        risks.append(f"passed over, because: {despite}")
    risks.append("requests fail for the seconds that the restart takes")
    risks += [f"changes that nobody committed on {host} are set aside (local.patch)" for host in way.dirty]
    if not settings.start:
        risks.append("it is not tried beside first: [environments.…rollback] start is not configured")
    if len(set(way.serving.values())) > 1:
        risks.append("the hosts serve different releases now")
    risks.append(
        f"the lock stays: {ctx.environment.branch} still has what is taken back, and would bring it again"
    )
    return risks


def factory(ctx: CheckContext) -> Rollback:
    """The act for an environment."""
    return Rollback(ctx)
