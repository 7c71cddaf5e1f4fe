"""A restore: what was there serves until what comes is whole, whatever is cut or killed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from muva_console.ops.database.backup import take_backup
from muva_console.ops.database.restore import RestoreOperation
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.operations import EventKind, Tier
from tests.patience import HANG
from tests.postgres.server import PASSWORD

from .conftest import Shop, connect, shop_of
from .killing import killed_at

pytestmark = pytest.mark.xdist_group("database")


async def _backed_up(shop: Shop) -> Path:
    """A backup, and the data changed since."""
    taken = await take_backup(shop.target, lambda kind, text: None)
    await shop.sql("delete from bookings where id > 20")
    await shop.sql("create table newer (n int)", user="owner")
    return taken.path


async def test_beside_and_exchanged_with_all_that_belongs_to_it(shop: Shop) -> None:
    await shop.sql(f"revoke all on database {shop.name} from public")
    await shop.sql(f"alter database {shop.name} set search_path = public, extensions")
    await shop.sql(f"alter database {shop.name} set application_name = 'it''s \\ it'")
    file = await _backed_up(shop)
    operation = RestoreOperation(shop.target, Path(file.name))
    plan = await operation.plan()
    assert plan.tier is Tier.CONFIRM
    assert any("public.bookings: 20 rows now, 50 in the backup (+30)" in risk for risk in plan.risks)

    tries: list[int] = []

    async def application() -> None:
        """Connects again as soon as it is cut, as a pool does."""
        while True:
            with suppress(Exception):
                connection = await connect(shop.port, shop.name, "owner")
                tries.append(await connection.fetchval("select count(*) from bookings"))
                await connection.execute("select pg_sleep(30)")

    work = [asyncio.create_task(application()) for _ in range(2)]
    last = await shop.run(operation, plan)
    for task in work:
        task.cancel()
    assert last.kind is EventKind.DONE, shop.told()
    assert await shop.bookings() == 50
    names = await shop.databases()
    (before,) = [name for name in names if "_before_" in name]
    assert names == sorted([shop.name, before])
    assert f'DROP DATABASE "{before}";' in last.text
    assert "public.bookings: 20 rows before, 50 after (+30)" in shop.told(EventKind.VERIFIED)
    assert len(shop.dumps()) == 2, "a fresh backup was taken first"
    settings = "select array_agg(setconfig::text) from pg_db_role_setting where setdatabase = d.oid"
    about = f"select datacl::text, ({settings})"
    old, new = await shop.sql(f"{about} from pg_database d where datname in ('{shop.name}', '{before}')")
    assert old == new
    assert "public, extensions" in str(new[1])
    assert PASSWORD not in shop.told() + str(shop.target.log.records())


async def test_what_is_no_good_backup_is_refused_before_anything_happens(shop: Shop, tmp_path: Path) -> None:
    file = await _backed_up(shop)
    whole = file.read_bytes()

    async def refused(data: bytes, name: str = "") -> str:
        path = file if not name else tmp_path / name
        path.write_bytes(data)
        files = shop.files()
        try:
            last = await shop.run(RestoreOperation(shop.target, path))
        except OpsError as error:
            return str(error)
        assert last.kind is EventKind.FAILED, shop.told()
        assert (await shop.databases(), await shop.bookings(), shop.files()) == ([shop.name], 20, files)
        return last.text

    assert "its record says" in await refused(whole[:-100])
    assert "SHA-256" in await refused(whole[:-50] + bytes(50))
    assert "is not whole" in await refused(whole[:-400], "cut.dump")
    assert "no dump in pg_dump's custom format" in await refused(b"select 1;", "text.dump")
    with pytest.raises(OpsError, match="no such backup"):
        await RestoreOperation(shop.target, Path("none.dump")).plan()
    with pytest.raises(OpsError, match="wants a reason"):
        RestoreOperation(shop.target, file, without_backup="yes")
    production = shop_of(shop.port, shop.name, shop.folder, production=True, environment="production").target
    with pytest.raises(Refused, match="a backup of test"):
        await RestoreOperation(production, file).plan()
    # somebody else is at it: the second sees who
    holder = await connect(shop.port, shop.name)
    await holder.execute(f"select pg_advisory_lock({0x6D757661_6D696772})")
    file.write_bytes(whole)
    last = await shop.run(RestoreOperation(shop.target, file))
    await holder.close(timeout=HANG)
    assert last.kind is EventKind.FAILED
    assert "user postgres" in last.text
    # without a folder for the backup that comes first
    nowhere = shop_of(shop.port, shop.name, shop.folder, backups={"directory": None}).target
    with pytest.raises(OpsError, match="no folder of backups"):
        await RestoreOperation(nowhere, file).plan()


async def test_what_cannot_be_restored_leaves_what_was_there(shop: Shop) -> None:
    """A role that is gone: the dump cannot be restored whole."""
    await shop.sql(f"create role ghost_{shop.name}")
    await shop.sql(f"alter table guests owner to ghost_{shop.name}")
    admin = shop_of(shop.port, shop.name, shop.folder, user="postgres").target
    file = (await take_backup(admin, lambda kind, text: None)).path
    await shop.sql("alter table guests owner to owner")
    await shop.sql(f"drop role ghost_{shop.name}")
    for in_place in (False, True):
        last = await shop.run(
            RestoreOperation(admin, file, in_place=in_place, without_backup="the test takes none")
        )
        assert last.kind is EventKind.FAILED
        assert f'role "ghost_{shop.name}" does not exist' in last.text
        assert await shop.databases() == [shop.name]
        assert await shop.bookings() == 50
    assert "All was rolled back" in last.text


@pytest.mark.parametrize("at", ["history of migrations", "is {name} in"])
async def test_a_console_killed_on_the_way_leaves_the_old_one_serving(shop: Shop, at: str) -> None:
    file = await _backed_up(shop)
    words = at.format(name=shop.name)
    await asyncio.to_thread(killed_at, words, shop.port, shop.name, shop.folder, file)
    assert await shop.bookings() == 20
    names = await shop.databases()
    assert [name for name in names if "_before_" in name] == []
    if at == "history of migrations":  # the next one names what was left, and works
        (left,) = [name for name in names if "_restore_" in name]
        last = await shop.run(RestoreOperation(shop.target, file, without_backup="the test takes none"))
        assert last.kind is EventKind.DONE, shop.told()
        assert f'DROP DATABASE "{left}";' in shop.told(EventKind.WARNING)
        assert await shop.bookings() == 50


async def test_cut_at_each_word_the_old_one_serves_or_the_restored_one(shop: Shop) -> None:
    """Every session of ours is ended as soon as each thing is told, one restore after the other."""
    file = await _backed_up(shop)
    told: list[str] = []
    seen, kept = set(), f"{shop.name} is what it was"
    while True:
        at = len(told)
        here: list[str] = []

        def tell(kind: object, text: str, at: int = at, here: list[str] = here) -> None:
            here.append(text)
            if len(here) == at + 1:
                shop.psql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'owner'")

        operation = RestoreOperation(shop.target, file, without_backup="the test takes none")
        plan = await operation.plan()
        await shop.sql("delete from bookings where id > 20")
        error = None
        try:
            await operation._work(plan, tell)
        except OpsError as failed:
            error = failed
        told.append(here[at] if at < len(here) else "")
        committed = "committed: both names at once" in here
        # nothing is undone for what fails once both names are exchanged
        assert (await shop.bookings() == 50) is committed, here
        left = [name for name in await shop.databases() if name != shop.name]
        assert [name for name in left if "_restore_" in name] == [], "what is half-way is dropped"
        if error is not None:
            assert not committed
            assert kept in " ".join(error.lines()) + error.means, error.lines()
            assert error.next or "before the names were exchanged" in str(error)
            seen.add(told[at].split(" ")[0])
        for name in left:
            shop.psql(f'drop database "{name}" with (force)')
        if not told[at]:
            break
    assert {"CREATE", "pg_restore", "public.bookings:", "history"} <= seen, seen
    assert "committed: both names at once" in told


async def test_in_place_where_no_database_may_be_made(shop: Shop) -> None:
    await shop.sql("alter role owner nocreatedb")
    file = await _backed_up(shop)
    operation = RestoreOperation(shop.target, file)
    plan = await operation.plan()
    assert "owner may not create databases" in plan.commands[-1].why
    assert any("public.newer" in risk for risk in plan.risks)
    blocker = await connect(shop.port, shop.name)

    async def cut_while_blocked(terminate: bool) -> None:
        await blocker.execute("begin; select count(*) from guests")
        waiting = "application_name = 'muva-console restore' and wait_event_type = 'Lock'"
        query = f"select pid from pg_stat_activity where datname = '{shop.name}' and {waiting}"
        async with asyncio.timeout(HANG):
            while not (rows := await shop.sql(query, database="postgres")):
                await asyncio.sleep(0.02)
            while "waits for a lock, behind pid" not in shop.told():
                await asyncio.sleep(0.02)
        if terminate:
            await shop.sql(f"select pg_terminate_backend({rows[0][0]})")
        await blocker.execute("rollback")

    cutting = asyncio.create_task(cut_while_blocked(terminate=True))
    last = await shop.run(operation, plan)
    assert "All was rolled back" in last.text, shop.told()
    await cutting
    assert last.kind is EventKind.FAILED
    assert await shop.bookings() == 20

    cutting = asyncio.create_task(cut_while_blocked(terminate=False))
    last = await shop.run(RestoreOperation(shop.target, file))
    await cutting
    await blocker.close(timeout=HANG)
    assert last.kind is EventKind.DONE, shop.told()
    assert await shop.bookings() == 50
    assert await shop.sql("select * from newer") == []
    assert "left as they were: public.newer" in shop.told(EventKind.WARNING)
    assert await shop.databases() == [shop.name]
