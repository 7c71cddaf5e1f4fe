"""Faults of what an environment holds: its data, its logs, its backups, what was reviewed, what was planned.

No release brings them; each is one careless or forgotten act, done here for real, and undone by its opposite.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from muva_console.drill import configuration, deploy, postgres, repository
from muva_console.drill.faults.base import Fault, Memory
from muva_console.drill.github import pulls
from muva_console.drill.ports import until
from muva_console.drill.state import Estate, Site
from muva_console.ops.backups import backup_name, find_backups
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import utc_now

_LEFT = 20
"""Rows that are left of chat_messages: of some hundreds, so that no ratio of sizes holds."""
_OLDER = timedelta(days=3)
_MIGRATIONS = "supabase/migrations/"
_FAILED = b"/api/bookings 500"
"""What the log of requests says of an answer that went wrong."""


# --- data


async def _drift(estate: Estate, site: Site, memory: Memory) -> None:
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute("alter table public.bookings add column note text")


async def _undrift(estate: Estate, site: Site, memory: Memory) -> None:
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute("alter table public.bookings drop column if exists note")


async def _lose_rows(estate: Estate, site: Site, memory: Memory) -> None:
    kept = _kept(estate, site)
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.copy_from_table("chat_messages", schema_name="public", output=kept)
        memory["kept"] = str(kept)
        await connection.execute(
            "delete from public.chat_messages where id not in"
            " (select id from public.chat_messages order by id limit $1)", _LEFT
        )  # fmt: skip
        await connection.execute("analyze public.chat_messages")


async def _bring_rows_back(estate: Estate, site: Site, memory: Memory) -> None:
    kept = _kept(estate, site)
    if "kept" not in memory or not kept.exists():
        return
    async with postgres.connect(estate, site.database, site.role) as connection, connection.transaction():
        await connection.execute("delete from public.chat_messages")
        await connection.copy_to_table("chat_messages", schema_name="public", source=kept)
        await connection.execute("analyze public.chat_messages")
    kept.unlink()


def _kept(estate: Estate, site: Site) -> Path:
    return estate.directory / f"chat_messages.{site.environment}.copy"


async def _unread(estate: Estate, site: Site, memory: Memory) -> None:
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute("revoke select on public.chat_messages from current_user")


async def _readable(estate: Estate, site: Site, memory: Memory) -> None:
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute("grant select on public.chat_messages to current_user")


async def _close_rooms(estate: Estate, site: Site, memory: Memory) -> None:
    async with postgres.connect(estate, site.database, site.role) as connection:
        rows = await connection.fetch(
            "update public.accommodations set active = false where active returning id"
        )
    memory["rooms"] = " ".join(str(row[0]) for row in rows)


async def _open_rooms(estate: Estate, site: Site, memory: Memory) -> None:
    rooms = memory.get("rooms", "").split()
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute(
            "update public.accommodations set active = true where id = any($1::uuid[])", rooms
        )


async def _last_migration(estate: Estate, site: Site) -> tuple[str, str]:
    """The file name and text of a branch's last migration."""
    files = repository.application_files()
    name = max(name for name in files if name.startswith(_MIGRATIONS))
    return Path(name).name, await repository.read(estate, site.branch, name)


async def _unapply(estate: Estate, site: Site, memory: Memory) -> None:
    name, _ = await _last_migration(estate, site)
    async with postgres.connect(estate, site.database, site.role) as connection, connection.transaction():
        await connection.execute("drop view public.occupancy")
        await connection.execute(
            "delete from supabase_migrations.schema_migrations where version = $1", name.partition("_")[0]
        )


async def _apply(estate: Estate, site: Site, memory: Memory) -> None:
    from muva_console.drill.migrate import apply

    name, text = await _last_migration(estate, site)
    async with postgres.connect(estate, site.database, site.role) as connection:
        if await connection.fetchval("select to_regclass('public.occupancy') is null"):
            await apply(connection, name, text)


async def _unapply_everywhere(estate: Estate, site: Site, memory: Memory) -> None:
    for each in estate.sites.values():
        await _unapply(estate, each, memory)


async def _apply_everywhere(estate: Estate, site: Site, memory: Memory) -> None:
    for each in estate.sites.values():
        await _apply(estate, each, memory)


# --- logs, backups


def _logs(estate: Estate, site: Site) -> dict[str, Path]:
    return {kind: estate.pm2_home / "logs" / f"{site.process}-{kind}.log" for kind in ("error", "out")}


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


async def _log_errors(estate: Estate, site: Site, memory: Memory) -> None:
    logs = _logs(estate, site)
    before = {kind: _size(log) for kind, log in logs.items()}
    async with postgres.connect(estate, site.database, site.role) as connection:
        await connection.execute("revoke select on public.bookings from service_role")
        try:
            await deploy.get(site, "/api/bookings")

            async def logged() -> bool:
                told = logs["out"].read_bytes()[before["out"] :]
                return _FAILED in told and _size(logs["error"]) > before["error"]

            await until(logged, f"{site.process} logs an error")
        finally:
            await connection.execute("grant select on public.bookings to service_role")
    for kind, log in logs.items():
        memory[kind] = f"{before[kind]} {_size(log)}"


async def _forget_errors(estate: Estate, site: Site, memory: Memory) -> None:
    for kind, log in _logs(estate, site).items():
        begin, end = map(int, memory.get(kind, "0 0").split())
        told = log.read_bytes() if log.exists() else b""
        if end <= begin or len(told) < end:  # somebody emptied it already
            continue
        between = told[begin:end].splitlines(keepends=True)
        kept = [line for line in between if kind == "out" and _FAILED not in line]
        log.write_bytes(told[:begin] + b"".join(kept) + told[end:])


async def _age_backups(estate: Estate, site: Site, memory: Memory) -> None:
    found = (await find_backups(estate.backups, site.environment)).found
    if not found:
        raise OpsError(f"there is no backup of {site.environment} that could grow old")
    moved = {}
    for one in found:
        older = one.path.with_name(backup_name(site.environment, one.at - _OLDER, one.commit))
        moved[older.name] = one.path.name
        memory["moved"] = json.dumps(moved)
        one.path.rename(older)


async def _renew_backups(estate: Estate, site: Site, memory: Memory) -> None:
    for older, name in json.loads(memory.get("moved", "{}")).items():
        if (estate.backups / older).exists():
            (estate.backups / older).rename(estate.backups / name)


# --- reviews, plans


async def _dismiss(estate: Estate, site: Site, memory: Memory) -> None:
    source = estate.sites["staging"].branch if site.environment == "production" else "dev"
    ids = pulls.dismiss(estate, await repository.between(estate, site.branch, source))
    memory["reviews"] = " ".join(map(str, ids))


async def _approve_again(estate: Estate, site: Site, memory: Memory) -> None:
    pulls.approve_again(estate, [int(one) for one in memory.get("reviews", "").split()])


def _configure(estate: Estate, table: str, new: dict[str, Any], memory: Memory) -> None:
    memory["before"] = json.dumps(configuration.change(estate, table, new))


def _restore(estate: Estate, table: str, memory: Memory) -> None:
    if "before" in memory:
        configuration.change(estate, table, json.loads(memory["before"]))


async def _close_window(estate: Estate, site: Site, memory: Memory) -> None:
    opens = utc_now() + timedelta(hours=11)
    hours = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    _configure(estate, "window", {"hours": [hours], "timezone": "UTC"}, memory)


async def _open_window(estate: Estate, site: Site, memory: Memory) -> None:
    _restore(estate, "window", memory)


async def _leave(estate: Estate, site: Site, memory: Memory) -> None:
    begin, end = utc_now() - timedelta(hours=8), utc_now() + timedelta(minutes=30)
    shift = {"name": "@lead-dev", "start": f"{begin:%Y-%m-%dT%H:%MZ}", "end": f"{end:%Y-%m-%dT%H:%MZ}"}
    _configure(estate, "on_call", {"shifts": [shift]}, memory)


async def _come_back(estate: Estate, site: Site, memory: Memory) -> None:
    _restore(estate, "on_call", memory)


FAULTS = (
    Fault(
        name="schema-drift",
        title="The schema was changed by hand",
        does="Somebody added a column to staging's bookings with psql: no migration knows of it.",
        items=("pre-deploy-production/database-sync",),
        undone="The column is dropped.",
        environment="staging", rank=4, break_in=_drift, mend=_undrift,
    ),
    Fault(
        name="rows-missing",
        title="Most rows of a table are gone",
        does=f"Somebody tidied up staging: {_LEFT} of the chat's messages are left.",
        items=("pre-deploy-production/database-sync",),
        undone="The rows are copied back.",
        environment="staging", rank=4, break_in=_lose_rows, mend=_bring_rows_back,
    ),
    Fault(
        name="table-unreadable",
        title="A critical table cannot be read",
        does="The owner of the database was denied to read chat_messages; the application still may.",
        items=("post-deploy-production/critical-tables",),
        undone="The right is granted again.",
        rank=4, break_in=_unread, mend=_readable,
    ),
    Fault(
        name="flow-broken",
        title="A page answers, with nothing on it",
        does="An import switched every accommodation off: /api/accommodations answers 200 with an empty "
        "list, and all health checks are well.",
        items=("post-deploy-production/user-flows", "post-deploy-staging/user-flows"),
        undone="The accommodations are switched on again.",
        rank=4, break_in=_close_rooms, mend=_open_rooms,
    ),
    Fault(
        name="migration-not-applied",
        title="A migration of the branch was not applied",
        does="The last migration of the branch is neither in the history nor in the schema, as where a "
        "deployment left it out; the code is there.",
        items=("post-deploy-production/migrations-applied", "post-deploy-staging/migrations-applied"),
        undone="The migration is applied.",
        rank=4, break_in=_unapply, mend=_apply,
    ),
    Fault(
        name="migration-untested",
        title="A migration that staging never ran goes out",
        does="The last migration of staging's branch has run neither in staging, where its code was deployed "
        "without it, nor in production yet.",
        items=(
            "pre-deploy-production/migration-tested", "review/migrations-tested",
            "post-deploy-staging/migrations-applied", "post-deploy-production/migrations-applied",
        ),
        undone="The migration is applied to both.",
        rank=4, break_in=_unapply_everywhere, mend=_apply_everywhere,
    ),
    Fault(
        name="errors-in-staging-log",
        title="Staging logged errors",
        does="For a moment the application was denied to read bookings, answered 500 and logged why; it is "
        "well again, and the log remembers.",
        items=(
            "pre-deploy-production/error-monitoring", "review/staging-errors",
            "post-deploy-staging/errors", "post-deploy-staging/new-errors",
        ),
        besides="After a deployment an error since the restart is both recent and new.",
        undone="The lines are taken out of the log.",
        environment="staging", rank=4, break_in=_log_errors, mend=_forget_errors,
    ),
    Fault(
        name="stale-backup",
        title="The newest backup is days old",
        does="The nightly backups stopped three days ago: those that are there are dated back.",
        items=("pre-deploy-production/backup-plan", "review/rollback-ready"),
        undone="They are dated as they were.",
        rank=4, break_in=_age_backups, mend=_renew_backups,
    ),
    Fault(
        name="review-dismissed",
        title="An approval was dismissed",
        does="On GitHub, the approval of a pull request that goes out was dismissed after it was merged.",
        items=("review/commits-reviewed", "pre-deploy-staging/code-review"),
        besides="In the one environment whose release holds that pull request.",
        undone="The approval counts again.",
        rank=4, break_in=_dismiss, mend=_approve_again,
    ),
    Fault(
        name="outside-window",
        title="It is not the time to deploy",
        does="muva.toml's [window] opens in eleven hours, for one.",
        items=("pre-deploy-production/deployment-window",),
        undone="[window] is as it was.",
        rank=4, break_in=_close_window, mend=_open_window,
    ),
    Fault(
        name="nobody-on-call",
        title="Nobody will be there afterwards",
        does="muva.toml's [on_call] has one shift, which ends in half an hour.",
        items=("pre-deploy-production/on-call-available",),
        undone="[on_call] is as it was.",
        rank=4, break_in=_leave, mend=_come_back,
    ),
)  # fmt: skip
