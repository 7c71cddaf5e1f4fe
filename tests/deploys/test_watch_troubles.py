"""A run watched over GitHub's bad days, by the console's own link against the stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from muva_console.drill import repository
from muva_console.drill.github import records
from muva_console.drill.github.runs import Run, Runs, now
from muva_console.drill.github.troubles import calm, trouble
from muva_console.drill.state import Estate
from muva_console.ops.deploys.timeline import Source
from muva_console.ops.deploys.watch import Watch
from muva_console.ops.errors import LinkError
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.logs.model import LogLevel
from tests.github.conftest import _standing, hub  # noqa: F401 - fixtures
from tests.github.test_stand_in_actions import a_run
from tests.patience import HANG

pytestmark = pytest.mark.xdist_group("github")

ANSWERS = 0.5
"""Seconds that the link waits for an answer: more than the stand-in takes, less than it takes when slow."""
ONLY = r"/actions/runs/\d+$"


@pytest.fixture
def runs(hub: Estate) -> Iterator[Runs]:  # noqa: F811
    made = Runs(hub)
    yield made
    for path in (made.directory / "runs").iterdir():
        path.unlink()
    calm(hub)


@pytest.fixture
async def link(hub: Estate) -> AsyncIterator[GitHubLink]:  # noqa: F811
    async def token() -> str:
        return records.token_file(hub).read_text().strip()

    made = GitHubLink(hub.github_url, records.REPOSITORY, token, timeout=ANSWERS)
    yield made
    await made.close()


async def going(estate: Estate, runs: Runs) -> Run:
    """A run whose job goes on."""
    run = a_run(runs, await repository.head(estate, "main"), failed=True)
    with runs.change(run.id) as changed:
        changed.status, changed.conclusion = "in_progress", None
        changed.jobs[0].status, changed.jobs[0].conclusion = "in_progress", None
        changed.jobs[0].completed_at = None
    return run


def end(runs: Runs, run: Run) -> None:
    with runs.change(run.id) as changed:
        changed.status, changed.conclusion = "completed", "failure"
        changed.jobs[0].status, changed.jobs[0].conclusion = "completed", "failure"
        changed.jobs[0].completed_at = now()


def notes(watch: Watch) -> list[str]:
    return [one.text for one in watch.timeline.ordered() if one.source is Source.NOTE]


async def until_noted(watch: Watch, following: asyncio.Task[Any], words: str) -> None:
    async with asyncio.timeout(HANG):
        while not any(words in text for text in notes(watch)):
            assert not following.done(), following
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ({"failing": 1000}, "500"),
        ({"failing": 1000, "status": 502}, "502"),
        ({"half": 1000}, "GitHub"),
        ({"slow": 4 * ANSWERS}, "GitHub"),
        ({"secondary": 1, "retry_after": 1}, "limit"),
    ],
    ids=["500", "502", "half a body", "slow", "limited"],
)
async def test_a_bad_day_is_told_and_the_watch_goes_on_to_the_end(
    hub: Estate,  # noqa: F811
    runs: Runs,
    link: GitHubLink,
    day: dict[str, Any],
    words: str,
) -> None:
    run = await going(hub, runs)
    watch = Watch(link.actions, run.id, every=0.01)
    trouble(hub, only=ONLY, **day)
    following = asyncio.create_task(watch.follow())
    await until_noted(watch, following, words)
    calm(hub)
    await until_noted(watch, following, "answers again")
    end(runs, run)
    ended = await asyncio.wait_for(following, HANG)
    assert ended.conclusion == "failure"
    lines = [one.text for one in watch.timeline.ordered() if one.source is Source.JOB]
    assert lines == ["Run pnpm", "no"], "the log is there, once"


async def ended_with(watch: Watch) -> tuple[str, str]:
    """What a watch ends with: the error, with all it says; and the last that its time line tells."""
    with pytest.raises(LinkError) as found:
        await asyncio.wait_for(watch.follow(), HANG)
    last = [one for one in watch.timeline.ordered() if one.level is LogLevel.ERROR][-1]
    return "\n".join(found.value.lines()), last.text


async def test_what_asking_again_does_not_mend_ends_it_and_says_why(
    hub: Estate,  # noqa: F811
    runs: Runs,
    link: GitHubLink,
) -> None:
    run = await going(hub, runs)
    with records.store(hub).change() as state:
        state.lacking = {"dana-castillo": ["actions=read"]}
    said, told = await ended_with(Watch(link.actions, run.id, every=0.01))
    assert "actions" in said and "read" in said, "which right is missing is told"
    assert told.startswith("GitHub: ")
    calm(hub)

    async def wrong() -> str:
        return "ghp_nobodys"

    stranger = GitHubLink(hub.github_url, records.REPOSITORY, wrong, timeout=10)
    said, told = await ended_with(Watch(stranger.actions, run.id, every=0.01))
    assert "token" in said and "ghp_nobodys" not in said + told
    await stranger.close()

    watch = Watch(link.actions, run.id, every=0.01)
    following = asyncio.create_task(ended_with(watch))
    async with asyncio.timeout(HANG):
        while watch.run is None:
            await asyncio.sleep(0.01)
    for path in (runs.directory / "runs").glob(f"{run.id}*"):
        path.unlink()
    said, _ = await following
    assert str(run.id) in said, "which run is not there any more"


async def test_a_workflow_that_was_renamed_is_followed_all_the_same(
    hub: Estate,  # noqa: F811
    runs: Runs,
    link: GitHubLink,
) -> None:
    run = await going(hub, runs)
    with runs.change(run.id) as changed:
        changed.workflow, changed.name = "deploy-elsewhere.yml", "Deploy elsewhere"
    watch = Watch(link.actions, run.id, every=0.01)
    end(runs, run)
    assert (await asyncio.wait_for(watch.follow(), HANG)).conclusion == "failure"
    assert watch.run is not None and watch.run.workflow == "Deploy elsewhere"
