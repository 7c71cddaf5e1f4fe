"""The Overview's line for whoever is on duty."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from muva_console.config.release import OnCall, Shift, Window
from muva_console.ops.health.words import floored
from muva_console.screens.duty import duty_line
from tests.screens import estate as e


class Board:
    """What the line asks of a board."""

    def __init__(self, window: Window, on_call: OnCall, now: datetime) -> None:
        from types import SimpleNamespace

        self.workspace = SimpleNamespace(config=SimpleNamespace(window=window, on_call=on_call))
        self._now = now

    def now(self) -> datetime:
        return self._now

    def unseen_alerts(self) -> tuple[Any, ...]:
        return ()


def told(now: datetime, *, window: Window | None = None, on_call: OnCall | None = None) -> str:
    board: Any = Board(window or Window(), on_call or OnCall(), now)
    line = duty_line(board, 118)
    return "" if line is None else line.plain


def test_nothing_is_said_where_nothing_is_configured() -> None:
    assert told(e.NOW) == ""


def test_the_window_and_the_rota_with_their_ends() -> None:
    window = Window(hours=("09:00-12:00",), days=("mon", "tue", "wed", "thu"))
    shift = Shift(name="@dana", start="2025-11-05T00:00+00:00", end="2025-11-05T08:00+00:00")
    at = datetime(2025, 11, 5, 3, 0, tzinfo=UTC)  # a Wednesday
    assert "closed until 09:00 UTC, 6 h" in told(at, window=window)
    assert "@dana until 08:00 UTC, 5 h" in told(at, on_call=OnCall(shifts=(shift,)))
    later = datetime(2025, 11, 5, 10, 0, tzinfo=UTC)
    assert "open until 12:00 UTC" in told(later, window=window)
    assert "on call  nobody" in told(later, on_call=OnCall(shifts=(shift,)))
    friday = datetime(2025, 11, 7, 10, 0, tzinfo=UTC)
    assert "closed until Mon 10 09:00 UTC" in told(friday, window=window)
    long = Shift(name="@eve", start="2025-11-01T00:00+00:00", end="2025-12-01T08:00+00:00")
    assert "@eve until 01 Dec 08:00 UTC" in told(at, on_call=OnCall(shifts=(long,)))


def test_a_freeze_is_called_one() -> None:
    window = Window(freeze=("2025-11-01/2025-11-06",))
    assert "frozen until Fri 07 00:00 UTC" in told(e.NOW, window=window)


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.99999, "99.99 %"), (0.99912, "99.91 %"), (0.0, "0.00 %")]
)
def test_availability_is_never_rounded_up(share: float, text: str) -> None:
    assert floored(share) == text
