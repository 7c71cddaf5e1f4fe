"""The command: exit statuses, a table that fits, data alone; and a migration that fails in the drill."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from muva_console.cli import run
from muva_console.drill import faults
from muva_console.drill.state import Estate
from tests.conftest import in_thread

from .conftest import MakeScene

Muva = Callable[..., tuple[int, str]]


@pytest.fixture
def muva(capsys: pytest.CaptureFixture[str]) -> Muva:
    """Runs the command in this process, on a loop of its own; returns its exit status and what it printed."""

    def call(config: object, *words: str) -> tuple[int, str]:
        capsys.readouterr()

        outcome: list[int] = []
        thread = threading.Thread(
            target=lambda: outcome.append(run(["--config", str(config), "migrations", "status", *words]))
        )
        thread.start()
        thread.join()
        return outcome[0], capsys.readouterr().out

    return call


async def test_exit_statuses_table_and_diff(make_scene: MakeScene, muva: Muva) -> None:
    scene = await make_scene("staging", "production")
    files = {f"202501{n:02}120000_a_rather_long_name_for_number_{n}.sql": f"select {n}" for n in range(1, 60)}
    *most, last = files
    scene.commit(main={name: files[name] for name in most}, staging=files, dev=files)
    rows = [(name[:14], name[15:-4], [files[name]]) for name in most]
    for environment in ("staging", "production"):
        await scene.record(environment, *rows)
    assert muva(scene.config)[0] == 0
    assert muva(scene.config, "--strict")[0] == 1, "what is pending is no success then"

    status, out = muva(scene.config)
    lines = out.splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if "Files" in line)]
    assert max(map(len, table)) <= 80
    assert "54 applied everywhere" in out and "to come" in table[-1]
    assert "dev: no database is configured" in out
    assert len(muva(scene.config, "--all")[1].splitlines()) > 60

    await scene.sql(
        "production",
        "update supabase_migrations.schema_migrations set statements = array['select 99']"
        " where version like '20250105%'",
    )
    status, out = muva(scene.config, "--env", "production", "--json")
    data = json.loads(out)
    assert (status, data["verdict"], data["environment"]) == (1, "NO-GO", "production")
    assert data["environments"][0]["counts"] == {"applied": 57, "pending": 1, "drifted": 1}
    assert data["migrations"][0]["version"] == "20250101120000"
    status, out = muva(scene.config, "--problems", "--json")
    assert [one["version"] for one in json.loads(out)["migrations"]] == ["20250105120000"]
    status, out = muva(scene.config, "--env", "production", "--diff", "20250105120000_a_rather")
    assert status == 1 and "-select 99;\n+select 5;" in out
    assert muva(scene.config, "--env", "staging", "--diff", "20250105120000")[0] == 0
    assert muva(scene.config, "--env", "production", "--diff", last[:14])[0] == 3
    assert muva(scene.config, "--env", "nowhere")[0] == 2
    scene.write(unreachable=["staging"])
    assert muva(scene.config, "--env", "staging")[0] == 3
    assert muva(scene.config)[0] == 1, "a failure is certain, whatever else is unknown"


def test_a_migration_that_failed_half_way_in_the_drill(breakable_estate: Estate, muva: Muva) -> None:
    estate = breakable_estate
    in_thread(lambda: faults.break_in(estate.directory, "migration-failed-half-way"))
    status, out = muva(estate.config, "--json")
    data = json.loads(out)
    assert status == 1
    (state,) = [
        row["states"]["production"] for row in data["migrations"] if row["version"] == "20251125101500"
    ]
    assert state["state"] == "half-way"
    assert "column confirmed_at on public.bookings is there" in state["why"]
    production: dict[str, Any] = next(
        one for one in data["environments"] if one["environment"] == "production"
    )
    assert [one["index"] for one in production["indexes"]] == ["public.bookings_room_night_idx"]
    assert production["halves"][0]["undone"] or production["halves"][0]["untold"]

    in_thread(lambda: faults.mend(estate.directory))
    for stamp in estate.cache.glob("**/fetched"):  # mending may take less than the time a fetch is fresh for
        os.utime(stamp, (0, 0))
    status, out = muva(estate.config, "--json")
    assert status == 0
    assert all(row["version"] != "20251125101500" for row in json.loads(out)["migrations"])
