"""The checks of migrations: valid, without conflict, tested on staging, applied after a deployment."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.migrations.compare import compare, drifted, pending
from muva_console.ops.migrations.history import SHOWN
from muva_console.ops.migrations.leftovers import half_way, invalid_indexes
from muva_console.ops.migrations.model import Effect, Examined, FileSet, History, Standing, State
from muva_console.ops.migrations.statements import settled
from muva_console.ops.migrations.text import examine_all
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.schema_ground import (
    Ground,
    Told,
    ground_of,
    history_of,
    history_or_reason,
    names,
    no_database,
    source_of,
    unfetched,
)

GOOD_FOR = 600.0
"""Seconds. Ours: what is said hangs on commits, which the runbook watches, and on histories, which seldom
change."""


@check("migrations-valid", title="Migrations validated", good_for=GOOD_FOR)
async def migrations_valid(ctx: CheckContext) -> Finding:
    """Every migration of the commit that goes out can be read and parsed by PostgreSQL's own parser; none
    that is applied already was edited, renamed or removed by what goes out.
    """
    ground = await ground_of(ctx)
    outgoing, folder = ground.outgoing, ctx.config.project.migrations
    command = f"git diff {outgoing.base[:12]}...{outgoing.head[:12]} -- {shlex.quote(folder)}"
    if not ground.head.migrations and not ground.base.migrations:
        raise _none_there(folder, outgoing.source)
    told = Told()
    readable = [one for one in (*ground.head.migrations, *ground.head.downs) if one.path in ground.head_texts]
    found = await examine_all([ground.head_texts[one.path] for one in readable])
    for file, examined in zip(readable, found, strict=True):
        new = file.path in ground.changed
        for problem in examined.problems:
            level = Level.FAIL if new else Level.WARN
            told.add(level, f"{file.path} {'' if new else '(not of this release) '}{problem}")
        if new and not file.down:
            _tell_statements(told, file.path, examined)
    for path in ground.large:
        told.add(Level.UNKNOWN, f"{path} is too large to be read")
    for path in ground.head.skipped:
        level = Level.FAIL if path in ground.changed else Level.WARN
        told.add(level, f"{path} would be skipped: a migration is named VERSION_NAME.sql")
    await _tell_edited(told, ctx, ground)
    total = len(ground.head.migrations)
    news = ground.news
    going = f"; {len(news)} of them {'is' if len(news) == 1 else 'are'} new: {names(news)}" if news else ""
    if told.level is Level.OK:
        summary = f"{count(total, 'migration')}, all valid{going or '; none goes out'}"
    else:
        summary = told.headline(told.level) + (going if told.level is Level.WARN else "")
    return tell(
        told.level,
        summary,
        subject=f"{folder} at {outgoing.short}",
        evidence=[*told.evidence, *(f"new: {one.path}" for one in news[:20]), *unfetched(ground)],
        command=command,
        next="Write a new migration that changes what the applied one did." if _edits(ground) else "",
        at=outgoing.at,
    )


def _none_there(folder: str, branch: str) -> OpsError:
    return OpsError(
        f"{branch} holds no migration in {folder}",
        next="Name the folder in [project] migrations.",
    )


def _tell_statements(told: Told, path: str, examined: Examined) -> None:
    """What a new file does that deserves a look."""
    statements = settled(examined.statements)
    for one in statements:
        if one.effect is Effect.DESTRUCTIVE:
            told.add(Level.WARN, f"{path} line {one.line}: {one.about} loses data")
        if one.alone and len(statements) > 1:
            told.add(
                Level.WARN,
                f"{path} line {one.line}: {one.about} cannot run in a transaction; with others in one file "
                "it may be left half applied",
            )


def _edits(ground: Ground) -> bool:
    return any(unlike for _, _, unlike in ground.edited.values())


async def _tell_edited(told: Told, ctx: CheckContext, ground: Ground) -> None:
    if not ground.edited:
        return
    history, _ = await history_or_reason(ctx, ctx) if ctx.postgres is not None else (None, "")
    target = ctx.environment_name
    for version, (old, new, unlike) in ground.edited.items():
        known = history is not None and history.there
        if known and history is not None and version not in history.applied:
            told.add(Level.WARN, f"{old.path} changes; it is not yet applied on {target}")
            continue
        since = f"applied on {target}" if known else f"merged to {ground.outgoing.target}"
        if new is None:
            told.add(Level.FAIL, f"{old.path} was removed after it was {since}")
        elif unlike:
            told.add(Level.FAIL, f"{new.path} was edited after it was {since}")
        elif new.path != old.path:
            told.add(
                Level.WARN, f"{old.path} was renamed to {new.path} after it was {since}; it says the same"
            )
        else:
            told.add(Level.OK, f"{new.path}: comments or white space changed, nothing else")


@check("migration-status", title="Migration status", good_for=GOOD_FOR)
async def migration_status(ctx: CheckContext) -> Finding:
    """Files of both branches and the histories of both databases agree: no version twice, with another
    content, out of order, or applied and missing in the files. What is pending is news.
    """
    ground = await ground_of(ctx)
    outgoing = ground.outgoing
    if not ground.head.migrations and not ground.base.migrations:
        raise _none_there(ctx.config.project.migrations, outgoing.source)
    told = Told()
    _tell_branches(told, ground)
    source = ctx.going_out().source
    news = []
    target_history: History | None = None
    for of in (ctx, source):
        if of is None or (of is not ctx and of.environment_name == ctx.environment_name):
            continue
        if of.postgres is None:
            level = Level.UNKNOWN if of is ctx else Level.OK
            told.add(level, f"{no_database(of)}: its history is not compared")
            continue
        history, reason = await history_or_reason(ctx, of)
        if history is None:
            told.add(Level.UNKNOWN, reason)
            continue
        if of is ctx:
            target_history = history
        standings = compare(
            ground.head, history, changed=await drifted(ground.head, ground.head_texts, history)
        )
        _tell_history(told, ground, of.environment_name, history, standings, target_history, of is ctx)
        waiting = pending(standings)
        news.append(
            f"{len(waiting)} pending on {of.environment_name}: {names(waiting)}"
            if waiting
            else f"all applied on {of.environment_name}"
        )
    if told.level in (Level.OK, Level.WARN):
        warned = f"{told.headline(Level.WARN)}; " if told.level is Level.WARN else ""
        summary = (
            f"{warned}{count(len(ground.head.migrations), 'migration')} without conflict; {'; '.join(news)}"
        )
    else:
        summary = told.headline(told.level)
    shown = ctx.postgres.psql(SHOWN) if ctx.postgres is not None else ""
    return tell(
        told.level,
        summary,
        subject=f"{outgoing.source} → {outgoing.target}",
        evidence=[*told.evidence, *news, *unfetched(ground)],
        command=shown,
        at=outgoing.at,
    )


def _tell_branches(told: Told, ground: Ground) -> None:
    source, target = ground.outgoing.source, ground.outgoing.target
    for version, files in ground.head.duplicates.items():
        told.add(Level.FAIL, f"{version} twice on {source}: {' and '.join(one.path for one in files)}")
    if len(ground.head.widths) > 1:
        widths = " and ".join(map(str, ground.head.widths))
        told.add(Level.WARN, f"versions of {widths} digits: they sort as text, not as numbers")
    theirs, moved = ground.base.by_version, ground.edited
    for version, ours in ground.head.by_version.items():
        other = theirs.get(version)
        if other is None or version in moved or len(ours) > 1 or len(other) > 1:
            continue
        mine, yours = ours[0].path, other[0].path
        if mine != yours:
            told.add(Level.FAIL, f"{version} is {mine} on {source} and {yours} on {target}")
        elif ground.head_texts.get(mine) != ground.base_texts.get(yours) and mine not in ground.large:
            told.add(Level.WARN, f"{mine} was changed on {target}; {source} has it as it was")


def _tell_history(
    told: Told,
    ground: Ground,
    name: str,
    history: History,
    standings: Sequence[Standing],
    target: History | None,
    is_target: bool,
) -> None:
    if not history.there:
        told.add(Level.OK, f"{name}: there is no history of migrations; none counts as applied")
    for one in standings:
        match one.state:
            case State.OUT_OF_ORDER:
                told.add(
                    Level.FAIL,
                    f"{one.title} is out of order: {name} has {history.highest} applied, which comes later",
                )
            case State.MISSING if one.version in ground.base.by_version:
                if one.version not in ground.edited:
                    told.add(
                        Level.WARN,
                        f"{one.title} is applied on {name} and on {ground.outgoing.target} alone: "
                        f"{ground.outgoing.source} lacks it",
                    )
            case State.MISSING:
                told.add(
                    Level.FAIL, f"{one.title} is applied on {name}, and no branch of this release has it"
                )
            case State.DRIFTED if one.version not in ground.edited:
                # what only staging has run is for "migration-tested" to tell
                if is_target or target is None or one.version in target.applied:
                    told.add(Level.FAIL, f"{one.title} was applied on {name} with another content")
            case State.RENAMED if one.version not in ground.edited and one.applied is not None:
                known = one.applied.statements is not None
                told.add(
                    Level.WARN if known else Level.FAIL,
                    f"{one.version} was applied on {name} as {one.applied.name}; the file is {one.name}"
                    + ("; they say the same" if known else ""),
                )
            case _:
                pass


@check("migration-tested", title="Migrations tested on staging", good_for=GOOD_FOR)
async def migration_tested(ctx: CheckContext) -> Finding:
    """What the target's history lacks of the outgoing files is in the history of the environment that the
    code comes from, with the same statements where they are recorded.
    """
    ground = await ground_of(ctx)
    source = source_of(ctx)
    target = await history_of(ctx, ctx)
    waiting = pending(compare(ground.head, target))
    where, name = ctx.environment_name, source.environment_name
    if not waiting:
        return tell(
            Level.OK,
            f"nothing to test: {where} has all {count(len(ground.head.migrations), 'migration')} that go out",
            evidence=unfetched(ground),
            command=ctx.postgres.psql(SHOWN) if ctx.postgres else "",
        )
    tested = await history_of(ctx, source)
    wanted = {one.version for one in waiting}
    only = FileSet(sha=ground.head.sha, folder=ground.head.folder, migrations=waiting)
    changed = await drifted(only, ground.head_texts, tested)
    told = Told()
    for one in compare(only, tested, changed=changed):
        if one.version not in wanted:
            continue
        match one.state:
            case State.PENDING | State.OUT_OF_ORDER:
                told.add(Level.FAIL, f"{one.title} has not run on {name}")
            case State.DRIFTED:
                told.add(Level.FAIL, f"{one.title} ran on {name} with another content")
            case State.RENAMED if one.version not in changed:
                told.add(Level.FAIL, f"{one.version} ran on {name} as {one.applied and one.applied.name}")
            case State.DUPLICATE:
                told.add(Level.UNKNOWN, f"{one.version} has two files: which of them ran cannot be told")
            case _ if one.version not in changed:
                told.add(Level.OK, f"{one.title} ran on {name}; what it ran is not recorded")
            case _:
                told.add(Level.OK, f"{one.title} ran on {name} with the same statements")
    if told.level is Level.OK:
        each = "it" if len(waiting) == 1 else "every one"
        summary = f"{count(len(waiting), 'migration')} pending on {where}; {each} ran on {name}"
    else:
        summary = told.headline(told.level)
    return tell(
        told.level,
        summary,
        evidence=[*told.evidence, *unfetched(ground)],
        command=source.postgres.psql(SHOWN) if source.postgres else "",
        next=f"Deploy to {name} first." if told.level is Level.FAIL else "",
    )


@check("migrations-applied", title="Migrations applied", good_for=GOOD_FOR)
async def migrations_applied(ctx: CheckContext) -> Finding:
    """After a deployment: every migration of the environment's branch is in its history, nothing of those
    that are not is there all the same (failed half-way), and no invalid index was left behind.
    """
    ground = await ground_of(ctx)
    link, where = ctx.postgres, ctx.environment_name
    branch = ground.outgoing.target
    if link is None:
        raise no_database(ctx)
    if not ground.base.migrations:
        raise _none_there(ctx.config.project.migrations, branch)
    history = await history_of(ctx, ctx)
    waiting = pending(compare(ground.base, history))
    told = Told()
    for one in waiting:
        told.add(Level.FAIL, f"{one.version}_{one.name} is not applied on {where}")
    for begun in await half_way(link, waiting, ground.base_texts):
        for there in begun.found:
            told.add(Level.FAIL, f"{begun.file.version}_{begun.file.name} failed half-way: {there}")
    for index in await invalid_indexes(link):
        if index.building is False:
            told.add(Level.FAIL, str(index))
        elif index.building is None:
            told.add(Level.UNKNOWN, f"whether the index {index.index} is being built cannot be told")
    if told.level is Level.OK:
        summary = f"all {count(len(ground.base.migrations), 'migration')} of {branch} are applied on {where}"
    elif waiting:
        half = f", {told.lines[Level.FAIL][-1]}" if len(told.lines[Level.FAIL]) > len(waiting) else ""
        summary = f"{len(waiting)} not applied on {where}: {names(waiting)}{half}"
    else:
        summary = told.headline(told.level)
    return tell(
        told.level,
        summary,
        subject=f"{branch} at {ground.outgoing.base[:7]}",
        evidence=[*told.evidence, f"last applied: {history.highest or 'none'}", *unfetched(ground)],
        command=link.psql(SHOWN),
    )
