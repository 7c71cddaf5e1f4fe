"""dev into staging, of real repositories: merged once, told where it cannot be, resumable after any kill."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.merge_act import Merge, factory
from muva_console.ops.deploys.merging import ConflictError
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.links import workshop_changing
from muva_console.ops.links.workshop_changing import Bench, PushError, push_error
from muva_console.ops.operations import EventKind
from tests.deploys.scene import Scene, act, last, perform
from tests.patience import HANG
from tests.workshop.team import git


def untouched(scene: Scene) -> tuple[str, str, str]:
    """What belongs to the engineer."""
    checkout = scene.team.checkout
    return (
        git(checkout, "for-each-ref"),
        git(checkout, "status", "--porcelain"),
        git(checkout, "stash", "list"),
    )


def leftovers(scene: Scene) -> list[str]:
    return [str(one) for one in (scene.folder / "cache").glob("*/trees/*")]


async def test_dev_is_merged_into_staging_once(scene: Scene) -> None:
    before, staging, dev = untouched(scene), scene.head("staging"), scene.head("dev")
    assert await scene.checked("merged", "staging") == ("pending", "1 commit of dev is not in staging yet")
    operation = factory(scene.context("staging"))
    plan = await operation.plan()
    assert plan.operation == "deploy-merge" and not plan.production
    assert [one.line for one in plan.commands] == [
        "git fetch origin", "git switch staging", "git merge dev", "git push origin staging",
    ]  # fmt: skip
    assert scene.head("staging") == staging, "a plan changes nothing"
    events = await perform(operation, plan)
    made = scene.head("staging")
    assert last(events) == ("done", f"dev is merged into staging: {made[:7]}")
    told = git(scene.team.remote, "log", "-1", "--format=%an <%ae> %cn|%s|%P", made)
    assert (
        told
        == f"Dana Castillo <dana@example.com> Dana Castillo|Merge branch 'dev' into staging|{staging} {dev}"
    )
    assert operation.kept() == {"from": staging, "merged": dev, "commit": made, "branch": "staging"}
    assert (await scene.checked("merged", "staging"))[0] == "ok"
    assert "merged by Dana Castillo" in (await scene.checked("merged", "staging"))[1]
    with pytest.raises(AlreadyError, match=r"staging has .* of dev already"):
        await Merge(scene.context("staging")).plan()
    assert untouched(scene) == before and leftovers(scene) == []


async def test_a_merge_of_somebody_else_is_seen_and_not_repeated(scene: Scene) -> None:
    operation = factory(scene.context("staging"))
    plan = await operation.plan()
    git(scene.team.other, "fetch", "-q")
    git(scene.team.other, "checkout", "-q", "-B", "staging", "origin/staging")
    git(scene.team.other, "merge", "-q", "-m", "by hand", "origin/dev")
    scene.team.push("origin", "staging")
    theirs = scene.head("staging")
    assert last(await perform(operation, plan)) == (
        "done",
        "it has happened meanwhile: nothing was done again",
    )
    assert scene.head("staging") == theirs
    assert (await scene.checked("merged", "staging"))[0] == "ok"


async def test_a_branch_without_commits_of_its_own_is_forwarded_as_git_does(scene: Scene) -> None:
    git(scene.team.remote, "update-ref", "refs/heads/staging", scene.head("main"))
    assert last(await act(factory(scene.context("staging"))))[0] == "done"
    assert scene.head("staging") == scene.head("dev")


async def test_the_commit_that_a_run_was_begun_for_is_merged_and_no_newer_one(scene: Scene) -> None:
    begun, newer = scene.head("dev"), scene.commit("dev", "feat: later", {"later.txt": b"1"})
    assert last(await act(factory(scene.context("staging", commit=begun))))[0] == "done"
    made = scene.head("staging")
    assert (
        git(scene.team.remote, "log", "-1", "--format=%s", made) == f"Merge commit '{begun[:7]}' into staging"
    )
    assert newer not in git(scene.team.remote, "rev-list", made).split()
    assert (await scene.checked("merged", "staging", commit=begun))[0] == "ok"
    assert (await scene.checked("merged", "staging"))[0] == "pending"


async def test_conflicts_are_listed_by_file_with_both_sides_and_nothing_is_left(scene: Scene) -> None:
    lines = [b"%d\n" % n for n in range(40)]
    ours, theirs = list(lines), list(lines)
    ours[3], theirs[3] = b"ours \x1b[31m\n", b"theirs\n"
    ours[30], theirs[30] = b"ours again\n", b"".join(b"line %d\n" % n for n in range(100))
    scene.commit("staging", "s", {"pages.txt": b"".join(ours), "both.bin": b"\0a", "gone.txt": b"changed"})
    scene.commit("dev", "d", {"pages.txt": b"".join(theirs), "both.bin": b"\0b"})
    before, staging = untouched(scene), scene.head("staging")
    git(scene.team.checkout, "config", "merge.conflictStyle", "diff3")
    with pytest.raises(ConflictError) as caught:
        await factory(scene.context("staging")).plan()
    error = caught.value
    assert error.what == "dev cannot be merged into staging: 2 files are in conflict"
    assert [(one.path, one.why) for one in error.conflicts] == [
        ("both.bin", "both sides added it, and it is no text"), ("pages.txt", "both sides changed it"),
    ]  # fmt: skip
    first, second = error.conflicts[1].hunks
    assert (first.ours, first.theirs) == (("ours",), ("theirs",))
    assert (
        second.ours == ("ours again",) and len(second.theirs) == workshop_changing.HUNK_LINES and second.cut
    )
    assert "    staging | ours" in error.lines() and "    dev | theirs" in error.lines()
    assert scene.head("staging") == staging and untouched(scene) == before and leftovers(scene) == []


async def test_a_file_deleted_on_one_side_is_told_as_that(scene: Scene) -> None:
    git(scene.team.other, "checkout", "-q", "-B", "dev", "origin/dev")
    scene.team.commit("remove", {}, remove=("pages.txt",))
    scene.team.push("origin", "dev")
    scene.commit("staging", "change", {"pages.txt": b"changed\n"})
    with pytest.raises(ConflictError) as caught:
        await factory(scene.context("staging")).plan()
    (one,) = caught.value.conflicts
    assert (one.why, one.hunks) == ("it was changed in staging and deleted in dev", ())


async def test_a_conflict_that_comes_after_the_plan_ends_the_act_with_nothing_pushed(scene: Scene) -> None:
    operation = factory(scene.context("staging"))
    plan = await operation.plan()
    moved = scene.commit("staging", "hotfix", {"hot.txt": b"1"})
    kind, text = last(await perform(operation, plan))
    assert kind == "failed" and text.startswith("staging has moved since it was planned")
    assert scene.head("staging") == moved


@pytest.mark.parametrize("moment", ["merged", "pushed", "told"])
async def test_killed_at_any_moment_it_can_be_gone_on_with(
    scene: Scene, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between merge and push nothing has happened; after the push it has, and is not done again."""
    reached, push = asyncio.Event(), Bench.push

    async def halting(self: Bench, *words: Any, **named: Any) -> None:
        if moment != "merged":
            await push(self, *words, **named)
        reached.set()
        await asyncio.sleep(HANG if moment != "told" else 0)

    monkeypatch.setattr(Bench, "push", halting)
    staging, operation = scene.head("staging"), factory(scene.context("staging"))
    plan = await operation.plan()
    killed = asyncio.create_task(perform(operation, plan))
    await asyncio.wait_for(reached.wait(), HANG)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    monkeypatch.setattr(Bench, "push", push)
    assert leftovers(scene) == []
    if moment == "merged":
        assert scene.head("staging") == staging
        assert (await scene.checked("merged", "staging"))[0] == "pending"
        assert last(await act(factory(scene.context("staging"))))[0] == "done"
    made = scene.head("staging")
    assert (await scene.checked("merged", "staging"))[0] == "ok"
    with pytest.raises(AlreadyError):
        await factory(scene.context("staging")).plan()
    assert scene.head("staging") == made
    assert git(scene.team.remote, "rev-list", "--count", "--merges", f"{staging}..{made}") == "1"


def hook(remote: Path, name: str, script: str) -> None:
    (remote / "hooks").mkdir(exist_ok=True)
    file = remote / "hooks" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


async def test_a_hook_that_refuses_is_quoted(scene: Scene) -> None:
    hook(scene.team.remote, "pre-receive", "echo 'no deployments on \x1b[31mFridays' >&2; exit 1")
    staging = scene.head("staging")
    kind, text = last(await act(factory(scene.context("staging"))))
    assert kind == "failed" and scene.head("staging") == staging
    assert "a hook of the server refused the push" in text and "no deployments on Fridays" in text
    assert f"nothing was pushed: staging stands at {staging[:7]} as before" in text
    assert (await scene.checked("merged", "staging"))[0] == "pending"


async def test_somebody_who_pushes_in_between_is_not_run_over(scene: Scene) -> None:
    """The lease: the branch goes back to an older commit, which a plain push would take for a forward one."""
    bench = await scene.workshop.bench()
    dev, main = scene.head("dev"), scene.head("main")
    git(scene.team.remote, "update-ref", "refs/heads/staging", dev)
    await scene.workshop.heads()
    git(scene.team.remote, "update-ref", "refs/heads/staging", main)
    with pytest.raises(PushError) as caught:
        await bench.push(dev, "staging", expected=dev)
    assert caught.value.head == main and "staging has moved" in caught.value.what
    assert scene.head("staging") == main


async def test_a_push_never_loses_commits(scene: Scene) -> None:
    bench = await scene.workshop.bench()
    heads = await scene.workshop.heads()
    with pytest.raises(PushError, match="it would be lost"):
        await bench.push(heads["dev"], "staging", expected=heads["staging"])


async def test_a_push_whose_answer_is_lost_is_found_to_have_happened(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network goes when the remote has it: what the remote has is what counts."""
    bench = await scene.workshop.bench()
    run = bench._git.run

    async def cut(*words: str, **named: Any) -> Any:
        result = await run(*words, **named)
        if words[0] == "push":
            raise LinkError(Fault.CLOSED, "the remote end hung up unexpectedly")
        return result

    monkeypatch.setattr(bench._git, "run", cut)
    assert last(await act(factory(scene.context("staging"))))[0] == "done"
    assert (await scene.checked("merged", "staging"))[0] == "ok"


async def test_a_remote_that_is_gone_after_a_push_leaves_it_unknown(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await scene.workshop.bench()
    run = bench._git.run

    async def cut(*words: str, **named: Any) -> Any:
        if words[0] in ("push", "ls-remote"):
            raise LinkError(Fault.CLOSED, "the remote end hung up unexpectedly")
        return await run(*words, **named)

    monkeypatch.setattr(bench._git, "run", cut)
    operation = factory(scene.context("staging"))
    kind, text = last(await act(operation))
    assert kind == "failed" and "whether it was pushed is not known" in text


async def test_without_the_remote_it_is_not_known_and_not_merged(scene: Scene) -> None:
    await scene.workshop.heads()
    scene.team.remote.rename(scene.folder / "away")
    level, summary = await scene.checked("merged", "staging")
    assert level == "unknown" and "whether staging has it is not known" in summary
    with pytest.raises(OpsError, match="cannot be merged into"):
        await factory(scene.context("staging")).plan()


async def test_it_is_pushed_to_where_the_checkout_pushes(scene: Scene) -> None:
    git(scene.folder, "clone", "-q", "--bare", str(scene.team.remote), "second.git")
    git(scene.team.checkout, "remote", "set-url", "--push", "origin", "../second.git")
    staging = scene.head("staging")
    assert last(await act(factory(scene.context("staging"))))[0] == "done"
    assert scene.head("staging") == staging
    assert git(scene.folder / "second.git", "rev-parse", "staging") != staging


@pytest.mark.parametrize(
    ("said", "what", "means"),
    [
        (
            "remote: error: GH006: Protected branch update failed for refs/heads/main.\n"
            "remote: error: Changes must be made through a pull request.\n"
            "To https://github.com/o/r\n!\tabc:refs/heads/main\t[remote rejected] "
            "(protected branch hook declined)\nerror: failed to push some refs",
            "main is protected: the push was refused", "Changes must be made through a pull request.",
        ),
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/main.\n"
            "!\tabc:refs/heads/main\t[remote rejected] (push declined due to repository rule violations)",
            "main is protected: the push was refused", "GH013",
        ),
        (
            "remote: Permission to o/r.git denied to dana.\n"
            "fatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 403",
            "you have no right to push to main", "denied to dana",
        ),
        (
            "ERROR: Permission to o/r.git denied to deploy key\nfatal: Could not read from remote.",
            "you have no right to push to main", "denied to deploy key",
        ),
        ("!\ta:refs/heads/main\t[rejected] (stale info)", "main has moved: the push was refused (stale", ""),
        ("!\ta:refs/heads/main\t[rejected] (fetch first)", "main has moved: the push was refused (fetch", ""),
        (
            "!\tabc:refs/heads/main\t[remote rejected] (cannot lock ref)",
            "the server refused the push to main: cannot lock ref", "",
        ),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", "could not read", ""),
    ],
)  # fmt: skip
def test_a_refused_push_is_explained(said: str, what: str, means: str) -> None:
    error = push_error(said.encode(), "main")
    assert what in error.what and means in error.means


async def test_a_claimed_name_goes_before_that_of_a_shared_account(scene: Scene) -> None:
    from msgspec.structs import replace

    from muva_console.ops.deploys.deed import author_of
    from tests.deploys.scene import DANA

    bench = await scene.workshop.bench()
    eve = replace(DANA, name="Eve", account="deploy", claimed=True)
    assert (author_of(bench, eve).name, author_of(bench, eve).email) == ("Eve", "dana@example.com")
    assert author_of(bench, DANA).name == "Dana Castillo"
    bare = Bench(bench._git, {}, {})
    assert (author_of(bare, DANA).name, author_of(bare, DANA).email) == ("dana", "dana@jump-1")


async def test_the_events_tell_each_stage(scene: Scene) -> None:
    events = await act(factory(scene.context("staging")))
    steps = [event.text.split()[0] for event in events if event.kind is EventKind.STEP]
    assert steps == ["asking", "merging", "pushing"]
