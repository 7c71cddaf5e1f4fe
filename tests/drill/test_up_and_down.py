"""Whether an estate is whole when it is up, and leaves nothing when it is down, however that comes about."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from muva_console.drill import deploy, host, postgres, repository, sshd
from muva_console.drill import estate as estates
from muva_console.drill.run import run
from muva_console.drill.state import STATE_FILE, Estate
from muva_console.drill.sweep import members
from muva_console.ops.errors import OpsError
from tests.patience import HANG

MUVA = (sys.executable, "-m", "muva_console")


def wait_until(true: Callable[[], bool], *, timeout: float = HANG) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def tagged_with(directory: Path) -> list[int]:
    """Every process that has a path below the folder in its environment, whatever the estate's id was."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            continue
        if b"MUVA_DRILL=" in environ and str(directory).encode() in environ + _command(process):
            found.append(process.pid)
    return found


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> bytes:
    try:
        return " ".join(process.cmdline()).encode()
    except psutil.Error:
        return b""


def traces(estate: Estate) -> list[str]:
    """What an estate could leave outside of its folder."""
    places = (Path(tempfile.gettempdir()), Path("/dev/shm"))
    return [str(entry) for place in places for entry in place.iterdir() if estate.id in entry.name]


def segments() -> set[int]:
    return {int(line.split()[1]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def listeners(pids: list[int]) -> set[tuple[str, int]]:
    found = set()
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        found |= {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}
    return found


async def test_everything_runs(estate: Estate) -> None:
    status = await estates.status(estate.directory)
    assert status.whole, status
    assert {server.name for server in status.servers} == {
        "postgres", "sshd", "github", "pm2", "muva-production", "muva-staging",
    }  # fmt: skip


async def test_every_socket_is_on_loopback_and_the_ports_are_those_recorded(estate: Estate) -> None:
    found = listeners(members(estate.id, estate.data))
    ports = {
        estate.ssh_port,
        estate.postgres_port,
        estate.github_port,
        estate.github_blob_port,
        *(site.port for site in estate.sites.values()),
    }
    assert found == {("127.0.0.1", port) for port in ports}


async def test_each_site_serves_the_commit_of_its_own_branch_from_its_own_database(estate: Estate) -> None:
    for site in estate.sites.values():
        status, body, _ = await deploy.get(site, "/api/health")
        told = json.loads(body)
        assert status == 200
        assert told["status"] == "healthy"
        assert told["commit"] == await repository.head(estate, site.branch)
        assert told["services"]["database"]["latency_ms"] > 0
        assert told["services"]["chat"]["open_conversations"] > 0
        async with postgres.connect(estate, site.database, site.role) as connection:
            count = await connection.fetchval("select count(*) from bookings")
        status, body, _ = await deploy.get(site, "/api/bookings")
        assert (status, len(json.loads(body)["bookings"])) == (200, min(count, 50))
    commits = {await repository.head(estate, site.branch) for site in estate.sites.values()}
    assert len(commits) == 2


async def test_pm2_tells_commit_branch_and_directory_of_each_process(estate: Estate) -> None:
    for entry in await deploy.pm2_list(estate):
        told = entry["pm2_env"]
        assert isinstance(told, dict)
        site = next(s for s in estate.sites.values() if s.process == entry["name"])
        assert told["status"] == "online"
        assert told["pm_cwd"] == str(site.directory)
        assert told["versioning"]["revision"] == await repository.head(estate, site.branch)
        assert told["versioning"]["branch"] == site.branch


async def test_the_logs_are_those_of_a_nextjs_server(estate: Estate) -> None:
    text = (estate.pm2_home / "logs" / "muva-staging-out.log").read_text()
    assert "▲ Next.js" in text
    assert " ✓ Ready in " in text
    assert " GET /api/health 200 in " in text


async def test_the_migrations_are_recorded_as_the_supabase_cli_records_them(estate: Estate) -> None:
    site = estate.sites["production"]
    names = await run(
        ["git", "-C", estate.repository, "ls-tree", "--name-only", site.branch, "supabase/migrations/"]
    )
    files = [Path(line).name for line in names.decode().splitlines()]
    async with postgres.connect(estate, site.database, site.role) as connection:
        rows = await connection.fetch("select * from supabase_migrations.schema_migrations order by version")
    assert [f"{row['version']}_{row['name']}.sql" for row in rows] == files
    assert "20251105120000_add_bookings.sql" in files
    assert len(files) >= 6
    assert set(rows[0].keys()) == {"version", "statements", "name"}
    assert all(row["statements"] and not row["statements"][0].endswith(";") for row in rows)


async def test_the_database_lets_nobody_in_without_the_password(estate: Estate) -> None:
    import asyncpg

    for password in (None, "", "postgres", estate.password("muva_staging")):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1", port=estate.postgres_port, user="muva_production", password=password,
                database="muva_production", passfile="/nonexistent", ssl=False, timeout=HANG,
            )  # fmt: skip


async def test_one_sites_application_cannot_read_the_others_database(estate: Estate) -> None:
    import asyncpg

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with postgres.connect(estate, "muva_production", "muva_staging_app"):
            pass


def test_secrets_are_for_the_owner_alone(estate: Estate) -> None:
    files = [*estate.secrets.iterdir(), *(site.directory / site.env_file for site in estate.sites.values())]
    assert len(files) >= 10
    assert {oct(path.stat().st_mode & 0o777) for path in (*files, estate.config)} == {"0o600"}
    assert oct(estate.directory.stat().st_mode & 0o777) == "0o700"
    record = (estate.directory / STATE_FILE).read_text() + estate.config.read_text()
    for path in estate.secrets.glob("*.password"):
        assert path.read_text().strip() not in record


async def test_an_estate_beside_another_leaves_nothing_behind_when_its_owner_is_killed(
    estate: Estate, tmp_path: Path
) -> None:
    """Killed, so that another has to take it down: by `down`, as who asks for that."""
    directory = tmp_path / ("long" * 25) / "estate"  # too long for PM2's sockets: a short folder is needed
    with subprocess.Popen(
        [*MUVA, "drill", "up", "--with-me", "--json", "--dir", str(directory)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        told = json.loads(_json_text(owner.stdout.readline, owner.stdout.readline))
        mine = estates.load(directory)
        assert told["config"] == str(mine.config)
        assert told["ssh"]["port"] == mine.ssh_port
        assert sshd.server_pid(mine) is not None
        assert mine.short is not None
        assert mine.id != estate.id
        processes, segment = members(mine.id, mine.data), postgres.shared_memory(mine)
        assert segment in segments()
        mine_listens, other_listens = listeners(processes), listeners(members(estate.id, estate.data))
        assert len(processes) > 8
        assert len(mine_listens) == len(other_listens)
        assert not mine_listens & other_listens
        assert (await estates.status(directory)).whole
        # what a session may leave
        await host.on_host(mine, "mktemp; nohup setsid sleep 600 >/dev/null 2>&1 &")
        owner.kill()

    wait_until(lambda: not directory.exists() and not members(mine.id, mine.data))
    wait_until(lambda: not any(alive(pid) for pid in processes))
    assert not mine.short.exists()
    for _, port in mine_listens:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections may linger
            probe.bind(("127.0.0.1", port))
    assert traces(mine) == []
    assert segment not in segments()
    assert (await estates.status(estate.directory)).whole
    assert not await estates.down(directory)


def _json_text(first: Callable[[], bytes], more: Callable[[], bytes]) -> bytes:
    text = first()
    while not text.rstrip().endswith(b"\n}") and text.strip() != b"":
        text += more()
    return text


def test_a_kill_on_the_way_up_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "estate"
    with subprocess.Popen(
        [*MUVA, "drill", "up", "--dir", str(directory)], stderr=subprocess.DEVNULL, start_new_session=True
    ) as owner:
        wait_until((directory / "postgres" / "postmaster.pid").exists)
        assert len(tagged_with(directory)) > 2
        owner.kill()
    wait_until(lambda: not directory.exists() and not tagged_with(directory))


def test_an_interrupt_on_the_way_up_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "estate"
    with subprocess.Popen(
        [*MUVA, "drill", "up", "--dir", str(directory)], stderr=subprocess.DEVNULL, start_new_session=True
    ) as owner:
        wait_until((directory / "sshd.pid").exists)
        owner.send_signal(signal.SIGINT)
        assert owner.wait(HANG) == 130
    assert not directory.exists()
    wait_until(lambda: not tagged_with(directory))


async def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OpsError, match="not an empty folder"):
        await estates.up(tmp_path)
    assert not await estates.down(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


async def test_a_copied_record_takes_nothing_down(estate: Estate, tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_bytes((estate.directory / STATE_FILE).read_bytes())
    with pytest.raises(OpsError, match="copied"):
        await estates.down(tmp_path)
    assert (await estates.status(estate.directory)).whole


async def test_an_estate_is_not_brought_up_over_another(estate: Estate) -> None:
    with pytest.raises(OpsError, match="already"):
        await estates.up(estate.directory)
    assert (await estates.status(estate.directory)).whole
