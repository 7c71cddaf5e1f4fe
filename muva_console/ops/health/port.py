"""Who listens on an environment's port on a host, and which of them PM2 does not keep."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from muva_console.ops.checks import CheckContext, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import cannot_be_asked
from muva_console.ops.readings import Finding, Level
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
    """The port of one host, as it was found. Nobody is told while the application is up and calm: what it
    started may listen for it.
    """

    port: int
    lines: tuple[str, ...]
    """What `ss` says, harmless; empty where nobody listens."""
    strangers: tuple[Listener, ...] = ()
    """Who listens and has no process of PM2's among its parents."""
    kept: tuple[str, ...] = ()
    """Processes that PM2 keeps for something else, and that listen or have a child that does."""
    unnamed: bool = False
    """Somebody listens whom `ss` does not name: a program of another user's."""

    @property
    def told(self) -> str:
        """Who has the port that should not, in words; empty for nobody."""
        said = [f"{one.told}, which PM2 does not keep" for one in self.strangers]
        said += [f"PM2's own {name}" for name in self.kept]
        if self.unnamed:
            said.append("a program of another user's")
        return " and ".join(said)


def line_for(port: int) -> str:
    """The command that lists who listens on a port."""
    return f"ss -Hltnp 'sport = :{port}'"


async def find_port(ctx: CheckContext, host: str) -> tuple[Finding, Listening | None]:
    """A warning where another has the port, unknown where the host cannot be asked; and what was found."""
    assert ctx.environment.port is not None
    command = ctx.ssh_line(host, line_for(ctx.environment.port))
    try:
        found = await listening(ctx, host)
    except OpsError as error:
        return cannot_be_asked(error, host, command), None
    level = Level.WARN if found.told else Level.OK
    if found.told:
        summary = f"port {found.port} is taken by {found.told}"
    else:
        summary = (
            f"port {found.port} is listened on" if found.lines else f"nobody listens on port {found.port}"
        )
    finding = tell(level, summary, subject=host, evidence=found.lines, command=command, next=_next(found))
    return finding, found


def _next(found: Listening) -> str:
    if found.kept:
        return f"Stop {found.kept[0]} (5), or give it a port of its own."
    if found.unnamed:
        return "Who may, looks: sudo ss -ltnp, on the host."
    return ""


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
    mine = {one.pid for one in listed.processes if not names or one.name in names}
    others = {one.pid: one.name for one in listed.processes if one.pid and one.pid not in mine}
    if any(
        one.pid in mine and one.status == "online" and not one.restarts_in_window for one in listed.processes
    ):
        return Listening(port=port, lines=lines)
    found = {Listener(sanitise_line(name, cap=60), int(pid)) for name, pid in _LISTENER.findall(text)}
    parents = await families(ctx, host, [one.pid for one in found])
    strangers, kept = [], []
    for one in sorted(found):
        family = parents.get(one.pid, {})
        if not mine.isdisjoint((one.pid, *family)):
            continue
        named = [others[pid] for pid in (one.pid, *family) if pid in others]
        kept += named
        # a child of the daemon that is in no list was started since it was read: it is likely ours
        if not named and not any(name.startswith(_DAEMON) for name in (one.name, *family.values())):
            strangers.append(one)
    return Listening(
        port=port,
        lines=lines,
        strangers=tuple(strangers),
        kept=tuple(sanitise_line(name, cap=60) for name in dict.fromkeys(kept)),
        unnamed=any("users:(" not in line for line in text.splitlines() if line.strip()),
    )


async def families(ctx: CheckContext, host: str, asked: Sequence[int]) -> dict[int, dict[int, str]]:
    """Each process's own name and its parents', by their numbers: from /proc, which needs no program. One
    that has ended is left out.
    """
    if not asked:
        return {}
    line = (
        f"for first in {' '.join(map(str, asked))}; do pid=$first; n=0; "
        f'while [ "${{pid:-0}}" -gt 1 ] && [ $n -lt {_DEEPEST} ]; do '
        'echo "$first $pid $(cat /proc/$pid/comm 2>/dev/null)"; n=$((n+1)); '
        "pid=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$pid/status 2>/dev/null); done; done"
    )
    result = await ctx.hosts[host].run(line, timeout=TIMEOUT)
    found: dict[int, dict[int, str]] = {}
    for told in result.stdout.decode("utf-8", "replace").splitlines():
        first, _, rest = told.partition(" ")
        pid, _, name = rest.partition(" ")
        if first.isdigit() and pid.isdigit() and name:
            found.setdefault(int(first), {})[int(pid)] = name
    return found
