"""The parts of the screens: what fits, how numbers are told, what a terminal can show, what changed."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.content import Content

from muva_console.clipboard import copy, save
from muva_console.ops.feed import Snapshot
from muva_console.ops.health.memory import API, Memory
from muva_console.ops.readings import Level
from muva_console.screens.changes import Changes, health_changes, process_changes
from muva_console.widgets.filters import Ascii, Colourless, Sixteen, to_ascii
from muva_console.widgets.fit import Part, fit, wrapped
from muva_console.widgets.format import age, duration, lasting, milliseconds, size
from muva_console.widgets.plot import plot
from muva_console.widgets.spark import buckets, gauge, sparkline
from muva_console.widgets.table import Column, _widths
from muva_console.widgets.theme import ascii_only, choose
from tests.screens import estate as e

PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z", "M")), max_size=30)


@given(st.lists(st.tuples(PRINTABLE, st.integers(0, 100)), max_size=6), st.integers(1, 120))
def test_a_line_is_as_wide_as_it_must_be_and_the_least_important_falls_first(
    parts: list[tuple[str, int]], width: int
) -> None:
    line = fit([Part(Content(text), keep) for text, keep in parts], [], width)
    assert line.cell_length == width
    if parts and sum(cell_len(text) for text, _ in parts) + len(parts) <= width:
        assert all(text in line.plain for text, _ in parts)


def test_what_is_kept_longest_is_there_last() -> None:
    parts = [Part(Content("project"), 30), Part(Content("PRODUCTION"), 100), Part(Content("since"), 50)]
    assert fit(parts, [], 24).plain.rstrip() == "project PRODUCTION since"
    assert fit(parts, [], 18).plain.rstrip() == "PRODUCTION since"
    assert fit(parts, [], 12).plain.rstrip() == "PRODUCTION"


@given(PRINTABLE.filter(lambda text: len(text) > 0), st.integers(6, 60))
def test_wrapping_loses_nothing_and_stays_within(text: str, width: int) -> None:
    lines = wrapped([Content(text)], width)
    assert all(line.cell_length <= width for line in lines)
    assert "".join(line.plain.strip() for line in lines) == text.strip()


def test_what_goes_on_begins_below_its_text() -> None:
    lines = wrapped([Content("seen      GET https://muva.chat answered 500")], 30)
    assert [line.plain for line in lines] == [
        "seen      GET",
        "          https://muva.chat",
        "          answered 500",
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (duration(8), "8 s"),
        (duration(252), "4m 12s"),
        (duration(7500), "2h 05m"),
        (duration(12 * 86400 + 3 * 3600), "12d 3h"),
        (duration(None), "–"),
        (lasting(3), "now"),
        (lasting(133), "2m 10s"),
        (lasting(780), "13m"),
        (age(3), "now"),
        (age(14), "10 s"),
        (age(125), "2 m"),
        (milliseconds(0.42), "0.4 ms"),
        (milliseconds(82.4), "82 ms"),
        (milliseconds(1234), "1.2 s"),
        (size(1024**3), "1.0 G"),
        (size(182 * 1024**2), "182 M"),
        (size(1023 * 1024), "1 M"),
    ],
)
def test_numbers_are_told_as_a_colleague_would(told: str, expected: str) -> None:
    assert told == expected


@given(st.text(st.characters(exclude_categories=("C", "M")), max_size=60))
def test_ascii_twins_take_the_same_room(text: str) -> None:
    twin = to_ascii(text)
    assert twin.isascii()
    assert cell_len(twin) == cell_len(text)


def test_every_sign_of_the_console_has_a_twin_of_its_own() -> None:
    signs = "●▲✖◌◐⏸⌛▸"
    twins = [to_ascii(sign).strip() for sign in signs]
    assert "?" not in twins  # that is unknown's own
    assert len(set(twins)) == len(twins)


def test_filters_keep_what_a_theme_promises() -> None:
    segment = Segment("●x", Style.parse("bold #ff6b66 on #102030"))
    black = Color(0, 0, 0)
    style = Colourless().apply([segment], black)[0].style
    assert style is not None
    assert style.bold
    assert style.color is not None
    assert style.color.is_default
    style = Sixteen().apply([segment], black)[0].style
    assert style is not None
    assert style.color is not None
    assert style.color.triplet is None
    assert Ascii().apply([segment], black)[0].text == "*x"


@pytest.mark.parametrize(
    ("wanted", "environ", "theme"),
    [
        ("muva-dark", {"TERM": "xterm-256color"}, "muva-dark"),
        ("muva-light", {"TERM": "tmux-256color"}, "muva-light"),
        ("muva-dark", {"TERM": "xterm", "COLORTERM": "truecolor"}, "muva-dark"),
        ("muva-dark", {"TERM": "xterm"}, "muva-16"),
        ("muva-dark", {"TERM": "linux"}, "muva-16"),
        ("muva-dark", {"TERM": "dumb", "COLORTERM": "truecolor"}, "muva-mono"),
        ("muva-dark", {"TERM": "xterm-256color", "NO_COLOR": "1"}, "muva-mono"),
        ("muva-dark", {"TERM": "xterm-256color", "NO_COLOR": ""}, "muva-dark"),
        ("muva-16", {"TERM": "xterm-256color"}, "muva-16"),
        ("solarized", {"TERM": "xterm-256color"}, "muva-dark"),
        ("muva-dark", {}, "muva-16"),
    ],
)
def test_the_theme_is_one_that_the_terminal_can_show(
    wanted: str, environ: dict[str, str], theme: str
) -> None:
    assert choose(wanted, environ) == theme


@pytest.mark.parametrize(
    ("wanted", "environ", "ascii_"),
    [
        ("auto", {"LANG": "de_DE.UTF-8"}, False),
        ("auto", {"LANG": "C"}, True),
        ("auto", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ("auto", {"LANG": "en_US.ISO-8859-1"}, True),
        ("auto", {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ("auto", {"LANG": "C.UTF-8"}, False),
        ("auto", {}, False),
        ("ascii", {"LANG": "en_US.UTF-8"}, True),
        ("unicode", {"LANG": "C"}, False),
    ],
)
def test_glyphs_give_way_where_the_locale_has_none(
    wanted: str, environ: dict[str, str], ascii_: bool
) -> None:
    assert ascii_only(wanted, environ, "utf-8") is ascii_


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e5)), max_size=80), st.integers(0, 60))
def test_buckets_keep_spikes_and_gaps(values: list[float | None], width: int) -> None:
    found = buckets(values, width)
    assert len(found) == width
    known = [value for value in values if value is not None]
    if known and 0 < width <= len(values):
        assert max(value for value in found if value is not None) == max(known)
    if not known:
        assert set(found) <= {None}


def test_a_sparkline_shows_gaps_failures_and_levels() -> None:
    line = sparkline(
        [None, 10, None, None, 100], 5, levels=[None, Level.OK, None, Level.FAIL, Level.WARN], ceiling=100
    )
    assert line.plain == " ▁·✖█"
    styles = {span.style for span in line.spans}
    assert "$t-warn" in styles
    assert "$t-hot" in styles


def test_a_plot_leaves_gaps_open() -> None:
    lines = plot([10.0] * 10 + [None] * 10 + [10.0] * 10, 39, 4, limit=50.0, ceiling=60.0)
    assert len(lines) == 4
    assert all(line.cell_length == 39 for line in lines)
    bottom = lines[-1].plain[9:]
    assert set(bottom[11:18]) == {" "}
    assert set(bottom[0:8]) & {" "} == set()


def test_a_gauge_is_bad_news_only_beyond_its_limit() -> None:
    assert "$t-warn" not in {span.style for span in gauge(0.5, 10, limit=0.9).spans}
    assert "$t-warn" in {span.style for span in gauge(0.95, 10, limit=0.9).spans}
    assert gauge(None, 10).plain == "not known"


def test_columns_fall_away_in_the_chosen_order_and_the_flexible_one_takes_the_rest() -> None:
    columns = [Column("a", 10, keep=100), Column("b", 10, keep=10), Column("c", 10, flex=True, keep=90)]
    assert _widths(columns, 60) == [10, 10, 36]
    assert _widths(columns, 30) == [10, 0, 18]
    assert _widths(columns, 15) == [10, 0, 0]


def test_what_changed_is_told_from_two_readings() -> None:
    before = e.calm_processes()
    after = replace_processes(before)
    told = [change.text for change in process_changes("production", before, after)]
    assert told == [
        "muva-production on vps: online → errored",
        "muva-production on vps restarted 14 times in 30 s (SIGKILL)",
        "muva-new was added to PM2 on vps",
        "muva-staging is gone from PM2 on vps",
    ]


def replace_processes(before: Any) -> Any:
    from msgspec.structs import replace as with_

    first, second, _ = before.processes
    first = with_(first, status="errored", restarts=first.restarts + 14, last_signal="SIGKILL")
    added = e.process("muva-new", 9)
    return with_(before, processes=(first, second, added), at=before.at + timedelta(seconds=30))


def test_findings_that_change_their_level_are_changes() -> None:
    ill, well = e.report("production", e.troubled()), e.report("production", e.healthy("production"))
    told = health_changes("production", ill, well)
    assert told[-1].text == "production is healthy again"
    assert [change.level for change in health_changes("production", well, ill)].count(Level.FAIL) == 2
    assert health_changes("production", well, well) == []


def test_three_failures_make_it_down_and_history_keeps_the_worst_of_slow_and_failed() -> None:
    memory = Memory(e.config().health)
    for number in range(3):
        memory.take(e.report("production", e.troubled(), api=910.0), 100.0 + number * 30)
        state = memory.state(API)
        assert state is not None
        assert state.is_down is (number == 2)
    slow = [each for each in e.healthy("production") if each.check != "performance"]
    slow.append(e.finding("performance", Level.WARN, "slow"))
    memory.take(e.report("production", tuple(slow)), 300.0)
    last = memory.history[API].last
    assert last is not None
    assert last.level is Level.WARN


# ------------------------------------------------------------------- clipboard


def test_a_saved_copy_is_its_owners_alone(tmp_path: Path) -> None:
    path = save("secret-free\ntext", folder=tmp_path / "copies")
    assert path.read_text() == "secret-free\ntext\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Told:
    """Takes what would go to the terminal."""

    text = ""

    def copy_to_clipboard(self, text: str) -> None:
        self.text = text


async def test_without_tmux_the_terminal_is_told() -> None:
    told: Any = Told()
    assert "OSC 52" in await copy(told, "pm2 ls", {})
    assert told.text == "pm2 ls"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here")
async def test_within_tmux_its_buffer_gets_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "tmux"
    tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "sleep 30"], check=True)
    try:
        monkeypatch.setenv("TMUX", f"{socket},{os.getpid()},0")
        told: Any = Told()
        assert await copy(told, "pm2 restart muva-production") == "handed to tmux"
        shown = await asyncio.to_thread(
            subprocess.run, [*tmux, "show-buffer"], check=True, capture_output=True, text=True
        )
        assert shown.stdout == "pm2 restart muva-production"
        assert told.text == ""
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


async def test_a_tmux_that_is_gone_leaves_the_terminal(tmp_path: Path) -> None:
    told: Any = Told()
    way = await copy(told, "x", {"TMUX": f"{tmp_path / 'nothing'},1,0"})
    assert "OSC 52" in way or "tmux" in way
    assert told.text == "x" or way == "handed to tmux"


def test_what_happens_to_another_environments_process_is_its_own_news() -> None:
    """A host keeps the processes of several environments."""
    changes = Changes()
    before = Snapshot(value=e.listing(e.process("muva-production", 0), e.process("muva-staging", 1)))
    after = Snapshot(
        value=e.listing(e.process("muva-production", 0, status="stopped"), e.process("muva-staging", 1))
    )
    changes.look("processes", "staging", before, after, ("muva-staging",))
    assert changes.latest(5) == []
    changes.look("processes", "production", before, after, ("muva-production",))
    assert [change.environment for change in changes.latest(5)] == ["production"]
