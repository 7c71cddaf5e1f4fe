"""Whether the process that began an act still runs: a pid alone lies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from muva_console.ops.journal.liveness import life_of, owner_of, this_process
from muva_console.ops.journal.model import Life, Owner
from tests.patience import HANG


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def owner(pid: int) -> Owner:
    started = int(open(f"/proc/{pid}/stat").read().rpartition(") ")[2].split()[19])  # noqa: PTH123, SIM115
    return replace(this_process(), pid=pid, started=started)


def test_this_process_runs() -> None:
    assert life_of(this_process()) is Life.RUNNING


def test_another_process_runs_and_then_does_not(child: subprocess.Popen[bytes]) -> None:
    told = owner(child.pid)
    assert life_of(told) is Life.RUNNING
    child.kill()
    deadline = time.monotonic() + HANG
    while life_of(told) is not Life.INTERRUPTED:  # a zombie until it is waited for, and that is dead
        assert time.monotonic() < deadline
    child.wait()
    assert life_of(told) is Life.INTERRUPTED


def test_a_pid_used_again_is_another_process(child: subprocess.Popen[bytes]) -> None:
    told = owner(child.pid)
    assert life_of(replace(told, started=told.started - 1)) is Life.INTERRUPTED
    assert life_of(replace(told, started=0)) is Life.RUNNING  # nothing to tell them apart by


def test_the_machine_was_started_anew() -> None:
    here = this_process()
    boot, _, namespace = here.machine.partition(" ")
    assert boot
    assert life_of(replace(here, machine=f"another-boot {namespace}")) is Life.INTERRUPTED


def test_what_cannot_be_told_is_unknown() -> None:
    here = this_process()
    boot = here.machine.partition(" ")[0]
    assert life_of(replace(here, machine=f"{boot} pid:[1]")) is Life.UNKNOWN  # another container
    assert life_of(replace(here, host="another-host")) is Life.UNKNOWN
    assert life_of(None) is Life.UNKNOWN
    assert life_of(replace(here, pid=0)) is Life.UNKNOWN  # kill(0) would ask the whole group
    assert life_of(replace(here, pid=-1)) is Life.UNKNOWN


def test_somebody_elses_process_is_there() -> None:
    init = replace(this_process(), pid=1, started=0)
    assert life_of(init) is Life.RUNNING


@pytest.mark.parametrize(
    "data", [{}, {"owner": None}, {"owner": "x"}, {"owner": {"host": "h"}}, {"owner": {"pid": "1"}}]
)
def test_data_that_is_no_mark(data: dict[str, object]) -> None:
    assert owner_of(data) is None


def test_the_mark_survives_the_journal() -> None:
    assert owner_of({"owner": to_builtins(this_process())}) == this_process()
    assert this_process().pid == os.getpid()
