"""While something fails, and for a window after it, its echo in the logs is no alert beside it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from muva_console.config.model import Health
from muva_console.config.release import Alerts as Settings
from muva_console.ops.alerts.rules import Logged
from muva_console.ops.alerts.watch import Watch
from muva_console.ops.readings import Level
from tests.alerts.test_rules import NOW, errors, report


async def test_the_echo_of_a_failure_is_not_told_beside_it_and_what_goes_on_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("muva_console.ops.alerts.watch.time", SimpleNamespace(monotonic=lambda: clock[0]))
    logged = Logged(
        now_ms=NOW,
        begins_ms=NOW - 7_200_000,
        events=(*errors("Error: gone", 1, 2, 3), *errors("FATAL: gone", 1)),
    )

    async def logs(self: Watch) -> tuple[Logged, list[str]]:
        return logged, []

    async def read(_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(Watch, "_logs", logs)
    level = [Level.OK]

    async def health() -> Any:
        return report(level[0])

    config = SimpleNamespace(alerts=Settings(critical=("^FATAL",)), health=Health())
    workspace = SimpleNamespace(config=config, journal=SimpleNamespace(read=read))
    of = SimpleNamespace(name="production", watch_health=health, hosts=("vps",))
    watch = Watch(cast(Any, workspace), cast(Any, of))

    async def keys() -> set[Level]:
        return {one.level for one in (await watch.look()).noticed}

    assert await keys() == {Level.WARN, Level.FAIL}
    level[0] = Level.FAIL
    assert await keys() == {Level.FAIL}  # what is critical is told whatever else is so
    level[0] = Level.OK
    clock[0] += 200
    assert await keys() == {Level.FAIL}
    clock[0] += 200  # the window is over, and it goes on
    assert await keys() == {Level.WARN, Level.FAIL}
