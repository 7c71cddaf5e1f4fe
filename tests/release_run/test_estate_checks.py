"""The checks of this folder on an estate: all well on a healthy one, and each fault fails its own check."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from muva_console.config.types import Seconds
from muva_console.drill.state import Estate
from muva_console.ops.checks import CheckContext, run_checks
from muva_console.ops.readings import Finding, Level, worst
from muva_console.ops.release.context import Release
from tests.hostility.parts import frozen, opened, reconfigured
from tests.patience import HANG

BEFORE = ("staging-validated", "deployment-window", "on-call")
AFTER = ("commit-served", "process-stable", "response-time", "user-flows", "error-patterns", "new-errors")


@asynccontextmanager
async def contexts(config: Path, folder: Path) -> AsyncIterator[dict[str, CheckContext]]:
    """Production's and staging's context of one release each, as a walk hands them out."""
    async with opened(config) as workspace:
        workspace.__dict__["cache"] = folder / "cache"
        made = {name: of.context() for name, of in workspace.environments.items()}
        for name, source in (("production", "staging"), ("staging", "dev")):
            made[name].release = Release(
                source_branch=made[source].environment.branch,
                target_branch=made[name].environment.branch,
                repository=workspace.workshop,
                journal=workspace.journal,
                secret=workspace.secret,
                source=made[source],
            )
            made[name].parameters = {"stable_for": "0s"}
        yield made


async def sense(ctx: CheckContext, *names: str) -> dict[str, Finding]:
    """The worst finding of each check."""
    findings = await run_checks(names, ctx, 40)
    told: dict[str, Finding] = {}
    for finding in findings:
        known = told.get(finding.check, finding)
        told[finding.check] = finding if worst((finding.level, known.level)) is not known.level else known
    return told


def bad(told: dict[str, Finding]) -> dict[str, Level]:
    return {name: finding.level for name, finding in told.items() if finding.level is not Level.OK}


async def test_a_healthy_estate_passes_everything(estate: Estate, tmp_path: Path) -> None:
    async with contexts(estate.config, tmp_path) as made:
        production = await sense(made["production"], *BEFORE, *AFTER)
        staging = await sense(made["staging"], *AFTER)
    assert not bad(production), production
    assert not bad(staging), staging
    assert production["staging-validated"].summary.startswith("healthy 20 of 20, serving ")
    assert production["commit-served"].summary.endswith(", as main and vps")
    assert production["deployment-window"].summary == "inside the window, for more than a year"


async def test_a_commit_that_is_not_deployed_and_a_flow_without_its_text_fail_alone(
    estate: Estate, tmp_path: Path
) -> None:
    """On copies of the repository and the configuration: the estate itself is looked at only."""
    bare, checkout = tmp_path / "copy.git", tmp_path / "checkout"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "advice.detachedHead=false"]

    def run(*words: str | Path, cwd: Path = tmp_path) -> None:
        subprocess.run([*git, *words], cwd=cwd, check=True, timeout=30, capture_output=True)

    run("clone", "-q", "--mirror", estate.repository, bare)
    run("clone", "-q", "-b", "staging", bare, checkout)
    run("commit", "-q", "--allow-empty", "-m", "Not deployed yet", cwd=checkout)
    run("push", "-q", "origin", "staging", cwd=checkout)

    def change(document: dict[str, Any]) -> None:
        document["project"]["checkout"] = str(checkout)
        document["environments"]["production"]["flows"]["rates"]["contains"] = "No such room"

    async with contexts(reconfigured(estate, tmp_path / "muva.toml", change), tmp_path) as made:
        production = await sense(made["production"], *BEFORE, *AFTER)
        staging = await sense(made["staging"], *AFTER)
    assert bad(production) == {"staging-validated": Level.FAIL, "user-flows": Level.FAIL}
    assert "(1 commit behind " in production["staging-validated"].summary
    assert 'without "No such room": a page "Rates · MUVA Chat"' in production["user-flows"].summary
    assert bad(staging) == {"commit-served": Level.FAIL}
    assert "vps has checked out" in staging["commit-served"].summary


async def test_what_breaks_on_the_host_fails_its_own_check(breakable_estate: Estate, tmp_path: Path) -> None:
    site = breakable_estate.sites["production"]
    logs = breakable_estate.pm2_home / "logs"
    error_log = logs / f"{site.process}-error.log"
    kept = {path: path.read_bytes() for path in (error_log, logs / f"{site.process}-out.log")}
    for path in kept:
        path.write_bytes(b"")  # what another test broke here is no concern of this one
    try:
        async with contexts(breakable_estate.config, tmp_path) as made:
            ctx = made["production"]
            listed = {one.name: one for one in (await ctx.processes("vps")).processes}
            pids = {name: one.pid for name, one in listed.items() if one.pid is not None}
            process = listed[site.process]
            assert process.started_at is not None
            began = process.asked_at or process.started_at
            told = await sense(ctx, *AFTER)
            assert bad(told) == {}, told

            write(error_log, began - timedelta(seconds=30), "⨯ Error: from before the start")
            told = await sense(ctx, *AFTER)
            assert bad(told) == {"error-patterns": Level.FAIL}, told

            write(error_log, datetime.now(UTC), "⨯ TypeError: room is undefined")
            told = await sense(ctx, *AFTER)
            assert bad(told) == {"error-patterns": Level.FAIL, "new-errors": Level.FAIL}, told
            error_log.write_bytes(b"")

            source = ctx.release.source if ctx.release is not None else None
            assert source is not None
            impatient = replace(source.config.health, timeout=Seconds(0.3))
            source.config = replace(source.config, health=impatient)
            with frozen(pids["muva-staging"]):
                told = await sense(ctx, *BEFORE)
            assert bad(told) == {"staging-validated": Level.FAIL}, told
            assert told["staging-validated"].summary.startswith("healthy 0 of 20 (no answer")

            os.kill(pids[site.process], signal.SIGKILL)
            told = await sense(ctx, "process-stable")
            async with asyncio.timeout(HANG):
                while "had to restart it once" not in told["process-stable"].summary:
                    await asyncio.sleep(0.05)
                    told = await sense(ctx, "process-stable")
            assert bad(told) == {"process-stable": Level.FAIL}, told
    finally:
        for path, text in kept.items():
            path.write_bytes(text)


def write(log: Path, at: datetime, text: str) -> None:
    with log.open("a") as file:
        file.write(f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} +00:00: {text}\n")
