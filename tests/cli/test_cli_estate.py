"""The answers of the command line on a healthy estate."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from muva_console.drill.state import Estate
from tests.cli.conftest import Muva
from tests.patience import HANG

NAMED = {"api-health", "database", "dependencies", "performance", "critical-tables"}


async def test_health_of_a_healthy_estate(muva: Muva, estate: Estate) -> None:
    answer = await muva("health", "--env", "production", "--json", config=estate.config)
    assert answer.status == 0, answer.out
    data = answer.data
    assert data["environment"] == "production"
    assert data["verdict"] == "GO"
    assert {finding["check"] for finding in data["findings"]} >= NAMED | {"processes", "resources"}
    for finding in data["findings"]:
        assert set(finding) >= {"check", "level", "summary", "evidence", "command", "took_ms", "at"}
        assert finding["level"] in {"ok", "warn"}
        assert finding["evidence"]
        assert finding["command"]


async def test_processes_are_those_of_the_environment(muva: Muva, estate: Estate) -> None:
    answer = await muva("processes", "--env", "staging", "--json", config=estate.config)
    assert answer.status == 0
    assert [process["name"] for process in answer.data["processes"]] == ["muva-staging"]
    process = answer.data["processes"][0]
    assert process["status"] == "online"
    assert process["memory"] > 10_000_000
    assert process["uptime"] > 0
    assert answer.data["hosts"][0]["source"] == "daemon socket"
    both = await muva("processes", "--env", "staging", "--all", "--json", config=estate.config)
    assert {process["name"] for process in both.data["processes"]} == {"muva-staging", "muva-production"}


async def test_the_commands_that_are_shown_can_be_pasted(muva: Muva, estate: Estate) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("OpenSSH's client is not installed")
    answer = await muva("health", "--env", "production", "--json", config=estate.config)
    for check, told in (("processes", "muva-production"), ("resources", "Mem")):
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-c", answer.finding(check)["command"]],
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert told in done.stdout, (answer.finding(check)["command"], done)


async def test_logs_are_lines_of_json_in_order_of_time(muva: Muva, estate: Estate) -> None:
    answer = await muva("logs", "--env", "production", "--lines", "20", "--json", config=estate.config)
    assert answer.status == 0
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert 0 < len(lines) <= 20
    assert {line["process"] for line in lines} == {"muva-production"}
    times = [line["at"] for line in lines if line["at"]]
    assert times == sorted(times)


async def test_grep_and_its_inverse_share_all_lines(muva: Muva, estate: Estate) -> None:
    async def count(*options: str) -> int:
        answer = await muva("logs", "--env", "staging", "-n", "5", "--json", *options, config=estate.config)
        assert answer.status == 0
        return sum("Ready" in json.loads(line)["text"] for line in answer.out.splitlines())

    assert await count("--grep", "Ready") >= 1
    assert await count("--grep", "!Ready") == 0


async def test_monitor_prints_a_line_of_json_a_round(muva: Muva, estate: Estate) -> None:
    answer = await muva(
        "monitor", "--env", "production", "--refresh", "1", "--count", "2", "--json", config=estate.config
    )
    assert answer.status == 0, answer.out
    rounds = [json.loads(line) for line in answer.out.splitlines()]
    assert len(rounds) == 2
    assert rounds[0]["at"] < rounds[1]["at"]
    assert rounds[1]["standing"]["api-health"]["standing"] == "healthy"
    window = rounds[1]["window"]["api-health"]
    assert (window["seconds"], window["known"], window["failed"]) == (900.0, 2, 0)
    assert window["availability"] == 1.0


async def test_an_environment_without_anything_to_ask_cannot_be_told(muva: Muva, estate: Estate) -> None:
    answer = await muva("health", "--env", "dev", "--json", config=estate.config)
    assert answer.status == 3
    assert answer.data["verdict"] == "CANNOT TELL"
    for command in ("health", "processes", "logs"):
        told = await muva(command, "--env", "dev", config=estate.config)
        assert told.status == 3
        assert "has no" in told.err
        assert "[environments.dev]" in told.err  # what to do about it


async def test_findings_of_one_check_are_told_apart(muva: Muva, estate: Estate) -> None:
    answer = await muva("health", "--env", "production", config=estate.config)
    database = [line for line in answer.out.splitlines() if "Database connectivity" in line]
    assert len(database) == 2
    assert "asked by the application: " in database[0]
    assert "asked by the application: " not in database[1]


async def test_mistakes_of_usage_and_configuration_end_with_2(
    muva: Muva, estate: Estate, tmp_path: Path
) -> None:
    unknown = await muva("health", "--env", "prodution", "--json", config=estate.config)
    assert unknown.status == 2
    assert unknown.out == ""
    assert "production" in unknown.err
    assert "Traceback" not in unknown.err

    broken = tmp_path / "muva.toml"
    broken.write_text('[environments.production]\nbranch = 3\nurl = "ftp://x"\n')
    wrong = await muva("health", "--env", "production", config=broken)
    assert wrong.status == 2
    assert "environments.production" in wrong.err
    assert "branch" in wrong.err
    assert "url" in wrong.err

    assert (await muva("health", "--nonsense", config=estate.config)).status == 2
    assert (await muva("logs", "--env", "production", "--grep", "(", config=estate.config)).status == 2
    assert (await muva("monitor", "--env", "production", "--refresh", "-3", config=estate.config)).status == 2


async def test_a_process_that_is_not_there_is_named(muva: Muva, estate: Estate) -> None:
    answer = await muva("logs", "muva-prod; rm -rf /", "--env", "production", config=estate.config)
    assert answer.status == 1
    assert "muva-prod; rm -rf /" in answer.err


async def test_the_console_without_a_terminal_says_what_to_use_instead(muva: Muva, estate: Estate) -> None:
    answer = await muva(config=estate.config)
    assert answer.status == 2
    assert "terminal" in answer.err
    assert "muva health" in answer.err


async def test_no_secret_of_the_estate_is_ever_printed(muva: Muva, estate: Estate) -> None:
    secrets = [
        file.read_text().strip()
        for file in estate.secrets.iterdir()
        if file.is_file() and (file.suffix == ".password" or file.name == "planted")
    ]
    assert len(secrets) >= 3
    for arguments in (
        ("health", "--env", "production", "--json"),
        ("processes", "--env", "production", "--all", "--json"),
        ("logs", "--env", "production", "--lines", "200"),
        ("doctor", "--env", "production", "--json"),
    ):
        answer = await muva(*arguments, config=estate.config)
        for secret in secrets:
            assert secret not in answer.out + answer.err, arguments
