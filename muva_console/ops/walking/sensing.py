"""Sensing one item: its check, or the team's own command."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from msgspec import structs

from muva_console.ops.checks import CheckContext, find, run_together, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.pm2.spoken import home_word
from muva_console.ops.readings import Finding, Level
from muva_console.ops.runbooks.model import HOST, Step, StepKind
from muva_console.ops.text import LINE_CAP, sanitise, sanitise_line
from muva_console.ops.walking.looking import Look

COMMAND_TIMEOUT = 120.0
"""Seconds that a team's command may take when its step gives no time-out. Ours."""
HOST_LIMIT = 1024 * 1024
"""Bytes that such a command may print on a host. Ours; here it is `local.LIMIT`."""
TOLD = 20
"""Lines of a command's output that stand in the evidence."""


async def sense(
    step: Step, look: Look, progress: Callable[[str], None] = lambda line: None, *, again: bool = False
) -> tuple[Finding, ...]:
    """The findings of one step, at least one; never raises. `again` asks anew what was remembered."""
    try:
        if step.kind is StepKind.COMMAND:
            return await _command(step, look.target, progress)
        parameters = {**look.given, **step.parameters, "again": again}
        ctx = replace(look.of(step.of), parameters=parameters, progress=progress)
    except OpsError as error:
        finding = tell(Level.UNKNOWN, str(error), evidence=[error.means], next=error.next)
        return (structs.replace(finding, check=step.check or step.id, title=step.title),)
    found = await run_together((step.check,), ctx, step.timeout)
    return tuple(_with_expiry(one, step) for one in found)


def _with_expiry(finding: Finding, step: Step) -> Finding:
    """The step's measure of age in the place of the usual one; an end that the check itself knows (a window
    that closes) holds where it comes first.
    """
    if step.expires is None:
        return finding
    ends = finding.at + timedelta(seconds=step.expires)
    found = find(step.check) if step.check else None
    usual = finding.at + timedelta(seconds=found.good_for) if found is not None else None
    if finding.expires is not None and finding.expires != usual:
        ends = min(ends, finding.expires)
    return structs.replace(finding, expires=ends)


async def _command(step: Step, ctx: CheckContext, progress: Callable[[str], None]) -> tuple[Finding, ...]:
    """Run the team's command where the step says, and judge it by its exit status and what it prints."""
    began = time.perf_counter()
    places = ctx.environment.hosts if step.on == HOST else ("",)
    if not places:
        raise OpsError(f"{ctx.environment_name} has no hosts to run this on")
    findings = [await (_on_host if place else _here)(step, ctx, place, progress) for place in places]
    took = (time.perf_counter() - began) * 1000
    return tuple(
        _with_expiry(structs.replace(one, check=step.id, title=step.title, took_ms=took), step)
        for one in findings
    )


async def _here(step: Step, ctx: CheckContext, _: str, progress: Callable[[str], None]) -> Finding:
    from muva_console.ops.links.local import LIMIT, run_local
    from muva_console.ops.links.local_lines import clean_lines
    from muva_console.ops.release.build_bench import secret_variables

    outgoing = await ctx.outgoing()
    release = ctx.going_out()
    kept = release.folder / f"{step.id}.log" if release.folder is not None else None
    limit = step.timeout or COMMAND_TIMEOUT
    async with release.repository.worktree(outgoing.head) as folder:
        result = await run_local(
            step.run,
            cwd=folder,
            timeout=limit,
            on_line=progress,
            keep=kept,
            log=release.commands,
            without=secret_variables(ctx.config),
        )
    lines = clean_lines(result.output)
    if result.timed_out:  # as on a host: how it would have ended is not known
        summary = f"it did not end within {limit:g} s"
        return tell(Level.UNKNOWN, summary, evidence=_last(lines), command=step.run)
    if result.truncated:
        return _flooded(LIMIT, lines, step.run)
    return _judge(step, result.exit_status, lines, step.run)


async def _on_host(step: Step, ctx: CheckContext, host: str, progress: Callable[[str], None]) -> Finding:
    directory = ctx.environment.directory
    line = f"cd {home_word(directory)} && {{ {step.run}\n}}" if directory else step.run
    command = ctx.ssh_line(host, line)
    progress(f"on {host} …")
    try:
        result = await ctx.hosts[host].run(line, timeout=step.timeout or COMMAND_TIMEOUT, limit=HOST_LIMIT)
    except OpsError as error:
        unknown = tell(Level.UNKNOWN, str(error), evidence=[error.means], command=command, next=error.next)
        return structs.replace(unknown, subject=host)
    lines = sanitise(result.stdout + result.stderr).splitlines()
    if result.truncated:
        return structs.replace(_flooded(HOST_LIMIT, lines, command), subject=host)
    return structs.replace(_judge(step, result.exit_status, lines, command), subject=host)


def _flooded(limit: int, lines: list[str], command: str) -> Finding:
    """Of a command that printed too much: it was ended, so its exit status says nothing."""
    summary = f"it printed more than {limit // (1024 * 1024)} MiB, and was ended"
    return tell(Level.FAIL, summary, evidence=_last(lines), command=command)


def _judge(step: Step, status: int, lines: list[str], command: str) -> Finding:
    wanted = "" if step.exit == 0 else f", {step.exit} is expected"
    if status != step.exit:
        level, summary = Level.FAIL, f"exit status {status}{wanted}"
    elif step.output and not _prints(step.output, lines):
        level, summary = Level.FAIL, f"it does not print what is expected: {step.output}"
    else:
        first = next((line for line in reversed(lines) if line.strip()), "")
        level, summary = Level.OK, sanitise_line(first, cap=120) or f"exit status {status}"
    return tell(level, summary, evidence=_last(lines), command=command)


def _prints(pattern: str, lines: list[str]) -> bool:
    """Whether a line has it. Line by line, of bounded length: no expression is slow on those."""
    wanted = re.compile(pattern)
    return any(wanted.search(line[:LINE_CAP]) for line in lines)


def _last(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip()][-TOLD:]
