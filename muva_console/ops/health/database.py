"""The check "database": what the application says of it, and what we see ourselves."""

from __future__ import annotations

import asyncio
import statistics

from muva_console.config.model import Thresholds
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.health.api import KEPT_OUT, body, has_url, seen
from muva_console.ops.health.document import read_document
from muva_console.ops.health.words import count, percent, phases, spell_ms, spell_span
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.answers import DatabaseReading, HttpAnswer
from muva_console.ops.links.pg_errors import TOO_MANY
from muva_console.ops.readings import Finding, Level, worst

THROUGH_APPLICATION = "asked by the application"
DIRECTLY = "asked from here"
AGAIN = 2
"""Times that a latency over its threshold is asked again: the median of three counts, not one slow moment."""
FULL = 0.97
"""Share of max_connections from which the next connection may fail. Ours."""
RESERVED = 3
"""Connections that are kept for superusers: `superuser_reserved_connections`, PostgreSQL's default."""
_ACTIVITY = "SELECT pid, state, wait_event_type, pg_blocking_pids(pid), left(query, 60) FROM pg_stat_activity"
_OURS = frozenset(
    {Fault.AUTH, Fault.CONFIG, Fault.DNS, Fault.UNREACHABLE, Fault.TLS, Fault.MISSING, Fault.HOST_KEY}
)
"""Faults of how we ask: they tell nothing of the database's health."""


def has_database(ctx: CheckContext) -> bool:
    """Whether the environment has an address or a database."""
    return has_url(ctx) or ctx.environment.database is not None


@check("database", title="Database connectivity", applies=has_database)
async def database(ctx: CheckContext) -> tuple[Finding, ...]:
    """The database's health endpoint answers {"status": "ok", "latency_ms": below the threshold} (playbook:
    100 ms in production, 50 ms in staging; the median of three when the first is over); and, where a database
    is configured, our own connection to it: latency, connections against the limit, long and blocked queries.
    """
    asked = []
    if ctx.environment.url is not None:
        asked.append(_through_application(ctx))
    if ctx.postgres is not None:
        asked.append(_directly(ctx))
    return tuple(await asyncio.gather(*asked))


async def _through_application(ctx: CheckContext) -> Finding:
    answer = await ctx.health_db()
    limit_ms = ctx.environment.thresholds.database * 1000
    latencies = []
    document = read_document(answer.json)
    first = document.latency_ms if document else None
    if first is not None:
        latencies.append(first)
        if first >= limit_ms:
            latencies += await _ask_again(ctx)
    level, summary = _judge_answer(answer, latencies, limit_ms)
    listed = ", ".join(spell_ms(one) for one in latencies)
    return tell(
        level,
        summary,
        subject=THROUGH_APPLICATION,
        evidence=[
            seen(answer),
            phases(answer),
            f"latency told: {listed} (threshold {spell_ms(limit_ms)})" if latencies else "",
            *body(answer, document),
        ],
        command=curl_line(ctx.url(ctx.environment.health_db), jq=True),
        at=answer.at,
    )


async def _ask_again(ctx: CheckContext) -> list[float]:
    more = []
    for _ in range(AGAIN):
        again = await ctx.web.get(ctx.url(ctx.environment.health_db), timeout=ctx.config.health.timeout)
        document = read_document(again.json)
        if document is not None and document.latency_ms is not None:
            more.append(document.latency_ms)
    return more


def _judge_answer(answer: HttpAnswer, latencies: list[float], limit_ms: float) -> tuple[Level, str]:
    if answer.fault is not None:
        # a connection that was made and led to nothing may well be the database; none made is not
        reached = answer.timing.connect is not None and not answer.own_side
        if not reached or answer.fault is Fault.TLS:
            return Level.UNKNOWN, f"the application cannot be asked: {answer.error}"
        return Level.FAIL, f"no answer about the database: {answer.error}"
    if answer.status in KEPT_OUT or answer.status == 404 or answer.location:
        return Level.UNKNOWN, f"the application does not tell: it answers {answer.status}"
    document = read_document(answer.json)
    if answer.status != 200:
        why = f": {document.error or document.word}" if document else ""
        return Level.FAIL, f"the application says {answer.status}{why}"
    if document is None or not document.word:
        return Level.FAIL, "the application answers 200, but not with the database's health document"
    if document.level is not Level.OK:
        detail = f": {document.error}" if document.error else ""
        return document.level, f'the application says "{document.word}"{detail}'
    if not latencies:
        return Level.WARN, f"{document.word}, but the application does not tell its latency"
    median = statistics.median(latencies)
    if median >= limit_ms:
        return Level.FAIL, f"{spell_ms(median)} for a query; the threshold is {spell_ms(limit_ms)}"
    return Level.OK, f"{document.word}, {spell_ms(median)} for a query"


async def _directly(ctx: CheckContext) -> Finding:
    assert ctx.postgres is not None
    try:
        reading = await ctx.database()
    except LinkError as error:
        level, summary = _judge_error(error)
        return tell(
            level,
            summary,
            subject=DIRECTLY,
            evidence=[f"{error.where} ({error.fault}): {error.what}", error.means],
            command=ctx.postgres.psql("SELECT 1"),
            next=error.next,
        )
    opinions = list(_judge_reading(reading, ctx.environment.thresholds))
    level = worst(level for level, _ in opinions)
    summary = "; ".join(text for at, text in opinions if at is level)
    return tell(
        level,
        summary,
        subject=DIRECTLY,
        evidence=_facts(ctx.postgres.where, reading),
        command=ctx.postgres.psql(_ACTIVITY),
        at=reading.at,
    )


def _judge_error(error: LinkError) -> tuple[Level, str]:
    if getattr(error, "sqlstate", "") == TOO_MANY:
        return Level.FAIL, error.what
    if error.fault in _OURS or getattr(error, "way", False):
        return Level.UNKNOWN, f"cannot be asked from here: {error.what}"
    return Level.FAIL, f"not reachable: {error.what}"


def _judge_reading(reading: DatabaseReading, thresholds: Thresholds) -> list[tuple[Level, str]]:
    limit_ms = thresholds.database * 1000
    share = reading.connections / reading.max_connections if reading.max_connections else 0.0
    used = f"{reading.connections} of {reading.max_connections} connections"
    opinions = [(Level.OK, f"answers in {spell_ms(reading.latency_ms)}, {used}")]
    if reading.latency_ms >= limit_ms:
        # not a failure: the way from here to the database is not the application's
        slow = f"{spell_ms(reading.latency_ms)} from here; the threshold is {spell_ms(limit_ms)}"
        opinions.append((Level.WARN, slow))
    if share >= FULL or reading.connections + RESERVED >= reading.max_connections > 0:
        opinions.append((Level.FAIL, f"{used} are in use: the next may be refused"))
    elif share >= thresholds.connections:
        opinions.append((Level.WARN, f"{used} are in use ({percent(share)})"))
    if reading.blocked:
        longest = max(one.waiting for one in reading.blocked)
        waits = f"{count(len(reading.blocked), 'query is', 'queries are')} blocked, for {spell_span(longest)}"
        level = Level.FAIL if longest >= thresholds.long_query else Level.WARN
        blockers = sorted({pid for one in reading.blocked for pid in one.blockers})
        opinions.append((level, f"{waits}, by {', '.join(map(str, blockers[:5]))}"))
    if reading.long_queries:
        longest = max(one.running for one in reading.long_queries)
        runs = count(len(reading.long_queries), "session has", "sessions have")
        opinions.append((Level.WARN, f"{runs} been busy for up to {spell_span(longest)}"))
    if reading.in_recovery:
        opinions.append((Level.WARN, "the server is in recovery: it takes no writes"))
    return opinions


def _facts(where: str, reading: DatabaseReading) -> list[str]:
    lines = [
        f"{where}: PostgreSQL {reading.version}, SELECT 1 in {spell_ms(reading.latency_ms)}",
        f"{reading.connections} of {reading.max_connections} connections in use",
    ]
    for one in reading.blocked:
        by = " and ".join(map(str, one.blockers))
        lines.append(f"{one.pid} has waited {spell_span(one.waiting)} for {by}: {one.query}")
        lines += [f"  its blocker: {query}" for query in one.blocker_queries]
    for busy in reading.long_queries:
        lines.append(f"{busy.pid} {busy.state} for {spell_span(busy.running)} ({busy.user}): {busy.query}")
    return lines
