"""The check "dependencies": the services that the application names, and those that are configured."""

from __future__ import annotations

import asyncio

from muva_console.config.model import Dependency
from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.api import has_url, seen
from muva_console.ops.health.document import Service, read_document
from muva_console.ops.health.words import phases, spell_ms
from muva_console.ops.links.addresses import curl_line
from muva_console.ops.links.answers import HttpAnswer
from muva_console.ops.readings import Finding, Level


def has_dependencies(ctx: CheckContext) -> bool:
    """Whether there is anything to ask."""
    return has_url(ctx) or bool(ctx.environment.dependencies)


@check("dependencies", title="Service dependencies", applies=has_dependencies)
async def dependencies(ctx: CheckContext) -> tuple[Finding, ...]:
    """Every service in the health document is well, and every [environments.X.dependencies] answers with an
    expected status within the response limit; a finding each.
    """
    configured = ctx.environment.dependencies
    probes = [_probe(ctx, name, dependency) for name, dependency in configured.items()]
    named = [_named(ctx)] if ctx.environment.url is not None else []
    parts = await asyncio.gather(*named, *probes)
    return tuple(finding for part in parts for finding in part)


async def _named(ctx: CheckContext) -> tuple[Finding, ...]:
    answer = await ctx.health()
    command = curl_line(ctx.url(ctx.environment.health), jq=True)
    document = read_document(answer.json)
    if document is not None and document.services:
        return tuple(_of_service(service, answer, command) for service in document.services)
    if document is not None and answer.fault is None:
        if ctx.environment.dependencies:
            return ()  # nothing is named, and something is configured: that is what there is
        raise OpsError(
            "the health document names no services, and none are configured",
            next=f"Name them in [environments.{ctx.environment_name}.dependencies].",
        )
    why = answer.error or f"it answers {answer.status}"
    unknown = tell(
        Level.UNKNOWN,
        f"the application does not tell of its services: {why}",
        subject="named by the application",
        evidence=[seen(answer)],
        command=command,
        at=answer.at,
    )
    return (unknown,)


def _of_service(service: Service, answer: HttpAnswer, command: str) -> Finding:
    took = f", {spell_ms(service.latency_ms)}" if service.latency_ms is not None else ""
    detail = f": {service.detail}" if service.detail else ""
    word = service.word or "no status"
    return tell(
        service.level,
        f"the application says {word}{took}{detail}",
        subject=service.name,
        evidence=[seen(answer)],
        command=f"{command} .services" if command.endswith("jq") else command,
        at=answer.at,
    )


async def _probe(ctx: CheckContext, name: str, dependency: Dependency) -> tuple[Finding, ...]:
    answer = await ctx.web.get(dependency.url, timeout=ctx.config.health.timeout)
    limit_ms = ctx.environment.thresholds.response * 1000
    total = spell_ms(answer.timing.total)
    expected = " or ".join(map(str, dependency.expect))
    if answer.fault is not None:
        level = Level.UNKNOWN if answer.own_side else Level.FAIL
        summary = f"no answer: {answer.error}"
    elif answer.status not in dependency.expect:
        level, summary = Level.FAIL, f"answers {answer.status} in {total}; {expected} is expected"
    elif answer.timing.total >= limit_ms:
        level, summary = Level.FAIL, f"takes {total}; the limit is {spell_ms(limit_ms)}"
    else:
        level, summary = Level.OK, f"answers {answer.status}, {total}"
    finding = tell(
        level,
        summary,
        subject=name,
        evidence=[seen(answer), phases(answer)],
        command=curl_line(dependency.url, jq=False).replace("-sS", "-sSi", 1),
        at=answer.at,
    )
    return (finding,)
