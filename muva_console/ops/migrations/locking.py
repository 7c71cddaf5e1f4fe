"""Who is at work on a database's migrations, and who stands in the way of a statement.

One lock for all consoles: an advisory lock of the session, tried and never waited for on the server. A
waiter in `pg_advisory_lock` holds a snapshot, which `CREATE INDEX CONCURRENTLY` waits for in turn; and a lock
held in an open transaction makes it wait for ever. So it is asked for again and again, and ends with its
session. Blockers are shown; none is ever ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from msgspec import Struct

from muva_console.ops.errors import LinkError, Refused
from muva_console.ops.health.words import spell_span
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.links.sqltext import mask
from muva_console.ops.text import sanitise_line

KEY = 0x6D757661_6D696772
"""The lock's number: "muvamigr" in ASCII."""
ASK_AGAIN = 0.5
"""Seconds between attempts of whoever was told to wait for the lock. Ours."""
UNSEEN = 4
"""How often a lock is asked for that nobody is seen to hold: it was just given back, or is hidden. Ours."""
LOOK_AFTER, LOOK_EVERY = 0.4, 1.0
"""Seconds after which a statement is looked at for what blocks it, and between looks. Ours."""

_OF_LOCK = """
SELECT a.pid, a.backend_start, coalesce(a.usename, ''), coalesce(a.application_name, ''),
       coalesce(pg_catalog.host(a.client_addr), 'the server itself'),
       extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::float8
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.classid = $1::int8::oid AND l.objid = $2::int8::oid
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
_BLOCKERS = """
SELECT b.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
       coalesce(a.state, a.backend_type, ''),
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8,
       coalesce(left(a.query, 2000), '')
  FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS pid) b
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
 ORDER BY 5 DESC NULLS LAST LIMIT 10
"""


class Holder(Struct, frozen=True, kw_only=True):
    """The session that holds the lock."""

    pid: int
    since: datetime | None
    """When it began, which takes the lock at once; None where this user may not see that."""
    text: str
    """``pid 41, user postgres from 10.0.0.7 (muva-console), since 14:03:11Z (2 min)``."""


class Blocker(Struct, frozen=True, kw_only=True):
    """A session that a statement of ours waits for."""

    pid: int
    text: str
    """Who, for how long and with what; the query without its literals."""


async def holder(link: PostgresLink) -> Holder | None:
    """Who holds the lock; None when nobody does. Raises DatabaseError."""
    rows = await link.fetch(_OF_LOCK, KEY >> 32, KEY & 0xFFFFFFFF)
    for pid, since, user, application, address, age in rows:
        told = sanitise_line(f"user {user} from {address} ({application or 'no name'})", cap=200)
        span = "" if since is None else f", since {since:%H:%M:%S}Z ({spell_span(age)})"
        return Holder(pid=pid, since=since, text=f"pid {pid}, {told}{span}")
    return None


async def take(
    session: PostgresSession,
    link: PostgresLink,
    *,
    wait: float = 0.0,
    waiting: Callable[[str], None] = lambda line: None,
) -> None:
    """Take the lock in this session, for as long as it lasts. Raises Refused, which says who has it, at once
    or after `wait` seconds of asking; `waiting` is told once for whom. Raises DatabaseError.
    """
    until = time.monotonic() + wait
    told, unseen = "", 0
    while True:
        ((got,),) = await session.fetch("SELECT pg_catalog.pg_try_advisory_lock($1)", KEY)
        if got:
            return
        held = await holder(link)
        who = held.text if held is not None else "a session that this user may not see"
        unseen = 0 if held is not None else unseen + 1
        if time.monotonic() >= until and unseen in (0, UNSEEN):
            raise Refused(
                f"somebody else is applying migrations to {session.where}: {who}",
                means="Two at once would run the same files.",
                next="Wait for its end, or talk to whoever it is. The lock ends with that session.",
            )
        if who != told and held is not None:
            told = who
            waiting(f"somebody else is applying migrations here: {who}; it is waited for")
        await asyncio.sleep(ASK_AGAIN)


async def held_by(session: PostgresSession) -> bool:
    """Whether this session still has the lock: a file may give it back (DISCARD ALL)."""
    rows = await session.fetch(
        "SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND pid = pg_catalog.pg_backend_pid() AND classid = $1::int8::oid AND objid = $2::int8::oid",
        KEY >> 32,
        KEY & 0xFFFFFFFF,
    )
    return bool(rows)


async def blockers(link: PostgresLink, pid: int) -> tuple[Blocker, ...]:
    """The sessions that a session waits for now, the oldest first. Raises DatabaseError."""
    found = []
    for one, user, application, state, age, query in await link.fetch(_BLOCKERS, pid):
        who = sanitise_line(f"{user or 'a user that is not shown'} ({application or 'no name'})", cap=160)
        what = mask(query) or "what it runs is not shown"
        since = "" if age is None else f", for {spell_span(age)}"
        # of a two-phase transaction PostgreSQL tells no pid
        number = f"pid {one}" if one else "a prepared transaction"
        found.append(Blocker(pid=one, text=f"{number}, {who}, {state or 'state not shown'}{since}: {what}"))
    return tuple(found)


class Watched:
    """What was seen to block the statement that is being watched."""

    def __init__(self) -> None:
        self.blockers: tuple[Blocker, ...] = ()


@asynccontextmanager
async def watching(link: PostgresLink, pid: int, tell: Callable[[str], None]) -> AsyncIterator[Watched]:
    """While the block lasts, tell who blocks session `pid`, each once, over another connection."""
    watched = Watched()
    told: set[int] = set()

    async def look() -> None:
        await asyncio.sleep(LOOK_AFTER)
        while True:
            with suppress(LinkError):  # it only lets the engineer watch
                seen = await blockers(link, pid)
                watched.blockers = seen or watched.blockers
                for one in seen:
                    if one.pid not in told:
                        told.add(one.pid)
                        tell(f"waits for a lock, behind {one.text}")
            await asyncio.sleep(LOOK_EVERY)

    task = asyncio.create_task(look(), name="blockers")
    try:
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
