"""Versions as npm has them: semver.org 2.0.0, and of node-semver's ranges the lowest version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

_VERSION = re.compile(
    r"[v=\s]*(\d{1,16})\.(\d{1,16})\.(\d{1,16})(?:-([0-9A-Za-z.-]{1,200}))?(?:\+[0-9A-Za-z.-]{1,200})?\s*"
)
_PART = re.compile(
    r"(<=?|>=?|\^|~>?|=)?\s*v?(\d{1,16})(?:\.(\d{1,16}|[xX*]))?(?:\.(\d{1,16}|[xX*]))?(?:-([0-9A-Za-z.-]{1,200}))?"
)


@total_ordering
@dataclass(frozen=True, eq=False, slots=True)
class Version:
    """A version; ordered by precedence (semver.org, 11)."""

    major: int
    minor: int
    patch: int
    pre: str = ""
    """What stands behind the ``-``."""

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{f'-{self.pre}' if self.pre else ''}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]:
        # a number comes before a word, a version with `pre` before the one without
        words = tuple(
            (0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.pre.split(".") if self.pre
        )
        return (self.major, self.minor, self.patch, 0 if self.pre else 1, words)


def parse_version(text: str) -> Version | None:
    """None for what is no whole version."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    return Version(int(match[1]), int(match[2]), int(match[3]), match[4] or "")


def lowest(text: str) -> Version | None:
    """The lowest version of a range such as ``^1.2.0``, ``1.x``, ``>=1 <3`` or ``1 - 2``; of alternatives
    (``^1 || ^2``) the highest one's. None where there is none to be told: ``*``, a tag, an address.
    """
    found: list[Version] = []
    for alternative in text.split("||"):
        low: Version | None = None
        rest = alternative.strip()
        if not rest or not re.fullmatch(r"[\s\dxXv.*^~<>=A-Za-z+-]*", rest):
            return None
        match = _PART.match(rest)
        if match is not None and not (match[1] or "").startswith("<"):
            numbers = [int(one) if one and one.isdigit() else 0 for one in match.group(2, 3, 4)]
            low = Version(numbers[0], numbers[1], numbers[2], match[5] or "")
        if low is None:
            return None
        found.append(low)
    return max(found) if found else None


def is_breaking(old: Version, new: Version) -> bool:
    """Whether a change of versions may break its users: another major, or below 1.0.0 another minor
    (semver.org, 4; npm's ``^`` draws the same line). Also when it goes back.
    """
    if old.major != new.major:
        return True
    return old.major == 0 and old.minor != new.minor
