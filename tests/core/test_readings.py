from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.readings import Exit, Finding, Level, Verdict, exit_status, utc_now, verdict, worst

levels = st.lists(st.sampled_from(list(Level)))


@given(levels)
def test_unknown_never_turns_into_ok(some: list[Level]) -> None:
    whole = worst(some)
    if Level.UNKNOWN in some or not some:
        assert whole in {Level.UNKNOWN, Level.FAIL}
    if whole is Level.OK:
        assert set(some) == {Level.OK}
    if Level.FAIL in some:
        assert whole is Level.FAIL


def test_verdict_and_exit_status_agree() -> None:
    def of(*some: Level) -> Verdict:
        return verdict(Finding(check="c", level=level, summary="s", at=utc_now()) for level in some)

    assert exit_status(of(Level.OK, Level.WARN)) == Exit.OK
    assert exit_status(of(Level.OK, Level.FAIL, Level.UNKNOWN)) == Exit.BAD
    assert exit_status(of(Level.OK, Level.UNKNOWN)) == Exit.CANNOT_TELL
    assert exit_status(of()) == Exit.CANNOT_TELL
