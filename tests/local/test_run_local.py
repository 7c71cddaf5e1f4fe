"""Local commands, run for real: bounded, clean, and gone with their children."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.config.redact import REDACTED, redactor
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import local_lines
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.local import run_local
from muva_console.ops.links.local_lines import Kept, Lines, clean_lines
from muva_console.ops.links.local_tree import TAG, end_orphans, new_tag

ROOT = Path("/")

# Leaves its session, its parents and its group, and heeds no request.
AWAY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def away() -> str:
    return shlex.join([sys.executable, "-S", "-c", AWAY])


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_an_answer_is_exit_status_and_both_outputs() -> None:
    log, told = CommandLog(), list[str]()
    result = await run_local(
        "echo out; echo err >&2; printf end; exit 3", cwd=ROOT, timeout=10, on_line=told.append, log=log
    )
    assert (result.exit_status, result.ok, result.stdout, result.total) == (3, False, b"out\nend", 11)
    assert sorted(told) == ["end", "err", "out"] and b"err\n" in result.output
    [record] = log.records()
    assert (record.where, record.outcome) == ("here", "exit 3") and record.line.startswith("echo out;")


async def test_a_sequence_is_no_shell_and_a_signal_is_128_and_more() -> None:
    result = await run_local(["printf", "%s|", "$(id)", "a b", "-n"], cwd=ROOT, timeout=10)
    assert result.stdout == b"$(id)|a b|-n|"
    assert (await run_local("kill -9 $$", cwd=ROOT, timeout=10)).exit_status == 137


async def test_nothing_can_be_asked() -> None:
    line = (
        'read -r x; echo "$? $TERM $CI $GIT_TERMINAL_PROMPT"; tty; ( : </dev/tty ) 2>/dev/null || echo none'
    )
    result = await run_local(line, cwd=ROOT, timeout=10)
    assert result.stdout == b"1 dumb true 0\nnot a tty\nnone\n"
    given_input = await run_local("cat", cwd=ROOT, timeout=10, input=b"x" * 300_000)
    assert given_input.stdout == b"x" * 300_000
    unread = await run_local("true", cwd=ROOT, timeout=10, input=b"x" * 300_000)
    assert unread.ok


async def test_secrets_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRILL_DB_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("SSH_ASKPASS", "/usr/bin/ask")
    result = await run_local(["env"], cwd=ROOT, timeout=10, without=["DRILL_DB_PASSWORD"], env={"MORE": "1"})
    assert b"hunter2" not in result.stdout and b"ASKPASS" not in result.stdout and b"MORE=1" in result.stdout


async def test_at_its_time_out_a_command_goes_with_children_that_ran_away() -> None:
    told: list[str] = []
    began = time.monotonic()
    result = await run_local(f"{away()}; sleep 600", cwd=ROOT, timeout=0.8, on_line=told.append)
    assert result.timed_out and not result.ok and result.exit_status == 143
    assert time.monotonic() - began < 20
    assert not lives(int(told[0]))


async def test_a_command_that_ends_leaves_nothing_running() -> None:
    told: list[str] = []
    result = await run_local(f"{away()}; echo done", cwd=ROOT, timeout=20, on_line=told.append)
    assert result.exit_status == 0 and "done" in told
    pid = next(int(line) for line in told if line.isdigit())
    assert not lives(pid)


async def test_a_cancelled_command_is_ended() -> None:
    printed, log = asyncio.Event(), CommandLog()
    told: list[str] = []

    def on_line(line: str) -> None:
        told.append(line)
        printed.set()

    task = asyncio.create_task(
        run_local("echo $$; sleep 600", cwd=ROOT, timeout=60, on_line=on_line, log=log)
    )
    await printed.wait()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not lives(int(told[0])) and log.records()[0].outcome == "given up"


async def test_a_flood_is_cut_off(tmp_path: Path) -> None:
    count = 0

    def on_line(line: str) -> None:
        nonlocal count
        count += 1

    kept = tmp_path / "deep" / "out.log"
    result = await run_local("yes", cwd=ROOT, timeout=60, limit=1024 * 1024, on_line=on_line, keep=kept)
    assert result.truncated and result.exit_status == 143 and not result.ok
    assert len(result.stdout) == 1024 * 1024 < result.total < 1_300_000
    assert len(result.output) == 256 * 1024
    assert 0 < count <= 200 * (result.total // 60_000 + 50)  # not each of half a million
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and kept.stat().st_size > 1_000_000


async def test_what_is_shown_and_kept_is_clean(tmp_path: Path) -> None:
    secret = "correct-horse-battery"
    redactor.add(secret)
    script = tmp_path / "print.sh"
    script.write_text(
        f"printf 'a {secret}\\n10%%\\r20%%\\r\\nred \\033[31mline\\033]52;c;x\\007\\n\\377\\n'\n"
        "printf -- '-----BEGIN RSA PRIVATE KEY-----\\nMIIEabc\\n-----END RSA PRIVATE KEY-----\\nafter\\n'\n"
    )
    kept, told = tmp_path / "out.log", list[str]()
    kept.symlink_to(tmp_path / "elsewhere")
    await run_local(["sh", str(script)], cwd=tmp_path, timeout=10, on_line=told.append, keep=kept)
    key = ["-----BEGIN RSA PRIVATE KEY-----", REDACTED, REDACTED]
    assert told[:5] == [f"a {REDACTED}", "10%", "20%", "red line", "\N{REPLACEMENT CHARACTER}"]
    assert told[5].startswith(key[0]) and told[6:] == [REDACTED, REDACTED, "after"]
    assert kept.read_text().splitlines() == told
    assert not (tmp_path / "elsewhere").exists()


def test_a_kept_file_is_bounded(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "x", limit=100)
    for _ in range(50):
        kept.add("0123456789")
    kept.close()
    lines = (tmp_path / "x").read_text().splitlines()
    assert lines[-1] == "… the rest was not kept" and set(lines[:-1]) == {"0123456789"}
    assert (tmp_path / "x").stat().st_size < 150


async def test_what_cannot_be_begun_says_why(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="no-such-tool is not installed") as caught:
        await run_local(["no-such-tool"], cwd=tmp_path, timeout=5)
    assert caught.value.fault is Fault.MISSING
    with pytest.raises(LinkError, match="no such folder"):
        await run_local("true", cwd=tmp_path / "gone", timeout=5)
    (tmp_path / "file").touch()
    with pytest.raises(LinkError, match="cannot be kept"):
        await run_local("true", cwd=tmp_path, timeout=5, keep=tmp_path / "file" / "out.log")


async def test_leftovers_of_a_killed_console_are_ended_and_only_they() -> None:
    mine = new_tag()
    owner, _, rest = mine.partition(":")
    dead = f"{owner}:{2**40}:{rest.partition(':')[2]}"  # no process has begun then
    elsewhere = f"{owner}:{2**40}:4026531999-0:x"  # a container's numbers are not ours to judge
    processes = [
        await asyncio.create_subprocess_exec("sleep", "600", env={**os.environ, TAG: tag})
        for tag in (mine, dead, elsewhere)
    ]
    try:
        # the variable is there once the program has begun
        while not all(TAG.encode() in Path(f"/proc/{p.pid}/environ").read_bytes() for p in processes):
            await asyncio.sleep(0)
        ended = await asyncio.to_thread(end_orphans)
        assert processes[1].pid in ended and not {processes[0].pid, processes[2].pid} & set(ended)
        assert await processes[1].wait() == -9
    finally:
        for process in (processes[0], processes[2]):
            process.kill()
            await process.wait()


PIECES = [b"a", b"\n", b"\r", b"\r\n", b"\xff", b"\x1b[1m", b"x" * 20_000]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    found: list[str] = []
    lines = Lines(lambda text: found.extend(text.split("\n")))
    step = size * 997 if len(data) > 1000 else size
    for start in range(0, len(data), step):
        lines.feed(data[start : start + step])
    lines.end()
    while found and not found[-1]:
        found.pop()
    assert [line[:4000] for line in found] == [line[:4000] for line in clean_lines(data)]
    assert all(len(line) <= local_lines.LONGEST for line in found)
    assert not any(mark in line for line in found for mark in "\r\n\x1b")
