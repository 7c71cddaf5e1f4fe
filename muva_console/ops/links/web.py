"""The web link: ask a URL, and tell exactly how it answered or how it did not.

A request that fails is an answer too, never an exception: refused, timed out, DNS, TLS, no route and
broken HTTP are kept apart because the difference is what tells one scenario from another.

Proxies: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of the environment are heeded as curl heeds
them, since a jump host may have no other way out; loopback addresses are never asked through a proxy.
Nothing else is taken from the environment or the home folder (no .netrc, no cookies).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.addresses import Proxy, curl_line, proxy_for, shown_url
from muva_console.ops.links.answers import HttpAnswer, Timing
from muva_console.ops.links.base import CommandLog, CommandRecord, LinkState, LinkStatus, OnState
from muva_console.ops.links.resolver import Resolver
from muva_console.ops.links.tls import Certificate, look_at_certificate, shared_context
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise, sanitise_line

if TYPE_CHECKING:
    import ssl

    from muva_console.ops.links.http_exchange import Exchange, Trouble
    from muva_console.ops.links.http_wire import Target, Wire

BODY_LIMIT = 64 * 1024
"""Bytes of a body that are read; a health document has a few hundred."""
_PATH = "/%:@!$&'()*+,;=~"
_QUERY = _PATH + "?"
_PHASES = {
    "start": "nothing happened within {0}",
    "dns": "the name was not resolved within {0}",
    "connect": "no connection within {0}",
    "proxy": "connected to the proxy, which did not connect us within {0}",
    "tls": "connected, but no TLS handshake within {0}",
    "answer": "connected, but no answer within {0}",
    "body": "the answer began but did not end within {0}",
}


_Place = tuple[bool, str, int, Proxy | None]


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    timeout: float
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    method: str = "GET"
    fresh: bool = True
    body_limit: int = BODY_LIMIT


class WebLink:
    """Asks URLs. Lives in one event loop; every method is safe to call many times at once."""

    def __init__(
        self,
        name: str,
        log: CommandLog,
        *,
        environment: str = "",
        origin: str = "",
        context: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
        on_state: OnState | None = None,
    ) -> None:
        """`origin`: only answers of URLs that begin with it count for `state` (all do when empty), so
        that a dependency that is down does not make the application's link look down.
        """
        self._log = log
        self._environment = environment
        self._origin = origin
        self._context = context
        self._prepared = False
        self._resolver = resolver or Resolver()
        self._on_state = on_state
        self._idle: dict[_Place, list[Wire]] = {}
        self._state = LinkState(name=name, status=LinkStatus.UNUSED, since=utc_now())

    @property
    def state(self) -> LinkState:
        """Where the link stands, from the last request; never blocks."""
        return self._state

    async def get(
        self,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        fresh: bool = True,
        body_limit: int = BODY_LIMIT,
    ) -> HttpAnswer:
        """Ask once and tell what came of it; nothing of the network is raised.

        `timeout` (seconds) holds for the whole of it, however slowly bytes drip in. `fresh` opens a
        connection of its own, so that every phase is measured; else one that is open may be used.
        Redirects are told, not followed. User names and passwords in the URL are refused.
        """
        question = _Question(
            url=url,
            timeout=timeout,
            headers=dict(headers or {}),
            method=method,
            fresh=fresh,
            body_limit=body_limit,
        )
        answer = await self._ask(question)
        line = curl_line(url, timeout=timeout, method=method, headers=headers)
        self._record(answer, line, _outcome(answer), answer.timing.total)
        return answer

    async def sample(
        self,
        url: str,
        count: int,
        *,
        timeout: float,
        concurrency: int = 5,
        budget: float = 30.0,
        enough: Callable[[list[HttpAnswer]], bool] | None = None,
    ) -> tuple[HttpAnswer, ...]:
        """Ask up to `count` times over kept connections, `concurrency` at a time; one line in the log.

        Stops early after `budget` seconds or when `enough`, called after each answer, says so.
        """
        answers: list[HttpAnswer] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        left = iter(range(count))
        question = _Question(url=url, timeout=timeout, fresh=False)
        stop = False

        async def ask() -> None:
            nonlocal stop
            for _ in left:
                if stop or loop.time() - began >= budget:
                    return
                answers.append(await self._ask(question))
                stop = stop or (enough is not None and enough(answers))

        await asyncio.gather(*(ask() for _ in range(max(1, min(concurrency, count)))))
        good = sum(answer.status is not None and answer.status < 400 for answer in answers)
        line = f"for i in $(seq {len(answers)}); do {curl_line(url, timeout=timeout)}; done"
        if answers:
            took = (loop.time() - began) * 1000
            self._record(answers[-1], line, f"{good} of {len(answers)} well", took)
        return tuple(answers)

    async def close(self) -> None:
        """Close what is open; the link may be used again."""
        idle, self._idle = self._idle, {}
        for wires in idle.values():
            for wire in wires:
                wire.abort()
        self._set(LinkStatus.CLOSED)

    async def _ask(self, question: _Question) -> HttpAnswer:
        from muva_console.ops.links.http_exchange import Exchange, Trouble, explain

        url, timeout = question.url, question.timeout
        if not self._prepared:
            context = await _prepare()
            self._context = self._context or context
            self._prepared = True
        assert self._context is not None
        at = utc_now()
        exchange = Exchange()
        trouble: Trouble | None = None
        self._set(LinkStatus.OPENING, url=url)
        try:
            split = _check(url)
            async with asyncio.timeout(timeout):
                await self._perform(question, exchange, self._context)
        except TimeoutError:
            trouble = Trouble(Fault.TIMEOUT, _PHASES[exchange.phase].format(f"{timeout:g} s"))
        except Exception as error:
            trouble = explain(error, exchange)
        exchange.end()
        if trouble is not None and trouble.fault is Fault.TLS and exchange.address:
            remaining = max(0.5, timeout - exchange.total / 1000)
            exchange.certificate = await _look(exchange, split.hostname or "", split.port or 443, remaining)
        answer = _answer(url, at, exchange, trouble)
        self._judge(answer)
        return answer

    async def _perform(self, question: _Question, exchange: Exchange, context: ssl.SSLContext) -> None:
        from muva_console.ops.links.http_exchange import Trouble
        from muva_console.ops.links.http_wire import Wire

        target = _target(question.url)
        try:
            proxy = proxy_for(question.url)
        except ValueError as error:
            raise Trouble(Fault.CONFIG, str(error), own_side=True) from None
        headers = _headers(question, target)
        if proxy is not None and not target.tls:
            headers += proxy.headers()
        place = (target.tls, target.host, target.port, proxy)
        wire = None if question.fresh else self._kept(place)
        while True:
            kept = wire is not None
            if wire is None:
                wire = await Wire.open(
                    target, exchange, resolver=self._resolver, context=context, proxy=proxy
                )
            ended = False
            try:
                await wire.ask(
                    target,
                    exchange,
                    method=question.method,
                    headers=headers,
                    body_limit=question.body_limit,
                )
                ended = True
                return
            except (OSError, Trouble):
                # a kept connection that the server had just let go of is no failure of the server
                if not kept or exchange.heard:
                    raise
            finally:
                if ended and not question.fresh and wire.usable:
                    self._idle.setdefault(place, []).append(wire)
                else:
                    wire.abort()
            wire = None

    def _kept(self, place: _Place) -> Wire | None:
        idle = self._idle.get(place, [])
        while idle:
            wire = idle.pop()
            if wire.usable:
                return wire
            wire.abort()
        return None

    def _judge(self, answer: HttpAnswer) -> None:
        if answer.answered:
            self._set(LinkStatus.UP, url=answer.url)
        else:
            error = LinkError(answer.fault or Fault.OTHER, answer.error, where=answer.url)
            self._set(LinkStatus.DOWN, error, url=answer.url)

    def _set(self, status: LinkStatus, error: LinkError | None = None, *, url: str = "") -> None:
        if url and not url.startswith(self._origin):
            return
        before = self._state
        if status is LinkStatus.OPENING and before.status in (LinkStatus.UP, LinkStatus.DOWN):
            return  # asking again does not make what is known unknown
        since = before.since if before.status is status else utc_now()
        self._state = LinkState(name=before.name, status=status, since=since, error=error)
        if self._on_state is not None and (before.status is not status or error is not None):
            self._on_state(self._state)

    def _record(self, answer: HttpAnswer, line: str, outcome: str, took_ms: float) -> None:
        where = sanitise_line(answer.url.partition("://")[2].partition("/")[0], cap=255)
        self._log.add(
            CommandRecord(
                at=answer.at,
                where=where,
                line=line,
                took_ms=took_ms,
                outcome=outcome,
                environment=self._environment,
            )
        )


async def _prepare() -> ssl.SSLContext:
    """Pay for what the first request needs before its clock starts."""
    from muva_console.ops.links import http_exchange, http_wire  # noqa: F401 - loaded here on purpose

    "example.test".encode("idna")  # the codec is loaded when it is first asked for
    return await shared_context()


def _check(url: str) -> SplitResult:
    from muva_console.ops.links.http_exchange import Trouble

    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise Trouble(Fault.CONFIG, "not a URL", own_side=True) from None
    if split.scheme not in ("http", "https") or not split.hostname or port == 0:
        raise Trouble(Fault.CONFIG, "not an http or https URL", own_side=True)
    if "@" in split.netloc:
        raise Trouble(
            Fault.CONFIG, "a URL with a user name or password is not asked: it would be logged", own_side=True
        )
    return split


def _target(url: str) -> Target:
    """The URL as HTTP wants it. Raises Trouble."""
    from muva_console.ops.links.http_exchange import Trouble
    from muva_console.ops.links.http_wire import Target

    split = _check(url)
    try:
        host = (split.hostname or "").encode("idna").decode("ascii")
    except UnicodeError:
        raise Trouble(Fault.CONFIG, "not a host name", own_side=True) from None
    tls = split.scheme == "https"
    # what is escaped already stays; what HTTP cannot carry is escaped
    path = quote(split.path or "/", safe=_PATH) + (
        f"?{quote(split.query, safe=_QUERY)}" if split.query else ""
    )
    return Target(tls=tls, host=host, port=split.port or (443 if tls else 80), path=path)


def _headers(question: _Question, target: Target) -> list[tuple[str, str]]:
    from muva_console import __version__

    ours = {
        "Host": target.authority,
        "User-Agent": f"muva-console/{__version__}",
        "Accept": "application/json, */*;q=0.5",
        # what is compressed need not be: a health document is short, and a bomb is not
        "Accept-Encoding": "identity",
        "Cache-Control": "no-cache",
    }
    given = {name.lower() for name in question.headers}
    return [
        *((name, value) for name, value in ours.items() if name.lower() not in given),
        *question.headers.items(),
    ]


def _answer(url: str, at: datetime, exchange: Exchange, trouble: Trouble | None) -> HttpAnswer:
    whole = trouble is None and not exchange.truncated
    return HttpAnswer(
        url=shown_url(url),
        at=at,
        status=exchange.status,
        fault=trouble.fault if trouble else None,
        error=trouble.text if trouble else "",
        own_side=trouble.own_side if trouble else False,
        timing=Timing(
            dns=exchange.dns,
            connect=exchange.connect,
            tls=exchange.tls,
            first_byte=exchange.first_byte,
            total=exchange.total,
        ),
        body=sanitise(exchange.body),
        json=_json(exchange.body) if whole else None,
        body_truncated=exchange.truncated,
        content_type=exchange.headers.get("content-type", "")[:200],
        location=shown_url(exchange.headers["location"]) if "location" in exchange.headers else "",
        certificate_expires=exchange.certificate.expires,
        certificate_issuer=exchange.certificate.issuer,
    )


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def _outcome(answer: HttpAnswer) -> str:
    if answer.fault is None:
        return str(answer.status)
    return f"{answer.status}, then {answer.fault}" if answer.status else str(answer.fault)


async def _look(exchange: Exchange, name: str, port: int, timeout: float) -> Certificate:
    try:
        async with asyncio.timeout(timeout):
            return await look_at_certificate(exchange.address, port, name)
    except TimeoutError:
        return exchange.certificate
