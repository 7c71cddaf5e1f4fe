"""Every way in which a server can fail is told apart, and none outlasts the time-out."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from pathlib import Path

import pytest

from muva_console.ops.errors import Fault
from muva_console.ops.links.base import CommandLog, LinkStatus
from muva_console.ops.links.resolver import Resolver
from muva_console.ops.links.web import BODY_LIMIT, WebLink
from tests.patience import HANG

from .conftest import Authority, page, replying, serving


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_port_where_nothing_listens_is_refused(web: WebLink) -> None:
    answer = await web.get(f"http://127.0.0.1:{closed_port()}/", timeout=5)
    assert (answer.status, answer.fault, answer.own_side) == (None, Fault.REFUSED, False)
    assert web.state.status is LinkStatus.DOWN
    assert web.state.error is not None
    assert web.state.error.fault is Fault.REFUSED


async def test_a_name_that_does_not_exist_is_dns(web: WebLink) -> None:
    answer = await web.get("http://no-such-name.invalid/", timeout=10)
    assert answer.fault is Fault.DNS
    assert "no-such-name.invalid" in answer.error


async def test_a_resolver_that_does_not_answer_says_nothing_of_the_server(log: CommandLog) -> None:
    def silent(host: str, port: int) -> list[tuple[int, str]]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    answer = await WebLink("web", log, resolver=Resolver(silent)).get("http://app.test/", timeout=5)
    assert (answer.fault, answer.own_side) == (Fault.DNS, True)


async def test_a_hanging_look_up_times_out_and_holds_up_nobody(log: CommandLog) -> None:
    import threading

    release = threading.Event()
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[tuple[int, str]]:
        asked.append(host)
        if host.startswith("hanging"):
            release.wait(2 * HANG)
        return [(int(socket.AF_INET), "127.0.0.1")]

    async with serving(replying(page(b"{}"))) as port:
        link = WebLink("web", log, resolver=Resolver(lookup))
        await link.get(f"http://127.0.0.1:{port}/", timeout=5)
        hanging = [link.get(f"http://hanging{n % 40}.test:{port}/", timeout=0.5) for n in range(80)]
        async with asyncio.timeout(HANG):
            quick = link.get(f"http://quick.test:{port}/", timeout=HANG)
            answers = await asyncio.gather(*hanging, quick)
        release.set()
    assert {a.fault for a in answers[:-1]} == {Fault.TIMEOUT}
    assert "name was not resolved" in answers[0].error
    assert answers[-1].status == 200
    assert answers[-1].timing.dns is not None
    assert len(asked) == 41, "eighty requests for forty names are forty look-ups"


async def test_no_route_is_our_own_side(web: WebLink) -> None:
    answer = await web.get("http://255.255.255.255:81/", timeout=5)
    assert (answer.fault, answer.own_side) == (Fault.UNREACHABLE, True)


async def test_the_second_address_is_used_when_the_first_refuses(log: CommandLog) -> None:
    def both(host: str, port: int) -> list[tuple[int, str]]:
        return [(int(socket.AF_INET6), "::1"), (int(socket.AF_INET), "127.0.0.1")]

    async with serving(replying(page(b"{}"))) as port:
        answer = await WebLink("web", log, resolver=Resolver(both)).get(f"http://app.test:{port}/", timeout=5)
    assert answer.status == 200


async def test_a_server_that_accepts_and_says_nothing(web: WebLink) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        async with asyncio.timeout(HANG):
            answer = await web.get(f"http://127.0.0.1:{port}/", timeout=0.4)
    assert answer.fault is Fault.TIMEOUT
    assert answer.error == "connected, but no answer within 0.4 s"
    assert answer.timing.connect is not None


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
async def test_dripping_bytes_do_not_stretch_the_deadline(web: WebLink, first: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first or b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(drip) as port:
        async with asyncio.timeout(HANG):
            answer = await web.get(f"http://127.0.0.1:{port}/", timeout=0.5)
    assert answer.fault is Fault.TIMEOUT
    assert answer.status == (200 if first else None)
    assert answer.json is None


async def test_an_infinite_body_is_cut(web: WebLink) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"a" * 65536)
            await writer.drain()

    async with serving(pour) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert (answer.status, answer.fault, answer.body_truncated) == (200, None, True)
    assert len(answer.body) == BODY_LIMIT


async def test_a_gzip_bomb_is_not_inflated(web: WebLink) -> None:
    bomb = gzip.compress(b"\0" * 100_000_000, 1)
    raw = page(bomb, headers="Content-Encoding: gzip\r\n")
    async with serving(replying(raw)) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=HANG)
    assert answer.body_truncated
    assert len(answer.body) <= BODY_LIMIT


async def test_a_compressed_document_is_read(web: WebLink) -> None:
    raw = page(gzip.compress(b'{"status":"healthy"}'), headers="Content-Encoding: gzip\r\n")
    async with serving(replying(raw)) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.json == {"status": "healthy"}


async def test_ten_megabytes_of_headers_are_refused(web: WebLink) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"p" * 10_000_000 + b"\r\n\r\n"
    async with serving(replying(raw)) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=10)
    assert answer.status is None
    assert answer.fault is Fault.TOO_LARGE


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Fault.PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Fault.PROTOCOL),
        (b"\x00\xff\x1b]52;c;QUJD\x07 garbage\r\n\r\n", Fault.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n", Fault.PROTOCOL),
        (b"", Fault.CLOSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Fault.CLOSED),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip at all", Fault.PROTOCOL),
    ],
)
async def test_what_is_not_http_is_told(web: WebLink, raw: bytes, fault: Fault) -> None:
    async with serving(replying(raw)) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.fault is fault
    assert answer.error
    assert "\x1b" not in answer.error


async def test_a_reset_connection_is_closed_not_refused(web: WebLink) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    async with serving(reset) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.fault is Fault.CLOSED


async def test_escapes_and_nuls_in_a_body_are_harmless(web: WebLink) -> None:
    body = b'{"status":"heal\\u0000thy"}\x1b[2J\x1b]52;c;QUJD\x07\x00\xff\xfe<b>[red]'
    async with serving(replying(page(body))) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.status == 200
    assert "\x1b" not in answer.body
    assert "\x00" not in answer.body
    assert "QUJD" not in answer.body
    assert "[red]" in answer.body


async def test_bottomless_json_is_text(web: WebLink) -> None:
    async with serving(replying(page(b"[" * 60_000))) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.status == 200
    assert answer.json is None


class TestTls:
    def trusting(self, log: CommandLog, authority: Authority) -> WebLink:
        return WebLink("web", log, context=ssl.create_default_context(cafile=str(authority.root)))

    async def test_a_good_certificate_is_read(self, log: CommandLog, authority: Authority) -> None:
        async with serving(replying(page(b"{}")), authority.server(days=30)) as port:
            answer = await self.trusting(log, authority).get(f"https://127.0.0.1:{port}/", timeout=5)
        assert (answer.status, answer.fault) == (200, None)
        assert answer.timing.tls is not None
        assert answer.timing.tls > 0
        assert answer.certificate_expires is not None
        assert 29 <= (answer.certificate_expires - answer.at).total_seconds() / 86400 <= 30
        assert "Test CA" in answer.certificate_issuer
        assert "\x1b" not in answer.certificate_issuer

    async def test_an_expired_one_says_when(self, log: CommandLog, authority: Authority) -> None:
        async with serving(replying(page(b"{}")), authority.server(days=-3)) as port:
            answer = await self.trusting(log, authority).get(f"https://127.0.0.1:{port}/", timeout=5)
        assert (answer.status, answer.fault) == (None, Fault.TLS)
        assert "expired" in answer.error
        assert answer.certificate_expires is not None
        assert -4 <= (answer.certificate_expires - answer.at).total_seconds() / 86400 <= -2.9
        assert "Test CA" in answer.certificate_issuer

    async def test_a_wrong_name_is_not_accepted(self, log: CommandLog, authority: Authority) -> None:
        async with serving(replying(page(b"{}")), authority.server(names=("other.test",))) as port:
            answer = await self.trusting(log, authority).get(f"https://127.0.0.1:{port}/", timeout=5)
        assert (answer.status, answer.fault) == (None, Fault.TLS)
        assert "127.0.0.1" in answer.error

    async def test_a_self_signed_one_is_not_accepted(self, log: CommandLog, authority: Authority) -> None:
        async with serving(replying(page(b"{}")), authority.server(self_signed=True)) as port:
            answer = await self.trusting(log, authority).get(f"https://127.0.0.1:{port}/", timeout=5)
        assert (answer.status, answer.fault) == (None, Fault.TLS)
        assert "self-signed" in answer.error or "self signed" in answer.error

    async def test_an_unknown_authority_is_not_accepted(self, web: WebLink, authority: Authority) -> None:
        async with serving(replying(page(b"{}")), authority.server()) as port:
            answer = await web.get(f"https://127.0.0.1:{port}/", timeout=5)
        assert answer.fault is Fault.TLS

    async def test_plain_http_behind_https_is_tls(self, web: WebLink) -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        async with serving(plain) as port:
            answer = await web.get(f"https://127.0.0.1:{port}/", timeout=5)
        assert answer.fault is Fault.TLS

    async def test_silence_in_the_handshake_times_out(self, web: WebLink) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with serving(silent) as port:
            answer = await web.get(f"https://127.0.0.1:{port}/", timeout=0.4)
        assert answer.fault is Fault.TIMEOUT
        assert answer.error == "connected, but no TLS handshake within 0.4 s"

    async def test_the_machines_trust_store_is_used(
        self, log: CommandLog, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from muva_console.ops.links import tls

        monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        context = tls.verifying_context.__wrapped__()
        async with serving(replying(page(b"{}")), authority.server()) as port:
            answer = await WebLink("web", log, context=context).get(f"https://127.0.0.1:{port}/", timeout=5)
        assert answer.status == 200
