"""The playbook's messages to the team, filled with what is known. What is not known says so.

Source: the playbook, "Stakeholder Notification" (deployed), "Post-Rollback Checklist" (rolled back) and
"Pre-Deployment Checklist" (the team is notified of a pending production deployment; no text is given there).
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.health.report import LIGHT, HealthReport, read_health
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.readings import Level, Verdict
from muva_console.ops.text import sanitise_line

PENDING, DEPLOYED, ROLLED_BACK = "pending", "deployed", "rolled-back"
MESSAGES = (PENDING, DEPLOYED, ROLLED_BACK)
"""What the parameter ``message`` of a step may be."""
UNKNOWN = "unknown"
SUBJECTS = 6
"""Changes that are named, the rest is counted. Ours: a message is read on a telephone."""
_WHOLE = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"v?\d[\w.+-]{0,40}")
_HEADS = {
    Verdict.GO: "✅ {0} deployed successfully",
    Verdict.NO_GO: "❌ {0} deployed, and it is not healthy",
    Verdict.CANNOT_TELL: "⚠️ {0} deployed; whether it is healthy is not known",
}


class Facts(Struct, frozen=True, kw_only=True):
    """What a message says; a text that is empty is not known."""

    environment: str
    version: str = ""
    commit: str = ""
    changes: tuple[str, ...] | None = None
    """Subjects of commits, newest first; None when that is not known."""
    migrations: int | None = None
    verdict: Verdict = Verdict.CANNOT_TELL
    trouble: str = ""
    """What is not well, when the verdict is not GO."""
    reason: str = ""


class _Package(Struct):
    version: str = ""


def render(message: str, facts: Facts) -> str:
    """A message's text. Raises OpsError for one that is not known."""
    name = facts.environment.capitalize()
    version = f"v{facts.version.removeprefix('v')}" if facts.version else UNKNOWN
    commit = facts.commit[:7] or UNKNOWN
    if message == PENDING:
        migrations = UNKNOWN if facts.migrations is None else str(facts.migrations or "none")
        lines = [
            f"🔔 {name} deployment pending",
            f"Version: {version}",
            f"Commit: {commit}",
            f"Changes: {_changes(facts)}",
            f"Migrations: {migrations}",
        ]
    elif message == DEPLOYED:
        lines = [
            _HEADS[facts.verdict].format(name),
            f"Version: {version}",
            f"Commit: {commit}",
            f"Changes: {_changes(facts)}",
            f"Health: {_health(facts, 'All checks passing')}",
        ]
    elif message == ROLLED_BACK:
        lines = [
            f"⚠️ {name} rollback executed",
            f"Reason: {facts.reason or UNKNOWN}",
            f"Rolled back to: {f'commit {commit}' if facts.commit else UNKNOWN}",
            f"Status: {_health(facts, 'System stable')}",
        ]
    else:
        raise _no_such(message)
    return "\n".join(redact(sanitise_line(line, cap=700)) for line in lines)


async def message_for(message: str, ctx: CheckContext) -> str:
    """A message about the context's environment, filled by looking. Raises OpsError for an unknown one."""
    return render(message, await facts_for(message, ctx))


async def facts_for(message: str, ctx: CheckContext) -> Facts:
    """What a message about the context's environment says. Raises OpsError for an unknown one."""
    if message not in MESSAGES:
        raise _no_such(message)
    return await (_before(ctx) if message == PENDING else _after(ctx, changes=message == DEPLOYED))


def _no_such(message: str) -> OpsError:
    return OpsError(
        f'there is no message "{sanitise_line(message, cap=60)}"', next=f"One of: {', '.join(MESSAGES)}."
    )


async def _before(ctx: CheckContext) -> Facts:
    """What is going out."""
    outgoing = await _outgoing(ctx)
    if outgoing is None or not outgoing.fetched:
        return Facts(environment=ctx.environment_name)
    folder = ctx.config.project.migrations.rstrip("/") + "/"
    return Facts(
        environment=ctx.environment_name,
        version=await _version(ctx, outgoing.head),
        commit=outgoing.head,
        changes=tuple(commit.subject for commit in outgoing.commits if not commit.merge),
        migrations=sum(file.status == "A" and file.path.startswith(folder) for file in outgoing.files),
    )


async def _after(ctx: CheckContext, *, changes: bool) -> Facts:
    """What the environment serves now, and how it is."""
    report = await read_health(ctx, LIGHT)
    outgoing = await _outgoing(ctx)
    commit = report.commit.lower()
    if outgoing is not None and commit and outgoing.base.startswith(commit):
        commit = outgoing.base
    version = await _version(ctx, commit) if _WHOLE.fullmatch(commit) else ""
    reason = ctx.parameters.get("reason")
    return Facts(
        environment=ctx.environment_name,
        version=version or report.version,
        commit=commit,
        changes=await _brought(ctx, commit) if changes and _WHOLE.fullmatch(commit) else None,
        verdict=report.verdict,
        trouble=_trouble(report),
        reason=reason if isinstance(reason, str) else "",
    )


async def _outgoing(ctx: CheckContext) -> Outgoing | None:
    with suppress(OpsError):
        return await ctx.outgoing()
    return None


async def _version(ctx: CheckContext, sha: str) -> str:
    """What package.json of a commit says; empty when that cannot be read."""
    with suppress(OpsError, msgspec.DecodeError, ValueError):
        data = await ctx.going_out().repository.read(sha, "package.json")
        version = msgspec.json.decode(data or b"{}", type=_Package).version
        return version if _VERSION.fullmatch(version) else ""
    return ""


async def _brought(ctx: CheckContext, commit: str) -> tuple[str, ...] | None:
    """The subjects of what the pull request that made a commit brought; None when no such is known."""
    with suppress(OpsError):
        link = ctx.going_out().github
        if link is None:
            return None
        for pull in await link.pulls_of(commit):
            if pull.merged and pull.merge_commit == commit:
                commits = await link.commits_of(pull.number)
                return tuple(one.subject for one in reversed(commits) if len(one.parents) < 2)
    return None


def _changes(facts: Facts) -> str:
    if facts.changes is None:
        return UNKNOWN
    if not facts.changes:
        return "none"
    named = "; ".join(sanitise_line(subject, cap=90) for subject in facts.changes[:SUBJECTS])
    more = len(facts.changes) - SUBJECTS
    return named + (f"; and {more} more" if more > 0 else "")


def _health(facts: Facts, well: str) -> str:
    if facts.verdict is Verdict.GO:
        return well
    word = "NOT healthy" if facts.verdict is Verdict.NO_GO else UNKNOWN
    return f"{word}: {facts.trouble}" if facts.trouble else word


def _trouble(report: HealthReport) -> str:
    """The failures, or where there are none what could not be told; the first three."""
    level = Level.FAIL if report.verdict is Verdict.NO_GO else Level.UNKNOWN
    found = [f for f in report.findings if f.level is level] if report.verdict is not Verdict.GO else []
    told = "; ".join(f"{f.title or f.check}: {sanitise_line(f.summary, cap=120)}" for f in found[:3])
    return told + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
