"""A migration that fails half-way: applied for real, statement after statement, as far as it goes."""

from __future__ import annotations

from muva_console.drill import deploy, postgres, repository
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.github import pulls
from muva_console.drill.migrate import split
from muva_console.drill.state import Estate, Site
from muva_console.ops.errors import OpsError

VERSION, NAME = "20251125101500", "book_a_room_once"
_PATH = f"supabase/migrations/{VERSION}_{NAME}.sql"
_INDEX = "bookings_room_night_idx"
_MESSAGE = "feat(bookings): book a room once for a night (#53)"
_TEXT = f"""-- A room is booked once for a night, and the hour of the confirmation is kept.
alter table public.bookings add column confirmed_at timestamptz;

create unique index concurrently {_INDEX} on public.bookings (accommodation_id, check_in);

comment on column public.bookings.confirmed_at is 'When the guest was told.';
"""


async def _break(estate: Estate, site: Site, memory: Memory) -> None:
    import asyncpg

    commit = await repository.commit(estate, site.branch, _MESSAGE, {_PATH: _TEXT.encode()})
    memory["branch"], memory["commit"] = site.branch, commit
    memory["pull"] = str(await pulls.reviewed(estate, [commit], base=site.branch))
    async with postgres.connect(estate, site.database, site.role) as connection:
        try:
            # each alone, as the Supabase CLI runs what cannot run in a transaction
            for statement in split(_TEXT):
                await connection.execute(statement)
        except asyncpg.UniqueViolationError:
            pass
        else:
            raise OpsError("no room is booked twice, so nothing fails", where=site.database)
    await deploy.deploy(estate, site)
    await deploy.until_healthy(site)


async def _mend(estate: Estate, site: Site, memory: Memory) -> None:
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute(f"drop index concurrently if exists public.{_INDEX}")
        await connection.execute("alter table public.bookings drop column if exists confirmed_at")
        # somebody may have put it right meanwhile, and recorded it
        await connection.execute(
            "delete from supabase_migrations.schema_migrations where version = $1", VERSION
        )
    if "commit" not in memory:
        return
    reverted = await repository.undo(estate, memory["branch"], memory["commit"])
    if reverted is not None:
        await pulls.reviewed(estate, [reverted], base=memory["branch"])
    elif "pull" in memory:
        pulls.forget(estate, int(memory["pull"]))
    await deploy.deploy(estate, site)


FAULTS = (
    Fault(
        name="migration-failed-half-way",
        title="A migration failed half-way",
        does="A release brings a migration whose second statement builds a unique index CONCURRENTLY, and "
        "some rooms are booked twice for a night. The column of its first statement is there, the index is "
        "there and invalid, the rest was not done, and the history knows nothing of it.",
        items=("post-deploy-production/migrations-applied", "post-deploy-staging/migrations-applied"),
        undone="Index and column are dropped, and the commit is taken off its branch.",
        rank=2, break_in=_break, mend=_mend,
    ),
)  # fmt: skip
