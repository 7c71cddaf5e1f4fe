"""What a request carries, how it is told, and what is shared between requests."""

from __future__ import annotations

import asyncio
import shlex
import subprocess

import pytest

from muva_console.ops.errors import Fault
from muva_console.ops.links.addresses import curl_line, shown_url
from muva_console.ops.links.base import CommandLog, LinkStatus
from muva_console.ops.links.web import WebLink
from tests.patience import HANG

from .conftest import page, replying, serving


async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(page(b'{"status":"healthy"}'))
        await writer.drain()


async def test_an_answer_has_its_body_and_its_phases(web: WebLink) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.15)
        writer.write(page(b'{"status":"healthy","version":"1.4.2"}'))
        await writer.drain()

    async with serving(slow) as port:
        answer = await web.get(f"http://localhost:{port}/api/health", timeout=5)
    assert (answer.status, answer.fault, answer.answered) == (200, None, True)
    assert answer.json == {"status": "healthy", "version": "1.4.2"}
    assert answer.content_type == "application/json"
    timing = answer.timing
    assert timing.dns is not None
    assert timing.connect is not None
    assert timing.tls is None
    assert timing.first_byte is not None
    assert 140 < timing.first_byte <= timing.total
    assert timing.dns + timing.connect + timing.first_byte <= timing.total
    assert web.state.status is LinkStatus.UP


async def test_a_redirect_is_told_and_not_followed(web: WebLink) -> None:
    asked = 0

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await replying(page(b"", status="307 Temporary Redirect", headers="Location: /login?token=abc\r\n"))(
            reader, writer
        )

    async with serving(redirect) as port:
        answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5)
    assert (answer.status, answer.location, asked) == (307, "/login?token=***", 1)


@pytest.mark.parametrize(
    "url", ["http://dana:hunter2@127.0.0.1/", "http://:hunter2@127.0.0.1:1/", "https://hunter2@127.0.0.1/"]
)
async def test_credentials_in_a_url_are_refused_and_shown_nowhere(
    web: WebLink, log: CommandLog, url: str
) -> None:
    answer = await web.get(url, timeout=5)
    assert (answer.status, answer.fault) == (None, Fault.CONFIG)
    assert "hunter2" not in repr(answer)
    assert "hunter2" not in repr(log.records())
    assert "hunter2" not in repr(web.state)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://", "nonsense", "http://127.0.0.1:99999/", "http://[::1"]
)
async def test_what_is_no_url_is_an_answer_too(web: WebLink, url: str) -> None:
    answer = await web.get(url, timeout=5)
    assert (answer.fault, answer.own_side) == (Fault.CONFIG, True)


async def test_the_log_holds_what_a_person_would_type(web: WebLink, log: CommandLog) -> None:
    async with serving(keep_alive) as port:
        url = f"http://127.0.0.1:{port}/api/health?x=1&api_key=s3cret"
        headers = {"Authorization": "Bearer s3cret", "Accept-Language": "es; it's"}
        await web.get(url, timeout=5, headers=headers)
    (record,) = log.records()
    assert shlex.split(record.line) == [
        "curl",
        "-sS",
        "-m",
        "5",
        "-H",
        "Authorization: ***",
        "-H",
        "Accept-Language: es; it's",
        f"http://127.0.0.1:{port}/api/health?x=1&api_key=***",
    ]
    assert (record.outcome, record.where, record.environment) == ("200", f"127.0.0.1:{port}", "test")
    assert record.took_ms > 0


async def test_the_line_does_what_the_console_did() -> None:
    async with serving(keep_alive) as port:
        line = curl_line(f"http://127.0.0.1:{port}/a b?c='d'", timeout=5)
        process = await asyncio.create_subprocess_shell(
            line.replace("a b", "a%20b"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), HANG)
    assert (process.returncode, out) == (0, b'{"status":"healthy"}'), err


async def test_an_illegal_header_does_not_quote_its_value(web: WebLink, log: CommandLog) -> None:
    async with serving(keep_alive) as port:
        for value in ("s3cret\r\nX-Evil: 1", "s3cret\u20ac"):
            answer = await web.get(f"http://127.0.0.1:{port}/", timeout=5, headers={"Authorization": value})
            assert answer.fault is Fault.CONFIG
            assert "s3cret" not in repr(answer) + repr(log.records()) + repr(web.state)


def test_a_url_with_secrets_is_shown_without_them() -> None:
    assert shown_url("https://u:p@h.test/p?apikey=1&q=2#f") == "https://h.test/p?apikey=***&q=2"
    assert shown_url("https://h.test/") == "https://h.test/"
    assert "\x1b" not in shown_url("https://h.test/\x1b[31m")


async def test_a_fresh_request_opens_a_connection_and_a_kept_one_does_not(web: WebLink) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await keep_alive(reader, writer)

    async with serving(count) as port:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(3):
            assert (await web.get(url, timeout=5, fresh=False)).status == 200
        assert connections == 1
        kept = await web.get(url, timeout=5, fresh=False)
        assert kept.timing.connect is None
        for _ in range(2):
            assert (await web.get(url, timeout=5)).timing.connect is not None
        assert connections == 3


async def test_a_kept_connection_that_was_let_go_is_no_failure(web: WebLink) -> None:
    served = 0

    async def once_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(page(b"{}"))
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # takes the second request and hangs up

    async with serving(once_each) as port:
        url = f"http://127.0.0.1:{port}/"
        assert (await web.get(url, timeout=5, fresh=False)).status == 200
        assert (await web.get(url, timeout=5, fresh=False)).status == 200
    assert served == 2


async def test_a_sample_is_bounded_and_one_line_of_the_log(web: WebLink, log: CommandLog) -> None:
    running = most = 0

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        while True:
            await reader.readuntil(b"\r\n\r\n")
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            writer.write(page(b"{}"))
            await writer.drain()

    async with serving(watch) as port:
        answers = await web.sample(f"http://127.0.0.1:{port}/", 23, timeout=5, concurrency=4)
    assert [a.status for a in answers] == [200] * 23
    assert most == 4
    (record,) = log.records()
    assert record.outcome == "23 of 23 well"


async def test_a_sample_stops_when_it_knows_enough_and_when_its_time_is_up(web: WebLink) -> None:
    async with serving(keep_alive) as port:
        url = f"http://127.0.0.1:{port}/"
        enough = await web.sample(url, 500, timeout=5, concurrency=2, enough=lambda seen: len(seen) >= 10)
        assert 10 <= len(enough) <= 11

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await keep_alive(reader, writer)

    async with serving(slow) as port:
        some = await web.sample(f"http://127.0.0.1:{port}/", 10_000, timeout=HANG, concurrency=2, budget=0.5)
        assert 0 < len(some) < 10_000, "it ends when its time is up, and not when it has them all"


async def test_another_services_trouble_is_not_the_applications(log: CommandLog) -> None:
    async with serving(keep_alive) as port:
        link = WebLink("web", log, origin=f"http://127.0.0.1:{port}")
        assert (await link.get(f"http://127.0.0.1:{port}/", timeout=5)).status == 200
        assert (await link.get("http://127.0.0.1:1/", timeout=5)).fault is Fault.REFUSED
        assert link.state.status is LinkStatus.UP


class TestProxies:
    async def test_loopback_is_never_asked_through_a_proxy(
        self, web: WebLink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        async with serving(keep_alive) as port:
            assert (await web.get(f"http://127.0.0.1:{port}/", timeout=5)).status == 200
            assert (await web.get(f"http://localhost:{port}/", timeout=5)).status == 200

    async def test_another_host_is_asked_through_it(
        self, web: WebLink, log: CommandLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heads: list[bytes] = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(page(b'{"status":"healthy"}'))
            await writer.drain()

        async with serving(proxy) as port:
            monkeypatch.setenv("http_proxy", f"http://dana:hunter2@127.0.0.1:{port}")
            monkeypatch.delenv("no_proxy", raising=False)
            answer = await web.get("http://app.test/api/health", timeout=5)
            assert answer.json == {"status": "healthy"}
            assert heads[0].startswith(b"GET http://app.test/api/health HTTP/1.1\r\n")
            assert b"Proxy-Authorization: Basic" in heads[0]
            assert "hunter2" not in repr(answer) + repr(log.records())

            monkeypatch.setenv("no_proxy", "app.invalid")
            assert (await web.get("http://app.invalid/", timeout=5)).fault is Fault.DNS
            assert len(heads) == 1

    async def test_a_proxy_that_refuses_says_nothing_of_the_server(
        self, web: WebLink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving(replying(page(b"", status="403 Forbidden"))) as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            monkeypatch.delenv("no_proxy", raising=False)
            answer = await web.get("https://app.test/", timeout=5)
        assert (answer.status, answer.fault, answer.own_side) == (None, Fault.PROTOCOL, True)
        assert "403" in answer.error


async def test_a_cancelled_request_leaves_nothing_behind(web: WebLink) -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()
        gone.set()

    arrived = asyncio.Event()
    async with serving(silent) as port:
        task = asyncio.create_task(web.get(f"http://127.0.0.1:{port}/", timeout=30))
        await asyncio.wait_for(arrived.wait(), HANG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), HANG)
