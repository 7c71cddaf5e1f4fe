"""The check "staging-validated": where the code comes from is healthy, and serves what goes out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.api import judge, seen
from muva_console.ops.health.document import read_document
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.answers import HttpAnswer
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.readings import Finding, Level, worst
from muva_console.ops.release.served import apart, listed, same, short

PROBES = 20
"""Requests. Ours: below about 20 a failure in twenty cannot be told from none."""
CONCURRENCY = 5
"""Requests at a time: as the performance check has it."""
BUDGET = 15.0
"""Seconds for all requests. Ours."""
_TOOK = re.compile(r" in [\d.]+ m?s\b")


@check("staging-validated", title="Staging validated")
async def staging_validated(ctx: CheckContext) -> Finding:
    """The environment that the code comes from answers 20 of 20 requests of its health endpoint healthily,
    and serves the commit that is going out. Some failures up to thresholds.error_rate are a warning; a
    document that names no commit leaves it unknown.
    """
    release = ctx.going_out()
    source = release.source
    if source is None:
        return tell(
            Level.UNKNOWN,
            f"no environment is configured for {release.source_branch}, where the code comes from",
            next=f'Give the environment that tries it out a branch = "{release.source_branch}".',
        )
    url = source.url(source.environment.health)
    timeout = min(source.config.health.timeout, BUDGET)
    answers = await source.web.sample(url, PROBES, timeout=timeout, concurrency=CONCURRENCY, budget=BUDGET)
    level, health, evidence = _health(source, answers)
    try:
        outgoing = await ctx.outgoing()
    except OpsError as error:
        level = worst((level, Level.UNKNOWN))
        commit = f"what goes out is not known: {error}"
        facts = error.lines()
    else:
        of_commit, commit, facts = _commit(answers, outgoing)
        level = worst((level, of_commit))
    name = source.environment_name
    return tell(
        level,
        f"{health}, {commit}",
        subject=name,
        evidence=[*evidence, *facts],
        command=curl_line(url, jq=True),
        next=_next(level, name),
    )


def _health(source: CheckContext, answers: Sequence[HttpAnswer]) -> tuple[Level, str, list[str]]:
    thresholds = source.environment.thresholds
    limit_ms = thresholds.response * 1000
    judged = [(answer, *judge(answer, read_document(answer.json), limit_ms)) for answer in answers]
    sent = len(judged)
    if not sent:
        return Level.UNKNOWN, "no request was answered in time", []
    bad = [one for one in judged if one[1] is not Level.OK]
    healthy = f"healthy {sent - len(bad)} of {sent}"
    if not bad:
        first = seen(judged[0][0])
        if sent < PROBES:
            return Level.UNKNOWN, f"{healthy}, too few to tell: {PROBES} were to be asked", [first]
        return Level.OK, healthy, [first]
    reasons = Counter((level, _TOOK.sub("", summary)) for _, level, summary in bad)
    (level, why), _ = reasons.most_common(1)[0]
    lines = [f"{n} × {reason}" for (_, reason), n in reasons.most_common(5)]
    failed = sum(level is Level.FAIL for _, level, _ in bad)
    if not failed:
        level = worst(one[1] for one in bad)
    elif failed / sent > thresholds.error_rate or sent < PROBES:
        level = Level.FAIL
    else:
        level = Level.WARN
    return level, f"{healthy} ({why})", [*lines, seen(bad[0][0])]


def _commit(answers: Sequence[HttpAnswer], outgoing: Outgoing) -> tuple[Level, str, list[str]]:
    documents = [read_document(answer.json) for answer in answers]
    told = Counter(document.commit for document in documents if document is not None)
    commits = [commit for commit, _ in told.most_common() if commit]
    out = f"{outgoing.short} goes out"
    facts = [f"{outgoing.source} stands at {outgoing.head}"]
    facts += [f"serves {commit} ({told[commit]} of {len(answers)} answers)" for commit in commits[:5]]
    if not outgoing.fetched:
        facts.append(f"the repository could not be fetched: {outgoing.fetch_error or 'no reason told'}")
    if not commits:
        return Level.UNKNOWN, f"its health document names no commit; {out}", facts
    others = [commit for commit in commits if not same(commit, outgoing.head)]
    if not others and outgoing.fetched:
        return Level.OK, f"serving {short(commits[0])}", facts
    if not others:
        doubt = "as the last fetch had it: the repository cannot be reached"
        return Level.UNKNOWN, f"serving {short(commits[0])}, {doubt}", facts
    if len(others) < len(commits):
        return Level.FAIL, f"serving {listed(others)} as well as {outgoing.short}", facts
    facts.append(f"{short(others[0])} is {apart(others[0], outgoing)}")
    if len(others) > 1:
        return Level.FAIL, f"serving {listed(others)}; {out}", facts
    return Level.FAIL, f"serving {short(others[0])}, but {out} ({apart(others[0], outgoing)})", facts


def _next(level: Level, name: str) -> str:
    if level is Level.FAIL:
        return f"Deploy what goes out to {name}, and mend it there first."
    return "" if level is Level.OK else f"Look at {name} yourself."
