"""Hysteresis: three failures in a row are down, two successes in a row are healthy, unknown is neither."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from muva_console.ops.health.state import ServiceState, Standing, StateTracker
from muva_console.ops.readings import Level

AT = datetime(2026, 1, 1, tzinfo=UTC)
OK, WARN, FAIL, UNKNOWN = Level.OK, Level.WARN, Level.FAIL, Level.UNKNOWN


def after(*levels: Level, failure: int = 3, recovery: int = 2) -> ServiceState:
    tracker = StateTracker(failure, recovery)
    for second, level in enumerate(levels):
        tracker.observe(level, float(second), AT)
    return tracker.state


def test_before_anything_was_asked_nothing_is_known() -> None:
    assert after().standing is Standing.UNKNOWN


def test_one_lost_request_is_not_down() -> None:
    state = after(OK, FAIL)
    assert (state.standing, state.told) == (Standing.FAILING, "failing, 1 of 3")
    assert after(OK, FAIL, OK).standing is Standing.HEALTHY


def test_three_in_a_row_are_down_since_the_first() -> None:
    state = after(OK, OK, FAIL, FAIL, FAIL)
    assert (state.standing, state.since, state.lasted(12.0)) == (Standing.DOWN, 2.0, 10.0)
    assert after(OK, FAIL, FAIL, OK, FAIL).standing is Standing.FAILING


def test_one_answer_is_not_recovered() -> None:
    state = after(FAIL, FAIL, FAIL, OK)
    assert (state.standing, state.told, state.since) == (Standing.RECOVERING, "recovering, 1 of 2", 0.0)
    assert after(FAIL, FAIL, FAIL, OK, FAIL).standing is Standing.DOWN
    assert after(FAIL, FAIL, FAIL, OK, FAIL, OK).standing is Standing.RECOVERING
    healthy = after(FAIL, FAIL, FAIL, OK, WARN)
    assert (healthy.standing, healthy.level, healthy.since) == (Standing.HEALTHY, WARN, 4.0)


def test_unknown_is_no_success_no_recovery_and_no_failure() -> None:
    assert after(OK, UNKNOWN).standing is Standing.UNKNOWN
    assert after(FAIL, FAIL, FAIL, UNKNOWN).standing is Standing.DOWN
    assert after(FAIL, FAIL, FAIL, UNKNOWN).told == "down, and cannot be asked now"
    assert after(FAIL, FAIL, FAIL, OK, UNKNOWN, OK).standing is Standing.RECOVERING
    assert after(FAIL, FAIL, FAIL, UNKNOWN, UNKNOWN, UNKNOWN).standing is Standing.DOWN
    assert after(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN).standing is Standing.UNKNOWN
    assert after(FAIL, UNKNOWN, FAIL, UNKNOWN).standing is Standing.UNKNOWN
    assert after(FAIL, UNKNOWN, FAIL, UNKNOWN, FAIL).standing is Standing.DOWN


class Hysteresis(RuleBasedStateMachine):
    """Against a model that recounts the whole past each time."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = StateTracker(3, 2)
        self.past: list[Level] = []

    def look(self, level: Level) -> None:
        self.past.append(level)
        self.tracker.observe(level, float(len(self.past)), AT)

    @rule(level=st.sampled_from(Level))
    def observe(self, level: Level) -> None:
        self.look(level)

    @rule()
    def fail_hard(self) -> None:
        for _ in range(3):
            self.look(FAIL)
        assert self.tracker.state.standing is Standing.DOWN

    @precondition(lambda self: self.tracker.state.is_down)
    @rule(level=st.sampled_from([OK, WARN]))
    def recover(self, level: Level) -> None:
        self.look(level)
        self.look(level)
        assert self.tracker.state.standing is Standing.HEALTHY

    @invariant()
    def healthy_only_on_evidence(self) -> None:
        state = self.tracker.state
        if state.standing is Standing.HEALTHY:
            assert self.past[-1] in (OK, WARN)
        if state.is_down:
            last_good = _last_row_of_successes(self.past)
            assert last_good < 2, "two successes in a row end it"
        if state.standing is Standing.DOWN or state.standing is Standing.FAILING:
            assert FAIL in self.past
        assert state.observations == len(self.past)

    @invariant()
    def since_never_lies_in_the_future(self) -> None:
        since = self.tracker.state.since
        assert (since is None) == (not self.past)
        assert since is None or since <= len(self.past)

    @invariant()
    def as_the_model_says(self) -> None:
        assert self.tracker.state.is_down == _model_is_down(self.past)


def _last_row_of_successes(past: list[Level]) -> int:
    count = 0
    for level in reversed(past):
        if level not in (OK, WARN):
            break
        count += 1
    return count


def _model_is_down(past: list[Level]) -> bool:
    down, failures, successes = False, 0, 0
    for level in past:
        if level is FAIL:
            failures, successes = failures + 1, 0
            down = down or failures >= 3
        elif level is UNKNOWN:
            successes = 0
        else:
            failures, successes = 0, successes + 1
            down = down and successes < 2
    return down


Hysteresis.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestHysteresis = Hysteresis.TestCase


@given(st.lists(st.sampled_from(Level), max_size=30), st.integers(1, 5), st.integers(1, 5))
def test_any_thresholds_hold(levels: list[Level], failure: int, recovery: int) -> None:
    state = after(*levels, failure=failure, recovery=recovery)
    if not levels or all(level is UNKNOWN for level in levels):
        assert state.standing is Standing.UNKNOWN
    if len(levels) >= failure and all(level is FAIL for level in levels):
        assert state.standing is Standing.DOWN
