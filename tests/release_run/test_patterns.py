"""Lines to patterns: what is particular is masked, and no line takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.logs.model import LogLevel, LogLine, Stream
from muva_console.ops.logs.patterns import LONGEST, MOST, OTHERS, errors, patterns, template
from tests.logs.helpers import line


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (" ⨯ Error: connect ECONNREFUSED 127.0.0.1:34567", "Error: connect ECONNREFUSED ‹n›"),
        ("GET /api/guests/4711?token=x 503 in 12ms", "GET /api/guests/‹id› 503"),
        ("GET /api/guests/4711 500 in 12ms", "GET /api/guests/‹id› 500"),
        ('Error: relation "bookings" does not exist', 'Error: relation "bookings" does not exist'),
        ("TypeError: Cannot read properties of undefined (reading 'price')",) * 2,
        ("user 4711 with 0xdeadbeef in deadbeefcafe01", "user ‹n› with ‹id› in ‹id›"),
        ("job 123e4567-e89b-12d3-a456-426614174000 failed", "job ‹id› failed"),
        ("at 2026-11-25T08:00:01.123+01:00 it broke", "at ‹time› it broke"),
        ("can't open 'a b' for bob@x.org: https://x.y/z?q=1", "can't open ‹value› for ‹address›: ‹address›"),
        ("ENOENT: open /var/www/muva chat/.env:12", "ENOENT: open ‹path› chat/.env:‹n›"),
        ('{"level":50,"time":1762344000000,"msg":"boom 12","pid":7}', "boom ‹n›"),
        ('{"level":"error","err":{"message":"no room 7","stack":"x"}}', "no room ‹n›"),
        ("utf8 in http2 is added", "utf8 in http2 is added"),
        ("", ""),
    ],
)
def test_what_is_particular_is_masked(text: str, pattern: str) -> None:
    assert template(text) == pattern


@given(st.text(max_size=300), st.text(alphabet="-_./'\"@:a1 {", min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_any_line_has_a_short_pattern_soon(text: str, again: str) -> None:
    began = time.process_time()
    for line_ in (text, again * 700, text + again * 700):
        assert len(template(line_)) <= LONGEST
    assert time.process_time() - began < 1


def test_frames_belong_to_the_line_above_and_warnings_are_no_errors() -> None:
    def parsed(text: str, level: LogLevel) -> LogLine:
        return line(text, level=level, stream=Stream.ERR)

    lines = [
        parsed(" ⨯ Error: connect ECONNREFUSED 127.0.0.1:1", LogLevel.ERROR),
        parsed("    at TCPConnectWrap.afterConnect (node:net:1)", LogLevel.ERROR),
        parsed("  code: 'ECONNREFUSED'", LogLevel.ERROR),
        parsed("(node:1) Warning: slow", LogLevel.WARN),
        parsed(" ⨯ Error: connect ECONNREFUSED 127.0.0.1:2", LogLevel.ERROR),
        parsed("    at x (y:1:1)", LogLevel.ERROR),
    ]
    found = errors(lines)
    assert [(event.template, event.last) for event in found] == [
        ("Error: connect ECONNREFUSED ‹n›", False),
        ("Error: connect ECONNREFUSED ‹n›", True),
    ]
    (pattern,) = patterns(found)
    assert (pattern.count, pattern.example) == (2, "⨯ Error: connect ECONNREFUSED 127.0.0.1:2")


def test_a_log_of_nothing_but_different_errors_costs_no_more_patterns_than_are_told_apart() -> None:
    word = "".maketrans("0123456789", "abcdefghij")
    lines = [line(f"Error: {str(n).translate(word)}", level=LogLevel.ERROR) for n in range(MOST + 50)]
    found = patterns(errors(lines))
    assert len(found) == MOST + 1
    assert (found[0].template, found[0].count) == (OTHERS, 50)
