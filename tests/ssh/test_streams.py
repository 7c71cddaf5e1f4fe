"""Long-running commands: their output as it comes, bounded, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil
import pytest

from muva_console.config.model import Seconds
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import ssh, ssh_wrap
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.ssh import SshLink
from tests.ssh.conftest import MakeLink
from tests.ssh.servers import Proxy, Server, Tag, until


async def test_output_comes_while_the_command_runs(link: SshLink) -> None:
    async with link.stream("echo one; read -r never; sleep 620") as chunks:
        assert await anext(chunks) == b"one\n"


async def test_it_stops_when_the_command_ends(link: SshLink) -> None:
    async with link.stream("echo a; echo b >&2; echo c") as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"a\nc\n"


async def test_errors_come_along_when_asked_for(link: SshLink) -> None:
    async with link.stream("echo a; echo b >&2", stderr=True) as chunks:
        assert sorted(b"".join([chunk async for chunk in chunks]).split()) == [b"a", b"b"]


async def test_leaving_ends_the_command_and_its_children(link: SshLink) -> None:
    tag = Tag()
    async with link.stream(
        tag("sleep 621 & (trap '' TERM; sleep 622; sleep 623) & echo on; sleep 624")
    ) as chunks:
        await anext(chunks)
        await until(lambda: len(tag.alive()) >= 3, what="the command and its children to run")
    await until(lambda: not tag.alive(), what="the end of the command and its children")


async def test_a_cancelled_reader_ends_it_too(link: SshLink) -> None:
    tag = Tag()

    async def follow() -> None:
        async with link.stream(tag("echo on; sleep 625")) as chunks:
            async for _ in chunks:
                pass

    task = asyncio.create_task(follow())
    await until(tag.alive, what="the command to run")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: not tag.alive(), what="the command's end")


async def test_a_slow_reader_costs_no_memory(link: SshLink) -> None:
    async with link.stream("head -c 300000000 /dev/zero") as chunks:
        await anext(chunks)
        before = psutil.Process().memory_info().rss
        most = 0
        for _ in range(10):
            await asyncio.sleep(0.03)
            most = max(most, psutil.Process().memory_info().rss - before)
        assert most < 40_000_000
        total = len(await anext(chunks))
        assert 0 < total < 10_000_000


async def test_nothing_is_lost_on_the_way(link: SshLink) -> None:
    async with link.stream("seq 1 400000") as chunks:
        data = bytearray()
        async for chunk in chunks:
            data += chunk
            if len(data) % 3 == 0:
                await asyncio.sleep(0.002)
    assert data == b"".join(b"%d\n" % n for n in range(1, 400001))


async def test_a_dropped_connection_is_told(server: Server, link: SshLink) -> None:
    tag = Tag()
    with pytest.raises(LinkError) as caught:
        async with link.stream(tag("while :; do echo x; sleep 0.05; done")) as chunks:
            await anext(chunks)
            await server.drop()
            async for _ in chunks:
                pass
    assert caught.value.fault is Fault.CLOSED
    await until(lambda: not tag.alive(), what="the command's end")
    assert (await link.run("echo back")).stdout == b"back\n"


async def test_a_network_gone_silent_is_noticed(server: Server, proxy: Proxy, make_link: MakeLink) -> None:
    link = make_link(server.host(port=proxy.port, keepalive=Seconds(0.2)))
    with pytest.raises(LinkError) as caught:
        async with link.stream("while :; do echo x; sleep 0.05; done") as chunks:
            await anext(chunks)
            proxy.freeze()
            async for _ in chunks:
                pass
    assert caught.value.fault is Fault.CLOSED
    assert "stopped answering" in caught.value.what


async def test_a_stream_that_nobody_keeps_alive_ends_itself(
    server: Server, make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when this machine vanishes without closing the connection."""
    monkeypatch.setattr(ssh, "SILENCE_LEAST", 1.2)
    monkeypatch.setattr(ssh_wrap, "BEAT", b"")
    link = make_link(server.host(keepalive=Seconds(0.3)))
    tag = Tag()
    began = time.monotonic()
    async with link.stream(tag("echo on; exec sleep 626")) as chunks:
        await anext(chunks)
        with contextlib.suppress(LinkError):
            assert [chunk async for chunk in chunks] == []
    assert time.monotonic() - began > 1
    await until(lambda: not tag.alive(), what="the command's end")


async def test_a_stream_that_is_kept_alive_stays(
    server: Server, make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "SILENCE_LEAST", 2.0)  # a beat every half second, of which three may be late
    link = make_link(server.host(keepalive=Seconds(0.2)))
    async with link.stream("sleep 2.4; echo still") as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"still\n"


async def test_streams_are_on_record(server: Server, make_link: MakeLink) -> None:
    log = CommandLog()
    link = make_link(server.host(), log=log)
    async with link.stream("echo a") as chunks:
        async for _ in chunks:
            pass
    async with link.stream("sleep 627"):
        pass
    assert [(record.line, record.outcome) for record in log.records()[1:]] == [
        ("echo a", "exit 0"),
        ("sleep 627", "ended here"),
    ]
