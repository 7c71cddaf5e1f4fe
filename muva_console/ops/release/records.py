"""What was deployed, as the journal has it: one entry for each run and attempt, whoever wrote it.

The fields are those that metrics ask for (dora.dev, and our incidents.md): when, how long, what, whether it
went well, and of which kind it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from muva_console.ops.journal.model import Entry, Filter
from muva_console.ops.release.served import same

if TYPE_CHECKING:
    from muva_console.ops.journal.store import Journal

KIND = "deployment"
"""The kind of the entries."""


class Status(StrEnum):
    """How a deployment ended."""

    SUCCESS = "success"
    FAILED = "failed"
    """Before it went live, or live and left as it was."""
    ROLLBACK = "rollback"
    """It went live, and was rolled back by its own workflow."""


class DeploymentKind(StrEnum):
    """Why it was made."""

    PLANNED = "planned"
    HOTFIX = "hotfix"
    ROLLBACK = "rollback"


class Deployment(Struct, frozen=True, kw_only=True):
    """One deployment. Times are UTC."""

    id: str
    """``ENVIRONMENT/run/RUN/ATTEMPT``, or ``ENVIRONMENT/commit/SHA`` where no workflow did it."""
    environment: str
    started: datetime | None = None
    """None where nothing tells."""
    finished: datetime | None = None
    duration: float | None = None
    """Seconds."""
    commit: str
    """40 hexadecimal digits."""
    branch: str
    version: str = ""
    """Without the ``v``; empty where there is none."""
    status: Status
    kind: DeploymentKind = DeploymentKind.PLANNED
    live: bool | None = None
    """Whether it came to be served; None where that is not known."""
    run: int = 0
    """The workflow's run; 0 where there was none."""
    attempt: int = 0
    pull: int = 0
    """The pull request that brought it to production; 0 for none."""
    rolls_back: str = ""
    """The commit that a rollback takes back."""
    incident: str = ""
    error: str = ""
    """What went wrong, in the words of whoever wrote it down."""
    url: str = ""
    by: str = ""
    """Who wrote it down (`Engineer.label`); who started the run is GitHub's to tell."""
    entry: int = 0
    """The journal's entry."""

    @property
    def good(self) -> bool:
        """Whether it is a release to return to."""
        return self.status is Status.SUCCESS


async def read_deployments(
    journal: Journal, environment: str | None = None, *, limit: int | None = 200
) -> tuple[Deployment, ...]:
    """The newest `limit` that the journal has, oldest first; None for all. Raises JournalError."""
    entries = await journal.read(Filter(environment=environment, kinds=(KIND,), limit=limit))
    return deployments_of(entries)


def deployments_of(entries: Iterable[Entry]) -> tuple[Deployment, ...]:
    """Those that entries hold, in their order; entries of other kinds, and those that cannot be read, are
    passed over.
    """
    found = []
    for entry in entries:
        if entry.kind != KIND:
            continue
        try:
            told = msgspec.convert(entry.data, Deployment, strict=False)
        except msgspec.ValidationError:  # a newer console's
            continue
        found.append(msgspec.structs.replace(told, entry=entry.id, by=entry.engineer))
    return tuple(found)


async def last_good(journal: Journal, environment: str, *, before: str = "") -> Deployment | None:
    """The newest deployment that went well and was not taken back since; `before`: of another commit than
    this one. Raises JournalError.
    """
    return newest_good(await read_deployments(journal, environment, limit=None), before=before)


def newest_good(deployments: Iterable[Deployment], *, before: str = "") -> Deployment | None:
    """As `last_good`, of deployments in their order."""
    told = tuple(deployments)
    # the last word on a commit counts: a re-run mends a failure, and a failure takes back what was good
    bad = {one.rolls_back for one in told if one.rolls_back}
    last = {one.commit: one for one in told}
    for one in reversed(told):
        if last[one.commit].good and one.good and one.commit not in bad and not same(one.commit, before):
            return one
    return None


async def is_recorded(journal: Journal, environment: str, commit: str) -> bool:
    """Whether the journal has a deployment of a commit to an environment. Raises JournalError."""
    return any(same(one.commit, commit) for one in await read_deployments(journal, environment))
