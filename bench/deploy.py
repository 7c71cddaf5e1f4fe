"""A deployment watched: the lag of the host's lines, long job logs, and what watching asks of GitHub.

On a drill estate of its own. The lag is beside OpenSSH's `ssh host tail -f` of the same file at the same
time, whose lines a process of their own stamps, so that our pauses are not theirs; a job's log beside
splitting it into lines; the requests beside `gh run watch` of the same run in the same minute, each with a
token of its own, as the stand-in for GitHub has charged both. The run changes meanwhile as one does that
deploys: of a run in which nothing happens nearly every look is free, which would flatter us.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bench.report import Figure, median, percentile
from muva_console.ops.deploys.timeline import Moment, Timeline

if TYPE_CHECKING:
    from muva_console.drill.github.runs import Run
    from muva_console.drill.state import Estate

LINES = 400
"""Lines written on the host one by one, 2 to 12 ms apart."""
LOG_LINES = 50_000
ROUNDS = 5
WATCHED = 60.0
"""Seconds for which requests are counted."""
STEP = 5.0
"""Seconds that a step of the watched run takes."""
STAMP = "import sys, time\nfor line in sys.stdin: print(time.perf_counter(), line, end='', flush=True)"
"""Writes before each line when it came, by the clock that all processes share."""
ENOUGH = 60.0
"""Seconds after which something that was waited for is not coming."""
OURS, THEIRS = "dana-castillo", "eve-lindqvist"


class _Heard(Timeline):
    """A time line that notes when each moment came."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[str, float] = {}

    def add(self, moments: Iterable[Moment]) -> list[Moment]:
        new = super().add(moments)
        now = time.perf_counter()
        for moment in new:
            self.at.setdefault(moment.text, now)
        return new


async def measure() -> list[Figure]:
    """Three figures, of which none has a bar in DESIGN."""
    from muva_console.drill import estate as estates

    with tempfile.TemporaryDirectory(prefix="muva-b-") as folder:
        directory = Path(folder) / "e"
        estate = await estates.up(directory, owner=os.getpid())
        try:
            run = await _going(estate)
            return [await _lag(estate, run), _long_log(), await _requests(estate, run, Path(folder))]
        finally:
            await estates.down(directory)


async def _going(estate: Estate) -> Run:
    """A run on staging whose job goes on for as long as the estate stands."""
    from muva_console.drill import repository
    from muva_console.drill.github.runs import Job, Run, Runs, Step, now

    runs, at = Runs(estate), now()
    step = Step(number=1, name="Deploy", status="in_progress", conclusion=None, started_at=at)
    job = Job(
        id=runs.take_id("job"), key="deploy", name="Deploy", created_at=at, status="in_progress",
        conclusion=None, started_at=at, runner="GitHub Actions 1", steps=[step],
    )  # fmt: skip
    run = Run(
        id=runs.take_id("run"), number=900, workflow="deploy-staging.yml", name="Deploy to staging",
        branch="staging", sha=await repository.head(estate, "staging"), event="push", title="Measured",
        actor=OURS, status="in_progress", conclusion=None, created_at=at, started_at=at, updated_at=at,
        jobs=[job],
    )  # fmt: skip
    runs.keep(run)
    return run


def _token(estate: Estate, login: str) -> str:
    from muva_console.drill.github import records

    return records.token_file(estate, login).read_text().strip()


async def _lag(estate: Estate, run: Run) -> Figure:
    from muva_console.config.load import load
    from muva_console.drill.github import records
    from muva_console.ops.deploys.watch import Watch
    from muva_console.ops.links.github import GitHubLink
    from muva_console.ops.links.ssh import SshLink

    async def token() -> str:
        return _token(estate, OURS)

    file = estate.host_home / ".muva/deploy/staging.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"run {run.id} {run.sha} 2026-01-01T00:00:00Z\nready\n")
    github = GitHubLink(estate.github_url, records.REPOSITORY, token, timeout=10)
    link = SshLink("vps", load(estate.config).config.hosts["vps"])
    watch = Watch(github.actions, run.id, environment="staging", hosts={"vps": link})
    ours = watch.timeline = _Heard()
    theirs: dict[str, float] = {}
    out, into = os.pipe()
    peer = await asyncio.create_subprocess_exec(
        "ssh", "-F", "none", "-i", str(estate.identity), "-p", str(estate.ssh_port),
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-o", "BatchMode=yes", f"{estate.user}@127.0.0.1", 'tail -n +1 -f "$HOME/.muva/deploy/staging.log"',
        stdin=asyncio.subprocess.DEVNULL, stdout=into,
    )  # fmt: skip
    os.close(into)
    stamp = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STAMP, stdin=out, stdout=asyncio.subprocess.PIPE
    )
    os.close(out)
    assert stamp.stdout is not None
    tasks = [asyncio.create_task(watch.follow()), asyncio.create_task(_note(stamp.stdout, theirs))]
    try:
        await _until(lambda: "ready" in ours.at and "ready" in theirs, tasks)
        written = await _write(file)
        await _until(lambda: written.keys() <= ours.at.keys() and written.keys() <= theirs.keys(), tasks)
    finally:
        peer.kill()
        stamp.kill()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, peer.wait(), stamp.wait(), return_exceptions=True)
        await link.close()
        await github.close()
    mine = [ours.at[text] - at for text, at in written.items()]
    others = [theirs[text] - at for text, at in written.items()]
    p99, peer_p99 = percentile(mine, 0.99), percentile(others, 0.99)
    return Figure(
        "deploy: a host's line to the time line, p99",
        f"{p99 * 1000:.1f} ms (median {median(mine) * 1000:.1f})",
        f"ssh tail -f {peer_p99 * 1000:.1f} ms ({median(others) * 1000:.1f})",
        p99 / peer_p99,
        "–",
        None,
    )


async def _note(stream: asyncio.StreamReader, at: dict[str, float]) -> None:
    while line := await stream.readline():
        came, _, text = line.decode().rstrip("\n").partition(" ")
        at.setdefault(text, float(came))


async def _write(file: Path) -> dict[str, float]:
    """Write the lines; when each was written."""
    chance = random.Random(1)
    written: dict[str, float] = {}
    with file.open("a", buffering=1) as out:
        for number in range(LINES):
            text = f"line {number} of what a deployment writes"
            written[text] = time.perf_counter()
            out.write(text + "\n")
            await asyncio.sleep(chance.uniform(0.002, 0.012))
    return written


async def _until(true: Callable[[], bool], tasks: Iterable[asyncio.Task[object]]) -> None:
    async with asyncio.timeout(ENOUGH):
        while not true():
            for task in tasks:
                if task.done():
                    raise RuntimeError(f"ended before it was measured: {task}")
            await asyncio.sleep(0.05)


def _long_log() -> Figure:
    """From a job's log as GitHub gives it to moments on a time line."""
    from muva_console.ops.deploys.moments import kept_moments

    text = "".join(
        f"2026-01-01T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}.1234567Z "
        f"\x1b[32m✓\x1b[0m page {n} built\n"
        for n in range(LOG_LINES)
    )
    ours, plain = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        line = Timeline()
        line.add(kept_moments(1, text))
        ours.append(time.perf_counter() - began)
        if len(line) + line.left < LOG_LINES:
            raise RuntimeError(f"of {LOG_LINES} lines {len(line) + line.left} were put on the time line")
        began = time.perf_counter()
        text.split("\n")
        plain.append(time.perf_counter() - began)
    took, peer = median(ours), median(plain)
    return Figure(
        "deploy: a job's log of 50,000 lines",
        f"{LOG_LINES / took:,.0f} lines/s ({took:.2f} s)",
        f"split {LOG_LINES / peer:,.0f} lines/s",
        took / peer,
        "–",
        None,
    )


async def _requests(estate: Estate, run: Run, folder: Path) -> Figure:
    """What a minute of watching asks of GitHub, its beginning included."""
    from muva_console.drill.github import records
    from muva_console.ops.deploys.watch import Watch
    from muva_console.ops.links.github import GitHubLink

    async def token() -> str:
        return _token(estate, OURS)

    link = GitHubLink(estate.github_url, records.REPOSITORY, token, timeout=10)
    mine = await _charged(estate, OURS)
    watch = asyncio.create_task(Watch(link.actions, run.id).follow())
    beside = _gh(estate, run, folder) if shutil.which("gh") else None
    try:
        before = await _charged(estate, THEIRS)
        peer = await beside() if beside else None
        await _steps(estate, run)
        theirs = await _charged(estate, THEIRS) - before
        if watch.done() or (peer is not None and peer.returncode is not None):
            raise RuntimeError("a watch ended before it was measured")
        charged, uncharged = await _charged(estate, OURS) - mine, link.counts.uncharged
        if peer is not None:
            peer.kill()
            await peer.wait()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await link.close()
    return Figure(
        "deploy: requests in a minute of watching",
        f"{charged} charged, {uncharged} not",
        f"gh run watch {theirs} charged" if beside else "gh: not in PATH",
        charged / theirs if theirs else None,
        "–",
        None,
    )


async def _steps(estate: Estate, run: Run) -> None:
    """Let `WATCHED` seconds pass, in which a step of the run ends and another begins every `STEP`."""
    from muva_console.drill.github.runs import Runs, Step, now

    for number in range(2, 2 + int(WATCHED / STEP)):
        await asyncio.sleep(STEP)
        with Runs(estate).change(run.id) as changed:
            steps = changed.jobs[0].steps
            steps[-1].status, steps[-1].conclusion, steps[-1].completed_at = "completed", "success", now()
            name = f"Step {number}"
            steps.append(
                Step(number=number, name=name, status="in_progress", conclusion=None, started_at=now())
            )


def _gh(estate: Estate, run: Run, folder: Path) -> Callable[[], Awaitable[asyncio.subprocess.Process]]:
    """Starts GitHub's own command line, with the stand-in as its proxy for a host that has no TLS."""
    from muva_console.drill.github import records

    host = "github.localhost"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GH_CONFIG_DIR": str(folder / "gh"),
        "GH_HOST": host, "GH_TOKEN": _token(estate, THEIRS), "GH_NO_UPDATE_NOTIFIER": "1",
        "http_proxy": estate.github_url,
    }  # fmt: skip

    async def begin() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "gh", "run", "watch", str(run.id), "-R", f"{host}/{records.REPOSITORY}", env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    return begin


async def _charged(estate: Estate, login: str) -> int:
    """What the stand-in has charged a token with; asking this costs nothing."""
    headers = {"Authorization": f"Bearer {_token(estate, login)}"}
    async with httpx.AsyncClient(base_url=estate.github_url, headers=headers, trust_env=False) as client:
        answer = json.loads((await client.get("/rate_limit")).raise_for_status().text)
    used: int = answer["resources"]["core"]["used"]
    return used
