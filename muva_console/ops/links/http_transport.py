"""One HTTP request over httpcore, with the clock on every phase and every failure told apart.

httpx itself stays out of the way: it would follow cookies, .netrc and proxies of its own accord and
decompress without bound. Imported on first use (httpcore costs about 60 ms).
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore

from muva_console.ops.errors import Fault
from muva_console.ops.links.resolver import ResolveError, Resolver
from muva_console.ops.links.tls import NO_CERTIFICATE, Certificate, certificate_of
from muva_console.ops.text import sanitise_line

STAGGER = 0.25
"""Seconds before the next address is tried beside the first (RFC 8305: 250 ms)."""

_exchange: contextvars.ContextVar[Exchange] = contextvars.ContextVar("exchange")


@dataclass(slots=True)
class Exchange:
    """What is known of one request so far; still true when the request is cut short."""

    began: float = field(default_factory=time.perf_counter)
    phase: str = "start"
    """What is being waited for: dns, connect, tls, answer or body."""
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float = 0.0
    address: str = ""
    """The address that was connected to."""
    reused: bool = True
    """No connection had to be opened."""
    certificate: Certificate = NO_CERTIFICATE
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Lower-case names; sanitised values; the first of each name."""
    body: bytes = b""
    truncated: bool = False
    _mark: float = 0.0

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """The extension of httpcore: takes the times between its events."""
        now = time.perf_counter()
        part, _, moment = event.rpartition(".")
        part = part.rpartition(".")[2]
        if part == "connect_tcp" and moment == "started":
            self.reused = False
        elif part == "start_tls":
            if moment == "started":
                self.phase, self._mark = "tls", now
            elif moment == "complete":
                self.tls = (now - self._mark) * 1000
                self.certificate = certificate_of(info["return_value"].get_extra_info("ssl_object"))
        elif part == "send_request_headers" and moment == "started":
            self.phase, self._mark = "answer", now
        elif part == "receive_response_headers" and moment == "complete":
            self.first_byte = (now - self._mark) * 1000
            self.phase = "body"

    def end(self) -> None:
        """Stop the clock."""
        self.total = (time.perf_counter() - self.began) * 1000


class MeasuredBackend(httpcore.AsyncNetworkBackend):
    """Looks names up in our own threads and times the look-up and the connection apart."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first of the host's addresses that takes one."""
        exchange = _exchange.get()
        exchange.phase = "dns"
        resolved = await self._resolver.resolve(host, port)
        exchange.dns = resolved.took_ms
        exchange.phase = "connect"
        began = time.perf_counter()
        stream, exchange.address = await self._first([a for _, a in resolved.addresses], port)
        exchange.connect = (time.perf_counter() - began) * 1000
        return stream

    async def _first(self, addresses: list[str], port: int) -> tuple[httpcore.AsyncNetworkStream, str]:
        if len(addresses) == 1:
            return await self._sockets.connect_tcp(addresses[0], port), addresses[0]
        waiting = list(addresses)
        trying: dict[asyncio.Task[httpcore.AsyncNetworkStream], str] = {}
        errors: list[BaseException] = []
        try:
            while True:
                if waiting:
                    address = waiting.pop(0)
                    trying[asyncio.create_task(self._sockets.connect_tcp(address, port))] = address
                done, _ = await asyncio.wait(
                    trying, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    address = trying.pop(task)
                    error = task.exception()
                    if error is None:
                        return task.result(), address
                    errors.append(error)
                if not trying and not waiting:
                    raise errors[0]
        finally:
            for task in trying:
                task.cancel()
            for outcome in await asyncio.gather(*trying, return_exceptions=True):
                if isinstance(outcome, httpcore.AsyncNetworkStream):
                    await outcome.aclose()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def make_pool(
    resolver: Resolver, context: ssl.SSLContext, proxy: httpcore.Proxy | None = None
) -> httpcore.AsyncConnectionPool:
    """A pool of HTTP/1.1 connections; idle ones are kept for half a minute."""
    return httpcore.AsyncConnectionPool(
        ssl_context=context,
        proxy=proxy,
        max_connections=None,
        max_keepalive_connections=16,
        keepalive_expiry=30.0,
        network_backend=MeasuredBackend(resolver),
    )


async def perform(
    pool: httpcore.AsyncConnectionPool,
    exchange: Exchange,
    *,
    method: str,
    url: str,
    headers: list[tuple[bytes, bytes]],
    body_limit: int,
) -> None:
    """Make one request and write down in `exchange` what comes of it. Raises what went wrong."""
    token = _exchange.set(exchange)
    try:
        request = httpcore.Request(method, url, headers=headers, extensions={"trace": exchange.trace})
        response = await pool.handle_async_request(request)
        try:
            exchange.status = response.status
            for name, value in response.headers:
                exchange.headers.setdefault(name.decode("latin-1").lower(), sanitise_line(value, cap=2048))
            coding = exchange.headers.get("content-encoding", "").lower()
            await _read_body(exchange, response.aiter_stream(), coding, body_limit)
        finally:
            await response.aclose()
    finally:
        _exchange.reset(token)


async def _read_body(exchange: Exchange, chunks: AsyncIterator[bytes], coding: str, limit: int) -> None:
    """At most `limit` bytes, decoded. What was compressed is inflated no further than that either."""
    inflate = zlib.decompressobj(47) if coding in ("gzip", "x-gzip", "deflate") else None
    async for chunk in chunks:
        room = limit - len(exchange.body)
        piece = chunk if inflate is None else inflate.decompress(chunk, room + 1)
        exchange.body += piece[:room]
        if len(piece) > room:
            exchange.truncated = True
            return


class Trouble(Exception):
    """A request that failed, told by kind."""

    def __init__(self, fault: Fault, text: str, *, own_side: bool = False) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.own_side = own_side


def explain(error: BaseException, exchange: Exchange) -> Trouble:
    """What an exception of `perform` means, in the words of a colleague."""
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case Trouble():
                return cause
            case ResolveError():
                return Trouble(Fault.DNS, str(cause), own_side=cause.silent)
            case ssl.SSLCertVerificationError():
                return Trouble(Fault.TLS, f"certificate not accepted: {_plain(cause.verify_message)}")
            case ssl.SSLError():
                said = _plain(cause.reason or "handshake failed").replace("_", " ").lower()
                return Trouble(Fault.TLS, f"TLS failed: {said}")
            case httpcore.ProxyError():
                return Trouble(Fault.PROTOCOL, f"the proxy refused: {_plain(cause)}", own_side=True)
            case zlib.error():
                return Trouble(Fault.PROTOCOL, "the body is not what its content-encoding says")
            case _:
                pass
    if exchange.phase == "tls":
        return Trouble(Fault.TLS, "the connection ended during the TLS handshake")
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None:
            return _explain_os(cause)
    return _explain_protocol(error, exchange)


def _explain_os(error: OSError) -> Trouble:
    match error.errno:
        case errno.ECONNREFUSED:
            return Trouble(Fault.REFUSED, "connection refused: nothing listens there")
        case errno.ENETUNREACH | errno.ENETDOWN | errno.EADDRNOTAVAIL:
            return Trouble(Fault.UNREACHABLE, "no route to that network from here", own_side=True)
        case errno.EHOSTUNREACH | errno.EHOSTDOWN:
            return Trouble(Fault.UNREACHABLE, "no route to the host")
        case errno.ETIMEDOUT:
            return Trouble(Fault.TIMEOUT, "the host does not answer")
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            return Trouble(Fault.CLOSED, "the server cut the connection")
        case errno.EMFILE | errno.ENFILE:
            return Trouble(Fault.OTHER, "this machine has no file descriptors left", own_side=True)
        case errno.EACCES | errno.EPERM:
            return Trouble(Fault.UNREACHABLE, "this machine's firewall forbids it", own_side=True)
        case _:
            return Trouble(Fault.OTHER, _plain(error.strerror or error))


def _explain_protocol(error: BaseException, exchange: Exchange) -> Trouble:
    match error:
        case httpcore.RemoteProtocolError() if "disconnected" in str(error):
            return Trouble(Fault.CLOSED, "the server closed the connection without an HTTP answer")
        case httpcore.RemoteProtocolError() if "too long" in str(error):
            return Trouble(Fault.TOO_LARGE, "the answer's headers are larger than 100 KiB")
        case httpcore.RemoteProtocolError() if exchange.phase == "body":
            return Trouble(Fault.CLOSED, f"the answer broke off: {_plain(error)}")
        case httpcore.RemoteProtocolError():
            return Trouble(Fault.PROTOCOL, f"not HTTP: {_plain(error)}")
        case httpcore.ReadError() | httpcore.WriteError():
            return Trouble(Fault.CLOSED, "the server cut the connection")
        case httpcore.TimeoutException():
            return Trouble(Fault.TIMEOUT, "the host does not answer")
        case httpcore.LocalProtocolError() | httpcore.UnsupportedProtocol():
            # httpcore quotes the offending header, which may be a credential
            return Trouble(Fault.CONFIG, "the request is not legal HTTP: look at its headers", own_side=True)
        case _:
            return Trouble(Fault.OTHER, f"{type(error).__name__}: {_plain(error)}")


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    """The exception, what it came from, and the members of groups; each once."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        one = queue.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            queue.extend(one.exceptions)
        queue.extend((one.__cause__, one.__context__))


def _plain(text: object) -> str:
    return sanitise_line(str(text), cap=200)
