"""The acts "deploy-lock", "deploy-unlock" and "deploy-lock-break", and the checks of the lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from msgspec import structs

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.deploys.candidate import candidate_of
from muva_console.ops.deploys.deed import AlreadyError, Deed, done, engineer_of, step, verified, warning
from muva_console.ops.deploys.lock import (
    FOLDER,
    HeldError,
    Lock,
    drop,
    holder,
    mkdir_line,
    new_owner,
    read_lock,
    take,
)
from muva_console.ops.errors import LinkError, OpsError, Refused
from muva_console.ops.links.base import HostLink
from muva_console.ops.operations import Event, Plan, PlannedCommand
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.records import is_recorded
from muva_console.ops.text import sanitise_line

GOOD_FOR = 30.0
"""Seconds. Ours: another console may take it at any time."""


def _links(ctx: CheckContext) -> tuple[HostLink, ...]:
    hosts = tuple(ctx.hosts[name] for name in ctx.environment.hosts if name in ctx.hosts)
    if not hosts:
        raise OpsError(
            f"{ctx.environment_name} has no hosts: there is nowhere to lock",
            next=f"Give [environments.{ctx.environment_name}] hosts.",
        )
    return hosts


async def _read(ctx: CheckContext) -> tuple[Lock, ...]:
    """How the lock stands on every host. Raises LinkError where one cannot tell."""
    return tuple(await asyncio.gather(*(read_lock(link, ctx.environment_name) for link in _links(ctx))))


def _command(ctx: CheckContext) -> str:
    return ctx.ssh_line(ctx.environment.hosts[0], f"cat ~/{FOLDER}/{ctx.environment_name}/owner")


def _unconfigured(ctx: CheckContext) -> Finding | None:
    if ctx.environment.hosts:
        return None
    return tell(
        Level.UNKNOWN,
        f"{ctx.environment_name} has no hosts: there is nowhere to lock",
        next=f"Give [environments.{ctx.environment_name}] hosts.",
        unconfigured=True,
    )


@check("deploy-locked", title="Locked", good_for=GOOD_FOR)
async def deploy_locked(ctx: CheckContext) -> Finding:
    """The environment's lock on its hosts is held by this engineer; another's is a failure. Once what the
    branch stands at is recorded as deployed and nothing goes out, it need not be held any more.
    """
    if (none := _unconfigured(ctx)) is not None:
        return none
    locks = await _read(ctx)
    engineer, command = engineer_of(ctx), _command(ctx)
    evidence = [f"{lock.host}: {holder(lock)}" for lock in locks]
    evidence += [f"{lock.host}: broken before: {lock.broken}" for lock in locks if lock.broken]
    other = next((one for one in locks if one.held and not _ours(one, ctx)), None)
    if other is not None:
        return tell(
            Level.FAIL,
            holder(other),
            evidence=evidence,
            command=command,
            next="Wait for them, ask them, or break it with a reason.",
        )
    free = [one.host for one in locks if not one.held]
    if not free:
        first = locks[0]
        since = holder(first).replace(f"{engineer.label} on {engineer.host} holds the lock", "yours")
        return tell(Level.OK, since, evidence=evidence, command=command)
    if await _over(ctx):
        return tell(Level.OK, "free again: the deployment is recorded", evidence=evidence, command=command)
    where = "" if len(free) == len(locks) else f" on {', '.join(free)}"
    broken = next((one.broken for one in locks if one.broken), "")
    summary = f"the lock is free{where}" + (f"; broken before: {broken}" if broken else "")
    return tell(Level.UNKNOWN, summary, evidence=evidence, command=command, pending=True)


@check("deploy-unlocked", title="Unlocked", good_for=GOOD_FOR)
async def deploy_unlocked(ctx: CheckContext) -> Finding:
    """The environment's lock is not held by this engineer, on none of its hosts."""
    if (none := _unconfigured(ctx)) is not None:
        return none
    locks = await _read(ctx)
    evidence = [f"{lock.host}: {holder(lock)}" for lock in locks]
    ours = [one for one in locks if one.held and _ours(one, ctx)]
    if ours:
        hosts = ", ".join(one.host for one in ours)
        return tell(
            Level.UNKNOWN,
            f"you hold the lock on {hosts}",
            evidence=evidence,
            command=_command(ctx),
            pending=True,
        )
    held = next((one for one in locks if one.held), None)
    summary = "the lock is free" if held is None else f"not yours: {holder(held)}"
    return tell(Level.OK, summary, evidence=evidence, command=_command(ctx))


def _ours(lock: Lock, ctx: CheckContext) -> bool:
    return lock.owner is not None and lock.owner.is_of(engineer_of(ctx))


async def _over(ctx: CheckContext) -> bool:
    """Whether the deployment that the lock is for is recorded."""
    try:
        outgoing = await ctx.outgoing()
        commit = outgoing.base
        if ctx.environment.production and ctx.going_out().github is not None:
            commit = (await candidate_of(ctx)).commit
        elif outgoing.commits:
            return False
        return bool(commit) and await is_recorded(ctx.going_out().journal, ctx.environment_name, commit)
    except OpsError:
        return False


class DeployLock(Deed):
    """Take the lock on every host of the environment, or on none."""

    NAME = "deploy-lock"

    def __init__(self, ctx: CheckContext) -> None:
        """`ctx.parameters`: ``why``, and the ``version``."""
        super().__init__(ctx)
        self._kept: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """The lock's token and hosts, for the journal."""
        return self._kept

    async def _plan(self, ctx: CheckContext) -> Plan:
        locks = await _read(ctx)
        self._refuse(ctx, locks)
        why, version = await _why(ctx)
        for_ = f"{why} ({version})" if version else why
        return self._planned(
            f"Lock {ctx.environment_name}: {for_}",
            f"lock of {ctx.environment_name}",
            [
                PlannedCommand(where=one.host, line=mkdir_line(ctx.environment_name), why="if it is free")
                for one in locks
                if not one.held
            ],
            risks=["other consoles cannot deploy there until it is let go"],
            undo="let go of it: deploy-unlock",
            production=False,  # it holds others up, and changes nothing that is served
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        links = _links(ctx)
        why, version = await _why(ctx)
        owner = new_owner(engineer_of(ctx), why, version=version)
        self._kept = {"token": owner.token, "hosts": [link.host for link in links]}
        yield step(f"taking the lock on {', '.join(link.host for link in links)}")
        taken = await take(links, ctx.environment_name, owner)
        locks = await _read(ctx)
        other = next((one for one in locks if not _ours(one, ctx)), None)
        if other is not None:
            for link in taken:
                await drop(link, ctx.environment_name, owner.token)
            raise HeldError(other) if other.held else OpsError("the lock was broken at once")
        for one in locks:
            yield verified(f"{one.host}: {holder(one)}")
        yield done(f"{ctx.environment_name} is locked")

    def _refuse(self, ctx: CheckContext, locks: Sequence[Lock]) -> None:
        other = next((one for one in locks if one.held and not _ours(one, ctx)), None)
        if other is not None:
            raise HeldError(other)
        if all(one.held for one in locks):
            raise AlreadyError(f"you hold the lock of {ctx.environment_name} already")


async def _why(ctx: CheckContext) -> tuple[str, str]:
    """What is told to those who meet the lock: why, and the version."""
    version = str(ctx.parameters.get("version", "") or "")
    if not version and ctx.environment.production:
        try:
            version = (await candidate_of(ctx)).name
        except OpsError:
            version = ""
    why = str(ctx.parameters.get("why", "") or "") or f"deployment to {ctx.environment_name}"
    return sanitise_line(why, cap=300), sanitise_line(version, cap=40)


class DeployUnlock(Deed):
    """Let go of one's own lock."""

    NAME = "deploy-unlock"

    def __init__(self, ctx: CheckContext) -> None:
        """As `Deed`."""
        super().__init__(ctx)
        self._tokens: dict[str, str] = {}

    async def _plan(self, ctx: CheckContext) -> Plan:
        self._tokens = {one.host: one.token for one in await _read(ctx) if self._may(one, ctx)}
        if not self._tokens:
            raise AlreadyError(f"you do not hold the lock of {ctx.environment_name}")
        line = f"rm -r ~/{FOLDER}/{ctx.environment_name}"
        return self._planned(
            f"Let go of the lock of {ctx.environment_name}",
            f"lock of {ctx.environment_name}",
            [PlannedCommand(where=host, line=line, why="if it is yours still") for host in self._tokens],
            risks=["other consoles can deploy there from then on"],
            undo="take it again: deploy-lock",
            production=False,
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        errors = []
        for link in _links(ctx):
            if link.host not in self._tokens:
                continue
            yield step(f"letting go of the lock on {link.host}")
            try:
                await drop(link, ctx.environment_name, self._tokens[link.host])
            except OpsError as error:  # the other hosts are let go all the same
                errors.append(error)
                yield warning(str(error))
        if errors:
            raise errors[0]
        for one in await _read(ctx):
            yield verified(f"{one.host}: {holder(one)}")
        yield done(f"the lock of {ctx.environment_name} is let go")

    def _may(self, lock: Lock, ctx: CheckContext) -> bool:
        return lock.held and _ours(lock, ctx)


class LockBreak(Deed):
    """Break the lock of somebody else, with a reason, which the journal and the host keep."""

    NAME = "deploy-lock-break"

    def __init__(self, ctx: CheckContext) -> None:
        """`ctx.parameters`: ``reason``."""
        super().__init__(ctx)
        self._locks: dict[str, Lock] = {}
        self._kept: dict[str, object] = {}

    def kept(self) -> Mapping[str, object]:
        """Whose lock it was, and why it was broken, for the journal."""
        return self._kept

    async def _plan(self, ctx: CheckContext) -> Plan:
        reason = _reason(ctx)
        self._locks = {one.host: one for one in await _read(ctx) if one.held}
        if not self._locks:
            raise AlreadyError(f"the lock of {ctx.environment_name} is free")
        told = list(dict.fromkeys(holder(one) for one in self._locks.values()))
        return self._planned(
            f"Break the lock of {ctx.environment_name}: {reason}",
            f"lock of {ctx.environment_name}",
            [
                PlannedCommand(where=host, line=f"rm -r ~/{FOLDER}/{ctx.environment_name}", why=holder(one))
                for host, one in self._locks.items()
            ],
            risks=[*told, "whoever holds it may be in the midst of a deployment: ask them first"],
        )

    async def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]:
        reason, engineer = _reason(ctx), engineer_of(ctx)
        self._kept = {
            "reason": reason,
            "locks": {
                host: structs.asdict(one.owner) if one.owner else {} for host, one in self._locks.items()
            },
        }
        errors: list[OpsError] = []
        for link in _links(ctx):
            seen = self._locks.get(link.host)
            if seen is None:
                continue
            yield step(f"breaking the lock on {link.host}")
            try:
                await drop(link, ctx.environment_name, seen.token, broken=f"by {engineer.label}: {reason}")
            except (LinkError, OpsError) as error:
                errors.append(error)
                yield warning(str(error))
        if errors:
            raise errors[0]
        yield done(f"the lock of {ctx.environment_name} is broken: {reason}")


def _reason(ctx: CheckContext) -> str:
    reason = sanitise_line(str(ctx.parameters.get("reason", "") or "").strip(), cap=300)
    if not reason:
        raise Refused("breaking a lock wants a reason", next="Say why it is broken; it is written down.")
    return reason


def lock_factory(ctx: CheckContext) -> DeployLock:
    """The act for an environment."""
    return DeployLock(ctx)


def unlock_factory(ctx: CheckContext) -> DeployUnlock:
    """The act for an environment."""
    return DeployUnlock(ctx)


def break_factory(ctx: CheckContext) -> LockBreak:
    """The act for an environment."""
    return LockBreak(ctx)
