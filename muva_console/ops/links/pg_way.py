"""The way to a database: where it is, who logs in, and the tunnel that leads there.

Shared by what reads (`postgres.PostgresLink`) and what writes (`postgres_session.PostgresSession`); each has
a way of its own, so that none closes a tunnel that the other still uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from muva_console.config.model import Database
from muva_console.ops.errors import Fault, FurtherError, LinkError, OpsError
from muva_console.ops.links.base import HostLink
from muva_console.ops.links.pg_address import DatabaseAddress, address_of, tls_for
from muva_console.ops.links.pg_errors import DatabaseError, explain
from muva_console.ops.links.resolver import ResolveError, Resolver
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import asyncpg

CONNECT_TIMEOUT = 8.0
"""Seconds for resolving, connecting and logging in. Ours, the same as a host's."""
APPLICATION = "muva-console"
"""What `pg_stat_activity` calls every connection of ours."""

Secret = Callable[[], Awaitable[str]]
Settings = Callable[[DatabaseAddress], Mapping[str, str]]
"""What the session begins with, beside its name: parameters of the server and their values."""


class Way:
    """How one database is reached. Lives in one event loop."""

    def __init__(
        self,
        name: str,
        database: Database,
        secret: Secret | None,
        *,
        tunnel: HostLink | None = None,
        resolver: Resolver | None = None,
        refused: Callable[[], object] | None = None,
    ) -> None:
        """`secret` gives what `database.url` refers to when there is one, else what `database.password`
        does; it is asked once, and again after `forget`, which calls `refused`: whoever keeps the secret is
        to have it anew. `tunnel`: the host through whose SSH connection the database is reached.
        """
        self._refused = refused
        self._name = name
        self._database = database
        self._secret = secret
        self._tunnel = tunnel
        self._resolver = resolver or Resolver()
        self._address: DatabaseAddress | None = None
        self._forward: _Forward | None = None
        self._plain_start = False
        self._other = ""

    def apart(self) -> Way:
        """The same way, opened anew: with a tunnel of its own."""
        way = Way(
            self._name,
            self._database,
            self._secret,
            tunnel=self._tunnel,
            resolver=self._resolver,
            refused=self._refused,
        )
        way._address = self._address
        way._other = self._other
        return way

    def to(self, name: str) -> Way:
        """As `apart`, to another database of the same server."""
        way = self.apart()
        way._other = name
        if way._address is not None:
            way._address = replace(way._address, name=name)
        return way

    @property
    def address(self) -> DatabaseAddress | None:
        """None until the secret was asked, which may be the whole URL."""
        return self._address

    @property
    def tunnel(self) -> HostLink | None:
        """The host through which it leads."""
        return self._tunnel

    @property
    def where(self) -> str:
        """HOST:PORT/NAME; the link's name until the address is known (it may be a secret's content)."""
        if self._address is not None:
            return self._address.where
        if self._database.url is None and self._database.host:
            return address_of(self._database, None).where
        return self._name

    def psql(self, sql: str) -> str:
        """What a person would type to ask the same; without the password."""
        return self._address.psql(sql) if self._address else f'psql "$DATABASE_URL" -c {_quoted(sql)}'

    async def known(self) -> DatabaseAddress:
        """The address; asks the secret when it was not asked yet. Raises OpsError."""
        if self._address is None:
            secret = await self._secret() if self._secret is not None else None
            address = address_of(self._database, secret)
            self._address = replace(address, name=self._other) if self._other else address
        return self._address

    async def leads(self) -> tuple[str, int]:
        """Host and port that a program of libpq's connects to: the server, or the near end of the tunnel,
        which stands until `close`. Raises OpsError.
        """
        return await self._leads(await self.known())

    def forget(self) -> None:
        """The password was refused: ask the secret again next time."""
        self._address = None
        if self._refused is not None:
            self._refused()

    async def connect(self, settings: Settings, *, timeout: float) -> asyncpg.Connection:
        """A connection that has no statements prepared beforehand (a transaction pooler keeps none).
        Whoever calls bounds it by `timeout` (s). Raises what asyncpg, the resolver or the tunnel raise.

        The local end of a tunnel accepts whatever lies behind it, so where one that stood leads nowhere it
        is opened anew, which tells why.
        """
        try:
            return await self._connect(settings, timeout)
        except Exception as error:
            forward = self._forward
            told = self.explain(error, timeout)
            lost = told.fault in (Fault.REFUSED, Fault.CLOSED) and not told.sqlstate
            if isinstance(error, LinkError) or not lost or forward is None or forward.asked < 2:
                raise
            forward.suspect()
            return await self._connect(settings, timeout)

    async def _connect(self, settings: Settings, timeout: float) -> asyncpg.Connection:
        import asyncpg

        address = await self.known()
        host, port = await self._leads(address)
        try:
            return await self._open(address, host, port, settings, timeout)
        except asyncpg.PostgresError as error:
            # PgBouncer refuses what it does not know; then only the transaction's own limits hold
            if "startup parameter" not in str(error) or self._plain_start:
                raise
            self._plain_start = True
            return await self._open(address, host, port, settings, timeout)

    async def _leads(self, address: DatabaseAddress) -> tuple[str, int]:
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

    async def _open(
        self, address: DatabaseAddress, host: str, port: int, settings: Settings, timeout: float
    ) -> asyncpg.Connection:
        import asyncpg

        return await asyncpg.connect(
            host=host,
            port=port,
            user=address.user,
            password=address.password,
            database=address.name,
            ssl=tls_for(address, tunnelled=self._tunnel is not None),
            timeout=timeout,
            # a transaction pooler hands each transaction to any server: no prepared statement survives
            statement_cache_size=0,
            server_settings={
                "application_name": APPLICATION,
                **({} if self._plain_start else settings(address)),
            },
        )

    def explain(self, error: BaseException, timeout: float) -> DatabaseError:
        """An exception as what it means; the password is taken out of it."""
        hide = self._address.password if self._address else None
        if isinstance(error, ResolveError):
            return DatabaseError(Fault.DNS, str(error), where=self.where)
        if isinstance(error, OpsError) and not isinstance(error, LinkError):
            # the secret could not be had; its error is fit for a screen
            return DatabaseError(Fault.CONFIG, str(error), where=self.where, next=error.next)
        return explain(error, where=self.where, timeout=timeout, hide=hide)

    def explain_connecting(self, error: Exception, timeout: float) -> DatabaseError:
        """As `explain`, of a failure to connect: what it means when a tunnel lies between, whose local end
        always accepts.
        """
        told = self.explain(error, timeout)
        if isinstance(error, LinkError) or self._tunnel is None or told.sqlstate or self._forward is None:
            return told
        if told.fault is Fault.TIMEOUT and not self._forward.stands:
            what = f"{self._tunnel.host}: no way through it within {timeout:g} s"
            return DatabaseError(told.fault, what, where=told.where, way=True)
        if told.fault is Fault.REFUSED:
            self._forward.suspect()
            what = f"the tunnel through {self._tunnel.host} is gone"
            return DatabaseError(Fault.CLOSED, what, where=told.where, way=True)
        if told.fault is Fault.CLOSED:
            self._forward.suspect()
            what = f"nothing listens there as seen from {self._tunnel.host}"
            means = "Postgres is not running, or the host's SSH server forbids forwarding."
            return DatabaseError(Fault.REFUSED, what, where=told.where, means=means)
        return told

    def lost(self) -> None:
        """A connection by this way was lost: where it leads through a tunnel, that is opened anew."""
        if self._forward is not None:
            self._forward.suspect()

    async def close(self) -> None:
        """Close the tunnel; the way may be used again."""
        forward, self._forward = self._forward, None
        if forward is not None:
            await forward.close()


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
