"""`muva db`: backups of the databases, taken, listed and put back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muva_console.cli.acting import act, acting_options
from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.jobs import detach_option, detached, wait_option
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.ops.backups import Backup
    from muva_console.ops.workspace import Workspace


@click.group()
def db() -> None:
    """The databases as a whole: back up, list backups, restore."""


@db.command()
@environment_option
@detach_option
@acting_options
@json_option
@click.pass_obj
def backup(
    invocation: Invocation,
    environment: str | None,
    detach: bool,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Back up a database with pg_dump: checked, named when whole, older ones pruned after [backups] keep.

    Nothing is asked: a backup harms nobody.
    """
    from muva_console.ops.database.backup import BackupOperation
    from muva_console.ops.database.target import target_of

    async def run() -> int:
        async with invocation.workspace() as workspace:
            name = environment_of(workspace, environment).name
            operation = BackupOperation(target_of(workspace, name))
            return await act(
                workspace,
                operation,
                yes=yes,
                confirm=confirm,
                plan_only=plan_only,
                as_json=as_json,
                hand_over=detached(workspace, operation, as_json=as_json) if detach else None,
            )

    return wait(run)


@db.command()
@environment_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--in-place", is_flag=True, help="Over the database itself, in one transaction.")
@click.option(
    "--without-backup", default="", metavar="REASON", help="Take no backup of what is there now, and why."
)
@wait_option
@detach_option
@acting_options
@json_option
@click.pass_obj
def restore(
    invocation: Invocation,
    environment: str | None,
    file: Path,
    in_place: bool,
    without_backup: str,
    patience: int,
    detach: bool,
    yes: bool,
    confirm: str,
    plan_only: bool,
    as_json: bool,
) -> int:
    """Restore a database from FILE, a path or a name of `muva db backups`.

    A fresh backup first; then into a database beside it, which is checked and takes its name; in place where
    rights do not allow that. Whatever is interrupted, the database of before serves until the last moment.
    """
    from muva_console.ops.database.restore import RestoreOperation
    from muva_console.ops.database.target import target_of

    async def run() -> int:
        async with invocation.workspace() as workspace:
            name = environment_of(workspace, environment).name
            operation = RestoreOperation(
                target_of(workspace, name),
                file,
                in_place=in_place,
                without_backup=without_backup,
                wait=float(patience),
            )
            return await act(
                workspace,
                operation,
                yes=yes,
                confirm=confirm,
                plan_only=plan_only,
                as_json=as_json,
                hand_over=detached(workspace, operation, as_json=as_json) if detach else None,
            )

    return wait(run)


@db.command()
@environment_option
@click.option("--verify", "thorough", is_flag=True, help="Read each to its end, and compare its SHA-256.")
@json_option
@click.pass_obj
def backups(invocation: Invocation, environment: str | None, thorough: bool, as_json: bool) -> int:
    """The backups of an environment, newest first: age, size, and whether they can be read.

    Exit status 1 when there is none, or the newest cannot be used.
    """

    async def run() -> int:
        async with invocation.workspace() as workspace:
            name = environment_of(workspace, environment).name
            return await _listed(workspace, name, thorough=thorough, as_json=as_json)

    return wait(run)


async def _listed(workspace: Workspace, environment: str, *, thorough: bool, as_json: bool) -> int:
    from muva_console.ops.backups import find_backups
    from muva_console.ops.database.backup import folder_of
    from muva_console.ops.database.target import target_of

    target = target_of(workspace, environment)
    found = await find_backups(folder_of(target), environment)
    rows = [await _row(one, target.backups.programs, thorough=thorough) for one in found.found]
    if as_json:
        print_json(
            {
                "environment": environment,
                "directory": str(found.directory),
                "backups": rows,
                "odd": found.odd,
            }
        )
    else:
        _print(environment, str(found.directory), rows)
        for line in found.odd:
            click.echo(click.style(f"  {line}", fg="yellow"), err=True)
    return Exit.OK if rows and rows[0]["good"] else Exit.BAD


async def _row(one: Backup, programs: Path | None, *, thorough: bool) -> dict[str, Any]:
    from muva_console.ops.backups import verify
    from muva_console.ops.database.record import read_record
    from muva_console.ops.errors import OpsError

    verified = await verify(one, programs)
    good, why, record = verified.good, verified.why, None
    try:
        record = await read_record(one.path)
        if good and record is not None and record.size != one.size:
            good, why = False, f"has {one.size:,} bytes, its record says {record.size:,}"
        if good and thorough:
            why = await _through(one.path, record, programs)
    except OpsError as error:
        good, why = False, error.what
    return {
        "file": str(one.path),
        "at": one.at,
        "age_s": round(one.age.total_seconds()),
        "size": one.size,
        "commit": one.commit,
        "good": good,
        "why": why,
        "rows": dict(record.rows) if record is not None else None,
        "history": record.history if record is not None else None,
    }


async def _through(path: Path, record: Any, programs: Path | None) -> str:
    """Read it to its end; what was seen. Raises OpsError."""
    from muva_console.ops.database.programs import any_restore
    from muva_console.ops.database.record import read_through, recognised
    from muva_console.ops.errors import OpsError

    if record is not None:
        await recognised(path, record)
        return f"as it was made: SHA-256 {record.sha256[:12]}"
    restore = await any_restore(programs)
    if restore is None:
        raise OpsError("there is no pg_restore to read it with")
    await read_through(path, restore)
    return "can be read to its end; it has no record"


def _print(environment: str, directory: str, rows: list[dict[str, Any]]) -> None:
    from muva_console.ops.backups import spell_size
    from muva_console.ops.health.words import count, spell_span

    click.echo(f"{count(len(rows), 'backup')} of {environment} in {directory}")
    for row in rows:
        mark = click.style("●", fg="green") if row["good"] else click.style("✖", fg="red")
        age = f"{spell_span(row['age_s'])} ago"
        commit = row["commit"][:7] if row["commit"].strip("0") else "no commit"
        click.echo(f"{mark} {Path(row['file']).name}")
        click.echo(f"    {age}, {spell_size(row['size'])}, {commit}; {row['why']}")
