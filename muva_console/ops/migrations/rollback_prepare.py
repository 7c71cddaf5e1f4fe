"""Looking before a rollback: which versions are the newest, how each is undone, and what that would lose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.words import count
from muva_console.ops.migrations.apply_ground import Choice, Ground, NotApplicable, Prepared, Step
from muva_console.ops.migrations.apply_prepare import fresh_backup
from muva_console.ops.migrations.catalog import read_sizes
from muva_console.ops.migrations.compare import drifted
from muva_console.ops.migrations.files import files_of, mistaken, texts_of
from muva_console.ops.migrations.hazards import validate
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import invalid_indexes
from muva_console.ops.migrations.locking import holder
from muva_console.ops.migrations.losses import losses
from muva_console.ops.migrations.model import Applied, FileSet, History, MigrationFile
from muva_console.ops.migrations.pieces import script_of
from muva_console.ops.migrations.text import LARGEST, examine_all, in_parser, too_large
from muva_console.ops.text import sanitise_line

RECORDED = "the rollback recorded in the history of "
"""How a way back begins that is no file: its "path"."""


@dataclass(frozen=True, slots=True)
class Way:
    """A migration's way back."""

    file: MigrationFile
    text: bytes
    branch: str = ""
    """The branch that the file is of; empty for what the history records."""
    sha: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """The files of a branch that may hold a way back."""

    name: str
    files: FileSet


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
    history = await read_history(ground.link)
    newest = _newest(history, steps, ground.environment)
    # what was applied from the branch that comes next has its way back there until it is merged
    branches = [
        Branch(
            name,
            await files_of(ground.repository, heads[name], ground.folder, downs=ground.settings.downs),
        )
        for name in (ground.branch, ground.coming)
        if name in heads
    ]
    files = branches[0].files
    found, missing, warnings = await _texts(ground, branches, newest)
    ways, bad = await _steps(newest, found)
    reasons = [*missing, *bad]
    told = ""
    if ground.production and not missing:
        told, lacking = await fresh_backup(ground, choice)
        reasons += lacking
    if reasons:
        step = f"`muva db backups --env {ground.environment}` lists what can be restored." if missing else ""
        raise NotApplicable(tuple(reasons), where=ground.environment, next=step)
    sizes = await read_sizes(ground.link)
    by_path = {step.file.path: found[step.file.version].text for step in ways}
    reports = await validate(by_path, sizes, environment=ground.environment, folder=ground.cache)
    prepared = Prepared(
        files=files,
        branch=ground.branch,
        stale=stale,
        history=history,
        steps=tuple(ways),
        reports={report.path: report for report in reports},
        sizes=sizes,
        warnings=(*warnings, *await _warnings(ground, branches, history, newest)),
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
    ground: Ground, branches: Sequence[Branch], newest: tuple[Applied, ...]
) -> tuple[dict[str, Way], list[str], list[str]]:
    """The way back of each version that has one: the file of the first branch that holds one, else what its
    record holds. The reasons of those that have none, and remarks.
    """
    found: dict[str, Way] = {}
    bad: dict[str, str] = {}
    remarks: list[str] = []
    for branch in branches:
        open_ = {row.version: row for row in newest if row.version not in found and row.version not in bad}
        downs: dict[str, list[MigrationFile]] = {}
        for one in branch.files.downs:
            if one.version in open_:
                downs.setdefault(one.version, []).append(one)
        if not downs:
            continue
        paths = [one.path for several in downs.values() for one in several]
        read, large = await texts_of(ground.repository, branch.files.sha, paths)
        for version, (down, *more) in downs.items():
            if more:
                named = ", ".join(one.path for one in (down, *more))
                bad[version] = f"{_title(open_[version], branches)} has {len(more) + 1} down files: {named}"
            elif down.path in read:
                found[version] = Way(down, read[down.path], branch.name, branch.files.sha)
            elif down.path in large:
                bad[version] = f"{down.path} is too large to be read"
        ups = [one.path for one in branch.files.migrations if one.version in found]
        remarks += mistaken([*ups, *(way.file.path for way in found.values() if way.branch == branch.name)])
    for row in newest:
        if row.version in found or row.version in bad:
            continue
        title = _title(row, branches)
        if row.rollback:
            file = MigrationFile(path=RECORDED + title, version=row.version, name=row.name or "", down=True)
            text = ";\n".join(one.rstrip("; \n") for one in row.rollback).encode() + b";\n"
            found[row.version] = Way(file, text)
            remarks.append(f"{title} has no down file: the rollback that its history records is run")
        else:
            places = " nor ".join(f"in {one.name} at {one.files.sha[:7]}" for one in branches)
            bad[row.version] = (
                f"{title}: restore only. Neither {title}.down.sql {places} nor a rollback in the history"
            )
    return found, [bad[row.version] for row in newest if row.version in bad], remarks


def _title(row: Applied, branches: Sequence[Branch]) -> str:
    ups = (one for branch in branches for one in branch.files.by_version.get(row.version, ()))
    name = row.name or next((one.name for one in ups), "")
    return f"{row.version}_{name}" if name else row.version


async def _steps(newest: tuple[Applied, ...], ways: Mapping[str, Way]) -> tuple[list[Step], list[str]]:
    chosen = [ways[row.version] for row in newest if row.version in ways]
    reasons = [too_large(way.file.path, way.text) for way in chosen if len(way.text) > LARGEST]
    chosen = [way for way in chosen if len(way.text) <= LARGEST]
    examined = await examine_all([way.text for way in chosen])
    good = []
    for way, seen in zip(chosen, examined, strict=True):
        reasons += [f"{way.file.path} {problem}" for problem in seen.problems]
        if not seen.problems:
            good.append((way, seen))
    scripts = await in_parser(lambda: [script_of(way.text, seen) for way, seen in good])
    steps = []
    for (way, _), script in zip(good, scripts, strict=True):
        reasons += [f"{way.file.path} {problem}" for problem in script.problems]
        digest = hashlib.sha256(way.text).hexdigest()
        steps.append(Step(file=way.file, digest=digest, script=script, branch=way.branch, sha=way.sha))
    return steps, reasons


async def _warnings(
    ground: Ground, branches: Sequence[Branch], history: History, newest: tuple[Applied, ...]
) -> list[str]:
    warnings = []
    left = {row.version: row for row in newest}
    for place, branch in enumerate(branches):
        ups = [one for version in left for one in branch.files.by_version.get(version, ())]
        if not ups:
            continue
        texts, _ = await texts_of(ground.repository, branch.files.sha, [one.path for one in ups])
        few = structs.replace(history, applied=left)
        for version, changed in (await drifted(branch.files, texts, few)).items():
            if changed:
                warnings.append(
                    f"{version} was applied with another content than {branch.name} has: its way back may "
                    "not fit"
                )
        here = {one.version for one in ups}
        if place:
            warnings += [
                f"{_title(left[version], branches)} is of {branch.name}, and not of {ground.branch} yet"
                for version in left
                if version in here
            ]
        left = {version: row for version, row in left.items() if version not in here}
    named = " nor of ".join(branch.name for branch in branches)
    neither = "neither" if len(branches) > 1 else "not"
    warnings += [f"{_title(row, branches)} is {neither} among the files of {named}" for row in left.values()]
    try:
        held = await holder(ground.link)
    except LinkError as error:
        warnings.append(f"whether somebody else is at it cannot be told: {error}")
    else:
        if held is not None:
            warnings.append(f"somebody else is at the migrations here: {held.text}")
    return warnings
