"""The drill estates that tests share: real PM2, Postgres, SSH and HTTP on loopback.

One estate is shared by all workers for tests that only read; a few more are lent to one test at a time
for tests that break things. All of them end with the process that began the run, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from muva_console.ops.errors import OpsError

if TYPE_CHECKING:
    from muva_console.drill.state import Estate

T = TypeVar("T")

# A machine that others use too is slow at times: how long an example takes is no finding.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

_BREAKABLE = 2
"""How many estates there are to break at once: one a core of the smallest machine this runs on."""

_RUN_DIRECTORY = "MUVA_TEST_ESTATES"


def pytest_configure(config: pytest.Config) -> None:
    """The process that begins the run makes the folder of its estates; its workers inherit the name."""
    if not hasattr(config, "workerinput"):
        # Short, because PM2's sockets live below it.
        os.environ[_RUN_DIRECTORY] = tempfile.mkdtemp(prefix="muva-t-")
        (Path(os.environ[_RUN_DIRECTORY]) / "owner").write_text(str(os.getpid()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """When all workers have ended: every estate down."""
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ.pop(_RUN_DIRECTORY))
        for directory in folder.iterdir():
            if directory.is_dir():
                in_thread(lambda directory=directory: _down(directory))  # type: ignore[misc]
        shutil.rmtree(folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What collecting has made lives as long as the run: the collector need not look at all of it again and
    again, which was a third of what the tests of screens took.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end on a loop of its own, beside whatever loop the tests have."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    async def main() -> T:
        return await work()

    def run() -> None:
        try:
            outcome.append(asyncio.run(main()))
        except BaseException as error:  # raised again in the thread that waits
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


async def _down(directory: Path) -> None:
    from muva_console.drill import estate

    await estate.down(directory)


@contextlib.contextmanager
def _lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between processes; False when another holds it and `wait` is False."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _folder() -> Path:
    return Path(os.environ[_RUN_DIRECTORY])


def _up_once(name: str) -> Estate:
    """The run's estate of that name, brought up by whoever needs it first."""
    from muva_console.drill import estate

    directory = _folder() / name
    with _lock(_folder() / f"{name}.making"):
        if (directory / "estate.json").exists():
            there = estate.load(directory)
            if there.phase == "up":
                return there
            in_thread(lambda: _down(directory))  # whoever made it was stopped half-way
        owner = int((_folder() / "owner").read_text())
        made = in_thread(lambda: estate.up(directory, owner=owner))
        _allow_for_load(made)
        return made


def _allow_for_load(made: Estate) -> None:
    """Call usual what a machine takes that others use too: as much as the slowness of the drill's fault, ten
    times the usual and 0.9 s at least, still stands out from.
    """
    text = made.config.read_text()
    changed, count = re.subn(r'^baseline = "[^"]*"', 'baseline = "80ms"', text, flags=re.MULTILINE)
    assert count == len(made.sites)
    made.config.write_text(changed)


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """What one test has called a secret is no secret to the next: the console's memory of them is one. Nor
    are their values: an estate that is made anew in the same folder has others.
    """
    from muva_console.config import secrets
    from muva_console.config.redact import redactor

    known = (redactor._values, redactor._needles)
    yield
    redactor._values, redactor._needles = known
    secrets.forget()


@pytest.fixture(scope="session")
def estate() -> Estate:
    """A healthy estate shared by every test of the run: look, never touch."""
    return _up_once("read")


@pytest.fixture(scope="session")
def estate_config(estate: Estate) -> Path:
    """The shared estate's muva.toml."""
    return estate.config


@pytest.fixture
def breakable_estate() -> Iterator[Estate]:
    """A healthy estate that no other test uses meanwhile; what the test broke is mended afterwards."""
    with _any_free() as name:
        made = _up_once(name)
        try:
            yield made
        finally:
            _make_whole(made)


@contextlib.contextmanager
def _any_free() -> Iterator[str]:
    names = [f"break{number}" for number in range(_BREAKABLE)]
    for name in names:
        with _lock(_folder() / f"{name}.use", wait=False) as got:
            if got:
                yield name
                return
    turn = os.getpid() % len(names)
    with _lock(_folder() / f"{names[turn]}.use"):
        yield names[turn]


def _make_whole(made: Estate) -> None:
    """Mend what the test broke; an estate that is not whole then goes down, the next test gets a new one."""
    from muva_console.drill import estate, faults

    async def work() -> None:
        try:
            await faults.mend(made.directory)
            whole = (await estate.status(made.directory)).whole
        except OpsError:
            whole = False
        if not whole:
            await estate.down(made.directory)
        elif (
            made.journal.is_dir()
        ):  # an incident that is open, a run that is: they are none of the next test's
            for file in made.journal.iterdir():
                shutil.rmtree(file) if file.is_dir() else file.unlink()

    in_thread(work)
