"""The stand-in's runs, approvals, logs and artifacts: as GitHub describes them, when it would."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from muva_console.drill import repository
from muva_console.drill.github import records
from muva_console.drill.github.app import hub_of, routes
from muva_console.drill.github.runs import Artifact, Job, Run, Runs, Step, now
from muva_console.drill.github.shapes_actions import workflow_id
from muva_console.drill.github.troubles import calm, trouble
from muva_console.drill.state import Estate
from tests.github import description
from tests.github.test_stand_in import Valid, bearing

pytestmark = pytest.mark.xdist_group("github")

PRODUCTION = "deploy-production.yml"
LOG = "2026-01-31T12:00:00.0000000Z ##[group]Run pnpm\n2026-01-31T12:00:01.0000000Z ##[error]no\n"


def a_run(runs: Runs, sha: str, *, failed: bool, waits: bool = False) -> Run:
    at = now()
    job = Job(
        id=runs.take_id("job"), key="deploy", name="Deploy", created_at=at, environment="production",
        status="waiting" if waits else "completed", waits_for_approval=waits,
        conclusion=None if waits else "failure" if failed else "success",
        started_at=None if waits else at, completed_at=None if waits else at,
        runner="" if waits else "GitHub Actions 1",
        steps=[] if waits else [Step(number=1, name="Set up job", status="completed", conclusion="success",
                                     started_at=at, completed_at=at)],
    )  # fmt: skip
    run = Run(
        id=runs.take_id("run"), number=7 if waits else 6, workflow=PRODUCTION, name="Deploy to production",
        branch="main", sha=sha, event="push", title="Release", actor="dana-castillo",
        status="waiting" if waits else "completed", conclusion=job.conclusion, created_at=at, started_at=at,
        updated_at=at, jobs=[job],
    )  # fmt: skip
    runs.keep(run, {} if waits else {job.id: LOG})
    return run


@pytest.fixture
def runs(hub: Estate) -> Iterator[Runs]:
    made = Runs(hub)
    yield made
    for path in (made.directory / "runs").iterdir():
        path.unlink()
    calm(hub)


async def test_every_address_of_actions_answers_as_github_describes(
    hub: Estate, client: httpx.AsyncClient, runs: Runs
) -> None:
    ask = Valid(client)
    sha = await repository.head(hub, "main")
    run = a_run(runs, sha, failed=True)
    # of another commit: the description leaves no room for a check that has not ended
    waiting = a_run(runs, await repository.head(hub, "staging"), failed=False, waits=True)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("production.dump", b"PGDMP")
    with runs.change(run.id) as changed:
        changed.artifacts = [
            Artifact(
                id=runs_id, name="production-backup", size=len(made.getvalue()), created_at=now(),
                digest=f"sha256:{hashlib.sha256(made.getvalue()).hexdigest()}",
                expires_at=now() + timedelta(days=days),
            )
            for runs_id, days in ((77, 30), (78, -1))
        ]  # fmt: skip
    runs.artifact(77).write_bytes(made.getvalue())
    one, job = f"/actions/runs/{run.id}", f"/actions/jobs/{run.jobs[0].id}"

    listed = await ask("GET", "/actions/runs?branch=main&per_page=1")
    assert (listed["total_count"], listed["workflow_runs"][0]["id"]) == (2, waiting.id)
    assert (await ask("GET", "/actions/runs?status=failure"))["total_count"] == 1
    assert (await ask("GET", "/actions/runs?created=>2100-01-01"))["total_count"] == 0
    assert (await ask("GET", f"/actions/workflows/{workflow_id(PRODUCTION)}/runs"))["total_count"] == 2
    assert (await ask("GET", one))["conclusion"] == "failure"
    assert (await ask("GET", f"{one}/jobs"))["jobs"][0]["steps"][0]["name"] == "Set up job"
    await ask("GET", f"{one}/attempts/1/jobs")
    await ask("GET", job)
    await ask("GET", f"{one}/approvals")
    await ask("GET", f"{one}/artifacts")
    assert (await ask("GET", "/actions/artifacts?name=production-backup"))["total_count"] == 2
    await ask("GET", "/actions/artifacts/78/zip", 410)
    (made_one, *_) = await ask("GET", "/deployments?environment=production")
    await ask("GET", f"/deployments/{made_one['id']}/statuses")
    assert (await ask("GET", f"/commits/{sha}/check-runs"))["total_count"] == 1

    # logs and artifacts lie elsewhere, for a minute, and for whoever has the link
    for path in (f"{job}/logs", f"{one}/logs", "/actions/artifacts/77/zip"):
        told = await client.get(path)
        assert (told.status_code, description.mistakes(told)) == (302, [])
        place = told.headers["location"]
        async with httpx.AsyncClient(trust_env=False) as nobody:
            got = await nobody.get(place)
            assert got.status_code == 200
            assert (await nobody.get(place, headers=bearing(hub, "dana-castillo"))).status_code == 400
            assert (await nobody.get(place.replace("sig=", "sig=0"))).status_code == 403
        ask.used.add(("GET", description.operation("get", told.request.url.path)))
        if "artifacts" in path:
            assert got.content == made.getvalue()
        elif path == f"{one}/logs":
            assert sorted(zipfile.ZipFile(io.BytesIO(got.content)).namelist()) == [
                "0_Deploy.txt", "Deploy/1_Set up job.txt",
            ]  # fmt: skip
        else:
            assert got.text == LOG
    assert (await client.get(f"/actions/jobs/{waiting.jobs[0].id}/logs")).status_code == 404

    # approval: not by who started it, not by who has no say, not twice
    pending = f"/actions/runs/{waiting.id}/pending_deployments"
    (asked,) = await ask("GET", pending)
    assert not asked["current_user_can_approve"]
    body = {"environment_ids": [asked["environment"]["id"]], "state": "approved", "comment": "go"}
    assert (await client.post(pending, json=body)).status_code == 422
    assert (await client.post(pending, json=body, headers=bearing(hub, "petra-holm"))).status_code == 403
    await ask("POST", pending, 200, body, bearing(hub, "eve-lindqvist"))
    (said,) = await ask("GET", f"/actions/runs/{waiting.id}/approvals")
    assert (said["state"], said["user"]["login"]) == ("approved", "eve-lindqvist")

    for path in ("cancel", "force-cancel"):
        await ask("POST", f"/actions/runs/{waiting.id}/{path}", 202)
    assert (await client.post(f"{one}/cancel")).status_code == 409
    for path in (f"{one}/rerun", f"{one}/rerun-failed-jobs", f"{job}/rerun"):
        await ask("POST", path, 201)
        runs.keep(run)
    await ask("POST", "/releases", 201, {"tag_name": "v1", "target_commitish": sha, "name": "1"})
    released = (await client.get("/releases/tags/v1")).json()
    assert released["target_commitish"] == sha
    assert (await client.post("/releases", json={"tag_name": "v1"})).status_code == 422

    described = {
        (method, template)
        for route in routes(hub_of(hub))
        for method in (route.methods or set()) - {"HEAD"}
        if (template := _described(method, route.path))
        and ("/actions/" in template or "/deployments" in template or "/releases" in template)
    }
    assert described - ask.used == {("POST", description.operation("post", _path("/dispatches")))}


def _path(end: str) -> str:
    return f"/repos/{records.REPOSITORY}/actions/workflows/1{end}"


def _described(method: str, path: str) -> str:
    """The path as GitHub describes it; "" where the subset does not have it."""
    parts = [
        "1" if part.startswith("{") and not part.startswith("{kind") else "zip" if "{kind" in part else part
        for part in path.split("/")
    ]
    try:
        return description.operation(method.lower(), "/".join(parts))
    except AssertionError:
        return ""


async def test_a_bad_day_is_what_was_asked_for(hub: Estate, client: httpx.AsyncClient, runs: Runs) -> None:
    async def status(**headers: Any) -> int:
        return (await client.get("/pulls/45", headers=headers)).status_code

    trouble(hub, failing=1, status=502, half=1, secondary=1)
    assert await status() == 502
    limited = await client.get("/pulls/45")
    assert (limited.status_code, limited.headers["retry-after"]) == (403, "60")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/pulls/45")
    assert await status() == 200
    with records.store(hub).change() as state:
        state.lacking = {"dana-castillo": ["pull_requests=read"]}
    lacking = await client.get("/pulls/45")
    assert (lacking.status_code, lacking.headers["x-accepted-github-permissions"]) == (
        403, "pull_requests=read",
    )  # fmt: skip
    calm(hub)
    assert await status() == 200
