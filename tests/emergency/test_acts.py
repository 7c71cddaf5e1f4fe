"""The maintenance page on an estate, and what is asked of a provider's status page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from muva_console.drill.state import Estate
from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.diagnosis.probes_reach import status_page
from muva_console.ops.emergency.back import stays_healthy
from muva_console.ops.emergency.maintenance import (
    MaintenanceOff,
    MaintenanceOn,
    maintenance_off,
    maintenance_on,
)
from muva_console.ops.errors import OpsError
from muva_console.ops.links.answers import HttpAnswer
from muva_console.ops.operations import EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.walking.looking import look
from tests.hostility.parts import opened, reconfigured
from tests.patience import HANG


async def _one(found: Any) -> Finding:
    finding = await found
    assert isinstance(finding, Finding)
    return finding


async def test_the_page_is_put_up_and_taken_away_and_each_is_seen(estate: Estate, tmp_path: Path) -> None:
    page = tmp_path / "page"

    def change(document: dict[str, Any]) -> None:
        document["environments"]["staging"]["maintenance"] = {
            "on": f"touch {page}", "off": f"rm -f {page}", "test": f"test -e {page}",
        }  # fmt: skip

    async with opened(reconfigured(estate, tmp_path / "muva.toml", change)) as workspace:
        ctx = look(workspace, "staging").target
        offered = await _one(maintenance_on(ctx))
        assert (offered.level, offered.pending) == (Level.UNKNOWN, True)
        for act, there in ((MaintenanceOn(ctx), True), (MaintenanceOff(ctx), False)):
            plan = await workspace.performer.prepare(act)
            word = Confirmation(confirmed=True, typed="staging")
            events = [event async for event in workspace.performer.perform(act, plan, word)]
            assert events[-1].kind is EventKind.DONE, events[-1].text
            assert page.exists() is there
            assert (await _one(maintenance_on(ctx))).level is (Level.OK if there else Level.UNKNOWN)
            assert (await _one(maintenance_off(ctx))).level is (Level.UNKNOWN if there else Level.OK)
            with pytest.raises(OpsError, match="already"):
                await act.plan()
        production = look(workspace, "production").target
        assert (await _one(maintenance_on(production))).unconfigured, "asked of a person where there is none"


async def test_healthy_several_times_in_a_row(estate: Estate) -> None:
    async with opened(estate.config) as workspace, asyncio.timeout(HANG):
        ctx = look(workspace, "production").target
        ctx.parameters = {"times": 3}
        found = await _one(stays_healthy(ctx))
        assert (found.level, found.summary) == (Level.OK, "well 3 times in a row")
        assert len(found.evidence) == 3
        ctx.parameters = {"times": 0}
        with pytest.raises(OpsError, match="1 to 30"):
            await stays_healthy(ctx)


async def test_the_first_answer_that_is_not_well_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muva_console.ops.emergency.back.PAUSE", 0.0)
    answers = [_answer(status=200, json={"status": "healthy"}), _answer(status=503), _answer(status=200)]
    asked = iter(answers)

    async def health() -> HttpAnswer:
        return next(asked)

    ctx = cast(Any, SimpleNamespace(
        parameters={}, url=lambda path: f"http://x{path}",
        environment=SimpleNamespace(health="/h", thresholds=SimpleNamespace(response=5.0)),
    ))  # fmt: skip
    ctx.fresh = lambda: SimpleNamespace(health=health)
    found = await _one(stays_healthy(ctx))
    assert found.level is Level.FAIL
    assert found.summary.startswith("well 1 times, then: ")
    assert next(asked) is answers[2], "and nobody is asked on"


@pytest.mark.parametrize(
    ("told", "level", "provider"),
    [
        ({"status": {"indicator": "none", "description": "All Systems Operational"}}, Level.OK, ""),
        ({"status": {"indicator": "major", "description": "Partial outage"}}, Level.WARN, "Partial outage"),
        ({"status": {"indicator": "minor"}}, Level.WARN, "minor"),
        ({"status": "fine"}, Level.UNKNOWN, ""),
        (["hostile"], Level.UNKNOWN, ""),
        (None, Level.UNKNOWN, ""),
    ],
)
async def test_what_a_status_page_says(told: Any, level: Level, provider: str) -> None:
    async def get(url: str, *, timeout: float) -> HttpAnswer:
        return _answer(status=200, json=told)

    ctx = cast(Any, SimpleNamespace(
        web=SimpleNamespace(get=get), config=SimpleNamespace(project=SimpleNamespace(status_page="http://s/")),
    ))  # fmt: skip
    seen = Seen()
    (found,) = await status_page(ctx, seen)
    assert (found.level, seen.provider) == (level, provider)


def _answer(**told: Any) -> HttpAnswer:
    return HttpAnswer(url="http://x/h", at=utc_now(), **told)
