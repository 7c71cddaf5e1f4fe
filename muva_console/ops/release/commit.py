"""The check "commit-served": what was deployed is what is served, here and on every host."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Sequence

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.pm2.spoken import home_word
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.served import same, short
from muva_console.ops.text import sanitise_line

_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
TIMEOUT = 10.0
"""Seconds for git on a host."""


class Told(Struct, frozen=True, kw_only=True):
    """What one place says of the commit."""

    who: str
    verb: str
    commit: str = ""
    """Empty when it does not say; then `why`."""
    why: str = ""


@check("commit-served", title="Commit served")
async def commit_served(ctx: CheckContext) -> Finding:
    """The commit that the environment serves is the head of its branch in the repository, and so is the one
    that is checked out in `directory` on every host (a step's `hosts = false` leaves them out). Any that
    differs is a failure; any that cannot be asked leaves it unknown.
    """
    release = ctx.going_out()
    branch = ctx.environment.branch
    environment = ctx.environment
    hosts = environment.hosts if environment.directory and ctx.parameters.get("hosts", True) else ()
    outgoing, told = await asyncio.gather(ctx.outgoing(), _told(ctx, hosts))
    head = outgoing.base if branch == outgoing.target else outgoing.head
    if branch not in (outgoing.target, outgoing.source):
        raise OpsError(f"{release.target_branch} was deployed, and {ctx.environment_name} stands on {branch}")
    evidence = [f"{branch} stands at {head} in the repository"]
    evidence += [f"{one.who} {one.verb} {one.commit or f'nothing that is known: {one.why}'}" for one in told]
    if not outgoing.fetched:
        evidence.append(f"the repository could not be fetched: {outgoing.fetch_error or 'no reason told'}")
    differ = [one for one in told if one.commit and not same(one.commit, head)]
    silent = [one for one in told if not one.commit]
    stands = f"{branch} stands at {short(head)}"
    if differ and outgoing.fetched:
        level = Level.FAIL
        summary = "; ".join(f"{one.who} {one.verb} {short(one.commit)}" for one in differ) + f", but {stands}"
    elif not outgoing.fetched:
        level = Level.UNKNOWN
        summary = f"{branch} cannot be fetched, so whether {short(told[0].commit)} is its head is not known"
    elif silent:
        level, summary = Level.UNKNOWN, "; ".join(f"{one.who}: {one.why}" for one in silent) + f"; {stands}"
    else:
        level, summary = Level.OK, f"serves {short(told[0].commit)}, as {_and([branch, *hosts])}"
    return tell(
        level,
        summary,
        evidence=evidence,
        command="; ".join(_commands(ctx, branch, hosts)),
        next="See whether the deployment ended, and what the host built." if level is Level.FAIL else "",
    )


async def _told(ctx: CheckContext, hosts: Sequence[str]) -> list[Told]:
    """What the application says, and then each host."""
    return await asyncio.gather(_served(ctx), *(_checked_out(ctx, host) for host in hosts))


async def _served(ctx: CheckContext) -> Told:
    answer = await ctx.health()
    document = read_document(answer.json)
    name = ctx.environment_name
    if document is not None and document.commit:
        return Told(who=name, verb="serves", commit=document.commit)
    if answer.fault is not None:
        why = f"no answer: {answer.error}"
    elif document is None:
        why = f"answers {answer.status}, but not with the health document"
    else:
        why = "its health document names no commit"
    return Told(who=name, verb="serves", why=why)


async def _checked_out(ctx: CheckContext, host: str) -> Told:
    """The commit of the checkout on a host: read, nothing is refreshed or locked."""
    verb = "has checked out"
    directory = home_word(ctx.environment.directory or "")
    command = f"cd -- {directory} && GIT_OPTIONAL_LOCKS=0 git rev-parse --verify HEAD"
    try:
        result = await ctx.hosts[host].run(command, timeout=TIMEOUT, limit=64 * 1024)
    except OpsError as error:
        return Told(who=host, verb=verb, why=f"cannot be asked: {error.what}")
    said = result.stdout.strip()
    if result.exit_status == 0 and _COMMIT.fullmatch(said):
        return Told(who=host, verb=verb, commit=said.decode())
    line = (result.stderr.strip() or said or b"no output").splitlines()[0]
    return Told(who=host, verb=verb, why=sanitise_line(line, cap=200))


def _commands(ctx: CheckContext, branch: str, hosts: Sequence[str]) -> list[str]:
    lines = [f"git ls-remote origin {shlex.quote(f'refs/heads/{branch}')}"]
    if ctx.environment.url is not None:
        lines.append(curl_line(ctx.url(ctx.environment.health), jq=True) + " .commit")
    git = f"git -C {home_word(ctx.environment.directory or '')} rev-parse HEAD"
    return lines + [ctx.ssh_line(host, git) for host in hosts[:3]]


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
