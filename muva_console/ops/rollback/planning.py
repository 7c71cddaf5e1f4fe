"""What a rollback will run where, what may go wrong, and the parameters of its job."""

from __future__ import annotations

from shlex import quote

from muva_console.config.redact import redact
from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.deed import here
from muva_console.ops.deploys.lock import mkdir_line
from muva_console.ops.errors import OpsError
from muva_console.ops.operations import Plan, PlannedCommand
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.rollback.begun import Underway
from muva_console.ops.rollback.freeze import under_way
from muva_console.ops.rollback.release import GoingBack

HOLD = 3600
"""Seconds for which a host that is built waits for the others, and for the database. Ours."""
_SPARE = 20000
"""Added to the application's port: where a port to try on is looked for. Ours."""


async def commands_of(ctx: CheckContext, way: GoingBack, restore: Plan | None) -> list[PlannedCommand]:
    """As a person would type them, in the order in which they are run. Raises OpsError."""
    settings, environment = ctx.environment.rollback, ctx.environment
    directory, short = environment.directory or "", way.good.commit[:7]
    runs = await under_way(ctx)
    commands = [
        here(f"gh run cancel {run.id}", "it is queued, and would deploy over this") for run in runs.queued
    ]
    commands += [
        here(f"gh run view {run.id}", "rejected or cancelled: it waits for an approval")
        for run in runs.waiting
    ]
    commands += [here(f"gh run watch {run.id}", "waited for: it may be in a migration") for run in runs.going]
    bring = "git clone ." if settings.way == "symlink" else "git worktree add --detach"
    build = settings.build or ctx.config.project.build
    for host in environment.hosts:
        commands += [
            PlannedCommand(host, mkdir_line(ctx.environment_name), "the lock; it stays until a fix is out"),
            PlannedCommand(
                host,
                f"cd {quote(directory)} && {bring} BESIDE && git -C BESIDE checkout {short}",
                "as a job of its own there",
            ),
            PlannedCommand(host, f"cd BESIDE && {build}", "beside: what serves is not touched"),
        ]
        if settings.start:
            commands.append(
                PlannedCommand(host, f"PORT=SPARE {settings.start}", "tried beside, and ended again")
            )
        if restore is not None and host == environment.hosts[0]:
            commands += restore.commands
        flip = (
            f"ln -s BESIDE next && mv -T next {quote(directory)}"
            if settings.way == "symlink"
            else f"cd {quote(directory)} && mv what was built into it && git reset --hard {short}"
        )
        restart, _, save = pm2_lines(ctx, host)
        commands += [
            PlannedCommand(host, flip),
            PlannedCommand(host, restart),
            PlannedCommand(
                host,
                f"curl http://127.0.0.1:{environment.port}{environment.health}",
                f"{settings.passes} good answers in a row, else what serves now is put back",
            ),
            PlannedCommand(host, save),
        ]
    return commands


def risks_of(ctx: CheckContext, way: GoingBack, despite: str) -> list[str]:
    """A line each; `despite`: why the schema's gate is passed over, or empty."""
    settings = ctx.environment.rollback
    risks = [f"taken back: {line}" for line in way.commits]
    if way.gate.applied:
        risks.append(f"stays applied, for the schema does not go back: {', '.join(way.gate.applied)}")
    if despite:
        risks += [f"the old code may not live with it: {line}" for line in way.gate.against]
        risks.append(f"passed over, because: {despite}")
    risks.append("requests fail for the seconds that the restart takes")
    risks += [f"changes that nobody committed on {host} are set aside (local.patch)" for host in way.dirty]
    if not settings.start:
        risks.append("it is not tried beside first: [environments.…rollback] start is not configured")
    if len(set(way.serving.values())) > 1:
        risks.append("the hosts serve different releases now")
    risks.append(
        f"the lock stays: {ctx.environment.branch} still has what is taken back, and would bring it again"
    )
    return risks


def parameters_of(ctx: CheckContext, way: GoingBack, host: str, job: Underway) -> dict[str, str]:
    """Those that host.sh begins with. Raises OpsError where it could not be verified there."""
    environment, settings = ctx.environment, ctx.environment.rollback
    if environment.port is None:
        raise OpsError(
            f"where {ctx.environment_name} listens on its hosts is not known: it could not be verified there",
            next=f"Give [environments.{ctx.environment_name}] a port.",
        )
    restart, pids, save = pm2_lines(ctx, host)
    hold = bool(job.restore) or len(environment.hosts) > 1
    return {
        "id": job.id,
        "reason": redact(job.reason),
        "restore_file": job.restore,
        "commit": way.good.commit,
        "old": way.serving[host],
        "branch": way.branch or environment.branch,
        "directory": environment.directory or "",
        "way": settings.way,
        "env_file": environment.env_file or "",
        "build": settings.build or ctx.config.project.build,
        "build_timeout": str(int(settings.build_timeout)),
        "start": settings.start or "",
        "spare": str((environment.port + _SPARE - 1024) % 64000 + 1024),
        "port": str(environment.port),
        "health": environment.health,
        "restart": restart,
        "pids": pids,
        "save": save,
        "passes": str(settings.passes),
        "every": "1",
        "patience": str(int(settings.patience)),
        "hold": str(HOLD) if hold else "",
    }


def pm2_lines(ctx: CheckContext, host: str) -> tuple[str, str, str]:
    """Restarting, the processes' numbers, and saving, as lines of the host's shell."""
    config, names = ctx.config.hosts[host], ctx.environment.processes
    if not names:
        raise OpsError(
            f"which processes run {ctx.environment_name} is not known",
            next=f"Give [environments.{ctx.environment_name}] processes.",
        )
    restart = " && ".join(pm2_line(config, "restart", name) for name in names)
    return restart, "; ".join(pm2_line(config, "pid", name) for name in names), pm2_line(config, "save")
