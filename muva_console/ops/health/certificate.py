"""The check "certificate": how long the application's certificate is still good."""

from __future__ import annotations

from urllib.parse import urlsplit

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import Fault
from muva_console.ops.health.api import seen
from muva_console.ops.health.words import spell_span
from muva_console.ops.readings import Finding, Level


def has_tls(ctx: CheckContext) -> bool:
    """Whether the environment is served over https."""
    return ctx.environment.url is not None and ctx.environment.url.lower().startswith("https:")


@check("certificate", title="Certificate", good_for=3600.0, applies=has_tls)
async def certificate(ctx: CheckContext) -> Finding:
    """The certificate is accepted and expires later than thresholds.certificate from now (14 days)."""
    answer = await ctx.health()
    split = urlsplit(ctx.url(""))
    place = f"{split.hostname}:{split.port or 443}"
    command = (
        f"openssl s_client -connect {place} -servername {split.hostname} </dev/null | "
        "openssl x509 -noout -enddate -issuer"
    )
    expires, issuer = answer.certificate_expires, answer.certificate_issuer
    evidence = [seen(answer)]
    if expires is not None:
        evidence.append(f"expires {expires:%Y-%m-%d %H:%M} UTC, issued by {issuer or 'somebody unnamed'}")
    left = (expires - answer.at).total_seconds() if expires is not None else None
    if answer.fault is Fault.TLS:
        level = Level.FAIL
        ago = f": it expired {spell_span(left)} ago" if left is not None and left < 0 else ""
        summary = f"{answer.error}{ago}"
    elif left is None:
        level, summary = Level.UNKNOWN, f"not seen: {answer.error or 'no TLS connection'}"
    elif left < ctx.environment.thresholds.certificate:
        level, summary = Level.WARN, f"expires in {spell_span(left)}"
    else:
        level, summary = Level.OK, f"good for {spell_span(left)}"
    return tell(level, summary, subject=place, evidence=evidence, command=command, at=answer.at)
