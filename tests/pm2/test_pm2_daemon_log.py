"""PM2's own log: crashes told from requests, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.pm2.daemon_log import DaemonLog, newest_stamp, stamp, utc_offset

# as pm2 7.0.4 wrote it
LOG = b"""2026-11-22T10:00:00: PM2 log: --- New PM2 Daemon started ----------------------------------------
2026-11-22T10:00:01: PM2 log: App [web:0] starting in -fork mode-
2026-11-22T10:00:01: PM2 log: App [web:0] online
2026-11-22T10:00:05: PM2 log: App [web:0] exited with code [0] via signal [SIGKILL]
2026-11-22T10:00:05: PM2 log: App [web:0] starting in -fork mode-
2026-11-22T10:00:05: PM2 log: App [web:0] online
Error: a trace
    at God.logAndGenerateError
2026-11-22T10:01:00: PM2 log: Stopping app:web id:0
2026-11-22T10:01:00: PM2 log: App [web:0] exited with code [0] via signal [SIGINT]
2026-11-22T10:01:00: PM2 log: pid=12 msg=process tree killed (1 pids)
2026-11-22T10:01:00: PM2 log: App [web:0] starting in -fork mode-
2026-11-22T10:01:00: PM2 log: App [web:0] online
2026-11-22T10:02:00: PM2 log: [PM2][WORKER] Process 0 restarted because it exceeds --max-memory-restart \
value (current_memory=2 max_memory_limit=1 [octets])
2026-11-22T10:02:00: PM2 log: Stopping app:web id:0
2026-11-22T10:02:00: PM2 log: App [web:0] exited with code [0] via signal [SIGINT]
2026-11-22T10:02:00: PM2 log: App [web:0] starting in -fork mode-
2026-11-22T10:03:00: PM2 log: App [web:0] exited with code [1] via signal [SIGINT]
2026-11-22T10:03:00: PM2 log: App [web:0] starting in -fork mode-
2026-11-22T10:03:00: PM2 log: App [cluster:1] starting in -cluster mode-
2026-11-22T10:03:01: PM2 log: Stopping app:cluster id:_old_1
2026-11-22T10:03:01: PM2 log: App [cluster:_old_1] exited with code [0] via signal [SIGINT]
2026-11-22T10:04:00: PM2 log: App [gone:2] exited with code [1] via signal [SIGINT]
"""
BEGAN = stamp("2026-11-22T10:00:00")


def read(*pieces: bytes, offset: float = 0.0) -> DaemonLog:
    log = DaemonLog()
    for piece in pieces:
        log.feed(piece, offset)
    return log


def test_asked_crashed_and_over_the_limit_are_told_apart() -> None:
    told = read(LOG).restarts(0, "web", BEGAN)
    assert (told.unasked, told.asked, told.settled, told.memory) == (2, 1, 1, 1)
    assert read(LOG).restarts(0, "web", stamp("2026-11-22T10:02:30")).unasked == 1


def test_a_restart_by_hand_is_a_new_beginning() -> None:
    crash = (
        b"2026-11-22T10:05:0%d: PM2 log: App [web:0] exited with code [1] via signal [SIGINT]\n"
        b"2026-11-22T10:05:0%d: PM2 log: App [web:0] starting in -fork mode-\n"
    )
    by_hand = (
        b"2026-11-22T10:05:05: PM2 log: Stopping app:web id:0\n"
        b"2026-11-22T10:05:05: PM2 log: App [web:0] exited with code [0] via signal [SIGINT]\n"
        b"2026-11-22T10:05:05: PM2 log: App [web:0] starting in -fork mode-\n"
    )
    looping = LOG + b"".join(crash % (second, second) for second in range(5))
    since = stamp("2026-11-22T10:04:30")
    assert read(looping).restarts(0, "web", since).unasked == 5
    assert read(looping, by_hand).restarts(0, "web", since).unasked == 0
    assert read(looping, by_hand, crash % (8, 8)).restarts(0, "web", since).unasked == 1


def test_a_reload_of_a_cluster_was_asked_for() -> None:
    told = read(LOG).restarts(1, "cluster", BEGAN)
    assert (told.unasked, told.asked) == (0, 1)


def test_an_exit_that_nothing_followed_is_no_restart() -> None:
    assert read(LOG).restarts(2, "gone", BEGAN).unasked == 0


def test_a_number_that_went_to_another_name_starts_anew() -> None:
    later = b"2026-11-22T10:05:00: PM2 log: App [other:0] starting in -fork mode-\n"
    log = read(LOG, later)
    assert log.restarts(0, "web", BEGAN).unasked == 0
    assert log.restarts(0, "other", BEGAN).unasked == 0


def test_the_signal_of_the_last_run() -> None:
    upto = LOG.index(b"2026-11-22T10:01:00")
    assert read(LOG[:upto]).signal(0, "web") == "SIGKILL"
    assert read(LOG).signal(0, "web") == ""  # SIGINT stands there for a plain exit too
    assert read(LOG).signal(0, "another") == ""


@given(st.lists(st.integers(min_value=0, max_value=len(LOG)), max_size=12))
def test_any_pieces_tell_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(LOG)]
    log = read(*(LOG[a:b] for a, b in pairwise(edges)))
    told = log.restarts(0, "web", BEGAN)
    assert (told.unasked, told.asked, told.memory) == (2, 1, 1)


@given(st.binary(max_size=400))
def test_any_bytes_are_passed_over(noise: bytes) -> None:
    log = read(noise + b"\n" + LOG)
    assert log.restarts(0, "web", BEGAN).asked == 1


def test_since_when_it_was_followed() -> None:
    assert read(LOG).covers_from == float("-inf")  # the daemon's own beginning was read
    torn = LOG[LOG.index(b"App [web:0] exited") :]
    assert read(torn).covers_from == stamp("2026-11-22T10:00:05")
    assert read(b"").covers_from is None


def test_a_line_without_end_is_bounded() -> None:
    log = DaemonLog()
    for _ in range(100):
        log.feed(b"x" * 100_000, 0)
    assert len(log._rest) <= 256 * 1024
    log.feed(b"\n" + LOG, 0)
    assert log.restarts(0, "web", BEGAN).asked == 1


@pytest.mark.parametrize(
    ("ahead", "host", "expected"),
    [
        (0, 0, 0),
        (3600, 3600, 3600),  # the login's zone is the daemon's
        (19800, 0, 19800),  # it is not: the file's age tells (+05:30)
        (-12600, 7200, -12600),
        (1234, 3600, 3600),  # no zone at all: something else wrote to the file
    ],
)
def test_the_zone_of_its_stamps(ahead: int, host: int, expected: int) -> None:
    written = stamp("2026-11-22T10:04:00") - ahead
    newest = newest_stamp(LOG)
    assert newest == "2026-11-22T10:04:00"
    assert utc_offset(newest, written, host) == expected


def test_its_times_are_told_in_utc() -> None:
    log = read(LOG, offset=3600.0)
    assert log.last == stamp("2026-11-22T09:04:00")
