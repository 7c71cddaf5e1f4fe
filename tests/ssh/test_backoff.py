"""Back-off: later each time, never never, and never sooner than it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.links.backoff import Backoff


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0.1, 5), st.floats(5, 100))
def test_delays_grow_to_the_cap_and_attempts_never_end(chances: list[float], base: float, cap: float) -> None:
    now = [1000.0]
    draws = iter(chances)
    backoff = Backoff(clock=lambda: now[0], chance=lambda: next(draws))
    for count in range(1, len(chances) + 1):
        delay = backoff.failed(base=base, cap=cap)
        nominal = min(cap, base * 2.0 ** (count - 1))
        assert nominal / 2 <= delay <= nominal
        assert backoff.remaining() <= delay + 1e-6
        assert backoff.remaining() > 0
        now[0] += delay + 1e-6
        assert backoff.remaining() == 0
    assert backoff.failures == len(chances)


def test_a_person_may_skip_it_but_it_goes_on_growing() -> None:
    backoff = Backoff(clock=lambda: 0.0, chance=lambda: 1.0)
    backoff.failed()
    backoff.skip()
    assert backoff.remaining() == 0
    assert backoff.failed() == 2.0
    backoff.reset()
    assert (backoff.remaining(), backoff.failures) == (0, 0)


def test_waiting_for_a_hop_counts_as_no_failure() -> None:
    backoff = Backoff(clock=lambda: 0.0)
    backoff.wait_for(30)
    assert (backoff.remaining(), backoff.failures) == (30, 0)
