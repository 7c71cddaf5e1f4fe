"""The checks of a rollback: what there is to go back to, the schema's gate, what is under way, its end."""

from __future__ import annotations

from datetime import timedelta

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import Refused
from muva_console.ops.health.document import read_document
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.release.records import DeploymentKind, read_deployments
from muva_console.ops.release.served import same
from muva_console.ops.rollback.begun import open_rollback
from muva_console.ops.rollback.freeze import under_way
from muva_console.ops.rollback.release import GoingBack, going_back
from muva_console.ops.rollback.schema import Verdict

GOOD_FOR = 60.0
"""Seconds. Ours."""
SECONDS = 60.0
LATELY = timedelta(hours=12)
"""How long a rollback is the last word of a runbook. Ours: a shift."""


async def _way(ctx: CheckContext) -> GoingBack:
    to = str(ctx.parameters.get("to", "") or "")
    return await ctx.shared(f"going back {to}", lambda: going_back(ctx, to))


@check(
    "rollback-candidate", title="A good release to go back to", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS
)
async def rollback_candidate(ctx: CheckContext) -> Finding:
    """The journal has a release that was good, was not taken back, and is another than what serves."""
    command = f"muva rollback --env {ctx.environment_name} --plan"
    if (back := await _back(ctx)) is not None:
        return back
    try:
        way = await _way(ctx)
    except Refused as error:
        return tell(Level.FAIL, error.what, evidence=[error.means], command=command, next=error.next)
    good = way.good
    version = f" (v{good.version})" if good.version else ""
    when = f", of {good.finished:%Y-%m-%d %H:%M} UTC" if good.finished is not None else ""
    evidence = [f"{host} serves {commit}" for host, commit in way.serving.items()]
    evidence += [
        f"recorded by {good.by}, entry {good.entry}",
        *(f"goes back: {line}" for line in way.commits),
    ]
    return tell(Level.OK, f"{good.commit[:7]}{version}{when}", evidence=evidence, command=command)


@check(
    "rollback-schema",
    title="The schema lets the old code run",
    good_for=GOOD_FOR,
    timeout=lambda ctx: SECONDS,
)
async def rollback_schema(ctx: CheckContext) -> Finding:
    """What was applied since the good release only adds; what takes away or makes stricter fails, and what
    cannot be told is unknown.
    """
    command = f"muva migrations status --env {ctx.environment_name}"
    if (back := await _back(ctx)) is not None:
        return back
    gate = (await _way(ctx)).gate
    evidence = [f"applied since: {name}" for name in gate.applied] + list(gate.against)
    if gate.verdict is Verdict.SAME:
        return tell(Level.OK, "nothing was applied since", evidence=evidence, command=command)
    if gate.verdict is Verdict.ADDED:
        told = f"{len(gate.applied)} applied since, and all of it only adds: code goes back alone"
        return tell(Level.OK, told, evidence=evidence, command=command)
    if gate.verdict is Verdict.UNKNOWN:
        return tell(Level.UNKNOWN, gate.against[0], evidence=evidence, command=command)
    return tell(
        Level.FAIL,
        f"the old code may not live with it: {gate.against[0]}",
        evidence=evidence,
        command=command,
        next="Undo the migration, restore the database, or pass this over and say why it is harmless.",
    )


@check("rollback-frozen", title="No deployment is under way", good_for=30.0, timeout=lambda ctx: SECONDS)
async def rollback_frozen(ctx: CheckContext) -> Finding:
    """GitHub has no run that would deploy over the rollback. Those that are queued or wait for an approval
    are called off by it, one that has begun is waited for.
    """
    found = await under_way(ctx)
    command = f"gh run list --branch {ctx.environment.branch}"
    if ctx.going_out().github is None:
        return tell(Level.UNKNOWN, "no GitHub is configured", command=command, unconfigured=True)
    if not found.any:
        return tell(Level.OK, "no run of its branch is under way", command=command)
    runs = [*found.going, *found.waiting, *found.queued]
    evidence = [f"run {run.id}: {run.workflow}, {run.status}" for run in runs]
    told = f"run {', '.join(str(run.id) for run in runs)} is under way"
    return tell(
        Level.WARN,
        told,
        evidence=evidence,
        command=command,
        next="The rollback waits for what has begun, and calls off the rest.",
    )


@check("rolled-back", title="Rolled back", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def rolled_back(ctx: CheckContext) -> Finding:
    """The last that was deployed is a rollback that went well, and what it went back to serves."""
    command = f"muva rollback --env {ctx.environment_name} --reason TEXT"
    found = await open_rollback(ctx)
    if found is not None:
        told = f"a rollback to {found.commit[:7]} is at {', '.join(found.at)}"
        return tell(Level.UNKNOWN, told, command=command, pending=True)
    return await _back(ctx) or tell(Level.UNKNOWN, "not rolled back", command=command, pending=True)


async def _back(ctx: CheckContext) -> Finding | None:
    """That it was rolled back lately, and serves what it went back to; None where not."""
    told = await read_deployments(ctx.going_out().journal, ctx.environment_name)
    last = told[-1] if told else None
    if last is None or last.kind is not DeploymentKind.ROLLBACK or not last.good or last.finished is None:
        return None
    if utc_now() - last.finished > LATELY:
        return None
    document = read_document((await ctx.health()).json)
    if document is None or (document.commit and not same(document.commit, last.commit)):
        return None
    return tell(
        Level.OK,
        f"rolled back to {last.commit[:7]} at {last.finished:%H:%M} UTC by {last.by}",
        evidence=[f"taken back: {last.rolls_back}", f"entry {last.entry}: {last.error}"],
        command=f"muva journal --env {ctx.environment_name} --kind deployment",
    )
