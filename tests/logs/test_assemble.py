"""Chunks cut anywhere become the same lines, and hostile lines become harmless ones."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.logs.assemble import QUIET, LineAssembler
from muva_console.ops.logs.model import Clock, LogLevel, LogLine, Origin, Stream
from muva_console.ops.text import LINE_CAP, sanitise_line

OUT = Origin("vps", "muva-production", Stream.OUT)


class Ticks:
    """A monotonic clock under the test's hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


hostile_text = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_characters="\n"),
        st.sampled_from("\x00\x1b\x9b\r\t\x07\u202e\u2066 x\n\n\n"),
    ),
    max_size=300,
)


@settings(deadline=None)
@given(hostile_text, st.lists(st.integers(0, 400), max_size=12))
def test_however_it_is_cut_the_lines_are_the_same(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "surrogatepass")
    whole = LineAssembler(OUT)
    expected = texts(whole.feed(data) + whole.end())
    torn = LineAssembler(OUT)
    got: list[str] = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        got += texts(torn.feed(data[start:stop]))
    assert got + texts(torn.end()) == expected
    # and each of them is what one line on its own would be, its time stamp and blank ends aside
    for line in expected:
        assert sanitise_line(line) == line.rstrip()
        assert "\n" not in line


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 7))
def test_any_bytes_become_harmless_text(data: bytes, step: int) -> None:
    assembler = LineAssembler(OUT)
    lines = []
    for start in range(0, len(data), step):
        lines += assembler.feed(data[start : start + step])
    lines += assembler.end()
    for line in lines:
        assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line.text)
        line.text.encode("utf-8")  # no half of a surrogate pair


def test_a_character_torn_between_chunks_is_put_together() -> None:
    assembler = LineAssembler(OUT)
    data = "✓ fertig\n".encode()
    assert not assembler.feed(data[:1])
    assert not assembler.feed(data[1:2])
    assert texts(assembler.feed(data[2:])) == ["✓ fertig"]


def test_an_escape_sequence_torn_between_chunks_does_nothing() -> None:
    assembler = LineAssembler(OUT)
    assembler.feed("before \x1b]52;c;aGk")
    assert texts(assembler.feed("=\x07 after\n")) == ["before  after"]


def test_carriage_returns_and_tabs() -> None:
    assembler = LineAssembler(OUT)
    assert texts(assembler.feed("one\r\ntwo\tcolumns\r\n")) == ["one", "two    columns"]


def test_a_line_of_10_mb_is_never_held_whole() -> None:
    assembler = LineAssembler(OUT)
    piece = b"x" * 65536
    tracemalloc.start()
    for _ in range(160):
        assert not assembler.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    (line,) = assembler.feed(b"end\nnext\n")[:1]
    assert line.text == "x" * LINE_CAP + f" … +{160 * 65536 + 3 - LINE_CAP:,} characters"


def test_a_line_of_10_mb_in_one_chunk_is_capped_and_so_are_its_neighbours() -> None:
    lines = LineAssembler(OUT).feed(b"a\n" + b"y" * 10_000_000 + b"\nb\n")
    assert [len(line.text) < LINE_CAP + 50 for line in lines] == [True, True, True]
    assert lines[1].text.endswith(f"+{10_000_000 - LINE_CAP:,} characters")
    assert (lines[0].text, lines[2].text) == ("a", "b")


def test_a_line_without_an_end_is_shown_after_a_short_quiet() -> None:
    clock = Ticks()
    assembler = LineAssembler(OUT, monotonic=clock)
    assembler.feed("Enter a name: ", 1000)
    clock.now += QUIET / 2
    assert not assembler.flush()
    clock.now += QUIET
    (line,) = assembler.flush()
    assert (line.text, line.at_ms) == ("Enter a name:", 1000)
    assert texts(assembler.feed("dana\n")) == ["dana"]


def test_the_time_of_a_line_is_when_it_began() -> None:
    assembler = LineAssembler(OUT)
    assembler.feed("begun", 1000)
    lines = assembler.feed(" ended\nnext\n", 2000)
    assert [(line.text, line.at_ms, line.clock) for line in lines] == [
        ("begun ended", 1000, Clock.ARRIVED),
        ("next", 2000, Clock.ARRIVED),
    ]


@pytest.mark.parametrize("chunk", [1, 3, 17, 4096])
def test_markup_stays_text(chunk: int) -> None:
    data = b"[red]not red[/red] [@click=app.quit]x[/]\n"
    assembler = LineAssembler(OUT)
    lines: list[LogLine] = []
    for start in range(0, len(data), chunk):
        lines += assembler.feed(data[start : start + chunk])
    assert texts(lines) == ["[red]not red[/red] [@click=app.quit]x[/]"]


def test_a_stack_trace_on_standard_output_is_an_error_to_its_last_frame() -> None:
    lines = LineAssembler(OUT).feed(
        " ⨯ Error: boom\n"
        "    at handler (.next/server/app/page.js:1:22)\n"
        "  digest: '123'\n"
        "}\n"
        " GET / 200 in 12ms\n"
        "   ▲ Next.js 15.0.3\n"
    )
    assert [line.level for line in lines] == [LogLevel.ERROR] * 4 + [LogLevel.INFO] * 2


def test_what_an_application_logs_of_its_secrets_is_redacted() -> None:
    assembler = LineAssembler(OUT)
    lines = assembler.feed(
        b"plain\nDATABASE_URL=postgresql://app:hunter2hunter2@10.0.0.1/db\n"
        b"\xe2\xa8\xaf token: eyJhbGciOi.eyJzdWIi.c2ln\n"
    )
    lines += assembler.feed("STRIPE \x1b[31msk_live_\x1b[0m0123456789abcdef\n")
    text = "\n".join(line.text for line in lines)
    assert lines[0].text == "plain"
    assert "app:‹redacted›@10.0.0.1" in text
    for secret in ("hunter2", "eyJhbGciOi", "0123456789abcdef"):
        assert secret not in text


def test_a_secret_on_the_edge_of_a_long_line_is_not_shown_in_half() -> None:
    assembler = LineAssembler(OUT)
    for before in range(LINE_CAP - 60, LINE_CAP, 3):
        line = "x" * before + " postgresql://app:correcthorsebattery@10.0.0.1/db " + "y" * 100
        [shown] = assembler.feed(f"{line}\n")
        assert "corr" not in shown.text
