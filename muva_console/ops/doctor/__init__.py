"""What of the configuration can be reached, and how to mend what cannot.

Everything is looked at side by side and for a bounded time; nothing is changed, on no host and not here
(a file in the journal's folder comes and goes at once).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from muva_console.ops.doctor.here import Terminal, examine_here
from muva_console.ops.doctor.hosts import examine_host
from muva_console.ops.doctor.report import Group, Needs, Notes, Report
from muva_console.ops.doctor.services import examine_environment
from muva_console.ops.readings import Level

__all__ = ["Group", "Needs", "Report", "Terminal", "examine"]

LIMIT = 60.0
"""Seconds for one host or environment. Ours: above what its own time-outs allow by default."""


async def examine(
    needs: Needs,
    *,
    environment: str | None = None,
    terminal: Terminal | None = None,
    on_group: Callable[[Group], None] | None = None,
    limit: float = LIMIT,
) -> Report:
    """Look at everything, or at what one environment needs. Raises nothing of the links.

    `on_group` gets each group as soon as it and those before it are done.
    """
    config = needs.config
    names = tuple(config.environments) if environment is None else (environment,)
    environments = {name: config.environments[name] for name in names}
    hosts = _hosts(needs, names)
    looks: list[tuple[str, Awaitable[Group]]] = [("this machine", examine_here(needs, names, terminal))]
    looks += [(f"host {name}", examine_host(needs, name, environments)) for name in hosts]
    looks += [(f"environment {name}", examine_environment(needs, name)) for name in names]
    tasks = [asyncio.create_task(_bounded(needs, title, look, limit)) for title, look in looks]
    groups: list[Group] = []
    try:
        for task in tasks:
            group = await task
            if group.findings:
                groups.append(group)
                if on_group is not None:
                    on_group(group)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Report(environment=environment, groups=tuple(groups))


def _hosts(needs: Needs, names: tuple[str, ...]) -> list[str]:
    """The hosts that the environments need, and those that are hopped through, in the file's order."""
    wanted: set[str] = set()
    for name in names:
        environment = needs.config.environments[name]
        wanted.update(environment.hosts)
        if environment.database is not None and environment.database.through:
            wanted.add(environment.database.through)
    if len(names) == len(needs.config.environments):
        wanted.update(needs.config.hosts)
    for name in list(wanted):
        while (jump := needs.config.hosts[name].jump) is not None and jump not in wanted:
            wanted.add(jump)
            name = jump  # noqa: PLW2901 - along the chain
    return [name for name in needs.config.hosts if name in wanted]


async def _bounded(needs: Needs, title: str, look: Awaitable[Group], limit: float) -> Group:
    try:
        async with asyncio.timeout(limit):
            return await look
    except TimeoutError:
        notes = Notes(title, needs.redact)
        notes.note(
            "doctor",
            Level.UNKNOWN,
            f"not done within {limit:g} s",
            next="ask again; if it stays so, shorten the time-outs in muva.toml to see where it hangs",
        )
        return Group(title=title, findings=tuple(notes.findings))
