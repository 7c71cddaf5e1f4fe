"""The log view in its states, at 80×24."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from textual.pilot import Pilot

from muva_console.ops.logs.assemble import LineAssembler
from muva_console.ops.logs.buffer import LogBuffer, LogState
from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Origin, Stream, note
from muva_console.widgets import log_lines
from muva_console.widgets.theme import DARK, LIGHT, MONO, SIXTEEN
from tests.logs.helpers import until
from tests.logs.view_app import LogApp

Compare = Callable[..., bool]
NOON = 1_762_344_000_000
SINCE = datetime(2025, 11, 5, 12, 0, 0, tzinfo=UTC)

ACCOUNT = """\
   ▲ Next.js 15.0.3
   - Local:        http://localhost:3000
 ✓ Starting...
 ✓ Ready in 1184ms
 GET /api/health 200 in 8ms
 GET /api/accommodations?from=2025-11-05&to=2025-11-09&guests=2&tenant=simmerdown 200 in 92ms
chat message 8812 delivered to tenant simmerdown, channel web, 312 tokens
 GET /api/health/db 200 in 11ms
"""
TROUBLE = """\
 ⨯ Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)
    at TCPConnectWrap.callbackTrampoline (node:internal/async_hooks:130:17) {
  errno: -111,
  code: 'ECONNREFUSED',
}
(node:2211) [DEP0040] DeprecationWarning: The `punycode` module is deprecated.
"""


def told(
    text: str, at_ms: int, *, name: str = "muva-production", stream: Stream = Stream.OUT
) -> list[LogLine]:
    assembler = LineAssembler(Origin("vps", name, stream))
    return assembler.feed(text, at_ms)


def ring() -> LogBuffer:
    made = LogBuffer()
    old = Origin("vps", "muva-production", Stream.OUT)
    made.append(
        [
            LogLine(old, "an old line of which nobody knows when"),
            LogLine(
                old, "the last one before the file changed", LogLevel.NONE, NOON - 60_000, Clock.ESTIMATED
            ),
        ]
    )
    for turn in range(4):
        made.append(told(ACCOUNT, NOON + turn * 5000))
        made.append(told(" GET /api/health/db 200 in 9ms\n", NOON + turn * 5000 + 500, name="muva-staging"))
        if turn == 2:
            made.append(told(TROUBLE, NOON + turn * 5000 + 900, stream=Stream.ERR))
    made.set_state(LogState(host="vps", live=True, detail="live by PM2's bus", since=SINCE))
    return made


async def typed(pilot: Pilot[None], *keys: str) -> None:
    app = pilot.app
    assert isinstance(app, LogApp)
    await pilot.pause()
    await until(lambda: app.view.caught_up)
    await pilot.press(*keys)
    await pilot.pause()
    await until(lambda: app.view.caught_up)
    await pilot.pause()


def keys(*pressed: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def run(pilot: Pilot[None]) -> None:
        await typed(pilot, *pressed)

    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK", "FLOOD_TICK", "READING_TICK"):
        monkeypatch.setattr(log_lines, name, 0.01)


@pytest.mark.parametrize("theme", [DARK, LIGHT, SIXTEEN, MONO])
def test_following(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(LogApp(ring(), theme=theme), terminal_size=(80, 24), run_before=keys())


def test_empty(snap_compare: Compare) -> None:
    made = LogBuffer()
    made.set_state(LogState(host="vps", live=False, detail="reading the history", since=SINCE))
    assert snap_compare(LogApp(made), terminal_size=(80, 24), run_before=keys())


def test_reading_with_new_lines_pending(snap_compare: Compare) -> None:
    made = ring()

    async def run(pilot: Pilot[None]) -> None:
        await typed(pilot, "pageup")
        made.append(told(ACCOUNT * 16 + "one\ntwo\nthree\nfour\n", NOON + 30_000))
        await typed(pilot)

    assert snap_compare(LogApp(made), terminal_size=(80, 24), run_before=run)


def test_paused(snap_compare: Compare) -> None:
    made = ring()

    async def run(pilot: Pilot[None]) -> None:
        await typed(pilot, "p")
        made.append(told(ACCOUNT, NOON + 30_000))
        await typed(pilot)

    assert snap_compare(LogApp(made), terminal_size=(80, 24), run_before=run)


def test_filtered(snap_compare: Compare) -> None:
    run = keys("slash", *"/GET .* 200/", "enter")
    assert snap_compare(LogApp(ring()), terminal_size=(80, 24), run_before=run)


def test_a_filter_that_is_none(snap_compare: Compare) -> None:
    run = keys("slash", *"/GET (/", "enter")
    assert snap_compare(LogApp(ring()), terminal_size=(80, 24), run_before=run)


@pytest.mark.parametrize("theme", [DARK, MONO])
def test_selecting_from_an_error_on(snap_compare: Compare, theme: str) -> None:
    run = keys("[", "shift+down", "shift+down")
    assert snap_compare(LogApp(ring(), theme=theme), terminal_size=(80, 24), run_before=run)


def test_wrapped(snap_compare: Compare) -> None:
    assert snap_compare(LogApp(ring()), terminal_size=(80, 24), run_before=keys("w", "t"))


def test_connection_lost(snap_compare: Compare) -> None:
    made = ring()
    made.append([note("vps", "connection lost for 12 s, lines may be missing", at_ms=NOON + 40_000)])
    made.append(told(ACCOUNT[:60], NOON + 41_000))
    lost = "vps: no answer within 8 s"
    made.set_state(LogState(host="vps", live=False, detail="connection lost", since=SINCE, error=lost))
    assert snap_compare(LogApp(made), terminal_size=(80, 24), run_before=keys())


def test_in_ascii(snap_compare: Compare) -> None:
    app = LogApp(ring(), theme=MONO, ascii_only=True)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("["))


def test_narrow(snap_compare: Compare) -> None:
    assert snap_compare(LogApp(ring()), terminal_size=(48, 14), run_before=keys("pageup"))
