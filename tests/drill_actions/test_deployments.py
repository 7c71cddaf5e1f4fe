"""The workflows run: what is pushed to staging is live there; what is merged and approved, on production;
what is ill there is rolled back. One test, for a deployment takes its time.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from muva_console.drill import deploy
from muva_console.drill import estate as estates
from muva_console.drill.github import records, runner
from muva_console.drill.github.runs import Run, Runs
from muva_console.drill.state import Estate
from muva_console.drill.sweep import has_tag
from tests.patience import HANG
from tests.workshop.team import git


class Hub:
    """GitHub as its people use it."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.runs = Runs(estate)

    async def __call__(self, login: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {records.token_file(self._estate, login).read_text().strip()}"}
        base = f"{self._estate.github_url}/repos/{records.REPOSITORY}"
        async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=HANG) as client:
            answer = await client.request(method, base + path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def approve(self, run: Run, state: str = "approved") -> None:
        (asked,) = await self("eve-lindqvist", "GET", f"/actions/runs/{run.id}/pending_deployments")
        body = {"environment_ids": [asked["environment"]["id"]], "state": state, "comment": "seen"}
        await self("eve-lindqvist", "POST", f"/actions/runs/{run.id}/pending_deployments", body)

    async def until_waiting(self, branch: str) -> Run:
        async with asyncio.timeout(2 * HANG):
            while True:
                for run in self.runs.list():
                    if (run.branch, run.status) == (branch, "waiting"):
                        return run
                await asyncio.sleep(0.1)

    async def until(self, branch: str, sha: str, *states: str) -> Run:
        ends = time.monotonic() + 2 * HANG
        while True:
            for run in self.runs.list():
                if (run.branch, run.sha) == (branch, sha) and run.status in states:
                    return run
            assert time.monotonic() < ends, [
                (run.branch, run.status, run.problem) for run in self.runs.list()
            ]
            await asyncio.sleep(0.1)


class Gh:
    """GitHub's own command line, with the stand-in as its proxy: it speaks plain HTTP to this one name."""

    HOST = "github.localhost"

    def __init__(self, estate: Estate, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GH_CONFIG_DIR": str(folder / "gh"),
            "GH_HOST": self.HOST,
            "GH_TOKEN": records.token_file(estate, "dana-castillo").read_text().strip(),
            "GH_NO_UPDATE_NOTIFIER": "1",
            "NO_COLOR": "1",
            "http_proxy": estate.github_url,
        }

    async def __call__(self, *words: str) -> str:
        where = ("-R", f"{self.HOST}/{records.REPOSITORY}")
        process = await asyncio.create_subprocess_exec(
            "gh",
            *words,
            *where,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(2 * HANG):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def agrees(self, hub: Hub, run: Run) -> None:
        """What it says of a run that has ended is what is true of it."""
        fields = "databaseId,headSha,status,conclusion,event,headBranch,workflowName"
        listed = json.loads(await self("run", "list", "--json", fields))
        assert [one["databaseId"] for one in listed] == [one.id for one in hub.runs.list()]
        assert listed[0] == {
            "databaseId": run.id,
            "headSha": run.sha,
            "status": run.status,
            "conclusion": run.conclusion,
            "event": run.event,
            "headBranch": run.branch,
            "workflowName": run.name,
        }
        (job,) = run.jobs
        seen = await self("run", "view", str(run.id), "--verbose")
        assert all(f"✓ {step.name}" in seen for step in job.steps), seen
        lines = (await self("run", "view", str(run.id), "--log")).splitlines()
        assert all(line.split("\t")[0] == job.name for line in lines)
        kept = hub.runs.log(job.id).read_text().removeprefix("\ufeff").splitlines()
        assert [line.split("\t", 2)[2] for line in lines if line] == kept


async def serves(estate: Estate, environment: str) -> str:
    _, body, _ = await deploy.get(estate.sites[environment], "/api/health")
    return str(json.loads(body)["commit"])


@pytest.mark.skipif(shutil.which("ssh") is None, reason="the workflows deploy with ssh")
async def test_from_a_push_to_production_and_back(breakable_estate: Estate, tmp_path: Path) -> None:
    estate = breakable_estate
    try:
        await _deploy(estate, Hub(estate), tmp_path / "clone")
        pid = runner.runner_pid(estate)
        assert pid is not None
    finally:
        await estates.down(estate.directory)  # its branches are not as the others expect them
    assert not has_tag(pid, estate.id)


async def _deploy(estate: Estate, hub: Hub, clone: Path) -> None:
    git(clone.parent, "clone", "-q", "--template=", "--branch", "staging", str(estate.repository), str(clone))
    git(clone, "merge", "-q", "--no-edit", "origin/dev")
    staged = git(clone, "rev-parse", "HEAD").strip()
    git(clone, "push", "-q", "origin", "staging")
    gh = Gh(estate, clone.parent) if shutil.which("gh") else None
    begun = await hub.until("staging", staged, "in_progress")
    seen = await gh("run", "watch", str(begun.id), "--exit-status") if gh else ""
    run = await hub.until("staging", staged, "completed")
    if gh:
        assert "✓ Restart PM2 service" in seen and "* Build application" in seen, seen
        await gh.agrees(hub, run)
    (job,) = run.jobs
    log = hub.runs.log(job.id).read_text()
    assert run.conclusion == "success", log
    assert (run.actor, run.event, run.path) == (
        "dana-castillo",
        "push",
        ".github/workflows/deploy-staging.yml",
    )
    assert await serves(estate, "staging") == staged
    assert "Applying migration 20251121100000_add_reviews.sql..." in log
    assert "\x1b[32m✓\x1b[0m tables" in log or "✓" in log
    for secret in (estate.password("muva_staging"), estate.identity.read_text().splitlines()[2]):
        assert secret not in log
    told = (estate.host_home / ".muva/deploy/staging.log").read_text()
    assert told.startswith(f"run {run.id} {staged} ")
    assert "deploy of staging done" in told and "restart of staging done" in told

    body = {"title": "Release", "head": "staging", "base": "main"}
    pull = await hub("dana-castillo", "POST", "/pulls", body)
    await hub("eve-lindqvist", "POST", f"/pulls/{pull['number']}/reviews", {"event": "APPROVE"})
    merged = await hub("dana-castillo", "PUT", f"/pulls/{pull['number']}/merge", {"sha": staged})
    run = await hub.until("main", merged["sha"], "waiting")
    assert await serves(estate, "production") != merged["sha"]
    await hub.approve(run)
    run = await hub.until("main", merged["sha"], "completed")
    assert [job.conclusion for job in run.jobs] == ["success"] * 5 + ["skipped"]
    assert await serves(estate, "production") == merged["sha"]
    (backup,) = run.artifacts
    assert (backup.expires_at - backup.created_at).days == 30
    with zipfile.ZipFile(hub.runs.artifact(backup.id)) as archive:
        (name,) = archive.namelist()
        assert archive.read(name).startswith(b"PGDMP")

    # a release that is ill is rolled back by the workflow itself
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", "-B", "main", "origin/main")
    health = clone / "src/health.js"
    health.write_text(
        health.read_text().replace("public.chat_conversations where", "public.chat_talks where")
    )
    git(clone, "commit", "-qam", "perf(health): ask less")
    ill = git(clone, "rev-parse", "HEAD").strip()
    git(clone, "push", "-q", "origin", "main")
    run = await hub.until("main", ill, "waiting")
    await hub.approve(run)
    run = await hub.until("main", ill, "completed")
    assert [job.conclusion for job in run.jobs] == ["success"] * 4 + ["failure", "success"]
    assert run.conclusion == "failure"
    assert await serves(estate, "production") == merged["sha"]

    # rejected: nothing of it is done; run again for the same commit, then cancelled while it waits
    await hub("dana-castillo", "POST", f"/actions/runs/{run.id}/rerun")
    again = await hub.until("main", ill, "waiting")
    assert (again.attempt, again.triggering) == (2, "dana-castillo")
    await hub.approve(again, "rejected")
    again = await hub.until("main", ill, "completed")
    assert [job.conclusion for job in again.jobs] == ["failure", *["skipped"] * 5]
    await hub("dana-castillo", "POST", f"/actions/runs/{run.id}/rerun")
    await hub.until("main", ill, "waiting")
    await hub("dana-castillo", "POST", f"/actions/runs/{run.id}/cancel")
    assert (await hub.until("main", ill, "completed")).conclusion == "cancelled"
