"""Looking before an apply: what is pending, whether anything stands in the way, and what deserves a look."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from muva_console.ops.backups import find_backups, spell_size, verify
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.words import count, spell_span
from muva_console.ops.migrations.apply_ground import (
    Choice,
    Ground,
    NotApplicable,
    NothingToApply,
    Prepared,
    Step,
)
from muva_console.ops.migrations.catalog import read_sizes
from muva_console.ops.migrations.compare import compare, drifted
from muva_console.ops.migrations.elsewhere import elsewhere
from muva_console.ops.migrations.files import files_of, mistaken, texts_of
from muva_console.ops.migrations.hazards import validate
from muva_console.ops.migrations.history import read_history
from muva_console.ops.migrations.leftovers import InvalidIndex, half_way, invalid_indexes
from muva_console.ops.migrations.locking import holder
from muva_console.ops.migrations.model import (
    Effect,
    Examined,
    FileSet,
    History,
    MigrationFile,
    Standing,
    State,
)
from muva_console.ops.migrations.pieces import Script, script_of
from muva_console.ops.migrations.statements import settled
from muva_console.ops.migrations.text import LARGEST, examine_all, in_parser, too_large
from muva_console.ops.text import sanitise_line

BRING = "Bring files and history into line first: `muva migrations status` shows each, with its difference."


async def prepare(ground: Ground, choice: Choice, *, backup: bool = True) -> Prepared:
    """Look, and change nothing. Raises NothingToApply; NotApplicable with every reason; OpsError where
    something could not be looked at. `backup`: whether production needs one.
    """
    await ground.session().check()
    branch = choice.source or ground.branch
    heads, stale = await ground.repository.known_heads()
    if branch not in heads:
        raise OpsError(f"there is no branch {sanitise_line(branch, cap=120)} in the repository")
    files = await files_of(ground.repository, heads[branch], ground.folder, downs=ground.settings.downs)
    history = await read_history(ground.link)
    texts, large = await texts_of(ground.repository, files.sha, [one.path for one in files.migrations])
    standings = compare(files, history, changed=await drifted(files, texts, history))
    reasons, warnings = await elsewhere(ground, heads, branch, standings, history)
    more, remarks = _standing(standings, choice, ground.environment)
    reasons, warnings = [*more, *reasons], [*remarks, *warnings]
    waiting = _chosen(standings, choice, ground.environment)
    steps, bad = await _steps(ground, files, waiting, texts, large)
    reasons += bad
    told = ""
    if backup and ground.production:
        told, lacking = await fresh_backup(ground, choice)
        reasons += lacking
    if reasons:
        raise NotApplicable(tuple(reasons), where=ground.environment, next=_next(standings, reasons))
    if not steps:
        some = f" up to {choice.to}" if choice.to else ""
        raise NothingToApply(
            f"nothing to apply{some}: {ground.environment} has all "
            f"{count(len(files.migrations), 'migration')} of {branch}"
        )
    invalid = await invalid_indexes(ground.link)
    warnings += await _warnings(ground, files, steps, texts, history, invalid)
    sizes = await read_sizes(ground.link)
    reports = await validate(
        {step.file.path: texts[step.file.path] for step in steps},
        sizes,
        before={
            one.file.path: texts[one.file.path]
            for one in standings
            if one.file is not None and one.state is State.APPLIED and one.file.path in texts
        },
        environment=ground.environment,
        folder=ground.cache,
    )
    return Prepared(
        files=files,
        branch=branch,
        stale=stale,
        history=history,
        steps=tuple(steps),
        reports={report.path: report for report in reports},
        sizes=sizes,
        warnings=tuple(warnings),
        backup=told,
        invalid=frozenset(one.index for one in invalid),
    )


def _standing(
    standings: tuple[Standing, ...], choice: Choice, environment: str
) -> tuple[list[str], list[str]]:
    """What of all versions stands in the way, and what deserves a word."""
    reasons: list[str] = []
    warnings: list[str] = []
    for one in standings:
        match one.state:
            case State.DUPLICATE:
                reasons.append(f"{one.version} is the version of more than one file")
            case State.DRIFTED:
                reasons.append(f"{one.title} was applied on {environment} with another content")
            case State.RENAMED if one.applied is not None:
                told = f"{one.version} was applied on {environment} as {one.applied.name}; the file is"
                told = f"{told} {one.name}"
                same = one.applied.statements is not None
                (warnings if same else reasons).append(told + ("; they say the same" if same else ""))
            case State.OUT_OF_ORDER if not choice.out_of_order and (
                not choice.to or one.version <= choice.to
            ):
                reasons.append(
                    f"{one.title} is out of order: {environment} has later ones applied "
                    "(--out-of-order takes it)"
                )
            case _:
                pass
    return reasons, warnings


def _chosen(standings: tuple[Standing, ...], choice: Choice, environment: str) -> list[MigrationFile]:
    waiting = [
        one.file
        for one in standings
        if one.file is not None and one.state in (State.PENDING, State.OUT_OF_ORDER)
    ]
    if not choice.to:
        return waiting
    known = {one.version: one.state for one in standings}
    if choice.to not in known:
        raise OpsError(f"there is no version {sanitise_line(choice.to, cap=60)} among the files")
    if known[choice.to] not in (State.PENDING, State.OUT_OF_ORDER):
        raise OpsError(f"{choice.to} does not wait on {environment}: it is {known[choice.to].value}")
    return [file for file in waiting if file.version <= choice.to]


async def _steps(
    ground: Ground,
    files: FileSet,
    waiting: list[MigrationFile],
    texts: Mapping[str, bytes],
    large: tuple[str, ...],
) -> tuple[list[Step], list[str]]:
    reasons = [f"{file.path} is too large to be read" for file in waiting if file.path in large]
    reasons += [
        f"{file.path} is not in the commit {files.sha[:12]}"
        for file in waiting
        if file.path not in large and file.path not in texts
    ]
    reasons += [
        too_large(file.path, texts[file.path]) for file in waiting if len(texts.get(file.path, b"")) > LARGEST
    ]
    there = [file for file in waiting if len(texts.get(file.path, bytes(LARGEST + 1))) <= LARGEST]
    examined = await examine_all([texts[file.path] for file in there])
    good: list[tuple[MigrationFile, Examined]] = []
    for file, one in zip(there, examined, strict=True):
        reasons += [f"{file.path} {problem}" for problem in one.problems]
        if not one.problems:
            good.append((file, one))
    scripts = await in_parser(lambda: [script_of(texts[file.path], one) for file, one in good])
    back = await _ways_back(ground, files, [file for file, _ in good])
    steps = []
    for (file, _), script in zip(good, scripts, strict=True):
        reasons += [f"{file.path} {problem}" for problem in script.problems]
        digest = hashlib.sha256(texts[file.path]).hexdigest()
        way_back = back.get(file.version)
        steps.append(
            Step(
                file=file,
                digest=digest,
                script=script,
                rollback=way_back.recorded if way_back is not None else (),
            )
        )
    return steps, reasons


async def _ways_back(ground: Ground, files: FileSet, ups: list[MigrationFile]) -> dict[str, Script]:
    """The down files of these that can be read, by version."""
    wanted = {one.version for one in ups}
    downs = [one for one in files.downs if one.version in wanted]
    texts, _ = await texts_of(ground.repository, files.sha, [one.path for one in downs])
    there = [one for one in downs if one.path in texts]
    examined = await examine_all([texts[one.path] for one in there])
    good = [(one, seen) for one, seen in zip(there, examined, strict=True) if not seen.problems]
    scripts = await in_parser(lambda: [script_of(texts[one.path], seen) for one, seen in good])
    return {one.version: script for (one, _), script in zip(good, scripts, strict=True)}


async def fresh_backup(ground: Ground, choice: Choice) -> tuple[str, list[str]]:
    """Production's backup in words, or why it is not enough."""
    if choice.without_backup:
        return "", []
    step = f"`muva db backup --env {ground.environment}` makes one; --without-backup REASON goes without."
    directory = ground.backups.directory
    if directory is None:
        return "", [f"no folder of backups is configured ([backups] directory). {step}"]
    there = await asyncio.to_thread(directory.exists)  # the first backup makes it
    found = await find_backups(directory, ground.environment) if there else None
    if found is None or not found.found:
        return "", [f"there is no backup of {ground.environment}. {step}"]
    newest = found.found[0]
    age, limit = newest.age.total_seconds(), float(ground.settings.backup_within)
    if age > limit:
        told = f"the newest backup of {ground.environment} is {spell_span(age)} old"
        return "", [f"{told}; {spell_span(limit)} is the limit ([migrations] backup_within). {step}"]
    verified = await verify(newest, ground.backups.programs)
    if not verified.good:
        return "", [f"the newest backup of {ground.environment} is no good: {verified.why}. {step}"]
    told = f"backup {newest.path.name} of {spell_span(age)} ago, {spell_size(newest.size)}: {verified.why}"
    return told, []


async def _warnings(
    ground: Ground,
    files: FileSet,
    steps: list[Step],
    texts: Mapping[str, bytes],
    history: History,
    invalid: tuple[InvalidIndex, ...],
) -> list[str]:
    warnings = [
        f"{sanitise_line(path, cap=200)} is not named as a migration is: skipped" for path in files.skipped
    ]
    new = {step.file.version for step in steps}
    warnings += mistaken(one.path for one in (*files.migrations, *files.downs) if one.version in new)
    if not history.there:
        warnings.append("there is no history table; it is made as the Supabase CLI makes it")
    if len(files.widths) > 1:
        widths = " and ".join(map(str, files.widths))
        warnings.append(f"versions of {widths} digits: they sort as text, not as numbers")
    waiting = [step.file for step in steps]
    warnings += [
        f"{half.file.version}_{half.file.name} seems half applied already: {', '.join(half.found[:3])}"
        for half in await half_way(ground.link, waiting, texts)
    ]
    warnings += [f"{index}; mend: {index.mend}" for index in invalid if not index.building]
    try:
        held = await holder(ground.link)
    except LinkError as error:
        warnings.append(f"whether somebody else is applying cannot be told: {error}")
    else:
        if held is not None:
            warnings.append(f"somebody else is applying migrations here: {held.text}")
    return warnings


def lossy(steps: tuple[Step, ...]) -> list[tuple[str, int, str]]:
    """The statements that lose data, as things stand when they run: path, line, and in words."""
    found = []
    made: set[str] = set()
    for step in steps:
        pieces = step.script.pieces
        statements = settled([piece.statement for piece in pieces], made)
        found += [
            (step.file.path, piece.line, f"{step.file.path} line {piece.line}: {one.about} loses data")
            for piece, one in zip(pieces, statements, strict=True)
            if one.effect is Effect.DESTRUCTIVE
        ]
        made.update(name for one in statements for name in one.makes)
    return found


def _next(standings: tuple[Standing, ...], reasons: list[str]) -> str:
    unlike = (State.DUPLICATE, State.DRIFTED, State.MISSING, State.RENAMED)
    return BRING if any(one.state in unlike for one in standings) and reasons else ""
