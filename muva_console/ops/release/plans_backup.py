"""The check "backup-plan": there is a way back, in code, in data and for what the migrations change."""

from __future__ import annotations

import shlex

from muva_console.ops.backups import find_backups, spell_size, verify
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.health.words import count, spell_span
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.migrations.compare import compare, pending
from muva_console.ops.migrations.model import Effect, MigrationFile, Statement
from muva_console.ops.migrations.statements import settled
from muva_console.ops.migrations.text import examine_all
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.records import newest_good, read_deployments
from muva_console.ops.release.schema_ground import (
    Ground,
    Told,
    ground_of,
    history_of,
    history_or_reason,
    names,
    unfetched,
)
from muva_console.ops.release.served import same

RELEASE, BACKUP, WAY_BACK = "release to return to", "backup", "migrations' way back"
"""The subjects of the three findings."""


@check("backup-plan", title="Backup plan")
async def backup_plan(ctx: CheckContext) -> tuple[Finding, ...]:
    """A good release to return to is known, the newest backup is younger than [backups] fresh and can be
    read, and each migration that goes out has a way back or only adds; a finding each.
    """
    found = []
    for subject, look in ((RELEASE, _release), (BACKUP, _backup), (WAY_BACK, _way_back)):
        try:
            found.append(await look(ctx))
        except OpsError as error:
            found.append(
                tell(Level.UNKNOWN, str(error), subject=subject, evidence=[error.means], next=error.next)
            )
    return tuple(found)


async def _release(ctx: CheckContext) -> Finding:
    outgoing = await ctx.outgoing()
    command = curl_line(ctx.url(ctx.environment.health), jq=True)
    answer = await ctx.health()
    name = ctx.environment_name

    def told(level: Level, summary: str, *evidence: str, next: str = "") -> Finding:
        return tell(
            level, summary, subject=RELEASE, evidence=evidence, command=command, next=next, at=answer.at
        )

    document = read_document(answer.json)
    if answer.fault is not None or document is None:
        why = answer.error or f"it answers {answer.status} and no health document"
        return told(Level.UNKNOWN, f"what {name} serves cannot be told: {why}")
    if not document.commit:
        return told(
            Level.UNKNOWN,
            f"{name} does not tell which commit it serves",
            next="Let the health document name it as `commit`.",
        )
    short = document.commit[:7]
    if document.level is Level.UNKNOWN or document.level is Level.FAIL or answer.status != 200:
        word = document.word or f"HTTP {answer.status}"
        level = Level.UNKNOWN if document.level is Level.UNKNOWN and answer.status == 200 else Level.FAIL
        return told(level, f"{name} serves {short} and says {word}: that is no release to return to")
    known = (outgoing.base, outgoing.head, *(one.sha for one in outgoing.commits))
    whole = next((sha for sha in known if sha.startswith(document.commit)), document.commit)
    if len(whole) < 40:
        return told(Level.UNKNOWN, f"{name} serves {short}; too few digits to look it up in the repository")
    try:
        await ctx.going_out().repository.files(whole, ctx.config.project.migrations)
    except LinkError as error:
        return told(Level.FAIL, f"{name} serves {short}, which the repository does not have", str(error))
    version = f" ({document.version})" if document.version else ""
    level = Level.WARN if document.level is Level.WARN else Level.OK
    state = "healthy" if level is Level.OK else document.word
    bad, recorded = await _recorded(ctx, whole)
    if bad:
        return told(Level.FAIL, f"{name} serves {short}{version}, {bad}", f"commit {whole}", *recorded)
    return told(level, f"{short}{version}, which {name} serves now, {state}", f"commit {whole}", *recorded)


async def _recorded(ctx: CheckContext, commit: str) -> tuple[str, list[str]]:
    """Why the journal has it for no good release (empty where it has not), and what it has."""
    try:
        known = await read_deployments(ctx.going_out().journal, ctx.environment_name, limit=None)
    except OpsError as error:
        return "", [f"whether it is recorded as good is not known: {error}"]
    ours = [one for one in known if same(one.commit, commit)]
    if not ours:
        return "", ["no deployment of it is recorded"]
    when = f" at {ours[-1].finished:%Y-%m-%d %H:%M} UTC" if ours[-1].finished else ""
    lines = [f"recorded: {ours[-1].status.value}{when}, by {ours[-1].by}"]
    back = next((one for one in known if same(one.rolls_back, commit)), None)
    if back is not None:
        return "which a rollback has taken back", [*lines, f"rolled back by {back.by}"]
    if not ours[-1].good:
        other = newest_good(known, before=commit)
        lines.append(
            f"the last one that is recorded as good is {other.commit[:12]}" if other else "none is good"
        )
        return f"and its deployment is recorded as {ours[-1].status.value}", lines
    return "", lines


async def _backup(ctx: CheckContext) -> Finding:
    backups = ctx.config.backups
    name = ctx.environment_name
    if backups.directory is None:
        raise OpsError(
            "no folder of backups is configured", next='Name it: [backups] directory = "/path/of/backups".'
        )
    found = await find_backups(backups.directory, name)
    listing = f"ls -lt {shlex.quote(str(backups.directory))}"
    step = f"Make one: muva db backup --env {shlex.quote(name)}"
    if not found.found:
        return tell(
            Level.FAIL,
            f"there is no backup of {name}",
            subject=BACKUP,
            evidence=[str(found.directory), *found.odd],
            command=listing,
            next=step,
        )
    newest = found.found[0]
    age, size = spell_span(newest.age.total_seconds()), spell_size(newest.size)
    verified = await verify(newest, backups.programs)
    if not verified.good:
        level, summary = Level.FAIL, f"the newest backup of {name} {_is(verified.why)}"
    elif newest.age.total_seconds() > backups.fresh:
        level = Level.FAIL
        summary = f"the newest backup of {name} is {age} old; {spell_span(backups.fresh)} is the limit"
    else:
        level, summary = Level.OK, f"a backup of {age} ago, {size}, of commit {newest.commit[:7]}"
    return tell(
        level,
        summary,
        subject=BACKUP,
        evidence=[
            f"{newest.path.name}: {size}, {age} old",
            verified.why,
            f"{count(len(found.found), 'backup')} of {name} in {found.directory}",
            *found.odd[:10],
        ],
        command=verified.command or listing,
        next=step if level is Level.FAIL else "",
    )


def _is(why: str) -> str:
    return f"is of no use: {why}" if why.startswith("pg_restore") else why


async def _way_back(ctx: CheckContext) -> Finding:
    ground = await ground_of(ctx)
    if ctx.postgres is not None:
        waiting = pending(compare(ground.head, await history_of(ctx, ctx)))
    else:
        waiting = ground.news
    folder = shlex.quote(ctx.config.project.migrations)
    command = f"git diff {ground.outgoing.base[:12]}...{ground.outgoing.head[:12]} -- {folder}"
    if not waiting:
        return tell(
            Level.OK,
            "no migration goes out: code alone can go back",
            subject=WAY_BACK,
            command=command,
            evidence=unfetched(ground),
        )
    told = await _ways_back(ctx, ground, waiting)
    if told.level is Level.OK:
        downs = sum("way back" in line for line in told.lines[Level.OK])
        how = "code alone can go back" if not downs else f"{downs} of them by a way back of their own"
        summary = f"{count(len(waiting), 'migration')} can be undone: {how}"
    else:
        summary = told.headline(told.level)
    return tell(
        told.level,
        summary,
        subject=WAY_BACK,
        evidence=[f"pending: {names(waiting, 10)}", *told.evidence, *unfetched(ground)],
        command=command,
        next="" if told.level is Level.OK else "Write VERSION_NAME.down.sql beside it.",
    )


async def _ways_back(ctx: CheckContext, ground: Ground, waiting: tuple[MigrationFile, ...]) -> Told:
    source = ctx.going_out().source
    history = None
    if source is not None and source.postgres is not None:
        history, _ = await history_or_reason(ctx, source)
    downs = {one.version: one for one in ground.head.downs}
    examined = await examine_all([ground.head_texts.get(one.path, b"") for one in waiting])
    down_texts = {
        version: ground.head_texts[one.path]
        for version, one in downs.items()
        if one.path in ground.head_texts
    }
    readable = dict(zip(down_texts, await examine_all(list(down_texts.values())), strict=True))
    told = Told()
    made: set[str] = set()
    for file, found in zip(waiting, examined, strict=True):
        title = f"{file.version}_{file.name}"
        statements = settled(found.statements, made)
        made.update(name for one in statements for name in one.makes)
        applied = history.applied.get(file.version) if history is not None else None
        down = readable.get(file.version)
        if down is not None and not down.problems:
            told.add(Level.OK, f"{title}: a way back in {downs[file.version].path}")
        elif applied is not None and applied.rollback:
            told.add(Level.OK, f"{title}: a way back is recorded on {source and source.environment_name}")
        elif file.path not in ground.head_texts or (found.problems and not statements):
            told.add(Level.UNKNOWN, f"{title} cannot be looked into, and has no way back")
        else:
            _tell_worst(told, title, statements)
    return told


def _tell_worst(told: Told, title: str, statements: tuple[Statement, ...]) -> None:
    for effect, level, means in (
        (Effect.DESTRUCTIVE, Level.FAIL, "loses data and has no way back"),
        (Effect.OPAQUE, Level.UNKNOWN, "runs code that cannot be looked into, and has no way back"),
        (Effect.CHANGING, Level.WARN, "may break the code of before, and has no way back"),
    ):
        for one in statements:
            if one.effect is effect:
                told.add(level, f"{title} line {one.line}: {one.about} {means}")
                return
    told.add(Level.OK, f"{title} only adds")
