"""The words of the journal: entries, their kinds, filters, open acts and verifications."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Finding, Level


class Kind:
    """Kinds of entries. The set is open: other subjects add their own, in lower case with hyphens."""

    ACT_BEGUN = "act-begun"
    ACT_ENDED = "act-ended"
    FINDING = "finding"
    NOTE = "note"
    OPENED = "opened"
    CLOSED = "closed"
    INCIDENT = "incident"
    JOURNAL = "journal"
    """What the journal has to say about itself: a warning, an outcome that was recorded late."""


class Outcome(StrEnum):
    """How an act ended, as `Entry.data["outcome"]` of an act-ended entry says it."""

    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"
    """Cancelled on this side; what had been sent to a host may have happened."""
    NOT_BEGUN = "not-begun"
    """The begin could not be recorded in time, so nothing was done."""
    UNKNOWN = "unknown"
    """Interrupted, and settled by a person afterwards."""


class Entry(Struct, frozen=True, kw_only=True):
    """One entry as it stands in the journal. All texts are redacted and sanitised."""

    id: int
    """1, 2, 3 … without a gap."""
    at: datetime
    """When it was written; UTC, by the wall clock, which may have jumped: the order is that of `id`."""
    engineer: str
    """`Engineer.label`."""
    origin: str
    """The host and the circumstances of the login."""
    session: str
    """One opening of the journal by one process."""
    environment: str
    kind: str
    subject: str
    """What it is about, e.g. ``process-restart muva-production on vps``."""
    text: str
    data: dict[str, Any]
    act: str = ""
    """The same on the begin and the end of one act."""
    ref: int | None = None
    """The entry this one is about; for act-ended the begin."""
    prev_hash: str
    hash: str

    @property
    def outcome(self) -> str:
        """How the act ended, for an act-ended entry; else empty."""
        told = self.data.get("outcome", "") if self.kind == Kind.ACT_ENDED else ""
        return told if isinstance(told, str) else ""


class Draft(Struct, frozen=True, kw_only=True):
    """What is to be written; the journal adds who, when, where and the chain."""

    kind: str
    subject: str
    text: str = ""
    environment: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    """Plain JSON data (msgspec.to_builtins makes it of structs)."""
    act: str = ""
    ref: int | None = None


class Filter(Struct, frozen=True, kw_only=True):
    """Which entries to read. All conditions hold together; empty ones do not restrict."""

    environment: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()
    engineer: str = ""
    """Part of the engineer's label, upper or lower case."""
    text: str = ""
    """Part of subject, text or data, upper or lower case."""
    pattern: str = ""
    """A regular expression over subject, text and data; upper or lower case."""
    act: str = ""
    before: int | None = None
    """Only entries with a smaller id: the page before this one."""
    after: int | None = None
    """Only entries with a greater id."""
    limit: int | None = 200
    """The newest so many of those that fit; None for all."""


class Owner(Struct, frozen=True, kw_only=True):
    """The process that began an act, kept in the begin's data so that others can tell if it lives."""

    host: str
    pid: int
    started: int = 0
    """The process's start in clock ticks since boot (field 22 of /proc/PID/stat); 0 where unknown."""
    machine: str = ""
    """The boot id and the PID namespace: only where both are the same does the pid mean anything."""


class Life(StrEnum):
    """Whether the process that began an act still runs."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """The process is gone: nobody will write the end. The outcome is unknown."""
    UNKNOWN = "unknown"
    """It was begun on another machine or in another container."""
    SPOOLED = "spooled"
    """It has ended; the outcome waits beside the journal until that can be written again."""


class OpenAct(Struct, frozen=True, kw_only=True):
    """An act that was begun and whose end is not in the journal."""

    entry: Entry
    """The begin."""
    life: Life
    owner: Owner | None

    @property
    def target(self) -> str:
        """What is acted on, as the plan said."""
        plan = self.entry.data.get("plan")
        told = plan.get("target", "") if isinstance(plan, dict) else ""
        return told if isinstance(told, str) else ""

    @property
    def summary(self) -> str:
        """One line a colleague would say."""
        entry, owner = self.entry, self.owner
        where = f" (process {owner.pid} on {owner.host})" if owner else ""
        began = f"{entry.subject}: begun {entry.at:%Y-%m-%d %H:%M:%S}Z by {entry.engineer}{where}"
        match self.life:
            case Life.RUNNING:
                return f"{began}; still running"
            case Life.INTERRUPTED:
                return f"{began}; interrupted: outcome unknown"
            case Life.UNKNOWN:
                return f"{began}; whether it still runs cannot be told from this machine"
            case Life.SPOOLED:
                return f"{began}; it has ended, its outcome waits in the spool"


class Appended(Struct, frozen=True, kw_only=True):
    """What became of an entry that was to be written only as the next one of its kind."""

    entry: Entry | None
    """None when somebody else was faster: nothing was written."""
    newer: tuple[Entry, ...] = ()
    """The entries that the writer had not seen, oldest first."""


class Begun(Struct, frozen=True, kw_only=True):
    """The begin of an act, written down."""

    entry: Entry
    others: tuple[OpenAct, ...]
    """Acts on the same target that were open at that moment: read in the same transaction, so of two
    consoles that begin at once one sees the other.
    """


class Ended(Struct, frozen=True, kw_only=True):
    """Where the end of an act was written."""

    entry: Entry | None
    """None when it could not be written to the journal and waits in the spool."""
    error: OpsError | None = None
    """Why it waits there."""
    shortened: bool = False
    """The spool had room for the beginning only."""


class Flaw(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the chain."""

    id: int
    """The first entry that is bad, missing, or should have followed."""
    problem: str
    """edited, removed, inserted, reordered, rewritten, cut or unreadable."""
    text: str


class Verification(Struct, frozen=True, kw_only=True):
    """The outcome of walking the chain.

    OK: every entry is as it was written and none is missing up to the last anchor. FAIL: `flaw` names the
    first bad entry. UNKNOWN: the chain holds but nothing tells whether its tail was cut.
    """

    level: Level
    entries: int
    head: int = 0
    """The last entry's id, 0 when there is none."""
    head_hash: str = ""
    anchored: int = 0
    """The last entry that the anchor file knows."""
    flaw: Flaw | None = None
    summary: str
    evidence: tuple[str, ...] = ()
    took_ms: float = 0.0
    at: datetime

    @property
    def head_token(self) -> str:
        """``ID:HASH`` of the last entry: noted elsewhere, it makes a cut tail visible later."""
        return f"{self.head}:{self.head_hash}" if self.head else ""

    def finding(self) -> Finding:
        """The same as a finding of the check ``journal``."""
        return Finding(
            check="journal",
            title="Journal",
            level=self.level,
            summary=self.summary,
            evidence=self.evidence,
            command="muva journal verify",
            took_ms=self.took_ms,
            at=self.at,
        )


class JournalStatus(Struct, frozen=True, kw_only=True):
    """Where the journal stands, for the status line and `muva doctor`."""

    directory: str
    exists: bool
    head: int = 0
    shared: bool = False
    """The folder belongs to a group that may write."""
    waiting: int = 0
    """Entries that the journal which several jump hosts share does not have yet; 0 where none is shared."""
    warnings: tuple[str, ...] = ()
    """What a person should know: a cut tail, outcomes recorded late, a folder anybody may write."""


def timestamp(at: datetime) -> str:
    """UTC as ISO 8601 with microseconds, of fixed width, so that texts compare as times do."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """The opposite of `timestamp`. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
