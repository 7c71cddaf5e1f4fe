"""Literals are masked whatever surrounds them; names are quoted whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muva_console.ops.links.sqltext import QUERY_CAP, mask, quote_name, quote_table

SECRET = "sEcReT4711"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT * FROM t1 WHERE a = 'x''y' AND b2 = 3.5e10", "SELECT * FROM t1 WHERE a = ? AND b2 = ?"),
        (r"SELECT E'it\'s', U&'\0041', b'01', 'plain'", "SELECT ?, ?, ?, ?"),
        ("SELECT $$dollar$$, $tag$ $$ $tag$, $1", "SELECT ?, ?, $1"),
        ('SELECT "Column 1" FROM "t""2"', 'SELECT "Column 1" FROM "t""2"'),
        ("SELECT 1 -- sEcReT\n+ 2 /* a /* b */ c */ + 3", "SELECT ? + ? + ?"),
        ("ALTER ROLE app PASSWORD 'cut in the midd", "ALTER ROLE app PASSWORD ?"),
        ("SELECT $x$ cut", "SELECT ?"),
        ("SELECT 0xFF, 1_000, .5, a[1], t.c1", "SELECT ?, ?, ?, a[?], t.c1"),
        ("SELECT\n\t 'a'\x1b[31m", "SELECT ?"),
        ("", ""),
    ],
)
def test_masking(query: str, shown: str) -> None:
    assert mask(query) == shown


WRAPS = ["'{}'", "E'{}'", "$${}$$", "$q${}$q$", "-- {}\n", "/* {} */", "N'{}'", "'{}", "/* {}", "$q${}"]
NOISE = st.text(alphabet='ab1 ,()=;\n$_.+-*/"', max_size=12)


@given(before=NOISE, after=NOISE, wrap=st.sampled_from(WRAPS), text=st.text(max_size=10))
@example(before="a$", after="", wrap="$${}$$", text="")
def test_a_secret_in_a_literal_is_never_shown(before: str, after: str, wrap: str, text: str) -> None:
    # what comes before must not itself open a literal, a name or a comment, nor run into this one
    lead = before.replace('"', "").replace("$", "").replace("-", "").replace("/", "").replace("*", "") + " "
    inner = (
        text.replace("'", "")
        .replace("$", "")
        .replace("\\", "")
        .replace("\n", "")
        .replace("*/", "")
        .replace("/*", "")
    )
    assert SECRET not in mask(lead + wrap.format(inner + SECRET) + after)


@given(st.text(max_size=300))
def test_any_text_becomes_one_harmless_line(query: str) -> None:
    shown = mask(query)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert len(shown) <= QUERY_CAP + 2


def test_a_hostile_query_takes_linear_time() -> None:
    import time

    began = time.process_time()
    for text in (
        "'" * 20_001,
        "E'" + "\\" * 20_001,
        '"' * 20_001,
        "/*" * 10_000,
        "1" * 20_000,
        "$a" * 10_000,
    ):
        mask(text)
    assert time.process_time() - began < 10, "quadratic work takes minutes"


def test_names_are_quoted() -> None:
    assert quote_name('a"b') == '"a""b"'
    assert quote_table("hotels.units") == '"hotels"."units"'
    assert quote_table("units") == '"public"."units"'
    with pytest.raises(ValueError, match="NUL"):
        quote_name("a\0b")
