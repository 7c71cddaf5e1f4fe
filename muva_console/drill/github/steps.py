"""One step of a job, done for real: a shell, or one of the actions that this runner knows."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import shutil
import signal
import sys
import zipfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.drill import host
from muva_console.drill.github import expressions, workflow
from muva_console.drill.github.joblogs import JobLog
from muva_console.drill.github.runs import Artifact, Run, Runs, now
from muva_console.drill.github.workflow import StepSpec
from muva_console.drill.run import run as run_program
from muva_console.drill.state import TAG, Estate
from muva_console.ops.errors import OpsError

_RETENTION_DAYS = 90
_GRACE = 2.0
"""Seconds between an interrupt and the end of a step that was cancelled. GitHub gives ten."""
_CYAN, _PLAIN = "\x1b[36;1m", "\x1b[0m"


class Stop(Struct):
    """What ends a step early."""

    asked: asyncio.Event
    reason: str = "cancelled"
    """cancelled or timed_out."""


class Bench(Struct):
    """Where a job's steps work, and what they have."""

    estate: Estate
    runs: Runs
    run: Run
    log: JobLog
    folder: Path
    values: dict[str, Any]
    """The contexts of expressions."""
    stop: Stop
    added: dict[str, str]
    """What steps put into ``GITHUB_ENV``."""

    @property
    def workspace(self) -> Path:
        """Where the repository is checked out."""
        return self.folder / "muva-chat"

    @property
    def tools(self) -> Path:
        """What actions put on the path."""
        return self.folder / "tools"

    def prepare(self) -> None:
        """Make the folders, and what GitHub's own image has on the path."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for folder in (self.workspace, self.tools, self.folder / "temp", self.folder / "home"):
            folder.mkdir(parents=True)
        self._tool("pg_dump", f'exec {shlex.quote(str(self.estate.postgres_programs / "pg_dump"))} "$@"')

    async def do(self, spec: StepSpec) -> tuple[str, dict[str, str]]:
        """Do a step; its conclusion and its outputs. Raises expressions.Invalid and OpsError."""
        if spec.uses.startswith("./"):
            return await self._composite(spec)
        if spec.uses:
            return await self._action(spec)
        return await self._shell(spec)

    def environment(self, spec: StepSpec) -> dict[str, str]:
        """What a step's program gets: nothing of this process's own."""
        run, estate = self.run, self.estate
        given = {name: text for name, text in host.environment(estate).items() if name.startswith("npm_")}
        found = {
            **given, TAG: estate.id, "CI": "true", "GITHUB_ACTIONS": "true", "LANG": "C.UTF-8",
            "HOME": str(self.folder / "home"), "RUNNER_TEMP": str(self.folder / "temp"),
            "RUNNER_OS": "Linux", "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": f"{self.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "GITHUB_WORKSPACE": str(self.workspace), "GITHUB_SHA": run.sha, "GITHUB_REF_NAME": run.branch,
            "GITHUB_REF": f"refs/heads/{run.branch}", "GITHUB_RUN_ID": str(run.id),
            "GITHUB_RUN_NUMBER": str(run.number), "GITHUB_RUN_ATTEMPT": str(run.attempt),
            "GITHUB_ACTOR": run.actor, "GITHUB_EVENT_NAME": run.event, "GITHUB_WORKFLOW": run.name,
        }  # fmt: skip
        for name in ("ENV", "OUTPUT", "PATH", "STEP_SUMMARY"):
            file = self.folder / f"temp/{name.lower()}"
            file.touch()
            found[f"GITHUB_{name}"] = str(file)
        found |= self.values["env"] | self.added
        return found | {name: self.filled(text) for name, text in spec.env.items()}

    def filled(self, text: str) -> str:
        """A text with its expressions put in."""
        return expressions.fill(text, self.values)

    async def _composite(self, spec: StepSpec) -> tuple[str, dict[str, str]]:
        file = self.workspace / spec.uses / "action.yml"
        if not file.is_file():
            self.log.line(f"##[error]Can't find 'action.yml' under '{spec.uses}'.")
            return "failure", {}
        for one in workflow.composite(file.read_text()):
            conclusion, _ = await self.do(one)
            if conclusion != "success":
                return conclusion, {}
        return "success", {}

    async def _shell(self, spec: StepSpec) -> tuple[str, dict[str, str]]:
        script = self.filled(spec.run)
        env = self.environment(spec)
        file = self.folder / "temp" / "script.sh"
        file.write_text(script)
        bash = "bash --noprofile --norc -e -o pipefail" if spec.shell == "bash" else "bash -e"
        if spec.shell == "sh":
            bash = "sh -e"
        told = {**self.values["env"], **{name: env[name] for name in spec.env}}
        first, *_ = script.strip().splitlines()
        self.log.group(f"Run {first}", [
            *(f"{_CYAN}{line}{_PLAIN}" for line in script.rstrip().splitlines()),
            f"shell: /usr/bin/{bash} {{0}}",
            *(["env:"] if told else []),
            *(f"  {name}: {line}" for name, text in told.items() for line in text.splitlines()[:1]),
        ])  # fmt: skip
        directory = self.workspace / self.filled(spec.directory) if spec.directory else self.workspace
        conclusion = await self._program([*bash.split(), str(file)], env, directory)
        return conclusion, self._left(env)

    async def _program(self, words: list[str], env: dict[str, str], directory: Path) -> str:
        """Run a program to its end, its lines into the log as they come."""
        process = await asyncio.create_subprocess_exec(
            *words, env=env, cwd=directory, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
            limit=1 << 20,
        )  # fmt: skip
        reading = asyncio.create_task(self._read(process))
        stopping = asyncio.create_task(self.stop.asked.wait())
        try:
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                _signal(process, signal.SIGINT)
                await asyncio.wait((reading,), timeout=_GRACE)
        finally:
            _signal(process, signal.SIGKILL)
            stopping.cancel()
        await asyncio.wait((reading,))
        status = await process.wait()
        if self.stop.asked.is_set():
            self.log.line("##[error]The operation was canceled.")
            return self.stop.reason
        if status:
            self.log.line(f"##[error]Process completed with exit code {status % 256}.")
            return "failure"
        return "success"

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                data = await process.stdout.readline()
            except ValueError:  # a line beyond the limit: what there is of it
                data = await process.stdout.read(1 << 20)
            if not data:
                return
            self.log.printed(data.decode("utf-8", "replace").rstrip("\r\n"))

    def _left(self, env: dict[str, str]) -> dict[str, str]:
        """What a step has left in its files: variables for those after it, and its outputs."""
        self.added |= _pairs(Path(env["GITHUB_ENV"]))
        outputs = _pairs(Path(env["GITHUB_OUTPUT"]))
        for name in ("GITHUB_ENV", "GITHUB_OUTPUT"):
            Path(env[name]).unlink()
        return outputs

    async def _action(self, spec: StepSpec) -> tuple[str, dict[str, str]]:
        name = spec.uses.partition("@")[0]
        given = {key: self.filled(text) for key, text in spec.with_.items()}
        told = ["with:", *(f"  {key}: {text}" for key, text in given.items())] if given else []
        self.log.group(f"Run {spec.uses}", told)
        match name:
            case "actions/checkout":
                await self._checkout()
            case "actions/setup-node":
                self._link("node")
                self.log.line("Found in cache @ /opt/hostedtoolcache/node")
            case "pnpm/action-setup":
                self._link("pnpm")
                self.log.line("Installation Completed!")
            case "supabase/setup-cli":
                paths = os.pathsep.join(path for path in sys.path if path)
                program = f"{shlex.quote(sys.executable)} -m muva_console.drill.github.supabase"
                self._tool("supabase", f'PYTHONPATH={shlex.quote(paths)} exec {program} "$@"')
            case "actions/upload-artifact":
                return self._upload(given), {}
        return "success", {}

    async def _checkout(self) -> None:
        """The commit of the run, by a clone of the repository."""
        words: list[str | Path] = ["git", "-C", self.workspace]
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", TAG: self.estate.id}
        await run_program([*words, "init", "--quiet", "--template="], env=env)
        await run_program([*words, "remote", "add", "origin", self.estate.repository], env=env)
        self.log.line("[command]/usr/bin/git -c protocol.version=2 fetch origin " + self.run.sha)
        await run_program([*words, "fetch", "--quiet", "origin", self.run.branch, self.run.sha], env=env)
        await run_program([*words, "checkout", "--quiet", "--detach", self.run.sha], env=env)
        title = await run_program([*words, "log", "-1", "--format=HEAD is now at %h %s"], env=env)
        self.log.line(title.decode("utf-8", "replace").strip())

    def _upload(self, given: dict[str, str]) -> str:
        """Pack what is below `path`."""
        root = self.workspace / given["path"]
        files = [path for path in ([root] if root.is_file() else sorted(root.rglob("*"))) if path.is_file()]
        if not files:
            self.log.line(f"##[error]No files were found with the provided path: {given['path']}.")
            return "failure"
        number = self.runs.take_id("artifact")
        target = self.runs.artifact(number)
        base = root.parent if root.is_file() else root
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(base))
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        days = int(given.get("retention-days") or _RETENTION_DAYS)
        made = Artifact(
            id=number, name=given.get("name") or "artifact", size=target.stat().st_size,
            digest=f"sha256:{digest}", created_at=now(), expires_at=now() + timedelta(days=days),
        )  # fmt: skip
        with self.runs.change(self.run.id) as run:
            run.artifacts.append(made)
        self.log.line(
            f"Artifact {made.name} has been successfully uploaded! Final size is {made.size} bytes."
        )
        self.log.line(f"SHA256 digest of uploaded artifact zip is {digest}")
        return "success"

    def _link(self, name: str) -> None:
        target = self.tools / name
        if not target.exists():
            target.symlink_to((self.estate.host_home / "bin" / name).resolve())

    def _tool(self, name: str, line: str) -> None:
        file = self.tools / name
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o700)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _pairs(file: Path) -> dict[str, str]:
    """``NAME=VALUE`` a line, or ``NAME<<END`` with the value's lines between. Raises OpsError."""
    found: dict[str, str] = {}
    lines = iter(file.read_text().splitlines())
    for line in lines:
        name, sign, value = line.partition("=")
        if "<<" in name:
            name, _, end = line.partition("<<")
            inner = []
            for each in lines:
                if each == end:
                    break
                inner.append(each)
            found[name] = "\n".join(inner)
        elif sign:
            found[name] = value
        elif line:
            raise OpsError(f"Invalid format '{line}'", where=str(file))
    return found
