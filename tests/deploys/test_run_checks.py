"""The checks of a run: how it stands in words, and what it says held against what is so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from muva_console.ops.links.github_model import Account
from muva_console.ops.links.github_runs import Job, JobStep, PendingDeployment, WorkflowRun
from tests.deploys.scene import Scene

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def run_at(sha: str, **more: object) -> WorkflowRun:
    made = WorkflowRun(
        id=7, number=3, attempt=1, workflow="Deploy to staging", path=".github/workflows/deploy-staging.yml",
        branch="staging", sha=sha, event="push", title="t", actor=Account(login="dana-castillo"),
        status="completed", conclusion="success", created_at=AT, started_at=AT,
        updated_at=AT + timedelta(seconds=90), url="https://github.test/7",
    )  # fmt: skip
    return replace(made, **more)


def job(name: str, conclusion: str, *steps: tuple[str, str]) -> Job:
    at = AT + timedelta(seconds=60)
    return Job(
        id=1, run=7, attempt=1, name=name, status="completed" if conclusion else "in_progress",
        conclusion=conclusion, started_at=AT, completed_at=at if conclusion else None, runner="r", url="",
        steps=tuple(
            JobStep(number=number, name=step, status="completed" if end else "in_progress", conclusion=end,
                    started_at=AT, completed_at=at if end else None)
            for number, (step, end) in enumerate(steps, 1)
        ),
    )  # fmt: skip


async def test_none_yet_says_what_there_is_instead(scene: Scene) -> None:
    scene.hub.all_runs = [run_at("f" * 40)]
    found = await scene.check("workflow-run", "staging")
    assert (found.level.value, found.pending) == ("unknown", False)
    assert "no workflow runs for" in found.summary
    assert any(f"#3 of {'f' * 7}" in line for line in found.evidence)
    assert "on: push" in found.next


@pytest.mark.parametrize(
    ("conclusion", "jobs", "level", "said"),
    [
        ("success", (job("Deploy", "success"),), "ok", "succeeded in 1m 30s"),
        ("failure", (job("Deploy", "failure", ("Build", "failure")),), "fail", "failed at Build of Deploy"),
        ("failure", (job("Health", "failure"), job("Rollback on failure", "success")), "fail",
         "brought the release before back"),
        ("cancelled", (job("Deploy", "cancelled"),), "fail", "was cancelled"),
        ("timed_out", (job("Deploy", "timed_out"),), "fail", "took too long"),
        ("startup_failure", (), "fail", "failed at its start"),
        ("", (), "fail", "GitHub does not say how"),
    ],
)  # fmt: skip
async def test_an_end_is_said_as_what_it_is(
    scene: Scene, conclusion: str, jobs: tuple[Job, ...], level: str, said: str
) -> None:
    scene.hub.all_runs = [run_at(scene.head("staging"), conclusion=conclusion)]
    scene.hub.all_jobs[7] = jobs
    found = await scene.check("workflow-run", "staging")
    assert found.level.value == level
    assert said in found.summary
    assert "muva runs log 7" in found.next or level == "ok"


async def test_what_goes_on_is_unknown_and_says_where_it_is(scene: Scene) -> None:
    going = run_at(scene.head("staging"), status="in_progress", conclusion="")
    scene.hub.all_runs = [going]
    scene.hub.all_jobs[7] = (job("Deploy", "", ("Install", "success"), ("Build", "")),)
    assert await scene.checked("workflow-run", "staging") == (
        "unknown", "Deploy to staging #3 is at Build of Deploy",
    )  # fmt: skip
    assert (await scene.checked("run-crosscheck", "staging"))[0] == "unknown"
    scene.hub.all_runs = [replace(going, status="waiting")]
    scene.hub.waiting[7] = [
        PendingDeployment(environment_id=1, environment="staging", can_approve=False,
                          reviewers=("eve-lindqvist",), waiting_since=None)
    ]  # fmt: skip
    level, summary = await scene.checked("workflow-run", "staging")
    assert (level, "for approval of staging by eve-lindqvist; you may not" in summary) == ("unknown", True)
