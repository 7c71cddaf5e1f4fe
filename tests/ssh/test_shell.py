"""A shell on the host: ssh's own command line, and the way through our link."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import subprocess
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import shell
from muva_console.ops.links.ssh import SshLink
from tests.patience import HANG
from tests.ssh.conftest import MakeLink
from tests.ssh.servers import SSHD, MakeServer, OpenSshServer, Server, make_key, until

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")


async def ssh(argv: list[str], typed: str) -> tuple[int, str]:
    """Run an ssh command line with `typed` as input, off the event loop (a server may live in it)."""
    done = await asyncio.to_thread(
        subprocess.run, argv, input=typed, capture_output=True, text=True, timeout=HANG, check=False
    )
    return done.returncode, done.stdout + done.stderr


@needs_ssh
async def test_ssh_goes_where_the_link_goes(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "100% of\\my 'files'"
    place.mkdir()
    identity = tmp_path / "a key %h"
    identity.write_bytes(server.user_key.read_bytes())
    identity.chmod(0o600)
    known = tmp_path / "known %h hosts"
    known.write_text(server.known_hosts.read_text())
    host = server.host(identity=identity, known_hosts=known)
    argv = shell.shell_command(host, directory=str(place))
    status, output = await ssh(argv, "pwd; echo status $?; exit 7\n")
    assert str(place) in output
    assert status == 7


@needs_ssh
async def test_ssh_through_a_jump_host_with_its_own_key(make_server: MakeServer) -> None:
    jump, target = await make_server(), await make_server()
    hosts = {"bastion": jump.host(), "vps": target.host(jump="bastion")}
    argv = shell.shell_command(hosts["vps"], hosts=hosts)
    status, output = await ssh(argv, "echo through\n")
    assert "through" in output
    assert status == 0


@needs_ssh
async def test_ssh_asks_about_an_unknown_key_whatever_ssh_config_says(server: Server, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  StrictHostKeyChecking no\n  BatchMode yes\n")
    known = tmp_path / "empty"
    argv = shell.shell_command(server.host(known_hosts=known, ssh_config=config))
    status, output = await ssh(argv, "echo never\n")
    assert status == 255
    assert "Host key verification failed" in output
    assert not known.exists()


def test_a_plain_jump_host_is_named_plainly() -> None:
    hosts = {"b": Host(address="bastion.example", user="ops", port=2222)}
    argv = shell.shell_command(Host(address="vps", jump="b"), hosts=hosts)
    assert argv[argv.index("-J") + 1] == "ops@bastion.example:2222"


def test_an_address_is_never_taken_for_an_option() -> None:
    argv = shell.shell_command(Host(address="-oProxyCommand=touch /tmp/x"))
    assert argv[-2:] == ["--", "-oProxyCommand=touch /tmp/x"]


def test_jump_hosts_in_a_circle_are_refused() -> None:
    hosts = {"a": Host(address="a", jump="b"), "b": Host(address="b", jump="a")}
    with pytest.raises(LinkError) as caught:
        shell.shell_command(hosts["a"], hosts=hosts)
    assert caught.value.fault is Fault.CONFIG


@needs_ssh
async def test_the_line_that_is_shown_can_be_pasted(make_server: MakeServer, tmp_path: Path) -> None:
    jump, target = await make_server(), await make_server()
    hosts = {"bastion": jump.host(), "vps": target.host(jump="bastion")}
    line = shell.ssh_line(hosts["vps"], hosts=hosts, remote="echo 'as typed'; exit 3")
    status, output = await ssh(["sh", "-c", line], "")
    assert "as typed" in output
    assert status == 3


def test_the_line_that_is_shown_has_only_what_the_host_needs() -> None:
    assert shell.ssh_line(Host(address="vps")) == "ssh vps"
    assert shell.ssh_line(Host(address="vps", user="deploy", port=22), remote="pm2 ls") == (
        "ssh -p 22 deploy@vps 'pm2 ls'"
    )
    assert shell.ssh_line(Host(address="-oProxyCommand=x")) == "ssh -- -oProxyCommand=x"


# ---------------------------------------------------------------------- through the link


class Window:
    """A terminal of ours: what is typed, and what is seen."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (30, 100))
        self.seen = ""
        os.set_blocking(self.master, False)
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        self.seen += os.read(self.master, 65536).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
async def window() -> AsyncIterator[Window]:
    window = Window()
    yield window
    window.close()


@pytest.fixture
async def vps(tmp_path: Path) -> AsyncIterator[Server]:
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed (Debian: apt install openssh-server)")
    server = OpenSshServer(tmp_path / "server")
    await server.start()
    server.trust()
    yield server
    await server.stop()


@pytest.fixture
def link(vps: Server, make_link: MakeLink) -> SshLink:
    return make_link(vps.host())


async def test_a_shell_through_the_link(link: SshLink, window: Window, tmp_path: Path) -> None:
    before = termios.tcgetattr(window.slave)
    task = asyncio.create_task(
        shell.interactive(link, str(tmp_path), stdin=window.slave, stdout=window.slave)
    )
    await until(lambda: window.seen, what="the prompt")
    window.type("pwd; stty size; echo $((40 + 2))\r")
    await until(lambda: "42" in window.seen, what="the answers")
    assert str(tmp_path) in window.seen
    assert "30 100" in window.seen
    termios.tcsetwinsize(window.slave, (40, 120))
    await asyncio.sleep(2 * shell.SIZE_POLL)
    window.type("stty size\r")
    await until(lambda: "40 120" in window.seen, what="the new size")
    window.type("sleep 640\r")
    await asyncio.sleep(0.1)
    window.type("\x03")  # ctrl+c goes to the host, not to us
    window.type("exit 5\r")
    assert await task == 5
    assert termios.tcgetattr(window.slave) == before


async def test_the_escape_hangs_up(link: SshLink, window: Window) -> None:
    task = asyncio.create_task(shell.interactive(link, stdin=window.slave, stdout=window.slave))
    await until(lambda: window.seen, what="the prompt")
    window.type("sleep 641\r")
    await asyncio.sleep(0.1)
    window.type("\r~.")
    assert await asyncio.wait_for(task, HANG) == 255


async def test_a_lost_connection_gives_the_terminal_back(vps: Server, link: SshLink, window: Window) -> None:
    before = termios.tcgetattr(window.slave)
    task = asyncio.create_task(shell.interactive(link, stdin=window.slave, stdout=window.slave))
    await until(lambda: window.seen, what="the prompt")
    await vps.drop()
    with pytest.raises(LinkError) as caught:
        await task
    assert caught.value.fault is Fault.CLOSED
    assert termios.tcgetattr(window.slave) == before


async def test_a_shell_that_cannot_be_had_leaves_the_terminal_alone(
    vps: Server, make_link: MakeLink, window: Window, tmp_path: Path
) -> None:
    link = make_link(vps.host(identity=make_key(tmp_path / "other")))
    with pytest.raises(LinkError) as caught:
        await shell.interactive(link, stdin=window.slave, stdout=window.slave)
    assert caught.value.fault is Fault.AUTH
