"""Reading a host's processes: real PM2, reached without SSH."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandResult
from muva_console.ops.pm2 import survey
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.processes import COMMAND, SOCKET, Pm2Down, ProcessReader
from tests.patience import HANG
from tests.pm2.local_link import LocalLink
from tests.pm2.real_pm2 import SERVER, Pm2, wait

SECRET = "s3cr3t-Zq9xW"
NAMES = {
    "esc\x1b]52;c;ZXZpbA==\x07\x1b[31mred": "escred",
    "[bold red]markup[/]": "[bold red]markup[/]",
    "plain": "plain",
    "snöwman ☃ \u202egnp": "snöwman ☃ \u00b7gnp",
    'it\'s "quoted" $(id) `id`': 'it\'s "quoted" $(id) `id`',
    "--version": "--version",
    "two\nlines": "two lines",
}


async def until(
    reader: ProcessReader, wanted: Callable[[dict[str, Process]], bool], timeout: float = HANG
) -> dict[str, Process]:
    """Read until the processes are as wanted."""
    end = time.monotonic() + timeout
    while True:
        found = {process.name: process for process in (await reader.read()).processes}
        if wanted(found):
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)


async def raises_down(reader: ProcessReader) -> Pm2Down:
    with pytest.raises(Pm2Down) as caught:
        await reader.read()
    return caught.value


async def test_the_list(shared: Pm2, shared_reader: ProcessReader) -> None:
    reading = await shared_reader.read()
    assert reading.source == SOCKET == shared_reader.source
    assert reading.daemon_version == "7.0.4"
    assert abs(reading.clock_offset) < 1.0
    web = reading.processes[0]
    assert (web.pm_id, web.name, web.status, web.exec_mode) == (0, "web", "online", "fork_mode")
    assert web.pid is not None
    assert psutil.Process(web.pid).is_running()
    assert web.cwd == str(shared.folder)
    assert Path(web.out_log).parent == shared.home / "logs"
    uptime = reading.uptime(web)
    assert uptime is not None
    assert abs(uptime - (time.time() - psutil.Process(web.pid).create_time())) < 1.5


async def test_memory_and_cpu_are_the_whole_trees(shared: Pm2, shared_reader: ProcessReader) -> None:
    found = await until(shared_reader, lambda p: p["wrapper"].memory > 130e6)
    wrapper = found["wrapper"]
    assert wrapper.tree
    assert wrapper.own_memory < 80e6  # what PM2 itself would tell
    assert wrapper.pid is not None
    leader = psutil.Process(wrapper.pid)
    whole = sum(p.memory_info().rss for p in [leader, *leader.children(recursive=True)])
    assert abs(wrapper.memory - whole) < 0.2 * whole


async def test_the_hot_path_asks_the_daemon_and_nothing_else(shared: Pm2) -> None:
    shared.run("stop", "loop")
    try:
        link = shared.link()
        reader = ProcessReader(link, shared.host_config())
        await reader.read()
        looked = len(link.commands)
        for _ in range(20):
            await reader.read()
        assert len(link.commands) == looked
        assert link.opened == 1
        await reader.close()
        assert link.channels == 0
    finally:
        shared.run("restart", "loop")


async def test_a_lost_channel_is_opened_again(shared: Pm2) -> None:
    link = shared.link()
    reader = ProcessReader(link, shared.host_config())
    await reader.read()
    for _ in range(3):
        link.cut()
        assert (await reader.read()).source == SOCKET
    assert link.opened == 4
    await reader.close()


async def test_home_is_the_hosts_own(shared: Pm2) -> None:
    (shared.folder / "link with 'quote").symlink_to(shared.home)
    reader = ProcessReader(shared.link(), Host(address="x", pm2_home="~/link with 'quote"))
    assert len((await reader.read()).processes) == 3
    assert await reader.home() == str(shared.home)  # the real one: a socket's path must be short
    await reader.close()


async def test_many_readers_at_once_share_one_look(shared: Pm2) -> None:
    link = shared.link()
    reader = ProcessReader(link, shared.host_config())
    readings = await asyncio.gather(*(reader.read() for _ in range(10)))
    assert {len(reading.processes) for reading in readings} == {3}
    assert link.opened == 1
    assert len(link.commands) <= 3
    await reader.close()


async def test_without_forwarding_pm2s_command_line_is_asked(shared: Pm2) -> None:
    reader = shared.reader(forwarding=False)
    reading = await reader.read()
    assert reading.source == COMMAND == reader.source
    assert reading.daemon_version == "7.0.4"
    assert [p.name for p in reading.processes] == ["web", "loop", "wrapper"]
    assert reading.processes[2].tree
    assert not await reader.by_socket()
    await reader.close()


async def test_no_pm2_command_says_what_to_do(shared: Pm2) -> None:
    config = Host(address="x", pm2_home=str(shared.home), pm2="/nowhere/pm2")
    reader = ProcessReader(shared.link(forwarding=False), config)
    with pytest.raises(LinkError, match="there is no command") as caught:
        await reader.read()
    assert caught.value.fault is Fault.MISSING
    assert "[hosts.vps]" in caught.value.next


async def test_a_link_that_is_down_is_its_own_error(shared: Pm2) -> None:
    link = shared.link()
    reader = ProcessReader(link, shared.host_config())
    link.down = LinkError(Fault.REFUSED, "nobody listens on port 22", where="vps")
    with pytest.raises(LinkError, match="port 22") as caught:
        await reader.read()
    assert not isinstance(caught.value, Pm2Down)
    link.down = None
    assert (await reader.read()).processes
    await reader.close()


@pytest.mark.parametrize("forwarding", [True, False])
async def test_looking_never_starts_a_daemon(pm2: Pm2, forwarding: bool) -> None:
    reader = pm2.reader(forwarding=forwarding)
    down = await raises_down(reader)
    assert down.fault is Fault.MISSING
    assert "there is no" in down.what
    with pytest.raises(Pm2Down):
        await reader.command("jlist")
    (pm2.home / "pm2.pid").write_text(str(os.getpid()))  # a pid that passed to somebody else
    os.mkfifo(pm2.home / "rpc.sock")
    await raises_down(reader)
    assert pm2.processes() == []


async def test_the_daemon_gone_and_back(pm2: Pm2) -> None:
    pm2.start(web=SERVER)
    pm2.run("save")
    by_socket, by_command = pm2.reader(), pm2.reader(forwarding=False)
    assert len((await by_socket.read()).processes) == len((await by_command.read()).processes) == 1
    pm2.kill_daemon()
    for reader in (by_socket, by_command):
        down = await raises_down(reader)
        assert "is gone" in down.what
        assert "resurrect" in down.next
    assert (pm2.home / "rpc.sock").exists()  # what it left is no daemon
    assert not any("God Daemon" in " ".join(p.cmdline()) for p in pm2.processes())
    pm2.run("resurrect")
    for reader in (by_socket, by_command):
        assert [p.name for p in (await reader.read()).processes] == ["web"]
        await reader.close()


async def test_a_lost_socket_is_not_a_reason_to_start_another_daemon(pm2: Pm2) -> None:
    pm2.start(web=SERVER)
    (pm2.home / "rpc.sock").unlink()
    for reader in (pm2.reader(), pm2.reader(forwarding=False)):
        down = await raises_down(reader)
        assert "lives" in down.what
    daemons = [p for p in pm2.processes() if "God Daemon" in " ".join(p.cmdline())]
    assert [p.pid for p in daemons] == [pm2.daemon]


async def test_names_signals_limits_and_secrets(pm2: Pm2, caplog: pytest.LogCaptureFixture) -> None:
    """One daemon for all that one start can show."""
    caplog.set_level(logging.DEBUG)
    planted = {"DATABASE_URL": SECRET, "namespace": SECRET, "version": SECRET, "node_version": SECRET}
    eater = "const all = []; setInterval(() => all.push(Buffer.alloc(20e6, 1)), 50)"
    pm2.start(
        **{
            name: {"source": SERVER, "env": planted, "args": [f"--token={SECRET}"]} if index == 0 else SERVER
            for index, name in enumerate(NAMES)
        },
        eater={"source": eater, "max_memory_restart": "150M"},
    )
    reader = pm2.reader()
    reading = await reader.read()
    assert [p.name for p in reading.processes[:-1]] == list(NAMES.values())

    # A killed process: PM2 says code 0
    killed = reading.processes[1]
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    found = await until(reader, lambda p: p[killed.name].last_signal == "SIGKILL")
    assert found[killed.name].exit_code is None
    assert found[killed.name].restarts_in_window == 1

    # One that somebody restarted, as often as a crash loop
    asked = reading.processes[2]
    for _ in range(3):
        pm2.run("restart", str(asked.pm_id))
    found = await until(reader, lambda p: p[asked.name].restarts == 3)
    assert found[asked.name].restarts_in_window == 0

    # One that PM2 restarts for its memory
    found = await until(reader, lambda p: (p["eater"].memory_restarts or 0) >= 1)
    assert found["eater"].memory_limit == 150 * 1024 * 1024
    assert (found["eater"].restarts_in_window or 0) >= 1

    # `pm2 reset` takes the counter back
    pm2.run("reset", str(killed.pm_id))
    found = await until(reader, lambda p: p[killed.name].restarts == 0)
    assert found[killed.name].restarts_in_window == 1  # it was killed all the same

    by_command = pm2.reader(forwarding=False)
    for reading in (await reader.read(), await by_command.read()):
        assert SECRET in pm2.run("jlist")  # it is there to be found
        assert_told_nowhere(reading, caplog)
    await reader.close()


async def test_without_the_daemons_log_the_counter_is_watched(pm2: Pm2) -> None:
    pm2.start(web=SERVER)
    (pm2.home / "pm2.log").unlink()
    reader = pm2.reader()
    first = (await reader.read()).processes[0]
    assert first.restarts_in_window is None  # not known is not none
    assert first.memory_restarts is None
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    found = await until(reader, lambda p: p["web"].restarts == 1)
    assert found["web"].restarts_in_window == 1
    assert (await pm2_again(pm2)).restarts_in_window is None
    await reader.close()


async def pm2_again(pm2: Pm2) -> Process:
    """The first process as a reader sees it that has watched nothing."""
    reader = pm2.reader()
    process = (await reader.read()).processes[0]
    await reader.close()
    return process


def assert_told_nowhere(reading: ProcessList, caplog: pytest.LogCaptureFixture) -> None:
    assert SECRET not in repr(reading)
    assert SECRET.encode() not in msgspec.json.encode(reading)
    assert SECRET not in caplog.text
    assert reading.processes[0].namespace == "default"


async def test_a_process_name_in_proc_cannot_forge_another(shared: Pm2) -> None:
    """A process may call itself what it likes, newlines and parentheses included."""
    forged = b"a)\n1 (x) S 0"
    script = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]));"
        "print(flush=True); input()"
    )
    process = await asyncio.create_subprocess_exec(
        "python3", "-c", script, forged.hex(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        seen = await survey.look(shared.link(), str(shared.home))
    finally:
        process.kill()
        await process.wait()
    stats = seen.samples[-1].stats
    assert stats[1].parent == 0
    assert abs(stats[1].memory - psutil.Process(1).memory_info().rss) < 8 * 1024 * 1024
    assert seen.daemon == shared.daemon
    assert seen.version == "7.0.4"


async def test_the_rate_of_cpu_from_two_looks(shared: Pm2) -> None:
    """As much as the kernel itself accounts for between them, however much the machine lets it have."""
    busy = await asyncio.create_subprocess_exec("python3", "-c", "while True: pass")
    try:
        process = psutil.Process(busy.pid)

        def spent() -> float:
            times = process.cpu_times()
            return float(times.user + times.system)

        earliest = spent()
        first = (await survey.look(shared.link(), str(shared.home))).samples[-1]
        latest = spent()
        async with asyncio.timeout(HANG):
            while spent() < latest + 0.4:
                await asyncio.sleep(0.02)
        least = spent() - latest
        second = (await survey.look(shared.link(), str(shared.home))).samples[-1]
        most = spent() - earliest
    finally:
        busy.kill()
        await busy.wait()
    usage = second.usage(busy.pid, first)
    assert usage is not None
    assert usage.cpu is not None
    apart, tick = second.uptime - first.uptime, 0.02
    assert (least - tick) / (apart + tick) <= usage.cpu / 100 <= (most + tick) / (apart - tick)
    assert second.usage(2**22 + 1, None) is None


async def test_a_shell_that_says_something_else(shared: Pm2) -> None:
    class Odd(LocalLink):
        async def run(
            self,
            command: str,
            *,
            timeout: float | None = None,
            limit: int = 4 * 1024 * 1024,
            input: bytes | None = None,
        ) -> CommandResult:
            return await super().run("echo 'This account is for file transfer only'; exit 1")

    reader = ProcessReader(Odd(shared.env), Host(address="x"))
    with pytest.raises(LinkError, match="file transfer only") as caught:
        await reader.read()
    assert caught.value.fault is Fault.PROTOCOL
    # where the home is known, PM2 itself can still be asked, and what is missing is told
    reader = ProcessReader(Odd(shared.env), shared.host_config())
    reading = await reader.read()
    assert reading.source == SOCKET
    assert not reading.processes[0].tree
    assert reader.survey_error is not None
    await reader.close()


async def test_a_crash_loop_that_pm2_calls_online(shared: Pm2) -> None:
    wait(lambda: (shared.home / "pm2.log").read_text().count("App [loop:1] exited with code [1]") > 3)
    once = shared.reader()  # has watched nothing: one look must do
    loop = next(p for p in (await once.read()).processes if p.name == "loop")
    assert loop.unstable_restarts == 0  # PM2's own word for it
    assert loop.restarts_in_window is not None
    assert loop.restarts_in_window >= 3
    assert loop.exit_code == 1
    assert loop.last_signal == ""
    await once.close()
