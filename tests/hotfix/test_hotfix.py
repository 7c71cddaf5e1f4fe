"""A hotfix from its branch to its back-port, with a GitHub in memory and real repositories."""

from __future__ import annotations

from typing import Any

import pytest

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.acts import message_text
from muva_console.ops.deploys.backport import factory as backport
from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.hotfix_acts import branch_factory, staging_factory
from muva_console.ops.deploys.hotfix_pull import factory as pull
from muva_console.ops.deploys.merge_pull_act import factory as merge
from muva_console.ops.deploys.merging import ConflictError
from muva_console.ops.deploys.request_act import factory as request
from muva_console.ops.errors import OpsError, Refused
from tests.deploys.scene import Scene, act, last, perform
from tests.workshop.team import git

BRANCH = "hotfix/rates-are-empty"
PAGES = b"".join(b"%d\n" % n for n in range(40))


def context(scene: Scene, **more: Any) -> CheckContext:
    made = scene.context(hotfix=BRANCH, **more)
    release = made.going_out()
    release.source_branch, release.commit, release.may_be_gone = BRANCH, "", True
    return made


async def checked(scene: Scene, name: str, **more: Any) -> tuple[str, str]:
    from muva_console.ops.checks import run_checks

    (found,) = await run_checks([name], context(scene, **more), timeout=60)
    return ("pending" if found.pending else found.level.value), found.summary


async def test_a_hotfix_goes_out_and_comes_back_to_every_branch(scene: Scene) -> None:
    hub, main = scene.hub, scene.head("main")
    scene.release = {"reviewers": ("eve-lindqvist",), "labels": ("production", "release")}
    assert await checked(scene, "hotfix-branch") == ("pending", f"there is no {BRANCH} yet")
    assert last(await act(branch_factory(context(scene))))[0] == "done"
    assert scene.head(BRANCH) == main
    with pytest.raises(AlreadyError):
        await branch_factory(context(scene)).plan()
    assert (await checked(scene, "hotfix-change"))[0] == "pending"
    with pytest.raises(OpsError, match="no commit of its own"):
        await pull(context(scene)).plan()

    first = scene.commit(BRANCH, "fix(rates): never empty", {"src/empty.js": b"1\n"})
    second = scene.commit(BRANCH, "fix(rates): nor unknown", {"src/unknown.js": b"1\n"})
    assert await checked(scene, "hotfix-change") == ("ok", "2 lines in 2 files")

    # staging, by a merge; begun again it is there
    assert (await checked(scene, "hotfix-staged"))[0] == "pending"
    assert last(await act(staging_factory(context(scene))))[0] == "done"
    assert (await checked(scene, "hotfix-staged"))[0] == "ok"

    with pytest.raises(Refused, match="is not merged yet"):
        await backport(context(scene, to="dev")).plan()
    assert (await checked(scene, "release-pull"))[0] == "pending"
    operation = pull(context(scene, summary="rates are empty", incident="7"))
    plan = await operation.plan()
    assert "Incident 7." in plan.commands[0].why
    assert last(await perform(operation, plan))[0] == "done"
    number = max(hub.pull_requests)
    assert hub.pull_requests[number].title == "🔥 HOTFIX: rates are empty"
    assert hub.pull_requests[number].base == "main"
    assert last(await act(request(context(scene, labels=["urgent", "hotfix"]))))[0] == "done"
    assert hub.pull_requests[number].labels == ("urgent", "hotfix")
    message = await message_text(context(scene, message="hotfix-review"))
    assert message.splitlines()[:2] == [
        f"🔥 Hotfix waits for its review: #{number} 🔥 HOTFIX: rates are empty",
        "Change: 2 lines in 2 files",
    ]
    assert "Asked: eve-lindqvist" in message
    hub.review(number, "eve-lindqvist")
    assert last(await act(merge(context(scene))))[0] == "done"
    with pytest.raises(OpsError, match="no pull request that waits"):
        await message_text(context(scene, message="hotfix-review"))
    made = scene.head("main")
    assert (await checked(scene, "release-merged"))[0] == "ok"

    # staging has it by the merge; dev gets it picked, with its authors and whence it came
    assert (await checked(scene, "hotfix-backported", to="staging"))[0] == "ok"
    with pytest.raises(AlreadyError):
        await backport(context(scene, to="staging")).plan()
    before = scene.head("dev")
    assert await checked(scene, "hotfix-backported", to="dev") == (
        "pending",
        f"dev lacks 2 commits of {BRANCH}",
    )
    assert last(await act(backport(context(scene, to="dev"))))[0] == "done"
    told = git(scene.team.remote, "log", "--format=%an %s%n%b", f"{before}..dev")
    assert told.index("nor unknown") < told.index("never empty")
    for sha in (first, second):
        assert f"(cherry picked from commit {sha})" in told
    assert (await checked(scene, "hotfix-backported", to="dev"))[0] == "ok"

    # the branch is gone with its merge: what is asked afterwards is answered all the same
    git(scene.team.other, "push", "-q", "origin", "--delete", BRANCH)
    scene.workshop.expire()
    for name, more in (("hotfix-branch", {}), ("release-merged", {}), ("hotfix-backported", {"to": "dev"})):
        assert (await checked(scene, name, **more))[0] == "ok", name
    assert (await context(scene).outgoing()).base == made


async def test_conflicts_are_told_and_nothing_is_left_half_done(scene: Scene) -> None:
    await act(branch_factory(context(scene)))
    easy = scene.commit(BRANCH, "fix: easy", {"src/easy.js": b"1\n"})
    scene.commit(BRANCH, "fix: hard", {"pages.txt": PAGES.replace(b"7\n", b"seven\n", 1)})
    scene.commit("dev", "feat: pages", {"pages.txt": PAGES.replace(b"7\n", b"VII\n", 1)})
    await act(pull(context(scene)))
    number = max(scene.hub.pull_requests)
    scene.hub.review(number, "eve-lindqvist")
    assert last(await act(merge(context(scene))))[0] == "done"
    before = scene.head("dev")
    with pytest.raises(ConflictError, match=f"{BRANCH} cannot be picked onto dev: 1 file is") as error:
        await backport(context(scene, to="dev")).plan()
    told = "\n".join(error.value.lines())
    assert "pages.txt" in told
    assert "dev | VII" in told
    assert f"{BRANCH} | seven" in told
    assert "nothing was picked and nothing was pushed" in told
    assert scene.head("dev") == before

    # one of them is there already, with the same change; the other is resolved by hand, and seen
    git(scene.team.other, "checkout", "-q", "dev")
    git(scene.team.other, "reset", "-q", "--hard", "origin/dev")
    scene.commit("dev", "fix: easy, by hand", {"src/easy.js": b"1\n"})
    (lacking,) = await backport_lacks(scene)
    assert lacking != easy
    scene.commit(
        "dev",
        f"fix: hard\n\n(cherry picked from commit {lacking})",
        {"pages.txt": PAGES.replace(b"7\n", b"seven VII\n", 1)},
    )
    assert (await checked(scene, "hotfix-backported", to="dev"))[0] == "ok"


async def backport_lacks(scene: Scene) -> list[str]:
    from muva_console.ops.deploys.backport import backport_of

    scene.workshop.expire()
    return [one.sha for one in (await backport_of(context(scene, to="dev"))).lacks]


async def test_what_moves_between_plan_and_act_is_told(scene: Scene) -> None:
    await act(branch_factory(context(scene)))
    scene.commit(BRANCH, "fix: one", {"src/one.js": b"1\n"})
    staging, opening = staging_factory(context(scene)), pull(context(scene))
    plans = [await staging.plan(), await opening.plan()]
    scene.commit(BRANCH, "fix: two", {"src/two.js": b"1\n"})
    before = scene.head("staging")
    for operation, plan in zip((staging, opening), plans, strict=True):
        kind, text = last(await perform(operation, plan))
        assert kind == "failed"
        assert "moved since it was planned" in text
    assert scene.head("staging") == before
    assert not scene.hub.pull_requests
