"""Whether a change is minimal: its size, its files, and what smells of refactoring. Pure.

The playbook: "Make minimal fix. Edit only the necessary files. Avoid refactoring or cleanup." It gives no
numbers. Ours are those of reviews: about 100 lines are a reasonable change, and files count too (Google's
engineering practices, "Small CLs"); beyond 200 lines a review finds less and less (Cohen, "Best Kept Secrets
of Peer Code Review", 2006: 200 to 400 lines).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from muva_console.ops.deploys.version import read_message
from muva_console.ops.links.outgoing import FileChange
from muva_console.ops.readings import Level
from muva_console.ops.text import sanitise_line

LINES, LINES_CAP = 100, 200
"""Changed lines (added and removed; lock files and tests apart) of a warning, and of a failure."""
FILES, FILES_CAP = 5, 20
"""Likewise files, tests apart. Ours: five can be held in mind at night."""
MOVED = 5
"""Lines that go in one place and come in another. Ours: fewer are closing brackets and imports."""
_LOCKS = ("pnpm-lock.yaml", "package-lock.json", "yarn.lock")
_MANIFEST = "package.json"
_TESTS = re.compile(r"(^|/)(tests?|__tests__|e2e)/|\.(test|spec)\.[cm]?[jt]sx?$")
_TIDY = re.compile(r"(^|/)(\.prettierrc|\.eslintrc|eslint\.config|prettier\.config|\.editorconfig)")
_CLEANING = frozenset({"refactor", "style", "chore", "docs", "perf", "feat"})
_SPACE = re.compile(r"\s+")


class Touched(Struct, frozen=True, kw_only=True):
    """What a change does to one file."""

    path: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def lines(self) -> int:
        """Lines that it changes."""
        return len(self.added) + len(self.removed)


class Judged(Struct, frozen=True, kw_only=True):
    """What a change comes to."""

    level: Level
    lines: int
    files: int
    too_large: tuple[str, ...] = ()
    smells: tuple[str, ...] = ()
    """What is more than a fix, a line each."""

    @property
    def summary(self) -> str:
        """One line."""
        size = f"{self.lines} line{'s' * (self.lines != 1)} in {self.files} file{'s' * (self.files != 1)}"
        told = [*self.too_large, *self.smells]
        return (
            f"{size}; {told[0]}" + (f", and {len(told) - 1} more" if len(told) > 1 else "") if told else size
        )


def read_diff(diff: str) -> tuple[Touched, ...]:
    """The files of a unified difference (git's, with ``a/`` and ``b/``) and the lines that come and go."""
    found: list[Touched] = []
    path, added, removed = "", [], []  # type: str, list[str], list[str]
    in_hunk = False

    def take() -> None:
        if path:
            found.append(Touched(path=path, added=tuple(added), removed=tuple(removed)))

    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            take()
            path, added, removed, in_hunk = line.rpartition(" b/")[2], [], [], False
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and line.startswith("+"):
            added.append(line[1:])
        elif in_hunk and line.startswith("-"):
            removed.append(line[1:])
    take()
    return tuple(found)


def judge(
    touched: Sequence[Touched],
    files: Iterable[FileChange],
    subjects: Iterable[str],
    *,
    migrations: str = "supabase/migrations",
) -> Judged:
    """What a change comes to: FAIL where it is too large for a hotfix, WARN where something of it is more
    than a fix, else OK. A change of nothing is UNKNOWN.
    """
    files, subjects = tuple(files), tuple(subjects)
    code = [one for one in touched if not _TESTS.search(one.path) and _name(one.path) not in _LOCKS]
    lines, number = sum(one.lines for one in code), len(code)
    if not touched and not files:
        return Judged(level=Level.UNKNOWN, lines=0, files=0)
    large, smells = [], []
    for what, count, warn, cap in (("lines", lines, LINES, LINES_CAP), ("files", number, FILES, FILES_CAP)):
        if count > cap:
            large.append(f"{count} {what} are no hotfix any more (more than {cap})")
        elif count > warn:
            smells.append(f"{count} {what}: large for a hotfix (more than {warn})")
    smells += [f"renamed: {_shown(one.before)} → {_shown(one.path)}" for one in files if one.status == "R"]
    smells += [
        f"only space changes: {_shown(one.path)}" for one in code if one.lines and _same_but_space(one)
    ]
    moved = _moved(code)
    if moved >= MOVED:
        smells.append(f"{moved} lines are moved, not mended")
    smells += [f"rules of style change: {_shown(one.path)}" for one in files if _TIDY.search(one.path)]
    if any(_name(one.path) in (*_LOCKS, _MANIFEST) for one in files):
        smells.append("dependencies or the manifest change")
    folder = migrations.rstrip("/") + "/"
    if any(one.path.startswith(folder) for one in files):
        smells.append("a migration goes with it: a rollback of the code does not take it back")
    for subject in subjects:
        kind = read_message(subject).kind
        if kind in _CLEANING:
            smells.append(f"a commit says {kind}: {sanitise_line(subject, cap=80)}")
    level = Level.FAIL if large else Level.WARN if smells else Level.OK
    return Judged(level=level, lines=lines, files=number, too_large=tuple(large), smells=tuple(smells))


def _same_but_space(one: Touched) -> bool:
    return _squeezed(one.added) == _squeezed(one.removed)


def _squeezed(lines: Iterable[str]) -> str:
    return _SPACE.sub("", "".join(lines))


def _moved(touched: Iterable[Touched]) -> int:
    """Lines that are gone from one place and come in another, space apart."""
    came: Counter[str] = Counter()
    went: Counter[str] = Counter()
    for one in touched:
        if one.lines and _same_but_space(one):
            continue  # told as that already
        came.update(line.strip() for line in one.added if len(line.strip()) > 3)
        went.update(line.strip() for line in one.removed if len(line.strip()) > 3)
    return (came & went).total()


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _shown(path: str) -> str:
    return sanitise_line(path, cap=120)
