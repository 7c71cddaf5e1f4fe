"""A run of a workflow, from its file to its conclusion: its jobs in order, as `needs` and `if` say."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from typing import Any

from muva_console.drill.github import runs as records
from muva_console.drill.github import settings
from muva_console.drill.github.expressions import Invalid, fill, holds
from muva_console.drill.github.gitdata import Repository
from muva_console.drill.github.joblogs import JobLog
from muva_console.drill.github.runs import ENVIRONMENTS, RUNNER, Job, Run, Runs, Step, now
from muva_console.drill.github.steps import Bench, Stop
from muva_console.drill.github.workflow import FOLDER, Broken, JobSpec, StepSpec, Workflow, parse
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

_EVERY = 0.1
"""Seconds between two looks at what people have asked for."""
_BAD = ("failure", "timed_out")
_MINUTE = 60.0


async def read_workflow(estate: Estate, run: Run) -> Workflow:
    """The workflow as the run's commit has it. Raises Broken and OpsError."""
    git = Repository(estate.repository)
    return parse(run.workflow, await git.git("show", f"{run.sha}:{FOLDER}/{run.workflow}"))


class Running:
    """One attempt of a run. Nobody else writes what its jobs are at."""

    def __init__(self, estate: Estate, runs: Runs, id: int) -> None:
        self._estate = estate
        self._runs = runs
        self._id = id
        self._cancelled = asyncio.Event()
        self._forced = False
        self._stop = Stop(self._cancelled)

    async def to_its_end(self) -> None:
        """Do all of it. Raises OpsError where the records cannot be written."""
        run = self._record()
        try:
            workflow = await read_workflow(self._estate, run)
        except (Broken, OpsError) as error:
            problem = str(error)
            self._change(lambda one: _end(one, "startup_failure", problem=problem))
            return
        kept = self._begin(workflow, run)
        watching = asyncio.create_task(self._watch())
        try:
            for spec in workflow.jobs:
                if spec.key not in kept:
                    await self._job(workflow, spec)
        finally:
            watching.cancel()
        results = [job.conclusion for job in self._record().jobs]
        conclusion = "success"
        for one in ("failure", "timed_out", "cancelled"):
            if one in results:
                conclusion = one
                break
        self._change(lambda one: _end(one, conclusion))

    def _begin(self, workflow: Workflow, run: Run) -> set[str]:
        """Write the jobs down, queued; those of the attempt before that are taken over, by key."""
        before = run.earlier[-1].jobs if run.failed_only and run.earlier else []
        taken = {job.key: job for job in before if job.conclusion in ("success", "skipped")}
        jobs = []
        for spec in workflow.jobs:
            number = self._runs.take_id("job")
            if spec.key in taken and set(spec.needs) <= set(taken):
                jobs.append(records.copy(taken[spec.key], id=number))
                log = self._runs.log(taken[spec.key].id)
                if log.is_file():
                    shutil.copy(log, self._runs.log(number))
            else:
                taken.pop(spec.key, None)
                jobs.append(Job(
                    id=number, key=spec.key, name=spec.name, needs=list(spec.needs), created_at=now(),
                    environment=spec.environment,
                ))  # fmt: skip

        def begun(one: Run) -> None:
            one.jobs, one.status = jobs, "in_progress"

        self._change(begun)
        return set(taken)

    async def _watch(self) -> None:
        """Notice that somebody wants it to end."""
        while True:
            run = self._record()
            self._forced = run.cancel_forced
            if run.cancel_requested:
                self._cancelled.set()
            await asyncio.sleep(_EVERY)

    async def _job(self, workflow: Workflow, spec: JobSpec) -> None:
        run = self._record()
        by_key = {job.key: job for job in run.jobs}
        values = self._values(run, workflow, spec, by_key)
        if self._cancelled.is_set() and (self._forced or "always()" not in spec.condition):
            self._finish(spec.key, "cancelled")
            return
        try:
            wanted = holds(spec.condition, values)
        except Invalid as error:
            problem = str(error)
            self._change(lambda one: setattr(one, "problem", problem))
            self._finish(spec.key, "failure")
            return
        if not wanted:
            self._finish(spec.key, "skipped")
            return
        if not await self._allowed(run, spec):
            self._finish(spec.key, "cancelled" if self._cancelled.is_set() else "failure")
            return
        await self._steps(spec, values)

    async def _allowed(self, run: Run, spec: JobSpec) -> bool:
        """Wait until somebody has approved its environment, where that is needed."""
        environment = next((one for one in ENVIRONMENTS if one.name == spec.environment), None)
        if environment is None or not environment.reviewers:
            return True

        def waits(one: Run) -> None:
            job = _of(one, spec.key)
            job.status, job.waits_for_approval, one.status = "waiting", True, "waiting"

        if self._said(run, spec) is None:
            self._change(waits)
        while (said := self._said(self._record(), spec)) is None:
            if self._cancelled.is_set():
                return False
            await asyncio.sleep(_EVERY)
        self._change(lambda one: setattr(one, "status", "in_progress"))
        return said == "approved"

    @staticmethod
    def _said(run: Run, spec: JobSpec) -> str | None:
        for one in run.approvals:
            if one.attempt == run.attempt and spec.environment in one.environments:
                return one.state
        return None

    async def _steps(self, spec: JobSpec, values: dict[str, Any]) -> None:
        run = self._record()
        mine = _of(run, spec.key)
        log = JobLog(self._runs.directory / "work" / f"{mine.id}.log", values["secrets"].values())
        stop = Stop(asyncio.Event())
        bench = Bench(
            self._estate, self._runs, run, log, self._runs.directory / "work" / str(mine.id), values, stop, {}
        )
        names = ["Set up job", *(step.name for step in spec.steps), "Complete job"]

        def begun(one: Run) -> None:
            job = _of(one, spec.key)
            job.status, job.started_at, job.runner = "in_progress", now(), RUNNER
            job.steps = [Step(number=number, name=name) for number, name in enumerate(names, 1)]

        self._change(begun)
        passing = asyncio.create_task(self._pass_on(stop, spec.minutes * _MINUTE))
        worst = "success"
        try:
            self._step(spec.key, 1, None)
            log.line("Current runner version: '2.329.0'")
            log.line(f"Complete job name: {spec.name}")
            bench.prepare()
            self._step(spec.key, 1, "success")
            for number, step in enumerate(spec.steps, 2):
                values["()"] = self._status(worst, stop)
                worst = await self._one(bench, spec.key, number, step, worst)
            self._step(spec.key, len(names), None)
            log.line("Cleaning up orphan processes")
            self._step(spec.key, len(names), "success")
            outputs = {name: fill(text, values) for name, text in spec.outputs.items()}
        except (Invalid, Broken, OpsError, OSError) as error:
            log.line(f"##[error]{error}")
            worst, outputs = "failure", {}
        finally:
            passing.cancel()
            shutil.rmtree(bench.folder, ignore_errors=True)
        log.end(self._runs.log(mine.id))
        self._finish(spec.key, "success" if spec.continues and worst in _BAD else worst, outputs)

    async def _one(self, bench: Bench, key: str, number: int, step: StepSpec, worst: str) -> str:
        """Do a step where its turn has come; the worst that the job has seen."""
        stopped = bench.stop.asked.is_set()
        condition = step.condition
        wanted = holds(condition, bench.values) and not (stopped and self._forced)
        if not wanted:
            self._step(key, number, "cancelled" if stopped and worst == "success" else "skipped")
            return bench.stop.reason if stopped and worst == "success" else worst
        self._step(key, number, None)
        if stopped:  # a step that is always done is done after a cancellation too
            bench.stop.asked = asyncio.Event()
        limit = asyncio.get_running_loop().call_later(
            step.minutes * _MINUTE, _expire, bench.stop, bench.log, step.name, step.minutes
        )
        try:
            conclusion, outputs = await bench.do(step)
        except (Invalid, Broken, OpsError) as error:
            bench.log.line(f"##[error]{error}")
            conclusion, outputs = "failure", {}
        finally:
            limit.cancel()
        if step.id:
            bench.values["steps"][step.id] = {
                "outputs": outputs, "outcome": conclusion,
                "conclusion": "success" if step.continues else conclusion,
            }  # fmt: skip
        self._step(key, number, conclusion)
        if conclusion == "success" or step.continues:
            return worst
        return conclusion if worst == "success" else worst

    async def _pass_on(self, stop: Stop, seconds: float) -> None:
        """End the step at hand when the run is cancelled or the job's time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self._cancelled.wait()
        except TimeoutError:
            stop.reason = "timed_out"
        stop.asked.set()

    def _status(self, worst: str, stop: Stop) -> dict[str, bool]:
        stopped = stop.asked.is_set() or self._cancelled.is_set()
        return {
            "success": worst == "success" and not stopped,
            "failure": worst in _BAD and not self._cancelled.is_set(),
            "cancelled": self._cancelled.is_set(), "always": True,
        }  # fmt: skip

    def _values(self, run: Run, workflow: Workflow, spec: JobSpec, jobs: dict[str, Job]) -> dict[str, Any]:
        """The contexts of a job's expressions."""
        above = list(_above(jobs, spec.needs))
        needed = [jobs[key] for key in spec.needs]
        well = all(job.conclusion == "success" for job in needed)
        values: dict[str, Any] = {
            "github": {
                "sha": run.sha, "ref_name": run.branch, "ref": f"refs/heads/{run.branch}",
                "run_id": str(run.id), "run_number": str(run.number), "run_attempt": str(run.attempt),
                "actor": run.actor, "event_name": run.event, "workflow": run.name,
            },
            "inputs": dict(run.inputs), "job": {}, "runner": {"os": "Linux", "name": RUNNER}, "steps": {},
            "secrets": settings.secrets(self._estate), "vars": settings.variables(self._estate),
            "needs": {job.key: {"result": job.conclusion, "outputs": dict(job.outputs)} for job in needed},
            "env": {},
            "()": {
                "success": well and not self._cancelled.is_set(),
                "failure": any(job.conclusion in _BAD for job in above),
                "cancelled": self._cancelled.is_set(), "always": True,
            },
        }  # fmt: skip
        for given in (workflow.env, spec.env):
            values["env"] |= {name: fill(text, values) for name, text in given.items()}
        return values

    def _step(self, key: str, number: int, conclusion: str | None) -> None:
        """A step begins (None) or ends."""

        def change(run: Run) -> None:
            step = _of(run, key).steps[number - 1]
            if conclusion is None:
                step.status, step.started_at = "in_progress", now()
            else:
                step.status, step.conclusion, step.completed_at = "completed", conclusion, now()
                step.started_at = step.started_at or step.completed_at

        self._change(change)

    def _finish(self, key: str, conclusion: str, outputs: dict[str, str] | None = None) -> None:
        def change(run: Run) -> None:
            job = _of(run, key)
            job.status, job.conclusion, job.completed_at = "completed", conclusion, now()
            job.outputs = outputs or {}
            for step in job.steps:
                if step.status != "completed":
                    step.status, step.conclusion = "completed", "skipped"

        self._change(change)

    def _record(self) -> Run:
        found = self._runs.read(self._id)
        if found is None:
            raise OpsError("the record of a run is gone", where=str(self._id))
        return found

    def _change(self, how: Callable[[Run], object]) -> None:
        with self._runs.change(self._id) as run:
            how(run)


def _end(run: Run, conclusion: str, *, problem: str = "") -> None:
    run.status, run.conclusion, run.problem = "completed", conclusion, problem or run.problem


def _of(run: Run, key: str) -> Job:
    return next(job for job in run.jobs if job.key == key)


def _above(jobs: dict[str, Job], keys: Iterable[str]) -> Iterable[Job]:
    """The jobs that must have ended first, and theirs."""
    for key in keys:
        yield jobs[key]
        yield from _above(jobs, jobs[key].needs)


def _expire(stop: Stop, log: JobLog, name: str, minutes: float) -> None:
    log.line(f"##[error]The action '{name}' has timed out after {minutes:g} minutes.")
    stop.reason = "timed_out"
    stop.asked.set()
