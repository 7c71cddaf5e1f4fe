"""Opening a connection, how it fails, and how it mends."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muva_console.config.model import Host, Seconds
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import backoff
from muva_console.ops.links.base import CommandLog, LinkState, LinkStatus
from muva_console.ops.links.ssh import SshLink, ssh_links
from tests.patience import HANG
from tests.ssh.conftest import MakeLink
from tests.ssh.servers import USER, MakeServer, Proxy, Server, free_port, make_key, until


async def fails(link: SshLink) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await link.run("true")
    assert link.state.status is LinkStatus.DOWN
    assert caught.value.where
    assert caught.value.next
    return caught.value


async def test_states_are_told_in_order(server: Server, make_link: MakeLink) -> None:
    states: list[LinkState] = []
    link = make_link(server.host(), on_state=states.append)
    assert link.state.status is LinkStatus.UNUSED
    await link.run("true")
    await link.close()
    assert [state.status for state in states] == [LinkStatus.OPENING, LinkStatus.UP, LinkStatus.CLOSED]
    assert states[1].detail == f"{USER}@127.0.0.1:{server.port}"
    assert states[0].name == "ssh vps"
    assert (await link.run("echo again")).stdout == b"again\n"


async def test_many_callers_share_one_attempt(server: Server, proxy: Proxy, make_link: MakeLink) -> None:
    link = make_link(server.host(port=proxy.port))
    await asyncio.gather(*(link.connect() for _ in range(20)))
    assert proxy.accepted == 1


async def test_a_caller_that_gives_up_takes_nobody_along(server: Server, make_link: MakeLink) -> None:
    link = make_link(server.host())
    first = asyncio.create_task(link.connect())
    second = asyncio.create_task(link.run("echo here"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).stdout == b"here\n"


# ---------------------------------------------------------------------- faults


async def test_refused(make_link: MakeLink, tmp_path: Path) -> None:
    link = make_link(Host(address="127.0.0.1", port=free_port(), ssh_config=Path(os.devnull)))
    assert (await fails(link)).fault is Fault.REFUSED
    link = make_link(Host(address="127.0.0.1", port=free_port(), ssh_config=tmp_path / "none"))
    assert (await fails(link)).fault is Fault.CONFIG


async def test_a_name_that_does_not_exist(make_link: MakeLink) -> None:
    link = make_link(Host(address="no-such-host.invalid"))
    error = await fails(link)
    assert error.fault is Fault.DNS
    assert "no-such-host.invalid" in error.what


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """A host that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


async def test_a_host_that_accepts_and_says_nothing(silent: int, make_link: MakeLink) -> None:
    link = make_link(Host(address="127.0.0.1", port=silent, connect_timeout=Seconds(0.4)))
    async with asyncio.timeout(HANG):
        error = await fails(link)
    assert error.fault is Fault.TIMEOUT
    assert "accepts connections" in error.what


async def test_a_host_that_does_not_answer_at_all(make_link: MakeLink) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]  # a full backlog drops what comes
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        link = make_link(Host(address="127.0.0.1", port=port, connect_timeout=Seconds(0.4)))
        error = await fails(link)
        for filler in fillers:
            filler.close()
    assert error.fault is Fault.TIMEOUT
    assert "no answer" in error.what


async def test_something_else_than_ssh(make_link: MakeLink) -> None:
    async def web(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-1.0-old\r\n")
        await writer.drain()

    other = await asyncio.start_server(web, "127.0.0.1", 0)
    link = make_link(Host(address="127.0.0.1", port=other.sockets[0].getsockname()[1]))
    assert (await fails(link)).fault is Fault.PROTOCOL
    other.close()


async def test_a_server_that_hangs_up_at_once(make_link: MakeLink) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    link = make_link(Host(address="127.0.0.1", port=other.sockets[0].getsockname()[1]))
    assert (await fails(link)).fault is Fault.CLOSED
    other.close()


async def test_a_key_that_the_host_does_not_know(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    link = make_link(server.host(identity=make_key(tmp_path / "other")))
    error = await fails(link)
    assert error.fault is Fault.AUTH
    assert USER in error.what


async def test_a_refused_login_is_not_tried_often(
    server: Server, proxy: Proxy, make_link: MakeLink, tmp_path: Path
) -> None:
    """Tools such as fail2ban lock out whoever keeps trying."""
    link = make_link(server.host(port=proxy.port, identity=make_key(tmp_path / "other")))
    for _ in range(3):
        assert (await fails(link)).fault is Fault.AUTH
    assert proxy.accepted == 1
    assert link.backoff_remaining > 5


async def test_a_locked_key_is_named(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret phrase", "-f", str(locked)], check=True
    )
    error = await fails(make_link(server.host(identity=locked)))
    assert error.fault is Fault.AUTH
    assert f"ssh-add {locked}" in error.means


async def test_a_key_that_is_not_there(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    error = await fails(make_link(server.host(identity=tmp_path / "none")))
    assert error.fault is Fault.CONFIG
    assert "identity" in error.next


async def test_a_key_with_spaces_in_its_path(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    place = tmp_path / "my keys" / "the key"
    place.parent.mkdir()
    place.write_bytes(server.user_key.read_bytes())
    assert (await make_link(server.host(identity=place)).run("true")).exit_status == 0
    config = tmp_path / "config"
    config.write_text(f'Host alias\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile "{place}"\n')
    link = make_link(Host(address="alias", user=USER, ssh_config=config, known_hosts=server.known_hosts))
    assert (await link.run("true")).exit_status == 0


def listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


async def test_a_key_in_the_agent(
    server: Server, make_link: MakeLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/tmp/muva-agent-{os.getpid()}-{tmp_path.parent.name[-20:]}.sock"  # tmp_path is too long for one
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        await until(lambda: listens(path), what="the agent")
        environment = os.environ | {"SSH_AUTH_SOCK": path}
        for number in range(8):  # more than MaxAuthTries lets through
            noise = make_key(tmp_path / f"noise{number}")
            subprocess.run(["ssh-add", "-q", str(noise)], env=environment, check=True)
        subprocess.run(["ssh-add", "-q", str(server.user_key)], env=environment, check=True)
        config = tmp_path / "config"
        config.write_text(f"Host *\n  IdentityAgent {path}\n")
        public = tmp_path / "only.pub"
        public.write_text(server.user_key.with_name("user_key.pub").read_text())
        link = make_link(server.host(identity=public, ssh_config=config))
        assert (await link.run("true")).exit_status == 0
    finally:
        agent.terminate()
        agent.wait()
        Path(path).unlink(missing_ok=True)


async def test_an_agent_that_is_gone_harms_nothing(
    server: Server, make_link: MakeLink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    assert (await make_link(server.host()).run("true")).exit_status == 0


# ---------------------------------------------------------------------- mending


async def test_a_connection_cut_in_mid_command(
    server: Server, proxy: Proxy, make_link: MakeLink, tmp_path: Path
) -> None:
    link = make_link(server.host(port=proxy.port))
    await link.connect()
    running = asyncio.create_task(link.run(f"touch {tmp_path}/begun; exec sleep 630"))
    # one that had not begun yet would be sent again
    await until((tmp_path / "begun").exists, what="the command to begin")
    proxy.cut()
    with pytest.raises(LinkError) as caught:
        await running
    assert caught.value.fault is Fault.CLOSED
    assert (await link.run("echo back")).stdout == b"back\n"


async def test_a_network_gone_silent_in_mid_command(
    server: Server, proxy: Proxy, make_link: MakeLink
) -> None:
    link = make_link(server.host(port=proxy.port, keepalive=Seconds(0.2)))
    await link.connect()
    proxy.freeze()
    with pytest.raises(LinkError) as caught:
        await link.run("true", timeout=HANG)
    assert caught.value.fault is Fault.CLOSED, "noticed long before the command's own time is up"
    proxy.thaw()
    assert (await link.run("echo back")).stdout == b"back\n"


async def test_a_frozen_host_is_given_up_soon_after_a_time_out(
    server: Server, proxy: Proxy, make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muva_console.ops.links import ssh_mend

    monkeypatch.setattr(ssh_mend, "SUSPICION", 0.2)
    link = make_link(server.host(port=proxy.port, keepalive=Seconds(60)))
    await link.connect()
    proxy.freeze()
    with pytest.raises(LinkError) as caught:
        await link.run("true", timeout=0.3)
    assert caught.value.fault is Fault.TIMEOUT
    await until(lambda: link.state.status is LinkStatus.DOWN, what="the host to be given up")


async def test_it_comes_back_with_the_server(server: Server, make_link: MakeLink) -> None:
    log = CommandLog()
    link = make_link(server.host(), log=log)
    await link.run("true")
    await server.stop()
    await until(lambda: link.state.status is LinkStatus.DOWN, what="the loss to be noticed")
    assert link.state.error is not None
    with pytest.raises(LinkError) as caught:
        await link.run("true")
    assert caught.value.fault is Fault.REFUSED
    await server.start()

    async def again() -> bool:
        try:
            return (await link.run("echo back")).stdout == b"back\n"
        except LinkError:
            return False

    deadline = time.monotonic() + HANG
    while not await again():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    attempts = [record for record in log.records() if record.line.startswith("ssh ")]
    assert len(attempts) <= 6  # the back-off held though it was asked twenty times a second


async def test_back_off_is_respected_and_can_be_skipped(
    make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "BASE", 2 * HANG)
    accepted = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    link = make_link(Host(address="127.0.0.1", port=other.sockets[0].getsockname()[1]))
    first = await fails(link)
    assert "Next attempt" not in first.next
    for _ in range(5):
        began = time.monotonic()
        again = await fails(link)
        assert time.monotonic() - began < backoff.BASE / 2, "nobody waits for the next attempt"
        assert (again.fault, again.what) == (first.fault, first.what)
        assert "Next attempt in" in again.next
    assert accepted == 1
    link.retry_now()
    await fails(link)
    assert accepted == 2
    other.close()


async def test_closing_while_it_opens_leaves_nobody_hanging(silent: int, make_link: MakeLink) -> None:
    link = make_link(Host(address="127.0.0.1", port=silent))
    asking = asyncio.create_task(link.run("true"))
    await until(lambda: link.state.status is LinkStatus.OPENING, what="the attempt")
    await asyncio.sleep(0.05)
    await link.close()
    with pytest.raises(LinkError) as caught:
        await asking
    assert caught.value.fault is Fault.CLOSED


# ---------------------------------------------------------------------- ways


async def test_a_jump_host_with_its_own_known_hosts(make_server: MakeServer, make_link: MakeLink) -> None:
    jump, target = await make_server(), await make_server()
    hosts = {"bastion": jump.host(), "vps": target.host(jump="bastion"), "db": target.host(jump="bastion")}
    links = ssh_links(hosts)
    try:
        answers = await asyncio.gather(*(links[name].run("echo $SSH_CONNECTION") for name in ("vps", "db")))
        assert all(answer.exit_status == 0 for answer in answers)
        await links["vps"].close()
        assert links["bastion"].state.status == "up"  # the other one still needs it
        await links["db"].close()
        await links["bastion"].close()
        assert links["bastion"].state.status == "closed"
    finally:
        for link in links.values():
            await link.close()


async def test_an_untrusted_jump_host_stops_it(make_server: MakeServer, make_link: MakeLink) -> None:
    jump, target = await make_server(), await make_server()
    jump.known_hosts.write_text("")
    hosts = {"bastion": jump.host(), "vps": target.host(jump="bastion")}
    link = make_link(hosts["vps"], hosts=hosts)
    error = await fails(link)
    assert error.fault is Fault.HOST_KEY
    offer = await link.unknown_host_key()
    assert offer is not None
    assert offer.host == "bastion"
    await link.accept_host_key(offer)
    assert (await link.run("true")).exit_status == 0


async def test_what_lies_behind_a_jump_host_is_told_apart(
    make_server: MakeServer, make_link: MakeLink
) -> None:
    jump = await make_server()
    hosts = {"bastion": jump.host(), "vps": jump.host(jump="bastion", port=free_port())}
    error = await fails(make_link(hosts["vps"], hosts=hosts))
    assert error.fault is Fault.REFUSED
    assert "jump host" in error.what
    await jump.stop()
    error = await fails(make_link(hosts["vps"], hosts=hosts))
    assert error.fault is Fault.REFUSED
    assert error.where == "bastion, on the way to vps"


async def test_jump_hosts_in_a_circle(make_link: MakeLink) -> None:
    hosts = {"a": Host(address="127.0.0.1", jump="b"), "b": Host(address="127.0.0.1", jump="a")}
    error = await fails(make_link(hosts["a"], name="a", hosts=hosts))
    assert error.fault is Fault.CONFIG
    assert "a > b > a" in error.what


async def test_an_alias_of_ssh_config_with_proxy_jumps(
    make_server: MakeServer, make_link: MakeLink, tmp_path: Path
) -> None:
    first, second, target = await make_server(), await make_server(), await make_server()
    included = tmp_path / "included"
    included.write_text(
        f"Host target\n  HostName 127.0.0.1\n  Port {target.port}\n  IdentityFile {target.user_key}\n"
        f"  UserKnownHostsFile {target.known_hosts}\n  ProxyJump one,two\n"
    )
    config = tmp_path / "config"
    config.write_text(
        f"Include {included}\n"
        f"Host one\n  HostName 127.0.0.1\n  Port {first.port}\n  IdentityFile {first.user_key}\n"
        f"  UserKnownHostsFile {first.known_hosts}\n"
        f"Host two\n  HostName 127.0.0.1\n  Port {second.port}\n  IdentityFile {second.user_key}\n"
        f"  UserKnownHostsFile {second.known_hosts}\n"
        f"Match host 127.0.0.1 exec true\n  User {USER}\nHost *\n  User nobody-else\n"
    )
    link = make_link(Host(address="target", ssh_config=config))
    assert (await link.run("echo through")).stdout == b"through\n"
    await second.stop()
    await until(lambda: link.state.status is LinkStatus.DOWN, what="the loss to be noticed")


async def test_a_proxy_command(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    program = tmp_path / "relay.py"
    program.write_text(
        "import sys, socket, threading, os\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "print('chatter', file=sys.stderr, flush=True)\n"
        "def up():\n"
        "    while d := os.read(0, 65536): s.sendall(d)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while d := s.recv(65536): os.write(1, d)\n"
    )
    config = tmp_path / "config"
    config.write_text(f"Host *\n  ProxyCommand python3 '{program}' %h %p\n")
    link = make_link(server.host(ssh_config=config))
    assert (await link.run("echo relayed")).stdout == b"relayed\n"
    await link.close()


async def test_known_hosts_none_is_refused(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  UserKnownHostsFile none\n  StrictHostKeyChecking no\n")
    error = await fails(make_link(server.host(ssh_config=config, known_hosts=None)))
    assert error.fault is Fault.CONFIG
    assert "UserKnownHostsFile none" in error.what


async def test_a_broken_ssh_config_is_named(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  Port twenty\n")
    error = await fails(make_link(server.host(ssh_config=config)))
    assert error.fault is Fault.CONFIG
    assert "line 2" in error.what
