"""What goes on at GitHub meanwhile, on the estate's own workflows: a run that waits is called off, and the
backup of a run is found by the recorded deployments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from muva_console.drill.state import Estate
from muva_console.ops.backups import MAGIC, named
from muva_console.ops.deploys.record_act import record
from muva_console.ops.errors import Refused
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.github_runs import WorkflowRun
from muva_console.ops.readings import utc_now
from muva_console.ops.rollback.backup_choice import backup_of
from muva_console.ops.rollback.freeze import freeze, under_way
from muva_console.ops.walking.looking import look
from muva_console.ops.workspace import Workspace
from tests.hostility.parts import opened, reconfigured
from tests.patience import HANG
from tests.rollback.test_rollback import deployment, head_of

WORKFLOW = "deploy-production.yml"


async def _until(found: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(2 * HANG):
        while not await found():
            await asyncio.sleep(0.2)


def _github(workspace: Workspace) -> GitHubLink:
    assert workspace.github is not None
    return workspace.github


def _as(estate: Estate, who: str, target: Path) -> Path:
    """The estate's configuration with somebody else's token."""

    def change(document: dict[str, Any]) -> None:
        document["github"]["token"]["file"] = str(estate.secrets / f"github.{who}.token")

    return reconfigured(estate, target / f"{who}.toml", change)


async def _begun(link: GitHubLink) -> WorkflowRun:
    """A run of production's workflow that waits for its approval."""
    before = {run.id for run in await link.actions.runs(branch="main")}
    await link.actions.dispatch(WORKFLOW, "main", {})
    waiting: list[WorkflowRun] = []

    async def there() -> bool:
        runs = await link.actions.runs(branch="main")
        waiting[:] = [run for run in runs if run.id not in before and run.status == "waiting"]
        return bool(waiting)

    await _until(there)
    return waiting[0]


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("eve-lindqvist", "rejecting run {}, which waits for an approval"),
        ("dana-castillo", "cancelling run {}, which waits for an approval that is not yours to refuse"),
    ],
)
async def test_a_run_that_waits_for_its_approval_is_called_off(
    who: str, told: str, breakable_estate: Estate, tmp_path: Path
) -> None:
    async with (
        opened(breakable_estate.config) as starting,
        opened(_as(breakable_estate, who, tmp_path)) as workspace,
    ):
        link, ctx = _github(workspace), look(workspace, "production").target
        run = await _begun(_github(starting))
        assert [one.id for one in (await under_way(ctx)).waiting] == [run.id]
        async with asyncio.timeout(HANG):
            events = [event.text async for event in freeze(ctx, "it crashes")]
        assert events[0] == told.format(run.id)
        assert events[-1] == "no deployment is under way"
        assert (await link.actions.run(run)).finished
        said = [(one.state, one.comment) for one in await link.actions.approvals(run)]
        assert said == ([("rejected", "Rolling back: it crashes")] if who != "dana-castillo" else [])


async def test_the_backup_of_the_run_that_came_after_is_fetched(
    breakable_estate: Estate, tmp_path: Path
) -> None:
    async with (
        opened(breakable_estate.config) as workspace,
        opened(_as(breakable_estate, "eve-lindqvist", tmp_path)) as reviewing,
    ):
        link, ctx = _github(workspace), look(workspace, "production").target
        old = await head_of(breakable_estate)
        await workspace.workshop.heads()
        good, *_ = await workspace.workshop.parents(old)
        made = structs.replace(deployment(good), finished=utc_now() - timedelta(seconds=1))
        entry, _ = await record(ctx, made)
        made = structs.replace(made, entry=entry)
        with pytest.raises(Refused, match="no backup of the time"):
            await backup_of(ctx, made, old)
        run = await _begun(link)
        pending = await link.actions.pending(run)
        ids = [one.environment_id for one in pending]
        await _github(reviewing).actions.decide(run, ids, approve=True, comment="go")

        async def ended() -> bool:
            return (await link.actions.run(run)).finished

        await _until(ended)
        file = await backup_of(ctx, made, old)
        backup = named(file)
        assert backup is not None and backup.environment == "production"
        assert file.read_bytes()[: len(MAGIC)] == MAGIC
        assert not list(file.parent.glob(".artifact*")), "the archive is gone"
        # it is a local one now, and found by its own name's commit no more than by its time
        assert (await backup_of(ctx, structs.replace(made, commit=backup.commit.ljust(40, "0")), old)) == file
