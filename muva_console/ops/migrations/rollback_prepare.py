"""Looking before a rollback: which versions are the newest, how each is undone, and what that would lose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import structs

from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.words import count
from muva_console.ops.migrations.apply_ground import Choice, Ground, NotApplicable, Prepared, Step
from muva_console.ops.migrations.apply_prepare import fresh_backup
from muva_console.ops.migrations.catalog import read_sizes
from muva_console.ops.migrations.compare import drifted
from muva_console.ops.migrations.files import files_of, texts_of
from muva_console.ops.migrations.hazards import validate
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.migrations.locking import holder
from muva_console.ops.migrations.losses import losses
from muva_console.ops.migrations.model import Applied, FileSet, History, MigrationFile
from muva_console.ops.migrations.pieces import script_of
from muva_console.ops.migrations.text import LARGEST, examine_all, in_parser
from muva_console.ops.text import sanitise_line

RECORDED = "the rollback recorded in the history of "
"""How a way back begins that is no file: its "path"."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """A rollback that was looked at."""

    prepared: Prepared
    """Its steps are the ways back, the newest version first."""
    losses: tuple[str, ...]
    pending: tuple[str, ...]
    """Versions that the branch's files would bring again."""


async def prepare_rollback(ground: Ground, steps: int, choice: Choice) -> Undoing:
    """Look, and change nothing. Raises NotApplicable with every reason; OpsError where something could not be
    looked at.
    """
    await ground.session().check()
    heads, stale = await ground.repository.known_heads()
    if ground.branch not in heads:
        raise OpsError(f"there is no branch {sanitise_line(ground.branch, cap=120)} in the repository")
    files = await files_of(ground.repository, heads[ground.branch], ground.folder)
    history = await read_history(ground.link)
    newest = _newest(history, steps, ground.environment)
    texts, missing, warnings = await _texts(ground, files, newest)
    ways, bad = await _steps(newest, texts)
    reasons = [*missing, *bad]
    told = ""
    if ground.production and not missing:
        told, lacking = await fresh_backup(ground, choice)
        reasons += lacking
    if reasons:
        step = f"`muva db backups --env {ground.environment}` lists what can be restored." if missing else ""
        raise NotApplicable(tuple(reasons), where=ground.environment, next=step)
    sizes = await read_sizes(ground.link)
    by_path = {step.file.path: texts[step.file.version][1] for step in ways}
    reports = await validate(by_path, sizes, environment=ground.environment, folder=ground.cache)
    prepared = Prepared(
        files=files,
        branch=ground.branch,
        stale=stale,
        history=history,
        steps=tuple(ways),
        reports={report.path: report for report in reports},
        sizes=sizes,
        warnings=(*warnings, *await _warnings(ground, files, history, newest)),
        backup=told,
        invalid=frozenset(one.index for one in await invalid_indexes(ground.link)),
    )
    again = tuple(one.version for one in newest if one.version in files.by_version)
    return Undoing(prepared=prepared, losses=await losses(ground.link, by_path, sizes), pending=again)


def _newest(history: History, steps: int, environment: str) -> tuple[Applied, ...]:
    """The newest versions, the newest first. Raises OpsError where there are not so many."""
    if not history.applied:
        raise OpsError(f"nothing is applied on {environment}, so there is nothing to roll back")
    if steps > len(history.applied):
        there = count(len(history.applied), "migration")
        raise OpsError(f"{count(steps, 'step')} back are too many: {environment} has {there} applied")
    return tuple(history.applied[version] for version in sorted(history.applied, reverse=True)[:steps])


async def _texts(
    ground: Ground, files: FileSet, newest: tuple[Applied, ...]
) -> tuple[dict[str, tuple[MigrationFile, bytes]], list[str], list[str]]:
    """The way back of each version that has one; the reasons of those that have none; and remarks."""
    downs: dict[str, list[MigrationFile]] = {}
    for one in files.downs:
        downs.setdefault(one.version, []).append(one)
    wanted = [one.path for row in newest for one in downs.get(row.version, ())]
    read, large = await texts_of(ground.repository, files.sha, wanted)
    found: dict[str, tuple[MigrationFile, bytes]] = {}
    reasons, remarks = [], []
    for row in newest:
        title = _title(row, files)
        there = downs.get(row.version, [])
        if len(there) > 1:
            reasons.append(f"{title} has {len(there)} down files: {', '.join(one.path for one in there)}")
        elif there and there[0].path in read:
            found[row.version] = (there[0], read[there[0].path])
        elif there and there[0].path in large:
            reasons.append(f"{there[0].path} is too large to be read")
        elif row.rollback:
            file = MigrationFile(path=RECORDED + title, version=row.version, name=row.name or "", down=True)
            found[row.version] = (
                file,
                ";\n".join(one.rstrip("; \n") for one in row.rollback).encode() + b";\n",
            )
            remarks.append(f"{title} has no down file: the rollback that its history records is run")
        else:
            reasons.append(
                f"{title}: restore only. Neither {title}.down.sql in {ground.branch} at {files.sha[:7]} nor "
                "a rollback in the history"
            )
    return found, reasons, remarks


def _title(row: Applied, files: FileSet) -> str:
    up = files.by_version.get(row.version, ())
    name = row.name or (up[0].name if up else "")
    return f"{row.version}_{name}" if name else row.version


async def _steps(
    newest: tuple[Applied, ...], texts: Mapping[str, tuple[MigrationFile, bytes]]
) -> tuple[list[Step], list[str]]:
    chosen = [texts[row.version] for row in newest if row.version in texts]
    reasons = [
        f"{file.path} has {len(text):,} bytes, too many to be parsed"
        for file, text in chosen
        if len(text) > LARGEST
    ]
    chosen = [(file, text) for file, text in chosen if len(text) <= LARGEST]
    examined = await examine_all([text for _, text in chosen])
    good = []
    for (file, text), seen in zip(chosen, examined, strict=True):
        reasons += [f"{file.path} {problem}" for problem in seen.problems]
        if not seen.problems:
            good.append((file, text, seen))
    scripts = await in_parser(lambda: [script_of(text, seen) for _, text, seen in good])
    steps = []
    for (file, text, _), script in zip(good, scripts, strict=True):
        reasons += [f"{file.path} {problem}" for problem in script.problems]
        steps.append(Step(file=file, digest=hashlib.sha256(text).hexdigest(), script=script))
    return steps, reasons


async def _warnings(
    ground: Ground, files: FileSet, history: History, newest: tuple[Applied, ...]
) -> list[str]:
    warnings = []
    ups = [one for row in newest for one in files.by_version.get(row.version, ())]
    texts, _ = await texts_of(ground.repository, files.sha, [one.path for one in ups])
    few = structs.replace(history, applied={row.version: row for row in newest})
    for version, changed in (await drifted(files, texts, few)).items():
        if changed:
            warnings.append(f"{version} was applied with another content: its way back may not fit")
    warnings += [
        f"{_title(row, files)} is not among the files of {ground.branch}"
        for row in newest
        if row.version not in files.by_version
    ]
    try:
        held = await holder(ground.link)
    except LinkError as error:
        warnings.append(f"whether somebody else is at it cannot be told: {error}")
    else:
        if held is not None:
            warnings.append(f"somebody else is at the migrations here: {held.text}")
    return warnings
