"""The database link: one connection, kept open, mended by itself, for reading only.

Nothing here can change a row: sessions start with default_transaction_read_only, and every reading is a
READ ONLY transaction of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from muva_console.config.model import Database
from muva_console.ops.errors import Fault, FurtherError, LinkError, OpsError
from muva_console.ops.links.answers import DatabaseReading
from muva_console.ops.links.backoff import Backoff
from muva_console.ops.links.base import CommandLog, CommandRecord, HostLink, LinkState, LinkStatus, OnState
from muva_console.ops.links.pg_address import DatabaseAddress, address_of, tls_for
from muva_console.ops.links.pg_errors import QUERY_CANCELED, DatabaseError, explain
from muva_console.ops.links.resolver import ResolveError, Resolver
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

CONNECT_TIMEOUT = 8.0
"""Seconds for resolving, connecting and logging in. Ours, the same as a host's."""
READ_TIMEOUT = 10.0
"""Seconds for one reading on an open connection; above the server's own limit of a statement."""
RETRY_BASE, RETRY_CAP = 0.5, 15.0
"""Seconds between attempts to connect, doubling; whoever asks earlier gets the last error at once."""
RETRY_AUTH = 5.0
"""As RETRY_BASE, after a password was refused: servers count those and lock out who insists."""

Secret = Callable[[], Awaitable[str]]

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
    ) -> None:
        """`secret` gives what `database.url` refers to when there is one, else what `database.password`
        does; it is asked once, and again after a password was refused. `tunnel`: the host through whose
        SSH connection the database is reached.
        """
        self._database = database
        self._secret = secret
        self._log = log
        self._tunnel = tunnel
        self._environment = environment
        self._resolver = resolver or Resolver()
        self._on_state = on_state
        self._address: DatabaseAddress | None = None
        self._connection: asyncpg.Connection | None = None
        self._forward: _Forward | None = None
        self._plain_start = False
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
        if self._address is not None:
            return self._address.where
        if self._database.url is None and self._database.host:
            return address_of(self._database, None).where
        return self._state.name

    def psql(self, sql: str) -> str:
        """What a person would type to ask the same; without the password."""
        return self._address.psql(sql) if self._address else f'psql "$DATABASE_URL" -c {_quoted(sql)}'

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
                return self._explain(error, timeout)
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
                        told = self._explain(error, timeout)
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
        forward, self._forward = self._forward, None
        if forward is not None:
            await forward.close()
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
                self._connection = await self._connect_through()
        except Exception as error:
            told = self._explain(error, CONNECT_TIMEOUT)
            if not isinstance(error, LinkError):
                told = self._through(told)
            auth = told.fault is Fault.AUTH
            if auth:
                self._address = None
            self._backoff.failed(base=RETRY_AUTH if auth else RETRY_BASE, cap=RETRY_CAP)
            self._failed(told)
            raise told from None
        self._backoff.reset()
        self._error = None
        return self._connection

    async def _connect_through(self) -> asyncpg.Connection:
        """As `_connect`; the local end of a tunnel accepts whatever lies behind it, so where one that stood
        leads nowhere it is opened anew, which tells why.
        """
        try:
            return await self._connect()
        except Exception as error:
            forward = self._forward
            told = self._explain(error, CONNECT_TIMEOUT)
            lost = told.fault in (Fault.REFUSED, Fault.CLOSED) and not told.sqlstate
            if isinstance(error, LinkError) or not lost or forward is None or forward.asked < 2:
                raise
            forward.suspect()
            return await self._connect()

    async def _connect(self) -> asyncpg.Connection:
        import asyncpg

        address = self._address
        if address is None:
            secret = await self._secret() if self._secret is not None else None
            address = self._address = address_of(self._database, secret)
        host, port = await self._way(address)
        try:
            return await self._open(address, host, port)
        except asyncpg.PostgresError as error:
            # PgBouncer refuses what it does not know; then only the transaction's own limits hold
            if "startup parameter" not in str(error) or self._plain_start:
                raise
            self._plain_start = True
            return await self._open(address, host, port)

    async def _way(self, address: DatabaseAddress) -> tuple[str, int]:
        if self._tunnel is None:
            if not address.host.startswith("/"):
                # asyncpg would look the name up in the loop's few threads; a hanging look-up ends here
                await self._resolver.resolve(address.host, address.port)
            return address.host, address.port
        if self._forward is None or self._forward.lost:
            if self._forward is not None:
                await self._forward.close()
            self._forward = _Forward(self._tunnel, address.host, address.port)
        try:
            return "127.0.0.1", await self._forward.port()
        except FurtherError:
            raise
        except LinkError as error:
            host = self._tunnel.host
            what = str(error) if str(error).startswith(host) else f"{host}: {error}"
            raise DatabaseError(
                error.fault, what, where=self.where, means=error.means, next=error.next, way=True
            ) from error

    async def _open(self, address: DatabaseAddress, host: str, port: int) -> asyncpg.Connection:
        import asyncpg

        settings = {"application_name": "muva-console"}
        if not (address.pooled or self._plain_start):
            from muva_console.ops.links.pg_reading import STATEMENT_TIMEOUT

            settings |= {
                "default_transaction_read_only": "on",
                "statement_timeout": f"{int(STATEMENT_TIMEOUT * 1000)}",
            }
        return await asyncpg.connect(
            host=host,
            port=port,
            user=address.user,
            password=address.password,
            database=address.name,
            ssl=tls_for(address, tunnelled=self._tunnel is not None),
            timeout=CONNECT_TIMEOUT,
            # a transaction pooler hands each transaction to any server: no prepared statement survives
            statement_cache_size=0,
            server_settings=settings,
        )

    def _explain(self, error: Exception, timeout: float) -> DatabaseError:
        hide = self._address.password if self._address else None
        if isinstance(error, ResolveError):
            told = DatabaseError(Fault.DNS, str(error), where=self.where)
        elif isinstance(error, OpsError) and not isinstance(error, LinkError):
            # the secret could not be had; its error is fit for a screen
            told = DatabaseError(Fault.CONFIG, str(error), where=self.where, next=error.next)
        else:
            told = explain(error, where=self.where, timeout=timeout, hide=hide)
        return told

    def _through(self, error: DatabaseError) -> DatabaseError:
        """What a failure to connect means when a tunnel lies between: its local end always accepts."""
        if self._tunnel is None or error.sqlstate or self._forward is None:
            return error
        if error.fault is Fault.TIMEOUT and not self._forward.stands:
            what = f"{self._tunnel.host}: no way through it within {CONNECT_TIMEOUT:g} s"
            return DatabaseError(error.fault, what, where=error.where, way=True)
        if error.fault is Fault.REFUSED:
            self._forward.suspect()
            what = f"the tunnel through {self._tunnel.host} is gone"
            return DatabaseError(Fault.CLOSED, what, where=error.where, way=True)
        if error.fault is Fault.CLOSED:
            self._forward.suspect()
            what = f"nothing listens there as seen from {self._tunnel.host}"
            means = "Postgres is not running, or the host's SSH server forbids forwarding."
            return DatabaseError(Fault.REFUSED, what, where=error.where, means=means)
        return error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # terminate, not close: a polite farewell to a server that hangs would hang too
            connection.terminate()

    def _failed(self, error: DatabaseError) -> None:
        self._error = error
        if self._tunnel is not None and self._forward is not None and error.fault is Fault.CLOSED:
            self._forward.suspect()
        self._set(LinkStatus.DOWN, error)

    def _set(self, status: LinkStatus, error: LinkError | None = None) -> None:
        before = self._state
        since = before.since if before.status is status else utc_now()
        details = []
        if self._tunnel is not None:
            details.append(f"through {self._tunnel.host}")
        if self._address is not None and self._address.pooled:
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


class _Forward:
    """A tunnel kept open in a task of its own, so that opening and closing it happen in one task."""

    def __init__(self, host: HostLink, address: str, port: int) -> None:
        self._stop = asyncio.Event()
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._suspect = False
        self.asked = 0
        """How often its port was asked for."""
        self._task = asyncio.create_task(self._keep(host, address, port), name=f"tunnel {host.host}")

    @property
    def lost(self) -> bool:
        """Whether the tunnel is gone, or a connection through it was lost."""
        return self._task.done() or self._suspect

    def suspect(self) -> None:
        """A connection through it was lost: open a new one next time."""
        self._suspect = True

    @property
    def stands(self) -> bool:
        """Whether it was opened, or could not be."""
        return self._port.done()

    async def port(self) -> int:
        """The local port. Raises what opening the tunnel raised."""
        self.asked += 1
        return await asyncio.shield(self._port)

    async def close(self) -> None:
        """Close the tunnel."""
        self._stop.set()
        _, late = await asyncio.wait({self._task}, timeout=2.0)
        for task in late:
            task.cancel()

    async def _keep(self, host: HostLink, address: str, port: int) -> None:
        try:
            async with host.open_tcp(address, port) as local:
                if not self._port.done():
                    self._port.set_result(local)
                await self._stop.wait()
        except Exception as error:
            if not self._port.done():
                self._port.set_exception(error)
                self._port.exception()  # whoever waited may have given up
        finally:
            if not self._port.done():
                self._port.set_exception(LinkError(Fault.CLOSED, "the tunnel was closed", where=host.host))
                self._port.exception()


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(sanitise_line(text, cap=1000))
