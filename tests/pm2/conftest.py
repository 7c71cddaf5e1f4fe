"""Real PM2 daemons for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from muva_console.ops.processes import ProcessReader
from tests.conftest import in_thread
from tests.pm2.real_pm2 import LOOP, SERVER, WRAPPER, Pm2


@pytest.fixture(scope="session")
def programs() -> tuple[Path, Path]:
    """pm2 and node, pinned."""
    from muva_console.drill import parts

    found = in_thread(lambda: parts.find(print))
    return found.pm2, found.node


@pytest.fixture
def pm2(programs: tuple[Path, Path]) -> Iterator[Pm2]:
    """A daemon of the test's own; it runs from the first `start` on."""
    daemon = Pm2(*programs)
    try:
        yield daemon
    finally:
        daemon.destroy()


@pytest.fixture(scope="module")
def shared(programs: tuple[Path, Path]) -> Iterator[Pm2]:
    """A daemon that a module's tests share: a server, a crash loop, a wrapper with a child."""
    daemon = Pm2(*programs)
    try:
        daemon.start(web=SERVER, loop=LOOP, wrapper=WRAPPER)
        yield daemon
    finally:
        daemon.destroy()


@pytest.fixture
async def reader(pm2: Pm2) -> AsyncIterator[ProcessReader]:
    """A reader of `pm2`."""
    made = pm2.reader()
    yield made
    await made.close()


@pytest.fixture
async def shared_reader(shared: Pm2) -> AsyncIterator[ProcessReader]:
    """A reader of `shared`."""
    made = shared.reader()
    yield made
    await made.close()
