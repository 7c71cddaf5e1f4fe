from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.text import LINE_CAP, sanitise, sanitise_line


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b]52;c;ZXZpbA==\x07after", "after"),  # writes the clipboard
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1bPq#0\x1b\\b", "ab"),  # sixel
        ("\x1b_Gf=24;AAAA\x1b\\x", "x"),  # kitty graphics
        ("\x1bc", ""),  # full reset
        ("a\x00b\x07c", "a·b·c"),
        ("safe\u202etxt.exe", "safe·txt.exe"),  # reads backwards
        ("one\r\ntwo\rthree", "one\ntwo·three"),
        ("\ttab", "    tab"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        ("[bold red]markup stays text[/]", "[bold red]markup stays text[/]"),
    ],
)
def test_hostile_text_becomes_harmless(hostile: str | bytes, harmless: str) -> None:
    assert sanitise(hostile) == harmless


@given(st.one_of(st.text(), st.binary()))
def test_nothing_that_controls_a_terminal_passes(text: str | bytes) -> None:
    for character in sanitise(text):
        assert character == "\n" or unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        assert character not in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c"


@given(st.text(alphabet=st.sampled_from("\x1b\x9b]P_^X\\\x07\x9c[0;mab\n\x9d\x90")))
def test_sanitising_twice_is_sanitising_once(text: str) -> None:
    assert sanitise(sanitise(text)) == sanitise(text)
    assert "\x1b" not in sanitise(text)


@given(st.text())
def test_a_line_is_one_line(text: str) -> None:
    assert "\n" not in sanitise_line(text)


def test_what_was_cut_of_a_long_line_is_counted() -> None:
    line = sanitise_line("x" * 10_000_000)
    assert line == "x" * LINE_CAP + f" … +{10_000_000 - LINE_CAP:,} characters"
