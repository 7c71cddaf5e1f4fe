"""The checks that say whether it is back: healthy several times in a row, a diagnosis that finds nothing."""

from __future__ import annotations

import asyncio

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.diagnosis.diagnose import diagnose
from muva_console.ops.diagnosis.runbooks import runbook_for
from muva_console.ops.errors import OpsError
from muva_console.ops.health.api import has_url, judge, seen
from muva_console.ops.health.document import read_document
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.readings import Finding, Level

TIMES = 5
"""Answers in a row. Ours: Gatus takes two for recovery; an emergency's last word is worth more."""
PAUSE = 1.0
"""Seconds between them. Ours: a crash loop of the playbook's application turns within two."""
SECONDS = 60.0


@check("stays-healthy", title="Healthy several times in a row", applies=has_url, timeout=lambda ctx: SECONDS)
async def stays_healthy(ctx: CheckContext) -> Finding:
    """The health endpoint is well `times` (a step's parameter; 5) times in a row, a second apart. The first
    answer that is not ends it, and is what is told.
    """
    times = ctx.parameters.get("times", TIMES)
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= 30:
        raise OpsError("times is a number from 1 to 30")
    limit_ms = ctx.environment.thresholds.response * 1000
    evidence: list[str] = []
    level, summary, first = Level.UNKNOWN, "", None
    for number in range(1, times + 1):
        if number > 1:
            await asyncio.sleep(PAUSE)
        answer = await ctx.fresh().health()
        first = first or answer
        level, summary = judge(answer, read_document(answer.json), limit_ms)
        evidence.append(f"{answer.at:%H:%M:%S} {seen(answer)}: {summary}")
        if level is not Level.OK:
            before = f"well {number - 1} times, then: " if number > 1 else ""
            summary = f"{before}{summary}"
            break
    else:
        summary = f"well {times} times in a row"
    assert first is not None
    return tell(
        level,
        summary,
        subject=first.url,
        evidence=evidence,
        command=curl_line(ctx.url(ctx.environment.health), jq=True),
    )


@check("diagnosis-clear", title="A diagnosis finds nothing", timeout=lambda ctx: SECONDS)
async def diagnosis_clear(ctx: CheckContext) -> Finding:
    """Everything is probed once more. What is still wrong is named, with the runbook that it opens; that
    nothing can be told is unknown.
    """
    found = await diagnose(ctx)
    command = f"muva diagnose --env {ctx.environment_name}"
    if not found.scenarios:
        return tell(Level.UNKNOWN, found.cannot_tell, command=command, next="`!` shows what is not known.")
    first = found.scenarios[0]
    evidence = [f"{one.id}: {one.title}" for one in found.scenarios]
    if first.id == "healthy":
        return tell(Level.OK, "a diagnosis finds nothing wrong", evidence=evidence, command=command)
    book = runbook_for(first.id)
    return tell(
        Level.FAIL,
        f"it did not help, or not enough: {first.title}",
        evidence=[*evidence, *(f"for it: {one}" for one in first.supports)],
        command=command,
        next=f"Its runbook is {book}: `!`, then enter." if book else "`!` shows it.",
    )
