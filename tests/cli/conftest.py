from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import prepared
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
        status, out, err = await asyncio.to_thread(
            prepared.run, *before, *arguments, env={**os.environ, "NO_COLOR": "1"}, seconds=timeout
        )
        return Answer(status, out, err)

    return run
