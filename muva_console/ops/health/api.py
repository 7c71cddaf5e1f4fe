"""The check "api-health": the application answers 200 with a healthy document, fast enough."""

from __future__ import annotations

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.health.document import HealthDocument, read_document
from muva_console.ops.health.words import phases, spell_ms
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.answers import HttpAnswer
from muva_console.ops.readings import Finding, Level

KEPT_OUT = frozenset({401, 403, 407, 429})
"""Statuses by which a server refuses *us*: they tell nothing of its health."""


def has_url(ctx: CheckContext) -> bool:
    """Whether the environment has an address at all (dev has none where it is a local checkout)."""
    return ctx.environment.url is not None


@check("api-health", title="API health", applies=has_url)
async def api_health(ctx: CheckContext) -> Finding:
    """The health endpoint answers 200 and {"status": "healthy"} within the response limit (playbook: 5 s).
    No answer or any other status is a failure; "degraded" is a warning; being refused with 401, 403 or 429,
    or trouble of this machine's own network, tells nothing.
    """
    answer = await ctx.health()
    limit_ms = ctx.environment.thresholds.response * 1000
    document = read_document(answer.json)
    level, summary = judge(answer, document, limit_ms)
    return tell(
        level,
        summary,
        subject=answer.url,
        evidence=[seen(answer), phases(answer), *told(document), *body(answer, document)],
        command=curl_line(ctx.url(ctx.environment.health), jq=True),
        at=answer.at,
    )


def judge(answer: HttpAnswer, document: HealthDocument | None, limit_ms: float) -> tuple[Level, str]:
    """The level and the line of an answer of the health endpoint."""
    total = spell_ms(answer.timing.total)
    if answer.fault is not None:
        level = Level.UNKNOWN if answer.own_side else Level.FAIL
        return level, f"no answer: {answer.error}"
    if answer.status in KEPT_OUT:
        return Level.UNKNOWN, f"answers {answer.status}: it does not let us ask, so its health is not known"
    if answer.location:
        return Level.FAIL, f"redirects ({answer.status}) to {answer.location} instead of answering"
    if answer.status != 200:
        word = f": {document.word}" if document and document.word else ""
        return Level.FAIL, f"answers {answer.status}{word} in {total}{_ailing(document)}"
    if document is None or not document.word:
        return Level.FAIL, "answers 200, but not with the health document"
    if document.level is Level.UNKNOWN:
        return Level.UNKNOWN, f'says "{document.word}", which is neither healthy nor not'
    if document.level is Level.FAIL:
        return Level.FAIL, f'says "{document.word}"{_ailing(document)}'
    if answer.timing.total >= limit_ms:
        return Level.FAIL, f"takes {total}; the limit is {spell_ms(limit_ms)}"
    if document.level is Level.WARN:
        return Level.WARN, f'says "{document.word}"{_ailing(document)}'
    return Level.OK, f"healthy, {total}"


def seen(answer: HttpAnswer) -> str:
    """The evidence of one request: ``GET https://… answered 502 in 40 ms``."""
    took = spell_ms(answer.timing.total)
    if answer.fault is None:
        return f"GET {answer.url} answered {answer.status} in {took}"
    begun = f" answered {answer.status}, then" if answer.status else ""
    return f"GET {answer.url}{begun} failed after {took} ({answer.fault}): {answer.error}"


def told(document: HealthDocument | None) -> list[str]:
    """What the document tells besides its status, a line each."""
    if document is None:
        return []
    lines = []
    if document.commit or document.version:
        version = f" (version {document.version})" if document.version else ""
        lines.append(f"serves commit {document.commit or 'not told'}{version}")
    return lines


def body(answer: HttpAnswer, document: HealthDocument | None) -> list[str]:
    """The beginning of a body that is not a health document."""
    if document is not None or not answer.body:
        return []
    return [f"the body begins: {answer.body[:200]}"]


def _ailing(document: HealthDocument | None) -> str:
    if document is None:
        return ""
    bad = [s for s in document.services if s.level is not Level.OK]
    if bad:
        return "; " + ", ".join(f"{s.name}: {s.detail or s.word}" for s in bad[:4])
    return f"; {document.error}" if document.error else ""
