"""What the Emergency screen looks at: a diagnosis under way, the incident that is open, what was tried."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.diagnosis.model import Diagnosis, ProbeState
from muva_console.ops.errors import OpsError
from muva_console.ops.incidents.model import Incident
from muva_console.ops.readings import utc_now
from muva_console.ops.runbooks.run import Run

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

TRIED_WITHIN = timedelta(hours=1)
"""For how long a runbook that was begun counts as tried. Ours: an outage is one thing for an hour or so."""


class Around(Struct, frozen=True, kw_only=True):
    """What the journal knows around a diagnosis."""

    incident: Incident | None = None
    """The one that is open."""
    tried: tuple[Run, ...] = ()
    """The emergency runbooks that were begun lately, newest first."""
    kept: str = ""
    """Why the verdict is not in the journal; empty where it is."""

    def run_of(self, runbook: str) -> Run | None:
        """The newest run of a runbook."""
        return next((one for one in self.tried if one.runbook.id == runbook), None)


class Look:
    """One diagnosis: `run` writes it in the ops loop, a screen reads it meanwhile. Attributes are replaced,
    never changed.
    """

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.states: dict[str, ProbeState] = {}
        """By probe, in the order in which they are asked."""
        self.diagnosis: Diagnosis | None = None
        self.around = Around()
        self.began = time.monotonic()
        self.ended: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing of it is still asked."""
        return self.ended is not None

    async def run(self, workspace: Workspace) -> None:
        """Look; the verdict goes into the journal and may open an incident. Raises nothing for what fails."""
        from muva_console.ops.diagnosis.diagnose import watch

        of = workspace.environments[self.environment]
        try:
            await workspace.prepare()
            self.around = await _around(workspace, self.environment)
            async for state in watch(of.context()):
                if isinstance(state, Diagnosis):
                    self.diagnosis = state
                else:
                    self.states = {**self.states, state.name: state}
            if self.diagnosis is not None:
                kept = await _keep(workspace, self.diagnosis, production=of.config.production)
                self.around = await _around(workspace, self.environment, kept=kept)
        finally:
            self.ended = time.monotonic()


async def _keep(workspace: Workspace, told: Diagnosis, *, production: bool) -> str:
    from muva_console.ops.incidents.verdicts import keep_verdict

    if workspace.read_only:
        return "read-only: the verdict is not written down"
    try:
        await keep_verdict(workspace.journal, told, opens=production)
    except OpsError as error:
        return f"the verdict is not in the journal: {error}"
    return ""


async def _around(workspace: Workspace, environment: str, *, kept: str = "") -> Around:
    from muva_console.ops.incidents.desk import Desk
    from muva_console.ops.walking.runs import list_runs

    try:
        incident = await Desk(workspace.journal).current(environment)
        runs = await list_runs(workspace, environment=environment)
    except OpsError as error:
        return Around(kept=kept or f"the journal cannot be read: {error}")
    since = utc_now() - TRIED_WITHIN
    tried = tuple(one for one in runs if one.runbook.id.startswith("emergency-") and one.begun_at >= since)
    return Around(incident=incident, tried=tried, kept=kept)
