"""What this user may do to a database as a whole, and what stands in the way of another in its place."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from muva_console.ops.database.target import Target
from muva_console.ops.errors import LinkError
from muva_console.ops.health.words import count
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.text import sanitise_line

# to_jsonb: the columns of ICU's and the built-in locales came with 15 and 17
_DATABASE = """
SELECT d.oid::int8, d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, current_user::text,
       r.rolsuper, r.rolcreatedb, pg_catalog.pg_has_role(d.datdba, 'MEMBER'),
       pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text,
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'),
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'),
       pg_catalog.to_jsonb(d) ->> 'daticurules',
       d.datconnlimit, (SELECT spcname::text FROM pg_catalog.pg_tablespace WHERE oid = d.dattablespace),
       pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('server_version_num')::int,
       (SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE database = d.datname),
       (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = d.datname),
       (SELECT count(*) FROM pg_catalog.pg_subscription WHERE subdbid = d.oid),
       pg_catalog.pg_database_size(d.oid)::int8,
       (SELECT o.datname::text FROM pg_catalog.pg_database o
         WHERE o.datallowconn AND o.oid <> d.oid AND pg_catalog.has_database_privilege(o.oid, 'CONNECT')
         ORDER BY o.datname = 'postgres' DESC, o.datistemplate, o.datname LIMIT 1)
  FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
 WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
"""
# of others' sessions a user without pg_monitor sees who, but not what
_SESSIONS = """
SELECT coalesce(a.usename, '')::text, coalesce(a.application_name, '')::text, count(*),
       pg_catalog.bool_or(NOT (me.rolsuper OR (NOT coalesce(u.rolsuper, true) AND (
         pg_catalog.pg_has_role(u.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))))
  FROM pg_catalog.pg_stat_activity a
  JOIN pg_catalog.pg_roles me ON me.rolname = current_user
  LEFT JOIN pg_catalog.pg_roles u ON u.rolname = a.usename
 WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.usename IS NOT NULL
 GROUP BY 1, 2 ORDER BY 3 DESC
"""


class Sessions(Struct, frozen=True, kw_only=True):
    """Who is connected to a database."""

    by_name: Mapping[tuple[str, str], int]
    """Sessions by user and application."""
    out_of_reach: int
    """Kinds of sessions that this user may not end."""

    @property
    def told(self) -> str:
        """``3 sessions: 2 of muva_app (pm2), 1 of postgres (psql)``."""
        whole = sum(self.by_name.values())
        if not whole:
            return "nobody is connected"
        parts = [
            f"{number} of {user}" + (f" ({application})" if application else "")
            for (user, application), number in self.by_name.items()
        ]
        return f"{count(whole, 'session')}: {', '.join(parts[:6])}" + (
            " and others" if len(parts) > 6 else ""
        )


class Rights(Struct, frozen=True, kw_only=True):
    """A database as it stands, and what this user may do to it."""

    oid: int
    name: str
    owner: str
    user: str
    major: int
    size: int
    encoding: str
    collate: str
    ctype: str
    provider: str
    """``c`` (libc), ``i`` (ICU), ``b`` (built in)."""
    locale: str | None
    rules: str | None
    limit: int
    """Connections at most; -1 for no limit."""
    tablespace: str
    maintenance: str
    """Another database of the server that can be connected to; empty for none."""
    sessions: Sessions
    in_recovery: bool
    in_place_because: str
    """Why no other database can be put in its place; empty when one can."""


async def rights_of(target: Target, session: PostgresSession) -> Rights:
    """Look. Raises DatabaseError."""
    (row,) = await session.fetch(_DATABASE)
    (
        oid, name, owner, user, superuser, creates, owns, encoding, collate, ctype, provider, locale, rules,
        limit, tablespace, recovering, number, slots, prepared, subscribed, size, maintenance,
    ) = row  # fmt: skip
    found = await session.fetch(_SESSIONS)
    sessions = Sessions(
        by_name={
            (sanitise_line(who, cap=63), sanitise_line(what, cap=63)): int(many)
            for who, what, many, _ in found
        },
        out_of_reach=sum(bool(one) for *_, one in found),
    )
    reasons = (
        (not (superuser or creates), f"{user} may not create databases"),
        (not (superuser or owns), f"{user} does not own the database"),
        (not maintenance, f"{user} may connect to no other database of this server"),
        (slots, f"{count(slots, 'replication slot')} would stay with the old one"),
        (subscribed, f"{count(subscribed, 'subscription')} would stay with the old one"),
        (prepared, f"{count(prepared, 'prepared transaction')} holds it"),
        (sessions.out_of_reach, f"{user} may not end sessions of others that are connected"),
    )
    why = next((reason for applies, reason in reasons if applies), "")
    if not why:
        why = await _unreachable(target, str(maintenance))
    return Rights(
        oid=oid, name=name, owner=owner, user=user, major=number // 10000, size=size, encoding=encoding,
        collate=collate, ctype=ctype, provider=provider, locale=locale, rules=rules, limit=limit,
        tablespace=tablespace or "", maintenance=maintenance or "", sessions=sessions,
        in_recovery=recovering, in_place_because=why,
    )  # fmt: skip


async def _unreachable(target: Target, maintenance: str) -> str:
    try:
        async with target.session(maintenance):
            return ""
    except LinkError as error:
        return f"the database {maintenance}, from which it would be renamed: {error.what}"
