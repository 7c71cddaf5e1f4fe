"""Rollbacks that were begun: which one goes on, and how it is recorded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.links.base import HostLink
from muva_console.ops.readings import utc_now
from muva_console.ops.release.records import read_deployments
from muva_console.ops.rollback.host_job import hear
from muva_console.ops.rollback.release import serving_of

STAMP = "%Y%m%dT%H%M%SZ"
"""How a rollback's id begins: when it was begun, by the console's clock."""


class Underway(Struct, frozen=True, kw_only=True):
    """A rollback that was begun and is not marked yet."""

    id: str
    commit: str
    """What is gone back to."""
    old: str
    """What served before, on the first host."""
    reason: str
    restore: str = ""
    """What is restored while the hosts wait; empty for code alone."""
    hosts: tuple[str, ...]
    at: tuple[str, ...] = ()
    """Where each host is with it: its outcome, else its phase."""

    @property
    def began(self) -> datetime:
        """When, as its id tells."""
        return datetime.strptime(self.id.partition("-")[0], STAMP).replace(tzinfo=UTC)


def new_id() -> str:
    """An id that sorts by when it was made."""
    return f"{utc_now():{STAMP}}-{uuid4().hex[:6]}"


async def open_rollback(ctx: CheckContext) -> Underway | None:
    """The newest, where its job goes on, was broken off, or ended well, is not recorded and serves still.
    Raises OpsError where a host cannot be asked.
    """
    told = await asyncio.gather(*(hear(link, ctx.environment_name) for link in links_of(ctx)))
    newest = max((one.id for one in told if one is not None), default="")
    heard = [one for one in told if one is not None and one.id == newest]
    if not heard:
        return None
    first = heard[0]
    if all(one.ended for one in heard):
        if not all(one.outcome == "rolled-back" for one in heard):
            return None
        known = await read_deployments(ctx.going_out().journal, ctx.environment_name)
        serving, _, _ = await serving_of(ctx)
        if any(one.id == record_id(ctx, newest) for one in known) or set(serving.values()) != {first.commit}:
            return None
    return Underway(
        id=newest,
        commit=first.commit,
        old=first.old,
        reason=first.reason,
        restore=first.restore,
        hosts=tuple(one.host for one in heard),
        at=tuple(one.outcome or one.phase or "its beginning" for one in heard),
    )


def links_of(ctx: CheckContext) -> tuple[HostLink, ...]:
    """The environment's hosts, in their order. Raises OpsError where it has none."""
    if not ctx.environment.hosts:
        raise OpsError(f"{ctx.environment_name} has no hosts: there is nothing to roll back")
    return tuple(ctx.hosts[host] for host in ctx.environment.hosts)


def record_id(ctx: CheckContext, id: str) -> str:
    """Of the deployment that a rollback is recorded as."""
    return f"{ctx.environment_name}/rollback/{id}"
