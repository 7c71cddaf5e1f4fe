"""Rollbacks that were begun: which one goes on, and how it is recorded."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.links.base import HostLink
from muva_console.ops.release.records import read_deployments
from muva_console.ops.rollback.host_job import Heard, hear
from muva_console.ops.rollback.release import serving_of


class Open(Struct, frozen=True, kw_only=True):
    """A rollback that was begun and is not marked yet."""

    id: str
    commit: str
    old: str
    reason: str
    restore: str
    """What was to be restored while it waits; empty for code alone."""
    heard: dict[str, Heard]


async def open_rollback(ctx: CheckContext) -> Open | None:
    """The newest, where its job goes on, was broken off, or ended well, is not recorded and serves still.
    Raises OpsError where a host cannot be asked.
    """
    links = links_of(ctx)
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
        if any(one.id == record_id(ctx, newest) for one in known) or set(serving.values()) != {first.commit}:
            return None
    return Open(
        id=newest, commit=first.commit, old=first.old, reason=first.reason, restore=first.restore, heard=heard
    )


def links_of(ctx: CheckContext) -> tuple[HostLink, ...]:
    """The environment's hosts, in their order. Raises OpsError where it has none."""
    if not ctx.environment.hosts:
        raise OpsError(f"{ctx.environment_name} has no hosts: there is nothing to roll back")
    return tuple(ctx.hosts[host] for host in ctx.environment.hosts)


def record_id(ctx: CheckContext, id: str) -> str:
    """Of the deployment that a rollback is recorded as."""
    return f"{ctx.environment_name}/rollback/{id}"
