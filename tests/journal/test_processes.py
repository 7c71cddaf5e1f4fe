"""Several consoles at once, and kill -9 in the middle: nothing lost, nothing torn."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muva_console.ops.journal import Filter, Journal
from muva_console.ops.readings import Level
from tests.patience import HANG

WORKERS = 4


async def start(mode: str, folder: Path, name: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.journal.worker",
        mode,
        str(folder),
        str(name),
        stdout=asyncio.subprocess.PIPE,
    )


async def promises(process: asyncio.subprocess.Process) -> dict[int, str]:
    """What the worker was promised to be written: id → hash. A half line was not told."""
    assert process.stdout is not None
    told = {}
    async for line in process.stdout:
        words = line.decode().split()
        if line.endswith(b"\n") and words[0] == "wrote":
            told[int(words[1])] = words[2]
    return told


async def test_consoles_that_begin_a_journal_at_once(
    folder: Path, open_journal: Callable[..., Journal]
) -> None:
    """From nothing, all at the same moment: one schema, one chain, no error."""
    workers = [await start("some", folder, number) for number in range(WORKERS)]
    async with asyncio.timeout(HANG):
        told = await asyncio.gather(*(promises(worker) for worker in workers))
        assert [await worker.wait() for worker in workers] == [0] * WORKERS
    journal = open_journal()
    entries = await journal.read(Filter(limit=None))
    assert [entry.id for entry in entries] == list(range(1, WORKERS * 25 + 1))
    assert {number: text for each in told for number, text in each.items()} == {
        entry.id: entry.hash for entry in entries
    }
    for number in range(WORKERS):
        own = [entry.text for entry in entries if entry.engineer == f"worker {number}"]
        assert own == [f"{number} {count}" for count in range(25)]
    verified = await journal.verify()
    assert (verified.level, verified.anchored) == (Level.OK, WORKERS * 25)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o660}


async def test_kill_9_in_the_middle(folder: Path, open_journal: Callable[..., Journal]) -> None:
    """Workers append without end and are killed at random moments, three rounds on the same journal."""
    chance = random.Random(20251105)
    promised: dict[int, str] = {}
    for _ in range(3):
        workers = [await start("for-ever", folder, number) for number in range(WORKERS)]
        reading = [asyncio.create_task(promises(worker)) for worker in workers]
        journal = open_journal()
        async with asyncio.timeout(HANG):
            target = max(promised, default=0) + 40
            while len(await journal.read(Filter(after=target - 1, limit=1))) == 0:
                await asyncio.sleep(0.01)
        for worker in workers:
            await asyncio.sleep(chance.random() * 0.03)  # the moment is the point, not a wait for something
            worker.send_signal(signal.SIGKILL)
        async with asyncio.timeout(HANG):
            for told in await asyncio.gather(*reading):
                assert not promised.keys() & told.keys()
                promised |= told
            assert {await worker.wait() for worker in workers} == {-signal.SIGKILL}
    journal = open_journal()
    await journal.note("the next console")
    entries = await journal.read(Filter(limit=None))
    assert [entry.id for entry in entries] == list(range(1, len(entries) + 1))
    kept = {entry.id: entry.hash for entry in entries}
    assert promised.items() <= kept.items()
    assert len(entries) - 1 - len(promised) <= 3 * WORKERS  # written, but killed before it was told
    assert (await journal.verify()).level is Level.OK
    open_acts = await journal.open_acts()
    assert {act.life.value for act in open_acts} <= {"interrupted"}
    assert len(open_acts) <= 3 * WORKERS
    assert list((folder / "journal.spool").iterdir()) == []


async def test_an_entry_is_seen_by_another_process_as_soon_as_it_is_promised(
    folder: Path, open_journal: Callable[..., Journal]
) -> None:
    worker = await start("some", folder, 1)
    assert worker.stdout is not None
    journal = open_journal()
    async with asyncio.timeout(HANG):
        async for line in worker.stdout:
            _, number, told = line.decode().split()
            entries = await journal.read(Filter(after=int(number) - 1, limit=None))
            assert entries[0].hash == told
        assert await worker.wait() == 0


def test_the_umask_is_left_alone(folder: Path) -> None:
    """A strict umask does not keep the group out, and nobody's umask is changed."""
    from muva_console.ops.journal.folder import Folder

    before = os.umask(0o077)
    try:
        shared = Folder(folder, shared=True)
        shared.make()
        shared.make_file(shared.database)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    assert stat.S_IMODE(shared.database.stat().st_mode) == 0o660


def test_a_file_is_made_the_other_way_where_there_are_no_nameless_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O_TMPFILE is refused (as on NFS): the same file, by way of a name of its own."""
    real: Any = os.open

    def refusing(path: Any, flags: int, *rest: Any, **named: Any) -> Any:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no nameless files")
        return real(path, flags, *rest, **named)

    from muva_console.ops.journal.folder import Folder

    shared = Folder(folder, shared=True)
    shared.make()
    monkeypatch.setattr(os, "open", refusing)
    for _ in range(2):
        shared.make_file(shared.database)
    monkeypatch.undo()
    assert [path.name for path in folder.iterdir()] == ["journal.db"]
    assert stat.S_IMODE(shared.database.stat().st_mode) == 0o660
