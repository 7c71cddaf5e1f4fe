"""Watching a deployment: how late a host's line is, how a long job's log is taken, what GitHub is asked."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from bench.log_lines import text
from bench.report import Figure, percentile
from muva_console.config.load import load
from muva_console.drill import estate
from muva_console.drill.github import records
from muva_console.drill.github.runs import Runs
from muva_console.drill.state import Estate
from muva_console.ops.deploys.moments import log_moments
from muva_console.ops.deploys.timeline import Source, Timeline
from muva_console.ops.deploys.watch import Watch
from muva_console.ops.deploys.watching import watch_of
from muva_console.ops.links.github_runs import Job, WorkflowRun
from muva_console.ops.workspace import Workspace
from muva_console.widgets.timeline_view import LOOK

LINES = 50_000
MARKS = 400
"""Lines whose way is measured."""
PACE = 0.02
"""Seconds between two of them."""
MINUTE = 30.0
"""Seconds for which requests are counted; told by the minute."""
_SENT = re.compile(r"mark (\d+)")


async def measure() -> list[Figure]:
    """Lag, lines a second, requests a minute."""
    figures = [_long_log()]
    with tempfile.TemporaryDirectory(prefix="muva-d-") as folder:
        made = await estate.up(Path(folder) / "e", owner=os.getpid())
        workspace = Workspace(load(made.config))
        try:
            waiting = await _waiting_run(made)
            figures.append(await _lag(made, workspace, waiting))
            figures.append(await _asked(made, workspace, waiting))
        finally:
            await workspace.close()
            await estate.down(made.directory)
    return figures


def _long_log() -> Figure:
    """A job's log of 50,000 lines to moments in order, beside the cutting of the same text into lines and
    the reading of each one's time by the plainest means.
    """
    stamped = "".join(
        f"2026-01-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.1234567Z {line}\n"
        for n, line in enumerate(text(0, LINES).splitlines())
    )
    job = Job(
        id=1, run=1, attempt=1, name="build", status="completed", conclusion="success", started_at=None,
        completed_at=None, steps=(), runner="", url="",
    )  # fmt: skip
    began = time.perf_counter()
    line = Timeline()
    line.add(log_moments(job, stamped))
    assert len(line.ordered()) == LINES
    ours = time.perf_counter() - began
    began = time.perf_counter()
    cut = [(time.strptime(one[:19], "%Y-%m-%dT%H:%M:%S"), one[29:]) for one in stamped.splitlines()]
    peer = time.perf_counter() - began
    assert len(cut) == LINES
    told = f"{ours:.2f} s, {LINES / ours:,.0f} lines/s"
    name = "deploy: a job's log of 50,000 lines"
    return Figure(name, told, f"splitlines, strptime {peer:.2f} s", ours / peer, "–", None)


async def _waiting_run(made: Estate) -> WorkflowRun:
    """A run that goes on for as long as it is looked at: production's waits for its approval."""
    clone = made.directory / "bench"
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    merge = (*who, "merge", "-q", "--no-ff", "--no-edit")
    for words in (
        ("clone", "-q", "--template=", "--branch", "main", str(made.repository), str(clone)),
        ("-C", str(clone), *merge, "origin/staging"),
        ("-C", str(clone), "push", "-q", "origin", "main"),
    ):
        process = await asyncio.create_subprocess_exec("git", *words)
        if await process.wait():
            raise RuntimeError(f"git {words[-1]} failed")
    runs = Runs(made)
    async with asyncio.timeout(60):
        while True:
            found = next((one for one in runs.list() if one.status == "waiting"), None)
            if found is not None:
                break
            await asyncio.sleep(0.1)
    workspace = Workspace(load(made.config))
    try:
        assert workspace.github is not None
        return await workspace.github.actions.run(found.id)
    finally:
        await workspace.close()


async def _lag(made: Estate, workspace: Workspace, run: WorkflowRun) -> Figure:
    """From the writing of a line on the host to the time line, and to `ssh tail -f`'s reader."""
    assert workspace.github is not None
    file = made.host_home / ".muva/deploy/production.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"run {run.id} {run.sha} 2026-01-01T00:00:00Z\n")
    hosts = {"vps": workspace.host("vps")}
    watch = Watch(workspace.github.actions, run.id, environment="production", hosts=hosts)
    ours: dict[int, float] = {}
    place = 0

    def arrived() -> None:
        nonlocal place
        now = time.perf_counter()
        place, new = watch.timeline.since(place)
        for moment in new:
            if moment.source is Source.HOST and (found := _SENT.search(moment.text)):
                ours[int(found[1])] = now

    watch.timeline.listen(arrived)
    following = asyncio.create_task(watch.follow())
    peer: dict[int, float] = {}
    tail = await asyncio.create_subprocess_exec(
        "ssh", "-p", str(made.ssh_port), "-i", str(made.identity), "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={made.known_hosts}", f"{made.user}@127.0.0.1",
        f"tail -n +1 -F '{file}'", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert tail.stdout is not None

    async def read() -> None:
        assert tail.stdout is not None
        async for raw in tail.stdout:
            if found := _SENT.search(raw.decode()):
                peer[int(found[1])] = time.perf_counter()

    reading = asyncio.create_task(read())
    sent: dict[int, float] = {}
    try:
        with file.open("a", buffering=1) as out:
            out.write("mark 0\n")
            await _until(lambda: 0 in ours and 0 in peer)
            for number in range(1, MARKS + 1):
                sent[number] = time.perf_counter()
                out.write(f"mark {number}\n")
                await asyncio.sleep(PACE)
        await _until(lambda: MARKS in ours and MARKS in peer)
    finally:
        for task in (following, reading):
            task.cancel()
        await asyncio.gather(following, reading, return_exceptions=True)
        if tail.returncode is None:
            tail.terminate()
        await tail.wait()
    mine = percentile([ours[one] - sent[one] for one in sent], 0.99)
    other = percentile([peer[one] - sent[one] for one in sent], 0.99)
    return Figure(
        "deploy: a line on the host to the time line, p99",
        f"{mine * 1000:.0f} ms (+ ≤ {LOOK * 1000:.0f} drawn)",
        f"ssh tail -F {other * 1000:.0f} ms",
        mine / other,
        "–",
        None,
    )


async def _asked(made: Estate, workspace: Workspace, run: WorkflowRun) -> Figure:
    """Requests a minute while a run is watched, and how many of them count against the limit."""
    assert workspace.github is not None
    link = workspace.github
    made_watch = watch_of(workspace, link.actions, run)
    before = (link.counts.charged, link.counts.uncharged)

    async def ours() -> None:
        await made_watch.follow()

    await _for_a_while(ours)
    charged = (link.counts.charged - before[0]) * 60 / MINUTE
    uncharged = (link.counts.uncharged - before[1]) * 60 / MINUTE
    told = f"{charged + uncharged:.0f}/min, {charged:.0f} charged"
    name = "deploy: requests to GitHub, nothing changes"
    if shutil.which("gh") is None:
        return Figure(name, told, "gh is not installed", None, "–", None)
    used = await _used(made)
    await _for_a_while(lambda: _gh(made, run))
    peer = (await _used(made) - used) * 60 / MINUTE
    return Figure(name, told, f"gh run watch {peer:.0f} charged", charged / peer, "≤ 1", charged <= peer)


async def _gh(made: Estate, run: WorkflowRun) -> None:
    process = await asyncio.create_subprocess_exec(
        "gh", "run", "watch", str(run.id), "-R", f"github.localhost/{records.REPOSITORY}",
        env={
            "PATH": os.environ["PATH"], "HOME": str(made.directory), "GH_HOST": "github.localhost",
            "GH_TOKEN": _token(made), "GH_NO_UPDATE_NOTIFIER": "1", "http_proxy": made.github_url,
        },
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await process.wait()
        raise RuntimeError("gh run watch ended by itself")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _used(made: Estate) -> int:
    """What the token has used of the hour's limit."""
    headers = {"Authorization": f"Bearer {_token(made)}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        answer = await client.get(f"{made.github_url}/rate_limit")
    return int(answer.json()["resources"]["core"]["used"])


def _token(made: Estate) -> str:
    return records.token_file(made, "dana-castillo").read_text().strip()


async def _for_a_while(follow: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(MINUTE):
            await follow()
    except TimeoutError:
        return


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)
