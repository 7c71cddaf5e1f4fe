"""The estate's SSH server: who gets in, and whether sessions behave as OpenSSH's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from muva_console.drill.ports import until
from muva_console.drill.state import Estate
from tests.patience import HANG


def options(estate: Estate, **changes: object) -> dict[str, object]:
    return {
        "port": estate.ssh_port, "username": estate.user, "client_keys": [str(estate.identity)],
        "known_hosts": str(estate.known_hosts), "config": None, "agent_path": None, "login_timeout": 10,
        **changes,
    }  # fmt: skip


@pytest.fixture
async def connection(estate: Estate) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with asyncssh.connect("127.0.0.1", **options(estate)) as made:
        yield made


@pytest.mark.parametrize(
    "changes",
    [
        {"client_keys": None},
        {"client_keys": None, "password": ""},
        {"client_keys": None, "password": "deploy"},
        {"username": "root"},
        {"username": "nobody"},
    ],
    ids=["anonymous", "empty-password", "password", "root-with-the-key", "another-user-with-the-key"],
)
async def test_nobody_else_gets_in(estate: Estate, changes: dict[str, object]) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect("127.0.0.1", **options(estate, **changes))


async def test_another_key_does_not_get_in(estate: Estate) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect("127.0.0.1", **options(estate, client_keys=[key]))


async def test_the_server_proves_itself_by_the_key_in_known_hosts(estate: Estate, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{estate.ssh_port} {other}")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect("127.0.0.1", **options(estate, known_hosts=str(tmp_path / "known_hosts")))


async def test_a_command_ends_with_its_output_and_status(connection: asyncssh.SSHClientConnection) -> None:
    done = await connection.run("echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.exit_status) == ("out\n", "err\n", 3)


async def test_a_signal_is_told_as_one(connection: asyncssh.SSHClientConnection) -> None:
    done = await connection.run("kill -TERM $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "TERM"


async def test_input_ends_when_the_client_ends_it(connection: asyncssh.SSHClientConnection) -> None:
    done = await asyncio.wait_for(connection.run("cat; echo end", input="one\ntwo\n"), HANG)
    assert done.stdout == "one\ntwo\nend\n"


async def test_much_output_arrives_whole(connection: asyncssh.SSHClientConnection) -> None:
    done = await connection.run(
        "head -c 5000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2", encoding=None
    )
    assert (len(done.stdout or b""), len(done.stderr or b"")) == (5_000_000, 300_000)


async def test_a_signal_sent_reaches_the_whole_command(
    estate: Estate, connection: asyncssh.SSHClientConnection
) -> None:
    async with connection.create_process("sleep 500 & echo $!; wait") as process:
        pid = int((await process.stdout.readline()).strip())
        process.send_signal("KILL")
        await asyncio.wait_for(process.wait_closed(), HANG)

    async def gone() -> bool:
        return not _alive(pid)

    await until(gone, "the child is gone", timeout=HANG)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_terminal_is_one_and_has_its_size(connection: asyncssh.SSHClientConnection) -> None:
    done = await connection.run("tty; stty size; echo $TERM", term_type="xterm-256color", term_size=(132, 43))
    lines = str(done.stdout).split()
    assert lines[0].startswith("/dev/pts/")
    assert lines[1:] == ["43", "132", "xterm-256color"]


async def test_a_resized_terminal_is_told(connection: asyncssh.SSHClientConnection) -> None:
    command = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    async with connection.create_process(command, term_type="xterm", term_size=(80, 24)) as process:
        assert (await process.stdout.readline()).strip() == "ready"
        process.change_terminal_size(100, 30)
        assert (await asyncio.wait_for(process.stdout.readline(), HANG)).strip() == "30 100"


@pytest.mark.parametrize(("terminal", "survives"), [("xterm", False), (None, True)], ids=["pty", "no-pty"])
async def test_what_a_cut_channel_does_to_the_command(
    estate: Estate, terminal: str | None, survives: bool
) -> None:
    """With a terminal it is hung up; without, it lives until it notices: the console must end it itself."""
    async with asyncssh.connect("127.0.0.1", **options(estate)) as mine:
        process = await mine.create_process("echo $$; exec sleep 500", term_type=terminal)
        pid = int((await process.stdout.readline()).strip())
        assert _alive(pid)
        mine.abort()
    if not survives:

        async def gone() -> bool:
            return not _alive(pid)

        await until(gone, "the command is gone", timeout=HANG)
        return
    async with asyncssh.connect("127.0.0.1", **options(estate)) as again:
        assert (await again.run(f"kill -0 {pid}")).exit_status == 0
        await again.run(f"kill -9 {pid}")


async def test_the_hosts_environment_is_its_own(
    estate: Estate, connection: asyncssh.SSHClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await connection.run("echo $HOME; pm2 --version; node --version; pnpm --version; env")
    lines = str(done.stdout).splitlines()
    assert lines[:2] == [str(estate.host_home), "7.0.4"]
    assert lines[2].startswith("v")
    assert not [
        line for line in lines if line.startswith(("PYTEST", "VIRTUAL_ENV", "PYTHONPATH", "MUVA_TEST"))
    ]


async def test_a_login_shell_finds_the_same_programs(connection: asyncssh.SSHClientConnection) -> None:
    done = await asyncio.wait_for(connection.run(None, input="command -v pm2; exit\n"), HANG)
    assert str(done.stdout).strip().endswith("/host/bin/pm2")


async def test_sftp_reads_and_writes(estate: Estate, connection: asyncssh.SSHClientConnection) -> None:
    async with connection.start_sftp_client() as sftp:
        async with sftp.open("tmp/note", "w") as file:
            await file.write("hello")
        assert (estate.host_home / "tmp" / "note").read_text() == "hello"
        await sftp.remove("tmp/note")


async def test_a_unix_socket_is_reached(estate: Estate, connection: asyncssh.SSHClientConnection) -> None:
    _, writer = await connection.open_unix_connection(str(estate.pm2_home / "rpc.sock"))
    writer.close()
    with pytest.raises(asyncssh.ChannelOpenError) as refused:
        await connection.open_unix_connection(str(estate.pm2_home / "missing.sock"))
    assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED


async def test_forwarding_leads_to_loopback_alone(
    estate: Estate, connection: asyncssh.SSHClientConnection
) -> None:
    port = estate.sites["production"].port
    reader, writer = await connection.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/health/db HTTP/1.0\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), HANG)).startswith(b"HTTP/1.1 200")
    writer.close()
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_connection("192.0.2.1", 80)


async def test_large_inputs_arrive_whole_on_many_channels_at_once(
    connection: asyncssh.SSHClientConnection,
) -> None:
    answers = await asyncio.gather(*(connection.run("wc -c", input="x" * 300_001) for _ in range(30)))
    assert {str(answer.stdout).strip() for answer in answers} == {"300001"}


async def test_a_command_that_reads_nothing_does_not_hold_up_its_end(
    connection: asyncssh.SSHClientConnection,
) -> None:
    done = await asyncio.wait_for(connection.run("exit 7", input="y" * 5_000_000), HANG)
    assert done.exit_status == 7


async def test_cut_sessions_leave_no_descriptor_and_no_complaint(estate: Estate) -> None:
    pid = int((estate.directory / "sshd.pid").read_text())
    descriptors = Path(f"/proc/{pid}/fd")
    for terminal in (None, "xterm"):
        for command in ("yes", "cat", "sleep 0.1; echo late", None):
            mine = await asyncssh.connect("127.0.0.1", **options(estate))
            process = await mine.create_process(command, term_type=terminal, encoding=None)
            process.stdin.write(b"x" * 100_000)
            if command == "yes":
                await process.stdout.read(1000)
            mine.abort()

    async def settled() -> bool:
        # its files are the log, the log, /dev/null, the selector with its pair of sockets, the listener
        return len(list(descriptors.iterdir())) <= 7 + await _others(estate)

    await until(settled, "the server's descriptors are closed", timeout=HANG)
    assert "Traceback" not in (estate.logs / "sshd.log").read_text()


async def _others(estate: Estate) -> int:
    """Descriptors of other tests' sessions: an allowance for each connection that is not ours."""
    import psutil

    pid = int((estate.directory / "sshd.pid").read_text())
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return 20 * sum(connection.status == psutil.CONN_ESTABLISHED for connection in connections)
