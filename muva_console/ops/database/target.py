"""The database that is backed up or restored, and how libpq's programs get to it: through a host's SSH
connection where the configuration says so.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muva_console.config.model import Backups
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.pg_address import DatabaseAddress
from muva_console.ops.links.pg_way import APPLICATION, CONNECT_TIMEOUT, Way
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

NO_COMMIT = "0" * 12
"""The commit of a backup where none is known: git's own word for none."""
_KEEPALIVE = "keepalives_idle=15 keepalives_interval=5 keepalives_count=4 tcp_user_timeout=60000"
"""A connection that was cut silently ends within a minute instead of two hours."""
# a server's own limits are for requests, not for a dump or for a transaction that waits for one
_UNLIMITED = """
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN
  ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A commit, and how it is known."""

    commit: str
    """Twelve digits, fewer where fewer are known; NO_COMMIT where none is."""
    how: str
    """``served``, ``branch`` or ``unknown``."""

    @property
    def told(self) -> str:
        """In words."""
        return {
            "served": f"commit {self.commit[:7]}, which it serves",
            "branch": f"commit {self.commit[:7]}, the head of its branch; what it serves is not known",
        }.get(self.how, "the commit is not known")


@dataclass(frozen=True, slots=True)
class Target:
    """An environment's database as an operation needs it."""

    environment: str
    production: bool
    name: str
    """The environment's title for a journal: ``production's database``."""
    backups: Backups
    critical: tuple[str, ...]
    """The critical tables, as configured."""
    link: PostgresLink
    """For looking; nothing is changed through it."""
    way: Way
    through: str
    """The host it is reached through; empty for none."""
    log: CommandLog
    commit: Callable[[], Awaitable[Served]]

    @asynccontextmanager
    async def session(self, database: str = "") -> AsyncIterator[PostgresSession]:
        """A session without limits of time (whoever asks bounds each query), in another database of the
        server where one is named. Raises DatabaseError.
        """
        way = self.way.to(database) if database else self.way.apart()
        session = PostgresSession(way, self.log, environment=self.environment)
        try:
            await session.open()
            await session.fetch(_UNLIMITED)
            yield session
        finally:
            await session.close()

    @asynccontextmanager
    async def libpq(self) -> AsyncIterator[Libpq]:
        """What libpq's programs are given, good while the block lasts. Raises OpsError; Refused for a
        pooler in transaction mode.
        """
        way = self.way.apart()
        try:
            address = await way.known()
            if address.pooled:
                raise Refused(
                    "port 6543 is a pooler in transaction mode, which can be neither dumped nor restored",
                    where=address.where,
                    next="Give [database] the direct or the session address, port 5432.",
                )
            host, port = await way.leads()
            yield Libpq(address, host, port, tunnelled=way.tunnel is not None)
        finally:
            await way.close()


@dataclass(frozen=True, slots=True)
class Libpq:
    """Where libpq's programs connect to, and as whom."""

    address: DatabaseAddress
    host: str
    port: int
    tunnelled: bool

    def conninfo(self, database: str = "", *, application: str = APPLICATION) -> str:
        """The connection string for the database, or another one of the server; without the password.
        `application` is what its sessions call themselves.
        """
        address = self.address
        parts = {"host": address.host, "port": str(self.port), "user": address.user}
        parts |= {"dbname": database or address.name, "sslmode": address.sslmode}
        if self.tunnelled:
            parts["hostaddr"] = self.host  # the certificate is looked at under the server's own name
        root = address.sslrootcert or (_trust() if address.sslmode in ("verify-ca", "verify-full") else "")
        if root:
            parts["sslrootcert"] = root
        words = [f"{key}='{_escaped(value)}'" for key, value in parts.items()]
        return f"{' '.join(words)} application_name='{application}' {_KEEPALIVE}"

    @property
    def environment(self) -> dict[str, str]:
        """What the programs find in their environment: the password is told nowhere else. Unlike a file it
        leaves nothing behind when the console is killed.
        """
        told = {"LC_ALL": "C", "PGCONNECT_TIMEOUT": f"{CONNECT_TIMEOUT:.0f}"}
        if self.address.password is not None:
            told["PGPASSWORD"] = self.address.password
        return told

    def typed(self, program: str, *words: str, database: str = "") -> str:
        """What a person would type: the server's own address, and no password."""
        address = self.address
        line = (
            program, f"--host={address.host}", f"--port={address.port}", f"--username={address.user}",
            f"--dbname={database or address.name}", *words,
        )  # fmt: skip
        return shlex.join(sanitise_line(word, cap=1000) for word in line)


def inherited() -> tuple[str, ...]:
    """Variables of libpq's in the engineer's own environment: none may lead a program elsewhere."""
    return tuple(name for name in os.environ if name.startswith("PG"))


def target_of(workspace: Workspace, environment: str) -> Target:
    """The target of an environment. Raises OpsError where no database is configured."""
    ops = workspace.environments[environment]
    database, link = ops.config.database, ops.postgres
    if database is None or link is None:
        raise OpsError(
            f"no database is configured for {environment}",
            next=f"Give [environments.{environment}.database] a url or a host.",
        )
    reference = database.url or database.password

    async def commit() -> Served:
        return await _served(workspace, environment)

    way = Way(
        f"db {environment}",
        database,
        None if reference is None else lambda: workspace.secret(reference),
        tunnel=None if database.through is None else workspace.host(database.through),
        refused=None if reference is None else lambda: workspace.forget_secret(reference),
    )
    return Target(
        environment=environment,
        production=ops.config.production,
        name=f"{environment}'s database",
        backups=workspace.config.backups,
        critical=database.critical_tables,
        link=link,
        way=way,
        through=database.through or "",
        log=workspace.commands,
        commit=commit,
    )


async def _served(workspace: Workspace, environment: str) -> Served:
    """What the environment says it serves; else the head of its branch; else that it is not known."""
    from muva_console.ops.health.document import read_document

    ops = workspace.environments[environment]
    if ops.config.url is not None:
        answer = await ops.context().health()
        document = read_document(answer.json) if answer.fault is None else None
        if document is not None and _hexadecimal(document.commit):
            return Served(document.commit[:12].lower(), "served")
    try:
        heads = await workspace.workshop.heads()
    except OpsError:
        heads = {}
    if ops.config.branch in heads:
        return Served(heads[ops.config.branch][:12], "branch")
    return Served(NO_COMMIT, "unknown")


def _hexadecimal(text: str) -> bool:
    return 7 <= len(text) <= 40 and all(letter in "0123456789abcdefABCDEF" for letter in text)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _trust() -> str:
    """The file with the roots that this machine trusts (`tls.verifying_context`)."""
    import ssl

    found = ssl.get_default_verify_paths().cafile
    if found:
        return found
    import certifi

    return certifi.where()
