"""The Deploy screen on made-up runs: pictures of its states, and what its keys do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.ops.deploys.lock import Lock, Owner
from muva_console.ops.deploys.moments import job_moments, log_moments, run_moments
from muva_console.ops.deploys.timeline import Moment, Source, Timeline
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.github_runs import Job, PendingDeployment, WorkflowRun
from muva_console.ops.logs.model import LogLevel
from muva_console.ops.walking import leading
from muva_console.screens import deploy, deploy_acts
from muva_console.screens.checklist import Checklist
from muva_console.screens.deploy import Deploy
from muva_console.screens.deploy_read import Deployments
from muva_console.screens.reason import Reason
from tests.checklist.test_checklist import heard, until
from tests.deploys.test_run_checks import AT, job, run_at
from tests.migrations_screen import made
from tests.screens.show_text import text_of
from tests.screens.test_pictures import still

Compare = Callable[..., bool]
LOG = "".join(
    f"{AT + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}.0000000Z {line}\n"
    for second, line in enumerate([
        "##[group]Run pnpm run build", "\x1b[36;1mpnpm run build\x1b[0m", "inside", "##[endgroup]", "built",
        "##[error]Type error: no such module", "then", "##[error]Process completed with exit code 1.",
    ])
)  # fmt: skip
GOOD = run_at("a1b2c3d" + "0" * 33)
GOING = run_at("77ab0c9" + "0" * 33, id=8, number=4, status="in_progress", conclusion="")
FAILED = run_at("9f3e2d1" + "0" * 33, id=9, number=5, attempt=2, conclusion="failure")
WAITS = run_at("77ab0c9" + "0" * 33, id=10, number=6, status="waiting", conclusion="")
PENDING = PendingDeployment(
    environment_id=1, environment="production", can_approve=True, reviewers=("eve-lindqvist",),
    waiting_since=None,
)  # fmt: skip
LOCK = Lock(
    host="vps", held=True, age=300.0,
    owner=Owner(who="eve", host="jump-1", why="deployment to production", token="ab"),
)  # fmt: skip


class Made:
    """A watch that tells what it was made with."""

    def __init__(self, run: WorkflowRun, jobs: Sequence[Job] = (), log: str = "") -> None:
        self.run, self.jobs, self.timeline = run, tuple(jobs), Timeline()
        self.timeline.add([*run_moments(run), *job_moments(jobs)])
        if log:
            self.timeline.add(log_moments(self.jobs[0], log))
        self.begun = 0

    async def follow(self) -> WorkflowRun:
        self.begun += 1
        return self.run


def host_line(number: int, text: str) -> Moment:
    at = int(AT.timestamp() + 20 + number) * 1_000_000
    return Moment(
        source=Source.HOST, stream="host/vps/8", seq=number, at_us=at, order_us=at, text=text,
        level=LogLevel.NONE, where="vps",
    )  # fmt: skip


WATCHES = {
    7: lambda: Made(GOOD, [job("Deploy", "success", ("Build", "success"))]),
    8: lambda: Made(GOING, [job("Deploy", "", ("Build", "success"), ("Deploy to the host", ""))]),
    9: lambda: Made(FAILED, [job("Deploy", "failure", ("Run pnpm run build", "failure"))], LOG),
    10: lambda: Made(WAITS),
}


class World:
    """What is read, and which watches were made."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, Any] = {"runs": (FAILED, GOOD)}
        self.watches: dict[int, Made] = {}

        async def read(_: object, environment: str) -> Deployments:
            return Deployments(environment=environment, **self.known)

        def watch(_: object, run: WorkflowRun) -> Made:
            return self.watches.setdefault(run.id, WATCHES[run.id]())

        patch.setattr(deploy, "read_deployments", read)
        patch.setattr(deploy, "watch_run", watch)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made.Reading(monkeypatch)
    return World(monkeypatch)


def console() -> MuvaApp:
    return made.console(made.pending())


async def opened(app: MuvaApp, pilot: Pilot[Any]) -> Deploy:
    await until(pilot, lambda: app.current_mode == "overview", "the overview")
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.mode_screen, Deploy) and app.mode_screen.is_mounted)
    await still(pilot)
    assert isinstance(app.mode_screen, Deploy)
    return app.mode_screen


SCENES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "runs": ({"runs": (GOOD, FAILED), "locks": (Lock(host="vps", held=False),)}, (200, 60)),
    "going": ({"runs": (GOING, GOOD)}, (120, 40)),
    "failed": ({"runs": (FAILED, GOOD)}, (80, 24)),
    "waiting": ({"runs": (WAITS, GOOD), "waiting": 10, "pending": (PENDING,), "locks": (LOCK,)}, (120, 40)),
    "empty": ({"runs": ()}, (80, 24)),
    "unknown": ({
        "runs_error": LinkError(Fault.REFUSED, "no token", where="GitHub", next="Set GH_TOKEN."),
        "lock_error": LinkError(Fault.REFUSED, "connection refused", where="vps"),
    }, (120, 40)),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_pictures(name: str, snap_compare: Compare, world: World) -> None:
    world.known, size = SCENES[name]

    async def go(pilot: Pilot[Any]) -> None:
        await opened(pilot.app, pilot)  # type: ignore[arg-type]

    assert snap_compare(console(), terminal_size=size, run_before=go)


async def test_the_time_line_by_keys(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        line = screen.line
        await pilot.press("enter", "e")
        assert line.chosen is not None
        assert line.chosen.text == "Type error: no such module"
        await pilot.press("n")
        assert line.chosen.text == "Process completed with exit code 1."
        before = len(line.moments)
        await pilot.press("z")
        assert len(line.moments) == before - 2, "the group's two lines are folded"
        await pilot.press("z", "slash", *"built", "enter")
        assert [one.text for one in line.moments] == ["built"]
        await pilot.press("escape")
        assert len(line.moments) == before
        written: list[str] = []

        def save(text: str) -> Path:
            written.append(text)
            return tmp_path

        monkeypatch.setattr("muva_console.clipboard.save", save)
        await pilot.press("s")
        assert "no such module" in written[0]


async def test_what_comes_moves_no_reader_and_leaving_loses_nothing(world: World) -> None:
    world.known = {"runs": (GOING,)}
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        line, timeline = screen.line, world.watches[8].timeline
        timeline.add([host_line(1, "release unpacked")])
        await until(pilot, lambda: "release unpacked" in text_of(app), "the host's own line, live")
        await pilot.press("enter", "up", "up")
        held = line.chosen
        timeline.add([host_line(0, "between")])
        await until(pilot, lambda: any(one.text == "between" for one in line.moments))
        assert line.chosen == held
        await pilot.press("p")
        timeline.add([host_line(2, "while paused")])
        line.look()
        assert all(one.text != "while paused" for one in line.moments)
        await pilot.press("end")
        await until(pilot, lambda: any(one.text == "while paused" for one in line.moments))
        await pilot.press("1")
        timeline.add([host_line(3, "while away")])
        await pilot.press("3")
        await until(pilot, lambda: "while away" in text_of(app), "what came meanwhile")
        assert world.watches[8].begun == 1, "it was not begun again"


async def test_a_reason_is_asked_before_a_rejection_and_before_a_lock_is_broken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []
    done = asyncio.Event()

    class Planned:
        async def plan(self) -> Any:
            return type("Plan", (), {"target": "run 10"})

    async def operation(_: object, __: str, name: str, parameters: dict[str, str]) -> Planned:
        asked.append((name, parameters))
        return Planned()

    async def act(*_: object) -> None:
        done.set()

    monkeypatch.setattr(deploy_acts, "_operation", operation)

    async def under_way(*_: object) -> str:
        return goes_on

    goes_on = ""
    monkeypatch.setattr(deploy_acts, "act", act)
    monkeypatch.setattr(deploy_acts, "_under_way", under_way)
    world.known = {"runs": (WAITS, GOOD), "waiting": 10, "pending": (PENDING,), "locks": (LOCK,)}
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        for key, name, word in (
            ("x", "deploy-reject", "comment"),
            ("B", "deploy-lock-break", "reason"),
            ("b", "rollback", "reason"),
        ):
            done.clear()
            await pilot.press(key)
            await heard(app, pilot, Reason)
            await pilot.press("enter", *"bad", "enter")
            await heard(app, pilot, Reason)
            await pilot.press("enter")
            await until(pilot, done.is_set, name)
            assert asked[-1] == (name, {word: "bad"})
        done.clear()
        goes_on = "it crashes"
        await pilot.press("b")
        await until(pilot, done.is_set, "what goes on is gone on with, and nothing is asked")
        assert asked[-1] == ("rollback", {"reason": "it crashes"})
        screen.table.choose("7")
        await pilot.pause()
        assert not screen.check_action("decide", (True,)), "only of the run that waits"


async def test_leading_goes_on_with_the_open_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []

    async def open_run(*_: object) -> str:
        return "open"

    monkeypatch.setattr(leading, "deployment_of", lambda *_: "book")
    monkeypatch.setattr(leading, "open_run", open_run)
    monkeypatch.setattr(Checklist, "go_on", lambda _, run: held.append(run))
    monkeypatch.setattr(Checklist, "refreshed", lambda _: None)
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("d")
        await until(pilot, lambda: held == ["open"], "it is gone on with")
        assert app.current_mode == "checklist"
