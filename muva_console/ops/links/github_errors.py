"""GitHub's refusals and the network's, each told apart: which token, which right, which limit, which end.

Sources: docs.github.com, "Troubleshooting the REST API" (a 404 for what may not be seen), "Rate limits for
the REST API" (403 and 429, retry-after, x-ratelimit-*), "Permissions required for fine-grained personal
access tokens" (X-Accepted-GitHub-Permissions), "Scopes for OAuth apps" (X-OAuth-Scopes).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.github_answers import Said
from muva_console.ops.links.github_model import Declined, RateLimited, Unsure
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

ANONYMOUS = "no token"
"""What stands for the origin of a token where there is none."""
SECONDARY_WAIT = 60.0
"""Seconds to wait after a secondary limit that names no time ("wait for at least one minute")."""
LONGEST_WAIT = 3600.0
"""Seconds. A limit lasts an hour; what names a longer one is not believed."""


def refusal(status: int, headers: Mapping[str, str], told: Said, *, where: str, token: str) -> LinkError:
    """What an answer of 400 or more means: `Declined`, or `RateLimited` for a limit.

    `token` says where the token came from, ``no token`` for none.
    """
    message = redact(sanitise_line(told.message, cap=300))
    said = f": {message}" if message else ""
    limited = _limited(status, headers, message, where, token)
    if limited is not None:
        return limited
    fields = tuple(sanitise_line(one, cap=80) for one in told.fields)

    def no(fault: Fault, what: str, means: str = "", next: str = "") -> Declined:
        return Declined(
            fault, what, status=status, said=message, fields=fields, where=where, means=means, next=next
        )

    if status == 401:
        return no(
            Fault.AUTH,
            f"GitHub does not accept the token of {token}{said}",
            "the token is wrong, was revoked or has expired",
            "Make a new one (github.com/settings/tokens), or `gh auth login`.",
        )
    if status == 403:
        if headers.get("x-github-sso", "").startswith("required"):
            right = "the token has to be authorised for the organisation's single sign-on"
        else:
            right = _right(headers) or "the token lacks a right that this needs"
        return no(Fault.AUTH, f"GitHub refuses it to {token}{said}", right)
    if status == 404:
        means = "without a token only public repositories are there"
        if token != ANONYMOUS:
            means = f"it is not there, or the token of {token} may not read it: GitHub does not say which"
            right = _right(headers)
            means += f"; if it is there, {right}" if right else ""
        return no(
            Fault.MISSING,
            f"GitHub answers 404{said}",
            means,
            "Check [project] repository, and the token's rights: Contents and Pull requests.",
        )
    if status == 410:
        return no(Fault.MISSING, f"it is gone from GitHub{said}")
    if status == 405:
        return no(
            Fault.OTHER,
            f"GitHub does not allow it{said}",
            "as things stand there: a conflict, a rule of a protected branch, or it is done already",
        )
    if status == 409:
        return no(Fault.OTHER, f"GitHub has another state than was expected{said}", next="Look again.")
    if status == 422:
        return no(Fault.OTHER, f"GitHub does not take it{said}")
    if status >= 500:
        return no(
            Fault.OTHER,
            f"GitHub answers {status}{said}",
            "GitHub has trouble of its own",
            "See githubstatus.com, and ask again.",
        )
    return no(Fault.PROTOCOL, f"GitHub answers {status}{said}")


def refused_elsewhere(status: int, *, where: str) -> Declined:
    """What a refusal of the host of logs and artifacts means: it knows no token and no right."""
    if status in (404, 410):
        return Declined(Fault.MISSING, "it is not there, or not there yet", status=status, where=where)
    means = "its links live for a minute and bear their own right" if status in (401, 403) else ""
    return Declined(
        Fault.OTHER,
        f"the host that GitHub sends to answers {status}",
        status=status,
        where=where,
        means=means,
        next="Ask again.",
    )


def unsure(error: LinkError, doing: str) -> Unsure:
    """A change that was sent and whose answer is lost. `doing` completes "it is not known whether …"."""
    return Unsure(
        error.fault,
        f"it is not known whether {doing}: {error.what}",
        where=error.where,
        means=error.means,
        next="Look whether it was done; it is not sent again by itself.",
    )


def _limited(
    status: int, headers: Mapping[str, str], message: str, where: str, token: str
) -> RateLimited | None:
    """The limit that was run into, when it was one: the primary names its end, the secondary may not."""
    now = utc_now()
    wait = _number(headers.get("retry-after"))
    if status == 503 and wait is not None:
        return RateLimited(
            "GitHub answers 503 and asks to be left alone",
            until=now + timedelta(seconds=_bounded(wait)),
            where=where,
            means="GitHub has trouble of its own: see githubstatus.com",
        )
    if status not in (403, 429):
        return None
    if headers.get("x-ratelimit-remaining") == "0":
        reset = _number(headers.get("x-ratelimit-reset"))
        left = reset - now.timestamp() if reset is not None else wait
        until = now + timedelta(seconds=_bounded(left if left is not None else SECONDARY_WAIT))
        limit = headers.get("x-ratelimit-limit", "")
        count = f" of {int(limit):,} requests an hour" if limit.isdecimal() else ""
        return RateLimited(
            f"GitHub's limit{count} is used up for {token}",
            until=until,
            where=where,
            means=(
                "without a token GitHub allows 60 an hour"
                if token == ANONYMOUS
                else "everything that uses this token shares the limit"
            ),
        )
    if wait is None and "secondary rate limit" not in message.lower() and status != 429:
        return None
    until = now + timedelta(seconds=_bounded(wait if wait is not None else SECONDARY_WAIT))
    return RateLimited(
        "GitHub was asked too fast (its secondary limit)",
        until=until,
        where=where,
        means="it names the wait itself" if wait is not None else "it names no wait; a minute is the least",
    )


def _right(headers: Mapping[str, str]) -> str:
    """Which right the token lacks, as GitHub names it; empty where it does not."""
    needed = sanitise_line(headers.get("x-accepted-github-permissions", ""), cap=200)
    if needed:
        ways = (" and ".join(part.strip() for part in way.split(",")) for way in needed.split(";"))
        return f"the token lacks a right: {', or '.join(ways)} is needed"
    scopes = sanitise_line(headers.get("x-accepted-oauth-scopes", ""), cap=200)
    if scopes:
        has = sanitise_line(headers.get("x-oauth-scopes", ""), cap=200) or "none"
        return f"the token lacks a scope: one of {scopes} is needed, it has {has}"
    return ""


def failure(error: BaseException, *, where: str, timeout: float, began: bool) -> LinkError:
    """What a request that was not answered whole means. `began`: some of the answer had arrived."""
    chain = tuple(_chain(error))
    tls = next((e for e in chain if isinstance(e, ssl.SSLError)), None)
    if any(isinstance(e, TimeoutError) or "Timeout" in type(e).__name__ for e in chain):
        what = "the answer began but did not end" if began else "no answer"
        return LinkError(Fault.TIMEOUT, f"{what} within {timeout:g} s", where=where)
    if any(isinstance(e, socket.gaierror) for e in chain):
        return LinkError(Fault.DNS, "the name is not resolved", where=where)
    if tls is not None:
        reason = sanitise_line(str(getattr(tls, "verify_message", "") or tls.reason or tls), cap=200)
        return LinkError(Fault.TLS, f"the connection cannot be trusted: {reason}", where=where)
    if any(isinstance(e, ConnectionRefusedError) for e in chain):
        return LinkError(Fault.REFUSED, "the connection is refused", where=where)
    kinds = {type(e).__name__ for e in chain}
    if began or kinds & {"RemoteProtocolError", "ReadError", "WriteError"}:
        half = "the answer broke off in its middle" if began else "the connection was lost before an answer"
        return LinkError(Fault.CLOSED, half, where=where)
    if kinds & {"ProxyError", "UnsupportedProtocol"}:
        return LinkError(Fault.UNREACHABLE, "the proxy does not let it through", where=where)
    if "ConnectError" in kinds:
        return LinkError(Fault.UNREACHABLE, "there is no way there", where=where)
    return LinkError(Fault.OTHER, f"it cannot be asked: {type(error).__name__}", where=where)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, groups opened."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        waiting.extend(e for e in (one.__cause__, one.__context__) if e is not None)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.strip().isdecimal() else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), LONGEST_WAIT)


def moment(epoch: str | None) -> datetime | None:
    """A time of GitHub's headers; None for what is none."""
    number = _number(epoch)
    if number is None or number > 32503680000:  # the year 3000
        return None
    return datetime.fromtimestamp(number, UTC)
