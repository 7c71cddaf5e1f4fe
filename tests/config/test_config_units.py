from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.config.units import (
    DURATION_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604800),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("1w", 604800),
        ("1m5ms", 60.005),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "s",
        "5 m",
        "-5s",
        "1m1h",
        "5s5s",
        "1e3s",
        "5S",
        "٣s",
        "1h30",
        "inf",
        "nan",
        "9999d",
        "1ms5s",
        "5" * 400 + "s",
        "5s\n\n5",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|year"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=300 * 86400 * 1000))
def test_durations_are_written_as_they_are_read(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert parse_duration(text) == pytest.approx(milliseconds / 1000)
    assert re.match(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("1G", 1 << 30), ("1.5G", 3 << 29), ("10K", 10240), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["", "1", "1g", "1GB", "-1G", "G", "1 G", "9" * 60 + "T"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|machine"):
        parse_size(text)
