"""The runner as a process of the estate's: begun when a run waits for it, swept with the others.

It takes up every run that is not finished, of each concurrency group one at a time; of those of a group that
wait, the newest goes on and the others are cancelled, as on GitHub.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from pathlib import Path

from muva_console.drill import host
from muva_console.drill.github.running import Running, read_workflow
from muva_console.drill.github.runs import Run, Runs
from muva_console.drill.github.workflow import Broken
from muva_console.drill.run import spawn
from muva_console.drill.state import TAG, Estate, load
from muva_console.drill.sweep import has_tag
from muva_console.ops.errors import OpsError

_EVERY = 0.15
"""Seconds between two looks at the records."""


def pid_file(estate: Estate) -> Path:
    """Where the runner's process id stands."""
    return estate.directory / "runner.pid"


def runner_pid(estate: Estate) -> int | None:
    """The runner's process id when it runs."""
    try:
        pid = int(pid_file(estate).read_text())
    except (OSError, ValueError):
        return None
    return pid if has_tag(pid, estate.id) else None


def away_file(estate: Estate) -> Path:
    """While it is there no runner is started: all of GitHub's are busy."""
    return estate.directory / "actions" / "runners-away"


def start(estate: Estate) -> None:
    """Start the runner where it does not run. An estate without sites has nothing to deploy to.

    Two that start at once are no harm: the second finds the lock taken and ends. Raises OpsError.
    """
    if not estate.sites or runner_pid(estate) is not None or away_file(estate).exists():
        return
    path = os.pathsep.join(path for path in sys.path if path)
    process = spawn(
        [sys.executable, "-m", __name__, estate.directory],
        env={TAG: estate.id, "PATH": host.environment(estate)["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": path},
        cwd=Path("/"), log=estate.logs / "runner.log",
    )  # fmt: skip
    pid_file(estate).write_text(f"{process.pid}\n")


class Runner:
    """Looks for runs, and sees to each of them."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._runs = Runs(estate)
        self._at_work: dict[int, asyncio.Task[None]] = {}
        self._groups: dict[int, str] = {}

    async def serve(self) -> None:
        """Serve until the process is ended. Raises OpsError."""
        while True:
            for ended in [number for number, task in self._at_work.items() if task.done()]:
                await self._at_work.pop(ended)
            await self._look()
            await asyncio.sleep(_EVERY)

    async def _look(self) -> None:
        waiting = [run for run in self._runs.list() if not run.finished and run.id not in self._at_work]
        busy = {self._groups[number] for number in self._at_work}
        for run in waiting:  # the newest first
            group = await self._group(run)
            if not group:
                self._begin(run, f"run {run.id}")
            elif group not in busy:
                busy.add(group)
                self._begin(run, group)
            elif any(group == self._groups.get(one.id) for one in waiting if one.id > run.id):
                self._superseded(run)
            else:
                self._groups[run.id] = group
                if run.cancel_requested:
                    self._superseded(run)

    def _begin(self, run: Run, group: str) -> None:
        self._groups[run.id] = group
        self._at_work[run.id] = asyncio.create_task(
            Running(self._estate, self._runs, run.id).to_its_end(), name=f"run {run.id}"
        )

    def _superseded(self, run: Run) -> None:
        with self._runs.change(run.id) as one:
            one.status, one.conclusion = "completed", "cancelled"

    async def _group(self, run: Run) -> str:
        """The concurrency group; "" for none, or where the file cannot be read and the run ends at once."""
        if run.id not in self._groups:
            try:
                self._groups[run.id] = (await read_workflow(self._estate, run)).group
            except (Broken, OpsError):
                return ""
        return self._groups[run.id]


def main() -> None:
    """`python -m muva_console.drill.github.runner DIRECTORY`."""
    os.umask(0o022)
    estate = load(Path(sys.argv[1]))
    folder = estate.directory / "actions"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "runner.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        asyncio.run(Runner(estate).serve())


if __name__ == "__main__":
    main()
