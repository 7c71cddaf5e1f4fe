"""History and live as one stream, over real files, a real tail and a bus that speaks PM2's protocol."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from muva_console.ops.errors import LinkError
from muva_console.ops.logs import source
from muva_console.ops.logs.assemble import LineAssembler
from muva_console.ops.logs.buffer import LogBuffer, LogState
from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Stream
from muva_console.ops.logs.source import LogFollower, history
from muva_console.ops.pm2.bus import Pm2Bus
from muva_console.ops.pm2.model import Process
from tests.logs.bus_server import BusServer
from tests.logs.helpers import process, until
from tests.logs.local_link import LocalLink
from tests.patience import HANG


class Collector:
    """All lines of a follower, and its states."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.states: list[LogState] = []

    def texts(self, stream: Stream = Stream.OUT) -> list[str]:
        return [one.text for one in self.lines if one.stream is stream]

    @property
    def notes(self) -> list[str]:
        return self.texts(Stream.NOTE)

    @property
    def live(self) -> bool:
        return bool(self.states) and self.states[-1].live

    def __repr__(self) -> str:
        return f"{len(self.lines)} lines, the last {self.lines[-4:]}, {self.states[-1:]}"


@asynccontextmanager
async def following(
    link: LocalLink, processes: list[Process], *, bus: Pm2Bus | None = None, lines: int = 1000
) -> AsyncIterator[Collector]:
    collected = Collector()
    follower = LogFollower(link, processes, bus=bus, lines=lines, on_state=collected.states.append)

    async def collect() -> None:
        async for batch in follower.batches():
            collected.lines += batch

    task = asyncio.create_task(collect())
    try:
        yield collected
    finally:
        assert not task.done(), task
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if bus is not None:
            await bus.close()


@pytest.fixture
def sockets() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ml", dir="/tmp"))  # a socket's path is short
    yield folder
    shutil.rmtree(folder)


def bus_of(link: LocalLink, server: BusServer) -> Pm2Bus:
    return Pm2Bus(lambda: link.open_unix(str(server.path)), link.host)


def append(path: str, text: str | bytes) -> None:
    with Path(path).open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


# --- history


async def test_out_and_err_are_interleaved_by_time(tmp_path: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "2025-11-05T12:00:01.000Z first\n2025-11-05T12:00:03.000Z third\n")
    append(
        one.err_log,
        "2025-11-05T12:00:02.000Z Error: second\n    at foo (a.js:1:2)\n2025-11-05T12:00:04Z fourth\n",
    )
    lines = await history(LocalLink(), one)
    assert [each.text for each in lines] == [
        "first",
        "Error: second",
        "    at foo (a.js:1:2)",
        "third",
        "fourth",
    ]
    frame = lines[2]
    assert (frame.level, frame.clock, frame.at_ms) == (LogLevel.ERROR, Clock.ESTIMATED, lines[1].at_ms)


async def test_lines_without_a_time_are_said_to_have_none_and_keep_their_order(tmp_path: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "a\nb\nc\n")
    append(one.err_log, "x\ny\n")
    os.utime(one.out_log, (1_762_344_000, 1_762_344_000))
    os.utime(one.err_log, (1_762_344_600, 1_762_344_600))
    lines = await history(LocalLink(), one)
    assert [each.text for each in lines] == ["a", "b", "c", "x", "y"]
    assert [each.clock for each in lines] == [
        Clock.UNKNOWN,
        Clock.UNKNOWN,
        Clock.ESTIMATED,
        Clock.UNKNOWN,
        Clock.ESTIMATED,
    ]
    assert lines[2].at_ms == 1_762_344_000_000


async def test_of_gigabytes_only_the_end_is_read(tmp_path: Path) -> None:
    one = process(tmp_path)
    with Path(one.out_log).open("wb") as file:
        file.truncate(3 * 1024**3)  # a hole
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast but one\nlast\n")
    link = LocalLink()
    async with asyncio.timeout(HANG):
        lines = await history(link, one, 2)
    assert [each.text for each in lines if each.stream is Stream.OUT] == ["last but one", "last"]
    assert len(link.commands) == 1


async def test_hundreds_of_files_are_a_few_round_trips_and_a_bounded_number_of_bytes(tmp_path: Path) -> None:
    many = [process(tmp_path, f"app-{number}", number) for number in range(150)]
    for one in many:
        append(one.out_log, f"2025-11-05T12:00:00Z {one.name}\n" * 2000)
    link = LocalLink()
    lines = await history(link, many, 300)
    told = [each for each in lines if each.stream is Stream.OUT]
    assert len(told) == 300
    assert len(link.commands) == 3
    missing = [each for each in lines if each.stream is Stream.NOTE]
    assert len(missing) == 150
    assert "not there" in missing[0].text


async def test_paths_are_quoted_and_files_cannot_forge_a_header(tmp_path: Path) -> None:
    one = process(tmp_path, "it's $(touch pwned) `x` \n;")
    append(one.out_log, "muva-00 0 missing\n\nmuva-0123 1 file 1 2 3 4 0\nhello\n")
    lines = await history(LocalLink(), one)
    assert [each.text for each in lines if each.stream is Stream.OUT][-1] == "hello"
    assert not list(Path.cwd().glob("pwned"))


async def test_a_directory_and_an_unreadable_file_are_told(tmp_path: Path) -> None:
    one = process(tmp_path)
    Path(one.out_log).mkdir()
    append(one.err_log, "boom\n")
    lines = await history(LocalLink(), one)
    assert [each.text for each in lines] == [f"— {one.out_log}: not a file —", "boom"]


async def test_instances_that_share_a_file_are_read_once(tmp_path: Path) -> None:
    first, second = process(tmp_path, pm_id=0), process(tmp_path, pm_id=1)
    append(first.out_log, "shared\n")
    append(first.err_log, "")
    lines = await history(LocalLink(), [first, second])
    assert [(each.process, each.text) for each in lines] == [("muva-production", "shared")]


async def test_history_of_an_unreachable_host_is_an_error(tmp_path: Path) -> None:
    link = LocalLink()
    link.pull()
    with pytest.raises(LinkError):
        await history(link, process(tmp_path))


# --- live by tail


async def test_tail_goes_on_where_the_history_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineAssembler.flush, "__kwdefaults__", {"quiet": HANG})  # its rest comes late here
    one = process(tmp_path)
    append(one.out_log, "".join(f"old {number}\n" for number in range(50)) + "torn")
    append(one.err_log, "")
    async with following(LocalLink(), [one]) as got:
        await until(lambda: got.live)
        append(one.out_log, " line\nnew 1\n")
        append(one.err_log, "Error: boom\n")
        await until(lambda: len(got.lines) >= 53)
    assert got.texts() == [*(f"old {number}" for number in range(50)), "torn line", "new 1"]
    assert got.texts(Stream.ERR) == ["Error: boom"]
    assert got.states[-1].detail == "live by tail -F"
    assert got.lines[-1].clock is Clock.ARRIVED
    assert not got.notes


async def test_rotation_and_truncation_are_followed(tmp_path: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "before\n")
    append(one.err_log, "")
    async with following(LocalLink(), [one]) as got:
        await until(lambda: got.live and "before" in got.texts())
        append(one.out_log, "followed\n")
        await until(lambda: "followed" in got.texts())  # tail has opened the file
        Path(one.out_log).rename(one.out_log + ".1")
        append(one.out_log, "after rotation\n")
        await until(lambda: "after rotation" in got.texts())
        os.truncate(one.out_log, 0)
        append(one.out_log, "cut\n")
        await until(lambda: "cut" in got.texts())
    assert got.texts() == ["before", "followed", "after rotation", "cut"]


async def test_a_file_rotated_before_its_tail_begins_is_shown_from_its_beginning(tmp_path: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "a long first line\n")
    append(one.err_log, "")

    class Rotating(LocalLink):
        """Rotates the file in the moment between reading it and following it."""

        async def _start(self, command: str, stderr: int) -> asyncio.subprocess.Process:
            if " -F " in command and one.out_log in command:
                Path(one.out_log).rename(one.out_log + ".1")
                append(one.out_log, "the second file\nand its second line\n")
            return await super()._start(command, stderr)

    async with following(Rotating(), [one]) as got:
        await until(lambda: len(got.texts()) >= 3)
    assert got.texts() == ["a long first line", "the second file", "and its second line"]


async def test_a_file_that_appears_later_is_followed(tmp_path: Path) -> None:
    one = process(tmp_path)
    async with following(LocalLink(), [one]) as got:
        await until(lambda: got.live)
        append(one.out_log, "born\n")
        await until(lambda: "born" in got.texts())
    assert got.texts() == ["born"]
    assert sum("not there" in text for text in got.notes) == 2


async def test_a_dropped_connection_is_told_and_what_was_missed_is_read_from_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BACK_OFF", (0.05,))
    one = process(tmp_path)
    append(one.out_log, "before\n")
    append(one.err_log, "")
    link = LocalLink()
    async with following(link, [one]) as got:
        await until(lambda: got.live)
        link.pull()
        await until(lambda: not got.live)
        assert got.states[-1].detail == "connection lost"
        append(one.out_log, "meanwhile\n")
        link.plug_in()
        await until(lambda: got.live)
        append(one.out_log, "again\n")
        await until(lambda: "again" in got.texts())
    assert got.texts() == ["before", "meanwhile", "again"]
    assert len(got.notes) == 1
    assert got.notes[0].startswith("— connection lost for 1 s, what was written meanwhile was read")
    # nothing old passes for live: when it was written nobody knows but by the file's own last change
    missed = next(each for each in got.lines if each.text == "meanwhile")
    assert missed.clock is Clock.ESTIMATED
    order = [each.text for each in got.lines]
    assert order.index(got.notes[0]) == order.index("meanwhile") - 1


async def test_a_file_rotated_while_the_connection_was_lost_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BACK_OFF", (0.05,))
    one = process(tmp_path)
    append(one.out_log, "a rather long line before\n")
    append(one.err_log, "")
    link = LocalLink()
    async with following(link, [one]) as got:
        await until(lambda: got.live)
        link.pull()
        await until(lambda: not got.live)
        Path(one.out_log).rename(one.out_log + ".1")
        append(one.out_log, "new file\n")
        link.plug_in()
        await until(lambda: got.live and "new file" in got.texts())
    assert got.texts() == ["a rather long line before", "new file"]
    assert got.notes == ["— connection lost for 1 s, lines may be missing —"]


async def test_a_host_that_cannot_be_reached_at_first_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BACK_OFF", (0.05,))
    one = process(tmp_path)
    append(one.out_log, "there\n")
    append(one.err_log, "")
    link = LocalLink()
    link.pull()
    async with following(link, [one]) as got:
        await until(lambda: len(got.states) > 3)
        assert not got.live
        assert "refused" in got.states[-1].error
        link.plug_in()
        await until(lambda: got.live and bool(got.texts()))
    assert got.texts() == ["there"]


async def test_nothing_to_follow_is_said_and_does_not_spin(tmp_path: Path) -> None:
    link = LocalLink()
    async with following(link, []) as got:
        await until(lambda: bool(got.states) and got.states[-1].detail == "no log file to follow")
        commands = len(link.commands)
        await asyncio.sleep(0.3)
        assert len(link.commands) == commands
        assert not got.live


# --- live by the bus


async def test_the_bus_takes_over_without_a_gap_or_a_double_line(tmp_path: Path, sockets: Path) -> None:
    """A process that never stops writing, to the file and to the bus, while history becomes live."""
    one = process(tmp_path)
    append(one.err_log, "")
    link = LocalLink()
    chance = random.Random(7)
    written: list[str] = []
    stop = asyncio.Event()

    async with BusServer(sockets / "pub.sock") as server:

        async def write() -> None:
            number = 0
            while not stop.is_set():
                texts = [f"line {number + step}" for step in range(chance.randint(1, 4))]
                number += len(texts)
                written.extend(texts)
                piece = "".join(f"{text}\n" for text in texts)
                cut = chance.randint(0, len(piece))
                for part in (piece[:cut], piece[cut:]):
                    if part:
                        server.log(part)
                        append(one.out_log, part)
                        await asyncio.sleep(0)
                await asyncio.sleep(0.0005)

        append(one.out_log, "")
        writer = asyncio.create_task(write())
        bus = bus_of(link, server)
        async with following(link, [one], bus=bus, lines=100_000) as got:
            await until(lambda: got.live)
            seen = len(written)
            await until(lambda: len(written) > seen + 200)
            stop.set()
            await writer
            await until(lambda: bool(got.texts()) and got.texts()[-1] == written[-1])
    assert got.texts() == written
    assert got.states[-1].detail == "live by PM2's bus"
    assert got.lines[-1].clock is Clock.ARRIVED


async def test_the_same_line_again_and_again_is_shown_each_time(tmp_path: Path, sockets: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "tick\n" * 5)
    append(one.err_log, "")
    link = LocalLink()
    async with (
        BusServer(sockets / "pub.sock") as server,
        following(link, [one], bus=bus_of(link, server)) as got,
    ):
        await until(lambda: got.live)
        for _ in range(5):
            server.log("tick\n")
            append(one.out_log, "tick\n")
        await until(lambda: len(got.texts()) >= 10)
    assert got.texts() == ["tick"] * 10


async def test_a_bus_that_drops_is_taken_up_again_and_the_files_fill_the_gap(
    tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BACK_OFF", (0.05,))
    monkeypatch.setattr(source, "BUS_TIMEOUT", 0.3)
    monkeypatch.setattr(source, "BUS_AGAIN", 0.1)
    one = process(tmp_path)
    append(one.out_log, "before\n")
    append(one.err_log, "")
    link = LocalLink()
    server = BusServer(sockets / "pub.sock")
    await server.start()
    try:
        async with following(link, [one], bus=bus_of(link, server)) as got:
            await until(lambda: got.live)
            server.log("heard\n")
            append(one.out_log, "heard\n")
            await until(lambda: "heard" in got.texts())
            await server.stop()
            await until(lambda: got.states[-1].detail != "live by PM2's bus")
            append(one.out_log, "meanwhile\n")
            await until(lambda: got.states[-1].detail == "live by tail -F")
            assert "pub.sock" in got.states[-1].error or got.states[-1].error
            append(one.out_log, "tailed\n")
            await until(lambda: "tailed" in got.texts())
            await server.start()
            await until(lambda: got.states[-1].detail == "live by PM2's bus")
            server.log("again\n")
            append(one.out_log, "again\n")
            await until(lambda: "again" in got.texts())
    finally:
        await server.stop()
    assert got.texts() == ["before", "heard", "meanwhile", "tailed", "again"]
    assert len(got.notes) == 1
    assert "connection lost" in got.notes[0]


async def test_a_process_started_anew_under_another_number_is_heard_once(
    tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BACK_OFF", (0.05,))
    one = process(tmp_path)
    append(one.out_log, "")
    append(one.err_log, "")
    link = LocalLink()
    async with (
        BusServer(sockets / "pub.sock") as server,
        following(link, [one], bus=bus_of(link, server)) as got,
    ):
        await until(lambda: got.live)
        append(one.out_log, "renumbered\n")
        server.log("renumbered\n", pm_id=7)
        server.log("of a process that was not chosen\n", pm_id=8, name="another")
        await until(lambda: "renumbered" in got.texts())
        link.pull()
        await until(lambda: not got.live)
        link.plug_in()
        await until(lambda: got.live)
    assert got.texts().count("renumbered") == 1


async def test_what_happens_to_a_process_stands_among_its_lines(tmp_path: Path, sockets: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "")
    append(one.err_log, "")
    link = LocalLink()
    async with (
        BusServer(sockets / "pub.sock") as server,
        following(link, [one], bus=bus_of(link, server)) as got,
    ):
        await until(lambda: got.live)
        server.log("last words\n")
        server.event("exit")
        server.event("exit", name="another", pm_id=9)
        server.log("hello again\n")
        await until(lambda: "hello again" in got.texts())
    assert [each.text for each in got.lines] == ["last words", "— muva-production: exit —", "hello again"]


async def test_torn_characters_and_lines_are_put_together_across_chunks(
    tmp_path: Path, sockets: Path
) -> None:
    one = process(tmp_path)
    append(one.out_log, "")
    append(one.err_log, "")
    link = LocalLink()
    async with (
        BusServer(sockets / "pub.sock") as server,
        following(link, [one], bus=bus_of(link, server)) as got,
    ):
        await until(lambda: got.live)
        server.log("half a \x1b]52;c;")
        server.log("aGVsbG8=\x07line\nno end")
        await until(lambda: len(got.texts()) == 2)  # what has no end is shown after a short quiet
    assert got.texts() == ["half a line", "no end"]


async def test_a_slow_reader_loses_the_oldest_lines_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_WAITING", 100)
    one = process(tmp_path)
    append(one.out_log, "")
    append(one.err_log, "")
    states: list[LogState] = []
    follower = LogFollower(LocalLink(), [one], on_state=states.append)
    batches = follower.batches()
    first = asyncio.create_task(anext(batches))
    try:
        await until(lambda: bool(states) and states[-1].live)
        append(one.out_log, "begin\n")
        await first
        append(one.out_log, "".join(f"line {number}\n" for number in range(5000)))
        await until(lambda: follower.waiting >= 100 and follower.dropped > 0)
        rest = await anext(batches)
        assert rest[0].stream is Stream.NOTE
        assert "missing here" in rest[0].text
        assert len(rest) <= 301
    finally:
        await batches.aclose()


async def test_pump_fills_a_buffer_and_tells_how_lines_come_in(tmp_path: Path) -> None:
    one = process(tmp_path)
    append(one.out_log, "a\nb\n")
    append(one.err_log, "")
    buffer = LogBuffer()
    task = asyncio.create_task(LogFollower(LocalLink(), [one]).pump(buffer))
    try:
        await until(lambda: len(buffer) == 2 and any(state.live for state in buffer.states()))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [state.host for state in buffer.states()] == ["here"]
    assert not any(state.live for state in buffer.states()), "who does not follow any more is not live"
