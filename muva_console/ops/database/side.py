"""A database beside another one, and the two exchanging their names.

Both renamings stand in one transaction: the first takes the database's lock, at which whoever connects
waits; so there is no moment at which neither has the name, whatever is killed. (PostgreSQL's sources:
`RenameDatabase` and `InitPostgres`, which looks at the name again once it has the lock.) A database that
somebody is connected to cannot be renamed, so sessions are ended while the first renaming waits for that.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from muva_console.ops.database.narrated import Tell
from muva_console.ops.database.rights import Rights
from muva_console.ops.database.target import Target
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.links.pg_statement_errors import StatementError
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.links.sqltext import quote_name
from muva_console.ops.operations import EventKind

CREATE_TIMEOUT = 300.0
"""Seconds for CREATE DATABASE, which may wait for a checkpoint."""
RENAME_TIMEOUT = 15.0
"""Seconds for one renaming: PostgreSQL itself waits 5 s for sessions to end."""
ATTEMPTS = 4
"""How often renaming is tried. Ours."""
MARK = "muva-console: being restored, of no use yet"
"""The comment on a database that is not whole: whoever finds one may drop it."""
IN_USE = "55006"
NAME_BYTES = 63
"""NAMEDATALEN - 1 of PostgreSQL's usual build."""

_ACL = """
SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END,
       a.privilege_type, a.is_grantable
  FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
 WHERE d.oid = $1::int8::oid AND a.grantee <> d.datdba
"""
_ABOUT = """
SELECT d.datacl IS NOT NULL, pg_catalog.shobj_description(d.oid, 'pg_database')
  FROM pg_catalog.pg_database d WHERE d.oid = $1::int8::oid
"""
_SETTINGS = """
SELECT r.rolname::text, c.setting
  FROM pg_catalog.pg_db_role_setting s
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, pg_catalog.unnest(s.setconfig) AS c (setting)
 WHERE s.setdatabase = $1::int8::oid
"""
_LEFT = """
SELECT datname::text FROM pg_catalog.pg_database d
 WHERE pg_catalog.shobj_description(d.oid, 'pg_database') = $1
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
 ORDER BY 1
"""
_END = """
SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity
 WHERE datid = $1::int8::oid AND pid <> pg_catalog.pg_backend_pid()
"""
_NAMED = "SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = $1"
# guc_tables.c: GUC_LIST_QUOTE. Their values are stored as quoted names, which another quoting would spoil.
_LISTS = frozenset(
    ["local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
     "temp_tablespaces", "unix_socket_directories"]
)  # fmt: skip


def side_name(name: str, kind: str, at: datetime) -> str:
    """``muva_restore_20251126_004838_120``, to the millisecond, for two of them may begin in one second; the
    database's own name is cut where that grows too long.
    """
    tail = f"_{kind}_{at:%Y%m%d_%H%M%S}_{at.microsecond // 1000:03}"
    room = NAME_BYTES - len(tail)
    return name.encode()[:room].decode("utf-8", "ignore") + tail


def creation(rights: Rights, side: str) -> str:
    """The statement that creates a database like another one, empty."""
    words = [
        f"CREATE DATABASE {quote_name(side)} OWNER {quote_name(rights.owner)} TEMPLATE template0",
        f"ENCODING {_literal(rights.encoding)} LC_COLLATE {_literal(rights.collate)}",
        f"LC_CTYPE {_literal(rights.ctype)}",
    ]
    if rights.provider == "i" and rights.locale:
        words.append(f"LOCALE_PROVIDER icu ICU_LOCALE {_literal(rights.locale)}")
        if rights.rules:
            words.append(f"ICU_RULES {_literal(rights.rules)}")
    elif rights.provider == "b" and rights.locale:
        words.append(f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {_literal(rights.locale)}")
    if rights.tablespace not in ("", "pg_default"):
        words.append(f"TABLESPACE {quote_name(rights.tablespace)}")
    if rights.limit >= 0:
        words.append(f"CONNECTION LIMIT {rights.limit}")
    return " ".join(words)


def renaming(name: str, to: str) -> str:
    """The statement that renames a database."""
    return f"ALTER DATABASE {quote_name(name)} RENAME TO {quote_name(to)}"


def ending(name: str) -> str:
    """The statement that ends the sessions of a database, for a person."""
    return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {_literal(name)}"  # noqa: S608


def dropping(name: str) -> str:
    """The statement that drops a database, for a person."""
    return f"DROP DATABASE {quote_name(name)};"


async def create(boss: PostgresSession, rights: Rights, side: str) -> None:
    """Create the database and mark it as not whole yet. Raises DatabaseError."""
    await boss.execute(creation(rights, side), timeout=CREATE_TIMEOUT)
    await boss.execute(f"COMMENT ON DATABASE {quote_name(side)} IS {_literal(MARK)}")


async def drop(boss: PostgresSession, side: str) -> None:
    """Drop a database of ours that is not whole. Raises DatabaseError."""
    await boss.execute(f"DROP DATABASE IF EXISTS {quote_name(side)} WITH (FORCE)", timeout=60.0)


async def left_behind(boss: PostgresSession) -> list[str]:
    """Databases that restores which did not end have left, and nobody uses. Raises DatabaseError."""
    return [str(name) for (name,) in await boss.fetch(_LEFT, MARK)]


async def like(boss: PostgresSession, oid: int, side: str) -> None:
    """Give the new database what a dump does not hold of the old one: who may connect, its settings, its
    comment. Raises OpsError.
    """
    name = quote_name(side)
    ((granted, comment),) = await boss.fetch(_ABOUT, oid)
    statements = []
    if granted:
        statements.append(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        for role, privilege, passes in await boss.fetch(_ACL, oid):
            to = "PUBLIC" if role is None else quote_name(role)
            option = " WITH GRANT OPTION" if passes else ""
            statements.append(f"GRANT {privilege} ON DATABASE {name} TO {to}{option}")
    for role, setting in await boss.fetch(_SETTINGS, oid):
        key, _, value = setting.partition("=")
        given = value if key in _LISTS else _literal(value)
        whose = f"DATABASE {name}" if role is None else f"ROLE {quote_name(role)} IN DATABASE {name}"
        statements.append(
            f"ALTER {whose} SET {'.'.join(quote_name(part) for part in key.split('.'))} TO {given}"
        )
    statements.append(f"COMMENT ON DATABASE {name} IS {'NULL' if comment is None else _literal(comment)}")
    try:
        for statement in statements:
            await boss.execute(statement)
    except StatementError as error:
        raise OpsError(
            f"the new database cannot be made like the old one: {error.what}",
            means="Who may connect to it, or a setting of it, would be another.",
            next="Restore in place (--in-place), or as a user that may do this.",
        ) from None


async def exchange(
    target: Target,
    boss: PostgresSession,
    *,
    maintenance: str,
    old: tuple[str, int],
    side: tuple[str, int],
    before: str,
    tell: Tell,
) -> None:
    """Give the database `side` (name, oid) the name of `old`, which becomes `before`; both or neither. Ends
    the sessions of the old one. `boss` is a session in the database `maintenance`. Raises OpsError; where it
    cannot be told which has the name, it says so.
    """
    name, was = old
    async with target.session(maintenance) as ender:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await _exchanged(boss, ender, name, was, side, before, tell)
            except StatementError as error:
                await boss.execute("ROLLBACK")
                if error.sqlstate != IN_USE or attempt == ATTEMPTS:
                    raise OpsError(
                        f"the databases could not exchange their names: {error.what}",
                        means=f"{name} is what it was, and serves.",
                    ) from None
                tell(EventKind.WARNING, f"somebody is still connected; again ({attempt} of {ATTEMPTS})")
            except LinkError as error:
                await _whose_name(target, maintenance, name, was, side, error)
            else:
                return


async def _exchanged(
    boss: PostgresSession,
    ender: PostgresSession,
    name: str,
    was: int,
    side: tuple[str, int],
    before: str,
    tell: Tell,
) -> None:
    await boss.execute(f"BEGIN; SET LOCAL lock_timeout = '{int(RENAME_TIMEOUT)}s'")
    first = asyncio.create_task(boss.execute(renaming(name, before), timeout=RENAME_TIMEOUT))
    ended = 0
    try:
        while not (await asyncio.wait({first}, timeout=0.05))[0]:
            ((more,),) = await ender.fetch(_END, was)
            ended += more
            await asyncio.wait({first}, timeout=0.1)
        await first
    finally:
        if not first.done():
            first.cancel()
            await asyncio.wait({first}, timeout=2.0)
    tell(EventKind.STEP, f"{ended} sessions were ended; {name} is {before} in this transaction")
    await boss.execute(renaming(side[0], name), timeout=RENAME_TIMEOUT)
    tell(EventKind.STEP, f"{side[0]} is {name} in this transaction")
    held = [oid for wanted in (before, name) for (oid,) in await boss.fetch(_NAMED, wanted)]
    if held != [was, side[1]]:
        await boss.execute("ROLLBACK")
        raise OpsError(
            f"{name} was replaced by somebody else meanwhile: nothing was exchanged", next="Plan it again."
        )
    await boss.execute("COMMIT")
    tell(EventKind.STEP, "committed: both names at once")


async def _whose_name(
    target: Target, maintenance: str, name: str, was: int, side: tuple[str, int], error: LinkError
) -> None:
    """The connection was lost on the way: return where the exchange took place, else raise OpsError."""
    found: list[int] = []
    for pause in (0.2, 1.0, 3.0):
        try:
            async with target.session(maintenance) as session:
                found = [oid for (oid,) in await session.fetch(_NAMED, name)]
            break
        except LinkError:
            await asyncio.sleep(pause)
    else:
        raise LinkError(
            Fault.CLOSED,
            f"the connection was lost; whether the names were exchanged cannot be told: {error}",
            means=f"Either {name} is the old one (oid {was}) or the new one (oid {side[1]}); both are whole.",
            next="Look: SELECT oid, datname FROM pg_database;",
        )
    if found == [side[1]]:
        return
    raise OpsError(
        f"the connection was lost before the names were exchanged: {error}",
        means=f"{name} is what it was, and serves.",
    )


def _literal(text: str) -> str:
    """A text as SQL writes it. Raises ValueError for NUL."""
    if "\0" in text:
        raise ValueError("a text cannot hold NUL")
    quoted = text.replace("'", "''")
    return f" E'{quoted}'".replace("\\", "\\\\") if "\\" in text else f"'{quoted}'"
