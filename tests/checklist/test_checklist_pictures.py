"""The checklist in its states, as pictures; and what its questions do, on runs that stand still."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from muva_console.app import MuvaApp
from muva_console.ops.errors import ConfigError, OpsError
from muva_console.ops.operations import Event, EventKind, Plan, Tier
from muva_console.ops.readings import Level
from muva_console.ops.runbooks.run import Word
from muva_console.ops.runbooks.standing import RunView, State
from muva_console.screens.acting import PlanDialog
from muva_console.screens.answering import ByHand, Saying
from muva_console.screens.checklist import Checklist
from muva_console.screens.checklist_text import Enter, enter_does, sayable
from tests.checklist import runs
from tests.checklist.test_checklist import heard, until
from tests.screens import estate as e
from tests.screens.show_text import text_of
from tests.screens.test_pictures import still

Compare = Callable[..., bool]
MISTAKES = ConfigError(
    "2 mistakes in the runbooks",
    where="runbooks",
    mistakes=(
        "pre.toml, step build: there is no check biuld; did you mean build?",
        "pre.toml, step 3: it has neither check, run, operation, attest nor text",
    ),
)


async def shown(app: MuvaApp, pilot: Pilot[Any], view: RunView | None = None) -> runs.FrozenWalk | None:
    """The checklist, with a run in hand that stands still."""
    await until(pilot, lambda: app.current_mode == "overview", "the overview")
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.mode_screen, Checklist) and app.mode_screen.is_mounted)
    await still(pilot)
    walk = runs.hold(app, view) if view is not None else None
    await still(pilot)
    return walk


def picture(
    compare: Compare, app: MuvaApp, size: tuple[int, int], view: RunView | None = None, *keys: str
) -> bool:
    async def go(pilot: Pilot[Any]) -> None:
        await shown(app, pilot, view)
        await pilot.press(*keys)
        await still(pilot)

    return compare(app, terminal_size=size, run_before=go)


def test_half_way(snap_compare: Compare) -> None:
    assert picture(snap_compare, runs.console(), (120, 36), runs.half_way())


def test_at_go_wide(snap_compare: Compare) -> None:
    assert picture(snap_compare, runs.console(), (200, 40), runs.at_go())


def test_no_go_with_an_override_narrow(snap_compare: Compare) -> None:
    assert picture(snap_compare, runs.console(), (80, 24), runs.no_go_overridden())


def test_expired_evidence_in_ascii(snap_compare: Compare) -> None:
    app = runs.console(theme="muva-mono", glyphs="ascii")
    assert picture(snap_compare, app, (100, 30), runs.expired())


def test_the_runs_that_can_be_gone_on_with(snap_compare: Compare) -> None:
    ended = runs.Story("99aa00bb11cc", ago=86400 * 2)
    ended.ended("GO", by="eve", ago=86000)
    entries = (*runs.sensed(runs.Story(), slow=True).entries, *ended.entries)
    assert picture(snap_compare, runs.console(entries=entries), (120, 30))


def test_broken_runbooks_narrow(snap_compare: Compare) -> None:
    app = runs.console(MISTAKES, theme="muva-16")
    assert picture(snap_compare, app, (80, 24))


async def test_a_message_that_cannot_be_sent_is_copied_and_attested() -> None:
    app = runs.console()
    async with app.run_test(size=(100, 30)) as pilot:
        walk = await shown(app, pilot, runs.half_way())
        pane = cast(Checklist, app.mode_screen).walk_pane
        pane.items.choose("team-notification")
        await until(pilot, lambda: "v1.5.0 (77ab0c9)" in text_of(app), "what would be sent")
        await pilot.press("y")
        assert app.clipboard.startswith("*Deployment to production*")
        await pilot.press("enter")
        await heard(app, pilot, ByHand)
        assert "no webhook is configured" in text_of(app)
        await pilot.press("right", "enter")
        await until(pilot, lambda: walk is not None and any(said[0] == "answer" for said in walk.said))
        assert walk is not None
        said = next(said for said in walk.said if said[0] == "answer")
        assert said[1] == ("team-notification", Word.YES)
        assert said[2]["note"] == "sent by hand"


async def test_an_act_is_answered_with_what_happened_once_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(
        operation="notify", title="Post it", environment="production", target="Slack", tier=Tier.CONFIRM,
        commands=(),
    )  # fmt: skip
    ends = [EventKind.FAILED, EventKind.DONE]

    class Performer:
        async def prepare(self, operation: Any) -> Plan:
            return plan

        async def perform(self, *_: Any) -> Any:
            kind = ends.pop(0)
            yield Event(kind=kind, text=f"{kind.value}: #muva-chat-production", at=e.NOW)

    async def operation(self: Any, item: str) -> Any:
        return SimpleNamespace(name="notify")

    monkeypatch.setattr(runs.FrozenWalk, "operation", operation)
    app = runs.console()
    cast(Any, app.workspace).performer = Performer()
    async with app.run_test(size=(100, 30)) as pilot:
        walk = await shown(app, pilot, runs.half_way())
        assert walk is not None
        cast(Checklist, app.mode_screen).walk_pane.items.choose("team-notification")
        for word in ("failed", "done"):
            assert [said for said in walk.said if said[0] == "answer"] == [], "what failed answers nothing"
            await pilot.press("enter")
            await heard(app, pilot, PlanDialog)
            await pilot.press("right", "enter")
            await until(pilot, lambda word=word: f"{word}: #muva" in text_of(app), "the end of the act")  # type: ignore[misc]
            await still(pilot)
            await pilot.press("escape")
        said = [said for said in walk.said if said[0] == "answer"]
        assert [one[2]["note"] for one in said] == ["done: #muva-chat-production"]


async def test_a_journal_that_cannot_be_read_or_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: Any, *_: Any, **__: Any) -> Any:
        raise OpsError("the disk is full", where="/var/lib/muva", next="df -h /var/lib/muva")

    app = runs.console()
    async with app.run_test(size=(120, 36)) as pilot:
        monkeypatch.setattr(runs.Journal, "read", refuse)
        monkeypatch.setattr(runs.FrozenWalk, "answer", refuse)
        await shown(app, pilot)
        words = text_of(app)
        assert "the journal cannot be read" in words
        assert "the disk is full" in words
        assert "Post-deployment, production" in words, "the runbooks are there all the same"
        runs.hold(app, runs.half_way())
        await still(pilot)
        cast(Checklist, app.mode_screen).walk_pane.items.choose("on-call")
        await pilot.press("a")
        first = await heard(app, pilot, Saying)
        await pilot.press(*"eve", "enter")
        await heard(app, pilot, Saying)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not first and "the disk is full" in text_of(app), "why")
        assert cast(Any, app.screen.query_one("#note")).value == "eve", "what was typed is not lost"


async def test_a_key_counts_by_when_it_was_pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    item = next(item for item in runs.half_way().items if item.id == "on-call")
    dialog = Saying(item, (Word.YES,))
    opened = dialog._opened
    assert not dialog.takes("enter", opened - 1), "pressed before it was there, handled late"
    assert not dialog.takes("enter", opened + 0.3)
    assert not dialog.takes("enter", opened + 0.6), "held since: let go first"
    assert dialog.takes("enter", opened + 1.1)


def test_what_enter_begins_and_what_can_be_said() -> None:
    view = runs.half_way()
    does = {item.id: enter_does(item, ended=False) for item in view.items}
    assert does["performance"] is Enter.SEE
    assert does["team-notification"] is Enter.PERFORM
    assert does["on-call"] is Enter.ANSWER
    old = runs.expired().item("staging-validated")
    assert old is not None
    assert old.state is State.EXPIRED
    assert enter_does(old, ended=False) is Enter.SENSE
    assert {enter_does(item, ended=True) for item in view.items} == {Enter.SEE}
    for item in view.items:
        words = sayable(item, ended=False)
        if item.step.sensed and item.level is Level.OK:
            assert words == {Word.NOT_APPLICABLE} | ({Word.NO} if item.step.attest else set())
        if item.step.sensed and not item.step.attest:
            assert Word.YES not in words
        assert sayable(item, ended=True) == frozenset()
