"""The line that is run on a host, by several shells and with few tools."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from muva_console.ops.links import ssh_wrap
from tests.patience import HANG
from tests.ssh.servers import Tag, until

BASIC = ("head", "base64", "sleep", "cat", "kill")
SETS = {
    "all": (*BASIC, "timeout", "setsid"),
    "no timeout": (*BASIC, "setsid"),
    "neither": BASIC,
}


@pytest.fixture(params=[shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)])
def shell(request: pytest.FixtureRequest) -> str:
    return str(shutil.which(request.param))


@pytest.fixture(params=list(SETS))
def tools(request: pytest.FixtureRequest, shell: str, tmp_path: Path) -> Path:
    """A folder with a host's few tools; `sh` is the shell under test."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(shell)
    for tool in SETS[request.param]:
        path = shutil.which(tool)
        if path is not None:
            (folder / tool).symlink_to(path)
    return folder


async def start(line: str, tools: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", line, env={"PATH": str(tools)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


async def test_output_status_and_input(tools: Path) -> None:
    encoded = ssh_wrap.encode_input(b"in\0put\n\n")
    child = await start(
        ssh_wrap.wrap_run("cat; echo err >&2; exit 7", timeout=HANG, input_size=len(encoded)), tools
    )
    assert child.stdin is not None
    child.stdin.write(encoded)
    assert child.stdout is not None
    assert child.stderr is not None
    assert await child.stdout.read() == b"in\0put\n\n"
    assert await child.stderr.read() == b"err\n"
    assert await child.wait() == 7


@pytest.mark.parametrize("make", ["run", "stream"])
async def test_the_end_of_the_lifeline_is_the_command_s(tools: Path, make: str) -> None:
    tag = Tag()
    command = tag("echo on; exec sleep 650")
    line = (
        ssh_wrap.wrap_run(command, timeout=60)
        if make == "run"
        else ssh_wrap.wrap_stream(command, stderr=True, silence=60)
    )
    child = await start(line, tools)
    assert child.stdout is not None
    assert child.stdin is not None
    assert await child.stdout.readline() == b"on\n"
    child.stdin.close()
    await asyncio.wait_for(child.wait(), HANG)
    await until(lambda: not tag.alive(), what="the command's end")


async def test_the_host_bounds_a_command_that_lost_its_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lifeline stands (sshd noticed nothing), nobody is there any more."""
    monkeypatch.setattr(ssh_wrap, "MARGIN", 0.0)
    tag = Tag()
    child = await start(ssh_wrap.wrap_run(tag("sleep 651 & sleep 652"), timeout=0.3), Path("/usr/bin:/bin"))
    assert await asyncio.wait_for(child.wait(), HANG) == 124
    await until(lambda: not tag.alive(), what="the command's end")


def test_asyncssh_is_not_imported_before_it_is_needed() -> None:
    program = (
        "import sys, muva_console.ops.links.ssh, muva_console.ops.links.shell, muva_console.ops.resources\n"
        "sys.exit('asyncssh' in sys.modules or 'cryptography' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2], env=dict(os.environ)
    )
