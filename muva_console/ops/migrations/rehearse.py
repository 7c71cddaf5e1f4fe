"""Dry runs that run: on a scratch database with the target's schema, or in the target, rolled back.

A rehearsal tells which locks and rewrites each statement really took; eugene's "trace" is the model
(kaveland/eugene). Its tables are empty, so a duration there is of the catalogs alone. Nothing is written to
the target: `pg_dump --schema-only` reads its catalogs. Executing and rolling back meets the real rows and
the real locks, and holds up whoever wants the tables meanwhile; so it is not for production.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from muva_console.ops.database.narrated import Tell, narrated
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.pg_statement_errors import StatementError
from muva_console.ops.migrations.apply_ground import Choice, Ground, NotApplicable, Prepared
from muva_console.ops.migrations.apply_lost import Point
from muva_console.ops.migrations.apply_plan import commands_of
from muva_console.ops.migrations.apply_prepare import prepare
from muva_console.ops.migrations.apply_record import WANTED
from muva_console.ops.migrations.applying import ApplyFailed, Applying
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.locking import watching
from muva_console.ops.migrations.pieces import Piece
from muva_console.ops.migrations.scratch import Scratch, scratch_database
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier

_LOCKS = """
SELECT n.nspname || '.' || c.relname, l.mode, c.oid::int8, c.relkind::text
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
   AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
_FILES = """
SELECT c.oid::int8, n.nspname || '.' || c.relname, c.relfilenode::int8
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relfilenode <> 0
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_WORDS = {
    "AccessShareLock": "ACCESS SHARE",
    "RowShareLock": "ROW SHARE",
    "RowExclusiveLock": "ROW EXCLUSIVE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareLock": "SHARE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}
_MODES = tuple(_WORDS)


class Tracing(Applying):
    """An apply that looks, after each statement, what it locked and wrote anew."""

    def __init__(self, ground: Ground, choice: Choice, prepared: Prepared, tell: Tell) -> None:
        super().__init__(ground, choice, prepared, tell)
        self._held: set[tuple[str, str]] = set()
        self._files: dict[int, int] = {}
        self.strongest: dict[str, str] = {}
        """The strongest lock that any statement took of each table that was there before."""
        self.rewritten: list[str] = []
        """Tables that were written anew, in order."""

    async def _set_limits(self) -> None:
        await super()._set_limits()
        self._held = set()
        self._files = {oid: number for oid, _, number in await self._session.fetch(_FILES)}

    async def _seen(self, piece: Piece) -> str:
        if not self._session.in_transaction:
            return "; it runs alone, so its locks were not seen"
        locks = await self._session.fetch(_LOCKS)
        files = await self._session.fetch(_FILES)
        now = {oid: number for oid, _, number in files}
        # what was made in this transaction is in nobody's way
        held = {(name, mode) for name, mode, oid, kind in locks if kind not in "rm" or oid in self._files}
        told = []
        for name, mode in sorted(held - self._held, key=lambda one: (one[0], _MODES.index(one[1]))):
            told.append(f"{_WORDS[mode]} on {name}")
            before = self.strongest.get(name)
            if before is None or _MODES.index(before) < _MODES.index(mode):
                self.strongest[name] = mode
        self._held |= held
        anew = [name for oid, name, number in files if self._files.get(oid, number) != number]
        self.rewritten += anew
        self._files = {oid: now[oid] for oid in self._files if oid in now}
        words = f"; took {', '.join(told)}" if told else "; took no lock that it had not"
        return words + (f"; wrote {', '.join(anew)} anew" if anew else "")

    @property
    def summary(self) -> str:
        """What it took, the strongest first."""
        strong = sorted(self.strongest.items(), key=lambda one: (-_MODES.index(one[1]), one[0]))
        locks = ", ".join(f"{_WORDS[mode]} on {table}" for table, mode in strong[:5])
        more = f" and {len(strong) - 5} more" if len(strong) > 5 else ""
        anew = f"; written anew: {', '.join(dict.fromkeys(self.rewritten))}" if self.rewritten else ""
        return (f"locks: {locks}{more}" if locks else "no lock on a table that was there") + anew


class Trying(Tracing):
    """All files in one transaction, which is rolled back."""

    async def _all(self) -> None:
        steps = self._prepared.steps
        await self._session.execute("BEGIN")
        try:
            for step in steps:
                self._point = Point(step=step, backend=self._session.backend)
                await self._reread(step)
                await self._session.execute("RESET SESSION AUTHORIZATION; RESET ALL; DISCARD TEMP")
                await self._set_limits()
                try:
                    async with watching(self._ground.link, self._session.backend.pid, self._blocked):
                        for piece in step.script.pieces:
                            await self._piece(step, piece)
                        self._point.piece, self._point.phase = None, "at its record"
                        await self._record(step)
                        self._columns |= WANTED
                except StatementError as error:
                    raise self._failed(step, error) from None
        finally:
            if self._session.in_transaction:
                await self._session.execute("ROLLBACK")


class RehearseMigrations:
    """Apply to a scratch database that has the target's schema. An `Operation`."""

    name = "migrations-rehearse"

    def __init__(self, ground: Ground, scratch: Scratch, choice: Choice | None = None) -> None:
        self._ground, self._scratch, self._choice = ground, scratch, choice or Choice()
        self._prepared: Prepared | None = None

    async def plan(self) -> Plan:
        """As an apply's, with where the scratch database is made. Raises as that does."""
        self._prepared = await prepare(self._ground, self._choice, backup=False)
        made = await self._scratch.plan()
        return Plan(
            operation=self.name,
            title=f"Rehearse {count(len(self._prepared.steps), 'migration')} of {self._ground.environment}",
            environment=self._ground.environment,
            target=made.where,
            tier=Tier.CONFIRM if made.same_server else Tier.NONE,
            commands=(*made.commands, *commands_of(self._ground, self._prepared)),
            risks=(
                "its tables are empty: durations there are of the catalogs alone, and no row contradicts",
                *made.risks,
                *self._prepared.warnings,
            ),
            undo="nothing stays: the scratch database is dropped",
            production=self._ground.production and made.same_server,
        )

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Make the scratch database, apply to it, and drop it; ends with DONE or FAILED."""
        return narrated(self._rehearsed, self.name)

    async def _rehearsed(self, tell: Tell) -> str:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            raise ApplyFailed("this plan was not made here", next="Plan it again.")
        async with scratch_database(self._scratch, self._ground, prepared.history, tell) as ground:
            tracing = Tracing(ground, self._choice, prepared, tell)
            await tracing.run()
        return f"rehearsed {count(len(prepared.steps), 'migration')}; {tracing.summary}"


class TryMigrations:
    """Execute in the target itself and roll back. An `Operation`."""

    name = "migrations-try"

    def __init__(self, ground: Ground, choice: Choice | None = None) -> None:
        self._ground, self._choice = ground, choice or Choice()
        self._prepared: Prepared | None = None

    async def plan(self) -> Plan:
        """As an apply's. Raises NotApplicable on production and for statements that cannot be rolled back."""
        where = self._ground.environment
        if self._ground.production:
            raise NotApplicable(
                (f"{where} is production: its locks would hold up real requests",),
                where=where,
                next="Rehearse on a scratch database: --dry-run rehearse.",
            )
        prepared = await prepare(self._ground, self._choice, backup=False)
        alone = [
            f"{step.file.path} line {piece.line}: {piece.statement.kind} cannot run in a transaction, so it "
            "cannot be rolled back"
            for step in prepared.steps
            for piece in step.script.pieces
            if piece.statement.alone
        ]
        if alone:
            raise NotApplicable(tuple(alone), where=where, next="Rehearse it: --dry-run rehearse.")
        self._prepared = prepared
        return Plan(
            operation=self.name,
            title=f"Run {count(len(prepared.steps), 'migration')} on {where} and roll back",
            environment=where,
            target=self._ground.link.where,
            tier=Tier.CONFIRM,
            commands=(
                PlannedCommand(self._ground.link.where, "BEGIN"),
                *commands_of(self._ground, prepared),
                PlannedCommand(self._ground.link.where, "ROLLBACK"),
            ),
            risks=(
                "its locks are real: whoever wants these tables waits until the end",
                "what a function does outside of the database (a request, a notice) is not undone; numbers "
                "of sequences are used up",
                *prepared.warnings,
            ),
            undo="nothing stays: it is rolled back",
        )

    def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Run everything in one transaction and roll it back; ends with DONE or FAILED."""
        return narrated(self._tried, self.name)

    async def _tried(self, tell: Tell) -> str:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            raise ApplyFailed("this plan was not made here", next="Plan it again.")
        trying = Trying(self._ground, self._choice, prepared, tell)
        await trying.run()
        try:
            now = await read_history(self._ground.link, statements=False)
        except OpsError as error:
            raise ApplyFailed(
                f"all ran and was rolled back; the history cannot be read: {error}", next=error.next
            ) from None
        if set(now.applied) != set(prepared.history.applied):
            raise ApplyFailed("all ran and was rolled back, and yet the history changed meanwhile")
        tell(EventKind.VERIFIED, "rolled back: the history is as before")
        return f"ran {count(len(prepared.steps), 'migration')} and rolled back; {trying.summary}"
