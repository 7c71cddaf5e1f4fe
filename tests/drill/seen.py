"""What each fault looks like from outside, by HTTP, SSH and PM2, without any of the console's own code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import asyncssh
import pytest

from muva_console.drill import deploy, repository
from muva_console.drill import estate as estates
from muva_console.drill.faults.processes import daemon_pid, starts
from muva_console.drill.ports import listens, until
from muva_console.drill.state import Estate
from tests.patience import HANG


async def statuses(estate: Estate, count: int, path: str = "/api/health") -> list[int]:
    site = estate.sites["production"]
    return [(await deploy.get(site, path))[0] for _ in range(count)]


async def process(estate: Estate) -> dict[str, object]:
    for entry in await deploy.pm2_list(estate):
        if entry["name"] == "muva-production":
            told = entry["pm2_env"]
            assert isinstance(told, dict)
            return told
    raise AssertionError("PM2 does not list it")


def error_log(estate: Estate) -> str:
    path = estate.pm2_home / "logs" / "muva-production-error.log"
    return path.read_text() if path.exists() else ""


async def ssh_answers(estate: Estate) -> bool:
    try:
        async with asyncssh.connect(
            "127.0.0.1", estate.ssh_port, username=estate.user, client_keys=[str(estate.identity)],
            known_hosts=str(estate.known_hosts), config=None, connect_timeout=HANG,
        ) as connection:  # fmt: skip
            return (await connection.run("true")).exit_status == 0
    except (OSError, asyncssh.Error):
        return False


async def stopped(estate: Estate) -> None:
    assert (await process(estate))["status"] == "stopped"
    assert not await listens(estate.sites["production"].port)
    assert await deploy.healthy(estate.sites["staging"])


async def crashing(estate: Estate) -> None:
    first = int(str((await process(estate))["restart_time"]))
    errors = error_log(estate).count('column "nights" does not exist')

    seen = starts(estate, estate.sites["production"])

    async def again() -> bool:
        return starts(estate, estate.sites["production"]) >= seen + 2

    await until(again, "it goes on crashing", timeout=HANG)
    now = await process(estate)
    assert now["status"] in ("online", "waiting restart", "launching"), "PM2 itself sees nothing unstable"
    assert int(str(now["restart_time"])) >= first + 2
    assert error_log(estate).count('column "nights" does not exist') > errors
    assert not await listens(estate.sites["production"].port)


async def exhausted(estate: Estate) -> None:
    log = estate.pm2_home / "pm2.log"
    assert "muva-production" in log.read_text()
    assert "current_memory" in log.read_text() or "max_memory_limit" in log.read_text()
    first = int(str((await process(estate))["restart_time"]))
    seen = starts(estate, estate.sites["production"])

    async def again() -> bool:
        return starts(estate, estate.sites["production"]) > seen

    await until(again, "PM2 restarts it again", timeout=HANG)
    assert int(str((await process(estate))["restart_time"])) > first


async def slow(estate: Estate) -> None:
    site = estate.sites[estate.faults[0].environment]
    answers = await asyncio.gather(*(deploy.get(site, "/api/health") for _ in range(20)))
    assert {status for status, _, _ in answers} == {200}
    assert min(took for _, _, took in answers) >= 0.8
    told = estate.config.read_text()
    baseline = float(told.split('baseline = "')[1].split("ms")[0]) / 1000
    assert min(took for _, _, took in answers) > 10 * baseline


async def failing(estate: Estate) -> None:
    seen = await statuses(estate, 100, "/api/bookings")
    assert (seen.count(500), seen.count(200)) == (8, 92)

    async def logged() -> bool:
        return "⨯ TypeError: Cannot read properties of undefined (reading 'seen')" in error_log(estate)

    await until(logged, "the error is logged", timeout=HANG)


async def without_database(estate: Estate) -> None:
    assert not await listens(estate.postgres_port)
    status, body, _ = await deploy.get(estate.sites["production"], "/api/health")
    told = json.loads(body)
    assert (status, told["status"]) == (503, "unhealthy")
    assert told["services"]["database"]["error"] == "ECONNREFUSED"
    assert (await deploy.get(estate.sites["production"], "/api/health/db"))[0] == 503
    assert (await process(estate))["status"] == "online"

    async def logged() -> bool:
        return "⨯ " in error_log(estate) and "ECONNREFUSED" in error_log(estate)

    await until(logged, "the error is logged", timeout=HANG)


async def without_ssh(estate: Estate) -> None:
    assert not await listens(estate.ssh_port)
    assert not await ssh_answers(estate)
    assert await deploy.healthy(estate.sites["production"])


async def without_daemon(estate: Estate) -> None:
    assert daemon_pid(estate) is None
    assert (estate.pm2_home / "rpc.sock").is_socket()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_unix_connection(str(estate.pm2_home / "rpc.sock"))
    assert await statuses(estate, 1) == [0]


SEEN: dict[str, Callable[[Estate], Awaitable[None]]] = {
    "process-stopped": stopped,
    "crash-loop": crashing,
    "memory-exhausted": exhausted,
    "slow-responses": slow,
    "elevated-errors": failing,
    "database-stopped": without_database,
    "ssh-gone": without_ssh,
    "pm2-daemon-killed": without_daemon,
}


async def assert_mended(estate: Estate) -> None:
    """Everything is as it was before any fault."""
    assert estate.faults == []
    assert set(await statuses(estate, 10)) == {200}
    assert await ssh_answers(estate)
    assert (await process(estate))["status"] == "online"
    assert (await estates.status(estate.directory)).whole
    served = json.loads((await deploy.get(estate.sites["production"], "/api/health"))[1])["commit"]
    assert served == await repository.head(estate, "main")
