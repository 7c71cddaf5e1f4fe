"""GitHub's REST API over HTTP: bounded, conditional, paged, and careful with the token.

The token goes to the host of `api` and to no other: a redirect elsewhere (logs and artifacts lie on a
host for blobs, which rejects it) is followed without. Answers are kept with their ETag, and a 304 costs
nothing of the limit (docs.github.com, "Best practices for using the REST API"). Reads are sent again when
GitHub fails, a few times and later each time; changes never are.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandLog, LinkState, LinkStatus, OnState
from muva_console.ops.links.github_answers import Answer, KeptAnswers, decode, host, next_page, origin, said
from muva_console.ops.links.github_counts import Counts, Resting
from muva_console.ops.links.github_errors import (
    ANONYMOUS,
    failure,
    refusal,
    refused_elsewhere,
    unsure,
)
from muva_console.ops.links.github_model import Declined, Rate, RateLimited
from muva_console.ops.links.github_sinks import Sink, body_of, pour
from muva_console.ops.links.github_standing import Standing
from muva_console.ops.links.http_client import open_client
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
P = TypeVar("P")

API_VERSION = "2022-11-28"
BODY_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer. Ours: a comparison with 300 patches has a few megabytes."""
CONCURRENCY = 8
"""Requests at once. GitHub allows 100 for all that use a token; it asks to make few."""
REDIRECTS = 3
PAGES = 20
"""Pages of 100 that are followed. Ours: 2,000 of anything are more than somebody reads."""
PAUSES = (0.3, 1.2)
"""Seconds before a read is sent again, half of it up to chance. Ours: a watcher asks again anyway."""
STREAM_TIME = 900.0
"""Seconds that a log or an artifact may take as a whole; each part of it has the time of a request."""
_PASSING = (500, 502, 503, 504)

Token = Callable[[], Awaitable[str | None]]


class _Request(Struct, frozen=True):
    """What is asked for."""

    method: str
    url: str
    content: bytes | None
    limit: int
    doing: str
    sink: Sink | None

    @property
    def reads(self) -> bool:
        return self.method == "GET"


class _Seen:
    """How far an exchange came."""

    sent = False
    began = False
    status = 0
    url = ""


class GitHubHttp:
    """Asks the API. Lives in one event loop; safe to call many times at once."""

    def __init__(
        self,
        api: str,
        token: Token,
        *,
        timeout: float,
        log: CommandLog | None = None,
        on_state: OnState | None = None,
    ) -> None:
        self.api = api.rstrip("/")
        self.timeout = timeout
        self._standing = Standing(log, on_state)
        self._token_of = token
        self._token: str | None = None
        self._token_known = False
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._room = asyncio.Semaphore(CONCURRENCY)
        self._kept = KeptAnswers()
        self._chance, self._clock = random.random, time.monotonic

    @property
    def where(self) -> str:
        """The API's host, as errors name it."""
        return host(self.api)

    @property
    def state(self) -> LinkState:
        """Where the link stands, from the last request; never blocks."""
        return self._standing.state

    @property
    def rate(self) -> Rate | None:
        """What GitHub's last answer said of its limit; None before it did."""
        return self._standing.rate

    @property
    def counts(self) -> Counts:
        """How much was asked so far."""
        return self._standing.counts

    @property
    def resting(self) -> Resting | None:
        """Until when GitHub is left alone, and why; None while it is not."""
        return self._standing.resting

    async def get(self, path: str, kind: type[T]) -> T:
        """The JSON at a path of the API. Raises LinkError."""
        return decode(await self.ask(path), kind, self.where)

    async def pages(self, path: str, kind: type[list[T]], *, most: int = PAGES) -> list[T]:
        """The items of all pages, at most `most` of them. Raises LinkError."""
        return await self.gather(path, kind, lambda page: page, most=most)

    async def gather(
        self, path: str, kind: type[P], items: Callable[[P], list[T]], *, most: int = PAGES
    ) -> list[T]:
        """As `pages`, of pages that hold their items somewhere inside. Raises LinkError."""
        found: list[T] = []
        url: str | None = path
        if "per_page=" not in path:
            url = path + ("&" if "?" in path else "?") + "per_page=100"
        for _ in range(most):
            if url is None:
                break
            answer = await self.ask(url)
            found += items(decode(answer, kind, self.where))
            url = self.next_page(answer)
        return found

    def next_page(self, answer: Answer) -> str | None:
        """The address of the page after an answer; None after the last one and for one on another host."""
        return next_page(answer, self.api)

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, doing: str
    ) -> Answer:
        """Send a change, once. `doing` completes "it is not known whether …", e.g. ``the run was cancelled``.

        Raises `Declined` where GitHub says no, `Unsure` where it was sent and no answer says whether it was
        done, and another LinkError where it was not sent.
        """
        return await self.ask(path, method=method, body=body, doing=doing)

    async def made(
        self, method: str, path: str, kind: type[T], body: Mapping[str, Any], *, doing: str
    ) -> T:  # fmt: skip
        """As `send`; what GitHub made."""
        answer = await self.send(method, path, body, doing=doing)
        try:
            return decode(answer, kind, self.where)
        except LinkError as error:
            raise unsure(error, doing) from None

    async def stream(self, path: str, sink: Sink) -> None:
        """What lies at a path of the API, or where it sends to, into `sink`. Never kept. Raises LinkError."""
        await self._asked(_Request("GET", self._url(path), None, 0, "", sink))

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        limit: int = BODY_LIMIT,
        doing: str = "",
    ) -> Answer:
        """Ask for a path of the API, or for a whole address of it; the answer, redirects followed.

        Raises LinkError for all that is not 2xx. A GET that GitHub failed to answer is sent again, as often
        as there are `PAUSES` and within the time of a request; nothing else is ever sent twice.
        """
        content = msgspec.json.encode(body) if body is not None else None
        doing = doing or f"GitHub has done it ({method})"
        return await self._asked(_Request(method, self._url(path), content, limit, doing, None))

    def line(self, path: str) -> str:
        """A GET of a path as a person would type it, the token by its variable."""
        if self.api == "https://api.github.com":
            return f"gh api {_word(path.lstrip('/'))}"
        return f'curl -sS -H "Authorization: Bearer $GH_TOKEN" {_word(self.api + path)}'

    async def close(self) -> None:
        """Close what is open; the link may be used again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        self._standing.set(LinkStatus.CLOSED)

    def _url(self, path: str) -> str:
        return path if "://" in path else self.api + path

    async def _asked(self, request: _Request) -> Answer:
        """One request with its repetitions: judged, counted, recorded."""
        self._standing.admit()
        began = time.perf_counter()
        self._standing.set(LinkStatus.OPENING)
        outcome = "given up"
        try:
            if request.reads:
                answer = await self._repeated(request)
            else:
                async with self._writing:  # GitHub asks for changes one after the other
                    answer = await self._once(request)
            outcome = str(answer.status)
        except LinkError as error:
            outcome = str(error.status if isinstance(error, Declined) else error.fault)
            if error.fault is Fault.AUTH:
                self._token_known = False  # it may have been renewed meanwhile
            self._standing.judge(error)
            raise
        finally:
            self._standing.record(
                where=self.where, url=request.url, method=request.method, timeout=self.timeout,
                token=self._token is not None, outcome=outcome, took_ms=(time.perf_counter() - began) * 1000,
            )  # fmt: skip
        self._standing.set(LinkStatus.UP)
        return answer

    async def _repeated(self, request: _Request) -> Answer:
        began = self._clock()
        for pause in (*PAUSES, None):
            try:
                return await self._once(request)
            except LinkError as error:
                late = request.sink is None and self._clock() - began >= self.timeout
                if pause is None or late or not _passing(error):
                    raise
                self.counts.repeated += 1
                seconds = pause * (0.5 + self._chance() / 2)
                self._standing.rest(seconds, f"{error.what}: asked again")
                await asyncio.sleep(seconds)
        raise AssertionError("the last time raises or returns")

    async def _once(self, request: _Request) -> Answer:
        token = await self._known_token()
        client = await self._opened()
        seen = _Seen()
        try:
            try:
                async with self._room, asyncio.timeout(STREAM_TIME if request.sink else self.timeout):
                    return await self._follow(client, request, token, seen)
            except LinkError:
                raise
            except Exception as error:  # httpx, httpcore, OSError, TimeoutError: all the network's
                where = host(seen.url or self.api)
                raise failure(error, where=where, timeout=self.timeout, began=seen.began) from None
        except LinkError as error:
            answered = isinstance(error, Declined | RateLimited) and seen.status < 500
            if request.reads or not seen.sent or answered:
                raise
            raise unsure(error, request.doing) from None

    async def _follow(
        self, client: httpx.AsyncClient, request: _Request, token: str | None, seen: _Seen
    ) -> Answer:
        url = request.url
        for _ in range(REDIRECTS + 1):
            seen.url = url
            at_home = origin(url) == origin(self.api)
            answer = await self._exchange(client, request, url, token if at_home else None, seen)
            seen.began = False
            if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                if not request.reads:
                    raise Declined(
                        Fault.PROTOCOL,
                        "GitHub sends it elsewhere, and nothing was done",
                        status=answer.status,
                        where=self.where,
                        means="the repository may have been renamed",
                        next="Name it in [project] repository as it is called now.",
                    )
                target = urljoin(url, answer.headers["location"])
                if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                    raise LinkError(Fault.PROTOCOL, "redirected to an address without TLS", where=self.where)
                url = target
                continue
            if answer.status >= 400:
                if not at_home:
                    raise refused_elsewhere(answer.status, where=host(url))
                raise refusal(
                    answer.status,
                    answer.headers,
                    said(answer.body),
                    where=self.where,
                    token=self._origin_of_token(),
                )
            if not 200 <= answer.status < 300:
                raise LinkError(Fault.PROTOCOL, f"GitHub answers {answer.status}", where=self.where)
            return answer
        raise LinkError(Fault.PROTOCOL, f"more than {REDIRECTS} redirects", where=self.where)

    async def _exchange(
        self, client: httpx.AsyncClient, request: _Request, url: str, token: str | None, seen: _Seen
    ) -> Answer:
        """One request and its answer; what is kept where GitHub says that nothing changed."""
        at_home = origin(url) == origin(self.api)
        headers = {}
        if at_home:
            headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        kept = self._kept.find(url) if request.reads and request.sink is None and at_home else None
        if kept is not None:
            headers["If-None-Match"] = kept.etag
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        if request.sink is not None:
            headers["Accept-Encoding"] = "identity"  # a digest is of the bytes as they lie there

        async def trace(name: str, info: Mapping[str, Any]) -> None:
            # of httpcore; a proxy's CONNECT is a request of its own, and no change
            if name.endswith("send_request_headers.started"):
                asked = info.get("request")
                seen.sent = seen.sent or getattr(asked, "method", b"").decode() == request.method

        try:
            async with client.stream(
                request.method, url, headers=headers, content=request.content, extensions={"trace": trace}
            ) as response:
                seen.began = True
                status = seen.status = response.status_code
                told = {name.lower(): value for name, value in response.headers.items()}
                if request.sink is not None and 200 <= status < 300:
                    await pour(response, request.sink)
                    body = b""
                else:
                    body = await body_of(response, request.limit or BODY_LIMIT, self.where)
        finally:
            if not at_home:
                self.counts.elsewhere += 1
            elif seen.sent:
                uncharged = seen.status == 304 and token is not None
                self.counts.add(charged=not uncharged, write=not request.reads)
        answer = Answer(status, told, body, url)
        if at_home:
            self._standing.note_rate(told)
        if status == 304 and kept is not None:
            return kept.answer
        if status == 200 and request.reads and request.sink is None and at_home:
            self._kept.keep(url, answer)
        return answer

    async def _known_token(self) -> str | None:
        async with self._opening:
            if not self._token_known:
                value = await self._token_of()
                if value != self._token:
                    self._kept.clear()  # what another may see is not for this one
                self._token, self._token_known = value, True
            return self._token

    def _origin_of_token(self) -> str:
        if self._token is None:
            return ANONYMOUS
        return str(getattr(self._token_of, "origin", "the configuration"))

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await open_client(
                    self.api, where=self.where, timeout=self.timeout, connections=CONCURRENCY
                )
            return self._client


def _passing(error: LinkError) -> bool:
    """Whether a read may have another answer soon: GitHub's trouble, a lost connection, a link too old."""
    if isinstance(error, Declined):
        return error.status in _PASSING or (error.status == 403 and error.fault is Fault.OTHER)
    return error.fault is Fault.CLOSED


def _word(text: str) -> str:
    import shlex

    return shlex.quote(sanitise_line(text, cap=2048))
