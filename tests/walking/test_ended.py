"""A command line that is told to end takes along what it runs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.patience import HANG
from tests.walking.conftest import Flow


def _running(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", mark.encode()]:
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_build_ends_with_the_command_that_began_it(flow: Flow, number: signal.Signals) -> None:
    mark = f"98{os.getpid()}{int(number)}"
    build = f"(setsid sleep {mark} &); sleep {mark}"
    text = flow.config.read_text().replace("[project]", f'[project]\nbuild = "{build}"')
    flow.config.write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "muva_console", "--config", str(flow.config), "checklist",
        "pre-deploy-staging", "--env", "staging", "--item", "build-success",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(HANG):
            while len(_running(mark)) < 2:
                await asyncio.sleep(0.05)
            process.send_signal(number)
            assert await process.wait() == 128 + number
            while _running(mark):  # they were told to end before it did, and take a moment to
                await asyncio.sleep(0.05)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for pid in _running(mark):
            os.kill(int(pid), signal.SIGKILL)
