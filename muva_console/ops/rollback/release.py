"""What would go back: the release that serves, the good one before it, and all that lies between them."""

from __future__ import annotations

from shlex import quote

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import workshop_of
from muva_console.ops.errors import Fault, LinkError, OpsError, Refused
from muva_console.ops.links.hostscript import run_script
from muva_console.ops.release.records import Deployment, newest_good, read_deployments
from muva_console.ops.release.served import same
from muva_console.ops.rollback.schema import Gate, gate_of
from muva_console.ops.text import sanitise_line

SHOWN = 20
"""Commits that are named one by one."""


class GoingBack(Struct, frozen=True, kw_only=True):
    """One way back, as it was looked at."""

    serving: dict[str, str]
    """By host: the commit of the checkout that serves there."""
    branch: str
    """That the checkouts are on; empty where a host has none."""
    dirty: tuple[str, ...]
    """Hosts whose checkout has changes that nobody committed."""
    good: Deployment
    """What is gone back to, as it was recorded."""
    commits: tuple[str, ...]
    """What is taken back, a line each, the newest first; the last tells of those that are not named."""
    gate: Gate

    @property
    def old(self) -> str:
        """What serves on the first host."""
        return next(iter(self.serving.values()))


async def going_back(ctx: CheckContext, to: str = "") -> GoingBack:
    """Look, and change nothing. `to`: the commit, or the beginning of it; the last that was recorded as good
    when not given. Raises OpsError where nothing is to be gone back to.
    """
    serving, branch, dirty = await serving_of(ctx)
    old = next(iter(serving.values()))
    good = await _good(ctx, old, to)
    if all(same(one, good.commit) for one in serving.values()):
        raise OpsError(
            f"{ctx.environment_name} serves {good.commit[:7]} already: there is nothing to go back"
        )
    return GoingBack(
        serving=serving,
        branch=branch,
        dirty=dirty,
        good=good,
        commits=await _between(ctx, good.commit, old),
        gate=await gate_of(ctx, good.commit),
    )


async def serving_of(ctx: CheckContext) -> tuple[dict[str, str], str, tuple[str, ...]]:
    """By host the commit of the checkout; the branch it is on, empty where it is on none; the hosts that have
    changes which nobody committed. Raises OpsError.
    """
    directory = ctx.environment.directory
    if directory is None or not ctx.environment.hosts:
        raise OpsError(
            f"where {ctx.environment_name} lives is not known",
            next=f"Give [environments.{ctx.environment_name}] hosts and a directory.",
        )
    found, branches, dirty = {}, [], []
    line = (
        f"cd {quote(directory)} && git rev-parse HEAD && {{ git symbolic-ref -q --short HEAD || echo; }}"
        " && git status --porcelain --untracked-files=no | wc -l"
    )
    for host in ctx.environment.hosts:
        result = await run_script(ctx.hosts[host], line, failed=f"what {directory} holds cannot be read")
        told = result.stdout.decode("utf-8", "replace").splitlines()
        if len(told) < 3:
            raise LinkError(Fault.PROTOCOL, f"what {directory} holds cannot be read", where=host)
        found[host] = sanitise_line(told[0], cap=64)
        branches.append(sanitise_line(told[1], cap=120))
        if told[2].strip() != "0":
            dirty.append(host)
    return found, branches[0] if all(branches) else "", tuple(dirty)


async def _good(ctx: CheckContext, old: str, to: str) -> Deployment:
    told = await read_deployments(ctx.going_out().journal, ctx.environment_name, limit=None)
    known = f"`muva metrics import --env {ctx.environment_name}` takes over what GitHub's runs tell."
    if not to:
        found = newest_good(told, before=old)
        if found is None:
            raise Refused(
                f"no other release of {ctx.environment_name} is recorded as good",
                means="one that is not known to have been well is nothing to go back to",
                next=f"{known} Then --to COMMIT may name one.",
            )
        return found
    named = {one.commit for one in told if one.commit.startswith(to.lower())}
    if len(named) > 1:
        raise Refused(
            f"{sanitise_line(to, cap=64)} is the beginning of {len(named)} commits", next="Give more of it."
        )
    good = newest_good([one for one in told if one.commit in named or one.rolls_back in named])
    if good is None or good.commit not in named:
        what = "was taken back, or did not end well" if named else "is not recorded"
        raise Refused(
            f"{sanitise_line(to, cap=64)} {what}: it is nothing to go back to",
            means="only a release that was recorded as good is",
            next=f"`muva journal --kind deployment --env {ctx.environment_name}` lists them. {known}",
        )
    return good


async def _between(ctx: CheckContext, good: str, old: str) -> tuple[str, ...]:
    workshop = workshop_of(ctx)
    try:
        await workshop.heads()  # what serves may be newer than the last fetch
        commits = await workshop.commits(good, old)
    except LinkError as error:
        return (f"what lies between cannot be told: {error.what}",)
    lines = [f"{one.sha[:7]} {sanitise_line(one.subject, cap=80)}" for one in commits[:SHOWN]]
    if len(commits) > SHOWN:
        lines.append(f"and {len(commits) - SHOWN} more")
    return tuple(lines)
