"""Where the cursor is led: to the first act that is needed, not to the first that was found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from muva_console.ops.readings import Level, Verdict, utc_now
from muva_console.ops.runbooks.model import Step
from muva_console.ops.runbooks.standing import ItemView, RunView, State
from muva_console.ops.walking.moves import act_needed


def view(port: State, start: State, *, next: str) -> RunView:
    """A run with a check, and two acts in their order."""

    def item(id: str, state: State, operation: str = "") -> ItemView:
        step = Step(id=id, title=id, section="s", why="w", check="c", operation=operation)
        return ItemView(step=step, level=Level.UNKNOWN, state=state, summary="")

    items = (item("processes", State.ASKING), item("port", port, "port-clear"), item("start", start, "start"))
    run = cast(Any, SimpleNamespace())
    return RunView(run=run, at=utc_now(), items=items, verdict=Verdict.NO_GO, between=(), next=next)


@pytest.mark.parametrize("port", [State.NOT_ASKED, State.ASKING])
def test_an_act_is_not_led_to_before_one_above_it_was_looked_at(port: State) -> None:
    assert act_needed(view(port, State.PENDING, next="start")) == ""


def test_the_first_that_is_needed_is_led_to() -> None:
    assert act_needed(view(State.PENDING, State.PENDING, next="port")) == "port"
    assert act_needed(view(State.SENSED, State.PENDING, next="start")) == "start", (
        "checks above may still run"
    )
    assert act_needed(view(State.SENSED, State.SENSED, next="start")) == ""
    assert act_needed(view(State.SENSED, State.SENSED, next="")) == ""
