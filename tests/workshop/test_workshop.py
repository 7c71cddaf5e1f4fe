"""The console's own copy of the repository, of real repositories in a folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import workshop_git, workshop_trees
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.links.workshop_git import as_variables, explain, ssh_command
from tests.workshop.team import Team, git

if TYPE_CHECKING:
    from muva_console.ops.links.source import Source

HOSTILE = [
    'with space "quote".txt',
    "$(touch pwned)",
    "-rf",
    "new\nline",
    "ünï\tcode",
    ":(top)magic",
    "*.txt",
]


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team")
    Team(folder).gather()
    return folder


@pytest.fixture
def team(gathered: Path, tmp_path: Path) -> Team:
    shutil.copytree(gathered, tmp_path, dirs_exist_ok=True)
    return Team(tmp_path)


@pytest.fixture
def workshop(team: Team, tmp_path: Path) -> Workshop:
    return Workshop(team.checkout, tmp_path / "cache", fresh=0)


def state(checkout: Path) -> tuple[str, str, list[str]]:
    """What must not change in the engineer's checkout."""
    files = sorted(str(path) for path in checkout.rglob("*"))
    return git(checkout, "for-each-ref"), git(checkout, "status", "--porcelain"), files


async def test_what_goes_out_is_told_after_a_fetch(team: Team, workshop: Workshop) -> None:
    source: Source = workshop  # that it is one is for mypy to see
    before = state(team.checkout)
    first = team.commit("feat: a $(touch pwned) \x1b[31mred", {"new file.txt": b"n\n", "src/app.js": b"2"})
    git(team.other, "mv", "README.md", "READ ME.md")
    last = team.commit("rename", {})
    team.push()
    git(team.other, "checkout", "-q", "main")
    base = team.commit("hotfix", {"hot": b"fix"})
    team.push("origin", "main")
    found = await source.outgoing("staging", "main")
    assert (found.head, found.base, found.fetched, found.behind) == (last, base, True, 1)
    assert [commit.sha for commit in found.commits] == [last, first]
    assert found.commits[1].subject == "feat: a $(touch pwned) red" and found.commits[1].author == "Dana"
    assert {(change.status, change.path, change.before) for change in found.files} == {
        ("R", "READ ME.md", "README.md"), ("M", "src/app.js", ""), ("A", "new file.txt", "")
    }  # fmt: skip
    assert found.merge_base == await workshop.merge_base(first, base)
    assert await workshop.is_ancestor(found.merge_base, last) and not await workshop.is_ancestor(base, last)
    assert [commit.subject for commit in await workshop.commits(first, last)] == ["rename"]
    assert await workshop.heads() == {"main": base, "staging": last}
    difference = await source.diff(found.merge_base, last)
    assert "+n\n" in difference and "rename to READ ME.md" in difference
    assert state(team.checkout) == before


async def test_unusual_names_survive(team: Team, workshop: Workshop, tmp_path: Path) -> None:
    named = {f"odd/{name}": os.fsencode(name) for name in HOSTILE}
    sha = team.commit("odd", {**named, "big": b"x" * (1024 * 1024 + 1)})
    git(team.other, "branch", "a;$(id)|b")
    team.push("origin", "staging", "a;$(id)|b")
    found = await workshop.outgoing("a;$(id)|b", "main")
    assert found.head == sha and {change.path for change in found.files} == {*named, "big"}
    assert set(await workshop.files(sha, "odd")) == set(named)
    assert await workshop.files(sha, "od") == ()
    assert await workshop.read_all(sha, [*named, "nope", "big"]) == named
    for name, data in named.items():
        assert await workshop.read(sha, name) == data
    assert await workshop.read(sha, "odd") is None and await workshop.read(sha, "odd/*") is None
    with pytest.raises(LinkError, match="1,048,577 bytes") as caught:
        await workshop.read(sha, "big", limit=1000)
    assert caught.value.fault is Fault.TOO_LARGE
    async with workshop.worktree(sha) as tree:
        assert {f"odd/{path.name}" for path in (tree / "odd").iterdir()} == set(named)
    for wrong in ("--output=x", "main", "HEAD~1", sha[:12], f"{sha}\n"):
        with pytest.raises(LinkError, match="whole hash"):
            await workshop.files(wrong)
    assert not list(tmp_path.rglob("pwned"))


async def test_a_forced_push_and_a_deleted_branch_are_seen(team: Team, workshop: Workshop) -> None:
    team.commit("wrong", {"x": b"1"})
    team.push()
    await workshop.outgoing("staging", "main")
    git(team.other, "reset", "-q", "--hard", "main")
    right = team.commit("right", {"y": b"1"})
    team.push("--force", "origin", "staging")
    found = await workshop.outgoing("staging", "main")
    assert found.head == right and [commit.subject for commit in found.commits] == ["right"]
    team.push("origin", ":staging")
    with pytest.raises(LinkError, match="no branch staging") as caught:
        await workshop.outgoing("staging", "main")
    assert caught.value.fault is Fault.MISSING and "main" in caught.value.means


async def test_without_the_remote_it_tells_what_it_knew(team: Team, tmp_path: Path) -> None:
    workshop = Workshop(team.checkout, tmp_path / "cache", fresh=0)
    sha = git(team.remote, "rev-parse", "staging")
    team.remote.rename(tmp_path / "away")
    with pytest.raises(LinkError) as caught:
        await workshop.outgoing("staging", "main")
    assert caught.value.fault is Fault.MISSING and caught.value.where == str(team.remote)
    (tmp_path / "away").rename(team.remote)
    assert (await workshop.outgoing("staging", "main")).fetched
    team.remote.rename(tmp_path / "away")
    found = await Workshop(team.checkout, tmp_path / "cache", fresh=0).outgoing("staging", "main")
    assert found.head == sha and not found.fetched and "remote.git" in found.fetch_error
    with pytest.raises(LinkError):
        await workshop.heads()


async def test_a_git_that_was_killed_leaves_no_lock_for_ever(team: Team, workshop: Workshop) -> None:
    await workshop.heads()
    team.commit("more", {"x": b"1"})
    team.push()
    [repository] = (team.folder / "cache").glob("*/repository.git")
    lock = repository / "refs" / "remotes" / "origin" / "staging.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    found = await workshop.outgoing("staging", "main")
    assert found.fetched and len(found.commits) == 1 and not lock.exists()
    assert "borrowed" not in git(repository, "for-each-ref")


async def test_a_checkout_without_a_remote_is_its_own(team: Team, tmp_path: Path) -> None:
    git(team.checkout, "remote", "remove", "origin")
    git(team.checkout, "branch", "staging")
    found = await Workshop(team.checkout / ".git" / "..", tmp_path / "cache").outgoing("staging", "main")
    assert found.head == found.base and found.commits == () and found.files == ()


async def test_what_is_no_checkout_says_so(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(LinkError) as caught:
            await Workshop(folder, tmp_path / "cache").heads()
        assert caught.value.fault is Fault.MISSING


async def test_checks_that_ask_together_fetch_once(team: Team, tmp_path: Path) -> None:
    log = CommandLog()
    workshop = Workshop(team.checkout, tmp_path / "cache", log=log)
    await asyncio.gather(*(workshop.outgoing("staging", "main") for _ in range(4)), workshop.heads())
    await workshop.outgoing("staging", "main")
    # another console on the same folder takes what was just fetched
    await Workshop(team.checkout, tmp_path / "cache", log=log).outgoing("staging", "main")
    fetches = [record.line for record in log.records() if record.line.startswith("git fetch")]
    assert len([line for line in fetches if "refs/heads/*" in line]) == 1
    # what is on this machine already was not asked of the remote
    assert len([line for line in fetches if "borrowed" in line]) == 1


async def test_two_consoles_do_not_meet(team: Team, tmp_path: Path) -> None:
    many = [Workshop(team.checkout, tmp_path / "cache", fresh=0) for _ in range(3)]
    found = await asyncio.gather(*(one.outgoing("staging", "main") for one in many))
    assert len({one.head for one in found}) == 1
    [lock] = (tmp_path / "cache").glob("*/lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LinkError) as caught:
            async with workshop_trees.locked(lock, timeout=0.1):
                pass
    assert caught.value.fault is Fault.TIMEOUT


async def test_worktrees_are_clean_and_go_even_after_a_kill(team: Team, workshop: Workshop) -> None:
    sha = (await workshop.heads())["main"]
    async with workshop.worktree(sha) as one, workshop.worktree(sha) as two:
        assert one != two and git(one, "rev-parse", "HEAD") == sha
        assert git(one, "status", "--porcelain", "--ignored") == ""
        (one / "node_modules" / "p").mkdir(parents=True)
        (one / "node_modules" / "p" / "file").touch()
        (one / "node_modules" / "p").chmod(0o500)
    assert not one.exists() and not two.exists()
    # a console that was killed: its folder is there, nobody holds its lock
    left = one.parent / "0123456789ab-dead"
    git(one.parent.parent / "repository.git", "worktree", "add", "-q", "--detach", str(left), sha)
    (one.parent / f"{left.name}.lock").touch()
    with pytest.raises(ZeroDivisionError):
        async with workshop.worktree(sha) as three, workshop.worktree(sha):
            assert not left.exists() and three.exists()
            raise ZeroDivisionError
    assert list(one.parent.iterdir()) == []
    assert len(git(one.parent.parent / "repository.git", "worktree", "list").splitlines()) == 1


async def test_nothing_of_the_repository_is_executed(team: Team, workshop: Workshop, tmp_path: Path) -> None:
    hook = f"#!/bin/sh\ntouch '{tmp_path}/ran'\n"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(hook)
        (hooks / name).chmod(0o755)
    git(team.checkout, "config", "core.hooksPath", str(hooks))
    git(team.checkout, "config", "core.fsmonitor", str(hooks / "post-checkout"))
    git(team.checkout, "config", "filter.evil.smudge", str(hooks / "post-checkout"))
    sha = team.commit(
        "evil", {".gitattributes": b"* filter=evil\n", ".gitmodules": b'[submodule "s"]\n\tpath = s\n'}
    )
    team.push()
    await workshop.outgoing("staging", "main")
    [repository] = (tmp_path / "cache").glob("*/repository.git")
    git(repository, "config", "core.hooksPath", str(hooks))  # as a build script (husky) may do in a worktree
    async with workshop.worktree(sha) as tree:
        assert (tree / "src" / "app.js").read_bytes() == b"1"
    assert not (tmp_path / "ran").exists()


async def test_it_finds_the_checkout_when_a_hook_started_the_console(
    team: Team, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(team.folder, "init", "-q", "--template=", "wrong")
    monkeypatch.setenv("GIT_DIR", str(team.folder / "wrong" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere")
    assert set(await workshop.heads()) == {"main", "staging"} and workshop.url == str(team.remote)


async def test_a_token_in_the_address_is_told_nowhere(team: Team, tmp_path: Path) -> None:
    log, token = CommandLog(), "glpat-0123456789abcdefghij"
    git(team.checkout, "remote", "set-url", "origin", f"http://dana:{token}@127.0.0.1:1/x.git")
    workshop = Workshop(team.checkout, tmp_path / "cache", log=log)
    with pytest.raises(LinkError) as caught:
        await workshop.heads()
    assert caught.value.fault is Fault.REFUSED and "127.0.0.1" in workshop.url
    with pytest.raises(LinkError):
        await workshop.heads()  # and is not asked again at once
    assert len([record for record in log.records() if "refs/heads/*" in record.line]) == 1
    told = [*caught.value.lines(), workshop.url, *(record.line for record in log.records())]
    assert not any(token in text for text in told)
    kept = (path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert not any(token.encode() in data for data in kept)


@pytest.mark.parametrize(("said", "fault"), [
    ("ssh: Could not resolve hostname git.example: Name or service not known", Fault.DNS),
    ("fatal: unable to access 'https://x/': Could not resolve host: x", Fault.DNS),
    ("ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.\n\n"
     "Please make sure you have the correct access rights\nand the repository exists.", Fault.REFUSED),
    ("ssh: connect to host x port 22: Connection timed out", Fault.TIMEOUT),
    ("ssh: connect to host x port 22: No route to host", Fault.UNREACHABLE),
    ("Host key verification failed.\nfatal: Could not read from remote repository.", Fault.HOST_KEY),
    ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", Fault.AUTH),
    ("fatal: could not read Username for 'https://x': terminal prompts disabled", Fault.AUTH),
    ("fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate", Fault.TLS),
    ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", Fault.MISSING),
    ("fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF", Fault.CLOSED),
    ("fatal: something new", Fault.OTHER),
])  # fmt: skip
def test_how_a_fetch_failed_is_told_apart(said: str, fault: Fault) -> None:
    error = explain(said.encode(), where="x")
    assert error.fault is fault and error.what and "access rights" not in error.what


def test_whose_repository_it_is_names_the_way_out() -> None:
    said = b"fatal: detected dubious ownership in repository at '/srv/a b'\nTo add an exception for this ..."
    error = explain(said, where="x")
    assert error.fault is Fault.AUTH and error.next == "git config --global --add safe.directory '/srv/a b'"


def test_ssh_asks_nothing_and_what_is_configured_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    assert ssh_command("ssh -i 'my key'").startswith("ssh -i 'my key' -o BatchMode=yes -o ConnectTimeout=10")
    assert ssh_command("plink.exe -x") == "plink.exe -x"
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    told = as_variables([("http.extraheader", "Authorization: x")])
    assert told == {
        "GIT_CONFIG_COUNT": "3",
        "GIT_CONFIG_KEY_2": "http.extraheader", "GIT_CONFIG_VALUE_2": "Authorization: x",
    }  # fmt: skip


async def test_a_slow_remote_is_given_up(
    team: Team, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "ssh"
    slow.write_text("#!/bin/sh\nsleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(slow))
    monkeypatch.setattr("muva_console.ops.links.workshop.FETCH_TIMEOUT", 0.3)
    git(team.checkout, "remote", "set-url", "origin", "ssh://nobody@example.invalid/x.git")
    with pytest.raises(LinkError, match="did not end") as caught:
        await workshop.heads()
    assert caught.value.fault is Fault.TIMEOUT and workshop_git.TIMEOUT > 0
