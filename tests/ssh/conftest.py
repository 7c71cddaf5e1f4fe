"""Servers and links for the SSH tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from muva_console.config.model import Host
from muva_console.ops.links import ssh_wrap
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.ssh import SshLink
from tests.ssh.servers import SSHD, AsyncsshServer, MakeServer, OpenSshServer, Proxy, Server

MakeLink = Callable[..., SshLink]


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key and no setting of whoever runs the tests takes part."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ignores SIGTERM is killed soon."""
    monkeypatch.setattr(ssh_wrap, "GRACE", 0.4)


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the event loop complained about: nothing, or the test fails."""
    found: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    assert not [context for context in found if not _of_the_server(context)]


def _of_the_server(context: dict[str, Any]) -> bool:
    """asyncssh's server, which runs in this loop too, stumbles over a pipe whose session has just been closed
    (`process.redirect`, 2.24.1): a complaint about the other side, not about the link.
    """
    return isinstance(context.get("exception"), KeyError) and "_PipeReader" in repr(context.get("handle"))


@pytest.fixture(params=["asyncssh", "openssh"])
async def make_server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeServer]:
    """Starts servers of the kind under test, trusted already; gone at the end."""
    if request.param == "openssh" and SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed (Debian: apt install openssh-server)")
    started: list[Server] = []

    async def make(**settings: object) -> Server:
        kind = AsyncsshServer if request.param == "asyncssh" else OpenSshServer
        server = kind(tmp_path / f"server{len(started)}")
        for name, value in settings.items():
            setattr(server, name, value)
        started.append(server)
        await server.start()
        server.trust()
        return server

    yield make
    for server in started:
        await server.stop()


@pytest.fixture
async def server(make_server: MakeServer) -> Server:
    return await make_server()


@pytest.fixture
async def make_link() -> AsyncIterator[MakeLink]:
    """Makes links, closed at the end."""
    made: list[SshLink] = []

    def make(host: Host, name: str = "vps", **settings: Any) -> SshLink:
        link = SshLink(name, host, **({"log": CommandLog()} | settings))
        made.append(link)
        return link

    yield make
    for link in made:
        await link.close()


@pytest.fixture
def link(server: Server, make_link: MakeLink) -> SshLink:
    return make_link(server.host())


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    proxy = Proxy(server.port)
    await proxy.start()
    server.known_hosts.write_text(server.known_hosts.read_text().replace(str(server.port), str(proxy.port)))
    yield proxy
    await proxy.stop()
