"""One workflow run, followed to its end: steps from GitHub, the host's own output while the job still runs.

GitHub has a job's log when the job is over; what the deployment writes on the host is there as it is written
(`~/.muva/deploy/ENVIRONMENT.log`, which begins with the run's number). Both are moments of one time line.
A watch that begins late loses nothing: what was is read from its beginning.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from muva_console.config.redact import redact
from muva_console.ops.deploys.ansi import styled
from muva_console.ops.deploys.kept import KeptRun
from muva_console.ops.deploys.moments import job_moments, log_moments, note, run_moments, waiting_moment
from muva_console.ops.deploys.timeline import Moment, Source, Timeline, microseconds
from muva_console.ops.deploys.usual import StepName, Usual, long_moments, read_usual
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.links.github_model import Declined, RateLimited
from muva_console.ops.logs.model import Clock, LogLevel
from muva_console.ops.logs.parse import level_of
from muva_console.ops.readings import utc_now
from muva_console.ops.text import LINE_CAP

if TYPE_CHECKING:
    from pathlib import Path

    from muva_console.ops.deploys.witness import Witness
    from muva_console.ops.links.base import HostLink
    from muva_console.ops.links.github_actions import GitHubActions
    from muva_console.ops.links.github_runs import Job, WorkflowRun

EVERY = 3.0
"""Seconds between two looks at a run. Ours: what `gh run watch` takes; answers that are as before cost
nothing of the limit."""
LATE = 10
"""Looks after a run's end at which a log that GitHub has not given yet is asked for again. Ours."""
LONGEST_PAUSE = 60.0
"""Seconds between two looks at most while GitHub does not answer. Ours."""
_MISSING = 404
_GONE = 410
_FINAL = frozenset({401, 403, 404, 410})
"""A 403 that is a limit is `RateLimited`, which is told apart before."""
_PAUSE = 2.0
"""Seconds before a host whose log was lost is asked again."""
_HEADER = re.compile(r"run (\d+) ([0-9a-f]{7,64}) (\S+)")


class Watch:
    """Follows a run. `timeline` grows until `follow` returns."""

    def __init__(
        self,
        actions: GitHubActions,
        run: int,
        *,
        environment: str = "",
        hosts: Mapping[str, HostLink] | None = None,
        witnesses: Sequence[Witness] = (),
        journal: Path | None = None,
        every: float = EVERY,
    ) -> None:
        """`hosts`: where the deployment of `environment` writes its log; none: it is not looked for.
        `witnesses`: what else is looked at while the run goes on. `journal`: the journal's folder, in which
        the logs of the run stay; None keeps nothing.
        """
        self.timeline = Timeline()
        self.run: WorkflowRun | None = None
        """As it was seen last."""
        self.jobs: tuple[Job, ...] = ()
        self._actions = actions
        self._id = run
        self._environment = environment
        self._hosts = dict(hosts or {})
        self._every = every
        self._logs: set[int] = set()
        self._heard: Counter[str] = Counter()
        self._first_heard = ""
        self._witnesses = tuple(witnesses)
        self._journal = journal
        self._usual: dict[StepName, Usual] | None = None
        self._waits = ""
        self._waited: Counter[str] = Counter()
        self._trouble = ""
        self._failures = 0
        self._beside: list[asyncio.Task[None]] = []

    async def follow(self) -> WorkflowRun:
        """Follow it to its end. What cannot be asked for a while is a note in the time line, and is asked
        again. Raises LinkError where asking again is of no use: no right, or the run is not there any more.
        """
        self._beside = [
            asyncio.create_task(self._tail(name, link), name=f"deployment log of {name}")
            for name, link in self._hosts.items()
        ]
        late = 0
        try:
            while True:
                pause = self._every
                try:
                    await self._look()
                    self._calm()
                except RateLimited as error:
                    self._troubled(error)
                    pause = max(pause, (error.until - utc_now()).total_seconds())
                except OpsError as error:
                    if _is_final(error):
                        self._tell([note("github", f"GitHub: {error}", level=LogLevel.ERROR)])
                        raise
                    pause = min(pause * 2**self._failures, max(pause, LONGEST_PAUSE))
                    self._failures += 1
                    self._troubled(error)
                run = self.run
                if run is not None and run.finished and not self._trouble:
                    missing = [job for job in self.jobs if _has_log(job) and job.id not in self._logs]
                    late += 1
                    if not missing or late > LATE:
                        self._tell(
                            note(f"log/{job.id}", f"GitHub has no log of {job.name}", level=LogLevel.WARN)
                            for job in missing
                        )
                        await self._keep(lambda kept: kept.keep_timeline(self.timeline.ordered()))
                        return run
                await asyncio.sleep(pause)
        finally:
            for task in self._beside:
                task.cancel()
            await asyncio.gather(*self._beside, return_exceptions=True)

    async def _look(self) -> None:
        run = await self._ask_run()
        jobs = await self._actions.jobs(run)
        if self.run is not None and self.run.attempt != run.attempt:
            self._waits = ""
        self.run, self.jobs = run, jobs
        if not run.finished and self._witnesses:
            self._beside += [asyncio.create_task(self._see(one)) for one in self._witnesses]
            self._witnesses = ()
        usual = await self._known(run)
        self._tell(job_moments(jobs, usual))
        self._tell(long_moments(jobs, usual, utc_now()))
        await self._look_who_is_waited_for(run)
        for job in jobs:
            if _has_log(job) and job.id not in self._logs:
                await self._look_at_log(job)
        self._tell(run_moments(run))

    async def _ask_run(self) -> WorkflowRun:
        """The run as it is now. One that was seen and is not there any more is said to be so: the token
        could read it. Raises LinkError.
        """
        try:
            return await self._actions.run(self._id)
        except Declined as error:
            if self.run is None or error.status != _MISSING:
                raise
            raise Declined(
                error.fault,
                f"run {self._id} is not there any more",
                status=error.status,
                where=error.where,
                means="it was deleted while it was watched, or the token has lost its right to read it",
                next="What was seen of it stays in the time line; look on the host at what it left.",
            ) from error

    async def _see(self, witness: Witness) -> None:
        """What is seen beside the run; a defect in seeing is told, and ends nothing else."""
        try:
            await witness(self._tell)
        except Exception as error:
            text = f"defect: something is not seen any more: {type(error).__name__}: {error}"
            self._tell([note("beside", redact(text), level=LogLevel.WARN)])

    async def _known(self, run: WorkflowRun) -> dict[StepName, Usual]:
        """How long steps usually take: asked once; what cannot be asked is not compared."""
        if self._usual is None:
            self._usual = {}
            with suppress(OpsError):
                self._usual = await read_usual(self._actions, run)
        return self._usual

    async def _look_who_is_waited_for(self, run: WorkflowRun) -> None:
        if run.status != "waiting":
            self._waits = ""
            return
        pending = await self._actions.pending(run)
        environments = [one.environment for one in pending]
        now = "+".join(environments)
        if not pending or now == self._waits:
            return
        self._waits = now
        self._waited[f"{run.attempt}/{now}"] += 1
        who = [login for one in pending for login in one.reviewers]
        self._tell([waiting_moment(run, environments, who, time=self._waited[f"{run.attempt}/{now}"])])

    async def _look_at_log(self, job: Job) -> None:
        try:
            text = await self._actions.job_log(job)
        except Declined as error:
            if error.status != _GONE:
                raise
            self._logs.add(job.id)
            self._tell(
                [note(f"log/{job.id}", f"GitHub has deleted the log of {job.name}", level=LogLevel.WARN)]
            )
            return
        if text is None:
            return
        self._logs.add(job.id)
        # parsing 50,000 lines takes a second: not on the loop that draws
        self._tell(
            await asyncio.to_thread(log_moments, job, text, Counter(self._heard), after=self._first_heard)
        )
        await self._keep(lambda kept: kept.keep_log(job.id, text))

    async def _keep(self, keep: Callable[[KeptRun], None]) -> None:
        """Keep something of the run beside the journal; that it cannot be is told."""
        if self._journal is None or self.run is None:
            return
        kept = KeptRun(self._journal, self.run.id, self.run.attempt)
        try:
            await asyncio.to_thread(keep, kept)
        except OpsError as error:
            self._tell([note("kept", str(error), level=LogLevel.WARN)])

    async def _tail(self, name: str, link: HostLink) -> None:
        """The host's log, from its beginning, again and again until it is cancelled."""
        place = f'"$HOME"/.muva/deploy/{shlex.quote(self._environment)}.log'
        command = f"exec tail -n +1 -F {place} 2>/dev/null"
        told = False
        while True:
            try:
                async with link.stream(command) as chunks:
                    reading = _Reading(name, self._id)
                    rest = b""
                    async for data in chunks:
                        *lines, rest = (rest + data).split(b"\n")
                        self._take(reading.lines(lines))
                    told = False
            except OpsError as error:
                if not told:
                    self._tell([note(f"host/{name}", f"{name}: {error}", level=LogLevel.WARN)])
                told = True
            await asyncio.sleep(_PAUSE)

    def _take(self, moments: Iterable[Moment]) -> None:
        for moment in self.timeline.add(moments):
            self._heard[moment.text] += 1
            self._first_heard = self._first_heard or moment.text

    def _tell(self, moments: Iterable[Moment]) -> None:
        self.timeline.add(moments)

    def _troubled(self, error: OpsError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._tell([note("github", f"GitHub: {error}", level=LogLevel.WARN)])

    def _calm(self) -> None:
        self._failures = 0
        if self._trouble:
            self._trouble = ""
            self._tell([note("github", "GitHub answers again")])


class _Reading:
    """The lines of one reading of a host's log: those of our run alone, numbered from its beginning."""

    def __init__(self, host: str, run: int) -> None:
        self._host = host
        self._run = str(run)
        self._ours = False
        self._number = 0
        self._part = 0

    def lines(self, lines: Iterable[bytes]) -> list[Moment]:
        found = []
        now = microseconds(utc_now())
        for line in lines:
            raw = line[: 4 * LINE_CAP].decode("utf-8", "replace").rstrip("\r")
            header = _HEADER.fullmatch(raw)
            if header is not None:
                self._ours = header[1] == self._run
                self._number = 0
                continue
            if not self._ours:
                continue
            text, spans = styled(redact(raw))
            self._number += 1
            found.append(
                Moment(
                    source=Source.HOST,
                    stream=f"host/{self._host}/{self._run}",
                    seq=self._number,
                    at_us=now,
                    order_us=now,
                    text=text[:LINE_CAP],
                    clock=Clock.ARRIVED,
                    level=level_of(text) or LogLevel.NONE,
                    where=self._host,
                    spans=spans,
                )
            )
        return found


def _is_final(error: OpsError) -> bool:
    """Whether asking again changes nothing: a refusal, or what is not there (any more)."""
    if isinstance(error, Declined):
        return error.status in _FINAL
    return isinstance(error, LinkError) and error.fault in (Fault.AUTH, Fault.CONFIG)


def _has_log(job: Job) -> bool:
    return job.finished and job.conclusion != "skipped" and job.started_at is not None
