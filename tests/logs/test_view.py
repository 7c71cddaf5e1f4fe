"""The log view under a reader's hands."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual import events
from textual.pilot import Pilot

from muva_console.ops.logs.buffer import LogBuffer, LogState
from muva_console.ops.logs.index import LogIndex
from muva_console.ops.logs.model import LogLevel, note
from muva_console.ops.readings import utc_now
from muva_console.widgets import log_lines
from muva_console.widgets.log_view import LogView
from muva_console.widgets.theme import MONO, SIXTEEN
from tests.logs.helpers import line, numbered, until
from tests.logs.view_app import LogApp, OtherScreen

SIZE = (80, 12)
LINES = SIZE[1] - 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps, sooner."""
    for name in ("TICK", "FLOOD_TICK", "READING_TICK"):
        monkeypatch.setattr(log_lines, name, 0.01)


@asynccontextmanager
async def showing(
    ring: LogBuffer, *, size: tuple[int, int] = SIZE, theme: str = "muva-dark"
) -> AsyncIterator[tuple[LogApp, Pilot[None]]]:
    app = LogApp(ring, theme=theme)
    async with app.run_test(size=size) as pilot:
        await settled(app, pilot)
        yield app, pilot


async def settled(app: LogApp, pilot: Pilot[None]) -> None:
    """Everything that is in the buffer has been taken up and drawn."""
    view = app.view

    def done() -> bool:
        return view.caught_up

    await pilot.pause()
    await until(done)
    await pilot.pause()


def ring_of(count: int, capacity: int = 100_000) -> LogBuffer:
    ring = LogBuffer(capacity)
    ring.append(numbered(0, count))
    return ring


def follows(app: LogApp) -> bool:
    return app.view.following


def lines_of(app: LogApp) -> list[str]:
    """What is in sight, without the scroll bar."""
    return [row[: SIZE[0] - 1].rstrip() for row in app.rows(status=False)]


def numbers(app: LogApp) -> list[int]:
    """The numbers of the lines in sight."""
    found = []
    for row in app.rows(status=False):
        words = row.split()
        if "line" in words:
            found.append(int(words[words.index("line") + 1]))
    return found


async def test_the_end_is_followed() -> None:
    ring = ring_of(100)
    async with showing(ring) as (app, pilot):
        assert numbers(app) == list(range(100 - LINES, 100))
        ring.append(numbered(100, 3))
        await settled(app, pilot)
        assert numbers(app) == list(range(103 - LINES, 103))
        assert "● following" in app.rows()[-1]


async def test_a_few_lines_stand_at_the_top_and_more_join_below() -> None:
    ring = ring_of(3)
    async with showing(ring) as (app, pilot):
        assert numbers(app) == [0, 1, 2]
        ring.append(numbered(3, 2))
        await settled(app, pilot)
        assert numbers(app) == [0, 1, 2, 3, 4]
        ring.append(numbered(5, 20))
        await settled(app, pilot)
        assert numbers(app) == list(range(25 - LINES, 25))


async def test_new_lines_do_not_move_a_reader_and_are_counted() -> None:
    ring = ring_of(100)
    async with showing(ring) as (app, pilot):
        await pilot.press("pageup", "up")
        before = lines_of(app)
        ring.append(numbered(100, 132))
        await settled(app, pilot)
        assert lines_of(app) == before
        assert "▼ 132 new lines · end follows again" in app.rows()[-1]
        await pilot.press("end")
        await settled(app, pilot)
        assert numbers(app) == list(range(232 - LINES, 232))
        assert follows(app)


async def test_scrolling_down_to_the_end_follows_again() -> None:
    ring = ring_of(100)
    async with showing(ring) as (app, pilot):
        await pilot.press("up", "up")
        ring.append(numbered(100, 1))
        await settled(app, pilot)
        assert not follows(app)
        await pilot.press("down", "down")
        assert not follows(app)
        await pilot.press("down")
        assert follows(app)
        ring.append(numbered(101, 1))
        await settled(app, pilot)
        assert numbers(app)[-1] == 101


async def test_the_mouse_wheel_leaves_the_end_too() -> None:
    ring = ring_of(100)
    async with showing(ring) as (app, pilot):
        wheel = events.MouseScrollUp(app.view, 5, 5, 0, -1, 0, False, False, False, 5, 5)
        app.view.post_message(wheel)
        await until(lambda: not app.view.following)
        await pilot.pause()
        assert numbers(app)[-1] < 99


async def test_a_pause_holds_even_at_the_end() -> None:
    ring = ring_of(100)
    async with showing(ring) as (app, pilot):
        await pilot.press("p")
        before = lines_of(app)
        ring.append(numbered(100, 5))
        await settled(app, pilot)
        assert lines_of(app) == before
        assert "⏸ paused · 5 new lines · p goes on" in app.rows()[-1]
        await pilot.press("pagedown", "pagedown")
        ring.append(numbered(105, 5))
        await settled(app, pilot)
        assert not follows(app)
        await pilot.press("p")
        await settled(app, pilot)
        assert numbers(app)[-1] == 109


async def test_a_reader_keeps_lines_that_leave_the_ring() -> None:
    ring = ring_of(3000, capacity=2000)
    async with showing(ring) as (app, pilot):
        await pilot.press("home")
        await settled(app, pilot)
        before = numbers(app)
        assert before[0] == ring.first_seq
        for start in range(3000, 5000, 250):
            ring.append(numbered(start, 250))
            await settled(app, pilot)
        assert ring.first_seq > before[-1], "they have left"
        assert numbers(app) == before
        assert "▼ 2,000 new lines" in app.rows()[-1]
        for start in range(5000, 20_000, 1000):  # far beyond what is held for a reader
            ring.append(numbered(start, 1000))
        await settled(app, pilot)
        assert numbers(app) == before
        assert "▼ 17,000 new lines" in app.rows()[-1]
        await pilot.press("end")
        await settled(app, pilot)
        assert numbers(app)[-1] == 19_999
        assert app.view.status.total == len(ring)


async def test_following_goes_on_while_the_ring_turns() -> None:
    ring = ring_of(2000, capacity=1000)
    async with showing(ring) as (app, pilot):
        for start in range(2000, 8000, 700):
            ring.append(numbered(start, 700))
            await settled(app, pilot)
            assert numbers(app) == list(range(start + 700 - LINES, start + 700))


async def test_a_filter_is_typed_applied_and_dropped() -> None:
    ring = ring_of(500)
    async with showing(ring) as (app, pilot):
        await pilot.press("slash", *"line 4", "8", "enter")
        await settled(app, pilot)
        assert numbers(app) == list(range(480, 490))
        assert "11 of 500" in app.rows()[-2]
        assert app.focused is app.view
        ring.append(numbered(500, 1))
        ring.append([line("line 48 again")])
        await settled(app, pilot)
        assert numbers(app)[-1] == 48
        await pilot.press("escape")
        await settled(app, pilot)
        assert app.view.status.filter == ""
        assert numbers(app)[-1] == 48
        assert numbers(app)[-2] == 500
        assert "502 lines" in app.rows()[-1]


async def test_what_is_wrong_with_a_filter_is_said_and_the_one_before_stays() -> None:
    ring = ring_of(50)
    async with showing(ring) as (app, pilot):
        assert app.view.set_filter("line 3") == ""
        await settled(app, pilot)
        assert "not a regular expression yet" in app.view.set_filter("/line (/")
        await settled(app, pilot)
        assert numbers(app) == [3, *range(30, 40)]
        assert "not a regular expression yet" in app.rows()[-1]


async def test_an_expression_that_explodes_is_given_up_and_said() -> None:
    ring = LogBuffer()
    ring.append([line("a" * 3000 + "b"), *numbered(1, 5)])
    async with showing(ring) as (app, pilot):
        app.view.set_filter("/(a+)+$/")
        await settled(app, pilot)
        assert numbers(app) == [1, 2, 3, 4, 5]
        assert "takes too long" in app.rows()[-1]


async def test_a_filter_keeps_the_readers_place() -> None:
    ring = ring_of(2000)
    async with showing(ring) as (app, pilot):
        app.view.scroll_to(y=500, animate=False, force=True, immediate=True)
        await pilot.pause()
        top = numbers(app)[0]
        assert top == 500
        app.view.set_filter("!/line \\d*[1-9] /")
        await settled(app, pilot)
        assert numbers(app)[0] == top
        assert not follows(app)


async def test_errors_are_jumped_to() -> None:
    ring = ring_of(200)
    async with showing(ring) as (app, pilot):
        await pilot.press("[")
        await settled(app, pilot)
        assert "▶✖" in "\n".join(app.rows())
        pointed = next(row for row in app.rows() if row.startswith("▶"))
        assert "line 180 " in pointed
        assert not follows(app)
        await pilot.press("[", "[")
        assert any(row.startswith("▶✖") and "line 140 " in row for row in app.rows())
        await pilot.press("]")
        assert any(row.startswith("▶✖") and "line 160 " in row for row in app.rows())
        await pilot.press("]", "]")
        await pilot.pause()
        assert "no error after this" in app.rows()[-1]


async def test_lines_are_selected_and_copied() -> None:
    ring = ring_of(50)
    async with showing(ring) as (app, pilot):
        await pilot.press("t", "t", "up", "v", "v", "up", "shift+up", "shift+up")
        await pilot.pause()
        assert "3 lines selected" in app.rows()[-1]
        await pilot.press("y")
        assert [text.split()[1] for text in app.copied[0].splitlines()] == ["45", "46", "47"]
        await pilot.press("escape", "escape", "y")
        assert len(app.copied[1].splitlines()) == LINES
        await pilot.press("Y", "ctrl+s")
        assert len(app.copied[2].splitlines()) == 50
        assert app.saved == [app.copied[2]]


async def test_copied_lines_carry_their_whole_time() -> None:
    ring = LogBuffer()
    ring.append([line("hello", at_ms=1_762_344_001_250), line("when?")])
    async with showing(ring) as (app, pilot):
        await pilot.press("Y")
        assert app.copied == ["2025-11-05 12:00:01.250Z  hello\n--:--:--  when?"]


async def test_a_click_points_at_a_line() -> None:
    ring = ring_of(50)
    async with showing(ring) as (app, pilot):
        await pilot.click(LogView, offset=(20, 2))
        await pilot.press("y")
        assert f"line {50 - LINES + 2} " in app.copied[0]
        assert not follows(app)


async def test_a_mouse_selection_is_what_stands_there() -> None:
    ring = ring_of(50)
    async with showing(ring) as (app, pilot):
        await pilot.mouse_down(LogView, offset=(13, 1))
        await pilot.hover(LogView, offset=(20, 2))
        await pilot.mouse_up(LogView, offset=(20, 2))
        selected = app.screen.get_selected_text()
        assert selected is not None
        first, second = selected.splitlines()
        assert first.startswith("line 40")
        assert second.endswith("line 41"), second


async def test_wrapping_shows_every_character_once() -> None:
    ring = LogBuffer()
    alphabet = "".join(chr(33 + number * 7 % 90) for number in range(400))
    wide = "".join(chr(0x4E00 + number) for number in range(60))
    ring.append([line(alphabet), line(f"x{wide}")])
    async with showing(ring) as (app, pilot):
        for width in (80, 44):
            await pilot.resize_terminal(width, 60)
            for key in ("w", "t", "t", "t", "w"):
                await pilot.press(key)
                await settled(app, pilot)
                if not app.view.status.wrap:
                    continue
                prefix = app.view.columns.width
                rows = [row[prefix : width - 1].rstrip() for row in app.rows(status=False)]
                whole = "".join(rows)
                assert whole.startswith(alphabet), (width, key)
                assert "".join(whole[len(alphabet) :].split()) == f"x{wide}", (width, key)


async def test_wrapping_keeps_the_place() -> None:
    ring = LogBuffer()
    ring.append([line(f"line {number} {'word ' * 60}end{number}") for number in range(100)])
    async with showing(ring) as (app, pilot):
        await pilot.press("w")
        await settled(app, pilot)
        assert lines_of(app)[-1].endswith("end99")
        await pilot.press(*["up"] * 7)
        top = app.view.top_line
        before = lines_of(app)
        ring.append([line("line 100")])
        await settled(app, pilot)
        assert lines_of(app) == before
        assert top is not None
        for size in ((60, 12), (100, 12)):
            await pilot.resize_terminal(*size)
            await settled(app, pilot)
            assert app.view.top_line == top
        await pilot.press("w")
        await settled(app, pilot)
        await pilot.press("end")
        await settled(app, pilot)
        assert lines_of(app)[-1].endswith("line 100")


async def test_a_long_line_is_scrolled_to_the_side() -> None:
    ring = LogBuffer()
    ring.append([line("0123456789" * 30)])
    async with showing(ring) as (app, pilot):
        await pilot.press("right", "right")
        await pilot.pause()
        assert app.rows()[0].split()[-1].startswith("6789")
        assert "→ 16" in app.rows()[-1]
        await pilot.press("left", "left", "left")
        assert app.rows()[0].split()[-1].startswith("0123")


async def test_levels_are_gone_through() -> None:
    ring = LogBuffer()
    ring.append([line("calm"), line("hm", level=LogLevel.WARN), line("no", level=LogLevel.ERROR)])
    async with showing(ring) as (app, pilot):
        await pilot.press("l")
        await settled(app, pilot)
        assert [row.split()[-1] for row in app.rows()[:2]] == ["hm", "no"]
        await pilot.press("l")
        await settled(app, pilot)
        assert app.view.status.filter == "level:error"
        await pilot.press("l")
        await settled(app, pilot)
        assert app.view.status.filter == ""


async def test_the_process_is_named_once_there_are_two() -> None:
    ring = LogBuffer()
    ring.append([line("one")])
    async with showing(ring) as (app, pilot):
        assert "muva-production" not in "\n".join(app.rows())
        ring.append([line("two", name="muva-staging")])
        await settled(app, pilot)
        assert "muva-production one" in app.rows()[0]
        assert "muva-staging    two" in app.rows()[1]
        await pilot.press("c")
        assert "muva" not in "\n".join(app.rows())


async def test_notes_stand_among_the_lines_whatever_the_filter() -> None:
    ring = LogBuffer()
    ring.append([line("a"), note("vps", "connection lost for 12 s, lines may be missing"), line("b")])
    async with showing(ring) as (app, pilot):
        app.view.set_filter("b")
        await settled(app, pilot)
        assert "— connection lost for 12 s" in app.rows()[0]
        assert app.rows()[1].endswith(" b")


async def test_what_is_not_live_is_not_called_live() -> None:
    ring = ring_of(5)
    async with showing(ring) as (app, pilot):
        ring.set_state(LogState(host="vps", live=True, detail="live by PM2's bus", since=utc_now()))
        await settled(app, pilot)
        assert "live by PM2's bus" in app.rows()[-1]
        ring.set_state(
            LogState(host="vps", live=False, detail="connection lost", since=utc_now(), error="timed out")
        )
        await settled(app, pilot)
        assert "⌛ vps: connection lost, timed out" in app.rows()[-1]
        assert "following" not in app.rows()[-1]


@pytest.mark.parametrize("theme", [SIXTEEN, MONO])
async def test_the_cursor_and_levels_are_seen_without_colour(theme: str) -> None:
    ring = ring_of(50)
    async with showing(ring, theme=theme) as (app, pilot):
        await pilot.press("[")
        pointed = next(row for row in app.rows() if row.startswith("▶"))
        assert pointed.startswith("▶✖")
        styles = [
            segment.style
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None
        ]
        if theme == MONO:
            assert not any(style.color is not None and style.color.triplet is not None for style in styles), (
                "a colour was emitted"
            )


async def test_hostile_lines_do_nothing() -> None:
    ring = LogBuffer()
    ring.append([line("[red]markup[/red] [@click=app.quit]x[/]"), line("wide 你好 text"), line("")])
    async with showing(ring, size=(60, 6)) as (app, pilot):
        assert "[red]markup[/red]" in app.rows()[0]
        assert "wide 你好 text" in app.rows()[1]
        await pilot.press("w")
        await settled(app, pilot)
        assert "[@click=app.quit]x[/]" in "".join(row.strip() for row in app.rows())


async def test_out_of_sight_nothing_is_done_and_in_sight_all_is_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring = ring_of(50)
    async with showing(ring) as (app, pilot):
        looked: list[int] = []
        refresh = LogIndex.refresh

        def counted(index: LogIndex, budget: float = 0.01) -> bool:
            looked.append(1)
            return refresh(index, budget)

        monkeypatch.setattr(LogIndex, "refresh", counted)
        await app.push_screen(OtherScreen())
        await pilot.pause()
        for start in range(50, 200, 10):
            ring.append(numbered(start, 10))
            await pilot.pause()
        await until(lambda: app.view.asleep)
        assert not looked
        app.pop_screen()
        await settled(app, pilot)
        assert numbers(app)[-1] == 199


async def test_a_writer_in_another_thread_wakes_the_view() -> None:
    ring = LogBuffer()
    async with showing(ring) as (app, pilot):

        def write() -> None:
            for start in range(0, 5000, 50):
                ring.append(numbered(start, 50))

        thread = threading.Thread(target=write)
        thread.start()
        await until(lambda: bool(numbers(app)) and numbers(app)[-1] == 4999)
        thread.join()
        await pilot.pause()


async def test_another_buffer_is_shown_with_the_same_filter() -> None:
    ring = ring_of(50)
    async with showing(ring) as (app, pilot):
        app.view.set_filter("line 4")
        await pilot.press("home")
        other = LogBuffer()
        other.append(numbered(400, 5))
        app.view.show(other)
        await settled(app, pilot)
        assert numbers(app) == [400, 401, 402, 403, 404]
        ring.append(numbered(50, 5))
        other.append(numbered(405, 1))
        await settled(app, pilot)
        assert numbers(app)[-1] == 405


async def test_every_binding_has_an_id_and_a_tooltip() -> None:
    ids = set()
    for binding in LogView.BINDINGS:
        assert not isinstance(binding, tuple)
        assert binding.id
        assert binding.tooltip
        ids.add(binding.id)
    assert len(ids) == len(LogView.BINDINGS)
    assert LogView.HELP
