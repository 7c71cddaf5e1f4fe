"""After a deployment: the processes since the restart, the response time, the users' flows.

The check "commit-served" stands in `commit.py`.
"""

from __future__ import annotations

import asyncio
import html
import re
import statistics
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec import structs

from muva_console.config.release import Flow
from muva_console.config.units import parse_duration
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.api import KEPT_OUT, has_url, seen
from muva_console.ops.health.hosts import cannot_be_asked, has_hosts
from muva_console.ops.health.words import phases, spell_ms
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.answers import HttpAnswer
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.process_findings import judge, spell
from muva_console.ops.processes import Pm2Down
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.text import sanitise

STABLE_FOR = 30.0
"""Seconds that a process must have run. Ours: ten of the playbook application's starts."""
PROBES = 5
"""Requests for the response time: a few, one after the other, so that they are no load. Ours."""
BUDGET = 15.0
"""Seconds for all of them. Ours."""
BODY = 1024 * 1024
"""Bytes of a page in which a text is looked for."""
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)


# --- the processes


@check("process-stable", title="Processes since the restart", applies=has_hosts)
async def process_stable(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every process that the environment names is online on every host, has run for `stable_for` (a step's
    parameter; 30 s), was not restarted since without being asked, and is not near its memory limit. One that
    is merely young is unknown until it has run for long enough.
    """
    needed = read_duration(ctx.parameters.get("stable_for", STABLE_FOR), "stable_for")
    parts = await asyncio.gather(*(_of_host(ctx, host, needed) for host in ctx.environment.hosts))
    return tuple(finding for part in parts for finding in part)


async def _of_host(ctx: CheckContext, host: str, needed: float) -> tuple[Finding, ...]:
    command = ctx.ssh_line(host, pm2_line(ctx.config.hosts[host], "ls"))
    try:
        listed = await ctx.processes(host)
    except Pm2Down as error:
        evidence = error.lines()[1:]
        return (
            tell(Level.FAIL, error.what, subject=host, evidence=evidence, command=command, next=error.next),
        )
    except OpsError as error:
        return (cannot_be_asked(error, host, command),)
    return judge_stable(listed, ctx, needed, command)


def judge_stable(listed: ProcessList, ctx: CheckContext, needed: float, command: str) -> tuple[Finding, ...]:
    """A finding for each expected process of one host: as the check "processes" has it, but stricter."""
    environment = ctx.environment
    names = environment.processes or tuple(dict.fromkeys(p.name for p in listed.processes))
    findings = []
    for name in names or ("",):
        instances = [process for process in listed.processes if process.name == name]
        expected = (name,) if name else ()
        (usual,) = judge(listed, expected, environment.thresholds, utc_now(), command=command)
        findings.append(_stricter(usual, listed, instances, needed))
    return tuple(findings)


def _stricter(usual: Finding, listed: ProcessList, instances: Sequence[Process], needed: float) -> Finding:
    if usual.level is Level.FAIL or not instances:
        return usual
    name = instances[0].name
    crashed = sum(process.restarts_in_window or 0 for process in instances)
    if crashed:
        # a run that nobody asked for after one that somebody did: what was deployed does not hold
        return structs.replace(usual, level=Level.FAIL)
    if any(process.status != "online" for process in instances):
        return structs.replace(usual, level=Level.UNKNOWN) if usual.level is Level.WARN else usual
    ages = [listed.uptime(process) for process in instances]
    youngest = min((age for age in ages if age is not None), default=None)
    if youngest is None or None in ages:
        return structs.replace(usual, level=Level.UNKNOWN, summary=f"since when {name} runs is not told")
    if usual.level is Level.OK and youngest < needed:
        left = max(1.0, needed - youngest)
        return structs.replace(
            usual,
            level=Level.UNKNOWN,
            summary=f"{name} is up for {spell(youngest)} only, look again in {spell(left + 0.999)}",
            expires=listed.at + timedelta(seconds=left),
        )
    if usual.level is Level.OK:
        counted = f" ({len(instances)} instances)" if len(instances) > 1 else ""
        asked = "no restart that nobody asked for"
        return structs.replace(usual, summary=f"{name} is up for {spell(youngest)}{counted}, {asked}")
    return usual


def read_duration(given: Any, key: str) -> float:
    """Seconds of a step's parameter: a text as in muva.toml, or a number. Raises OpsError."""
    if isinstance(given, str):
        try:
            return parse_duration(given)
        except ValueError as error:
            raise OpsError(str(error), where=key) from None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 86400:
        raise OpsError('expected a duration such as "30s"', where=key)
    return float(given)


# --- the response time


@check("response-time", title="Response time", applies=has_url)
async def response_time(ctx: CheckContext) -> Finding:
    """The slowest of 5 answers of the health endpoint, one after the other, takes less than
    thresholds.response (playbook: 5 s). An answer that refuses us or reports trouble tells nothing of how
    long a good one takes.
    """
    url = ctx.url(ctx.environment.health)
    limit_ms = ctx.environment.thresholds.response * 1000

    def settled(answers: list[HttpAnswer]) -> bool:
        return answers[-1].fault is not None or answers[-1].timing.total >= limit_ms

    timeout = min(BUDGET, max(ctx.config.health.timeout, limit_ms / 1000 + 1))
    answers = await ctx.web.sample(url, PROBES, timeout=timeout, concurrency=1, budget=BUDGET, enough=settled)
    level, summary = judge_times(answers, limit_ms)
    slowest = max(answers, key=lambda answer: answer.timing.total, default=None)
    evidence = [] if slowest is None else [seen(slowest), phases(slowest)]
    times = ", ".join(spell_ms(answer.timing.total) for answer in answers)
    one = curl_line(url).replace("-sS", "-sS -o /dev/null -w '%{http_code} %{time_total}\\n'", 1)
    return tell(
        level,
        summary,
        subject=url,
        evidence=[*evidence, f"in order: {times}"],
        command=f"for i in $(seq {PROBES}); do {one}; done",
        next="Compare with the baseline; a deployment that made it slow is rolled back."
        if level is Level.FAIL
        else "",
    )


def judge_times(answers: Sequence[HttpAnswer], limit_ms: float) -> tuple[Level, str]:
    """Level and line of a few answers: the worst of them counts."""
    if not answers:
        return Level.UNKNOWN, "nothing was asked"
    limit = f"the limit is {spell_ms(limit_ms)}"
    silent = next((answer for answer in answers if answer.fault is not None), None)
    if silent is not None:
        level = Level.UNKNOWN if silent.own_side else Level.FAIL
        return level, f"no answer: {silent.error}; {limit}"
    times = [answer.timing.total for answer in answers]
    worst = max(times)
    median = statistics.median(times)
    told = f"median {spell_ms(median)}, slowest {spell_ms(worst)} of {len(times)}"
    if worst >= limit_ms:
        return Level.FAIL, f"{told}; {limit}"
    refused = next((a for a in answers if a.status in KEPT_OUT or (a.status or 0) >= 300), None)
    if refused is not None:
        return (
            Level.UNKNOWN,
            f"answers {refused.status} in {spell_ms(worst)}, which says nothing of a good one",
        )
    if len(answers) < PROBES:
        return Level.UNKNOWN, f"{told}; {PROBES} were to be asked"
    return Level.OK, f"{told}; {limit}"


# --- the flows


@check("user-flows", title="User flows")
async def user_flows(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every [environments.X.flows] answers with an expected status within the response limit, and holds its
    text; a finding each, asked side by side. None configured leaves it to a person.
    """
    flows = ctx.environment.flows
    if not flows:
        return (
            tell(
                Level.UNKNOWN,
                "no flow is configured",
                next=f"Give [environments.{ctx.environment_name}.flows.NAME] a path and what it contains, "
                "or try them by hand.",
                unconfigured=True,
            ),
        )
    ctx.url("/")  # says what is missing where there is no address
    return tuple(await asyncio.gather(*(_flow(ctx, name, flow) for name, flow in flows.items())))


async def _flow(ctx: CheckContext, name: str, flow: Flow) -> Finding:
    url = ctx.url(flow.path)
    answer = await ctx.web.get(url, timeout=ctx.config.health.timeout, body_limit=BODY)
    level, summary = judge_flow(answer, flow, ctx.environment.thresholds.response * 1000)
    evidence = [seen(answer), phases(answer)]
    if level is not Level.OK and answer.answered:
        evidence.append(f"came: {came(answer)}")
    return tell(
        level,
        summary,
        subject=name,
        evidence=evidence,
        command=curl_line(url),
        next="Try it by hand, and look at the log of that moment." if level is Level.FAIL else "",
        at=answer.at,
    )


def judge_flow(answer: HttpAnswer, flow: Flow, limit_ms: float) -> tuple[Level, str]:
    """Level and line of one flow's answer."""
    total = spell_ms(answer.timing.total)
    expected = " or ".join(map(str, flow.expect))
    if answer.fault is not None:
        return Level.UNKNOWN if answer.own_side else Level.FAIL, f"no answer: {answer.error}"
    if answer.status not in flow.expect:
        what = f"redirects to {answer.location}" if answer.location else came(answer)
        level = Level.UNKNOWN if answer.status in KEPT_OUT else Level.FAIL
        return level, f"answers {answer.status} in {total}, {expected} is expected: {what}"
    if flow.contains and sanitise(flow.contains) not in answer.body:
        if answer.body_truncated:
            return (
                Level.UNKNOWN,
                f"{_quoted(flow.contains)} is not in the first {BODY // 1024} KiB of a longer page",
            )
        return Level.FAIL, f"answers {answer.status}, but without {_quoted(flow.contains)}: {came(answer)}"
    if answer.timing.total >= limit_ms:
        return Level.FAIL, f"takes {total}; the limit is {spell_ms(limit_ms)}"
    held = f", with {_quoted(flow.contains)}" if flow.contains else ""
    return Level.OK, f"answers {answer.status} in {total}{held}"


def came(answer: HttpAnswer) -> str:
    """What a page is, in a few words: its title, or how it begins."""
    title = _TITLE.search(answer.body[:65536])
    if title is not None:
        return f'a page "{" ".join(sanitise(html.unescape(title[1])).split())[:120]}"'
    begins = " ".join(answer.body[:400].split())[:120]
    return _quoted(begins) if begins else "nothing"


def _quoted(text: str) -> str:
    """A text in marks that it does not have itself, where it can be."""
    mark = "'" if '"' in text and "'" not in text else '"'
    return f"{mark}{text}{mark}"
