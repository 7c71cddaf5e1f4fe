"""A connection for writing: one session, opened by whoever acts and closed at the end, never mended.

What was set, locked or begun in a session is gone with it. So a lost one is told, not replaced: whoever acts
must look what is true before it goes on. Poolers in transaction mode are refused, for they give each
transaction to another session of the server: locks would strand and settings reach the application.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from muva_console.ops.errors import Fault
from muva_console.ops.links.base import CommandLog, CommandRecord
from muva_console.ops.links.pg_address import POOLER_PORT, DatabaseAddress
from muva_console.ops.links.pg_errors import QUERY_CANCELED, DatabaseError
from muva_console.ops.links.pg_statement_errors import explain_statement, without_values
from muva_console.ops.links.pg_way import CONNECT_TIMEOUT, Way
from muva_console.ops.links.sqltext import mask
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    import asyncpg

MARGIN = 5.0
"""Seconds by which the client waits longer than the server may take: the server's own limit comes first and
tells what it was."""
SHORT = 10.0
"""Seconds for a statement that looks something up or sets something."""
CLOSE_TIMEOUT = 2.0
"""Seconds for the farewell."""
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""Seconds of silence before the network is asked whether the server is there, between questions, and how
many go unanswered: a way that is cut is noticed within 35 s, whatever a statement may take. Ours."""
LOST = ("08", "57P")
"""SQLSTATEs, by their beginnings, with which the server ends a connection (57014 ends a statement)."""


class Backend(NamedTuple):
    """A session as the server knows it; a pid alone is used again."""

    pid: int
    started: str
    """`backend_start` in seconds since 1970, as PostgreSQL writes it."""


class PostgresSession:
    """Open it, use it, close it. Lives in one event loop, used by one task at a time."""

    def __init__(self, way: Way, log: CommandLog, *, environment: str = "") -> None:
        """Nothing is opened yet. `way` is this session's own (`Way.apart`)."""
        self._way = way
        self._log = log
        self._environment = environment
        self._connection: asyncpg.Connection | None = None
        self.backend = Backend(0, "")
        """Known once it is open."""
        self.on_notice: Callable[[str], None] = lambda line: None
        """Told what the server says beside its answers (NOTICE, WARNING), a line each, without values."""

    @property
    def where(self) -> str:
        """HOST:PORT/NAME."""
        return self._way.where

    @property
    def usable(self) -> bool:
        """Whether it is open and not lost."""
        return self._connection is not None and not self._connection.is_closed()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a failed one too."""
        return self.usable and self._connection is not None and self._connection.is_in_transaction()

    def psql(self, sql: str) -> str:
        """What a person would type; without the password."""
        return self._way.psql(sql)

    async def check(self) -> None:
        """Raise DatabaseError(CONFIG) where the address is a pooler in transaction mode; connects to nothing.
        Raises OpsError when the address cannot be told.
        """
        try:
            address = await self._way.known()
        except Exception as error:
            raise self._way.explain(error, CONNECT_TIMEOUT) from None
        if address.pooled:
            raise DatabaseError(
                Fault.CONFIG,
                f"port {POOLER_PORT} is a pooler in transaction mode, which cannot be written through",
                where=self.where,
                means="It gives each transaction to another session of the server: a lock would be left "
                "behind in one of them, and what is set for the work would reach the application.",
                next="Let [environments.NAME.database] lead to the same host's port 5432 (session mode) or "
                "to the database's direct address.",
            )

    async def open(self) -> None:
        """Connect. Raises DatabaseError, within CONNECT_TIMEOUT seconds."""
        await self.check()
        began, outcome = time.perf_counter(), "cancelled"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await self._way.connect(_settings, timeout=CONNECT_TIMEOUT)
            self._connection = connection
            outcome = "ok"
        except Exception as error:
            told = self._way.explain_connecting(error, CONNECT_TIMEOUT)
            outcome = str(told.fault)
            raise told from None
        finally:
            self._record("-- a session for writing", outcome, began)
        _keep_alive(connection)
        connection.add_log_listener(self._noticed)
        ((pid, started),) = await self.fetch(
            "SELECT pid, extract(epoch FROM backend_start)::text"
            " FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"
        )
        self.backend = Backend(pid, started)

    async def execute(self, sql: str, *, timeout: float = SHORT) -> str:
        """Run statements without parameters (the simple protocol); the tag of the last: ``INSERT 0 5``.

        `timeout` (s) is what the server allows it; the client waits MARGIN longer. Raises StatementError
        where the server refused, and the session goes on; DatabaseError where the session is lost with it.
        Cancelled, it cancels the statement on the server, and the next call waits for that.
        """
        return str(await self._run(sql, lambda connection: connection.execute(sql), timeout))

    async def fetch(self, sql: str, *arguments: object, timeout: float = SHORT) -> list[tuple[Any, ...]]:
        """The rows of one statement with parameters. As `execute`."""
        rows = await self._run(sql, lambda connection: connection.fetch(sql, *arguments), timeout)
        return [tuple(row) for row in rows]

    async def close(self) -> None:
        """End the session, bounded in time: what is under way in it is cancelled, an open transaction rolled
        back by the server. Never raises.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=CLOSE_TIMEOUT)
            except Exception:
                connection.terminate()
            except BaseException:
                connection.terminate()
                raise
        await self._way.close()

    async def _run(self, sql: str, ask: Callable[[asyncpg.Connection], Any], timeout: float) -> Any:
        import asyncpg

        connection = self._connection
        if connection is None or connection.is_closed():
            raise DatabaseError(Fault.CLOSED, "the connection was lost", where=self.where)
        began, outcome = time.perf_counter(), "cancelled"
        try:
            async with asyncio.timeout(timeout + MARGIN):
                answer = await ask(connection)
            outcome = "ok"
            return answer
        except asyncpg.PostgresError as error:
            outcome = state = str(error.sqlstate or "")
            if state.startswith(LOST) and state != QUERY_CANCELED:
                self._lose()
                raise self._way.explain(error, timeout) from None
            raise explain_statement(error, where=self.where) from None
        except TimeoutError:
            # the server's own limit did not hold: whether it still works at it cannot be told from here
            outcome = str(Fault.TIMEOUT)
            self._lose()
            raise self._way.explain(TimeoutError(), timeout + MARGIN) from None
        except Exception as error:
            told = self._way.explain(error, timeout)
            outcome = str(told.fault)
            if told.fault is Fault.CLOSED or connection.is_closed():
                self._lose()
            raise told from None
        finally:
            self._record(sql, outcome, began)

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
        self._way.lost()

    def _noticed(self, connection: object, message: Any) -> None:
        state = str(getattr(message, "sqlstate", "") or "")
        # RAISE NOTICE has no SQLSTATE of its own (00000); its words are its author's
        own = "P0" if state in ("00000", "01000") else state
        said = without_values(str(getattr(message, "message", "") or ""), own)
        self.on_notice(f"{getattr(message, 'severity', None) or 'NOTICE'}: {said}")

    def _record(self, sql: str, outcome: str, began: float) -> None:
        self._log.add(
            CommandRecord(
                at=utc_now(),
                where=self.where,
                line=self.psql(mask(sql[:4096])),
                took_ms=(time.perf_counter() - began) * 1000,
                outcome=outcome,
                environment=self._environment,
            )
        )


def _settings(address: DatabaseAddress) -> Mapping[str, str]:
    """The server, too, asks whether the client is there: a session of a machine that is gone ends, and its
    locks with it.
    """
    return {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4"}


def _keep_alive(connection: asyncpg.Connection) -> None:
    # asyncpg has no door to its socket; without one (another version) the client's time-outs are what is left
    transport = getattr(connection, "_transport", None)
    link = transport.get_extra_info("socket") if transport is not None else None
    if link is None or link.family not in (socket.AF_INET, socket.AF_INET6):
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
