"""The locks and rewrites that are told, held against those that a real PostgreSQL takes."""

from __future__ import annotations

import asyncpg

from muva_console.ops.migrations.catalog import read_sizes
from muva_console.ops.migrations.deeds_read import read_statements
from muva_console.ops.migrations.known import BEFORE, Known
from muva_console.ops.migrations.locks import Mode, is_stronger, locks_of
from muva_console.ops.migrations.text import in_parser
from tests.postgres.server import PASSWORD, Server

SCHEMA = """
create table parent (id int primary key, name text);
create table t (id int primary key, a int, b varchar(20), c numeric(10,2), d timestamp, p int,
                n text not null, v int default 1, r int references parent);
insert into t select g, g, 'x', 1, now(), 1, 'n', 1, null from generate_series(1, 50) g;
create unique index t_a on t (a);
create index t_b on t (b);
create unique index t_id_a on t (id, a);
alter table t add constraint late check (a > -1) not valid;
create table part (id int, at date) partition by range (at);
create table part_1 partition of part for values from ('2024-01-01') to ('2025-01-01');
create table part_2 (id int, at date);
create function f() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger tr before insert on t for each row execute function f();
create policy po on t using (true);
create materialized view mv as select id from t;
create unique index mv_id on mv (id);
create view w as select id from t;
"""
STATEMENTS = """
alter table t add column x int
alter table t add column x int not null default 3
alter table t add column x timestamptz default now()
alter table t add column x uuid default gen_random_uuid()
alter table t add column x serial
alter table t add column x int generated always as identity
alter table t add column x int generated always as (id + 1) stored
alter table t add column x int generated always as (id + 1) virtual
alter table t add column x int references parent
alter table t add column x int check (x > 1)
alter table t add column x int unique
alter table t drop column v
alter table t alter a type bigint
alter table t alter b type varchar(30)
alter table t alter b type varchar(10)
alter table t alter b type text
alter table t alter c type numeric(12,2)
alter table t alter c type numeric(12,3)
alter table t alter d type timestamptz
alter table t alter a set not null
alter table t alter n drop not null
alter table t alter a set default 1
alter table t alter v drop default
alter table t alter a set statistics 10
alter table t alter a set (n_distinct = 5)
alter table t alter n set storage external
alter table t set (fillfactor = 90)
alter table t set unlogged
alter table t add constraint k check (a > 0)
alter table t add constraint k check (a > 0) not valid
alter table t add constraint k foreign key (p) references parent not valid
alter table t add constraint k not null a
alter table t add constraint k unique (p, id)
alter table t add constraint k unique using index t_a
alter table t add constraint k exclude (id with =)
alter table t validate constraint late
alter table t drop constraint late
alter table t enable row level security
alter table t disable trigger tr
alter table t rename to u
alter table t rename column a to z
alter table t rename constraint late to later
alter table t set schema elsewhere
alter table t owner to postgres
alter table t replica identity full
alter table t cluster on t_a
alter table part attach partition part_2 for values from ('2025-01-01') to ('2026-01-01')
alter table part detach partition part_1
create table part_3 partition of part for values from ('2026-01-01') to ('2027-01-01')
create table child (id int, t_id int references t)
create index on t (p)
drop index t_b
reindex table t
create trigger tr2 after insert on t for each row execute function f()
drop trigger tr on t
create policy p2 on t using (true)
alter policy po on t using (false)
drop policy po on t
create rule ru as on delete to t do also select 1
comment on table t is 'x'
truncate t
delete from t where id = 1
update t set a = a + 1000
insert into t (id, n) values (1000, 'n')
select count(*) from t
select * from t where id = 1 for update
refresh materialized view mv
refresh materialized view concurrently mv
cluster t using t_a
lock table t in share mode
create statistics st on id, a from t
drop view w
drop table part_2
analyze t
do $$ begin alter table t add column x bigserial; end $$
create view w2 as select id from t
""".strip().splitlines()
_TABLES = ["t", "u", "parent", "part", "part_1", "part_2", "mv", "w"]
_FILES = """
select relname, pg_relation_filenode(oid) from pg_class
 where relname = any ($1) and relkind in ('r', 'm')
"""


async def test_locks_and_rewrites_are_those_of_a_real_server(server: Server) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database="postgres"
    )
    wrong = []
    try:
        await connection.execute("create schema elsewhere;" + SCHEMA)
        known, (before, *found) = (
            Known(),
            await in_parser(lambda: [read_statements(one.encode()) for one in (SCHEMA, *STATEMENTS)]),
        )
        for number, stated in enumerate(before):
            known.take_all(stated.deeds, BEFORE, number, stated)
        for text, (stated,) in zip(STATEMENTS, found, strict=True):
            told = {one.on: one for one in locks_of(stated.deeds, known, 0)}
            took, files = await _really(connection, text)
            for table in {*told, *took}:
                ours, theirs = told.get(table), took.get(table)
                # what is told and not taken is a table that is gone by now, or one that is only looked at
                weak = (None, Mode.ACCESS_SHARE)
                if (ours.mode if ours else None) != theirs and not (
                    theirs in weak and (not ours or ours.mode in weak)
                ):
                    wrong.append(f"{text}: {table}: told {ours and ours.mode}, took {theirs}")
                # TRUNCATE gives a new file; the change to timestamptz is free in UTC, where this server is
                rewritten = table in files and not text.startswith("truncate")
                if bool(ours and ours.rewrites) != (rewritten or text.endswith("timestamptz")):
                    wrong.append(f"{text}: {table}: rewrites told {bool(ours and ours.rewrites)}")
    finally:
        await connection.close(timeout=5)
    assert not wrong, "\n".join(wrong)


async def _really(connection: asyncpg.Connection, text: str) -> tuple[dict[str, Mode], set[str]]:
    """The strongest lock on each table that was there, and the tables that have another file afterwards."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        before = dict(await connection.fetch(_FILES, _TABLES))
        oids = dict(
            await connection.fetch("select oid, relname from pg_class where relname = any ($1)", _TABLES)
        )
        await connection.execute(text)
        took: dict[str, Mode] = {}
        rows = await connection.fetch(
            "select relation, mode from pg_locks where pid = pg_backend_pid() and relation = any ($1)",
            list(oids),
        )
        for oid, mode in rows:
            name, word = f"public.{oids[oid]}", Mode(_spaced(mode))
            if name not in took or is_stronger(word, took[name]):
                took[name] = word
        now = dict(
            await connection.fetch(
                "select oid, pg_relation_filenode(oid) from pg_class where oid = any ($1)", list(oids)
            )
        )
        changed = {
            f"public.{oids[oid]}"
            for oid, file in now.items()
            if oids[oid] in before and file != before[oids[oid]]
        }
        return took, changed
    finally:
        await transaction.rollback()


def _spaced(mode: str) -> str:
    """``ShareRowExclusiveLock`` as ``SHARE ROW EXCLUSIVE``."""
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in mode.removesuffix("Lock"))
    return words.strip().upper()


async def test_sizes_come_with_bytes(server: Server) -> None:
    from muva_console.config.model import Database
    from muva_console.ops.links.base import CommandLog
    from muva_console.ops.links.postgres import PostgresLink

    async def secret() -> str:
        return PASSWORD

    link = PostgresLink(
        "db",
        Database(host="127.0.0.1", port=server.port, user="postgres", name="postgres", password="env:X"),  # type: ignore[arg-type]
        secret,
        CommandLog(),
    )
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database="postgres"
    )
    try:
        await connection.execute(
            "create schema sized; create table sized.t as select generate_series(1, 50) as n; analyze sized.t"
        )
        sizes = await read_sizes(link)
    finally:
        await connection.execute("drop schema if exists sized cascade")
        await connection.close(timeout=5)
        await link.close()
    assert sizes["sized.t"].rows == 50 and (sizes["sized.t"].bytes or 0) >= 8192


def test_the_strongest_lock_of_a_table_is_told_once() -> None:
    stated = read_statements(b"alter table t validate constraint c, add column y serial")
    (lock,) = locks_of(stated[0].deeds, Known(), 0)
    assert (lock.mode, lock.rewrites, lock.scans) == (Mode.ACCESS_EXCLUSIVE, True, True)
    assert lock.told.startswith(
        "ACCESS EXCLUSIVE on public.t (blocks reads, writes and schema changes; rewrites"
    )
