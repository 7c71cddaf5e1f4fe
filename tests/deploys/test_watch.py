"""A run followed: GitHub's bad days, logs that come late, the host's own lines told live and once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from muva_console.config.redact import redactor
from muva_console.ops.deploys.ansi import styled
from muva_console.ops.deploys.joblog import Mark, parse
from muva_console.ops.deploys.kept import KeptRun, kept_attempts
from muva_console.ops.deploys.moments import kept_moments, log_moments, note
from muva_console.ops.deploys.timeline import Moment, Source, Timeline
from muva_console.ops.deploys.usual import usual_of
from muva_console.ops.deploys.watch import Watch
from muva_console.ops.deploys.witness import Tell
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.links.github_model import Declined
from muva_console.ops.links.github_runs import Job, JobStep, PendingDeployment, WorkflowRun
from muva_console.ops.logs.model import LogLevel
from muva_console.ops.readings import utc_now
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

    def __init__(self, *looks: Any, logs: tuple[str | Exception | None, ...] = ()) -> None:
        self.looks = list(looks)
        self.logs = list(logs)
        self.now: tuple[WorkflowRun, tuple[Job, ...]]
        self.past: dict[WorkflowRun, tuple[Job, ...]] = {}
        self.waited_for: tuple[PendingDeployment, ...] = ()

    async def run(self, run: object) -> WorkflowRun:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        self.now = look
        return self.now[0]

    async def jobs(self, run: WorkflowRun) -> tuple[Job, ...]:
        return self.past.get(run, self.now[1])

    async def pending(self, run: object) -> tuple[PendingDeployment, ...]:
        return self.waited_for

    async def runs(self, **asked: Any) -> tuple[WorkflowRun, ...]:
        assert asked["status"] == "success"
        return tuple(self.past)

    async def job_log(self, job: object) -> str | None:
        log = self.logs.pop(0)
        if isinstance(log, Exception):
            raise log
        return log


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


@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, Fault.AUTH), (403, Fault.AUTH), (404, Fault.MISSING), (410, Fault.MISSING)],
)
async def test_what_asking_again_does_not_mend_ends_it(status: int, fault: Fault) -> None:
    refused = Declined(fault, "GitHub refuses", status=status, where="GitHub", next="Make a new token.")
    made = watch(Actions(refused))
    with pytest.raises(Declined):
        await asyncio.wait_for(made.follow(), HANG)
    (told,) = made.timeline.ordered()
    assert told.level is LogLevel.ERROR and "GitHub refuses" in told.text


async def test_trouble_of_githubs_own_is_asked_again_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))
        await real(0)

    monkeypatch.setattr("muva_console.ops.deploys.watch.asyncio.sleep", sleep)
    ill = Declined(Fault.OTHER, "GitHub answers 500", status=500, where="GitHub")
    going = (run_at("a" * 40, status="in_progress", conclusion=""), ())
    made = watch(Actions(ill, ill, ill, going, ill, (run_at("a" * 40), ())))
    await asyncio.wait_for(made.follow(), HANG)
    assert pauses == [0.01, 0.02, 0.04, 0.01, 0.01]
    told = [text.split("GitHub")[-1] for text in texts(made, Source.NOTE)]
    assert told == [" answers 500", " answers again"] * 2


async def test_each_environment_that_is_waited_for_is_told() -> None:
    def pending(name: str) -> PendingDeployment:
        return PendingDeployment(
            environment_id=1, environment=name, can_approve=True, reviewers=("eve",), waiting_since=None
        )

    waits = (run_at("a" * 40, status="waiting", conclusion=""), ())
    goes = (run_at("a" * 40, status="in_progress", conclusion=""), ())
    actions = Actions()
    steps = [(waits, "migrate"), (waits, "migrate"), (waits, "live"), (goes, ""), (waits, "live"),
             ((run_at("a" * 40), ()), "")]  # fmt: skip

    async def run(_: object) -> WorkflowRun:
        actions.now, name = steps.pop(0)
        actions.waited_for = (pending(name),) if name else ()
        return actions.now[0]

    actions.run = run  # type: ignore[assignment,method-assign]
    made = watch(actions)
    await asyncio.wait_for(made.follow(), HANG)
    told = [text for text in texts(made, Source.WORKFLOW) if "approval" in text]
    assert [text.split()[4] for text in told] == ["migrate", "live", "live"]


def timed(seconds: int, *, conclusion: str = "success") -> Job:
    """A job with one step that took so long; or that runs, begun so long ago."""
    began = utc_now() - timedelta(seconds=seconds)
    step = JobStep(
        number=1, name="Build", status="completed" if conclusion else "in_progress",
        conclusion=conclusion, started_at=began, completed_at=utc_now() if conclusion else None,
    )  # fmt: skip
    return replace(job("Deploy", conclusion), started_at=began, steps=(step,))


async def test_a_step_is_held_against_what_it_usually_takes() -> None:
    def run(number: int, **more: Any) -> WorkflowRun:
        return replace(run_at("a" * 40, **more), id=number)

    going = (run(7, status="in_progress", conclusion=""), (timed(90, conclusion=""),))
    ended = (run(7), (timed(90),))
    actions = Actions(going, going, ended, logs=(None,) * 20)
    actions.past = {run(n): (timed(seconds),) for n, seconds in ((1, 10), (2, 12), (3, 20))}
    made = watch(actions)
    await asyncio.wait_for(made.follow(), HANG)
    told = [moment for moment in made.timeline.ordered() if "Build" in moment.text]
    assert [moment.level for moment in told] == [LogLevel.NONE, LogLevel.WARN, LogLevel.WARN]
    assert {moment.text for moment in told[1:]} == {
        "Build takes longer than it ever did: 1m 30s so far, usually 12 s, at most 20 s in 3 runs",
        "Build: success after 1m 30s (usually 12 s)",
    }
    few = usual_of([timed(10), timed(12)])[("Deploy", "Build")]
    assert not few.is_long(900) and few.told == "too few runs to compare (2)"


async def test_a_run_s_logs_stay_beside_the_journal_without_its_secrets(tmp_path: Path) -> None:
    redactor.add("hunter2-hunter2")
    ended = (run_at("a" * 40, conclusion="failure"), (job("Deploy", "failure", ("Build", "failure")),))
    log = LOG + STAMP.format(9) + "token hunter2-hunter2\n"
    journal = tmp_path / "journal"
    made = watch(Actions(ended, logs=(log,)), journal=journal)
    run = await asyncio.wait_for(made.follow(), HANG)
    kept = KeptRun(journal, run.id, run.attempt)
    (number,) = kept.jobs()
    text = kept.log(number)
    assert text and "built" in text and "hunter2" not in text
    assert kept_attempts(journal, run.id) == [run.attempt]
    lines = (kept.path / "timeline.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [one.id for one in made.timeline.ordered()]
    assert (kept.path.stat().st_mode & 0o777, kept.log_path(number).stat().st_mode & 0o777) == (0o700, 0o600)
    assert [one.text for one in kept_moments(number, text)][:2] == ["Run pnpm run build", "pnpm run build"]
    # who saw less does not put it in the place of more
    kept.keep_timeline(made.timeline.ordered()[:2])
    assert len((kept.path / "timeline.jsonl").read_text().splitlines()) == len(lines)
    journal.chmod(0o500)
    if os.geteuid():
        with pytest.raises(OpsError, match="not kept"):
            KeptRun(journal, 8, 1).keep_log(1, "x")


async def test_a_log_that_was_deleted_is_told_and_ends_nothing() -> None:
    ended = (run_at("a" * 40, conclusion="failure"), (job("Deploy", "failure", ("Build", "failure")),))
    gone = Declined(Fault.MISSING, "it is gone from GitHub", status=410, where="GitHub")
    made = watch(Actions(ended, logs=(gone,)))
    await asyncio.wait_for(made.follow(), HANG)
    assert texts(made, Source.NOTE) == ["GitHub has deleted the log of Deploy"]


async def test_what_is_seen_beside_it_is_told_while_it_runs() -> None:
    seen = asyncio.Event()
    ended = asyncio.Event()

    async def witness(tell: Tell) -> None:
        tell([note("here", "a process ended")])
        seen.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    going = (run_at("a" * 40, status="in_progress", conclusion=""), ())
    actions = Actions(going)
    following = asyncio.create_task(watch(actions, witnesses=[witness]).follow())
    await asyncio.wait_for(seen.wait(), HANG)
    actions.looks = [(run_at("a" * 40), ())]
    await asyncio.wait_for(following, HANG)
    assert ended.is_set()

    async def broken(tell: Tell) -> None:
        raise RuntimeError("a defect")

    actions = Actions(going, going, (run_at("a" * 40), ()))
    told = watch(actions, witnesses=[broken])
    await asyncio.wait_for(told.follow(), HANG)
    assert texts(told, Source.NOTE) == ["defect: something is not seen any more: RuntimeError: a defect"]
    late = watch(Actions((run_at("a" * 40), ())), witnesses=[witness])
    await asyncio.wait_for(late.follow(), HANG)
    assert not texts(late, Source.NOTE), "of a run that is over nothing is to be seen any more"


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
