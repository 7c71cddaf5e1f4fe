from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import HANG


@dataclass(frozen=True)
class Answer:
    """What a command ended with."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON: fails when anything else was printed there."""
        return json.loads(self.out)

    def finding(self, check: str, level: str | None = None) -> dict[str, Any]:
        """The finding of a check, of that level when one is given."""
        for finding in self.data["findings"]:
            if finding["check"] == check and level in (None, finding["level"]):
                assert isinstance(finding, dict)
                return finding
        raise AssertionError(f"no finding {check} {level or ''} in {self.out}")


Muva = Callable[..., Awaitable[Answer]]


@pytest.fixture
def muva() -> Muva:
    """Runs the command as a process of its own, as a script would."""

    async def run(*arguments: str, config: Path | None = None, timeout: float = HANG) -> Answer:
        before = ["--config", str(config)] if config is not None else []
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "muva_console",
            *before,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Answer(process.returncode, out.decode(), err.decode())

    return run
