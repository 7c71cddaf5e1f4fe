"""A backup is whole or it is none, whatever ends the work half-way."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import subprocess
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from muva_console.ops.backups import backup_name, find_backups, verify
from muva_console.ops.database.backup import BackupOperation, take_backup
from muva_console.ops.database.programs import find_programs
from muva_console.ops.database.record import read_record
from muva_console.ops.errors import OpsError
from muva_console.ops.operations import EventKind, Tier
from muva_console.ops.readings import utc_now
from tests.patience import HANG
from tests.postgres.server import PASSWORD, programs

from .conftest import COMMIT, Shop, connect, shop_of
from .killing import killed_at

pytestmark = pytest.mark.xdist_group("database")

WAITS = "application_name = 'muva-console' and wait_event_type = 'Lock' and query ~ 'LOCK'"
"""pg_dump, at a table that somebody else holds."""


async def test_a_backup_is_named_recorded_and_the_old_ones_go(stock: Shop) -> None:
    now = utc_now()
    old = backup_name("test", now - timedelta(days=31), "a" * 12)
    young, others = (
        backup_name("test", now - timedelta(days=29), "b" * 12),
        backup_name("production", now - timedelta(days=90), "c" * 12),
    )
    for name in (old, young, others):
        (stock.folder / name).write_bytes(b"PGDMP")
    (stock.folder / old).with_suffix(".json").write_text("{}")
    operation = BackupOperation(stock.target)
    plan = await operation.plan()
    assert plan.tier is Tier.NONE
    assert [command.line for command in plan.commands[1:]] == [f"rm {stock.folder / old}"]
    last = await stock.run(operation, plan)
    assert last.kind is EventKind.DONE, stock.told()
    made = next(path for path in stock.dumps() if COMMIT in path.name)
    assert stock.files() == sorted([young, others, made.name, made.with_suffix(".json").name])
    assert (
        stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(made.with_suffix(".json").stat().st_mode) == 0o600
    )
    record = await read_record(made)
    assert record is not None
    assert record.rows == {"public.guests": 100, "public.bookings": 50}
    assert (record.history, record.commit, record.commit_from) == ("20250101", COMMIT, "served")
    assert record.size == made.stat().st_size
    (found, *_) = (await find_backups(stock.folder, "test")).found
    assert found.path == made
    assert (await verify(found, programs())).good
    assert PASSWORD not in stock.told() + str(stock.target.log.records())


async def test_the_rows_of_the_record_are_those_of_the_dump(stock: Shop) -> None:
    def tell(kind: EventKind, text: str) -> None:
        if text.startswith("pg_dump"):  # the snapshot is taken, and pg_dump does not run yet
            stock.psql("insert into guests values (101, 'x')", stock.name)

    taken = await take_backup(stock.target, tell)
    await stock.sql("delete from guests where id > 100")
    assert taken.record.rows["public.guests"] == 100
    words = [str(programs() / "pg_restore"), "--data-only", "--table=guests", "--file=-", str(taken.path)]
    dumped = (await asyncio.to_thread(subprocess.run, words, capture_output=True, check=True)).stdout
    assert dumped.count(b"@example.com") == 100
    assert b"101\tx" not in dumped


async def test_a_failure_prunes_nothing_and_leaves_nothing(stock: Shop) -> None:
    old = backup_name("test", utc_now() - timedelta(days=31), "a" * 12)
    (stock.folder / old).write_bytes(b"PGDMP")
    blocker = await connect(stock.port, stock.name)
    await blocker.execute("begin; lock table bookings in access exclusive mode")
    work = asyncio.create_task(stock.run(BackupOperation(stock.target)))
    ((pid,),) = await _until(stock, WAITS)
    dump = next(child for child in psutil.Process().children(recursive=True) if child.name() == "pg_dump")
    assert PASSWORD not in " ".join(dump.cmdline())
    await stock.sql(f"select pg_terminate_backend({pid})")
    last = await work
    await blocker.close(timeout=HANG)
    assert last.kind is EventKind.FAILED
    assert "connection was lost" in last.text
    assert stock.files() == [old]


async def _until(stock: Shop, condition: str) -> list[tuple[object, ...]]:
    query = f"select pid from pg_stat_activity where datname = '{stock.name}' and {condition}"
    async with asyncio.timeout(HANG):
        while not (rows := await stock.sql(query, database="postgres")):
            await asyncio.sleep(0.02)
    return rows


async def test_one_that_is_given_up_leaves_nothing_behind(stock: Shop) -> None:
    blocker = await connect(stock.port, stock.name)
    await blocker.execute("begin; lock table bookings in access exclusive mode")
    operation = BackupOperation(stock.target)
    plan = await operation.plan()
    async with aclosing(operation.perform(plan)) as events:  # type: ignore[type-var]
        async for event in events:
            if "pg_dump" in event.text:
                break
        await _until(stock, WAITS)
    await blocker.close(timeout=HANG)
    assert stock.files() == []
    assert not [one for one in psutil.Process().children(recursive=True) if one.name() == "pg_dump"]


async def test_without_room_nothing_is_left_and_it_says_so(stock: Shop, tmp_path: Path) -> None:
    narrow = tmp_path / "narrow"
    narrow.mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 1\nexec {programs() / name} "$@"\n'
        (narrow / name).write_text(script)
        (narrow / name).chmod(0o755)
    target = shop_of(stock.port, stock.name, stock.folder, backups={"programs": narrow}).target
    last = await stock.run(BackupOperation(target))
    assert last.kind is EventKind.FAILED
    assert "there is no room for the backup" in last.text
    assert stock.files() == []


async def test_a_killed_console_leaves_no_backup_and_the_next_one_tidies(stock: Shop) -> None:
    await asyncio.to_thread(killed_at, "are on the disk", stock.port, stock.name, stock.folder, None)
    (left,) = stock.files()
    assert left.endswith(".dump.partial")
    (stock.folder / left.replace(".dump.partial", ".json")).write_text("{}")

    # one that somebody still writes stays
    held = stock.folder / (backup_name("test", utc_now(), "d" * 12) + ".partial")
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert (await stock.run(BackupOperation(stock.target))).kind is EventKind.DONE
    assert f"removed {left}" in stock.told(EventKind.WARNING)
    assert "json" in stock.told(EventKind.WARNING)
    assert held.name in stock.files()
    # and the record of a good one stays, too
    assert (await stock.run(BackupOperation(stock.target))).kind is EventKind.DONE
    assert len([name for name in stock.files() if name.endswith(".json")]) == len(stock.dumps()) >= 1


async def test_programs_that_do_not_fit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(folder: str, version: str) -> Path:
        (tmp_path / folder).mkdir()
        for name in ("pg_dump", "pg_restore"):
            path = tmp_path / folder / name
            path.write_text(f'#!/bin/sh\necho "{name} (PostgreSQL) {version} (Debian)"\n')
            path.chmod(0o755)
        return tmp_path / folder

    old = put("old", "15.3")
    with pytest.raises(OpsError, match=r"pg_dump here is of PostgreSQL 15\.3, the server of 18") as caught:
        await find_programs(old, 18)
    assert "postgresql-client-18" in caught.value.next
    with pytest.raises(OpsError, match="there are no pg_dump"):
        await find_programs(tmp_path, 18)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (old, put("new", "19.1"), put("own", "18.0")))))
    monkeypatch.setattr("muva_console.ops.database.programs.INSTALLED", ())
    assert (await find_programs(None, 18)).version == "18.0"
    assert (await find_programs(None, 16)).version == "18.0"
