"""Channels to sockets behind the host."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.ssh import SshLink
from muva_console.ops.links.ssh_forward import socket_owner
from tests.ssh.conftest import MakeLink
from tests.ssh.servers import MakeServer, Server, until


class Echo:
    """Answers every byte with itself; counts its connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def unix(tmp_path: Path) -> AsyncIterator[str]:
    path = tmp_path / "a socket.sock"
    server = await asyncio.start_unix_server(Echo().serve, path)
    yield str(path)
    server.close()


@pytest.fixture
async def tcp() -> AsyncIterator[tuple[int, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], echo
    server.close()


async def test_bytes_go_both_ways(link: SshLink, unix: str) -> None:
    data = os.urandom(1_500_000)
    async with link.open_unix(unix) as (reader, writer):

        async def send() -> None:
            writer.write(data)
            await writer.drain()

        sending = asyncio.create_task(send())
        assert await reader.readexactly(len(data)) == data
        await sending


async def test_many_sockets_need_no_session(make_server: MakeServer, make_link: MakeLink, unix: str) -> None:
    server = await make_server(max_sessions=1)
    link = make_link(server.host())

    async def ask(number: int) -> bytes:
        async with link.open_unix(unix) as (reader, writer):
            writer.write(b"%d\n" % number)
            return await reader.readline()

    assert await asyncio.gather(*map(ask, range(30))) == [b"%d\n" % n for n in range(30)]


async def test_a_missing_socket_is_missing(link: SshLink, tmp_path: Path) -> None:
    with pytest.raises(LinkError) as caught:
        async with link.open_unix(f"{tmp_path}/no 'such' socket"):
            pass
    assert caught.value.fault is Fault.MISSING


async def test_a_deaf_socket_is_refused(link: SshLink, tmp_path: Path) -> None:
    path = str(tmp_path / "deaf.sock")
    server = await asyncio.start_unix_server(Echo().serve, path)
    server.close()
    await server.wait_closed()
    with pytest.raises(LinkError) as caught:
        async with link.open_unix(path):
            pass
    assert caught.value.fault is Fault.REFUSED
    assert "nobody listens" in caught.value.means


async def test_forwarding_that_the_server_forbids_is_refused(
    make_server: MakeServer, make_link: MakeLink, unix: str
) -> None:
    link = make_link((await make_server(forward_sockets=False)).host())
    with pytest.raises(LinkError) as caught:
        async with link.open_unix(unix):
            pass
    assert caught.value.fault is Fault.REFUSED
    assert "AllowStreamLocalForwarding" in caught.value.means


async def test_a_lost_connection_ends_the_reading(server: Server, link: SshLink, unix: str) -> None:
    async with link.open_unix(unix) as (reader, _):
        reading = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0.01)
        await server.drop()
        with pytest.raises(LinkError) as caught:
            await reading
    assert caught.value.fault is Fault.CLOSED


async def test_the_home_directory_is_known(server: Server, link: SshLink) -> None:
    path = server.home / "rpc.sock"
    local = await asyncio.start_unix_server(Echo().serve, path)
    async with link.open_unix("~/rpc.sock") as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
    local.close()


async def test_a_local_port_leads_there_and_back(link: SshLink, tcp: tuple[int, Echo]) -> None:
    port, echo = tcp
    async with link.open_tcp("127.0.0.1", port) as local:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(b"there and back")
            writer.write_eof()
            assert await reader.read() == b"there and back"
            writer.close()
        assert echo.connections == 2  # none was wasted on finding out that the way is free
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", local)
    await until(lambda: echo.open == 0, what="the channels to end")


async def test_leaving_ends_connections_that_stand(link: SshLink, tcp: tuple[int, Echo]) -> None:
    port, echo = tcp
    async with link.open_tcp("127.0.0.1", port) as local:
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        writer.write(b"x")
        await reader.readexactly(1)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    await until(lambda: echo.open == 0, what="the channels to end")


async def test_a_port_where_nobody_listens_is_refused(link: SshLink) -> None:
    with pytest.raises(LinkError) as caught:
        async with link.open_tcp("127.0.0.1", 1):
            pass
    assert caught.value.fault is Fault.REFUSED


async def test_a_port_outlives_a_lost_connection(
    server: Server, link: SshLink, tcp: tuple[int, Echo]
) -> None:
    async with link.open_tcp("127.0.0.1", tcp[0]) as local:
        await server.drop()
        await until(lambda: link.state.status != "up", what="the loss to be noticed")
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can connect as somebody else")
async def test_other_users_are_turned_away(link: SshLink, tcp: tuple[int, Echo]) -> None:
    program = (
        "import os, socket, sys; os.setuid(65534)\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "s.settimeout(60); s.sendall(b'let me in')\n"
        "try: data = s.recv(9)\n"
        "except ConnectionError: data = b''\n"
        "sys.exit(0 if data == b'' else 1)"
    )
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    async with link.open_tcp("127.0.0.1", tcp[0]) as local:
        child = await asyncio.create_subprocess_exec(
            python, "-c", program, str(local), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/"
        )
        _, complaint = await child.communicate()
        assert child.returncode == 0, complaint.decode()
        reader, writer = await asyncio.open_connection("127.0.0.1", local)
        writer.write(b"mine")
        assert await reader.readexactly(4) == b"mine"
        writer.close()


async def test_streams_without_a_port(link: SshLink, tcp: tuple[int, Echo]) -> None:
    async with link.open_tcp_streams("127.0.0.1", tcp[0]) as (reader, writer):
        writer.write(b"direct")
        assert await reader.readexactly(6) == b"direct"


def test_the_owner_of_a_socket() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:9C40 0100007F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n"
        "   1: 0100007F:1538 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
    )
    if sys.byteorder == "little":
        assert socket_owner(table, ("127.0.0.1", 40000), ("127.0.0.1", 5432)) == 1000
        assert socket_owner(table, ("127.0.0.1", 40000), ("127.0.0.1", 5433)) is None
