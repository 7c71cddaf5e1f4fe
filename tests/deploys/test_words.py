"""Versions, messages, manifests, issues and Markdown, without a repository."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.deploys.body import plain
from muva_console.ops.deploys.changes import Change, closes
from muva_console.ops.deploys.version import (
    asked_version,
    branch_version,
    next_version,
    read_message,
    with_version,
)
from muva_console.ops.errors import OpsError
from muva_console.ops.release.semver import Version

LAST = Version(1, 4, 2)


@pytest.mark.parametrize(
    ("message", "kind", "text", "breaking"),
    [
        ("feat: a", "feat", "a", False),
        ("Fix(rates)!: b", "fix", "b", True),
        ("feat(api): c\n\nBREAKING CHANGE: gone", "feat", "c", True),
        ("chore: d\n\nBREAKING-CHANGE: gone", "chore", "d", True),
        ("say: BREAKING CHANGE: no", "say", "BREAKING CHANGE: no", False),
        ("no kind at all", "", "no kind at all", False),
        ("https://x: y", "", "https://x: y", False),
        ("", "", "", False),
    ],
)
def test_a_message_is_read_as_a_conventional_one(message: str, kind: str, text: str, breaking: bool) -> None:
    said = read_message(message)
    assert (said.kind, said.text, said.breaking) == (kind, text, breaking)


@pytest.mark.parametrize(
    ("last", "messages", "version"),
    [
        ("1.4.2", ["fix: a", "docs: b"], "1.4.3"),
        ("1.4.2", ["fix: a", "feat: b"], "1.5.0"),
        ("1.4.2", ["feat: a", "fix!: b"], "2.0.0"),
        ("0.4.2", ["fix!: b"], "0.5.0"),
        ("0.4.2", ["feat: b"], "0.5.0"),
        ("1.4.2", [], "1.4.3"),
        ("1.5.0-rc.1", ["feat: a"], "1.5.0"),
    ],
)
def test_the_next_version(last: str, messages: list[str], version: str) -> None:
    from muva_console.ops.release.semver import parse_version

    before = parse_version(last)
    assert before is not None
    found, why = next_version(before, map(read_message, messages))
    assert str(found) == version and why


@given(st.lists(st.text(max_size=40), max_size=6))
def test_it_is_always_greater(messages: list[str]) -> None:
    assert next_version(LAST, map(read_message, messages))[0] > LAST


@pytest.mark.parametrize(
    "text", ["", "1.5", "v01.5.0", "1.5.0-rc.1", "1.5.0; rm", "../1.5.0", "v1.4.2", "1.4.1", "٢.٠.٠"]
)
def test_what_is_no_version_to_release(text: str) -> None:
    with pytest.raises(OpsError):
        asked_version(text, LAST)


def test_names_of_release_branches() -> None:
    assert branch_version("prod/v1.5.0") == Version(1, 5, 0)
    assert [branch_version(name) for name in ("prod/v1.5", "prod/v1.5.0-rc", "release/v1.5.0", "main")] == [
        None
    ] * 4


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "a", "version": "1.0.0"}',
        '{\r\n\t"version"  :"1.0.0",\r\n\t"engines": {"version": "9"}}\r\n',
        '{"a": {"version": "1"}, "b": [{"version": "2"}], "version": "1.0.0", "c": "\\"version\\": 1"}\n',
        '\ufeff{"version":"1.0.0"}',
    ],
)
def test_the_version_alone_changes(text: str) -> None:
    changed = with_version(text.encode(), Version(2, 0, 0))
    assert changed is not None and changed.decode() == text.replace('"1.0.0"', '"2.0.0"')


_VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["version", "a", "b"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(max_size=5), _VALUES, max_size=4),
    st.sampled_from([None, 2, "\t"]),
    st.booleans(),
)
def test_any_manifest_keeps_all_but_its_version(
    told: dict[str, object], indent: int | str | None, has: bool
) -> None:
    told.pop("version", None)
    if has:
        told["version"] = "1.0.0"
    changed = with_version(json.dumps(told, indent=indent).encode(), Version(2, 0, 0))
    if not has:
        assert changed is None
    else:
        assert changed is not None and json.loads(changed) == {**told, "version": "2.0.0"}


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b"{", b"\xff"])
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(OpsError):
        with_version(data, Version(2, 0, 0))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("closes #12", [12]),
        ("Fixes: #12, resolves #13 and #14", [12, 13]),
        ("fixed o/r#5, fixes other/r#6, closes https://github.com/o/r/issues/7", [5, 7]),
        ("encloses #1, prefix-fixes #2, see #3, closes#4, closes #5x", []),
        ("closes #12 closes #12", [12]),
    ],
)
def test_which_issues_a_text_closes(text: str, numbers: list[int]) -> None:
    assert closes(text, "O/R") == numbers


def test_changes_stand_under_their_headings() -> None:
    def heading(message: str) -> str:
        return Change(sha="a" * 40, said=read_message(message), author="Dana").heading

    assert [heading(one) for one in ("feat!: a", "feat: a", "fix: a", "security: a", "x", "odd: a")] == [
        "Breaking changes", "Features", "Fixes", "Security", "Other changes", "Other changes",
    ]  # fmt: skip
    assert Change(sha="a", said=read_message("feat: a (#12)"), author="D").text == "a"


@given(st.text(max_size=80))
def test_a_text_of_others_sets_no_marks_and_calls_nobody(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown and "\x1b" not in shown
    assert all(shown[n - 1] == "\\" for n, one in enumerate(shown) if one in "`*_[]<>|~")
    assert all(shown[n + 1 : n + 2] in ("", "\u2060") or not (shown[n + 1].isalnum() or shown[n + 1] in "_-")
               for n, one in enumerate(shown) if one == "@")  # fmt: skip
