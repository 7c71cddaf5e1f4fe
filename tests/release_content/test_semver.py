"""Versions, their order, and what breaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.release.semver import Version, is_breaking, lowest, parse_version

_PRE = st.lists(st.sampled_from(["alpha", "beta", "rc", "0", "1", "11", "x-y"]), max_size=3).map(".".join)
_NUMBER = st.integers(0, 12)
VERSIONS = st.builds(Version, _NUMBER, _NUMBER, _NUMBER, _PRE)


@settings(max_examples=70, deadline=None)
@given(VERSIONS, VERSIONS, VERSIONS)
def test_versions_have_one_order(a: Version, b: Version, c: Version) -> None:
    assert parse_version(str(a)) == a
    assert parse_version(f"v{a}+build.5") == a
    assert (a < b) + (b < a) + (a == b) == 1
    assert (a != b) is not (a == b)
    if a < b < c:
        assert a < c
    assert is_breaking(a, b) == is_breaking(b, a)
    assert not is_breaking(a, a)
    if a.pre and not b.pre and (a.major, a.minor, a.patch) == (b.major, b.minor, b.patch):
        assert a < b


def test_the_order_of_the_specification() -> None:
    """semver.org 2.0.0, 11.4."""
    text = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0"
    versions = [parse_version(one) for one in text.split()]
    assert all(one is not None for one in versions)
    assert versions == sorted(versions)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ("1.2.3", "1.9.0", False),
        ("1.2.3", "2.0.0", True),
        ("2.0.0", "1.9.0", True),
        ("0.2.3", "0.3.0", True),
        ("0.2.3", "0.2.9", False),
        ("0.9.0", "1.0.0", True),
        ("10.0.0-rc.1", "10.0.0", False),
    ],
)
def test_what_breaks(old: str, new: str, breaks: bool) -> None:
    before, after = parse_version(old), parse_version(new)
    assert before is not None and after is not None
    assert is_breaking(before, after) is breaks


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("^1.2.0", "1.2.0"),
        ("~0.3", "0.3.0"),
        ("1.x", "1.0.0"),
        (">=1 <3", "1.0.0"),
        ("^1 || ^2.1", "2.1.0"),
        ("2.0.0-rc.1", "2.0.0-rc.1"),
        ("*", "None"),
        ("latest", "None"),
        ("<2", "None"),
        ("workspace:*", "None"),
        ("git+ssh://x/1.2.3", "None"),
    ],
)
def test_the_lowest_version_of_a_range(text: str, low: str) -> None:
    assert str(lowest(text)) == low
