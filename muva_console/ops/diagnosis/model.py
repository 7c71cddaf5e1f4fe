"""The words of a diagnosis: facts that may be unknown, scenarios, and the whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from muva_console.ops.readings import Finding


class Facts(Struct, frozen=True, kw_only=True):
    """What the probes told, apart from their words. None is "not known", and speaks for nothing."""

    web: bool | None = None
    """The application answers well from outside."""
    local: bool | None = None
    """It answers well on the host itself."""
    tls: bool | None = None
    """Its certificate is accepted."""
    ssh: bool | None = None
    """Every host can be reached."""
    pm2: bool | None = None
    """PM2's daemon runs on every host."""
    stopped: bool | None = None
    """A process is stopped, or PM2 does not have it."""
    gave_up: bool | None = None
    """PM2 gave up on a process."""
    looping: bool | None = None
    """A process restarts more often than thresholds.restarts allow."""
    by_memory: bool | None = None
    """Most of those restarts are the memory limit's."""
    database: bool | None = None
    """The database answers, asked from here."""
    database_free: bool | None = None
    """It has connections left and nobody waits too long for a lock."""
    disk_full: bool | None = None
    slow: bool | None = None
    errors: bool | None = None
    dependency: bool | None = None
    """Every service that it names, and that is configured, answers; the database is none of them."""
    told_database: bool | None = None
    """Whether the application gets what it wants of the database, as it says itself."""
    tables: bool | None = None
    """The critical tables are there."""
    cpu: bool | None = None
    """A host's processors are saturated."""
    taken_by: str = ""
    """Who has the application's port, when it is not the application."""
    signs: Mapping[str, str] = field(default_factory=dict)
    """What the errors of the last minutes speak for (`signatures.Sign`), and one such error of each."""
    deployed: float | None = None
    """Seconds since the newest deployment or change of the environment file; None where not known."""
    onset: float | None = None
    """Seconds since the first of the errors that go on; None where not known. At most the log's window."""
    name: bool | None = None
    """The name of its address is known to DNS."""
    database_from_host: bool | None = None
    """The database takes connections from the hosts."""
    half_done: tuple[str, ...] = ()
    """What a migration that failed has left."""
    unapplied: tuple[str, ...] = ()
    """Migrations of the code on the host that the database never ran."""
    lacking: tuple[str, ...] = ()
    """Names that the template asks for and the host's environment file has not, or has empty."""
    killed: tuple[str, ...] = ()
    """Processes that the kernel killed for want of memory lately."""
    provider: str = ""
    """What the database's provider reports of itself; empty where nothing, or where it was not asked."""
    elsewhere: bool | None = None
    """Something else on the Internet answers us."""
    others: bool | None = None
    """No finding of any probe is a failure."""


class Scenario(Struct, frozen=True, kw_only=True):
    """One thing that may be wrong."""

    id: str
    title: str
    confidence: str
    """``very likely`` or ``possible``."""
    supports: tuple[str, ...] = field(name="for", default=())
    against: tuple[str, ...] = ()
    tell_apart: str = ""
    """What would tell it from the others."""
    runbook: str = ""
    """The id of the runbook that mends it; empty where there is none."""


class ProbeState(Struct, frozen=True, kw_only=True):
    """One probe: asked, and without findings until it is done."""

    name: str
    title: str = ""
    done: bool = False
    waits_on: str = ""
    """What has to be there before it can be asked; empty where nothing is in the way."""
    findings: tuple[Finding, ...] = ()
    took_ms: float | None = None
    """How long it took; None until it is done."""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What was seen and what it is taken for, the likeliest first."""

    environment: str
    scenarios: tuple[Scenario, ...]
    findings: tuple[Finding, ...]
    cannot_tell: str = ""
    """Why there is no scenario; empty where there is one."""
    at: datetime
    took_ms: float
