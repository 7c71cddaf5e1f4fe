"""The seam with PM2's own daemon: what it writes to its files and what its bus says are the same lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from muva_console.ops.logs.buffer import LogState
from muva_console.ops.logs.model import Clock, LogLine, Stream
from muva_console.ops.logs.source import LogFollower
from tests.conftest import in_thread
from tests.patience import HANG
from tests.pm2.real_pm2 import Pm2

CHATTY = """
let n = 0;
setInterval(() => {
  for (let i = 0; i < 5; i++) console.log(`line ${n++}`);
  if (n % 50 === 0) console.error(`Error: trouble ${n}`);
}, 3);
"""


@pytest.fixture
def pm2() -> Iterator[Pm2]:
    from muva_console.drill import parts

    found = in_thread(lambda: parts.find(print))
    daemon = Pm2(found.pm2, found.node)
    try:
        yield daemon
    finally:
        daemon.destroy()


@pytest.mark.parametrize(
    "options", [{}, {"log_date_format": "YYYY-MM-DDTHH:mm:ss"}, {"exec_mode": "cluster"}]
)
async def test_a_process_that_never_stops_talking_is_heard_without_a_gap(
    pm2: Pm2, options: dict[str, object]
) -> None:
    pm2.start(chatty={"source": CHATTY, **options})
    reader = pm2.reader()
    states: list[LogState] = []
    got: list[LogLine] = []
    try:
        listed = await reader.read()
        follower = LogFollower(
            pm2.link(), listed.processes, bus=reader.bus, lines=100_000, on_state=states.append
        )
        async with asyncio.timeout(HANG), aclosing(follower.batches()) as batches:
            live_at = None
            async for batch in batches:
                got += batch
                if states[-1].live and live_at is None:
                    live_at = len(got)
                if live_at is not None and len(got) > live_at + 2000:
                    break
    finally:
        await reader.close()
    assert states[-1].detail == "live by PM2's bus"
    numbers = [int(one.text.split()[1]) for one in got if one.stream is Stream.OUT]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 2000
    troubles = [int(one.text.split()[2]) for one in got if one.stream is Stream.ERR]
    assert troubles == list(range(troubles[0], troubles[0] + 50 * len(troubles), 50))
    assert got[-1].clock is (Clock.STAMPED if "log_date_format" in options else Clock.ARRIVED)
    assert not [one.text for one in got if one.stream is Stream.NOTE]
    assert Path(listed.processes[0].out_log).is_file()
