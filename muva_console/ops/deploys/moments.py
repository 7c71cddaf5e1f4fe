"""Readings as moments: a run and its jobs, a job's log, what a process did, a probe of health.

What is made of a reading is the same however often it is made, ids included: the time line takes of it
what it has not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from muva_console.ops.deploys.joblog import JobLine, parse
from muva_console.ops.deploys.timeline import Moment, Source, microseconds
from muva_console.ops.deploys.usual import FEWEST, StepName, Usual
from muva_console.ops.deploys.words import level_of_word, named, spell, word_of
from muva_console.ops.logs.model import Clock, LogLevel
from muva_console.ops.readings import Level, utc_now

if TYPE_CHECKING:
    from muva_console.ops.links.github_runs import Job, WorkflowRun

_STEP = 1 << 32
"""Places of one step in its job's lane: its beginning, its lines, its end."""
_LAST = 1 << 30
"""A step's number that none has: the end of the job."""

LEVELS = {
    Level.OK: LogLevel.INFO,
    Level.WARN: LogLevel.WARN,
    Level.FAIL: LogLevel.ERROR,
    Level.UNKNOWN: LogLevel.WARN,
}


def run_moments(run: WorkflowRun) -> list[Moment]:
    """That an attempt began and, when it is over, that it ended."""
    stream = f"run/{run.attempt}"
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    by = f" by {run.actor.login}" if run.actor.login else ""
    title = f": {run.title}" if run.title else ""
    began = microseconds(run.started_at)
    found = [
        Moment(
            source=Source.WORKFLOW,
            stream=stream,
            seq=0,
            at_us=began,
            order_us=began,
            text=f"{run.workflow} #{run.number}{again} begun for {run.sha[:7]}{by}{title}",
        )
    ]
    if run.finished:
        ended = max(began, microseconds(run.updated_at))
        word = word_of(run.status, run.conclusion)
        found.append(
            Moment(
                source=Source.WORKFLOW,
                stream=stream,
                seq=_LAST,
                # after all that ended in the same second
                at_us=ended,
                order_us=ended + 999_999,
                text=f"{run.workflow} #{run.number}{again} ended: {word}",
                level=level_of_word(run.conclusion),
                value=(ended - began) / 1_000_000,
            )
        )
    return found


def job_moments(jobs: Iterable[Job], usual: Mapping[StepName, Usual] | None = None) -> list[Moment]:
    """That jobs and their steps began and ended; beside a step's time how long it usually takes."""
    return [moment for job in jobs for moment in _job(job, usual or {})]


def _job(job: Job, usual: Mapping[StepName, Usual]) -> list[Moment]:
    found: list[Moment] = []

    def tell(seq: int, place: int, at: datetime, order_us: int, text: str, **more: object) -> None:
        found.append(
            Moment(
                source=Source.WORKFLOW,
                stream=f"job/{job.id}/steps",
                seq=seq,
                at_us=microseconds(at),
                order_us=order_us,
                text=text,
                lane=_lane(job),
                place=place,
                job=job.name,
                job_id=job.id,
                **more,  # type: ignore[arg-type]
            )
        )

    if job.started_at is None or job.conclusion == "skipped":
        return found
    runner = f" on {job.runner}" if job.runner else ""
    tell(0, 0, job.started_at, microseconds(job.started_at), f"{job.name} begun{runner}")
    spans = spans_of(job)
    for step in job.steps:
        span = spans.get(step.number)
        if span is None or step.started_at is None:
            continue
        tell(2 * step.number, step.number * _STEP, step.started_at, span[0], step.name, step=step.number)
        if step.completed_at is not None and step.status == "completed":
            seconds = max(0.0, (step.completed_at - step.started_at).total_seconds())
            known = usual.get((job.name, step.name))
            beside = f" ({known.told})" if known is not None and known.count >= FEWEST else ""
            long = known is not None and known.is_long(seconds)
            level = level_of_word(step.conclusion)
            tell(
                2 * step.number + 1,
                (step.number + 1) * _STEP - 1,
                step.completed_at,
                span[1],
                f"{step.name}: {word_of(step.status, step.conclusion)} after {spell(seconds)}{beside}",
                step=step.number,
                level=max(level, LogLevel.WARN) if long else level,
                value=seconds,
            )
    if job.finished and job.completed_at is not None:
        seconds = max(0.0, (job.completed_at - job.started_at).total_seconds())
        last = max([microseconds(job.completed_at), *(end for _, end in spans.values())])
        word = word_of(job.status, job.conclusion)
        tell(
            2 * _LAST,
            _LAST * _STEP,
            job.completed_at,
            last,
            f"{job.name}: {word} after {spell(seconds)}",
            level=level_of_word(job.conclusion),
            value=seconds,
        )
    return found


def spans_of(job: Job) -> dict[int, tuple[int, int]]:
    """Where on the time line each step that ran begins and ends (µs), one after the other: GitHub's times
    are whole seconds, and those of two steps may be the same.
    """
    spans: dict[int, tuple[int, int]] = {}
    last = 0
    for step in sorted(job.steps, key=lambda one: one.number):
        if step.started_at is None or step.conclusion == "skipped":
            continue
        begin = max(last, microseconds(step.started_at))
        end = begin if step.completed_at is None else max(begin, microseconds(step.completed_at))
        spans[step.number] = (begin, end)
        last = end
    return spans


def log_moments(job: Job, text: str, told: Counter[str] | None = None, *, after: str = "") -> list[Moment]:
    """A job's log. Lines that `told` counts, which the host has told live, are echoes, from the line `after`
    on, which is the first that the host told: a build before it may have said the same.
    """
    return line_moments(job, parse(text, job.steps), told, after=after)


def line_moments(
    job: Job, lines: Sequence[JobLine], told: Counter[str] | None = None, *, after: str = ""
) -> list[Moment]:
    """The lines of a job's log as moments, each between the beginning and the end of its step."""
    stream, lane, name, number = f"job/{job.id}/log", _lane(job), job.name, job.id
    spans = spans_of(job)
    begun = job.started_at or job.completed_at or utc_now()
    floor = microseconds(begun)
    left = Counter(told) if told else None
    reached = not after
    found = []
    last = 0
    for line in lines:
        at = line.at_us if line.at_us is not None else floor
        order = at
        span = spans.get(line.step)
        if span is not None:
            order = min(max(at, span[0]), span[1])
        order = last = max(last, order)  # what the runner wrote late it wrote all the same after the rest
        echo = False
        reached = reached or line.text == after
        if left and reached and left.get(line.text, 0) > 0:
            left[line.text] -= 1
            echo = True
        found.append(
            Moment(
                source=Source.JOB,
                stream=stream,
                seq=line.number,
                at_us=at,
                order_us=order,
                text=line.text,
                lane=lane,
                place=line.step * _STEP + 1 + max(0, line.number),
                clock=Clock.STAMPED if line.at_us is not None else Clock.ESTIMATED,
                level=line.level,
                mark=line.mark,
                job=name,
                job_id=number,
                step=line.step,
                group=line.group,
                spans=line.spans,
                echo=echo,
            )
        )
    return found


def kept_moments(job: int, text: str) -> list[Moment]:
    """A job's log that was kept: of the job its number alone is known."""
    from muva_console.ops.links.github_runs import Job

    bare = Job(
        id=job, run=0, attempt=0, name=f"job {job}", status="completed", conclusion="",
        started_at=None, completed_at=None, steps=(), runner="", url="",
    )  # fmt: skip
    return line_moments(bare, parse(text))


def note(stream: str, text: str, *, level: LogLevel = LogLevel.NONE, at: datetime | None = None) -> Moment:
    """The console's own remark, now or at a time."""
    at_us = microseconds(at or utc_now())
    return Moment(
        source=Source.NOTE,
        stream=f"note/{stream}",
        seq=at_us,
        at_us=at_us,
        order_us=at_us,
        text=text,
        level=level,
        clock=Clock.ARRIVED,
    )


def waiting_moment(
    run: WorkflowRun, environments: Sequence[str], reviewers: Sequence[str], *, time: int = 1
) -> Moment:
    """That a run waits for somebody, the `time`-th time for these environments; GitHub does not tell since
    when, so it is since it was seen.
    """
    at_us = microseconds(utc_now())
    who = f" by {named(reviewers)}" if reviewers else ""
    return Moment(
        source=Source.WORKFLOW,
        stream=f"run/{run.attempt}/waits/{'+'.join(environments)}",
        seq=time,
        at_us=at_us,
        order_us=at_us,
        text=f"waits for approval of {named(environments, 'and')}{who}",
        level=LogLevel.WARN,
        clock=Clock.ARRIVED,
    )


def _lane(job: Job) -> str:
    return f"job/{job.id}"
