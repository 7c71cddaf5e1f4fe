"""The next version, from what the commits say.

Sources: conventionalcommits.org 1.0.0 for messages, semver.org 2.0.0 for versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.release.semver import Version, parse_version
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.links.source import Source

PREFIX = "prod/v"
"""What release branches are named by (playbook)."""
MANIFEST = "package.json"
_HEAD = re.compile(
    r"(?P<kind>[A-Za-z][\w-]{0,30})(?:\((?P<scope>[^()\n]{1,80})\))?(?P<breaks>!)?: +(?P<text>\S.*)"
)
_BREAKS = re.compile(r"^BREAKING[ -]CHANGE: ", re.MULTILINE)
_BRANCH = re.compile(r"prod/v(\d{1,9}\.\d{1,9}\.\d{1,9})", re.ASCII)
_ASKED = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)
_LEADING_ZERO = re.compile(r"(?:^|\.)0\d")


class Said(Struct, frozen=True, kw_only=True):
    """A commit's message, read as a conventional one."""

    kind: str
    """In lower case: ``feat``, ``fix`` …; empty for one that is not conventional."""
    scope: str = ""
    text: str
    """The subject without its kind."""
    breaking: bool = False


class Proposal(Struct, frozen=True, kw_only=True):
    """A version and where it comes from."""

    version: Version
    last: Version
    why: str

    @property
    def branch(self) -> str:
        """Its release branch."""
        return f"{PREFIX}{self.version}"


def read_message(message: str) -> Said:
    """What a commit's whole message says."""
    subject = message.strip().partition("\n")[0].strip()
    match = _HEAD.fullmatch(subject)
    breaking = bool(_BREAKS.search(message))
    if match is None:
        return Said(kind="", text=subject, breaking=breaking)
    return Said(
        kind=match["kind"].lower(),
        scope=match["scope"] or "",
        text=match["text"],
        breaking=breaking or bool(match["breaks"]),
    )


def next_version(last: Version, said: Iterable[Said]) -> tuple[Version, str]:
    """The version after `last`, and why. Below 1.0.0 a breaking change is a minor one, as npm takes it."""
    if last.pre:
        return Version(last.major, last.minor, last.patch), f"{last} is its pre-release"
    told = list(said)
    breaks = next((one for one in told if one.breaking), None)
    feature = next((one for one in told if one.kind == "feat"), None)
    if breaks is not None:
        why = f"a breaking change: {breaks.text}"
        if last.major:
            return Version(last.major + 1, 0, 0), why
        return Version(0, last.minor + 1, 0), f"{why} (below 1.0.0)"
    if feature is not None:
        return Version(last.major, last.minor + 1, 0), f"a feature: {feature.text}"
    return Version(last.major, last.minor, last.patch + 1), "fixes and upkeep, no feature"


async def propose(
    repository: Source, *, base: str, head: str, messages: Mapping[str, str], tags: Iterable[str]
) -> Proposal:
    """The next version for what goes from `head` to `base` (commits). The last one is the greatest of the
    manifest's of `base` and of the tags; a greater one that the outgoing manifest names itself is taken.
    Raises LinkError.
    """
    last = await last_version(repository, base, tags)
    version, why = next_version(last, map(read_message, messages.values()))
    own = await manifest_version(repository, head)
    if own is not None:
        core = Version(own.major, own.minor, own.patch)
        if core > version:
            version, why = core, f"{MANIFEST} of what goes out says {own}"
    return Proposal(version=version, last=last, why=sanitise_line(why, cap=200))


async def last_version(repository: Source, base: str, tags: Iterable[str]) -> Version:
    """The greatest version that was released: of the manifest of `base` and of tags ``vX.Y.Z``; 0.0.0 of
    nothing. Raises LinkError.
    """
    known = [await manifest_version(repository, base)]
    known += [parse_version(tag) for tag in tags if _ASKED.fullmatch(tag)]
    return max((one for one in known if one is not None), default=Version(0, 0, 0))


async def manifest_version(repository: Source, sha: str) -> Version | None:
    """The version of a commit's package.json; None where it has none that can be read. Raises LinkError."""
    data = await repository.read(sha, MANIFEST)
    try:
        told = json.loads(data or b"{}")
    except ValueError:
        return None
    version = told.get("version") if isinstance(told, dict) else None
    return parse_version(version) if isinstance(version, str) else None


def asked_version(text: str, last: Version) -> Version:
    """The version that somebody asks for: ``v1.2.0`` or ``1.2.0``, greater than the last. Raises OpsError."""
    match = _ASKED.fullmatch(text.strip())
    if match is None or _LEADING_ZERO.search(text.strip().removeprefix("v")):
        raise OpsError(
            f'"{sanitise_line(text, cap=60)}" is no version of a release',
            means="a version is three numbers: v1.2.0 (semver.org)",
        )
    version = Version(int(match[1]), int(match[2]), int(match[3]))
    if not version > last:
        raise OpsError(
            f"v{version} is not greater than v{last}, which was released",
            next="Ask for a greater one, or leave it to be proposed.",
        )
    return version


def branch_version(branch: str) -> Version | None:
    """The version of a release branch's name; None for another branch."""
    match = _BRANCH.fullmatch(branch)
    return parse_version(match[1]) if match is not None else None


def with_version(data: bytes, version: Version) -> bytes | None:
    """A package.json with another version and every other byte as it was; None where it has no version.
    Raises OpsError for what is no JSON object.
    """
    try:
        text = data.decode("utf-8")
        told = json.loads(text.removeprefix("\ufeff"))
    except ValueError as error:
        raise OpsError(f"{MANIFEST} cannot be read: {error}", where=MANIFEST) from None
    if not isinstance(told, dict):
        raise OpsError(f"{MANIFEST} is no object", where=MANIFEST)
    span = _version_span(text)
    if span is None:
        return None
    return (text[: span[0]] + json.dumps(str(version)) + text[span[1] :]).encode()


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')


def _version_span(text: str) -> tuple[int, int] | None:
    """Where the value of the outermost "version" stands, the last one where there are several, as JSON's
    readers take it.
    """
    depth, found = 0, None
    before: list[str] = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word in ("{", "["):
            depth += 1
        elif word in ("}", "]"):
            depth -= 1
        elif depth == 1 and word[0] == '"' and before[-1:] == [":"]:
            key = before[-2] if len(before) > 1 else ""
            if key[:1] == '"' and json.loads(key) == "version":
                found = match.span()
        before = [*before[-1:], word]
    return found
