"""A running console takes up a change of its file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from muva_console.config.load import LoadedConfig, load
from muva_console.config.watch import watch
from muva_console.ops.errors import ConfigError
from tests.patience import HANG


def text(branch: str) -> str:
    return f'[environments.production]\nbranch = "{branch}"\n'


class Told:
    def __init__(self) -> None:
        self.changes: list[LoadedConfig] = []
        self.broken: list[ConfigError] = []

    @property
    def branches(self) -> list[str]:
        return [each.config.environments["production"].branch for each in self.changes]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG):
            while not done():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(file: Path, *, gone_after: float = 0.1) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(
        watch(
            load(file),
            told.changes.append,
            told.broken.append,
            interval=0.02,
            settle=0.02,
            gone_after=gone_after,
        )
    )
    try:
        yield told
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_changes_in_place_and_by_renaming_are_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    file.write_text(text("one"))
    async with watching(file) as told:
        file.write_text(text("two"))
        await told.until(lambda: told.branches == ["two"])
        beside = tmp_path / ".muva.toml.swp"
        beside.write_text(text("six"))  # as long as before, and with the old time
        about = file.stat()
        os.utime(beside, ns=(about.st_atime_ns, about.st_mtime_ns))
        beside.replace(file)
        await told.until(lambda: told.branches == ["two", "six"])
        assert not told.broken


async def test_a_broken_file_is_told_once_and_the_old_stays(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    file.write_text(text("one"))
    async with watching(file) as told:
        file.write_text("[environments.production]\nbrunch = 3\n")
        await told.until(lambda: len(told.broken) == 1)
        assert "did you mean branch?" in told.broken[0].mistakes[1] + told.broken[0].mistakes[0]
        os.utime(file)
        file.write_text("not toml")
        await told.until(lambda: len(told.broken) == 2)
        assert not told.changes
        file.write_text(text("two"))
        await told.until(lambda: told.branches == ["two"])
        assert len(told.broken) == 2


async def test_the_old_file_put_back_is_told_as_good_again(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    file.write_text(text("one"))
    async with watching(file) as told:
        file.write_text("x")
        await told.until(lambda: len(told.broken) == 1)
        file.write_text(text("one"))
        await told.until(lambda: told.branches == ["one"])


async def test_touching_and_the_gap_of_a_rename_tell_nothing(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    file.write_text(text("one"))
    async with watching(file, gone_after=30) as told:
        os.utime(file)
        away = tmp_path / "away"
        file.rename(away)
        await asyncio.sleep(0.1)  # several looks while it is away
        away.rename(file)
        os.utime(file)
        file.write_text(text("two"))
        await told.until(lambda: told.branches == ["two"])
        assert not told.broken


async def test_a_file_that_is_gone_is_told_and_may_come_back(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    file.write_text(text("one"))
    async with watching(file) as told:
        file.unlink()
        await told.until(lambda: len(told.broken) == 1)
        assert "the file is gone" in str(told.broken[0])
        file.write_text(text("two"))
        await told.until(lambda: told.branches == ["two"])
        assert len(told.broken) == 1
