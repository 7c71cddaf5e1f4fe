"""The faults: breaking them into an estate and mending them. Each truly happens; none is a flag."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from muva_console.drill import deploy
from muva_console.drill.estate import load, locked
from muva_console.drill.faults import commits, migrations, processes, releases, servers, starts, states
from muva_console.drill.faults.base import Fault
from muva_console.drill.state import ActiveFault, Estate
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import utc_now

__all__ = ["FAULTS", "Fault", "break_in", "find", "mend"]

FAULTS: tuple[Fault, ...] = (
    *processes.FAULTS, *releases.FAULTS, *servers.FAULTS, *commits.FAULTS, *states.FAULTS,
    *migrations.FAULTS, *starts.FAULTS,
)  # fmt: skip
"""Every fault there is."""

Progress = Callable[[str], None]


def find(name: str) -> Fault:
    """The fault of that name. Raises OpsError."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    known = ", ".join(sorted(fault.name for fault in FAULTS))
    raise OpsError(f"there is no fault {name!r}", next=f"one of: {known}")


async def break_in(
    directory: Path, name: str, *, environment: str | None = None, progress: Progress = lambda _: None
) -> Estate:
    """Break a fault into the estate, in its own environment where none is named; returns when it can be seen
    from outside. Raises OpsError.
    """
    fault = find(name)
    environment = environment or fault.environment
    with locked(directory):
        estate = load(directory)
        site = estate.sites.get(environment)
        if site is None:
            raise OpsError(f"the estate has no {environment}", next=f"one of: {', '.join(estate.sites)}")
        if any(active.name == name for active in estate.faults):
            raise OpsError(f"{name} is broken in already", next="muva drill mend")
        active = ActiveFault(name=name, environment=environment, since=utc_now())
        # Written first: a command that is interrupted here can still be mended.
        estate.faults.append(active)
        estate.save()
        progress(f"breaking: {fault.title.lower()} ({environment})")
        try:
            await fault.break_in(estate, site, active.memory)
        finally:
            estate.save()
        return estate


async def mend(
    directory: Path, names: Iterable[str] | None = None, *, progress: Progress = lambda _: None
) -> Estate:
    """Mend the named faults, or all, by rank and then the newest first; when none is left, wait until every
    site is healthy. Raises OpsError.
    """
    wanted = None if names is None else {find(name).name for name in names}
    with locked(directory):
        estate = load(directory)
        chosen = [active for active in estate.faults if wanted is None or active.name in wanted]
        chosen.reverse()
        for active in sorted(chosen, key=lambda active: find(active.name).rank):
            fault = find(active.name)
            progress(f"mending: {fault.title.lower()}")
            await fault.mend(estate, estate.sites[active.environment], active.memory)
            estate.faults.remove(active)
            estate.save()
        if not estate.faults:
            progress("waiting until every site is healthy")
            await asyncio.gather(*(deploy.until_healthy(site, in_a_row=2) for site in estate.sites.values()))
        return estate
