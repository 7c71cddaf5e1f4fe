"""On the drill estate, as it is brought up: staging goes to main, and every check of its data is ok."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from muva_console.config.load import load
from muva_console.drill.state import Estate
from muva_console.ops.checks import run_checks
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.readings import Level
from muva_console.ops.release.context import Release
from muva_console.ops.workspace import Workspace

from .world import ALL, bad, said

NAMES = (*ALL, "migrations-applied")


async def test_the_seeded_release_is_ok(
    estate: Estate, estate_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{estate.postgres_programs}:/usr/bin:/bin")
    workspace = Workspace(load(estate_config), read_only=True)
    try:
        ctx = workspace.environments["production"].context()
        ctx.release = Release(
            source_branch="staging",
            target_branch="main",
            repository=Workshop(estate.checkout, tmp_path / "copy"),
            journal=workspace.journal,
            secret=cast(Any, None),
            source=workspace.environments["staging"].context(),
        )
        found = await run_checks(NAMES, ctx)
    finally:
        await workspace.close()
    by_name = {name: tuple(one for one in found if one.check == name) for name in NAMES}
    assert bad(by_name) == {}, said(found)
    assert "6 tables alike, rows 1× of production's" in by_name["database-sync"][0].summary
    assert "pg_restore lists 7 tables with data" in said(by_name["backup-plan"])
    assert all(one.level is Level.OK and one.command for one in found)
