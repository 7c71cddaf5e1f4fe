"""The Emergency screen on made-up diagnoses: pictures of its states, and what its keys do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.engine import Engine
from muva_console.ops.diagnosis.model import Diagnosis, Facts, ProbeState
from muva_console.ops.diagnosis.scenarios import missing, rank
from muva_console.ops.incidents.model import Incident, Severity
from muva_console.ops.readings import Finding, Level
from muva_console.ops.runbooks.load import find_runbook, load_runbooks
from muva_console.ops.runbooks.run import Run
from muva_console.ops.workspace import Workspace
from muva_console.screens import emergency_read
from muva_console.screens.acting import PlanDialog
from muva_console.screens.checklist import Checklist
from muva_console.screens.emergency import Emergency
from muva_console.screens.emergency_read import Around, Look
from tests.checklist.test_checklist import until
from tests.diagnosis.test_scenarios import WELL
from tests.migrations_screen import made
from tests.patience import HANG
from tests.screens import estate as e
from tests.screens.show_text import text_of
from tests.screens.test_pictures import still

Compare = Callable[..., bool]


def finding(check: str, title: str, level: Level, summary: str, subject: str = "vps") -> Finding:
    return Finding(
        check=check, title=title, level=level, summary=summary, subject=subject, at=e.NOW, took_ms=12.0,
        evidence=("what was answered",), command=f"muva health --env production  # {check}",
    )  # fmt: skip


WEB = ProbeState(name="api-health", done=True, findings=(
    finding("api-health", "API health", Level.FAIL, "answers 500: unhealthy in 40 ms; database: ECONNREFUSED",
            "https://simmerdown.muva.chat/api/health"),
))  # fmt: skip
DATABASE = ProbeState(name="database", done=True, findings=(
    finding("database", "Database connectivity", Level.FAIL, "asked from here: connection refused", "here"),
))  # fmt: skip
PROCESSES = ProbeState(name="processes", done=True, findings=(
    finding("processes", "Processes", Level.OK, "muva-production is up for 12 d", "muva-production on vps"),
))  # fmt: skip
ASKED = ProbeState(name="resources", title="Host resources", waits_on="SSH to vps")
AWAY = tuple(
    ProbeState(name=name, done=True, findings=(finding(name, title, level, summary),))
    for name, title, level, summary in (
        ("api-health", "API health", Level.FAIL, "no answer: timed out"),
        ("processes", "Processes", Level.UNKNOWN, "waits on SSH: no answer within 5 s"),
        ("resources", "Host resources", Level.UNKNOWN, "waits on SSH: no answer within 5 s"),
        ("database", "Database connectivity", Level.UNKNOWN, "waits on SSH: no answer within 5 s"),
    )
)
NOT_KNOWN = structs.replace(
    WELL, web=False, local=None, ssh=None, pm2=None, database=None, database_free=None, stopped=None
)
DOWN = structs.replace(WELL, web=False, local=False, database=False, looping=True)
INCIDENT = Incident(
    id=142, environment="production", title="The database is not reachable", severity=Severity.CRITICAL,
    roles={"commander": "dana"}, opened_at=e.NOW - timedelta(minutes=2), opened_by="dana",
    onset=e.NOW - timedelta(minutes=3),
)  # fmt: skip


def tried(book: str, ended: bool = False) -> Run:
    at = e.NOW - timedelta(minutes=4)
    return Run(
        id="ab12", runbook=find_runbook(load_runbooks(), book), environment="production", begun_by="eve",
        begun_at=at, items=(), ended_at=at if ended else None, outcome="no-go" if ended else "",
    )  # fmt: skip


SCENES: dict[str, tuple[tuple[ProbeState, ...], Facts | None, Around, tuple[int, int]]] = {
    "running": ((WEB, DATABASE, ASKED), None, Around(), (120, 40)),
    "done": ((WEB, DATABASE, PROCESSES), DOWN, Around(incident=INCIDENT), (120, 40)),
    "tried": (
        (WEB, DATABASE, PROCESSES), DOWN,
        Around(incident=INCIDENT, tried=(tried("emergency-database", ended=True),)), (200, 60),
    ),
    "undecided": ((WEB, *AWAY[1:]), NOT_KNOWN, Around(kept="the verdict is not in the journal"), (80, 24)),
    "outage": (AWAY, Facts(web=False, ssh=False), Around(incident=INCIDENT), (80, 24)),
    "healthy": ((PROCESSES,), WELL, Around(), (80, 24)),
}  # fmt: skip


class World:
    """What a look comes to; none is asked of anything."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.scene = SCENES["done"]
        self.looks = 0

        async def run(look: Look, _: object) -> None:
            self.looks += 1
            states, facts, around, _size = self.scene
            look.states = {state.name: state for state in states}
            look.around = around
            if facts is None:
                return
            scenarios = rank(facts)
            look.diagnosis = Diagnosis(
                environment=look.environment, scenarios=scenarios,
                findings=tuple(one for state in states for one in state.findings), at=e.NOW, took_ms=2100.0,
                cannot_tell="" if scenarios else "cannot tell, because this is not known: "
                + ", ".join(missing(facts)),
            )  # fmt: skip
            look.ended = look.began

        patch.setattr(emergency_read.Look, "run", run)


class Clock:
    """Seconds that stand still."""

    @staticmethod
    def monotonic() -> float:
        return 1000.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made.Reading(monkeypatch)
    monkeypatch.setattr("muva_console.screens.emergency.time", Clock)
    monkeypatch.setattr("muva_console.screens.emergency_read.time", Clock)
    return World(monkeypatch)


def console() -> MuvaApp:
    app = made.console(made.pending())
    app.workspace.runbooks = load_runbooks()
    return app


async def opened(app: MuvaApp, pilot: Pilot[Any]) -> Emergency:
    await until(pilot, lambda: app.current_mode == "overview", "the overview")
    await pilot.press("exclamation_mark")
    await until(pilot, lambda: isinstance(app.mode_screen, Emergency) and app.mode_screen.is_mounted)
    screen = app.mode_screen
    assert isinstance(screen, Emergency)
    await until(pilot, lambda: bool(screen.seen.rows), "what was seen")
    await still(pilot)
    return screen


@pytest.mark.parametrize("name", SCENES)
def test_pictures(name: str, snap_compare: Compare, world: World) -> None:
    world.scene = SCENES[name]

    async def go(pilot: Pilot[Any]) -> None:
        await opened(pilot.app, pilot)  # type: ignore[arg-type]

    assert snap_compare(console(), terminal_size=world.scene[3], run_before=go)


async def test_the_cursor_stands_on_what_was_not_tried_yet(world: World) -> None:
    world.scene = SCENES["tried"]
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        assert [row.key for row in screen.thought.rows] == ["database-connectivity", "crash-loop"]
        assert screen.scenario is not None and screen.scenario.id == "crash-loop"
        await pilot.press("up")
        await still(pilot)
        assert "begun 4 m ago by eve, ended: no-go" in text_of(app)
        before = world.looks
        await pilot.press("r")
        await until(pilot, lambda: world.looks == before + 1, "looked again")
        assert "note" in text_of(app).splitlines()[-1]


async def test_what_was_seen_leads_to_its_evidence(world: World) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        screen.seen.focus()
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 2, "the evidence")
        await still(pilot)
        assert "what was answered" in text_of(app)
        await pilot.press("escape")
        items = {item.what: item.text for item in screen.copy_items()}
        assert "1. The database is not reachable (very likely)" in items["the diagnosis, for the team"]
        assert items["the command behind it"].endswith("# api-health")


async def test_from_down_to_up_by_keys_on_an_estate(
    breakable_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = breakable_estate
    monkeypatch.setattr(PlanDialog, "DEAF", 0.0)
    await faults.break_in(estate.directory, "process-stopped")
    engine = Engine()
    engine.start()
    workspace = Workspace(load(estate.config))
    app = MuvaApp(workspace, engine, environment="production", environ={"TERM": "xterm"}, live=False)
    try:
        async with app.run_test(size=(120, 40)) as pilot, asyncio.timeout(3 * HANG):
            await until(pilot, lambda: app.current_mode == "overview", "the overview")
            await pilot.press("exclamation_mark")
            await until(pilot, lambda: "A process is stopped" in text_of(app), "the verdict")
            screen = app.mode_screen
            assert isinstance(screen, Emergency)
            await until(pilot, lambda: screen.around.incident is not None, "an incident is open")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.mode_screen, Checklist), "the runbook")
            await until(pilot, lambda: "▸ ◌ yours        Start it" in text_of(app), "the act is offered")
            await pilot.press("enter")
            await until(pilot, lambda: "Type production to do it" in text_of(app), "the plan")
            await pilot.press(*"production", "enter", "enter")
            await until(pilot, lambda: "healthy" in text_of(app).splitlines()[0], "it is back")
            await pilot.press("escape")
            await until(
                pilot,
                lambda: "● ok           Healthy several times" in text_of(app),
                "and the runbook says so",
            )
    finally:
        await asyncio.to_thread(engine.stop, workspace.close)
        await faults.mend(estate.directory)
