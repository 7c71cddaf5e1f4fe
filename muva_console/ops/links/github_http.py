"""GitHub's REST API over HTTP: bounded, conditional, paged, and careful with the token.

The token goes to the host of `api` and to no other: a redirect elsewhere (logs and artifacts lie on a
host for blobs, which rejects it) is followed without. Answers are kept with their ETag, and a 304 costs
nothing of the limit (docs.github.com, "Best practices for using the REST API").
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.addresses import curl_line, shown_url
from muva_console.ops.links.base import CommandLog, CommandRecord, LinkState, LinkStatus, OnState
from muva_console.ops.links.github_errors import ANONYMOUS, failure, moment, refusal
from muva_console.ops.links.github_model import Rate, RateLimited
from muva_console.ops.links.http_client import open_client
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

API_VERSION = "2022-11-28"
BODY_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer. Ours: a comparison with 300 patches has a few megabytes."""
CONCURRENCY = 8
"""Requests at once. GitHub allows 100 for all that use a token; it asks to make few."""
KEPT_ANSWERS = 512
KEPT_BYTES = 16 * 1024 * 1024
REDIRECTS = 3
PAGES = 20
"""Pages of 100 that are followed. Ours: 2,000 of anything are more than somebody reads."""
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,<]*\brel="?next"?')

Token = Callable[[], Awaitable[str | None]]


class Answer(Struct, frozen=True):
    """An answer that was had whole."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    url: str


class _Kept(Struct, frozen=True):
    etag: str
    answer: Answer


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
        self.rate: Rate | None = None
        self._token_of = token
        self._token: str | None = None
        self._token_known = False
        self._log = log
        self._on_state = on_state
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(CONCURRENCY)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._blocked: tuple[float, RateLimited] | None = None
        self.state = LinkState(name="github", status=LinkStatus.UNUSED, since=utc_now())

    @property
    def where(self) -> str:
        """The API's host, as errors name it."""
        return sanitise_line(urlsplit(self.api).netloc.rpartition("@")[2], cap=255)

    async def get(self, path: str, kind: type[T]) -> T:
        """The JSON at a path of the API. Raises LinkError."""
        return decode(await self.ask(path), kind, self.where)

    async def pages(self, path: str, kind: type[list[T]], *, most: int = PAGES) -> list[T]:
        """The items of all pages, at most `most` of them. Raises LinkError."""
        found: list[T] = []
        url: str | None = path + ("&" if "?" in path else "?") + "per_page=100"
        for _ in range(most):
            if url is None:
                break
            answer = await self.ask(url)
            found += decode(answer, kind, self.where)
            url = self.next_page(answer)
        return found

    def next_page(self, answer: Answer) -> str | None:
        """The address of the page after an answer; None after the last one and for one on another host."""
        found = _NEXT.search(answer.headers.get("link", ""))
        if found is None:
            return None
        url = urljoin(answer.url, found[1])
        return url if _origin(url) == _origin(self.api) else None

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        limit: int = BODY_LIMIT,
    ) -> Answer:
        """Ask for a path of the API, or for a whole address of it; the answer, redirects followed.

        Raises LinkError for all that is not 2xx. A GET that its connection failed before an answer is
        asked once more; nothing else is ever sent twice.
        """
        url = path if "://" in path else self.api + path
        if self._blocked is not None and time.monotonic() < self._blocked[0]:
            told = self._blocked[1]
            raise RateLimited(told.what, until=told.until, where=told.where, means=told.means)
        began = time.perf_counter()
        self._set(LinkStatus.OPENING)
        outcome = "given up"
        try:
            async with self._room:
                answer = await self._within_time(url, method, body, limit)
            outcome = str(answer.status)
        except LinkError as error:
            outcome = str(error.fault)
            self._judge(error)
            raise
        finally:
            self._record(url, method, outcome, (time.perf_counter() - began) * 1000)
        self._set(LinkStatus.UP)
        return answer

    def line(self, path: str) -> str:
        """A GET of a path as a person would type it, the token by its variable."""
        if self.api == "https://api.github.com":
            return f"gh api {shell_word(path.lstrip('/'))}"
        return f'curl -sS -H "Authorization: Bearer $GH_TOKEN" {shell_word(self.api + path)}'

    async def close(self) -> None:
        """Close what is open; the link may be used again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        self._set(LinkStatus.CLOSED)

    async def _within_time(
        self, url: str, method: str, body: Mapping[str, Any] | None, limit: int
    ) -> Answer:  # fmt: skip
        token = await self._known_token()
        client = await self._opened()
        for again in (method == "GET", False):
            seen = _Seen()
            try:
                async with asyncio.timeout(self.timeout):
                    return await self._follow(client, url, method, body, limit, token, seen)
            except LinkError:
                raise
            except Exception as error:  # httpx, httpcore, OSError, TimeoutError: all the network's
                told = failure(error, where=self.where, timeout=self.timeout, began=seen.began)
                if not (again and told.fault is Fault.CLOSED and not seen.began):
                    raise told from None
        raise AssertionError("the second time raises or returns")

    async def _follow(
        self,
        client: httpx.AsyncClient,
        url: str,
        method: str,
        body: Mapping[str, Any] | None,
        limit: int,
        token: str | None,
        seen: _Seen,
    ) -> Answer:
        for _ in range(REDIRECTS + 1):
            at_home = _origin(url) == _origin(self.api)
            headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
            kept = self._kept.get(url) if method == "GET" and at_home else None
            if at_home and token is not None:
                headers["Authorization"] = f"Bearer {token}"
            if kept is not None:
                headers["If-None-Match"] = kept.etag
            content = msgspec.json.encode(body) if body is not None else None
            async with client.stream(method, url, headers=headers, content=content) as response:
                seen.began = True
                told = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status_code, told, await _body(response, limit, self.where), url)
            seen.began = False
            if at_home:
                self._note_rate(told)
            if answer.status == 304 and kept is not None:
                self._kept.move_to_end(url)
                return kept.answer
            if answer.status in (301, 302, 303, 307, 308) and "location" in told:
                if method != "GET":
                    raise LinkError(
                        Fault.PROTOCOL,
                        "GitHub sends it elsewhere, and nothing was done",
                        where=self.where,
                        means="the repository may have been renamed",
                        next="Name it in [project] repository as it is called now.",
                    )
                target = urljoin(url, told["location"])
                if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                    raise LinkError(Fault.PROTOCOL, "redirected to an address without TLS", where=self.where)
                url = target
                continue
            if answer.status >= 400:
                raise refusal(
                    answer.status,
                    told,
                    _message(answer.body),
                    where=self.where,
                    token=self._origin_of_token(),
                )
            if not 200 <= answer.status < 300:
                raise LinkError(Fault.PROTOCOL, f"GitHub answers {answer.status}", where=self.where)
            if method == "GET" and at_home:
                self._keep(url, answer)
            return answer
        raise LinkError(Fault.PROTOCOL, f"more than {REDIRECTS} redirects", where=self.where)

    async def _known_token(self) -> str | None:
        async with self._opening:
            if not self._token_known:
                value = await self._token_of()
                if value != self._token:
                    self._kept.clear()  # what another may see is not for this one
                    self._kept_bytes = 0
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

    def _keep(self, url: str, answer: Answer) -> None:
        etag = answer.headers.get("etag", "")
        if not etag or len(answer.body) > KEPT_BYTES // 8:
            return
        before = self._kept.pop(url, None)
        self._kept_bytes += len(answer.body) - (len(before.answer.body) if before else 0)
        self._kept[url] = _Kept(etag, answer)
        while len(self._kept) > KEPT_ANSWERS or self._kept_bytes > KEPT_BYTES:
            _, gone = self._kept.popitem(last=False)
            self._kept_bytes -= len(gone.answer.body)

    def _note_rate(self, headers: Mapping[str, str]) -> None:
        limit, remaining = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
        resets = moment(headers.get("x-ratelimit-reset"))
        if limit.isdecimal() and remaining.isdecimal() and resets is not None:
            self.rate = Rate(limit=int(limit), remaining=int(remaining), resets=resets)

    def _judge(self, error: LinkError) -> None:
        if isinstance(error, RateLimited):
            wait = (error.until - utc_now()).total_seconds()
            self._blocked = (time.monotonic() + wait, error)
        if error.fault is Fault.AUTH:
            self._token_known = False  # it may have been renewed meanwhile
        # a 404 is an answer: the link is well
        self._set(LinkStatus.UP if error.fault is Fault.MISSING else LinkStatus.DOWN, error)

    def _set(self, status: LinkStatus, error: LinkError | None = None) -> None:
        before = self.state
        if status is LinkStatus.OPENING and before.status in (LinkStatus.UP, LinkStatus.DOWN):
            return  # asking again does not make what is known unknown
        kept = error if status is LinkStatus.DOWN else None
        since = before.since if before.status is status else utc_now()
        detail = ""
        if self.rate is not None:
            detail = f"{self.rate.remaining:,} of {self.rate.limit:,} requests left"
        self.state = LinkState(name=before.name, status=status, since=since, error=kept, detail=detail)
        if self._on_state is not None and (before.status is not status or kept is not None):
            self._on_state(self.state)

    def _record(self, url: str, method: str, outcome: str, took_ms: float) -> None:
        if self._log is not None:
            bearing = {"Authorization": "Bearer …"} if self._token else None
            line = curl_line(url, timeout=self.timeout, method=method, headers=bearing)
            self._log.add(
                CommandRecord(at=utc_now(), where=self.where, line=line, took_ms=took_ms, outcome=outcome)
            )


class _Seen:
    """How far an exchange came."""

    began = False


def decode(answer: Answer, kind: type[T], where: str) -> T:
    """An answer as what GitHub describes it to be. Raises LinkError(PROTOCOL)."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.ValidationError as error:
        what = f"the answer is not what GitHub describes: {sanitise_line(str(error), cap=200)}"
    except (msgspec.DecodeError, RecursionError, ValueError):
        kind_told = sanitise_line(answer.headers.get("content-type", "nothing"), cap=80)
        what = f"the answer is not JSON ({kind_told}, {len(answer.body):,} bytes)"
    raise LinkError(
        Fault.PROTOCOL,
        what,
        where=where,
        means="something else than GitHub's API may answer there (a proxy, a login page)",
        next=f"Look at {shown_url(answer.url)}.",
    )


def shell_word(text: str) -> str:
    """Quoted for a shell."""
    import shlex

    return shlex.quote(sanitise_line(text, cap=2048))


async def _body(response: httpx.Response, limit: int, where: str) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            raise LinkError(Fault.TOO_LARGE, f"the answer has more than {limit:,} bytes", where=where)
    return bytes(data)


class _Message(Struct):
    message: str = ""


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Message).message
    except (msgspec.DecodeError, RecursionError, ValueError):
        return ""


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        split = urlsplit(url)
        port = split.port or {"https": 443, "http": 80}.get(split.scheme)
    except ValueError:
        return ("", url, None)
    return (split.scheme, (split.hostname or "").lower(), port)
