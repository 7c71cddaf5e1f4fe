"""A reading of a real host over a real SSH connection."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muva_console.ops import resources
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandLog, CommandResult
from muva_console.ops.links.ssh import SshLink
from tests.ssh.servers import AsyncsshServer, Server, running


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with running(AsyncsshServer(tmp_path / "server")) as server:
        yield server


@pytest.fixture
async def link(server: Server) -> AsyncIterator[SshLink]:
    link = SshLink("vps", server.host(), log=CommandLog())
    yield link
    await link.close()


async def test_one_round_trip_tells_it_all(server: Server, tmp_path: Path) -> None:
    log = CommandLog()
    link = SshLink("vps", server.host(), log=log)
    await link.connect()
    gone = tmp_path / 'it\'s "gone"'
    reading = await resources.read(link, [str(tmp_path), str(gone), "/"], ooms=True)
    assert len(log.records()) == 2  # the connection, the command
    assert reading.hostname == socket.gethostname()
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert reading.memory_total == total
    assert 0 < reading.memory_fraction < 1
    assert reading.uptime == pytest.approx(float(Path("/proc/uptime").read_text().split()[0]), abs=30)
    assert reading.filesystems[0].mount == "/"
    assert reading.cpu_fraction is not None
    assert 0 <= reading.cpu_fraction <= 1
    assert reading.notes == (f"{gone} is not there",)
    await link.close()


async def test_the_next_reading_needs_no_second_sample(
    link: SshLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = resources.command

    def command(paths: list[str], marker: str, *, samples: int, ooms: bool) -> str:
        asked.append(samples)
        return real(paths, marker, samples=samples, ooms=ooms)

    monkeypatch.setattr(resources, "command", command)
    monkeypatch.setattr(resources, "SAMPLE_GAP", 0.01)
    await resources.read(link)
    await link.run("sleep 0.05")
    reading = await resources.read(link)
    assert asked == [2, 1]
    assert reading.cpu_fraction is not None


class Changed(SshLink):
    """A link whose host is another one: commands pass through `change` first."""

    def change(self, command: str) -> str:
        return command

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        limit: int = 1 << 20,
        input: bytes | None = None,
    ) -> CommandResult:
        return await super().run(self.change(command), timeout=timeout, limit=limit, input=input)


async def test_missing_tools_are_unknown_not_wrong(server: Server) -> None:
    class Bare(Changed):
        def change(self, command: str) -> str:
            # a host without df, nproc and uname, in another language
            absent = "".join(f"{tool}() {{ return 127; }}; " for tool in ("df", "timeout", "nproc", "uname"))
            return f"{absent}export LC_ALL=de_DE.UTF-8\n{command}"

    bare = Bare("vps", server.host())
    try:
        reading = await resources.read(bare, ["/"])
    finally:
        await bare.close()
    assert reading.cores > 0
    assert (reading.hostname, reading.filesystems) == ("", ())
    assert "df tells nothing" in reading.notes


async def test_a_host_that_hides_proc_is_no_reading(server: Server) -> None:
    class Hidden(Changed):
        def change(self, command: str) -> str:
            return command.replace("/proc/", "/hidden/")

    hidden = Hidden("vps", server.host())
    try:
        with pytest.raises(LinkError) as caught:
            await resources.read(hidden)
    finally:
        await hidden.close()
    assert caught.value.fault is Fault.PROTOCOL


async def test_relative_paths_are_named_not_asked(link: SshLink) -> None:
    reading = await resources.read(link, ["--help", "www"])
    assert reading.notes == ("--help is not an absolute path", "www is not an absolute path")
