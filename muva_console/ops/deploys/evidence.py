"""What the checklists have shown of the code that goes out, from the journal's newest runs of them.

Something is ticked only where a machine found it well, or a person said yes, for that very code. Unknown,
overridden, warned of or found for another commit stays unticked, with the reason.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import workshop_of
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import spell_span
from muva_console.ops.journal.model import Filter
from muva_console.ops.journal.store import Journal
from muva_console.ops.readings import Level, utc_now, worst
from muva_console.ops.runbooks.model import Basis
from muva_console.ops.runbooks.run import KINDS, Item, Run, RunKind, Word, fold
from muva_console.ops.text import sanitise_line

BEFORE_STAGING, BEFORE_PRODUCTION = "pre-deploy-staging", "pre-deploy-production"
OLDEST = timedelta(hours=24)
"""How old what was found may be. Ours: the commit is what it hangs on; a day later the world has changed."""
_RUNS = 200
"""Begins of runs that are looked through."""


class Evidence(Struct, frozen=True, kw_only=True):
    """One line of a list to tick."""

    what: str
    ok: bool
    told: str = ""
    """What was seen, or why it is not ticked."""

    @property
    def line(self) -> str:
        """As Markdown."""
        return f"- [{'x' if self.ok else ' '}] {self.what}" + (f" — {self.told}" if self.told else "")


TESTING = (
    ("Tested in dev environment", BEFORE_STAGING, "local-testing"),
    ("Build and tests pass", BEFORE_STAGING, "build-success"),
    ("Tested in staging environment", BEFORE_PRODUCTION, "staging-validated"),
    ("Database migrations validated", BEFORE_STAGING, "migrations-validated"),
    ("Performance verified", BEFORE_PRODUCTION, "performance-check"),
    ("Error monitoring clear", BEFORE_PRODUCTION, "error-monitoring"),
)
"""The playbook's list (and the build's), and the items of the checklists that show each."""
MIGRATIONS = (
    ("Successfully applied in staging", BEFORE_PRODUCTION, "migration-tested"),
    ("Rollback plan identified", BEFORE_PRODUCTION, "backup-plan"),
)


class Checklists:
    """The newest runs of the two checklists, and the commit that they must speak of."""

    def __init__(self, ctx: CheckContext, head: str) -> None:
        """`head`: the commit that goes to production."""
        self._ctx = ctx
        self._head = head
        self._runs: dict[str, Run | None] = {}

    async def look(self, wanted: tuple[tuple[str, str, str], ...]) -> tuple[Evidence, ...]:
        """Each thing to tick. Raises JournalError."""
        return tuple([await self._one(what, runbook, item) for what, runbook, item in wanted])

    async def _one(self, what: str, runbook: str, id: str) -> Evidence:
        if runbook not in self._runs:
            self._runs[runbook] = await self._newest(runbook)
        run = self._runs[runbook]
        if run is None:
            return Evidence(what=what, ok=False, told=f"no run of {runbook} is in the journal")
        item = run.item(id)
        if item is None:
            return Evidence(what=what, ok=False, told=f"{runbook} has no item {id}")
        word = _said(item)
        if word is None:
            return Evidence(what=what, ok=False, told="not looked at yet")
        if not word.ok:
            return Evidence(what=what, ok=False, told=word.told)
        age = utc_now() - word.at
        if age > OLDEST:
            return Evidence(what=what, ok=False, told=f"{spell_span(age.total_seconds())} old: {word.told}")
        if (other := await self._of_other(word.basis)) is not None:
            return Evidence(what=what, ok=False, told=f"{other}: {word.told}")
        return Evidence(what=what, ok=True, told=word.told)

    async def _newest(self, runbook: str) -> Run | None:
        name = self._ctx.environment_name
        if runbook == BEFORE_STAGING:
            source = self._ctx.going_out().source
            if source is None:
                return None
            name = source.environment_name
        return await newest_run(self._ctx.going_out().journal, runbook, name)

    async def _of_other(self, basis: str) -> str | None:
        """Why it speaks of another code; None where it is this one."""
        if not basis:
            return "which commit it was found for is not known"
        if basis == self._head:
            return None
        try:
            workshop = workshop_of(self._ctx)
            if await workshop.is_ancestor(basis, self._head):
                came = [one for one in await workshop.commits(basis, self._head) if not one.merge]
                if not came:
                    return None  # what came since are merges of it alone
        except OpsError:
            return f"found for {basis[:7]}, which the repository does not have"
        return f"found for {basis[:7]}, and {self._head[:7]} goes out"


async def newest_run(journal: Journal, runbook: str, environment: str) -> Run | None:
    """The newest run of a runbook for an environment. Raises JournalError."""
    begun = await journal.read(Filter(environment=environment, kinds=(RunKind.BEGUN,), limit=_RUNS))
    for entry in reversed(begun):
        if entry.subject == runbook:
            return fold(await journal.read(Filter(act=entry.act, kinds=KINDS, limit=None)))
    return None


class _Word(Struct, frozen=True, kw_only=True):
    ok: bool
    told: str
    at: datetime
    basis: str = ""


def _said(item: Item) -> _Word | None:
    """What there is of an item: what was found, else what a person said; None of one not looked at."""
    sensed, answer = item.sensed, item.answer
    if answer is not None and answer.word is not Word.YES:
        note = f": {sanitise_line(answer.note, cap=160)}" if answer.note else ""
        words = f"{answer.word.value.replace('-', ' ')} by {answer.by}{note}"
        return _Word(ok=False, told=words, at=answer.at)
    if sensed is not None and sensed.findings:
        level = worst(one.level for one in sensed.findings)
        shown = next(one for one in sensed.findings if one.level is level)
        asked = (
            level is Level.UNKNOWN
            and answer is not None
            and all(one.unconfigured for one in sensed.findings if one.level is Level.UNKNOWN)
        )
        if not asked:
            words = f"{sanitise_line(shown.summary, cap=200)} ({sensed.at:%Y-%m-%d %H:%M} UTC)"
            told = words if level is Level.OK else f"{level.value}: {words}"
            basis = sensed.basis.get(Basis.OUTGOING, "")
            return _Word(ok=level is Level.OK, told=told, at=sensed.at, basis=basis)
    if answer is None:
        return None
    note = f": {sanitise_line(answer.note, cap=160)}" if answer.note else ""
    told = f"said by {answer.by}{note} ({answer.at:%Y-%m-%d %H:%M} UTC)"
    return _Word(ok=True, told=told, at=answer.at, basis=answer.basis.get(Basis.OUTGOING, ""))
