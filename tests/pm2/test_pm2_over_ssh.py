"""Through SSH to a drill estate's host: the same, on the console's own link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from muva_console.config.load import load
from muva_console.drill.state import Estate
from muva_console.ops.links.ssh import SshLink
from muva_console.ops.pm2.model import BusNotice, NoticeKind
from muva_console.ops.processes import COMMAND, SOCKET, ProcessReader
from tests.patience import HANG


@pytest.fixture
async def link(estate: Estate) -> AsyncIterator[SshLink]:
    made = SshLink("vps", load(estate.config).config.hosts["vps"])
    yield made
    await made.close()


async def test_a_reading_and_the_bus(estate: Estate, link: SshLink) -> None:
    reader = ProcessReader(link, link.settings)
    reading = await reader.read()
    assert reading.source == SOCKET
    assert [p.name for p in reading.processes] == ["muva-production", "muva-staging"]
    for process in reading.processes:
        assert (process.status, process.tree, process.restarts_in_window) == ("online", True, 0)
        assert len(process.commit) == 40
        assert process.cwd.startswith(str(estate.host_home))
    async with reader.bus.subscribe(logs=False) as heard, asyncio.timeout(HANG):
        notice = await anext(heard)
        assert isinstance(notice, BusNotice)
        assert notice.kind is NoticeKind.CONNECTED
    await reader.close()


async def test_a_dropped_connection_is_mended_under_the_reader(link: SshLink) -> None:
    reader = ProcessReader(link, link.settings)
    subscription = reader.bus.subscribe(logs=False)
    await reader.read()
    async with asyncio.timeout(HANG):
        await anext(subscription)
    (await link.connect()).abort()
    assert (await reader.read()).source == SOCKET
    async with asyncio.timeout(HANG):
        kinds = [(await anext(subscription)) for _ in range(2)]
    assert [k.kind for k in kinds if isinstance(k, BusNotice)] == [NoticeKind.LOST, NoticeKind.CONNECTED]
    await reader.close()


async def test_the_command_line_over_ssh(link: SshLink) -> None:
    reader = ProcessReader(link, link.settings)
    await reader.read()
    reader._refused_until = time.monotonic() + 60  # as after a server that forbids forwarding
    reading = await reader.read()
    assert reading.source == COMMAND
    assert [p.name for p in reading.processes] == ["muva-production", "muva-staging"]
    log = [record.line for record in link._log.records()]
    assert any(line.startswith("ps -eo pid") for line in log)
    await reader.close()
