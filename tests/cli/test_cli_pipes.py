"""Standard output that nobody reads, that is full, or that has few letters; and a terminal that goes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.request
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import pytest

from muva_console.drill.state import Estate
from tests.patience import HANG

NOBODY_READS = 141
"""As the shell tells of a program that SIGPIPE ended: neither well nor ill."""


async def begin(estate: Estate, *arguments: str, stdout: Any, **environ: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "muva_console",
        "--config",
        str(estate.config),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
        process_group=0,
    )


async def end(process: Process) -> tuple[int, str]:
    """Its exit status and what it told on standard error; it must end by itself."""
    assert process.stderr is not None
    try:
        async with asyncio.timeout(HANG):
            err = await process.stderr.read()
            return await process.wait(), err.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    "arguments",
    [
        ("monitor", "--env", "production", "--json", "--refresh", "1"),
        ("monitor", "--env", "production", "--refresh", "3600"),
        ("logs", "--env", "production", "--follow", "--lines", "2"),
        ("journal", "--follow"),
    ],
)
async def test_what_goes_on_ends_when_nobody_reads_it(estate: Estate, arguments: tuple[str, ...]) -> None:
    here, there = os.pipe()
    process = await begin(estate, *arguments, stdout=there)
    os.close(there)
    if arguments[0] != "journal":  # the estate's may be empty
        assert await asyncio.to_thread(os.read, here, 1)
    os.close(here)  # and nothing more happens: it must not need a line to write
    status, err = await end(process)
    assert status == NOBODY_READS
    assert "Traceback" not in err


async def test_a_line_that_nobody_reads_ends_the_following_of_logs(estate: Estate) -> None:
    here, there = os.pipe()
    process = await begin(estate, "logs", "--env", "production", "-f", "-n", "1", stdout=there)
    os.close(there)
    assert await asyncio.to_thread(os.read, here, 1)
    os.close(here)
    url = estate.sites["production"].url + "/api/health"
    await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=HANG).close())
    status, err = await end(process)
    assert status == NOBODY_READS
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["health", "processes"])
async def test_an_answer_that_nobody_read_is_not_called_healthy(estate: Estate, command: str) -> None:
    here, there = os.pipe()
    os.close(here)
    process = await begin(estate, command, "--env", "production", "--json", stdout=there)
    os.close(there)
    status, err = await end(process)
    assert status == NOBODY_READS
    assert "Traceback" not in err


async def test_a_full_disk_is_told(estate: Estate) -> None:
    with Path("/dev/full").open("w") as full:
        process = await begin(estate, "processes", "--env", "production", "--json", stdout=full)
    status, err = await end(process)
    assert status == 3
    assert "No space left on device" in err
    assert "Traceback" not in err
    assert "Exception ignored" not in err


async def test_ctrl_c_ends_a_monitor_with_the_last_verdict(estate: Estate) -> None:
    process = await begin(
        estate, "monitor", "--env", "production", "--refresh", "3600", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(HANG):
        await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    status, err = await end(process)
    assert status == 0
    assert "stopped" in err
    assert "Traceback" not in err


async def test_a_terminal_of_few_letters_gets_answers_all_the_same(estate: Estate) -> None:
    arguments = ("health", "--env", "production", "-v")
    process = await begin(estate, *arguments, stdout=asyncio.subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert process.stdout is not None
    out = (await process.stdout.read()).decode("latin-1")
    status, err = await end(process)
    assert status == 0, err
    assert "ok" in out
    assert "production: healthy" in out


async def test_json_is_utf_8_whatever_the_terminal_has(tmp_path: Path, estate: Estate) -> None:
    text = "Kärnten – ünlesbar"
    arguments = ("journal", "note", text, "--json", "--directory", str(tmp_path / "journal"))
    process = await begin(estate, *arguments, stdout=asyncio.subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert process.stdout is not None
    out = (await process.stdout.read()).decode()
    status, err = await end(process)
    assert status == 0, err
    assert text in out
