"""A console that is killed on its way: in a process that knows nothing of the tests' own threads."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from tests.patience import HANG

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.database.killing", "tests.database.conftest"])


def killed_at(words: str, port: int, name: str, folder: Path, file: Path | None) -> None:
    """Restore `file`, or back up where there is none, and die by SIGKILL as soon as `words` are told:
    whatever comes after them does not happen. Raises AssertionError where it lives on.
    """
    process = _FORKS.Process(target=_run, args=(words, port, name, folder, file))
    process.start()
    process.join(HANG)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError("it hung")
    assert process.exitcode == -signal.SIGKILL, process.exitcode


def _run(words: str, port: int, name: str, folder: Path, file: Path | None) -> None:
    signal.alarm(int(HANG))  # nothing stays behind whoever started it
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    asyncio.run(_act(words, port, name, folder, file))


async def _act(words: str, port: int, name: str, folder: Path, file: Path | None) -> None:
    from muva_console.ops.database.backup import take_backup
    from muva_console.ops.database.restore import RestoreOperation

    from .conftest import shop_of

    target = shop_of(port, name, folder).target

    def tell(kind: object, text: str) -> None:
        if words in text:
            os.kill(os.getpid(), signal.SIGKILL)

    if file is None:
        await take_backup(target, tell)
        return
    operation = RestoreOperation(target, file, without_backup="the test takes none")
    await operation._work(await operation.plan(), tell)
