"""Back by a migration's own way: what is lost is counted, what has no way back is refused, all or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.apply_ground import Choice, NotApplicable
from muva_console.ops.migrations.rollback import ForgetMigration, RollBackMigrations
from muva_console.ops.operations import Event, EventKind, Tier
from tests.migration_apply.world import HISTORY, Commit, World, last, said
from tests.patience import HANG

pytestmark = pytest.mark.xdist_group("migration-rollback")

FILES = {
    "1_guests.sql": "create table guests (id int primary key);",
    "2_notes.sql": "alter table guests add column note text;",
    "2_notes.down.sql": "-- back\nalter table guests\n  drop column note;",
    "3_reviews.sql": "create table reviews (id int);\ncreate index reviews_idx on reviews (id);",
    "3_reviews.down.sql": "drop index reviews_idx;\ndrop table reviews;",
}


async def applied(world: World, **changes: str) -> None:
    """FILES, applied, with rows; some down files otherwise."""
    names = {"down2": "2_notes.down.sql", "down3": "3_reviews.down.sql"}
    files = FILES | {names[key]: text for key, text in changes.items()}
    world.commit = Commit({name: text for name, text in files.items() if text})
    assert last(await world.apply()).kind is EventKind.DONE
    await world.sql(
        "insert into guests values (1, 'a'), (2, 'b'), (3, null)",
        "insert into reviews values (1)",
        "select 1",
    )


async def back(world: World, steps: int = 1, **choice: str) -> list[Event]:
    operation = RollBackMigrations(world.ground(), steps, Choice(**choice))  # type: ignore[arg-type]
    plan = await operation.plan()
    async with asyncio.timeout(HANG):
        return [event async for event in operation.perform(plan)]


async def test_the_newest_are_undone_with_their_records_and_what_they_lose_is_counted(world: World) -> None:
    await applied(world)
    plan = await RollBackMigrations(world.ground(), 2).plan()
    risks = "\n".join(plan.risks)
    assert "supabase/migrations/3_reviews.down.sql line 2: DROP TABLE public.reviews loses 1 row" in risks
    assert "2_notes.down.sql line 2: DROP COLUMN note of public.guests loses 2 values" in risks
    assert "3, 2 stay among the files of staging" in risks
    told = "\n".join(f"{one.line} {one.why}" for one in plan.commands)
    assert "ACCESS EXCLUSIVE on public.guests" in told
    assert told.index("3_reviews.down.sql") < told.index("2_notes.down.sql")
    assert f"DELETE FROM {HISTORY} WHERE version = '2'" in told
    assert plan.tier is Tier.CONFIRM
    events = await back(world, 2)
    assert last(events).kind is EventKind.DONE, said(events)
    assert "3_reviews: undone, and its record removed" in said(events, EventKind.VERIFIED)
    assert await world.recorded() == ["1"]
    assert await world.there("guests", "reviews") == ["guests"]
    columns = await world.sql(
        "select attname from pg_attribute where attrelid = 'guests'::regclass and attnum > 0"
    )
    assert ("note",) not in columns


async def test_what_has_no_way_back_is_restore_only(world: World) -> None:
    await applied(world, down2="")
    with pytest.raises(NotApplicable) as caught:
        await back(world, 3)
    assert [(reason.partition(":")[0], "restore only" in reason) for reason in caught.value.reasons] == [
        ("2_notes", True),
        ("1_guests", True),
    ]
    assert "muva db backups" in caught.value.next
    with pytest.raises(OpsError, match="4 steps back are too many: staging has 3 migrations applied"):
        await back(world, 4)
    assert await world.recorded() == ["1", "2", "3"]
    # the history's own way back stands in where there is one
    await world.sql(
        f"alter table {HISTORY} add column if not exists rollback text[]",
        f"update {HISTORY} set rollback = array['alter table guests drop column note', 'select 1']"
        " where version = '2'",
        "select 1",
    )
    events = await back(world, 2)
    assert last(events).kind is EventKind.DONE, said(events)
    assert await world.recorded() == ["1"]


@pytest.mark.parametrize(
    ("down", "words"),
    [
        ("drop table reviews;\ndrop table\n  absent;", "line 2, column 1"),
        ("drop table reviews; select pg_terminate_backend(pg_backend_pid());", "was rolled back"),
        (f"drop table reviews; delete from {HISTORY} where version = '3';", "somebody removed it"),
    ],
    ids=["error", "lost", "record"],
)
async def test_one_that_fails_leaves_all_as_it_was(world: World, down: str, words: str) -> None:
    await applied(world, down3=down)
    events = await back(world, 2)
    assert last(events).kind is EventKind.FAILED
    assert words in last(events).text
    assert await world.recorded() == ["1", "2", "3"]
    assert await world.there("reviews") == ["reviews"]
    assert await world.sql("select count(note) from guests") == [(2,)], "the one after it was not tried"


async def test_production_wants_a_backup_or_a_reason(world: World, tmp_path: Path) -> None:
    await applied(world)
    world.production, world.dumps = True, tmp_path
    with pytest.raises(NotApplicable, match="there is no backup of production"):
        await RollBackMigrations(world.ground()).plan()
    plan = await RollBackMigrations(world.ground(), 1, Choice(without_backup="nobody writes now")).plan()
    assert plan.tier is Tier.TYPE_NAME
    assert "without a fresh backup: nobody writes now" in plan.risks


async def test_a_plan_of_before_is_not_performed_on_what_came_since(world: World) -> None:
    await applied(world)
    operation = RollBackMigrations(world.ground())
    plan = await operation.plan()
    world.commit.contents["supabase/migrations/3_reviews.down.sql"] = b"drop table guests;"
    events = [event async for event in operation.perform(plan)]
    assert "its down file changed since the plan was made" in last(events).text
    assert await world.there("guests", "reviews") == ["guests", "reviews"]


async def test_to_forget_a_record_is_another_act(world: World) -> None:
    await applied(world)
    operation = ForgetMigration(world.ground(), "3")
    plan = await operation.plan()
    assert plan.operation == "migrations-forget"
    assert "nothing that this migration did is undone" in plan.risks[0]
    events = [event async for event in operation.perform(plan)]
    assert last(events).kind is EventKind.DONE, said(events)
    assert await world.recorded() == ["1", "2"]
    assert await world.there("reviews") == ["reviews"]
    with pytest.raises(OpsError, match="no record of 3"):
        await ForgetMigration(world.ground(), "3").plan()
