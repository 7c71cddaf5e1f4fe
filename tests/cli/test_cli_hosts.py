"""An environment on several hosts, each reached another way, as the command line tells of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from muva_console.drill.state import Estate
from tests.cli.conftest import Muva
from tests.ssh.servers import SSHD, OpenSshServer


def with_hosts(estate: Estate, **hosts: dict[str, Any]) -> dict[str, Any]:
    """The estate's configuration, production on `vps` and on these hosts."""
    document = tomllib.loads(estate.config.read_text())
    document["hosts"] |= hosts
    document["environments"]["production"]["hosts"] = ["vps", *hosts]
    return document


def written(document: dict[str, Any], folder: Path) -> Path:
    config = folder / "muva.toml"
    config.write_text(tomli_w.dumps(document))
    return config


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[OpenSshServer]:
    """An sshd that forwards to no socket."""
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed (Debian: apt install openssh-server)")
    server = OpenSshServer(tmp_path / "server")
    server.forward_sockets = False
    await server.start()
    server.trust()
    yield server
    await server.stop()


async def test_where_sockets_are_out_of_reach_pm2_is_asked_by_its_command_and_that_is_said(
    muva: Muva, estate: Estate, closed: OpenSshServer, tmp_path: Path
) -> None:
    settings = closed.host()
    document = with_hosts(
        estate,
        second={
            "address": settings.address,
            "port": settings.port,
            "user": settings.user,
            "identity": str(settings.identity),
            "known_hosts": str(settings.known_hosts),
            "pm2_home": str(estate.pm2_home),
            "pm2": str(estate.directory / "host/bin/pm2"),
        },
    )
    config = written(document, tmp_path)

    answer = await muva("processes", "--env", "production", "--json", config=config)
    assert answer.status == 0, answer.out + answer.err
    assert {one["host"]: one["source"] for one in answer.data["hosts"]} == {
        "vps": "daemon socket",
        "second": "pm2 jlist",
    }
    assert [one["host"] for one in answer.data["processes"]] == ["vps", "second"]
    assert len({one["pid"] for one in answer.data["processes"]}) == 1

    told = await muva("processes", "--env", "production", config=config)
    assert "second was read by `pm2 jlist`" in told.err
    assert "vps was read" not in told.err

    health = await muva("health", "--env", "production", "--json", config=config)
    subjects = {one["subject"] for one in health.data["findings"] if one["check"] == "resources"}
    assert subjects == {"vps", "second"}

    logs = await muva("logs", "--env", "production", "-n", "50", "--json", config=config)
    assert {json.loads(line)["host"] for line in logs.out.splitlines()} == {"vps", "second"}


async def test_one_host_of_two_that_is_gone_leaves_the_other_and_is_unknown(
    muva: Muva, estate: Estate, tmp_path: Path
) -> None:
    document = with_hosts(estate)
    gone = document["hosts"]["vps"] | {"port": 1}
    config = written(with_hosts(estate, gone=gone), tmp_path)

    answer = await muva("processes", "--env", "production", "--json", config=config)
    assert answer.status == 3
    assert answer.data["verdict"] == "CANNOT TELL"
    assert [one["host"] for one in answer.data["processes"]] == ["vps"]
    assert answer.finding("processes", "ok")["subject"] == "muva-production on vps"
    assert answer.finding("processes", "unknown")["subject"] == "gone"

    logs = await muva("logs", "--env", "production", "-n", "5", config=config)
    assert logs.status == 3
    assert logs.out
    assert "gone: connection refused" in logs.err


async def test_the_database_through_a_host(muva: Muva, estate: Estate, tmp_path: Path) -> None:
    document = with_hosts(estate)
    document["environments"]["production"]["database"]["through"] = "vps"
    answer = await muva("health", "--env", "production", "--json", config=written(document, tmp_path))
    assert answer.status == 0, answer.out
    assert {one["level"] for one in answer.data["findings"] if one["check"] == "database"} == {"ok"}
    assert answer.finding("critical-tables", "ok")

    document["hosts"]["gone"] = document["hosts"]["vps"] | {"port": 1}
    document["environments"]["production"]["database"]["through"] = "gone"
    answer = await muva("health", "--env", "production", "--json", config=written(document, tmp_path))
    assert answer.status == 3
    assert "gone: connection refused" in answer.finding("database", "unknown")["summary"]
    assert answer.finding("critical-tables", "unknown")


async def test_through_a_jump_host(muva: Muva, estate: Estate, tmp_path: Path) -> None:
    document = with_hosts(estate)
    document["hosts"]["far"] = document["hosts"]["vps"] | {"jump": "vps"}
    document["environments"]["production"]["hosts"] = ["far"]
    answer = await muva("processes", "--env", "production", "--json", config=written(document, tmp_path))
    assert answer.status == 0, answer.out + answer.err
    assert [one["host"] for one in answer.data["processes"]] == ["far"]
