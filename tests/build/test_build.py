"""Building and testing what goes out: real commands in real worktrees, remembered in a real journal."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from muva_console.config.model import Config, Database, Environment, Project, Seconds, Secret
from muva_console.ops.checks import CheckContext, run_checks, run_together
from muva_console.ops.identity import Engineer
from muva_console.ops.journal.model import Filter
from muva_console.ops.journal.store import Journal
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.web import WebLink
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.build_bench import secret_variables
from muva_console.ops.release.build_output import matter, tail_of
from muva_console.ops.release.context import Release
from tests.workshop.team import Team

if TYPE_CHECKING:
    pass

DANA = Engineer(name="dana", host="jump-1", origin="this host")


class Bay:
    """A team whose staging has one commit more than main, and checks that look at it."""

    def __init__(self, folder: Path) -> None:
        self.team = Team(folder)
        self.folder = folder
        self.journal = Journal(folder / "journal", DANA, redact=str)
        self.told: list[str] = []
        self.workshop = Workshop(self.team.checkout, folder / "cache")

    def context(self, build: str = "true", tests: str | None = None, *, limit: float = 30.0) -> CheckContext:
        project = Project(build=build, tests=tests, build_timeout=Seconds(limit))
        environment = Environment(branch="main")
        release = Release(
            source_branch="staging",
            target_branch="main",
            repository=self.workshop,
            journal=self.journal,
            secret=_no_secret,
            folder=self.folder / "kept",
        )
        return CheckContext(
            environment_name="production",
            environment=environment,
            config=Config(project=project, environments={"production": environment}),
            web=WebLink("production", CommandLog()),
            release=release,
            progress=self.told.append,
        )

    async def sense(self, *names: str, again: bool = False, **commands: Any) -> list[Finding]:
        ctx = replace(self.context(**commands), parameters={"again": again})
        return list(await run_checks(names or ("build",), ctx))

    @property
    def trees(self) -> list[Path]:
        return list((self.folder / "cache").glob("*/trees/*"))


async def _no_secret(secret: Secret) -> str:
    raise AssertionError(secret)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    team = Team(tmp_path_factory.mktemp("bay"))
    team.gather()
    team.commit("feat: a page", {"page.txt": b"hello\n"})
    team.push()
    return team.folder


@pytest.fixture
async def bay(pushed: Path, tmp_path: Path) -> AsyncIterator[Bay]:
    shutil.copytree(pushed, tmp_path, dirs_exist_ok=True)
    made = Bay(tmp_path)
    yield made
    await made.journal.close()


async def test_a_commit_is_built_once_and_remembered_with_its_builder(bay: Bay) -> None:
    command = 'cat page.txt; echo x >> ../../../count; echo "compiled $PWD"'
    [first] = await bay.sense(build=command)
    sha = (await bay.workshop.heads())["staging"]
    assert first.level is Level.OK and first.summary.startswith(f"{sha[:7]} builds in ")
    assert "hello" in bay.told and any(line.startswith("compiled") for line in first.evidence)
    assert (
        first.command.startswith("git fetch && git worktree add --detach ../build-")
        and "sh -c " in first.command
    )
    [kept] = (bay.folder / "kept").iterdir()
    assert f"the whole output: {kept}" in first.evidence and "hello" in kept.read_text()
    assert first.expires is not None and (first.expires - first.at).total_seconds() > 3600
    assert bay.trees == []
    [entry] = await bay.journal.read(Filter(kinds=("build-result",)))
    assert entry.subject == f"build {sha}" and entry.data["exit"] == 0 and entry.environment == "production"

    [second] = await bay.sense(build=command)
    assert second.level is Level.OK and "Z by dana)" in second.summary
    [other] = await bay.sense(build=command + " && true")
    assert "by dana" not in other.summary
    [anew] = await bay.sense(build=command, again=True)
    assert "by dana" not in anew.summary
    count = bay.folder / "count"
    assert not count.exists()
    assert len(next((bay.folder / "cache").rglob("count")).read_text()) == 3 * len("x\n")


async def test_tests_run_after_the_build_in_its_worktree_and_the_build_runs_once(bay: Bay) -> None:
    commands: Any = {
        "build": "echo building; mkdir dist; echo b >> ../../built",
        "tests": "test -d dist && echo 3 passed",
    }
    findings = await bay.sense("build", "tests", **commands)
    assert [finding.level for finding in findings] == [Level.OK, Level.OK]
    assert "passes its tests" in findings[1].summary and "3 passed" in findings[1].evidence
    assert next((bay.folder / "cache").rglob("built")).read_text() == "b\n"
    assert bay.told.count("building") == 1 and bay.trees == []
    findings = await bay.sense("build", "tests", **commands)
    assert all("by dana" in finding.summary for finding in findings)
    # tests alone build first, for nothing is kept
    [alone] = await bay.sense("tests", again=True, **commands)
    assert alone.level is Level.OK and bay.told.count("building") == 2


async def test_a_failure_says_the_line_that_matters(bay: Bay) -> None:
    (bay.folder / "fail.sh").write_text(
        "echo start\necho './page.tsx:12:5'\necho \"Type error: no 'x' on type 'Y'.\"\n"
        "echo; echo ' ELIFECYCLE  Command failed with exit code 1.'; exit 1\n"
    )
    build = f"sh {bay.folder / 'fail.sh'}"
    built, tested = await bay.sense("build", "tests", build=build, tests="true")
    assert built.level is Level.FAIL and built.summary.endswith(
        "does not build: Type error: no 'x' on type 'Y'."
    )
    assert built.evidence[1].startswith("exit 1 after") and "./page.tsx:12:5" in built.evidence
    assert (
        tested.level is Level.UNKNOWN
        and "could not begin, for the build failed: Type error" in tested.summary
    )
    [remembered] = await bay.sense(build=build)
    assert remembered.level is Level.FAIL and "by dana" in remembered.summary and "anew" in remembered.next
    assert await bay.journal.read(Filter(kinds=("test-result",))) == []


async def test_failing_tests_fail(bay: Bay) -> None:
    [found] = await bay.sense("tests", tests="echo 'Tests: 1 failed, 9 passed'; exit 1")
    assert found.level is Level.FAIL
    assert found.summary.endswith("does not pass its tests: Tests: 1 failed, 9 passed")


async def test_without_a_test_command_nothing_is_known(bay: Bay) -> None:
    [found] = await bay.sense("tests")
    assert (found.level, found.summary) == (Level.UNKNOWN, "no test command is configured") and found.next


async def test_a_build_that_hangs_is_unknown_with_what_it_printed_last(bay: Bay) -> None:
    [found] = await bay.sense(build="echo resolving; printf 'Proceed? '; sleep 600", limit=0.6)
    assert found.level is Level.UNKNOWN and "not done within" in found.summary
    assert "Proceed?" in found.evidence and bay.trees == []


async def test_a_missing_tool_is_the_machines_fault_and_not_remembered(bay: Bay) -> None:
    [found] = await bay.sense(build="no-such-pnpm install && no-such-pnpm run build")
    assert found.level is Level.UNKNOWN and found.summary.startswith("no-such-pnpm is not installed here")
    assert await bay.journal.read(Filter(kinds=("build-result",))) == []
    # a script of the application that names what is not there is the application's
    [found] = await bay.sense(build="sh page.sh || sh -c 'nexxt build'; exit $?")
    assert found.level is Level.FAIL and "nexxt" in found.summary


async def test_a_build_given_up_leaves_nothing(bay: Bay) -> None:
    ctx = bay.context("echo $$; sleep 600", "true").fresh()
    task = asyncio.create_task(run_together(("build", "tests"), ctx))
    while not any(line.isdigit() for line in bay.told):
        await asyncio.sleep(0.01)
    pid = next(line for line in bay.told if line.isdigit())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ctx.end()
    while bay.trees or Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.01)


async def test_what_the_last_fetch_knew_is_not_called_ok(bay: Bay) -> None:
    await bay.workshop.heads()
    bay.team.remote.rename(bay.folder / "away")
    bay.workshop = Workshop(bay.team.checkout, bay.folder / "cache", fresh=0)
    [found] = await bay.sense()
    assert found.level is Level.UNKNOWN and "cannot be told" in found.summary
    assert any("last fetch failed" in line for line in found.evidence)


async def test_a_journal_that_cannot_be_written_stops_no_build(bay: Bay) -> None:
    (bay.folder / "journal").write_text("no folder")
    [found] = await bay.sense()
    assert found.level is Level.OK and any("could not be remembered" in line for line in found.evidence)


async def test_secrets_of_the_console_are_not_given_to_builds(
    bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUVA_DB_SECRET", "do not tell")
    ctx = bay.context('echo "<$MUVA_DB_SECRET>"')
    database = Database(host="db", password=Secret(env="MUVA_DB_SECRET"))
    environment = structs.replace(ctx.environment, database=database)
    config = structs.replace(ctx.config, environments={"production": environment})
    assert secret_variables(config) == ("MUVA_DB_SECRET",)
    await run_checks(("build",), replace(ctx, config=config))
    assert "<>" in bay.told


@pytest.mark.parametrize(("output", "line"), [
    ("throw new Error('x')\n   ^\n\nError: boom\n    at main (build.js:3:9)\n\nNode.js v20\n", "Error: boom"),
    ("a.ts(3,1): error TS2304: no name 'q'.\nFound 1 error.\n", "a.ts(3,1): error TS2304: no name 'q'."),
    ("FAIL src/x.test.ts\n  ● sum\nTests: 1 failed, 2 passed\nTime: 1 s\n", "Tests: 1 failed, 2 passed"),
    ("ok\n0 errors\nKilled\n", "Killed"),
    ("ok 1 - a\nnot ok 2 - the sum is right # 3ms\n  error: |-\n  name: 'AssertionError'\n# fail 1\n",
     "the sum is right"),
    (" ERR_PNPM_OUTDATED_LOCKFILE  Cannot install\n\n  Failure reason:\n* 1 dependencies were added: d\n",
     "ERR_PNPM_OUTDATED_LOCKFILE  Cannot install"),
    ("one\ntwo\n", "two"),
    ("", ""),
])  # fmt: skip
def test_the_line_that_matters(output: str, line: str) -> None:
    assert matter(output.encode()) == line


def test_errors_above_the_last_lines_are_told_too() -> None:
    output = "error: the cause\n" + "noise\n" * 50
    assert tail_of(output.encode(), failed=True)[:3] == ("error: the cause", "…", "noise")
    assert "error: the cause" not in tail_of(output.encode(), failed=False)
