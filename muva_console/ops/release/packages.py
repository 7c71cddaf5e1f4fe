"""The check "packages": what changes in what the application is built from."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable
from pathlib import Path

import msgspec
from msgspec import Struct, field

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.local import run_local
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.links.source import Source
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release import lockfile
from muva_console.ops.release.code_files import NOT_OURS, imports, is_code, package_of
from muva_console.ops.release.js_tokens import tokenise
from muva_console.ops.release.lockfile import Answer
from muva_console.ops.release.manifest import PRODUCTION, Manifest, folder_of, read_manifest
from muva_console.ops.release.package_changes import changes_of
from muva_console.ops.release.package_lock import match_lock
from muva_console.ops.release.schema_ground import Told
from muva_console.ops.text import sanitise_line

GOOD_FOR = 24 * 3600.0
"""Seconds. Two commits do not change. Ours."""
SECONDS = 150.0
"""For the whole check. Ours."""
LOCK_SECONDS = 60.0
"""For reading both states of one lock file."""
LOCK_LIMIT = 16 * 1024 * 1024
"""Bytes of a lock file. Ours: a monorepo of a thousand packages has about 2 MiB."""
_FIXTURES = frozenset(["fixtures", "__fixtures__", "__tests__", "test", "tests", "examples", "templates"])


class Side(Struct):
    """The manifests of one commit, by folder."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Why a folder's could not be read."""
    locks: dict[str, list[str]] = field(default_factory=dict)
    """Names of lock files by folder."""


@check("packages", title="Dependencies", good_for=GOOD_FOR, timeout=lambda ctx: SECONDS)
async def packages(ctx: CheckContext) -> Finding:
    """No dependency changes in a breaking way (another major version, below 1.0.0 another minor one; types
    alone only warn), none is removed that code still imports, and the lock file says what the manifests say
    and is whole. Removals, new install scripts, another Node and packages from other places than the
    registry warn; additions are told.

    Read are every package.json and pnpm-lock.yaml (6, 9), package-lock.json (2, 3) and yarn.lock (1). Other
    locks are unknown where a manifest changes.
    """
    outgoing = await ctx.outgoing()
    repository = ctx.going_out().repository
    told = Told()
    touched = [one for one in outgoing.files if _matters(one.path) or _matters(one.before)]
    if touched:
        await _look(ctx, repository, outgoing, told)
    return _finding(outgoing, told, [sanitise_line(one.path, cap=200) for one in touched])


def _matters(path: str) -> bool:
    *folders, name = path.split("/")
    if not NOT_OURS.isdisjoint(folders) or not _FIXTURES.isdisjoint(folders):
        return False
    return name in ("package.json", "pnpm-workspace.yaml", *lockfile.NAMES, *lockfile.OTHERS)


async def _look(ctx: CheckContext, repository: Source, outgoing: Outgoing, told: Told) -> None:
    before = outgoing.merge_base or outgoing.base
    base, head = await asyncio.gather(_side(repository, before), _side(repository, outgoing.head))
    for trouble in head.broken.values():
        told.add(Level.FAIL, trouble)
    answers: dict[str, tuple[str, Answer]] = {}
    changed = {one.path for one in outgoing.files} | {one.before for one in outgoing.files}
    for folder in sorted(base.locks.keys() | head.locks.keys()):
        names = head.locks.get(folder) or base.locks[folder]
        for name in names:
            if name in lockfile.NAMES:
                ctx.progress(f"reading {sanitise_line(_join(folder, name), cap=200)}")
                answers[folder] = (name, await _read_lock(repository, before, outgoing.head, folder, name))
                break
        else:
            lock = _join(folder, names[0])
            if lock in changed or any(_is_manifest_below(path, folder) for path in changed):
                told.add(Level.UNKNOWN, f"{sanitise_line(lock, cap=200)} is of a kind that is not read")
    for folder, (name, read) in answers.items():
        _tell_lock(told, sanitise_line(_join(folder, name), cap=200), read)
    removed: dict[tuple[str, str], str] = {}
    for folder in sorted(base.manifests.keys() | head.manifests.keys()):
        old, new = base.manifests.get(folder), head.manifests.get(folder)
        place = _lock_of(folder, answers)
        answer, within = (answers[place][1], _within(folder, place)) if place is not None else (None, ".")
        if folder not in head.broken and folder not in base.broken:
            removed |= changes_of(told, folder, old, new, answer, within)
        if new is not None:
            _tell_standing(told, new, place, answers, head)
    if removed:
        await _tell_removed(told, repository, outgoing.head, removed, head)


async def _side(repository: Source, sha: str) -> Side:
    side = Side()
    paths = [path for path in await repository.files(sha) if _matters(path)]
    manifests = [path for path in paths if path.rpartition("/")[2] == "package.json"]
    contents = await repository.read_all(sha, manifests)
    for path in manifests:
        if path not in contents:
            side.broken[folder_of(path)] = f"{sanitise_line(path, cap=200)} has more than 1 MiB"
            continue
        try:
            side.manifests[folder_of(path)] = read_manifest(path, contents[path])
        except OpsError as error:
            side.broken[folder_of(path)] = str(error)
    for name in (*lockfile.NAMES, *lockfile.OTHERS):  # in the order of preference
        for path in paths:
            if path.rpartition("/")[2] == name:
                side.locks.setdefault(folder_of(path), []).append(name)
    return side


async def _read_lock(repository: Source, base: str, head: str, folder: str, name: str) -> Answer:
    """Both states of a lock, read in a process of its own. Raises OpsError."""
    lock, workspace = _join(folder, name), _join(folder, "pnpm-workspace.yaml")
    wanted: list[Awaitable[bytes | None]] = [
        repository.read(sha, path, limit=LOCK_LIMIT) for path in (lock, workspace) for sha in (base, head)
    ]
    request = lockfile.Request(name, *await asyncio.gather(*wanted))
    # -P: the folder it runs in is no place to import from
    command = [sys.executable, "-P", "-m", "muva_console.ops.release.lockfile"]
    result = await run_local(
        command, cwd=Path("/"), timeout=LOCK_SECONDS, input=msgspec.json.encode(request), leftovers=False
    )
    try:
        return msgspec.json.decode(result.stdout if result.ok else b"", type=Answer)
    except msgspec.DecodeError:
        why = f"within {LOCK_SECONDS:g} s" if result.timed_out else f"(exit {result.exit_status})"
        raise OpsError(f"could not be read {why}", where=sanitise_line(lock, cap=200)) from None


def _tell_lock(told: Told, shown: str, answer: Answer) -> None:
    head, base = answer.head, answer.base
    if head is None:
        told.add(Level.FAIL, f"{shown} is removed")
        return
    if head.trouble:
        told.add(
            Level.UNKNOWN if head.unread else Level.FAIL, f"{shown} {sanitise_line(head.trouble, cap=200)}"
        )
        return
    for line in head.missing:
        told.add(Level.FAIL, f"{shown} asks for {sanitise_line(line, cap=200)}, which it does not hold")
    if base is None or base.trouble:
        return
    for line in sorted(set(head.foreign) - set(base.foreign)):
        told.add(Level.WARN, f"{shown} takes {sanitise_line(line, cap=300)}, not from the registry")
    for name in sorted(set(head.builds) - set(base.builds)):
        told.add(Level.WARN, f"{sanitise_line(name, cap=100)} runs a script when it is installed")
    for name in sorted(set(answer.head_workspace.builds) - set(answer.base_workspace.builds)):
        told.add(Level.WARN, f"{sanitise_line(name, cap=100)} may now run scripts when it is installed")
    if answer.added or answer.removed:
        told.add(
            Level.OK,
            f"{shown}: {count(answer.added, 'package')} more, {answer.removed} fewer, indirect ones too",
        )
    if answer.breaking:
        more = f" and {len(answer.breaking) - 8} more" if len(answer.breaking) > 8 else ""
        listed = ", ".join(sanitise_line(line, cap=100) for line in answer.breaking[:8])
        told.add(Level.OK, f"another major version, indirect ones too: {listed}{more}")


def _tell_standing(
    told: Told, new: Manifest, place: str | None, answers: dict[str, tuple[str, Answer]], head: Side
) -> None:
    """Whether the lock says what a manifest says."""
    shown = sanitise_line(_join(new.folder, "package.json"), cap=200)
    if place is None:
        if new.names() and not any(_holds(folder, new.folder) for folder in head.locks):
            told.add(
                Level.FAIL, f"no lock file for {shown}, which asks for {count(len(new.names()), 'package')}"
            )
        return
    name, answer = answers[place]
    if answer.head is None or answer.head.trouble:
        return
    within = _within(new.folder, place)
    lock = sanitise_line(_join(place, name), cap=200)
    if name == "yarn.lock" or within in answer.head.importers:
        for line in match_lock(new, answer.head, within, yarn=name == "yarn.lock"):
            told.add(Level.FAIL, f"{lock} is out of step with {shown}: {line}")
    elif new.names() and (within == "." or _is_member(within, answer.head_workspace.packages)):
        told.add(Level.FAIL, f"{lock} is out of step: it does not know {shown}")


async def _tell_removed(
    told: Told, repository: Source, sha: str, removed: dict[tuple[str, str], str], head: Side
) -> None:
    """What is no longer asked for: still imported, it fails; else it is only told."""
    used: dict[tuple[str, str], list[str]] = {}
    paths = [path for path in await repository.files(sha) if is_code(path)]
    wanted = {name.encode() for _, name in removed}
    contents = await repository.read_all(sha, paths)

    def look() -> None:
        for path, data in sorted(contents.items()):
            if not any(name in data for name in wanted):
                continue
            folder = _nearest(folder_of(path), head.manifests)
            for specifier, line in imports(tokenise(data.decode("utf-8", "replace")).tokens):
                key = (folder, package_of(specifier))
                if key in removed:
                    used.setdefault(key, []).append(f"{sanitise_line(path, cap=200)}:{line}")

    await asyncio.to_thread(look)
    for (folder, name), line in removed.items():
        places = used.get((folder, name), [])
        above = any(
            name in head.manifests[one].names(PRODUCTION)
            for one in head.manifests
            if one != folder and _holds(one, folder)
        )
        if places and not above:
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            told.add(Level.FAIL, f"{line}, and is still imported in {', '.join(places[:3])}{more}")
        else:
            told.add(Level.WARN, line)


def _finding(outgoing: Outgoing, told: Told, touched: list[str]) -> Finding:
    level = told.level
    if level in (Level.OK, Level.WARN) and not outgoing.fetched:
        level, summary = Level.UNKNOWN, "whether this is what goes out cannot be told"
    elif level is not Level.OK:
        summary = told.headline(level)
    elif told.lines[Level.OK]:
        summary = told.headline(Level.OK)
    else:
        summary = "no dependency changed"
    next_ = ""
    if any("out of step" in line or "which it does not hold" in line for line in told.lines[Level.FAIL]):
        next_ = "Run the package manager's install, and commit the lock file with the manifest."
    elif any("->" in line for line in told.lines[Level.FAIL]):
        next_ = "Read what the new major version breaks; then override this with the reason."
    evidence = [*told.evidence, f"changed: {', '.join(touched[:10])}" if touched else ""]
    if not outgoing.fetched:
        evidence.append(f"as of the last fetch: {outgoing.fetch_error}")
    files = "'*package.json' '*pnpm-lock.yaml' '*package-lock.json' '*yarn.lock'"
    return tell(
        level,
        summary,
        subject=f"{outgoing.target}…{outgoing.short}",
        evidence=evidence,
        command=f"git diff {outgoing.base[:12]}...{outgoing.head[:12]} -- {files}",
        next=next_,
        at=outgoing.at,
    )


def _is_manifest_below(path: str, folder: str) -> bool:
    return path.rpartition("/")[2] == "package.json" and _holds(folder, folder_of(path))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _holds(folder: str, other: str) -> bool:
    """Whether a folder is another or lies above it."""
    return not folder or other == folder or other.startswith(f"{folder}/")


def _within(folder: str, place: str) -> str:
    """A folder as a lock in `place` calls it."""
    return (folder[len(place) :].lstrip("/") if place else folder) or "."


def _lock_of(folder: str, answers: dict[str, tuple[str, Answer]]) -> str | None:
    """The folder of the lock nearest above."""
    return max((place for place in answers if _holds(place, folder)), key=len, default=None)


def _nearest(folder: str, manifests: dict[str, Manifest]) -> str:
    return max((place for place in manifests if _holds(place, folder)), key=len, default="")


def _is_member(folder: str, patterns: list[str]) -> bool:
    """Whether pnpm-workspace.yaml's patterns take a folder in."""
    member = False
    for pattern in patterns:
        plain = pattern.removeprefix("!").removeprefix("./").rstrip("/")
        expression = "".join(
            {"**": ".*", "*": "[^/]*"}.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*|\*)", plain)
        )
        if re.fullmatch(expression, folder):
            member = not pattern.startswith("!")
    return member
