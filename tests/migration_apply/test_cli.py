"""`muva migrations apply` from end to end: a repository, a configuration, a database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from muva_console.cli import run
from muva_console.ops.workspace import Workspace

from .conftest import commit
from .world import World


async def test_apply(
    world: World, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(tmp_path, {"1_x.sql": "create table t (id int);", "2_y.sql": "create table u (id int);"})

    async def muva(*words: str) -> tuple[int, Any, str]:
        line = ["--config", str(workspace.path), "migrations", "apply", "--env", "staging", *words]
        status = await asyncio.to_thread(run, line)
        told = capsys.readouterr()
        return status, json.loads(told.out) if told.out else None, told.err

    status, told, shown = await muva("--dry-run", "plan", "--json")
    assert status == 0
    assert [one["line"] for one in told["plan"]["commands"]][1::2] == [
        "create table t (id int)",
        "create table u (id int)",
    ]
    assert "risk  there is no history table" in shown
    status, _, shown = await muva()
    assert (status, await world.recorded()) == (1, [])
    assert "not confirmed, so nothing was done" in shown
    status, told, _ = await muva("--yes", "--json", "--to", "1")
    assert (status, told["events"][-1]["kind"]) == (0, "done")
    status, _, shown = await muva("--dry-run", "rollback", "--yes")
    assert (status, await world.recorded()) == (0, ["1"])
    assert "ran 1 migration and rolled back" in shown
    status, told, _ = await muva("--yes", "--detach", "--json")
    assert status == 0
    status, shown_job, _ = await _job(workspace, told["job"], capsys)
    assert (status, shown_job["job"]["state"], shown_job["left"]) == (0, "done", [])
    assert await world.recorded() == ["1", "2"]
    status, _, shown = await muva("--yes")
    assert (status, "nothing to apply" in shown) == (0, True)
    status, _, shown = await muva("--yes", "--dry-run", "plan", "--detach")
    assert (status, "a dry run is not detached" in shown) == (2, True)


async def _job(workspace: Workspace, id: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any, str]:
    from muva_console.cli.base import Invocation
    from muva_console.cli.jobs import jobs

    def look() -> int:
        line = ["show", id, "--follow", "--json"]
        status: int = jobs.main(line, obj=Invocation(config=str(workspace.path)), standalone_mode=False)
        return status

    status = await asyncio.to_thread(look)
    told = capsys.readouterr()
    return status, json.loads(told.out), told.err
