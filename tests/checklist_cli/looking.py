"""Walking a checklist on an estate, once, as `muva checklist` does."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec import structs

from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.readings import Level, Verdict
from muva_console.ops.runbooks.load import find_runbook
from muva_console.ops.runbooks.standing import RunView
from muva_console.ops.walking.once import sense_once, sensed_verdict
from tests.checklist_cli.cases import LISTS, Case
from tests.hostility.parts import opened, reconfigured
from tests.patience import HANG

Change = Callable[[dict[str, Any]], None]
"""What a test makes of the estate's muva.toml."""
_FAILED = re.compile(rb" 5\d\d in ")


def settle(estate: Estate) -> None:
    """Let the errors that other tests left in the logs of this estate be no concern of ours, and let
    production's log go back to before its process was started.
    """
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d %H:%M:%S}.000 +00:00:  ✓ Ready in 90ms\n"
    for log in (estate.pm2_home / "logs").glob("*.log"):
        told = log.read_bytes().splitlines(keepends=True) if log.name.endswith("-out.log") else []
        kept = [line for line in told if not _FAILED.search(line)]
        if log.name == "muva-production-out.log":
            kept.insert(0, yesterday.encode())
        log.write_bytes(b"".join(kept))


async def until_stable(estate: Estate) -> None:
    """Wait until restarts that other tests caused are forgotten: a minute, at most."""
    async with asyncio.timeout(HANG):
        for book in ("post-deploy-production", "post-deploy-staging"):
            while amiss(await look(estate, book, items=("restarted",))):
                await asyncio.sleep(0.5)


def pushed(estate: Estate) -> None:
    """Let the next look fetch: it would not within two seconds of the last."""
    for stamp in estate.cache.glob("**/fetched"):
        os.utime(stamp, (0, 0))


async def look(
    estate: Estate, book: str, *, items: Collection[str] = (), without: Collection[str] = (),
    change: Change = lambda document: None, timeouts: Mapping[str, float] = MappingProxyType({}),
) -> RunView:  # fmt: skip
    """The sensed items of a checklist, or some; a process need not have run for 30 s. `timeouts` (s) by
    item.
    """
    pushed(estate)

    def changed(document: dict[str, Any]) -> None:
        for environment in document["environments"].values():
            # a machine that others use too is slow at times: how long a query takes is no finding here
            environment.setdefault("thresholds", {})["database"] = "2s"
        change(document)

    config = reconfigured(estate, estate.directory / "looking.toml", changed)
    async with opened(config) as workspace:
        runbook = find_runbook(workspace.runbooks, book)
        steps = tuple(
            structs.replace(
                step,
                parameters={**step.parameters, **({"stable_for": "0s"} if step.id == "restarted" else {})},
                timeout=timeouts.get(step.id, step.timeout),
            )
            for step in runbook.steps
        )
        environment = LISTS[book]
        runbook = structs.replace(runbook, steps=steps)
        only = [step.id for step in runbook.for_environment(environment) if step.sensed]
        return await sense_once(
            workspace, runbook, environment, only=items or [name for name in only if name not in without]
        )


def amiss(view: RunView) -> dict[str, Level]:
    """What is not well: an item that warns is."""
    return {item.id: item.level for item in view.items if item.open}


def told(view: RunView) -> str:
    return "\n".join(f"{item.id}: {item.level.value}: {item.summary}" for item in view.items)


async def assert_go(estate: Estate, *books: str, without: Collection[str] = ()) -> None:
    for book in books:
        view = await look(estate, book, without=without)
        assert amiss(view) == {}, told(view)
        assert sensed_verdict(view) is Verdict.GO


async def assert_fails_alone(estate: Estate, *cases: Case) -> None:
    """Break one fault in: its items fail, and no others; then mend it."""
    first = cases[0]
    await faults.break_in(estate.directory, first.fault, environment=first.environment)
    for case in cases:
        await assert_seen(estate, case)
    await faults.mend(estate.directory, [first.fault])


async def assert_seen(estate: Estate, case: Case) -> None:
    """The case's items fail, and no others."""
    change: Change = _impatient if case.impatient else lambda document: None
    view = await look(estate, case.book, without=case.without, change=change)
    expected = dict.fromkeys(case.fails, Level.FAIL) | dict.fromkeys(case.unknown, Level.UNKNOWN)
    assert amiss(view) == expected, f"{case}\n{told(view)}"
    item = view.item(case.fails[0])
    assert item is not None and case.says in item.summary, item
    assert sensed_verdict(view) is Verdict.NO_GO
    assert any(finding.evidence for finding in item.findings), item
    assert item.command or item.id == "on-call-available", item  # which stands in muva.toml alone


def _impatient(document: dict[str, Any]) -> None:
    document["health"]["timeout"] = "1s"
    for environment in document["environments"].values():
        environment.setdefault("thresholds", {})["response"] = "1s"


def grouped(cases: tuple[Case, ...]) -> list[list[Case]]:
    """The cases that one break serves, together: the same fault in the same environment."""
    found: dict[tuple[str, str | None], list[Case]] = {}
    for case in cases:
        found.setdefault((case.fault, case.environment), []).append(case)
    return list(found.values())
