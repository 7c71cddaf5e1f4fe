"""Which backup holds the data as the good release left it: by the recorded deployments, never "the latest".

The latest artifact may be of the failing run's re-run, or have expired. What is wanted was taken while the
good release served: after it was deployed, and before the next release was. A deployment's run takes its
backup before its migrations, so the first run after the good one has it; local backups of that time do too.
"""

from __future__ import annotations

import asyncio
import zipfile
from datetime import datetime
from pathlib import Path, PurePosixPath

from muva_console.ops.backups import Backup, find_backups, named
from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError, Refused
from muva_console.ops.links.github_runs import Artifact
from muva_console.ops.release.records import Deployment, read_deployments
from muva_console.ops.text import sanitise_line

LARGEST = 64 * 1024**3
"""Bytes that an archive may grow to. Ours."""
_WORD = "backup"


async def backup_of(ctx: CheckContext, good: Deployment, old: str) -> Path:
    """The newest backup that was taken while `good` served: a local one, else that of the run that deployed
    what came after, fetched with its size and digest checked. Raises OpsError where there is none.
    """
    directory = ctx.config.backups.directory
    if directory is None:
        raise OpsError("no folder of backups is configured", next="Give [backups] a directory.")
    told = await read_deployments(ctx.going_out().journal, ctx.environment_name, limit=None)
    after = [one for one in told if one.entry > good.entry and one.commit != good.commit]
    until = next((one.finished for one in after if one.finished is not None), None)
    found = await find_backups(directory, ctx.environment_name)
    local = [one for one in found.found if _within(one, good, until)]
    if local:
        return local[0].path
    commit = after[0].commit if after else old
    artifact = await _artifact(ctx, commit)
    if artifact is None:
        since = f"{good.finished:%Y-%m-%d %H:%M} UTC" if good.finished is not None else "it was deployed"
        raise Refused(
            f"there is no backup of the time in which {good.commit[:7]} served",
            means=f"neither in {directory} since {since}, nor an artifact of the run that deployed "
            f"{commit[:7]} that is not expired",
            next=f"`muva db backups --env {ctx.environment_name}` lists them; --restore-db FILE names one.",
        )
    return await _fetched(ctx, artifact, directory)


def _within(one: Backup, good: Deployment, until: datetime | None) -> bool:
    if good.finished is None or one.at < good.finished.replace(microsecond=0):  # names tell whole seconds
        return False
    if until is None:  # what came after is not recorded: then only one that says that this release served
        return good.commit.startswith(one.commit)
    return one.at <= until


async def _artifact(ctx: CheckContext, commit: str) -> Artifact | None:
    link = ctx.going_out().github
    if link is None:
        return None
    runs = await link.actions.runs(branch=ctx.environment.branch, sha=commit)
    for run in reversed(runs):  # the oldest: a re-run's backup is of what the first attempt left
        for one in await link.actions.artifacts(run):
            if _WORD in one.name.lower() and not one.expired:
                return one
    return None


async def _fetched(ctx: CheckContext, artifact: Artifact, directory: Path) -> Path:
    link = ctx.going_out().github
    assert link is not None
    if not artifact.digest:
        raise Refused(
            f"GitHub tells no digest of the artifact {sanitise_line(artifact.name, cap=120)}",
            means="whether it is what the run made cannot be told",
            next="Fetch it by hand, look at it, and name it with --restore-db FILE.",
        )
    archive = directory / f".artifact-{artifact.id}.zip"
    await link.actions.fetch_artifact(artifact, archive)
    try:
        return await asyncio.to_thread(_unpacked, archive, directory, ctx.environment_name)
    finally:
        archive.unlink(missing_ok=True)


def _unpacked(archive: Path, directory: Path, environment: str) -> Path:
    """The one dump of an archive, under its own name. Nothing of the archive's paths is believed."""
    try:
        with zipfile.ZipFile(archive) as held:
            dumps = [one for one in held.infolist() if one.filename.endswith(".dump")]
            if len(dumps) != 1 or dumps[0].file_size > LARGEST:
                raise OpsError(f"the artifact holds {len(dumps)} dumps, not one", where=archive.name)
            target = directory / PurePosixPath(dumps[0].filename).name
            part = target.with_name(f".{target.name}.part")
            with held.open(dumps[0]) as source, part.open("wb") as sink:
                part.chmod(0o600)
                while block := source.read(1024 * 1024):
                    sink.write(block)
    except (zipfile.BadZipFile, OSError) as error:
        raise OpsError(f"the artifact cannot be unpacked: {error}", where=archive.name) from None
    part.replace(target)
    backup = named(target)
    if backup is None or backup.environment != environment:
        target.unlink(missing_ok=True)
        raise OpsError(
            f"the artifact holds no backup of {environment}", where=sanitise_line(target.name, cap=120)
        )
    return target
