"""The journal where it cannot be written or read: what is told, what is kept, what goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from muva_console.ops.journal import (
    Draft,
    Filter,
    Journal,
    JournalError,
    JournalProblem,
    Kind,
    Life,
    Outcome,
    new_act,
)
from muva_console.ops.readings import Level
from tests.journal.conftest import DANA, redact
from tests.patience import HANG

Open = Callable[..., Journal]


def act_draft(act: str, **data: object) -> Draft:
    return Draft(
        kind="",
        subject="restart x",
        text="told",
        environment="staging",
        data={"plan": {"target": "x"}, **data},
        act=act,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 512 KiB."""
    point = tmp_path / "disk"
    point.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(point)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a file system wants root; the size limit below is tried everywhere")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


async def test_a_full_disk(small_disk: Path, open_journal: Open) -> None:
    told: list[str] = []
    journal = open_journal(small_disk / "journal", on_warning=told.append)
    act = new_act()
    begun = await journal.begin_act(act_draft(act), target="x")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as handle, pytest.raises(OSError, match="No space"):
        while True:
            handle.write(b"\0" * 4096)
    with pytest.raises(JournalError) as caught:
        while True:
            await journal.note("x" * 4000)
    assert caught.value.problem is JournalProblem.FULL
    assert "df -h" in caught.value.next
    with pytest.raises(JournalError) as at_begin:
        await journal.begin_act(act_draft(new_act()), target="x")
    assert at_begin.value.problem is JournalProblem.FULL

    # the act was begun while there was room: its end is kept, in the room that was reserved for it
    ended = await journal.end_act(act_draft(act, outcome="done", last_output=["a line of output " * 20] * 30))
    assert ended.entry is None
    assert not ended.shortened
    assert isinstance(ended.error, JournalError)
    assert any("waits beside the journal" in text for text in told)
    (open_act,) = await journal.open_acts()
    assert open_act.life is Life.SPOOLED
    assert (await journal.verify()).level in {Level.OK, Level.WARN}  # no anchor may fit, but nothing is torn

    filler.unlink()
    await journal.note("there is room again")
    (late,) = await journal.read(Filter(kinds=(Kind.ACT_ENDED,)))
    assert (late.act, late.ref, late.outcome, late.engineer) == (act, begun.entry.id, "done", "dana")
    assert "recorded late" in late.text
    assert late.data["spooled"] is True
    assert len(late.data["last_output"]) == 30
    assert any("recorded late" in text for text in told)
    assert await journal.open_acts() == []
    assert list((small_disk / "journal" / "journal.spool").iterdir()) == []
    await journal.note("and on")
    assert (await journal.verify()).level is Level.OK


async def test_a_size_limit(folder: Path, open_journal: Open) -> None:
    """RLIMIT_FSIZE, in a process of its own: needs no root."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.journal.worker", "outgrow", str(folder), "120000"],
        capture_output=True, text=True, timeout=HANG, check=True,
    )  # fmt: skip
    refused, ended, entries = done.stdout.splitlines()
    assert refused.startswith("refused ")
    assert refused.endswith("disk full")
    assert ended == "ended True JournalError"
    written = int(refused.split()[1])
    assert written > 5
    assert int(entries.split()[1]) == written + 1

    journal = open_journal()
    await journal.note("without the limit")
    kinds = [entry.kind for entry in await journal.read(Filter(limit=None))]
    assert kinds.count(Kind.ACT_ENDED) == 1
    assert len(kinds) == written + 3
    assert (await journal.verify()).level is Level.OK


async def test_a_locked_file(folder: Path, open_journal: Open) -> None:
    journal = open_journal(busy_timeout=0.1)
    await journal.note("before")
    holder = sqlite3.connect(folder / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError) as caught:
        async with asyncio.timeout(HANG):
            await journal.note("meanwhile")
    assert caught.value.problem is JournalProblem.LOCKED
    assert "fuser" in caught.value.next
    assert [entry.text for entry in await journal.read()] == ["before"]  # WAL: readers go on
    holder.execute("ROLLBACK")
    holder.close()
    await journal.note("after")
    assert [entry.text for entry in await journal.read()] == ["before", "after"]


async def test_a_time_out_is_told_and_nothing_is_written_behind_ones_back(
    folder: Path, open_journal: Open
) -> None:
    journal = open_journal(busy_timeout=30.0, write_timeout=0.2)
    await journal.note("before")
    holder = sqlite3.connect(folder / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    act = new_act()
    with pytest.raises(JournalError) as caught:
        await journal.begin_act(act_draft(act), target="x")
    assert caught.value.problem is JournalProblem.TIMEOUT
    with pytest.raises(JournalError):
        await journal.note("given up, so never written")
    holder.execute("ROLLBACK")
    holder.close()
    patient = open_journal()
    await patient.note("after")
    await journal.close()  # waits for what was posted
    assert await patient.open_acts() == []
    assert await patient.read(Filter(act=act)) == []
    assert [entry.text for entry in await patient.read()] == ["before", "after"]


async def test_cancelling_a_begin_leaves_no_open_act(open_journal: Open) -> None:
    journal = open_journal()
    await journal.note("opened")
    for delay in range(8):
        task = asyncio.create_task(journal.begin_act(act_draft(new_act()), target="x"))
        for _ in range(delay):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            begun = task.result()
            await journal.end_act(act_draft(begun.entry.act, outcome="done"))
    await journal.note("after what was posted")
    assert await journal.open_acts() == []
    assert (await journal.verify()).level is Level.OK


async def test_the_loop_is_not_blocked_while_the_journal_waits(folder: Path, open_journal: Open) -> None:
    journal = open_journal(busy_timeout=0.5)
    await journal.note("before")
    holder = sqlite3.connect(folder / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    writing = asyncio.create_task(journal.note("meanwhile"))
    turns = 0
    while not writing.done():
        await asyncio.sleep(0.005)
        turns += 1
    holder.close()
    assert isinstance(writing.exception(), JournalError)
    assert turns > 5, "of some hundred; one or two when the loop stands still as long as the journal waits"


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a text file" * 200, b"SQLite format 3\0" + b"\7" * 9000]
)
async def test_a_corrupt_file(folder: Path, open_journal: Open, content: bytes) -> None:
    folder.mkdir()
    (folder / "journal.db").write_bytes(content)
    journal = open_journal()
    for call in (journal.note("x"), journal.read(), journal.open_acts(), journal.verify(), journal.status()):
        with pytest.raises(JournalError) as caught:
            await call
        assert caught.value.problem is JournalProblem.CORRUPT
        assert "move" in caught.value.next
    assert (folder / "journal.db").read_bytes() == content


async def test_another_programs_database(folder: Path, open_journal: Open) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "journal.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    for call in (open_journal().note("x"), open_journal().read()):
        with pytest.raises(JournalError, match="another program's database"):
            await call


async def test_a_newer_schema_is_refused_untouched(folder: Path, open_journal: Open) -> None:
    first = open_journal()
    await first.note("old")
    await first.close()
    with sqlite3.connect(folder / "journal.db") as other:
        other.execute("PRAGMA user_version = 999")
    for call in (open_journal().note("x"), open_journal().read(), open_journal().verify()):
        with pytest.raises(JournalError) as caught:
            await call
        assert caught.value.problem is JournalProblem.NEWER
        assert "999" in str(caught.value)
        assert "update" in caught.value.next


async def test_a_folder_that_cannot_be_made(tmp_path: Path, open_journal: Open) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(JournalError) as caught:
        await open_journal(tmp_path / "file" / "journal").note("x")
    assert caught.value.problem is JournalProblem.MISSING
    assert "[journal] directory" in caught.value.next


async def test_a_folder_removed_while_open(folder: Path, open_journal: Open) -> None:
    told: list[str] = []
    journal = open_journal(on_warning=told.append)
    await journal.note("one")
    assert len(await journal.read()) == 1
    shutil.rmtree(folder)
    assert await journal.read() == []
    entry = await journal.note("two")
    assert entry.id == 1
    assert any("removed or replaced" in text for text in told)
    assert [found.text for found in await journal.read()] == ["two"]
    other = open_journal()
    assert [found.text for found in await other.read()] == ["two"]


async def test_a_file_replaced_in_the_very_middle_of_a_write(
    folder: Path, open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the file and the commit: the entry is written again, where others find it."""
    from muva_console.ops.journal.writer import Writer

    journal = open_journal()
    await journal.note("one")
    real = Writer._insert
    removals = [True]

    def removing(self: Writer, *rest: Any, **named: Any) -> Any:
        row = real(self, *rest, **named)
        if removals.pop():
            shutil.rmtree(folder)
        removals.append(False)
        return row

    monkeypatch.setattr(Writer, "_insert", removing)
    entry = await journal.note("two")
    assert [found.text for found in await open_journal().read()] == ["two"]
    assert entry.id == 1

    def always(self: Writer, *rest: Any, **named: Any) -> Any:
        row = real(self, *rest, **named)
        shutil.rmtree(folder)
        return row

    monkeypatch.setattr(Writer, "_insert", always)
    with pytest.raises(JournalError, match="again and again"):
        await journal.note("three")


async def test_a_late_begin_is_closed_as_not_begun(folder: Path, open_journal: Open) -> None:
    """The disk had already taken the begin when the wait for it was given up."""
    journal = open_journal()
    act = new_act()
    begun = await journal.begin_act(act_draft(act), target="x")
    journal._withdraw(journal._author(None), act_draft(act))
    await journal.note("after what was posted")
    assert await journal.open_acts() == []
    (_, ended) = await journal.read(Filter(act=act))
    assert (ended.outcome, ended.ref) == (Outcome.NOT_BEGUN, begun.entry.id)
    assert list((folder / "journal.spool").iterdir()) == []


async def test_anchors_removed_while_open(folder: Path, open_journal: Open) -> None:
    told: list[str] = []
    journal = open_journal(on_warning=told.append)
    await journal.note("one")
    (folder / "journal.anchors").unlink()
    await journal.note("two")
    assert any("journal.anchors was removed" in text for text in told)
    assert (await journal.verify()).anchored == 2


def as_nobody(work: Callable[[], object]) -> str:
    """Run `work` in a child without root's rights; what it printed, or raised."""
    if os.getuid() != 0:
        pytest.skip("giving up rights wants root")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"no outcome"
        try:
            os.setgid(65534)
            os.setgroups([])
            os.setuid(65534)
            outcome = repr(work()).encode()
        except BaseException as error:  # told to the parent, the child ends here in any case
            outcome = f"{type(error).__name__}: {error}".encode()
        finally:
            os.write(write, outcome[:4000])
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told


def _use(folder: Path, writing: bool) -> object:
    async def main() -> object:
        journal = Journal(folder, DANA, redact=redact)
        try:
            if writing:
                return await journal.note("x")
            return [entry.text for entry in await journal.read()], (await journal.verify()).level.value
        except JournalError as error:
            return error.problem.value, error.next
        finally:
            await journal.close()

    return asyncio.run(main())


def _open_to_all(path: Path, mode: int) -> None:
    path.chmod(mode)
    for parent in path.parents:
        if parent.stat().st_mode & 0o077 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)


def test_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    _use(folder, writing=True)
    for path in folder.iterdir():
        path.chmod(0o755 if path.is_dir() else 0o644)
    _open_to_all(folder, 0o755)
    assert "permission" in as_nobody(lambda: _use(folder, writing=True)) or "read-only" in as_nobody(
        lambda: _use(folder, writing=True)
    )
    # a colleague outside the group may read what is opened to everybody, with no console at work
    assert as_nobody(lambda: _use(folder, writing=False)) == "(['x'], 'ok')"


def test_a_folder_that_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    _use(folder, writing=True)
    _open_to_all(folder, 0o700)
    for writing in (True, False):
        told = as_nobody(lambda writing=writing: _use(folder, writing=writing))  # type: ignore[misc]
        assert "permission" in told
        assert "install -d -m 2770" in told


async def test_a_torn_outcome_is_not_dropped(folder: Path, open_journal: Open) -> None:
    first = open_journal()
    act = new_act()
    begun = await first.begin_act(act_draft(act), target="x")
    (folder / "journal.spool" / f"{act}.outcome").write_text('{"outcome":{"text":"half of')
    await open_journal().note("the next to open it")
    torn = [entry for entry in await first.read() if entry.kind == Kind.JOURNAL]
    assert len(torn) == 1
    assert "half of" in torn[0].text
    assert (torn[0].act, torn[0].ref) == (act, begun.entry.id)
    assert list((folder / "journal.spool").iterdir()) == []


async def test_two_consoles_merge_one_outcome_once(folder: Path, open_journal: Open) -> None:
    first = open_journal(busy_timeout=0.05)
    act = new_act()
    await first.begin_act(act_draft(act), target="x")
    holder = sqlite3.connect(folder / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert (await first.end_act(act_draft(act, outcome="failed"))).entry is None
    holder.close()
    others = [open_journal() for _ in range(4)]
    await asyncio.gather(*(other.note("opened") for other in others), first.note("the first"))
    ends = await first.read(Filter(kinds=(Kind.ACT_ENDED,)))
    assert [entry.outcome for entry in ends] == ["failed"]
    assert (await first.verify()).level is Level.OK


async def test_a_hung_disk_does_not_hold_the_console_up(folder: Path, open_journal: Open) -> None:
    """A thread that never comes back from the disk: calls time out, closing is bounded, exit is not held."""
    script = (
        "import asyncio, sys, threading\n"
        "from pathlib import Path\n"
        "from muva_console.ops.identity import identify\n"
        "from muva_console.ops.journal import Journal, JournalError\n"
        "async def main():\n"
        "    journal = Journal(Path(sys.argv[1]), identify(), redact=str, write_timeout=0.2)\n"
        "    await journal.note('x')\n"
        "    journal._writing.post(lambda job: threading.Event().wait())\n"
        "    try:\n"
        "        await journal.note('y')\n"
        "    except JournalError as error:\n"
        "        print(error.problem.value)\n"
        "    await journal.close()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(folder)],
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "timed out\n", "")


async def test_the_process_that_began_an_act_was_killed(folder: Path, open_journal: Open) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.journal.worker", "act", str(folder), "1", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(HANG):
        _, begin_id, others = (await process.stdout.readline()).split()
    assert others == b"0"
    journal = open_journal()
    (act,) = await journal.open_acts("production")
    assert act.life is Life.RUNNING
    assert f"process {process.pid}" in act.summary
    assert "still running" in act.summary
    process.send_signal(signal.SIGKILL)
    await process.wait()
    (act,) = await journal.open_acts("production")
    assert (act.life, act.entry.id) == (Life.INTERRUPTED, int(begin_id))
    assert "interrupted: outcome unknown" in act.summary
    assert len(list((folder / "journal.spool").iterdir())) == 1
    await journal.note("opens it for writing, and tidies up")
    assert list((folder / "journal.spool").iterdir()) == []
    settled = await journal.settle(act.entry.id, "looked: it was restarted at 03:12")
    assert (settled.ref, settled.outcome) == (act.entry.id, Outcome.UNKNOWN)
    assert await journal.open_acts() == []
    assert (await journal.verify()).level is Level.OK
