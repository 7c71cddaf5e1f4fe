"""The checks "error-patterns" and "new-errors": what the logs say of now and did not say before."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.hosts import has_hosts
from muva_console.ops.health.words import count
from muva_console.ops.logs.filter import LogFilter, parse_filter
from muva_console.ops.logs.patterns import Event, Pattern, patterns
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.process_findings import spell
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.log_ends import LogPart, Logs, reaches, read, started

NAMED = 5
"""Patterns named in the evidence."""
RISE = 3.0
"""How many times as frequent a known pattern must have become. Ours."""
RISE_LEAST = 3
"""Occurrences below which nothing is called a rise: one more of one is chance. Ours."""
FEW = 2
"""Patterns named in the summary."""


@check("error-patterns", title="Errors in the logs", applies=has_hosts)
async def error_patterns(ctx: CheckContext) -> tuple[Finding, ...]:
    """At most thresholds.errors error lines (0) within thresholds.error_window (30 m) in the logs of the
    environment's processes, a finding a host. What a step's `ignore` (regular expressions) matches is known
    to be harmless. An error whose time the log does not tell, and a log that was not read back far enough,
    leave it unknown.
    """
    ignored = read_ignored(ctx.parameters.get("ignore", ()))
    parts = await asyncio.gather(*(_of_host(ctx, host, ignored) for host in ctx.environment.hosts))
    return tuple(parts)


@check("new-errors", title="New errors since the restart", applies=has_hosts)
async def new_errors(ctx: CheckContext) -> tuple[Finding, ...]:
    """No error pattern occurs since the process was last started on purpose that did not occur before; a
    known one that has become 3 times as frequent is a warning. A finding a process and host. Where the log
    does not reach back before the start nothing can be compared.
    """
    ignored = read_ignored(ctx.parameters.get("ignore", ()))
    parts = await asyncio.gather(*(_new_on_host(ctx, host, ignored) for host in ctx.environment.hosts))
    return tuple(finding for part in parts for finding in part)


def read_ignored(given: Any) -> tuple[LogFilter, ...]:
    """Expressions for what is harmless. Raises OpsError: no list of texts, no expression, or one that could
    take for ever on some line.
    """
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise OpsError("expected a list of regular expressions", where="ignore")
    if len(texts) > 50:
        raise OpsError("more than 50 expressions", where="ignore")
    return tuple(parse_filter(f"/{text}/") for text in texts)


# --- errors within a window


async def _of_host(ctx: CheckContext, host: str, ignored: Sequence[LogFilter]) -> Finding:
    try:
        logs = await read(ctx, host)
    except OpsError as error:
        return _unread(error, host)
    window = ctx.environment.thresholds.error_window
    level, summary, evidence = judge(logs, window, ctx.environment.thresholds.errors, ignored)
    return tell(
        level,
        summary,
        subject=host,
        evidence=evidence,
        command=_command(ctx, host, logs),
        next="Read the log around the newest of them." if level is Level.FAIL else _advice(logs, level),
    )


def judge(
    logs: Logs, window: float, tolerated: int, ignored: Sequence[LogFilter] = ()
) -> tuple[Level, str, list[str]]:
    """Level, line and evidence of the errors of the last `window` seconds."""
    since = logs.now_ms - int(window * 1000)
    told = spell(window)
    parts = [part for part in logs.parts if not part.problem]
    evidence = [f"{part.process}: {part.path}: {part.problem}" for part in logs.parts if part.problem] + [
        f"{part.process}: {_range(part)}" for part in parts
    ]
    if not parts:
        return Level.UNKNOWN, "there is no log file to read", evidence
    within, undated, harmless = [], [], 0
    for part in parts:
        kept = [event for event in part.events if not _harmless(event, ignored)]
        harmless += len(part.events) - len(kept)
        within += [event for event in kept if event.at_ms is not None and event.at_ms >= since]
        if part.modified_ms >= since:  # what was last written to before the window holds nothing of it
            undated += [event for event in kept if event.at_ms is None]
    if harmless:
        evidence.append(f"{count(harmless, 'error line')} known to be harmless left out")
    lines = sum(part.lines for part in parts)
    if len(within) > tolerated:
        found = patterns(within)
        limit = f"; {tolerated} are tolerated" if tolerated else ""
        return (
            Level.FAIL,
            f"{count(len(within), 'error')} in the last {told}{limit}: {_few(found)}",
            [*_named(found), *evidence],
        )
    if len(within) + len(undated) > tolerated:
        found = patterns(undated)
        return (
            Level.UNKNOWN,
            f"{count(len(undated), 'error line')} without a time, so whether "
            f"{'it falls' if len(undated) == 1 else 'they fall'} into the last {told} is not known: "
            f"{_few(found)}",
            [*_named(found), *evidence],
        )
    short = [part for part in parts if not reaches(part, since)]
    if short:
        back = min(_age(part, logs.now_ms) for part in short)
        return (
            Level.UNKNOWN,
            f"no error in the end of the log that was read, which goes back {back} of {told}",
            evidence,
        )
    missing = [part for part in logs.parts if part.problem and part.problem != "not there"]
    if missing:
        return Level.UNKNOWN, f"{missing[0].path}: {missing[0].problem}", evidence
    few = f"{count(len(within), 'error')}" if within else "no error"
    also = f", {tolerated} are tolerated" if within else ""
    return Level.OK, f"{few} in the last {told} ({count(lines, 'line')} read{also})", evidence


def _age(part: LogPart, now_ms: int) -> str:
    if part.begins_ms is None:
        return f"{count(part.lines, 'line')} (without times), not the whole"
    return spell(max(0, now_ms - part.begins_ms) / 1000)


# --- errors that are new


async def _new_on_host(ctx: CheckContext, host: str, ignored: Sequence[LogFilter]) -> tuple[Finding, ...]:
    try:
        logs = await read(ctx, host, to_start=True)
    except OpsError as error:
        return (_unread(error, host),)
    window = ctx.environment.thresholds.error_window
    findings = []
    for name in dict.fromkeys(process.name for process in logs.processes):
        level, summary, evidence = judge_new(logs, name, window, ignored)
        findings.append(
            tell(
                level,
                summary,
                subject=f"{name} on {host}",
                evidence=evidence,
                command=_command(ctx, host, logs, name),
                next="Read the log since the restart." if level is Level.FAIL else _advice(logs, level),
            )
        )
    return tuple(findings)


def judge_new(
    logs: Logs, name: str, window: float, ignored: Sequence[LogFilter] = ()
) -> tuple[Level, str, list[str]]:
    """Level, line and evidence of what one process has logged since it was last started on purpose, against
    what was read of before: all of it for what is new, its last `window` seconds for what has risen.
    """
    began = started(logs.processes, name)
    if began is None:
        return Level.UNKNOWN, f"{name} does not run, so since when to look is not known", []
    parts = [part for part in logs.parts if part.process == name]
    readable = [part for part in parts if not part.problem]
    up = f"started {spell(max(0, logs.now_ms - began) / 1000)} ago"
    evidence = [f"{name} was {up}, at {_at(began)}"]
    evidence += [f"{part.path}: {part.problem}" if part.problem else _range(part) for part in parts]
    if not readable:
        return Level.UNKNOWN, "there is no log file to read", evidence
    since, before, undated = _sorted(readable, began, ignored)
    known = {event.template for event in before}
    fresh = [event for event in since if event.template not in known]
    if fresh or undated:
        why = _why_not(fresh, undated, readable, began)
        if why:
            found = patterns([*fresh, *undated])
            summary = f"{why}, so whether {_few(found)} is new is not known"
            return Level.UNKNOWN, summary, [*_named(found), *evidence]
        found = patterns(fresh)
        summary = f"{count(len(found), 'new error pattern')} since {name} was {up}: {_few(found)}"
        return Level.FAIL, summary, [*_named(found), *evidence]
    if any(not reaches(part, began) for part in readable):
        summary = "no new error in the end of the log that was read, which does not reach back to the start"
        return Level.UNKNOWN, summary, evidence
    unreadable = [part for part in parts if part.problem and part.problem != "not there"]
    if unreadable:
        return Level.UNKNOWN, f"{unreadable[0].path}: {unreadable[0].problem}", evidence
    earliest = min((part.begins_ms for part in readable if part.begins_ms is not None), default=began)
    risen = _risen(since, before, began, logs.now_ms, min(window * 1000, began - earliest))
    if risen:
        return Level.WARN, f"known errors come more often: {', '.join(risen[:FEW])}", [*risen, *evidence]
    if since:
        return Level.OK, f"no new error since {name} was {up}; {count(len(since), 'known one')}", evidence
    lines = sum(part.lines for part in readable)
    return Level.OK, f"no error since {name} was {up} ({count(lines, 'line')} read)", evidence


def _sorted(
    parts: Sequence[LogPart], began: int, ignored: Sequence[LogFilter]
) -> tuple[list[Event], list[Event], list[Event]]:
    """The errors since `began`, those of before, and those of which neither is known."""
    since: list[Event] = []
    before: list[Event] = []
    undated: list[Event] = []
    for part in parts:
        for event in part.events:
            if _harmless(event, ignored):
                continue
            if event.at_ms is not None:
                (since if event.at_ms >= began else before).append(event)
            else:  # a file that was last written to before the start holds nothing of after it
                (undated if part.modified_ms >= began else before).append(event)
    return since, before, undated


def _why_not(fresh: Sequence[Event], undated: Sequence[Event], parts: Sequence[LogPart], began: int) -> str:
    """Why it is not certain that what seems new is new; empty when it is."""
    doubtful = {event.template for event in undated}
    certain = [event for event in fresh if event.template not in doubtful]
    if not certain and undated:
        return "the log carries no times"
    if any(part.events and not part.timed and not part.whole for part in parts):
        return "the log carries no times, and its end alone was read"
    # a file without times is taken for older than the start: nothing says that it is not
    if not any(part.begins_ms < began if part.begins_ms is not None else part.lines for part in parts):
        return "the log does not reach back before the start"
    return ""


def _risen(
    since: Sequence[Event], before: Sequence[Event], began: int, now: int, covered: float
) -> list[str]:
    """The patterns that are at least `RISE` times as frequent as in the `covered` ms before, a line each."""
    after = Counter(event.template for event in since)
    earlier = Counter(e.template for e in before if e.at_ms is not None and e.at_ms >= began - covered)
    risen = []
    for template, times in after.most_common():
        usual = earlier[template]
        if times < RISE_LEAST or not usual or covered <= 0:
            continue
        factor = (times / max(1, now - began)) / (usual / covered)
        if factor >= RISE:
            span = spell(covered / 1000)
            risen.append(
                f"{template}: {times} × since, {usual} × in the {span} before ({factor:.0f} × as often)"
            )
    return risen


# --- words


def _unread(error: OpsError, host: str) -> Finding:
    return tell(
        Level.UNKNOWN,
        f"the logs cannot be read: {error.what}",
        subject=host,
        evidence=error.lines(),
        next=error.next,
    )


def _harmless(event: Event, ignored: Sequence[LogFilter]) -> bool:
    return any(one.matches(event.line) for one in ignored)


def _few(found: Sequence[Pattern]) -> str:
    named = ", ".join(f"{one.count} × {one.template[:90]}" for one in found[:FEW])
    more = len(found) - FEW
    return f"{named} and {count(more, 'more pattern')}" if more > 0 else named


def _named(found: Sequence[Pattern]) -> list[str]:
    lines = []
    for one in found[:NAMED]:
        when = ""
        if one.first_ms is not None and one.last_ms is not None:
            when = f", {_at(one.first_ms)}"
            if one.last_ms != one.first_ms:
                when += f" to {_at(one.last_ms)}"
        lines.append(f"{one.count} × {one.template}{when}; the newest: {one.example[:200]}")
    if len(found) > NAMED:
        lines.append(f"and {count(len(found) - NAMED, 'more pattern')}")
    return lines


def _range(part: LogPart) -> str:
    if part.empty:
        return f"{part.path} is empty"
    end = "" if part.whole else ", its end only"
    begins = f", from {_at(part.begins_ms)}" if part.begins_ms is not None else ", without times"
    return f"{count(part.lines, 'line')} of {part.path}{end}{begins}"


def _at(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _advice(logs: Logs, level: Level) -> str:
    if level is Level.UNKNOWN and any(part.events and not part.timed for part in logs.parts):
        return "Let PM2 write times: pm2 restart NAME --time, or log_date_format in the ecosystem file."
    return ""


def _command(ctx: CheckContext, host: str, logs: Logs, name: str = "") -> str:
    names = [name] if name else list(dict.fromkeys(process.name for process in logs.processes))
    word = names[0] if len(names) == 1 else "/" + "|".join(map(re.escape, names)) + "/"
    return ctx.ssh_line(host, pm2_line(ctx.config.hosts[host], "logs", word, "--nostream", "--lines", "200"))
