"""Whether a change is minimal: its size, its files, and what smells of refactoring."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.deploys.hotfix import branch_of
from muva_console.ops.deploys.minimal import LINES, LINES_CAP, Judged, Touched, judge, read_diff
from muva_console.ops.errors import OpsError
from muva_console.ops.links.outgoing import FileChange
from muva_console.ops.readings import Level


def lines(number: int, word: str = "line") -> tuple[str, ...]:
    return tuple(f"{word} {one}" for one in range(number))


def changed(*touched: Touched, status: str = "M", subjects: tuple[str, ...] = ("fix: x",)) -> Judged:
    return judge(touched, [FileChange(status=status, path=one.path) for one in touched], subjects)


FIX = Touched(path="src/rates.js", added=("  return rates ?? [];",), removed=("  return rates;",))


@pytest.mark.parametrize(
    ("touched", "level", "told"),
    [
        ((FIX,), Level.OK, "2 lines in 1 file"),
        ((), Level.UNKNOWN, "0 lines in 0 files"),
        ((Touched(path="a.js", added=lines(LINES)),), Level.OK, "100 lines in 1 file"),
        ((Touched(path="a.js", added=lines(LINES + 1)),), Level.WARN, "large for a hotfix"),
        ((Touched(path="a.js", added=lines(LINES_CAP + 1)),), Level.FAIL, "no hotfix any more"),
        ((FIX, Touched(path="tests/a.test.js", added=lines(900))), Level.OK, "2 lines in 1 file"),
        ((FIX, Touched(path="pnpm-lock.yaml", added=lines(900))), Level.WARN, "dependencies"),
        (
            (Touched(path="a.js", added=("\tx = 1;",), removed=("  x = 1;",)),),
            Level.WARN,
            "only space changes",
        ),
        (
            (Touched(path="a.js", removed=lines(5, "moved")), Touched(path="b.js", added=lines(5, "moved"))),
            Level.WARN,
            "5 lines are moved",
        ),
        ((FIX, Touched(path="supabase/migrations/1_x.sql", added=("drop",))), Level.WARN, "a migration goes"),
        (tuple(Touched(path=f"{n}.js", added=("x1234",)) for n in range(6)), Level.WARN, "6 files: large"),
        (tuple(Touched(path=f"{n}.js", added=("x1234",)) for n in range(21)), Level.FAIL, "21 files are no"),
        ((FIX, Touched(path=".prettierrc", added=("{}",))), Level.WARN, "rules of style"),
    ],
)
def test_what_is_minimal_and_what_is_not(touched: tuple[Touched, ...], level: Level, told: str) -> None:
    judged = changed(*touched)
    assert (judged.level, told in judged.summary) == (level, True), judged


def test_renames_and_what_commits_say_of_themselves() -> None:
    moved = judge([FIX], [FileChange(status="R", path="src/new.js", before="src/old.js")], ["fix: x"])
    assert moved.smells == ("renamed: src/old.js → src/new.js",)
    told = changed(FIX, subjects=("fix: x", "refactor(rates): tidy \x1b[31mup"))
    assert told.level is Level.WARN
    assert "a commit says refactor" in told.summary
    assert "\x1b" not in told.summary


def test_a_difference_is_read_as_git_writes_it() -> None:
    diff = (
        "diff --git a/src/a b.js b/src/a b.js\nindex 1..2 100644\n--- a/src/a b.js\n+++ b/src/a b.js\n"
        "@@ -1,2 +1,2 @@\n-one\n+--- two\n same\n"
        "diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n"
    )
    first, second = read_diff(diff)
    assert (first.path, first.added, first.removed) == ("src/a b.js", ("--- two",), ("one",))
    assert (second.path, second.lines) == ("x.png", 0)


@given(st.text(max_size=60))
def test_every_name_makes_a_branch_that_git_takes_or_none(name: str) -> None:
    try:
        branch = branch_of(name)
    except OpsError:
        return
    rest = branch.removeprefix("hotfix/")
    assert branch != rest
    assert rest[0].isalnum()
    assert not rest.endswith((".", ".lock"))
    assert ".." not in rest
    assert branch_of(branch) == branch
