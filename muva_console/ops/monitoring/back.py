"""How an environment has been: everything of a window that a screen and the command line tell."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.monitoring.marks import read_marks
from muva_console.ops.monitoring.model import API, KEPT, Budget, Mark, Past

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

WEEK = timedelta(days=7)


class Back(Struct, frozen=True, kw_only=True):
    """What was read of a window."""

    environment: str
    pasts: tuple[Past, ...]
    """One for each series of `KEPT`."""
    budget: Budget
    marks: tuple[Mark, ...]


class Week(Struct, frozen=True, kw_only=True):
    """What is told of an environment beside how it stands now."""

    availability: float | None
    budget: Budget


async def read_back(
    workspace: Workspace, environment: str, since: datetime, until: datetime, places: int
) -> Back:
    """A window in `places` stretches, and what happened in it. Raises OpsError; ValueError for none."""
    history = workspace.history
    target = workspace.config.environments[environment].thresholds.availability
    return Back(
        environment=environment,
        pasts=tuple([await history.past(environment, one, since, until, places) for one in KEPT]),
        budget=await history.budget(environment, target, until),
        marks=await read_marks(workspace.journal, environment, since, until),
    )


async def read_weeks(workspace: Workspace, names: Iterable[str], now: datetime) -> dict[str, Week]:
    """The last week of environments; those of which nothing is kept are left out. Raises OpsError."""
    found = {}
    for name in names:
        past = await workspace.history.past(name, API, now - WEEK, now, 1)
        if past.known:
            target = workspace.config.environments[name].thresholds.availability
            budget = await workspace.history.budget(name, target, now)
            found[name] = Week(availability=past.availability, budget=budget)
    return found
