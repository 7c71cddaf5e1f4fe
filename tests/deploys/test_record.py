"""A deployment is written down once for each attempt, whoever asks, and read back for what comes after."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.record_act import factory, read_facts, record, rolled_back
from muva_console.ops.deploys.records import (
    Deployment,
    DeploymentKind,
    Status,
    last_good,
    newest_good,
    read_deployments,
)
from muva_console.ops.errors import OpsError
from muva_console.ops.journal import Journal
from muva_console.ops.links.github_runs import Job, JobStep
from tests.deploys.hub import AT
from tests.deploys.scene import DANA, Scene, act, last
from tests.deploys.test_release import merged, run_of


def job(name: str, conclusion: str, minutes: int = 5, *steps: tuple[str, str]) -> Job:
    return Job(
        id=1, run=7, attempt=1, name=name, status="completed", conclusion=conclusion, started_at=AT,
        completed_at=AT + timedelta(minutes=minutes), runner="", url="",
        steps=tuple(
            JobStep(number=n, name=step, status="completed", conclusion=end, started_at=AT, completed_at=AT)
            for n, (step, end) in enumerate(steps, 1)
        ),
    )  # fmt: skip


def ended(scene: Scene, conclusion: str = "success", **more: Any) -> str:
    sha = scene.head("main")
    late = AT + timedelta(days=3)  # somebody deleted its logs
    scene.hub.all_runs = [
        run_of(sha, status="completed", conclusion=conclusion, updated_at=late, **more),
    ]
    scene.hub.all_jobs[7] = (job("Deploy", conclusion),)
    return sha


async def test_a_deployment_is_recorded_once(scene: Scene) -> None:
    level, summary = await scene.checked("deploy-recorded")
    assert level == "unknown" and "not yet: no workflow ran for" in summary
    number = await merged(scene)
    sha = scene.head("main")
    scene.hub.all_runs = [run_of(sha, status="in_progress")]
    assert (await scene.checked("deploy-recorded")) == ("unknown", "not yet: run 7 is in_progress")
    with pytest.raises(OpsError, match="nothing to record yet"):
        await factory(scene.context()).plan()
    ended(scene)
    assert (await scene.checked("deploy-recorded"))[0] == "pending"
    assert last(await act(factory(scene.context())))[0] == "done"
    (found,) = await read_deployments(scene.journal, "production")
    told = structs.replace(found, entry=0)
    assert told == Deployment(
        id="production/run/7/1", environment="production", started=AT, finished=AT + timedelta(minutes=5),
        duration=300.0, commit=sha, branch="main", version="1.4.3", status=Status.SUCCESS, run=7, attempt=1,
        pull=number, url="https://github.com/r/7", by="dana",
    )  # fmt: skip
    level, summary = await scene.checked("deploy-recorded")
    assert level == "ok" and "success, planned" in summary and "in 5m 0s" in summary
    with pytest.raises(AlreadyError):
        await factory(scene.context()).plan()


async def test_two_consoles_that_record_at_once_write_it_once(scene: Scene) -> None:
    ended(scene)
    eve = structs.replace(DANA, name="eve", account="eve")
    other = Journal(scene.folder / "journal", eve, redact=lambda text: text)
    try:
        facts = await read_facts(scene.context())
        assert facts.deployment is not None
        theirs = scene.context()
        assert theirs.release is not None
        theirs.release.journal = other
        ctx = scene.context()
        outcomes = await asyncio.gather(*(record(one, facts.deployment) for one in (ctx, theirs) * 4))
        assert len({entry for entry, _ in outcomes}) == 1 and sum(first for _, first in outcomes) == 1
        assert len(await read_deployments(other)) == 1
    finally:
        await other.close()


async def test_another_attempt_is_another_record(scene: Scene) -> None:
    sha = ended(scene, "failure")
    await act(factory(scene.context()))
    assert (await last_good(scene.journal, "production")) is None
    ended(scene, "success", attempt=2)
    assert (await scene.checked("deploy-recorded"))[0] == "pending"
    await act(factory(scene.context()))
    good = await last_good(scene.journal, "production")
    assert good is not None and (good.commit, good.attempt) == (sha, 2)


async def test_an_automatic_rollback_is_told_from_a_failure(scene: Scene) -> None:
    ended(scene, "failure")
    scene.hub.all_jobs[7] = (job("Run health checks", "failure"), job("Rollback on failure", "success", 9))
    await act(factory(scene.context()))
    (found,) = await read_deployments(scene.journal, "production")
    assert (found.status, found.live, found.duration) == (Status.ROLLBACK, True, 540.0)


def test_what_a_rollback_looks_like() -> None:
    assert rolled_back([job("deploy", "failure", 5, ("Roll back", "success"))])
    assert not rolled_back([job("deploy", "failure", 5, ("Rollback on failure", "skipped"))])
    assert not rolled_back([job("deploy", "failure", 5, ("Back up for a rollback", "success"))])


async def test_a_hotfix_is_known_by_its_branch_or_said(scene: Scene) -> None:
    scene.commit("staging", "fix: now", {"now.txt": b"1"})
    scene.team.push("origin", "origin/staging:refs/heads/hotfix/now")
    number = scene.hub.add("hotfix/now", "main", "now")
    scene.hub.merge_by_hand(number)
    ended(scene)
    facts = await read_facts(scene.context())
    assert facts.deployment is not None and facts.deployment.kind is DeploymentKind.HOTFIX
    facts = await read_facts(scene.context(kind="planned", incident="INC-7"))
    assert facts.deployment is not None
    assert (facts.deployment.kind, facts.deployment.incident) == (DeploymentKind.PLANNED, "INC-7")


def made(commit: str, status: Status, **more: Any) -> Deployment:
    return Deployment(
        id=commit, environment="production", commit=commit * 40, branch="main", status=status, **more
    )


def test_the_last_good_release_is_none_that_was_taken_back() -> None:
    good, failed = Status.SUCCESS, Status.FAILED
    a, b, c = made("a", good), made("b", good), made("c", failed)
    assert newest_good([a, b, c]) == b and newest_good([a, b, c], before="b" * 40) == a
    assert newest_good([a, b, made("b", Status.ROLLBACK)]) == a
    assert newest_good([a, b, made("a", good, rolls_back="b" * 40)]) != b
    assert newest_good([c, made("c", good)]) == made("c", good), "a re-run that mended it"
    assert newest_good([]) is None


async def test_entries_of_a_newer_console_are_passed_over(scene: Scene) -> None:
    from muva_console.ops.journal.model import Draft

    await scene.journal.append(Draft(kind="deployment", subject="x", data={"status": "levitated"}))
    assert await read_deployments(scene.journal) == ()
