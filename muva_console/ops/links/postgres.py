"""The database link: one connection, kept open, mended by itself, for reading only.

Nothing here can change a row: sessions start with default_transaction_read_only, and every reading is a
READ ONLY transaction of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from muva_console.config.model import Database
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.answers import DatabaseReading
from muva_console.ops.links.backoff import Backoff
from muva_console.ops.links.base import CommandLog, CommandRecord, HostLink, LinkState, LinkStatus, OnState
from muva_console.ops.links.pg_address import DatabaseAddress
from muva_console.ops.links.pg_errors import QUERY_CANCELED, DatabaseError
from muva_console.ops.links.pg_way import CONNECT_TIMEOUT, Secret, Way
from muva_console.ops.links.resolver import Resolver
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    import asyncpg

    from muva_console.ops.links.postgres_session import PostgresSession

T = TypeVar("T")

READ_TIMEOUT = 10.0
"""Seconds for one reading on an open connection; above the server's own limit of a statement."""
RETRY_BASE, RETRY_CAP = 0.5, 15.0
"""Seconds between attempts to connect, doubling; whoever asks earlier gets the last error at once."""
RETRY_AUTH = 5.0
"""As RETRY_BASE, after a password was refused: servers count those and lock out who insists."""

_KEPT = "SELECT 1; SELECT state, count(*) FROM pg_stat_activity GROUP BY 1"


class PostgresLink:
    """One environment's database. Lives in one event loop; readings wait for each other."""

    def __init__(
        self,
        name: str,
        database: Database,
        secret: Secret | None,
        log: CommandLog,
        *,
        tunnel: HostLink | None = None,
        environment: str = "",
        resolver: Resolver | None = None,
        on_state: OnState | None = None,
        way: Way | None = None,
        refused: Callable[[], object] | None = None,
    ) -> None:
        """`secret` gives what `database.url` refers to when there is one, else what `database.password`
        does; it is asked once, and again after a password was refused, of which `refused` is told. `tunnel`:
        the host through whose SSH connection the database is reached. `way` stands for all of that where it
        is known already.
        """
        self._name, self._database = name, database
        self._way = way or Way(name, database, secret, tunnel=tunnel, resolver=resolver, refused=refused)
        self._log = log
        self._environment = environment
        self._on_state = on_state
        self._connection: asyncpg.Connection | None = None
        self._backoff = Backoff()
        self._error: DatabaseError | None = None
        self._lock = asyncio.Lock()
        self._state = LinkState(name=name, status=LinkStatus.UNUSED, since=utc_now())

    @property
    def state(self) -> LinkState:
        """Where the link stands now; never blocks."""
        return self._state

    @property
    def where(self) -> str:
        """HOST:PORT/NAME; the link's name until the address is known (it may be a secret's content)."""
        return self._way.where

    def psql(self, sql: str) -> str:
        """What a person would type to ask the same; without the password."""
        return self._way.psql(sql)

    def to(self, name: str) -> PostgresLink:
        """A link of its own to another database of the same server. The caller closes it."""
        return PostgresLink(
            f"{self._name} {name}",
            self._database,
            None,
            self._log,
            environment=self._environment,
            way=self._way.to(name),
        )

    def way(self) -> Way:
        """The way to the database, opened anew: for programs of libpq's. The caller closes it."""
        return self._way.apart()

    def session(self) -> PostgresSession:
        """A connection of its own to the same database, for writing; not opened yet. The caller closes it."""
        from muva_console.ops.links.postgres_session import PostgresSession

        return PostgresSession(self._way.apart(), self._log, environment=self._environment)

    async def read(
        self, *, critical_tables: Sequence[str] = (), long_query: float = 30.0, timeout: float = READ_TIMEOUT
    ) -> DatabaseReading:
        """One reading. `long_query`: seconds from which a query is listed as long.

        Opens the connection when there is none; a kept one that was lost meanwhile is replaced once.
        Raises DatabaseError (a LinkError with the server's SQLSTATE), at most `timeout` seconds after
        connecting and CONNECT_TIMEOUT seconds for that.
        """
        from muva_console.ops.links.pg_reading import read_database

        async def take(connection: asyncpg.Connection) -> DatabaseReading:
            return await read_database(connection, critical_tables=critical_tables, long_query=long_query)

        return await self._observe(take, _KEPT, timeout)

    async def fetch(
        self, sql: str, *arguments: object, limit: int = 100_000, timeout: float = READ_TIMEOUT
    ) -> list[tuple[Any, ...]]:
        """The rows of one query, in a READ ONLY transaction of its own that ends after `timeout` seconds on
        the server too. Names must be qualified: the search path is pg_catalog alone. Row level security
        hides nothing: a query that it would filter fails (42501).

        Raises DatabaseError as `read` does; with the server's SQLSTATE where the query itself failed, which
        leaves the link as it was; TOO_LARGE when there are more than `limit` rows.
        """
        from muva_console.ops.links.pg_reading import fetch_rows

        async def take(connection: asyncpg.Connection) -> list[tuple[Any, ...]] | DatabaseError:
            import asyncpg

            try:
                rows = await fetch_rows(connection, sql, arguments, limit=limit, timeout=timeout)
            except asyncpg.PostgresError as error:
                if str(error.sqlstate)[:2] in ("08", "57") and error.sqlstate != QUERY_CANCELED:
                    raise
                await connection.execute("ROLLBACK")
                return self._way.explain(error, timeout)
            if len(rows) > limit:
                return DatabaseError(Fault.TOO_LARGE, f"more than {limit:,} rows", where=self.where)
            return rows

        # the server's own limit comes first, and tells what it was
        answer = await self._observe(take, " ".join(sql.split()), timeout + 1.0)
        if isinstance(answer, DatabaseError):
            raise answer
        return answer

    async def _observe(
        self, take: Callable[[asyncpg.Connection], Awaitable[T]], sql: str, timeout: float
    ) -> T:
        """Take a reading on the one connection, opened when there is none; `sql` is what the log tells."""
        began = time.perf_counter()
        outcome = "cancelled"
        try:
            async with self._lock:
                for last in (False, True):
                    kept = self._connection is not None and not self._connection.is_closed()
                    connection = await self._connected()
                    try:
                        async with asyncio.timeout(timeout):
                            reading = await take(connection)
                        break
                    except BaseException as error:
                        self._drop()
                        if not isinstance(error, Exception):
                            raise
                        told = self._way.explain(error, timeout)
                        if last or not kept or told.fault is not Fault.CLOSED:
                            self._failed(told)
                            raise told from None
            self._set(LinkStatus.UP)
            outcome = "ok"
            return reading
        except LinkError as error:
            outcome = str(error.fault)
            raise
        finally:
            self._record(sql, outcome, (time.perf_counter() - began) * 1000)

    def retry_now(self) -> None:
        """Let the next reading try to connect at once, whatever the back-off says: a person asked."""
        self._backoff.skip()

    async def close(self) -> None:
        """Close the connection and the tunnel; the link may be used again."""
        self._drop()
        await self._way.close()
        self._backoff.reset()
        self._set(LinkStatus.CLOSED)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._drop()
        if self._error is not None and self._backoff.remaining() > 0:
            raise self._error
        if self._state.status is not LinkStatus.DOWN:
            self._set(LinkStatus.OPENING)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                self._connection = await self._way.connect(self._settings, timeout=CONNECT_TIMEOUT)
        except Exception as error:
            told = self._way.explain_connecting(error, CONNECT_TIMEOUT)
            auth = told.fault is Fault.AUTH
            if auth:
                self._way.forget()
            self._backoff.failed(base=RETRY_AUTH if auth else RETRY_BASE, cap=RETRY_CAP)
            self._failed(told)
            raise told from None
        self._backoff.reset()
        self._error = None
        return self._connection

    def _settings(self, address: DatabaseAddress) -> Mapping[str, str]:
        if address.pooled:
            return {}
        from muva_console.ops.links.pg_reading import STATEMENT_TIMEOUT

        return {
            "default_transaction_read_only": "on",
            "statement_timeout": f"{int(STATEMENT_TIMEOUT * 1000)}",
        }

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # terminate, not close: a polite farewell to a server that hangs would hang too
            connection.terminate()

    def _failed(self, error: DatabaseError) -> None:
        self._error = error
        if error.fault is Fault.CLOSED:
            self._way.lost()
        self._set(LinkStatus.DOWN, error)

    def _set(self, status: LinkStatus, error: LinkError | None = None) -> None:
        before = self._state
        since = before.since if before.status is status else utc_now()
        details = []
        if self._way.tunnel is not None:
            details.append(f"through {self._way.tunnel.host}")
        if self._way.address is not None and self._way.address.pooled:
            details.append("transaction pooler")
        self._state = LinkState(
            name=before.name, status=status, since=since, error=error, detail=", ".join(details)
        )
        if self._on_state is not None and (before.status is not status or error is not None):
            self._on_state(self._state)

    def _record(self, sql: str, outcome: str, took_ms: float) -> None:
        self._log.add(
            CommandRecord(
                at=utc_now(),
                where=self.where,
                line=self.psql(sql),
                took_ms=took_ms,
                outcome=outcome,
                environment=self._environment,
            )
        )
