"""Lock files, read in a process of its own: ``python -P -m muva_console.ops.release.lockfile``.

Reads a `Request` as JSON from standard input and writes an `Answer` to standard output. A lock file has
megabytes, and a hostile one can exhaust memory or the parser's stack: the console must not feel it.

pnpm-lock.yaml of version 6 and 9 (github.com/pnpm/spec, "lockfile"), package-lock.json and
npm-shrinkwrap.json of version 2 and 3 (docs.npmjs.com, "package-lock.json"), yarn.lock of version 1.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from muva_console.ops.release.semver import Version, is_breaking, parse_version

NAMES = ("pnpm-lock.yaml", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock")
"""Lock files that are read."""
OTHERS = ("bun.lock", "bun.lockb", "deno.lock")
"""Lock files that are not."""
_LISTED = 200


class Locked(Struct, frozen=True):
    """A package that an importer asks for, as the lock has it."""

    specifier: str
    version: str


class Lock(Struct):
    """One lock file."""

    importers: dict[str, dict[str, dict[str, Locked]]] = field(default_factory=dict)
    """By folder (``.`` is the lock's own), section and name."""
    wanted: dict[str, str] = field(default_factory=dict)
    """Of yarn's, which knows no importers: version by ``name@specifier``."""
    overrides: dict[str, str] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    """All versions by package."""
    missing: list[str] = field(default_factory=list)
    """What is asked for and not there."""
    foreign: list[str] = field(default_factory=list)
    """Packages that come from git, from a file or from another place than the rest; with the place."""
    builds: list[str] = field(default_factory=list)
    """Packages that run something when they are installed, as far as the lock says so."""
    trouble: str = ""
    """Why it could not be read."""
    unread: bool = False
    """It is of a kind or version that is not read."""


class Request(Struct):
    """Both states of a lock file (None: not there), and of pnpm-workspace.yaml beside it."""

    name: str
    base: bytes | None
    head: bytes | None
    base_workspace: bytes | None = None
    head_workspace: bytes | None = None


class Workspace(Struct):
    """pnpm-workspace.yaml."""

    packages: list[str] = field(default_factory=list)
    builds: list[str] = field(default_factory=list)


class Answer(Struct):
    """What was read."""

    base: Lock | None
    head: Lock | None
    base_workspace: Workspace
    head_workspace: Workspace
    added: int = 0
    removed: int = 0
    breaking: list[str] = field(default_factory=list)
    """Packages whose highest version is no longer compatible, indirect ones too: ``a 1.0.0 -> 2.0.0``."""


def read_lock(name: str, data: bytes) -> Lock:
    """Never raises for what the file holds: `trouble` says what is wrong with it."""
    text = data.decode("utf-8", "replace")
    conflict = re.search(r"^(?:<{7}|>{7}) ", text, re.MULTILINE)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        return Lock(trouble=f"line {line}: an unresolved merge conflict")
    try:
        if name == "pnpm-lock.yaml":
            return _pnpm(_yaml(text))
        if name == "yarn.lock":
            return _yarn(text)
        return _npm(msgspec.json.decode(data))
    except RecursionError:
        return Lock(trouble="nested too deeply")
    except msgspec.DecodeError as error:
        return Lock(trouble=f"is not valid JSON: {error}")
    except (TypeError, AttributeError, KeyError) as error:
        return Lock(trouble=f"does not look like a {name} ({type(error).__name__})")
    except _NotRead as error:
        return Lock(trouble=str(error), unread=error.unread)


class _NotRead(Exception):
    def __init__(self, why: str, *, unread: bool = False) -> None:
        super().__init__(why)
        self.unread = unread


def _yaml(text: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    # pnpm writes no anchors: with them a small file can stand for a huge one
    if re.search(r"^[^#'\"\n]*[:-][ ]+[&*]\w", text, re.MULTILINE):
        raise _NotRead("uses anchors, which pnpm never writes")
    try:
        documents = [one for one in yaml.load_all(text, yaml.CSafeLoader) if isinstance(one, dict)]
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark is not None else ""
        raise _NotRead(f"{place}is not valid YAML: {getattr(error, 'problem', None) or error}") from error
    return documents[-1] if documents else {}


# --- pnpm


def _pnpm(document: dict[str, Any]) -> Lock:
    version = str(document.get("lockfileVersion", ""))
    if version.split(".", maxsplit=1)[0] not in ("6", "9"):
        raise _NotRead(
            f"version {version or 'without a number'}, which is not read (6 and 9 are)", unread=True
        )
    lock = Lock(overrides={str(key): str(value) for key, value in _map(document, "overrides").items()})
    packages = {_bare(key): value or {} for key, value in _map(document, "packages").items()}
    snapshots = {_bare(key): value or {} for key, value in _map(document, "snapshots").items()}
    known = packages.keys() | {key.split("(", maxsplit=1)[0] for key in packages}
    if snapshots:
        known &= snapshots.keys() | {key.split("(", maxsplit=1)[0] for key in snapshots}
    importers = _map(document, "importers") or {".": document}
    for folder, held in importers.items():
        importer = held or {}
        for section in ("dependencies", "optionalDependencies", "devDependencies"):
            for name, entry in _map(importer, section).items():
                locked = Locked(str(entry["specifier"]), str(entry["version"]))
                lock.importers.setdefault(folder, {}).setdefault(section, {})[name] = locked
                if not _is_there(name, locked.version, known):
                    lock.missing.append(f"{name}@{locked.version.split('(')[0]}")
        lock.importers.setdefault(folder, {})
    for key, entry in {**packages, **snapshots}.items():
        for section in ("dependencies", "optionalDependencies"):
            for name, wanted in _map(entry, section).items():
                if not _is_there(name, str(wanted), known):
                    lock.missing.append(f"{name}@{str(wanted).split('(')[0]} (of {key.split('(')[0]})")
    for key, entry in packages.items():
        name, number = _split(key)
        lock.versions.setdefault(name, []).append(str(entry.get("version") or number))
        resolution = _map(entry, "resolution")
        place = resolution.get("tarball") or resolution.get("repo") or resolution.get("directory")
        if place or resolution.get("type") == "git":
            lock.foreign.append(f"{name} from {_place(str(place))}")
        if entry.get("requiresBuild") is True:
            lock.builds.append(name)
    return lock


def _map(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise TypeError(key)
    return found


def _bare(key: str) -> str:
    return str(key).removeprefix("/")


def _is_there(name: str, version: str, known: set[str]) -> bool:
    if version.startswith(("link:", "file:", "workspace:")):
        return True
    bare = _bare(version)
    plain = bare.split("(")[0]
    return not known.isdisjoint((f"{name}@{bare}", f"{name}@{plain}", bare, plain))


def _split(key: str) -> tuple[str, str]:
    """``@a/b@1.0.0(c@2)`` is @a/b, 1.0.0."""
    plain = key.split("(", maxsplit=1)[0]
    at = plain.find("@", 1)
    return (plain, "") if at < 0 else (plain[:at], plain[at + 1 :])


# --- npm


def _npm(document: Any) -> Lock:
    version = document.get("lockfileVersion")
    if version not in (2, 3):
        raise _NotRead(f"version {version}, which is not read (2 and 3 are)", unread=True)
    lock = Lock()
    packages = _map(document, "packages")
    places: list[tuple[str, str]] = []
    for path, entry in packages.items():
        name = path.rpartition("node_modules/")[2]
        if "node_modules/" not in path:
            folder = path or "."
            lock.importers.setdefault(folder, {})
            for section in ("dependencies", "optionalDependencies", "devDependencies"):
                for wanted, specifier in _map(entry, section).items():
                    found = packages.get(f"{path}/node_modules/{wanted}") if path else None
                    found = found or packages.get(f"node_modules/{wanted}")
                    if found is None and section != "optionalDependencies":
                        lock.missing.append(f"{wanted}@{specifier}")
                    number = str((found or {}).get("version", ""))
                    lock.importers[folder].setdefault(section, {})[wanted] = Locked(str(specifier), number)
            continue
        if entry.get("link"):
            continue
        lock.versions.setdefault(name, []).append(str(entry.get("version", "")))
        if entry.get("hasInstallScript") is True:
            lock.builds.append(name)
        if resolved := entry.get("resolved"):
            places.append((name, str(resolved)))
    lock.foreign = _foreign(places)
    return lock


# --- yarn


def _yarn(text: str) -> Lock:
    if "\n__metadata:" in text:
        raise _NotRead("of yarn 2 or newer, which is not read", unread=True)
    lock = Lock()
    places: list[tuple[str, str]] = []
    keys: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line and not line.startswith((" ", "#")) and line.endswith(":"):
            keys = [key.strip().strip('"') for key in line[:-1].split(",")]
        elif match := re.fullmatch(r'  version "?([^"]+)"?', line):
            name = _split(keys[0])[0] if keys else ""
            lock.versions.setdefault(name, []).append(match[1])
            lock.wanted.update((key, match[1]) for key in keys)
        elif keys and (match := re.fullmatch(r'  resolved "?([^"]+)"?', line)):
            places.append((_split(keys[0])[0], match[1]))
    lock.foreign = _foreign(places)
    return lock


# --- all


def _foreign(places: Iterable[tuple[str, str]]) -> list[str]:
    """Packages from another place than most: the usual place is the registry, wherever it is."""
    known = [(name, place, _server(place)) for name, place in places]
    servers = Counter(server for _, place, server in known if place.startswith("https:"))
    usual = servers.most_common(1)[0][0] if servers else ""
    return [f"{name} from {_place(place)}" for name, place, server in known if server != usual]


def _server(place: str) -> str:
    try:
        return urlsplit(place).hostname or ""
    except ValueError:
        return ""


def _place(place: str) -> str:
    """An address without user, password, query and fragment."""
    try:
        parts = urlsplit(place)
        return (
            f"{parts.scheme}://{parts.hostname}{parts.path}"
            if parts.hostname
            else place.split("#", maxsplit=1)[0]
        )
    except ValueError:
        return "an address that cannot be read"


def _workspace(data: bytes | None) -> Workspace:
    if data is None:
        return Workspace()
    try:
        document = _yaml(data.decode("utf-8", "replace"))
    except (_NotRead, RecursionError):
        return Workspace()
    packages, builds = document.get("packages"), document.get("onlyBuiltDependencies")
    allowed = document.get("allowBuilds")
    return Workspace(
        [str(one) for one in packages] if isinstance(packages, list) else [],
        [str(one) for one in builds]
        if isinstance(builds, list)
        else [str(one) for one, yes in allowed.items() if yes is True]
        if isinstance(allowed, dict)
        else [],
    )


def compare(request: Request) -> Answer:
    """Both states, and what differs in all packages."""
    base = None if request.base is None else read_lock(request.name, request.base)
    head = None if request.head is None else read_lock(request.name, request.head)
    answer = Answer(base, head, _workspace(request.base_workspace), _workspace(request.head_workspace))
    if base is not None and head is not None:
        before, after = base.versions, head.versions
        answer.added, answer.removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
        for name in sorted(before.keys() & after.keys()):
            old, new = _highest(before[name]), _highest(after[name])
            if old is not None and new is not None and is_breaking(old, new):
                answer.breaking.append(f"{name} {old} -> {new}")
        del answer.breaking[_LISTED:]
    for lock in (base, head):
        if lock is not None:
            lock.versions = {}
            lock.missing = sorted(set(lock.missing))[:_LISTED]
            lock.foreign = sorted(set(lock.foreign))
            lock.builds = sorted(set(lock.builds))
    return answer


def _highest(versions: list[str]) -> Version | None:
    return max((one for one in map(parse_version, versions) if one is not None), default=None)


def main() -> int:
    """Read the request, write the answer."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    sys.stdout.buffer.write(msgspec.json.encode(compare(request)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
