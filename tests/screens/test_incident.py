"""The incident in hand, read from the journal's screen by one key."""

from __future__ import annotations

from typing import Any

import pytest

from muva_console.ops.incidents.fold import act_of, as_text
from muva_console.ops.journal.model import Entry, Kind
from muva_console.screens.reader import Reader
from muva_console.widgets.panel import Panel
from tests.screens import estate as e
from tests.screens.test_behaviour import in_mode, toasts, until
from tests.screens.test_pictures import NARROW, NORMAL, WIDE, Compare, calm, shown


def said(number: int, turn: str, *, minutes: float, **more: Any) -> Entry:
    data = {"turn": turn, **more.pop("data", {})}
    kind = more.pop("kind", Kind.INCIDENT)
    act = act_of("production")
    return e.entry(number, kind, act, minutes=minutes, act=act, data=data, **more)


def outage() -> e.Estate:
    """It began nine minutes ago; dana leads, eve has restarted it, and a guest called."""
    made = calm()
    began = e.entry(50, Kind.NOTE, "x", minutes=9).at
    made.journal = e.FrozenJournal(
        (
            e.entry(
                39,
                Kind.FINDING,
                "diagnosis production",
                minutes=8.8,
                text="A process crashes again and again (crash-loop, very likely)",
                data={"state": "red", "scenarios": ["crash-loop"]},
            ),
            said(
                40,
                "opened",
                minutes=8.7,
                text="opened with the first red verdict: A process crashes again and again",
                data={
                    "title": "A process crashes again and again",
                    "severity": "critical",
                    "automatic": True,
                    "onset": as_text(began),
                    "onset_source": "sensed: the first red verdict; seen healthy last at 14:21:00 UTC",
                },
            ),
            *e.ENTRIES,
            said(
                46,
                "role",
                minutes=2,
                ref=40,
                engineer="dana",
                text="commander: nobody → dana",
                data={"role": "commander", "to": "dana"},
            ),
            said(47, "", kind=Kind.NOTE, minutes=1, ref=40, text="a guest calls: [red]no rates[/red]"),
        )
    )
    return made


@pytest.mark.parametrize("size", [NARROW, NORMAL, WIDE], ids=["narrow", "normal", "wide"])
def test_an_incident_in_the_journal(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert shown(snap_compare, outage(), "journal", size, "i")


async def test_i_reads_the_incident_in_hand_or_says_that_there_is_none() -> None:
    app = outage().app()
    async with app.run_test(size=(120, 36)) as pilot:
        await in_mode(app, pilot, "journal")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, Reader), "the reader")
        await until(pilot, lambda: "a guest calls" in app.screen.query_one("#text", Panel).text())
        told = app.screen.query_one("#text", Panel).text()
        assert "[red]no rates[/red]" in told, "text, never markup"
        assert "dana" in told.split("commander")[1].split("\n")[0]
        assert "muva incident postmortem --id 40" in told
    app = calm().app()
    async with app.run_test(size=(120, 36)) as pilot:
        await in_mode(app, pilot, "journal")
        await pilot.press("i")
        await until(pilot, lambda: "has no incident in this journal" in toasts(app))
