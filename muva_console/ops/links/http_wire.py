"""One HTTP/1.1 connection: sockets and TLS are asyncio's, the protocol is h11's, the clock is ours.

httpx is not used here. It resolves and connects in one step that cannot be timed apart, looks into
.netrc of its own accord, inflates without bound, and costs about 1.6 ms of processor time for each new
connection where this costs 0.6 (bench/health.py: 1.4 × the slowest of 200 endpoints against 1.1 ×).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
import zlib
from collections.abc import Sequence

import h11
from msgspec import Struct

from muva_console.ops.errors import Fault
from muva_console.ops.links.addresses import Proxy
from muva_console.ops.links.http_exchange import Exchange, Trouble
from muva_console.ops.links.resolver import Resolver
from muva_console.ops.links.tls import certificate_of
from muva_console.ops.text import sanitise_line

STAGGER = 0.25
"""Seconds before the next address is tried beside the first (RFC 8305: 250 ms)."""
HEADERS_LIMIT = 100 * 1024
"""Bytes of an answer's head. Ours; Node's own limit is 16 KiB."""
CHUNK = 64 * 1024
KEPT_IDLE = 30.0
"""Seconds after which an idle connection is not used again."""


class Target(Struct, frozen=True, kw_only=True):
    """Where a request goes: the parts of its URL as HTTP wants them."""

    tls: bool
    host: str
    """ASCII (IDNA)."""
    port: int
    path: str
    """Percent-encoded, with the query."""

    @property
    def authority(self) -> str:
        """HOST or HOST:PORT, as in the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


class Wire:
    """An open connection. One request at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, through_proxy: bool
    ) -> None:
        self._reader, self._writer = reader, writer
        self._through_proxy = through_proxy
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_LIMIT)
        self._used = time.monotonic()
        tls = writer.get_extra_info("ssl_object")
        self.certificate = certificate_of(tls)

    @classmethod
    async def open(
        cls,
        target: Target,
        exchange: Exchange,
        *,
        resolver: Resolver,
        context: ssl.SSLContext,
        proxy: Proxy | None,
    ) -> Wire:
        """Connect, through the proxy if there is one; the times of the phases go to `exchange`.

        Raises OSError, ssl.SSLError, ResolveError or Trouble.
        """
        host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
        exchange.phase = "dns"
        resolved = await resolver.resolve(host, port)
        # a proxy looks the name up itself: how long that takes cannot be told
        exchange.dns = None if proxy else resolved.took_ms
        exchange.phase = "connect"
        began = time.perf_counter()
        link, address = await _connect(resolved.addresses, port)
        exchange.connect = (time.perf_counter() - began) * 1000
        exchange.address = "" if proxy else address
        try:
            if proxy and target.tls:
                exchange.phase = "proxy"
                await _through(link, target, proxy)
            began = time.perf_counter()
            if target.tls:
                exchange.phase = "tls"
                reader, writer = await asyncio.open_connection(
                    sock=link, ssl=context, server_hostname=target.host, limit=CHUNK
                )
                exchange.tls = (time.perf_counter() - began) * 1000
            else:
                reader, writer = await asyncio.open_connection(sock=link, limit=CHUNK)
        except BaseException:
            link.close()
            raise
        wire = cls(reader, writer, through_proxy=proxy is not None and not target.tls)
        exchange.certificate = wire.certificate
        return wire

    @property
    def usable(self) -> bool:
        """Whether another request may be made: the last one ended well and the server has not hung up."""
        return (
            self._http.our_state is h11.IDLE
            and not self._reader.at_eof()
            and not self._writer.is_closing()
            and time.monotonic() - self._used < KEPT_IDLE
        )

    async def ask(
        self,
        target: Target,
        exchange: Exchange,
        *,
        method: str,
        headers: Sequence[tuple[str, str]],
        body_limit: int,
    ) -> None:
        """Make one request and write down what comes of it. Raises OSError, zlib.error or Trouble."""
        exchange.certificate = self.certificate
        exchange.phase = "answer"
        path = f"http://{target.authority}{target.path}" if self._through_proxy else target.path
        try:
            request = h11.Request(method=method, target=path, headers=list(headers))
            head = self._http.send(request) + self._http.send(h11.EndOfMessage())
        except (h11.LocalProtocolError, UnicodeError):
            # h11 quotes the offending header, which may be a credential
            what = "the request is not legal HTTP: look at its headers"
            raise Trouble(Fault.CONFIG, what, own_side=True) from None
        began = time.perf_counter()
        self._writer.write(head)
        await self._writer.drain()
        await self._read_head(exchange)
        exchange.first_byte = (time.perf_counter() - began) * 1000
        exchange.phase = "body"
        await self._read_body(exchange, body_limit)
        self._used = time.monotonic()

    def abort(self) -> None:
        """Close at once; nobody is waited for."""
        self._writer.transport.abort()

    async def _read_head(self, exchange: Exchange) -> None:
        while True:
            event = await self._event(exchange)
            if isinstance(event, h11.Response):
                break
        exchange.status = event.status_code
        for name, value in event.headers:
            exchange.headers.setdefault(name.decode("latin-1"), sanitise_line(value, cap=2048))

    async def _read_body(self, exchange: Exchange, limit: int) -> None:
        """At most `limit` bytes, decoded. What was compressed is inflated no further than that either."""
        coding = exchange.headers.get("content-encoding", "").lower()
        inflate = zlib.decompressobj(47) if coding in ("gzip", "x-gzip", "deflate") else None
        body = bytearray()
        try:
            while isinstance(event := await self._event(exchange), h11.Data):
                room = limit - len(body)
                piece = event.data if inflate is None else inflate.decompress(event.data, room + 1)
                body += piece[:room]
                if len(piece) > room:
                    exchange.truncated = True
                    return
        finally:
            exchange.body = bytes(body)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()

    async def _event(self, exchange: Exchange) -> h11.Event | type[h11.PAUSED]:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise _broken(error, exchange) from None
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            data = await self._reader.read(CHUNK)
            if not data and exchange.phase == "answer":
                if exchange.heard:
                    raise Trouble(Fault.PROTOCOL, "what answers there does not speak HTTP")
                raise Trouble(Fault.CLOSED, "the server closed the connection without an answer")
            exchange.heard = True
            self._http.receive_data(data)


def _broken(error: h11.RemoteProtocolError, exchange: Exchange) -> Trouble:
    said = sanitise_line(str(error), cap=200)
    if "too long" in said:
        return Trouble(Fault.TOO_LARGE, f"the answer's head is larger than {HEADERS_LIMIT // 1024} KiB")
    if exchange.phase == "body":
        return Trouble(Fault.CLOSED, f"the answer broke off: {said}")
    return Trouble(Fault.PROTOCOL, f"what answers there does not speak HTTP: {said}")


async def _connect(addresses: Sequence[tuple[int, str]], port: int) -> tuple[socket.socket, str]:
    """A socket to the first address that takes one, the next tried beside it after `STAGGER` (RFC 8305)."""
    if len(addresses) == 1:
        return await _dial(*addresses[0], port), addresses[0][1]
    waiting = list(addresses)
    trying: dict[asyncio.Task[socket.socket], str] = {}
    errors: list[BaseException] = []
    try:
        while True:
            if waiting:
                family, address = waiting.pop(0)
                trying[asyncio.create_task(_dial(family, address, port))] = address
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
            if isinstance(outcome, socket.socket):
                outcome.close()


async def _dial(family: int, address: str, port: int) -> socket.socket:
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        link.setblocking(False)
        await asyncio.get_running_loop().sock_connect(link, (address, port))
    except BaseException:
        link.close()
        raise
    return link


async def _through(link: socket.socket, target: Target, proxy: Proxy) -> None:
    """Have the proxy connect us to the target (RFC 9110, 9.3.6). Raises OSError or Trouble."""
    loop = asyncio.get_running_loop()
    host = f"[{target.host}]" if ":" in target.host else target.host
    place = f"{host}:{target.port}"
    headers = [("Host", place), *proxy.headers()]
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_LIMIT)
    request = http.send(h11.Request(method="CONNECT", target=place, headers=headers))
    await loop.sock_sendall(link, (request or b"") + (http.send(h11.EndOfMessage()) or b""))
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            # byte by byte: what comes after the head is TLS and not ours to take
            data = await loop.sock_recv(link, 1)
            if not data:
                raise Trouble(Fault.CLOSED, "the proxy hung up", own_side=True)
            http.receive_data(data)
    except h11.RemoteProtocolError:
        raise Trouble(Fault.PROTOCOL, "the proxy does not speak HTTP", own_side=True) from None
    if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
        status = getattr(event, "status_code", "nothing")
        raise Trouble(Fault.PROTOCOL, f"the proxy refused: {status}", own_side=True)
