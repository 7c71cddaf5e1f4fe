"""Who listens on an environment's port on a host, and which of them PM2 does not keep."""

from __future__ import annotations

import re

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise_line

TIMEOUT = 8.0
"""Seconds for one command."""
_LISTENER = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+),')
"""A program in the last column of `ss -p`: ``users:(("node",pid=12,fd=18))`` (ss(8))."""
_DEEPEST = 32
"""Parents that are followed at most. Ours: a shell in a shell in a supervisor is five."""
_DAEMON = "PM2 v"
"""How PM2's daemon names itself (lib/Daemon.js), as far as the kernel keeps a name: 15 characters."""


class Listener(Struct, frozen=True, order=True):
    """A program that listens."""

    name: str
    pid: int

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.name} (pid {self.pid})"


class Listening(Struct, frozen=True, kw_only=True):
    """The port of one host, as it was found."""

    port: int
    lines: tuple[str, ...]
    """What `ss` says, harmless; empty where nobody listens."""
    strangers: tuple[Listener, ...]
    """Who listens and is neither kept by PM2 nor a child of what it keeps; none while the application is up
    and calm, for what it started may listen for it.
    """

    @property
    def told(self) -> str:
        """The strangers, in words."""
        return ", ".join(one.told for one in self.strangers)


def line_for(port: int) -> str:
    """The command that lists who listens on a port."""
    return f"ss -Hltnp 'sport = :{port}'"


async def listening(ctx: CheckContext, host: str) -> Listening:
    """Ask a host who listens on the environment's port. Raises OpsError where it cannot be asked, or none is
    configured.
    """
    port = ctx.environment.port
    if port is None:
        raise OpsError("no port is configured", next=f"Give [environments.{ctx.environment_name}] port.")
    result = await ctx.hosts[host].run(line_for(port), timeout=TIMEOUT)
    listed = await ctx.processes(host)
    if result.exit_status:
        raise OpsError("the host has no ss to ask with", where=host, next="Look by hand: lsof -i")
    text = result.stdout.decode("utf-8", "replace")
    lines = tuple(sanitise_line(one, cap=200) for one in text.splitlines()[:4])
    names = ctx.environment.processes
    mine = [one for one in listed.processes if not names or one.name in names]
    calm = any(one.status == "online" and not one.restarts_in_window for one in mine)
    kept = {one.pid for one in mine}
    found = {Listener(sanitise_line(name, cap=60), int(pid)) for name, pid in _LISTENER.findall(text)}
    others = sorted(one for one in found if one.pid not in kept and not one.name.startswith("PM2"))
    if calm or not others:
        return Listening(port=port, lines=lines, strangers=())
    families = await _families(ctx, host, others)
    strangers = tuple(one for one in others if not _is_kept(families.get(one.pid, ())))
    return Listening(port=port, lines=lines, strangers=strangers)


async def _families(
    ctx: CheckContext, host: str, asked: list[Listener]
) -> dict[int, tuple[tuple[int, str], ...]]:
    """Each one's own process and its parents, by number and name: from /proc, which needs no program."""
    pids = " ".join(str(one.pid) for one in asked)
    line = (
        f"for first in {pids}; do pid=$first; n=0; "
        f'while [ "${{pid:-0}}" -gt 1 ] && [ $n -lt {_DEEPEST} ]; do '
        'echo "$first $pid $(cat /proc/$pid/comm 2>/dev/null)"; n=$((n+1)); '
        "pid=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$pid/status 2>/dev/null); done; done"
    )
    result = await ctx.hosts[host].run(line, timeout=TIMEOUT)
    families: dict[int, list[tuple[int, str]]] = {}
    for told in result.stdout.decode("utf-8", "replace").splitlines():
        first, _, rest = told.partition(" ")
        pid, _, name = rest.partition(" ")
        if first.isdigit() and pid.isdigit():
            families.setdefault(int(first), []).append((int(pid), name))
    return {pid: tuple(family) for pid, family in families.items()}


def _is_kept(family: tuple[tuple[int, str], ...]) -> bool:
    """Whether PM2's daemon is among the parents; one whose parents are not known is not called kept."""
    return any(name.startswith(_DAEMON) for _, name in family)
