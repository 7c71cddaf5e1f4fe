"""On the drill's estate by the command line: rolled back, and put back as the backup has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muva_console.drill import repository
from muva_console.drill.postgres import connect
from muva_console.drill.state import Estate
from tests.cli.conftest import Answer, Muva, muva

__all__ = ["muva"]

VERSION, NAME = "20251118073000", "add_occupancy_view"
BEFORE = "20251112094500_enable_row_level_security"


async def test_backed_up_rolled_back_and_restored(breakable_estate: Estate, muva: Muva) -> None:
    estate, site = breakable_estate, breakable_estate.sites["staging"]

    async def ask(query: str, database: str = site.database) -> list[tuple[Any, ...]]:
        async with connect(estate, database, "postgres") as connection:
            return [tuple(row) for row in await connection.fetch(query)]

    async def run(*words: str, status: int = 0) -> Answer:
        answer = await muva(*words, "--env", "staging", "--json", config=estate.config)
        assert answer.status == status, answer.err
        return answer

    rows = "select (select count(*) from bookings), (select count(*) from chat_messages)"
    views = "select viewname from pg_views where schemaname = 'public'"
    as_it_was = await ask(rows), await ask(views)
    assert as_it_was[1]
    view = as_it_was[1][0][0]

    down = await repository.commit(
        estate,
        site.branch,
        "Give the view a way back",
        {f"supabase/migrations/{VERSION}_{NAME}.down.sql": f"drop view {view};\n".encode()},
    )
    try:
        done = (await run("db", "backup")).data["events"][-1]
        file = done["text"].split(":")[0].rsplit("/", 1)[1]
        refused = await run("migrations", "rollback", "--steps", "2", "--yes", status=1)
        assert f"{BEFORE}: restore only" in refused.err
        assert NAME not in refused.err
        assert refused.out == ""
        undone = (await run("migrations", "rollback", "--steps", "1", "--yes")).data
    finally:
        await repository.undo(estate, site.branch, down)
    assert undone["events"][-1]["kind"] == "done"
    assert (view,) not in await ask(views)
    history = "select max(version) from supabase_migrations.schema_migrations"
    assert await ask(history) == [(BEFORE.partition("_")[0],)]

    await ask("delete from chat_messages where id in (select id from chat_messages limit 7)")
    restored = (await run("db", "restore", file, "--yes")).data
    assert restored["events"][-1]["kind"] == "done"
    assert (await ask(rows), await ask(views)) == as_it_was
    assert await ask(history) == [(VERSION,)]
    kept = await ask("select datname from pg_database where datname ~ '_before_'", "postgres")
    assert len(kept) == 1
    async with connect(estate, "postgres", "postgres") as admin:
        await admin.execute(f'drop database "{kept[0][0]}"')


async def test_production_by_way_of_its_host_wants_a_backup_and_takes_one(
    breakable_estate: Estate, muva: Muva, tmp_path: Path
) -> None:
    """Its database is reached through the host's SSH alone: backed up, applied to, restored."""
    estate, site = breakable_estate, breakable_estate.sites["production"]
    config = tmp_path / "muva.toml"
    folder = tmp_path / "backups"
    section = "[environments.production.database]\n"
    text = estate.config.read_text()
    text = text.replace(section, f'{section}through = "vps"\n')
    text = text.replace(f'directory = "{estate.directory}/backups"', f'directory = "{folder}"')
    config.write_text(text)
    config.chmod(0o600)
    assert f'"{folder}"' in text and section in text

    async def run(*words: str, status: int = 0) -> Answer:
        answer = await muva(*words, "--env", "production", "--json", config=config)
        assert answer.status == status, answer.err
        return answer

    async def history() -> str:
        async with connect(estate, site.database, "postgres") as connection:
            return str(
                await connection.fetchval("select max(version) from supabase_migrations.schema_migrations")
            )

    before = await history()
    apply = ("migrations", "apply", "--source", "dev", "--yes", "--confirm", "production")
    refused = await run(*apply, status=1)
    assert "there is no backup of production" in refused.err
    assert await history() == before

    made = (await run("db", "backup")).data["events"][-1]
    file = Path(made["text"].split(":")[0]).name
    done = (await run(*apply)).data
    assert any(f"the way back for data is backup {file}" in risk for risk in done["plan"]["risks"])
    assert done["events"][-1]["kind"] == "done"
    applied = await history()
    assert applied > before

    restored = (await run("db", "restore", file, "--yes", "--confirm", "production")).data
    told = [event["text"] for event in restored["events"]]
    assert restored["events"][-1]["kind"] == "done"
    assert f"history of migrations: {applied} before, {before} after" in told
    assert await history() == before
    async with connect(estate, "postgres", "postgres") as admin:
        kept = await admin.fetch("select datname from pg_database where datname ~ '_before_'")
        assert len(kept) == 1
        await admin.execute(f'drop database "{kept[0][0]}"')
