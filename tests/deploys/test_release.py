"""A release from its branch to its notes, with a GitHub in memory and real repositories."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from muva_console.ops.deploys.approval_acts import approve_factory, reject_factory
from muva_console.ops.deploys.branch_act import factory as branch
from muva_console.ops.deploys.close_act import factory as close
from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.merge_pull_act import factory as merge
from muva_console.ops.deploys.merging import ConflictError
from muva_console.ops.deploys.publish_act import factory as publish
from muva_console.ops.deploys.pull_act import factory as pull
from muva_console.ops.deploys.request_act import factory as request
from muva_console.ops.deploys.review_acts import factory as approve
from muva_console.ops.errors import Fault, OpsError, Refused
from muva_console.ops.links.github_model import Account, Unsure
from muva_console.ops.links.github_runs import Check, Checks, PendingDeployment, WorkflowRun
from tests.deploys.hub import AT, Issue, declined
from tests.deploys.scene import PACKAGE, Scene, act, last, perform
from tests.workshop.team import git

STEPS = (
    "release-branch", "release-pull", "release-requested", "release-approved", "release-merged",
    "release-published", "issues-closed",
)  # fmt: skip


def run_of(sha: str, **more: Any) -> WorkflowRun:
    told: dict[str, Any] = {
        "id": 7, "number": 1, "attempt": 1, "workflow": "Deploy to production",
        "path": ".github/workflows/deploy-production.yml", "branch": "main", "sha": sha, "event": "push",
        "title": "Release", "actor": Account(login="eve-lindqvist"), "status": "waiting", "conclusion": "",
        "created_at": AT, "started_at": AT, "updated_at": AT, "url": "https://github.com/r/7",
    }  # fmt: skip
    return WorkflowRun(**{**told, **more})


async def opened(scene: Scene) -> int:
    """A release with its branch and its pull request."""
    assert last(await act(branch(scene.context())))[0] == "done"
    assert last(await act(pull(scene.context())))[0] == "done"
    return max(scene.hub.pull_requests)


async def merged(scene: Scene) -> int:
    number = await opened(scene)
    scene.hub.review(number, "eve-lindqvist")
    assert last(await act(merge(scene.context())))[0] == "done"
    return number


async def test_a_release_goes_all_the_way_and_no_step_twice(scene: Scene) -> None:
    scene.release = {"reviewers": ("eve-lindqvist", "dana-castillo"), "labels": ("production", "release")}
    hub, main = scene.hub, scene.head("main")
    hub.issues = {12: Issue(True, "Reviews"), 99: Issue(True, "Other")}
    scene.commit("staging", "fix: rates\n\nFixes #12, closes someone/else#99", {"rates.txt": b"1"})
    staging = scene.head("staging")
    assert await scene.checked("release-branch") == ("pending", "there is no prod/v1.4.3 yet")
    plan = await branch(scene.context()).plan()
    assert [one.line for one in plan.commands] == [
        "git fetch origin", "git switch -c prod/v1.4.3 origin/main", "git merge staging",
        "git commit -m 'chore(release): v1.4.3' package.json", "git push origin prod/v1.4.3",
    ]  # fmt: skip
    operation = branch(scene.context())
    assert last(await act(operation))[0] == "done"
    head = scene.head("prod/v1.4.3")
    assert git(scene.team.remote, "show", f"{head}:package.json").encode() + b"\n" == PACKAGE.replace(
        b'"1.4.2"', b'"1.4.3"'
    )
    assert git(scene.team.remote, "show", "--format=%an", "--name-only", head).split() == [
        "Dana",
        "Castillo",
        "package.json",
    ]
    assert (await scene.checked("release-branch"))[0] == "ok"

    assert await scene.checked("release-pull") == ("pending", "prod/v1.4.3 has no pull request yet")
    assert last(await act(pull(scene.context())))[0] == "done"
    number = max(hub.pull_requests)
    assert hub.pull_requests[number].title == "Production Release v1.4.3"
    assert (await scene.checked("release-pull"))[0] == "ok"

    level, summary = await scene.checked("release-requested")
    assert level == "pending" and "eve-lindqvist not asked; without the label production, release" in summary
    assert last(await act(request(scene.context())))[0] == "done"
    asked = hub.pull_requests[number]
    assert (asked.requested, asked.labels) == (("eve-lindqvist",), ("production", "release"))
    assert (await scene.checked("release-requested"))[0] == "ok"

    level, summary = await scene.checked("release-approved")
    assert level == "pending" and "nobody approved it" in summary
    with pytest.raises(Refused, match="is dana-castillo's own") as refused:
        await approve(scene.context()).plan()
    assert refused.value.means == "eve-lindqvist was asked"
    with pytest.raises(Refused, match="is not approved"):
        await merge(scene.context()).plan()
    hub.user = "eve-lindqvist"
    assert last(await act(approve(scene.context())))[0] == "done"
    assert (await scene.checked("release-approved"))[0] == "ok"
    assert (await scene.checked("release-requested"))[0] == "ok", "who has reviewed was asked"

    hub.user = "dana-castillo"
    assert (await scene.checked("release-merged"))[0] == "pending"
    plan = await merge(scene.context()).plan()
    assert plan.production and plan.target == "branch main"
    assert last(await act(merge(scene.context())))[0] == "done"
    made = scene.head("main")
    assert git(scene.team.remote, "rev-parse", f"{made}^1", f"{made}^2").split() == [main, head]

    assert await scene.checked("release-published") == ("pending", "v1.4.3 has no release on GitHub yet")
    assert last(await act(publish(scene.context())))[0] == "done"
    assert hub.released["v1.4.3"][1] == made and git(scene.team.remote, "rev-parse", "v1.4.3") == made
    notes = hub.released["v1.4.3"][2]
    assert "**Fixes**" in notes and "rates" in notes and "Closes #12." in notes

    assert await scene.checked("issues-closed") == ("pending", "1 issue still open: #12")
    assert last(await act(close(scene.context())))[0] == "done"
    assert not hub.issues[12].open and hub.issues[99].open
    assert hub.comments[12] == [f"Deployed to production with v1.4.3 ({made[:12]})."]

    assert [(await scene.checked(name))[0] for name in STEPS] == ["ok"] * len(STEPS)
    for factory in (branch, pull, request, approve, merge, publish, close):
        with pytest.raises(AlreadyError):
            await factory(scene.context()).plan()
    assert scene.head("staging") == staging and scene.head("main") == made
    done = [call[0] for call in hub.calls]
    assert sorted(done) == sorted(
        ["open_pull", "request_reviewers", "add_labels", "approve", "merge", "create_release", "close_issue"]
    )


@pytest.mark.parametrize(
    ("answer", "before"),
    [
        ("open_pull", branch),
        ("approve", None),
        ("merge", None),
        ("create_release", None),
        ("close_issue", None),
    ],
)
async def test_an_answer_that_is_lost_is_looked_for_and_nothing_sent_twice(
    scene: Scene, answer: str, before: Any
) -> None:
    scene.hub.issues = {12: Issue(True, "Reviews")}
    scene.commit("staging", "fix: x (closes #12)", {"x.txt": b"1"})
    factory = {
        "open_pull": pull,
        "approve": approve,
        "merge": merge,
        "create_release": publish,
        "close_issue": close,
    }[answer]
    if answer == "open_pull":
        await act(branch(scene.context()))
    elif answer in ("approve", "merge"):
        number = await opened(scene)
        if answer == "merge":
            scene.hub.review(number, "eve-lindqvist")
        else:
            scene.hub.user = "oskar-weiss"
    else:
        await merged(scene)
    scene.hub.lost = {answer}
    events = await act(factory(scene.context()))
    assert last(events)[0] == "done" and any(event.text.endswith("the answer was lost") for event in events)
    with pytest.raises(AlreadyError):
        await factory(scene.context()).plan()
    assert scene.hub.changes(answer) == 1


async def test_what_others_did_between_plan_and_act_is_not_done_again(scene: Scene) -> None:
    await act(branch(scene.context()))
    operation = pull(scene.context())
    plan = await operation.plan()
    scene.hub.add("prod/v1.4.3", "main", "by gh")
    assert last(await perform(operation, plan)) == (
        "done",
        "it has happened meanwhile: nothing was done again",
    )
    number = max(scene.hub.pull_requests)
    scene.hub.review(number, "oskar-weiss")
    merging = merge(scene.context())
    plan = await merging.plan()
    theirs = scene.hub.merge_by_hand(number)
    assert last(await perform(merging, plan))[0] == "done"
    assert scene.head("main") == theirs and scene.hub.changes("merge") == scene.hub.changes("open_pull") == 0
    assert (await scene.checked("release-merged"))[0] == "ok"


async def test_a_race_for_the_pull_request_is_lost_quietly(scene: Scene) -> None:
    """Somebody opens it in the very moment between our look and our request."""
    await act(branch(scene.context()))
    operation = pull(scene.context())
    plan = await operation.plan()
    scene.hub.before["open_pull"] = lambda: scene.hub.add("prod/v1.4.3", "main", "by gh")
    assert last(await perform(operation, plan))[0] == "done"
    assert len(scene.hub.pull_requests) == 1


async def test_an_open_pull_request_decides_which_release_it_is(scene: Scene) -> None:
    git(scene.team.other, "fetch", "-q")
    git(scene.team.other, "push", "-q", "origin", "origin/staging:refs/heads/prod/v2.0.0")
    found = await scene.check("release-pull", version="v1.9.0")
    assert found.summary == "prod/v1.9.0 has no branch yet, and no pull request"
    found = await scene.check("release-pull")
    assert found.summary == "prod/v2.0.0 has no pull request yet", "a branch that is there is gone on with"
    number = scene.hub.add("prod/v2.0.0", "main", "by hand")
    found = await scene.check("release-pull", version="v1.9.0")
    assert found.summary == f"#{number} is open, opened by eve-lindqvist"
    assert "v1.9.0 was asked for" in found.evidence


async def test_a_version_that_is_asked_for(scene: Scene) -> None:
    assert (await scene.checked("release-branch", version="1.5.0"))[1] == "there is no prod/v1.5.0 yet"
    level, summary = await scene.checked("release-branch", version="v1.4.2")
    assert level == "unknown" and "v1.4.2 is not greater than v1.4.2" in summary
    level, summary = await scene.checked("release-branch", version="tomorrow")
    assert level == "unknown" and '"tomorrow" is no version of a release' in summary
    git(scene.team.remote, "tag", "-a", "-m", "t", "v1.9.0", "main")
    level, summary = await scene.checked("release-branch", version="v1.5.0")
    assert level == "unknown" and "not greater than v1.9.0" in summary
    assert (await scene.checked("release-branch"))[1] == "there is no prod/v1.9.1 yet"


async def test_a_release_stays_in_hand_until_it_is_recorded(scene: Scene) -> None:
    """Others go on merging to staging while production deploys: its steps do not begin anew."""
    await merged(scene)
    scene.commit("staging", "feat: the next thing", {"next.txt": b"1"})
    assert (await scene.checked("release-merged"))[0] == "ok"
    assert (await scene.checked("release-published"))[0] == "pending"
    assert (await scene.checked("release-merged", version="v1.4.3"))[0] == "ok"


async def test_a_squashed_pull_request_is_merged_too(scene: Scene) -> None:
    number = await opened(scene)
    scene.hub.review(number, "eve-lindqvist")
    scene.hub.merge_by_hand(number, squash=True)
    assert (await scene.checked("release-merged", version="v1.4.3"))[0] == "ok"
    with pytest.raises(AlreadyError):
        await merge(scene.context(version="v1.4.3")).plan()


async def test_a_head_that_moved_is_not_merged_nor_approved(scene: Scene) -> None:
    number = await opened(scene)
    scene.hub.review(number, "eve-lindqvist")
    operation = merge(scene.context())
    plan = await operation.plan()
    main = scene.head("main")
    scene.hub.before["merge"] = lambda: scene.commit("prod/v1.4.3", "more", {"more.txt": b"1"})
    kind, text = last(await perform(operation, plan))
    assert kind == "failed" and "Head branch was modified" in text and scene.head("main") == main
    level, summary = await scene.checked("release-approved")
    assert level == "pending" and "eve-lindqvist approved it before it came to" in summary
    with pytest.raises(Refused, match="is not approved"):
        await merge(scene.context()).plan()


async def test_changes_that_are_asked_for_stand_against_it(scene: Scene) -> None:
    number = await opened(scene)
    scene.hub.review(number, "oskar-weiss", "CHANGES_REQUESTED")
    assert await scene.checked("release-approved") == ("fail", f"#{number}: oskar-weiss asked for changes")


@pytest.mark.parametrize(
    ("status", "conclusion", "word"),
    [("completed", "failure", "are not well: build"), ("in_progress", "", "have not ended: build")],
)
async def test_checks_that_are_not_well_hold_the_merge(
    scene: Scene, status: str, conclusion: str, word: str
) -> None:
    number = await opened(scene)
    scene.hub.review(number, "eve-lindqvist")
    sha = scene.hub.pull_requests[number].head_sha
    one = Check(name="build", status=status, conclusion=conclusion, url="")
    scene.hub.found[sha] = Checks(ref=sha, checks=(one,))
    with pytest.raises(Refused, match=word):
        await merge(scene.context()).plan()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"draft": True}, "is a draft"), ({"mergeable": False}, "in conflict"),
    ],
)  # fmt: skip
async def test_a_pull_request_that_cannot_be_merged(scene: Scene, change: dict[str, Any], word: str) -> None:
    number = await opened(scene)
    scene.hub.review(number, "eve-lindqvist")
    scene.hub.pull_requests[number] = replace(scene.hub.pull_requests[number], **change)
    with pytest.raises((Refused, OpsError), match=word):
        await merge(scene.context(version="v1.4.3")).plan()


async def test_a_merge_that_is_refused_tells_what_is_true(scene: Scene) -> None:
    number = await opened(scene)
    scene.hub.review(number, "eve-lindqvist")
    scene.hub.refuse["merge"] = declined(405, "2 reviews are required")
    main = scene.head("main")
    kind, text = last(await act(merge(scene.context())))
    assert kind == "failed" and "2 reviews are required" in text and scene.head("main") == main


async def test_reviewers_that_do_not_exist_are_named_and_the_others_asked(scene: Scene) -> None:
    scene.release = {"reviewers": ("lead-dev", "eve-lindqvist")}
    number = await opened(scene)
    kind, text = last(await act(request(scene.context())))
    assert kind == "failed" and "GitHub does not ask lead-dev for a review" in text
    asked = scene.hub.pull_requests[number]
    assert asked.requested == ("eve-lindqvist",) and asked.labels == ("production", "release")
    level, summary = await scene.checked("release-requested")
    assert level == "pending" and summary == f"#{number}: lead-dev not asked"


async def test_nobody_is_configured_to_review(scene: Scene) -> None:
    scene.release = {"labels": ()}
    await opened(scene)
    found = await scene.check("release-requested")
    assert found.unconfigured and not found.pending


async def test_a_conflict_of_staging_and_main_is_told_before_anything(scene: Scene) -> None:
    scene.commit("main", "hotfix", {"src/rates.js": b"hot\n"})
    with pytest.raises(ConflictError) as caught:
        await branch(scene.context()).plan()
    assert [one.path for one in caught.value.conflicts] == ["src/rates.js"]
    assert caught.value.target == "prod/v1.4.3"
    assert "prod/v1.4.3" not in git(scene.team.remote, "for-each-ref")


async def test_a_commit_the_run_was_begun_for_is_brought_into_an_older_branch(scene: Scene) -> None:
    await opened(scene)
    newer = scene.commit("staging", "fix: more", {"more.txt": b"1"})
    assert (await scene.checked("release-branch"))[0] == "warn"
    level, summary = await scene.checked("release-branch", commit=newer)
    assert level == "pending" and summary == f"prod/v1.4.3 lacks {newer[:7]} of staging"
    operation = branch(scene.context(commit=newer))
    plan = await operation.plan()
    assert any("approved no more" in risk for risk in plan.risks)
    assert last(await perform(operation, plan))[0] == "done"
    assert (await scene.checked("release-branch", commit=newer))[0] == "ok"


async def test_a_tag_at_another_commit_is_not_moved(scene: Scene) -> None:
    await merged(scene)
    git(scene.team.remote, "tag", "v1.4.3", "staging")
    level, summary = await scene.checked("release-published")
    # the tag is the greatest version by now, and the release is still the one that is merged
    assert level == "fail" and "the tag v1.4.3 is at" in summary
    with pytest.raises(Refused):
        await publish(scene.context()).plan()
    assert scene.hub.changes("create_release") == 0


async def test_an_issue_that_is_not_there_is_told(scene: Scene) -> None:
    scene.commit("staging", "fix: y (fixes #404)", {"y.txt": b"1"})
    await merged(scene)
    found = await scene.check("issues-closed")
    assert found.level.value == "warn" and "there is no issue #404" in json.dumps(found.evidence)


# --- the environment's guard


def guarded(scene: Scene, *, may: bool = True) -> str:
    sha = scene.head("main")
    scene.hub.all_runs = [run_of(sha)]
    scene.hub.waiting[7] = [
        PendingDeployment(
            environment_id=3, environment="production", can_approve=may,
            reviewers=("eve-lindqvist", "oskar-weiss"), waiting_since=None,
        )
    ]  # fmt: skip
    return sha


async def test_a_deployment_is_approved_once(scene: Scene) -> None:
    level, summary = await scene.checked("deploy-approved")
    assert level == "unknown" and summary.startswith("no workflow runs for")
    guarded(scene)
    level, summary = await scene.checked("deploy-approved")
    assert level == "pending"
    assert summary == "run 7 waits for the approval of production: eve-lindqvist, oskar-weiss; you may"
    operation = approve_factory(scene.context(comment='looks "fine"'))
    plan = await operation.plan()
    assert plan.production
    scene.hub.lost = {"decide"}
    assert last(await perform(operation, plan))[0] == "done"
    assert scene.hub.calls[-1] == ("decide", 7, True, "looks 'fine'")
    scene.hub.all_runs = [run_of(scene.head("main"), status="in_progress")]
    assert await scene.checked("deploy-approved") == (
        "ok", "run 7 was approved by dana-castillo: looks 'fine'",
    )  # fmt: skip
    with pytest.raises(AlreadyError):
        await approve_factory(scene.context()).plan()
    assert scene.hub.changes("decide") == 1


async def test_a_rejection_needs_its_reason_and_is_a_failure(scene: Scene) -> None:
    guarded(scene)
    with pytest.raises(Refused, match="needs its reason"):
        await reject_factory(scene.context()).plan()
    assert last(await act(reject_factory(scene.context(comment="not on a Friday"))))[0] == "done"
    scene.hub.all_runs = [run_of(scene.head("main"), status="completed", conclusion="failure")]
    level, summary = await scene.checked("deploy-approved")
    assert (level, summary) == ("fail", "run 7 was rejected by dana-castillo: not on a Friday")
    # another attempt: what was said of the one before says nothing of it
    scene.hub.all_runs = [run_of(scene.head("main"), attempt=2, status="queued")]
    assert (await scene.checked("deploy-approved"))[0] == "unknown"
    # it waits anew, and goes on once it is approved
    guarded(scene)
    assert (await scene.checked("deploy-approved"))[0] == "pending"
    await act(approve_factory(scene.context()))
    scene.hub.all_runs = [run_of(scene.head("main"), attempt=2, status="in_progress")]
    assert (await scene.checked("deploy-approved"))[0] == "ok"


async def test_a_lost_answer_is_no_decision_of_mine(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits any more, because somebody cancelled the run meanwhile."""
    guarded(scene)
    operation = approve_factory(scene.context())
    plan = await operation.plan()

    async def cancelled(*_: object, **__: object) -> None:
        scene.hub.waiting.clear()
        raise Unsure(Fault.CLOSED, "the answer was lost", where="GitHub")

    monkeypatch.setattr(scene.hub.actions, "decide", cancelled)
    kind, said = last(await perform(operation, plan))
    assert kind == "failed" and "not known that you were the one" in said


async def test_who_may_not_decide_is_told_who_may(scene: Scene) -> None:
    guarded(scene, may=False)
    found = await scene.check("deploy-approved")
    assert found.pending and "you may not" in found.summary
    with pytest.raises(Refused, match="dana-castillo may not decide on production") as caught:
        await approve_factory(scene.context()).plan()
    assert "eve-lindqvist, oskar-weiss" in caught.value.means


async def test_a_run_without_a_guard_needs_no_approval(scene: Scene) -> None:
    sha = scene.head("main")
    scene.hub.all_runs = [run_of(sha, status="queued")]
    assert (await scene.checked("deploy-approved"))[0] == "unknown"
    scene.hub.all_runs = [run_of(sha, status="in_progress")]
    level, said = await scene.checked("deploy-approved")
    assert level == "unknown" and "has not asked for an approval" in said, "a later job may ask for one"
    scene.hub.all_runs = [replace(run_of(sha, status="completed"), conclusion="success")]
    assert await scene.checked("deploy-approved") == ("ok", "run 7 did not have to be approved")
