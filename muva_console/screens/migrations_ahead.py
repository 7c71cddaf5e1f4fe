"""What lies ahead of an apply: the files, their hazards where they are going, and the backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from muva_console.ops.migrations.apply_ground import Choice, Prepared
from muva_console.screens.migrations_read import Judged, Looked, looked_of

if TYPE_CHECKING:
    from muva_console.ops.migrations.apply_ground import Ground
    from muva_console.ops.workspace import Workspace


class Ahead(Struct, frozen=True, kw_only=True):
    """One file that would be applied."""

    title: str
    statements: int
    looked: Looked


class BackupState(Struct, frozen=True, kw_only=True):
    """Whether the database may be changed, as far as its backup goes."""

    needed: bool
    good: bool
    told: str


class Outlook(Struct, frozen=True, kw_only=True):
    """Everything that is looked at before a plan is made."""

    environment: str
    production: bool
    branch: str
    sha: str
    files: tuple[Ahead, ...]
    warnings: tuple[str, ...]
    backup: BackupState


async def look_ahead(workspace: Workspace, environment: str, choice: Choice) -> Outlook:
    """Look at what an apply would do. To be called in the ops loop. Raises OpsError, among them
    NothingToApply and NotApplicable.
    """
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.ops.migrations.apply_prepare import prepare

    ground = ground_of(workspace, workspace.environments[environment])
    return await _outlook(ground, await prepare(ground, choice, backup=False))


async def look_back(workspace: Workspace, environment: str, steps: int) -> Outlook:
    """The same of a rollback of the newest migrations. Raises OpsError, NotApplicable among them."""
    from muva_console.ops.migrations.apply_ground import ground_of
    from muva_console.ops.migrations.rollback_prepare import prepare_rollback

    ground = ground_of(workspace, workspace.environments[environment])
    # whether there is a backup is told beside the rest, and asked for when it is planned
    undoing = await prepare_rollback(ground, steps, Choice(without_backup="looked at apart"))
    outlook = await _outlook(ground, undoing.prepared)
    return structs.replace(outlook, warnings=(*undoing.losses, *outlook.warnings))


async def _outlook(ground: Ground, prepared: Prepared) -> Outlook:
    judged = Judged(reports=prepared.reports, sizes=prepared.sizes, untold=())
    files = []
    for step in prepared.steps:
        report = prepared.reports.get(step.file.path)
        looked = Looked(why=("its hazards could not be looked for",))
        if report is not None:
            looked = looked_of(report, judged, ground.environment)
        files.append(Ahead(title=step.title, statements=len(step.script.pieces), looked=looked))
    stale = [f"{prepared.branch} as of the last fetch: {prepared.stale}"] if prepared.stale else []
    return Outlook(
        environment=ground.environment,
        production=ground.production,
        branch=prepared.branch,
        sha=prepared.files.sha,
        files=tuple(files),
        warnings=(*stale, *prepared.warnings),
        backup=await backup_state(ground),
    )


async def backup_state(ground: Ground) -> BackupState:
    """The newest backup, its age and whether it can be read. Raises OpsError."""
    from muva_console.ops.backups import find_backups, spell_size, verify
    from muva_console.ops.health.words import spell_span

    needed, directory = ground.production, ground.backups.directory
    if directory is None:
        return BackupState(needed=needed, good=False, told="no folder of backups is configured")
    if not directory.is_dir():
        return BackupState(needed=needed, good=False, told=f"there is none: {directory} is not there yet")
    found = (await find_backups(directory, ground.environment)).found
    if not found:
        return BackupState(needed=needed, good=False, told=f"there is none of {ground.environment}")
    newest = found[0]
    age, limit = newest.age.total_seconds(), float(ground.settings.backup_within)
    told = f"{newest.path.name}, {spell_span(age)} old, {spell_size(newest.size)}"
    if age > limit:
        return BackupState(needed=needed, good=False, told=f"{told}; {spell_span(limit)} is the limit")
    verified = await verify(newest, ground.backups.programs)
    return BackupState(needed=needed, good=verified.good, told=f"{told}: {verified.why}")
