"""The states of runs, jobs and steps in words, and how long they took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from muva_console.ops.logs.model import LogLevel

if TYPE_CHECKING:
    from muva_console.ops.links.github_runs import Job, PendingDeployment, WorkflowRun

_WORDS = {
    "": "ended, how is not told",
    "in_progress": "running",
    "waiting": "waiting",
    "action_required": "action required",
    "timed_out": "timed out",
    "startup_failure": "failed at start",
}
FAILED = frozenset({"failure", "timed_out", "startup_failure", "error"})
STOPPED = frozenset({"cancelled", "action_required", "stale"})


def word_of(status: str, conclusion: str) -> str:
    """A state as it is said: ``success``, ``failure``, ``cancelled``, ``timed out``, ``running``, ``queued``
    … What GitHub calls otherwise is said as GitHub calls it.
    """
    told = conclusion if status == "completed" else status
    return _WORDS.get(told, told.replace("_", " "))


def level_of_word(conclusion: str) -> LogLevel:
    """How loud an end is: failures are errors, what was stopped is a warning, success is quiet."""
    if conclusion in FAILED:
        return LogLevel.ERROR
    return LogLevel.WARN if conclusion in STOPPED else LogLevel.INFO


def spell(seconds: float) -> str:
    """``4 s``, ``4m 12s``, ``1h 04m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def named(names: Sequence[str], word: str = "or") -> str:
    """``eve, oskar or team ops``."""
    if len(names) < 2:
        return names[0] if names else ""
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def failing(jobs: Sequence[Job]) -> tuple[Job, str] | None:
    """The first job that did not end well, and the step at which that was; "" where no step was."""
    for job in sorted(jobs, key=lambda one: (one.completed_at is None, one.completed_at, one.id)):
        if job.conclusion in FAILED or job.conclusion == "cancelled":
            for step in job.steps:
                if step.conclusion in FAILED or step.conclusion == "cancelled":
                    return job, step.name
            return job, ""
    return None


def sentence(run: WorkflowRun, jobs: Sequence[Job], pending: Sequence[PendingDeployment] = ()) -> str:
    """How a run stands, in a line."""
    name = f"{run.workflow} #{run.number}" + (f", attempt {run.attempt}" if run.attempt > 1 else "")
    if run.finished:
        return f"{name} {_ended(run, jobs)}"
    if run.status in ("waiting", "action_required"):
        return f"{name} {_waits(pending)}"
    active = [(job, step) for job in jobs for step in job.steps if step.status == "in_progress"]
    if active:
        job, step = active[0]
        more = f" and {len(active) - 1} more" if len(active) > 1 else ""
        inside = f" of {job.name}" if job.name != step.name else ""
        return f"{name} is at {step.name}{inside}{more}"
    if run.status == "in_progress":
        begun = next((job.name for job in jobs if job.status == "in_progress"), "")
        return f"{name} runs{f': {begun}' if begun else ', no job has begun yet'}"
    return f"{name} is {word_of(run.status, '')}: no job has begun yet"


def _ended(run: WorkflowRun, jobs: Sequence[Job]) -> str:
    took = spell((run.updated_at - run.started_at).total_seconds())
    if run.conclusion == "startup_failure" or (not jobs and run.conclusion in FAILED):
        return "failed at its start: no job ran; GitHub could not make anything of the workflow's file"
    found = failing(jobs)
    where = ""
    if found is not None:
        job, step = found
        where = f" at {step} of {job.name}" if step and step != job.name else f" at {job.name}"
    match run.conclusion:
        case "success":
            return f"succeeded in {took}"
        case "failure":
            return f"failed{where} after {took}"
        case "cancelled":
            return f"was cancelled{where} after {took}"
        case "timed_out":
            return f"took too long and was ended{where} after {took}"
        case "action_required":
            return "wants an action of a person on GitHub before it goes on"
        case "skipped":
            return "was skipped: none of its jobs was to run"
        case "":
            return "is over; GitHub does not say how"
    return f"ended: {word_of('completed', run.conclusion)}{where}"


def _waits(pending: Sequence[PendingDeployment]) -> str:
    if not pending:
        return "waits: for an approval, a wait timer or another run, which GitHub does not say"
    told = []
    for one in pending:
        who = f" by {named(one.reviewers)}" if one.reviewers else ""
        you = "; you may" if one.can_approve else "; you may not"
        told.append(f"for approval of {one.environment}{who}{you if one.reviewers else ''}")
    return f"waits {' and '.join(told)}"
