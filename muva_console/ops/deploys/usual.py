"""How long the steps of a workflow usually take: those of its last runs that went well."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.deploys.timeline import Moment, Source, microseconds
from muva_console.ops.deploys.words import spell
from muva_console.ops.logs.model import LogLevel

if TYPE_CHECKING:
    from muva_console.ops.links.github_actions import GitHubActions
    from muva_console.ops.links.github_runs import Job, JobStep, WorkflowRun

PAST = 8
"""Runs that are looked at. Ours: a request each, and older ones are of another application."""
FEWEST = 3
"""Runs from which something is called usual. Ours."""
BEYOND, LEAST = 1.5, 10.0
"""A step is much longer when it takes so many times the longest it ever took, and so many seconds more.
Ours."""
StepName = tuple[str, str]
"""A job's name and a step's."""


class Usual(Struct, frozen=True):
    """How long a step took in the past, in seconds."""

    median: float
    longest: float
    count: int

    @property
    def told(self) -> str:
        """``usually 12 s``; ``too few runs to compare (2)``."""
        if self.count < FEWEST:
            return f"too few runs to compare ({self.count})"
        return f"usually {spell(self.median)}"

    def is_long(self, seconds: float) -> bool:
        """Whether a step takes much longer than it ever did."""
        return self.count >= FEWEST and seconds > max(BEYOND * self.longest, self.longest + LEAST)


async def read_usual(actions: GitHubActions, run: WorkflowRun) -> dict[StepName, Usual]:
    """The steps of the run's workflow as they went in its last good runs. Raises LinkError."""
    past = await actions.runs(workflow=run.file, status="success", size=PAST + 1)
    jobs: list[Job] = []
    for one in [one for one in past if one.id != run.id][:PAST]:
        jobs += await actions.jobs(one)
    return usual_of(jobs)


def usual_of(jobs: Iterable[Job]) -> dict[StepName, Usual]:
    """What past jobs say of their steps."""
    seconds: dict[StepName, list[float]] = {}
    for job in jobs:
        for step in job.steps:
            if step.conclusion == "success" and (took := took_of(step)) is not None:
                seconds.setdefault((job.name, step.name), []).append(took)
    return {name: Usual(statistics.median(found), max(found), len(found)) for name, found in seconds.items()}


def took_of(step: JobStep, now: datetime | None = None) -> float | None:
    """Seconds that a step took, or, with `now`, has taken so far; None where that is not known."""
    ended = step.completed_at or now
    if step.started_at is None or ended is None:
        return None
    return max(0.0, (ended - step.started_at).total_seconds())


def long_moments(jobs: Iterable[Job], usual: Mapping[StepName, Usual], now: datetime) -> Iterator[Moment]:
    """That a step which runs now takes much longer than it ever did; once a step."""
    for job in jobs:
        for step in job.steps:
            known = usual.get((job.name, step.name))
            if known is None or step.status != "in_progress":
                continue
            took = took_of(step, now)
            if took is None or not known.is_long(took):
                continue
            at = microseconds(now)
            yield Moment(
                source=Source.WORKFLOW,
                stream=f"job/{job.id}/long",
                seq=step.number,
                at_us=at,
                order_us=at,
                text=f"{step.name} takes longer than it ever did: {spell(took)} so far, {known.told}, "
                f"at most {spell(known.longest)} in {known.count} runs",
                level=LogLevel.WARN,
                job=job.name,
                job_id=job.id,
                step=step.number,
                value=took,
            )
