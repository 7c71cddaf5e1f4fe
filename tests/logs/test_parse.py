"""What a line says of itself: when, how loud."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.logs.model import Clock, LogLevel, Origin, Stream, note
from muva_console.ops.logs.parse import LineParser, level_of

OUT = Origin("vps", "muva-production", Stream.OUT)
ERR = Origin("vps", "muva-production", Stream.ERR)
NOON = datetime(2025, 11, 5, 12, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "rest", "at"),
    [
        ("2025-11-05T12:00:01: started", "started", NOON),  # pm2 --time
        ("2025-11-05 12:00:01 +00:00: started", "started", NOON),  # YYYY-MM-DD HH:mm:ss Z
        ("2025-11-05T12:00:01.250Z started", "started", NOON.replace(microsecond=250_000)),
        ("[2025-11-05T12:00:01.250Z] started", "started", NOON.replace(microsecond=250_000)),
        ("2025-11-05 14:00:01,5+0200 started", "started", NOON.replace(microsecond=500_000)),
        ("2025-11-05T07:00:01-05:00 started", "started", NOON),
        ("2025-11-05T12:00:01:     at foo (a.js:1:1)", "    at foo (a.js:1:1)", NOON),
        ('{"level":30,"time":1762344001000,"msg":"started"}', None, NOON),
        ('{"level":"info","timestamp":"2025-11-05T12:00:01.000Z"}', None, NOON),
        ('{"severity":"INFO","ts":1762344001}', None, NOON),
    ],
)
def test_times(written: str, rest: str | None, at: datetime) -> None:
    line = LineParser(OUT).parse(written)
    assert (line.text, line.at, line.clock) == (written if rest is None else rest, at, Clock.STAMPED)


@pytest.mark.parametrize(
    "written",
    [
        "started",
        "2025 bookings",
        "2025-13-05T12:00:01: no such month",
        "2025-11-05T25:00:01: no such hour",
        "2025-11-05T12:00:99: no such second",
        "2025-11-05T12:00:01xyz",
        "[2025-11-05]",
        '{"time":"yesterday"}',
        '{"time":99999999999999999}',
    ],
)
def test_what_is_no_time_is_left_alone(written: str) -> None:
    line = LineParser(OUT).parse(written)
    assert (line.text, line.at_ms, line.clock) == (written, None, Clock.UNKNOWN)


def test_a_stamp_without_a_zone_is_the_hosts_time() -> None:
    line = LineParser(OUT, utc_offset=7200).parse("2025-11-05T14:00:01: x")
    assert (line.at, line.clock) == (NOON, Clock.STAMPED)


def test_a_stamp_without_a_zone_of_a_host_whose_zone_is_not_known_is_an_estimate() -> None:
    line = LineParser(OUT, utc_offset=None).parse("2025-11-05T12:00:01: x")
    assert (line.at, line.clock) == (NOON, Clock.ESTIMATED)


def test_a_line_without_a_time_has_the_time_of_its_arrival() -> None:
    line = LineParser(OUT).parse("x", 1234)
    assert (line.at_ms, line.clock) == (1234, Clock.ARRIVED)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Error: connect ECONNREFUSED 127.0.0.1:5432", LogLevel.ERROR),
        ("TypeError: Cannot read properties of undefined", LogLevel.ERROR),
        ("[Error: The edge runtime does not support it]", LogLevel.ERROR),
        ("⨯ unhandledRejection: boom", LogLevel.ERROR),
        (" ⨯ ./app/page.tsx", LogLevel.ERROR),
        ("[error] worker 3 died", LogLevel.ERROR),
        ("ERROR  api: failed", LogLevel.ERROR),
        ("level=error msg=boom", LogLevel.ERROR),
        ("Uncaught Exception: x", LogLevel.ERROR),
        ("FATAL ERROR: Reached heap limit Allocation failed", LogLevel.ERROR),
        ("PrismaClientKnownRequestError: timeout", LogLevel.ERROR),
        ('{"level":50,"msg":"x"}', LogLevel.ERROR),
        ('{"level":"error","message":"x"}', LogLevel.ERROR),
        ('{"severity":"CRITICAL"}', LogLevel.ERROR),
        ('{"level":3}', LogLevel.ERROR),
        ("GET /api/health 503 in 12ms", LogLevel.ERROR),
        ("⚠ Fast Refresh had to perform a full reload", LogLevel.WARN),
        ("warn  - something", LogLevel.WARN),
        ("Warning: Each child in a list should have a key", LogLevel.WARN),
        ("(node:123) [DEP0040] DeprecationWarning: punycode", LogLevel.WARN),
        ('{"level":40}', LogLevel.WARN),
        ("✓ Ready in 1.2s", LogLevel.INFO),
        ("   ▲ Next.js 15.0.3", LogLevel.INFO),
        ("GET /api/health 200 in 12ms", LogLevel.INFO),
        ("info: hello", LogLevel.INFO),
        ('{"level":30}', LogLevel.INFO),
        ("debug: x", LogLevel.DEBUG),
        ('{"level":20}', LogLevel.DEBUG),
        ("0 errors, 0 warnings", None),
        ("errors were not found", None),
        ("learning warnings earnestly", None),
        ("compiled successfully", None),
        ("", None),
    ],
)
def test_levels(text: str, level: LogLevel | None) -> None:
    assert level_of(text) is level


def test_what_says_nothing_is_an_error_on_stderr_and_nothing_on_stdout() -> None:
    assert LineParser(ERR).parse("boom").level is LogLevel.ERROR
    assert LineParser(ERR).parse("⚠ careful").level is LogLevel.WARN
    assert LineParser(ERR).parse("").level is LogLevel.NONE
    assert LineParser(OUT).parse("boom").level is LogLevel.NONE


def test_frames_go_with_their_head_also_when_each_carries_a_stamp() -> None:
    parser = LineParser(OUT)
    levels = [
        parser.parse(f"2025-11-05T12:00:01: {text}").level
        for text in ("Error: x", "    at a (b.js:1:2)", "at c (d.js:3:4)", "Caused by: y", "plain")
    ]
    assert levels == [LogLevel.ERROR] * 4 + [LogLevel.NONE]


@settings(deadline=None)
@given(st.text(max_size=600))
def test_no_line_is_too_strange(text: str) -> None:
    line = LineParser(OUT).parse(text)
    assert text.endswith(line.text)


def test_json() -> None:
    line = LineParser(ERR).parse("2025-11-05T12:00:01.250Z Error: x")
    assert line.as_json() == {
        "at": "2025-11-05T12:00:01.250Z",
        "clock": "stamped",
        "host": "vps",
        "process": "muva-production",
        "stream": "err",
        "level": "error",
        "text": "Error: x",
    }
    assert note("vps", "connection lost").as_json()["at"] is None
