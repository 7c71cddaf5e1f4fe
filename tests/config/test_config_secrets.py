"""Secrets come from where the reference points, and go nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from muva_console.config import secrets
from muva_console.config.model import Secret
from muva_console.config.secrets import SecretError, forget, redact, redactor, resolve
from muva_console.ops.errors import Fault, LinkError
from tests.patience import HANG

VALUE = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHELL", "/bin/sh")
    for known in ("_values", "_needles"):  # put back afterwards: other tests print the same words
        monkeypatch.setattr(redactor, known, getattr(redactor, known))
    forget()
    yield
    forget()


async def gone(group: int) -> None:
    """Wait until nothing of a process group lives."""
    async with asyncio.timeout(HANG):
        while True:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.02)


async def refused(secret: Secret, base: Path) -> SecretError:
    with pytest.raises(SecretError) as caught:
        await resolve(secret, base)
    assert isinstance(caught.value, LinkError)
    assert caught.value.fault is Fault.CONFIG
    told = "\n".join(caught.value.lines()) + repr(caught.value)
    assert VALUE not in told
    return caught.value


async def test_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUVA_TEST_SECRET", VALUE)
    assert await resolve(Secret(env="MUVA_TEST_SECRET"), tmp_path) == VALUE
    assert VALUE not in redact(f"it is {VALUE}")


async def test_a_variable_that_is_missing_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUVA_TEST_SECRET", raising=False)
    error = await refused(Secret(env="MUVA_TEST_SECRET"), tmp_path)
    assert "MUVA_TEST_SECRET is not set" in str(error)
    assert "export MUVA_TEST_SECRET=" in error.next
    monkeypatch.setenv("MUVA_TEST_SECRET", "")
    assert "is empty" in str(await refused(Secret(env="MUVA_TEST_SECRET"), tmp_path))


async def test_of_a_file_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(VALUE.encode() + b"\r\nnot this\n")
    file.chmod(0o600)
    assert await resolve(Secret(file=Path("secret")), tmp_path) == VALUE
    forget()
    assert await resolve(Secret(file=file), Path("/")) == VALUE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
async def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "my secret"
    file.write_text(VALUE)
    file.chmod(mode)
    error = await refused(Secret(file=file), tmp_path)
    assert f"mode {mode:04o}" in str(error)
    assert error.next == f"chmod 600 '{file}'"
    file.chmod(0o600)
    assert await resolve(Secret(file=file), tmp_path) == VALUE


async def test_what_is_no_such_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name, told in (
        ("none", "there is no such file"),
        ("pipe", "not a regular file"),
        ("folder", "directory"),
    ):
        async with asyncio.timeout(HANG):
            assert told in str(await refused(Secret(file=Path(name)), tmp_path))


@pytest.mark.parametrize("content", [b"", b"\nsecond\n", b"\xff\xfe\n", b"a\x00b\n", b"x" * 70000])
async def test_what_is_no_secret(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(0o600)
    assert "the first line" in str(await refused(Secret(file=file), tmp_path))


async def test_of_a_command_in_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "here").write_text(f"{VALUE}\nmore\n")
    assert await resolve(Secret(command="cat here | head -n 3"), tmp_path) == VALUE
    assert VALUE not in redact(VALUE)


async def test_the_users_shell_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "shell got $1 $2"\n')
    shell.chmod(0o700)
    monkeypatch.setenv("SHELL", str(shell))
    assert await resolve(Secret(command="whatever"), tmp_path) == "shell got -c whatever"
    monkeypatch.setenv("SHELL", "/nonexistent/shell")
    forget()
    assert await resolve(Secret(command="echo plain"), tmp_path) == "plain"


async def test_a_command_has_no_terminal_and_no_input(tmp_path: Path) -> None:
    command = "cat; if [ -t 0 ] || (: </dev/tty) 2>/dev/null; then echo terminal; else echo none; fi"
    assert await resolve(Secret(command=command), tmp_path) == "none"


async def test_a_command_that_fails_tells_why_and_not_what(tmp_path: Path) -> None:
    command = f"echo {VALUE[:14]}''{VALUE[14:]}; echo 'cannot unlock {VALUE[:14]}''{VALUE[14:]}' >&2; exit 3"
    error = await refused(Secret(command=command), tmp_path)
    assert "exit status 3: cannot unlock ‹redacted›" in str(error)


async def test_a_command_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT", 0.5)
    error = await refused(Secret(command="echo $$ > pid; sleep 987 & sleep 987"), tmp_path)
    assert "no answer within 0.5 s" in str(error)
    await gone(int((tmp_path / "pid").read_text()))


async def test_a_cancelled_reader_leaves_no_command_when_the_loop_ends(tmp_path: Path) -> None:
    def in_a_loop_of_its_own() -> None:
        async def main() -> None:
            asking = asyncio.create_task(resolve(Secret(command="echo $$ > pid; exec sleep 987"), tmp_path))
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        asyncio.run(main())

    async with asyncio.timeout(HANG):
        await asyncio.to_thread(in_a_loop_of_its_own)
    await gone(int((tmp_path / "pid").read_text()))


async def test_much_output_is_bounded_and_does_not_block(tmp_path: Path) -> None:
    assert await resolve(Secret(command="echo first; head -c 5000000 /dev/zero"), tmp_path) == "first"


async def test_a_child_that_keeps_the_pipe_does_not_hold_the_answer(tmp_path: Path) -> None:
    command = "echo there; echo $$ > group; (trap '' HUP; exec sleep 600) & exit 0"
    try:
        async with asyncio.timeout(HANG):
            assert await resolve(Secret(command=command), tmp_path) == "there"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int((tmp_path / "group").read_text()), signal.SIGKILL)


async def test_it_is_asked_for_once(tmp_path: Path) -> None:
    secret = Secret(command=f"echo x >> asked; sleep 0.1; echo {VALUE}")
    answers = await asyncio.gather(*(resolve(secret, tmp_path) for _ in range(5)))
    assert answers == [VALUE] * 5
    await resolve(secret, tmp_path)
    assert (tmp_path / "asked").read_text() == "x\n"
    forget(secret)
    await resolve(secret, tmp_path)
    assert (tmp_path / "asked").read_text() == "x\nx\n"


async def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    await refused(Secret(file=Path("later")), tmp_path)
    (tmp_path / "later").write_text(VALUE)
    (tmp_path / "later").chmod(0o600)
    assert await resolve(Secret(file=Path("later")), tmp_path) == VALUE


async def test_the_value_is_in_no_error_even_with_its_context(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(VALUE)
    (tmp_path / "x").chmod(0o644)
    error = await refused(Secret(file=Path("x")), tmp_path)
    gc.collect()
    assert error.__cause__ is None
    assert error.__suppress_context__
