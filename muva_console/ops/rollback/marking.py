"""The ninth step: which release serves where, seen from outside too, and written down."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import done, engineer_of, step, verified, warning
from muva_console.ops.deploys.lock import drop, read_lock
from muva_console.ops.deploys.record_act import record
from muva_console.ops.errors import OpsError
from muva_console.ops.links.base import HostLink
from muva_console.ops.operations import Event
from muva_console.ops.readings import utc_now
from muva_console.ops.release.records import Deployment, DeploymentKind, Status
from muva_console.ops.rollback.begun import Underway, links_of, record_id
from muva_console.ops.rollback.host_job import FOLDER, Heard
from muva_console.ops.rollback.seeing import IN_A_ROW, seen_from_here
from muva_console.ops.text import sanitise_line


async def conclude(
    ctx: CheckContext, job: Underway, heard: Mapping[str, Heard], *, stopped: str
) -> AsyncGenerator[Event, None]:
    """What each host ended with, told and recorded; the last event is DONE. `stopped`: why nothing was put in
    place, where that was decided here. Raises OpsError where it was not rolled back, or is not well from
    outside; the lock is let go only where nothing was changed.
    """
    for host, one in heard.items():
        told = f"{host} serves {_serves(one, job)}: {one.why}"
        yield verified(told) if one.outcome == "rolled-back" else warning(told)
    if not all(one.outcome == "rolled-back" for one in heard.values()):
        await _record(ctx, job, good=False, live=False)
        untouched = all(one.outcome == "untouched" for one in heard.values())
        if untouched:  # nobody needs to wait for it
            for link in links_of(ctx):
                lock = await read_lock(link, ctx.environment_name)
                if lock.held and lock.owner is not None and lock.owner.is_of(engineer_of(ctx)):
                    async for event in let_go((link,), ctx.environment_name, lock.token):
                        yield event
        serves = "; ".join(f"{host} serves {_serves(one, job)}" for host, one in heard.items())
        raise OpsError(
            f"not rolled back: {stopped or serves}",
            means="nothing that serves was changed" if untouched else "",
            next=_look(ctx, job),
        )
    if ctx.environment.url is not None:
        yield step("looking from outside")
        trouble = await seen_from_here(ctx, job.commit)
        if trouble:
            await _record(ctx, job, good=False, live=True)
            raise OpsError(
                f"the hosts are well with {job.commit[:7]}, and from outside it is not: {trouble}",
                next=_look(ctx, job),
            )
        yield verified(f"from outside: well {IN_A_ROW} times in a row, with {job.commit[:7]}")
    entry = await _record(ctx, job, good=True, live=True)
    yield verified(f"{job.old[:7]} is marked as taken back: entry {entry} of the journal")
    yield done(f"{ctx.environment_name} serves {job.commit[:7]} again; the lock stays until a fix is out")


async def let_go(links: Iterable[HostLink], environment: str, token: str) -> AsyncGenerator[Event, None]:
    """Let go of a lock that was taken; that it cannot be is told."""
    for link in links:
        try:
            await drop(link, environment, token)
        except OpsError as error:
            yield warning(f"the lock on {link.host} could not be let go: {error.what}")


def _look(ctx: CheckContext, job: Underway) -> str:
    log = f"~/{FOLDER}/{ctx.environment_name}/{job.id}/log"
    return f"`muva diagnose` looks again; the log is in {log} on the host."


def _serves(heard: Heard, job: Underway) -> str:
    """Which release a host serves, as far as it told."""
    known = {"rolled-back": job.commit[:7], "untouched": job.old[:7], "returned": job.old[:7]}
    return known.get(heard.outcome, "it is not known what")


async def _record(ctx: CheckContext, job: Underway, *, good: bool, live: bool) -> int:
    """The journal's entry; the same one where another console wrote it."""
    now = utc_now()
    made = Deployment(
        id=record_id(ctx, job.id),
        environment=ctx.environment_name,
        started=job.began,
        finished=now,
        duration=max(0.0, (now - job.began).total_seconds()),
        commit=job.commit,
        branch=ctx.environment.branch,
        status=Status.SUCCESS if good else Status.FAILED,
        kind=DeploymentKind.ROLLBACK,
        live=live,
        rolls_back=job.old if good else "",
        incident=sanitise_line(str(ctx.parameters.get("incident", "") or ""), cap=120),
        error=job.reason,
    )
    entry, _ = await record(ctx, made)
    return entry
