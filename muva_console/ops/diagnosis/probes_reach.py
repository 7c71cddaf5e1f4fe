"""Probes of the way: the name, SSH, the application on its host, the database from there, elsewhere."""

from __future__ import annotations

import asyncio
import shlex
import time
from urllib.parse import urlsplit

from msgspec import structs

from muva_console.ops.checks import CheckContext, tell
from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.errors import Fault, OpsError
from muva_console.ops.health.hosts import cannot_be_asked
from muva_console.ops.health.words import spell_ms
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.links.resolver import ResolveError, Resolver
from muva_console.ops.readings import Finding, Level
from muva_console.ops.text import sanitise_line

TIMEOUT = 8.0
"""Seconds for one question. Ours: below the whole probe's."""
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""PostgreSQL's, before it is told who asks: a server answers S or N (its documentation, "SSL Session
Encryption")."""

_AWAY = frozenset({Fault.REFUSED, Fault.TIMEOUT, Fault.UNREACHABLE, Fault.CLOSED})


def reached(ctx: CheckContext, host: str) -> bool | None:
    """Whether SSH reaches the host; None where it refuses us, which is no fault of the host."""
    state = ctx.hosts[host].state
    if state.status is LinkStatus.UP:
        return True
    return False if state.error is not None and state.error.fault in _AWAY else None


async def name(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """The host's name of the environment's address, asked of this machine's resolver."""
    host = urlsplit(ctx.url("")).hostname or ""
    command = f"getent ahosts {shlex.quote(host)}"
    try:
        found = await Resolver().resolve(host, 443)
    except ResolveError as error:
        if error.silent:
            return (tell(Level.UNKNOWN, f"the resolver: {error.reason}", subject=host, command=command),)
        seen.name = False
        return (tell(Level.FAIL, f"it leads nowhere: {error.reason}", subject=host, command=command),)
    if found.took_ms is None:
        return (tell(Level.OK, "an address, which needs no name", subject=host),)
    seen.name = True
    addresses = ", ".join(address for _, address in found.addresses[:4])
    return (tell(Level.OK, f"leads to {addresses}", subject=host, command=command),)


async def ssh(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """Whether a command can be run on each host, and how long that takes."""

    async def one(host: str) -> Finding:
        command, began = ctx.ssh_line(host, "true"), time.perf_counter()
        try:
            result = await ctx.hosts[host].run("true", timeout=TIMEOUT)
        except OpsError as error:
            # one that refuses us says nothing against the way to it
            level = Level.FAIL if reached(ctx, host) is False else Level.UNKNOWN
            return tell(level, error.what, subject=host, command=command, next=error.next)
        took = (time.perf_counter() - began) * 1000
        if result.exit_status:
            told = f"`true` ends with {result.exit_status}"
            return tell(Level.WARN, told, subject=host, command=command)
        return tell(Level.OK, f"answers in {spell_ms(took)}", subject=host, command=command)

    return tuple(await asyncio.gather(*(one(host) for host in ctx.environment.hosts)))


async def on_hosts(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """The health endpoint from the hosts themselves: tells the application from what stands before it."""
    return tuple(await asyncio.gather(*(_on_host(ctx, host) for host in ctx.environment.hosts)))


async def _on_host(ctx: CheckContext, host: str) -> Finding:
    url = f"http://localhost:{ctx.environment.port}{ctx.environment.health}"
    line = f"curl -sS -o /dev/null -m 5 -w '%{{http_code}}' {shlex.quote(url)}"
    command, began = ctx.ssh_line(host, line), time.perf_counter()
    try:
        result = await ctx.hosts[host].run(line, timeout=TIMEOUT)
    except OpsError as error:
        return cannot_be_asked(error, host, command)
    code = result.stdout.decode("ascii", "replace").strip()
    if result.exit_status in (126, 127):
        level, summary = Level.UNKNOWN, "the host has no curl to ask with"
    elif result.exit_status:
        why = sanitise_line(result.stderr.decode("utf-8", "replace"), cap=200)
        level, summary = Level.FAIL, f"no answer on the host: {why}"
    else:
        level, summary = (Level.OK if code == "200" else Level.FAIL), f"answers {code} on the host"
    took = (time.perf_counter() - began) * 1000
    return structs.replace(tell(level, summary, subject=host, command=command), took_ms=took)


async def database_from_hosts(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """Whether the database's server takes a connection that comes from each host: asked for TLS and left, so
    nobody logs in. Where the host forbids forwarding it is unknown.
    """
    link = ctx.postgres
    if link is None:
        return ()
    way = link.way()
    try:
        address = await way.known()
    finally:
        await way.close()

    async def one(host: str) -> Finding:
        where = f"{address.host}:{address.port}"
        command = ctx.ssh_line(host, f"nc -zv {shlex.quote(address.host)} {address.port}")
        try:
            async with asyncio.timeout(TIMEOUT), ctx.hosts[host].open_tcp(address.host, address.port) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(_SSL_REQUEST)
                    answer = await reader.read(1)
                finally:
                    writer.close()
        except OpsError as error:
            return cannot_be_asked(error, host, command)
        except (OSError, TimeoutError):
            answer = b""
        if answer not in (b"S", b"N"):
            seen.database_from_host = False
            return tell(Level.FAIL, f"{where} does not answer from there", subject=host, command=command)
        if seen.database_from_host is None:
            seen.database_from_host = True
        return tell(Level.OK, f"{where} answers from there", subject=host, command=command)

    return tuple(await asyncio.gather(*(one(host) for host in ctx.environment.hosts)))


async def status_page(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """What the database's provider says of itself. Source: Statuspage's public API, ``status.indicator``, one
    of none, minor, major, critical, maintenance.
    """
    url = ctx.config.project.status_page or ""
    answer = await ctx.web.get(url, timeout=TIMEOUT)
    command = f"curl -sS {shlex.quote(url)}"
    status = answer.json.get("status") if isinstance(answer.json, dict) else None
    if not isinstance(status, dict) or not isinstance(status.get("indicator"), str):
        told = answer.error or f"answers {answer.status}, and not with a status"
        return (tell(Level.UNKNOWN, told, subject=url, command=command),)
    said = sanitise_line(str(status.get("description", "")), cap=160)
    if status["indicator"] == "none":
        return (tell(Level.OK, said or "nothing is reported", subject=url, command=command),)
    seen.provider = said or sanitise_line(status["indicator"], cap=40)
    return (tell(Level.WARN, seen.provider, subject=url, command=command),)


async def elsewhere(ctx: CheckContext, seen: Seen) -> tuple[Finding, ...]:
    """GitHub's API, without a token: whether it is there, and whether our own network is."""
    url = ctx.config.github.api.rstrip("/") + "/zen"
    answer = await ctx.web.get(url, timeout=TIMEOUT)
    seen.elsewhere = answer.answered
    command = f"curl -sS {shlex.quote(url)}"
    if answer.status is None:
        told = f"no answer: {answer.error}"
        return (tell(Level.WARN, told, subject=url, command=command),)
    level = Level.WARN if answer.status >= 500 else Level.OK
    return (tell(level, f"answers {answer.status}", subject=url, command=command),)
