"""A run followed: GitHub's bad days, logs that come late, the host's own lines told live and once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from muva_console.ops.deploys.ansi import styled
from muva_console.ops.deploys.joblog import Mark, parse
from muva_console.ops.deploys.moments import log_moments
from muva_console.ops.deploys.timeline import Moment, Source, Timeline
from muva_console.ops.deploys.watch import Watch
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.github_runs import Job, WorkflowRun
from muva_console.ops.logs.model import LogLevel
from tests.deploys.test_run_checks import job, run_at
from tests.logs.local_link import LocalLink
from tests.patience import HANG

STAMP = "2026-11-20T10:00:{:02d}.1234567Z "
LOG = "".join(
    STAMP.format(second) + line + "\n"
    for second, line in enumerate([
        "##[group]Run pnpm run build", "\x1b[36;1mpnpm run build\x1b[0m", "##[endgroup]", "built",
        "\x1b]0;owned\x07\x1b[31mbuilt\x1b[0m\x1b[2J", "##[error]Process completed with exit code 1.",
    ])
)  # fmt: skip


class Actions:
    """GitHub, look by look: each is a run and its jobs, or an error."""

    def __init__(self, *looks: Any, logs: tuple[str | None, ...] = ()) -> None:
        self.looks = list(looks)
        self.logs = list(logs)
        self.now: tuple[WorkflowRun, tuple[Job, ...]]

    async def run(self, run: object) -> WorkflowRun:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        self.now = look
        return self.now[0]

    async def jobs(self, run: object) -> tuple[Job, ...]:
        return self.now[1]

    async def pending(self, run: object) -> tuple[()]:
        return ()

    async def job_log(self, job: object) -> str | None:
        return self.logs.pop(0)


def watch(actions: Actions, **more: Any) -> Watch:
    return Watch(cast(Any, actions), 7, every=0.01, **more)


def texts(made: Watch, source: Source) -> list[str]:
    return [moment.text for moment in made.timeline.ordered() if moment.source is source]


async def test_a_bad_day_is_told_once_and_the_log_is_asked_for_until_it_is_there() -> None:
    going = (run_at("a" * 40, status="in_progress", conclusion=""), (job("Deploy", "", ("Build", "")),))
    ended = (run_at("a" * 40, conclusion="failure"), (job("Deploy", "failure", ("Build", "failure")),))
    down = LinkError(Fault.REFUSED, "connection refused", where="GitHub")
    made = watch(Actions(going, down, down, ended, logs=(None, LOG)))
    assert (await asyncio.wait_for(made.follow(), HANG)).conclusion == "failure"
    notes = texts(made, Source.NOTE)
    assert len(notes) == 2 and "connection refused" in notes[0] and "again" in notes[1]
    lines = [moment for moment in made.timeline.ordered() if moment.source is Source.JOB]
    assert [line.text for line in lines] == [
        "Run pnpm run build", "pnpm run build", "built", "built", "Process completed with exit code 1.",
    ]  # fmt: skip
    assert (lines[0].mark, lines[1].depth, lines[-1].level) == (Mark.GROUP, 1, LogLevel.ERROR)
    assert lines[3].spans and lines[3].spans[0].look.colour == 1
    assert texts(made, Source.WORKFLOW)[-1].endswith("ended: failure")
    ids = [moment.id for moment in made.timeline.ordered()]
    assert len(ids) == len(set(ids))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".muva/deploy"
    folder.mkdir(parents=True)
    yield folder


async def test_what_the_host_writes_is_told_while_the_job_runs_and_not_twice(home: Path) -> None:
    file = home / "staging.log"
    file.write_text("run 6 aaaaaaa 2026-11-20T09:00:00Z\nof another run\n")
    going = (run_at("a" * 40, status="in_progress", conclusion=""), (job("Deploy", "", ("Build", "")),))
    actions = Actions(going, logs=(LOG,))
    link = LocalLink("vps")
    made = watch(actions, environment="staging", hosts={"vps": link})
    following = asyncio.create_task(made.follow())

    async def until(count: int) -> list[str]:
        async with asyncio.timeout(HANG):
            while len(found := texts(made, Source.HOST)) < count:
                await asyncio.sleep(0.01)
        return found

    beside = home / "next"
    beside.write_text("run 7 aaaaaaa 2026-11-20T10:00:00Z\nbuilt\n\x1b[1mpm2 reload\x1b[0m\n")
    beside.replace(file)  # as a new run sets the old log aside
    assert await until(2) == ["built", "pm2 reload"]
    link.pull()  # a network that goes and comes back tells nothing twice
    link.plug_in()
    with file.open("a") as more:
        more.write("done\n")
    assert await until(3) == ["built", "pm2 reload", "done"]
    actions.looks = [
        (replace(going[0], status="completed", conclusion="success"), (job("Deploy", "success"),))
    ]
    await asyncio.wait_for(following, HANG)
    await link.close()
    echoes = [moment.echo for moment in made.timeline.ordered() if moment.source is Source.JOB]
    assert echoes == [False, False, True, False, False], "one line was told by the host, the other not"


def test_lines_before_the_host_spoke_are_no_echoes() -> None:
    from collections import Counter

    lines = "".join(STAMP.format(n) + text + "\n" for n, text in enumerate(["built", "==> go", "built"]))
    moments = log_moments(job("Deploy", "success"), lines, Counter(["==> go", "built"]), after="==> go")
    assert [one.echo for one in moments] == [False, True, True]


@given(st.text(alphabet="ab\x1b[]0;1m\x07\x9b\u202e\n\r#", max_size=60))
def test_no_log_brings_an_escape_to_the_screen(text: str) -> None:
    for line in parse(STAMP.format(1) + text):
        assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in line.text if each != "\t")
        assert "\u202e" not in line.text
        for span in line.spans:
            assert 0 <= span.start < span.end <= len(line.text)


def test_colours_that_tools_write() -> None:
    text, spans = styled("\x1b[1;38;5;208mhot\x1b[0m \x1b[38;2;1;2;3mrgb\x1b[m")
    assert text == "hot rgb"
    assert (spans[0].look.bold, spans[0].look.colour) == (True, 208)
    assert spans[1].look.colour == 0x1010203


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30))
def test_a_time_line_takes_each_moment_once_and_keeps_order(told: list[tuple[int, int]]) -> None:
    line = Timeline(1_000)
    for stream, seq in told:
        line.add([
            Moment(source=Source.HOST, stream=str(stream), seq=seq, at_us=seq, order_us=seq, text=f"{stream}")
        ])  # fmt: skip
    assert len(line) == len(set(told))
    keys = [moment.key for moment in line.ordered()]
    assert keys == sorted(keys)


def test_a_time_line_is_bounded_and_keeps_what_is_bad() -> None:
    line = Timeline(100)
    line.add(
        Moment(source=Source.HOST, stream="h", seq=n, at_us=n, order_us=n, text="x",
               level=LogLevel.ERROR if n == 3 else LogLevel.NONE)
        for n in range(150)
    )  # fmt: skip
    assert len(line) == 90 and line.left == 60 and line.epoch == 1
    assert line.ordered()[0].seq == 3
    place, new = line.since(0)
    assert (place, len(new)) == (150, 90)
