"""The ring of samples: windows, percentiles, and pictures that neither hide spikes nor paint over gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.health.history import LEARN, History, Sample
from muva_console.ops.health.stats import percentile, samples_to_exclude, wilson
from muva_console.ops.readings import Level

START = datetime(2026, 1, 1, tzinfo=UTC)


def sample(mono: float, ms: float | None = 10.0, level: Level = Level.OK) -> Sample:
    return Sample(mono=mono, at=START + timedelta(seconds=mono), level=level, latency_ms=ms)


def test_a_window_is_of_the_monotonic_clock() -> None:
    history = History()
    history.extend(sample(t) for t in (0, 10, 20, 30))
    assert [s.mono for s in history.window(20, 30)] == [20, 30]
    assert [s.mono for s in history.window(20, 25)] == [10, 20]
    with pytest.raises(ValueError, match="order"):
        history.add(sample(29))


def test_it_forgets_the_oldest() -> None:
    history = History(3)
    history.extend(sample(t) for t in range(5))
    assert [s.mono for s in history.window(100, 5)] == [2, 3, 4]


def test_availability_counts_only_what_is_known() -> None:
    history = History()
    history.extend(
        [sample(1), sample(2, None, Level.FAIL), sample(3, None, Level.UNKNOWN), sample(4, 50, Level.WARN)]
    )
    assert history.availability(10, 5) == pytest.approx(2 / 3)
    assert history.error_rate(10, 5) == (1, 3)
    assert History().availability(10, 5) is None
    only_unknown = History()
    only_unknown.add(sample(1, None, Level.UNKNOWN))
    assert only_unknown.availability(10, 5) is None


def test_a_spike_is_seen_and_a_gap_stays_a_gap() -> None:
    history = History()
    history.extend(
        [sample(5, 10), sample(6, 900), sample(7, 12), sample(25, None, Level.FAIL), sample(35, 20)]
    )
    assert history.buckets(4, 40, 40) == (900, None, None, 20)
    assert history.levels(4, 40, 40) == (Level.OK, None, Level.FAIL, Level.OK)
    assert history.buckets(0, 40, 40) == ()


def test_the_newest_sample_is_in_the_last_bucket() -> None:
    history = History()
    history.add(sample(40.0, 7))
    assert history.buckets(4, 40, 40.0) == (None, None, None, 7)


@given(st.lists(st.floats(0.001, 1000), max_size=60).map(sorted), st.integers(1, 40), st.floats(1, 500))
def test_buckets_keep_the_highest_of_the_window(times: list[float], count: int, seconds: float) -> None:
    history = History()
    history.extend(sample(t, ms=index + 1.0) for index, t in enumerate(times))
    now = (times[-1] if times else 0.0) + 1
    seen = [s.latency_ms for s in history.window(seconds, now) if s.latency_ms is not None]
    shown = [b for b in history.buckets(count, seconds, now) if b is not None]
    assert len(history.buckets(count, seconds, now)) == count
    assert max(shown, default=None) == max(seen, default=None)
    assert set(shown) <= set(seen)


def test_a_baseline_is_learnt_of_healthy_samples_alone_and_of_enough() -> None:
    history = History()
    history.extend(sample(t, 10) for t in range(LEARN - 1))
    assert history.baseline(1000, 100) is None
    history.extend([sample(50, 9000, Level.FAIL), sample(51, 8000, Level.WARN), sample(52, None)])
    assert history.baseline(1000, 100) is None
    history.add(sample(60, 30))
    assert history.baseline(1000, 100) == 10
    assert history.percentile(1.0, 1000, 100) == 9000


def test_since_when() -> None:
    history = History()
    assert history.since() is None
    history.extend([sample(1, None, Level.FAIL), sample(2), sample(3)])
    since = history.since()
    assert since is not None
    assert since.mono == 2


@pytest.mark.parametrize(("fraction", "value"), [(0.95, 95), (0.5, 50), (1.0, 100), (0.0, 1), (0.951, 96)])
def test_percentiles_are_values_that_were_seen(fraction: float, value: float) -> None:
    assert percentile(list(range(1, 101)), fraction) == value


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_what_a_count_allows_to_be_said() -> None:
    assert samples_to_exclude(0.05) == 59
    assert samples_to_exclude(0.0) is None
    low, high = wilson(2, 25)
    assert low == pytest.approx(0.0222, abs=1e-3)  # statsmodels: proportion_confint(2, 25, method="wilson")
    assert high == pytest.approx(0.2497, abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 25)[1] > 0.05 > wilson(0, 100)[1]
