"""What changes between two states of a package.json, by what the lock resolves where it does."""

from __future__ import annotations

from muva_console.ops.readings import Level
from muva_console.ops.release.lockfile import Answer, Lock
from muva_console.ops.release.manifest import PRODUCTION, SECTIONS, Manifest
from muva_console.ops.release.schema_ground import Told
from muva_console.ops.release.semver import Version, is_breaking, lowest, parse_version
from muva_console.ops.text import sanitise_line


def changes_of(
    told: Told, folder: str, old: Manifest | None, new: Manifest | None, answer: Answer | None, within: str
) -> dict[tuple[str, str], str]:
    """Tell the changes of one package; returns the removed production dependencies, by folder and name,
    each with how it is told, for whoever knows whether they are still imported.

    Either state may be None: the package is new, or gone.
    """
    where = f" in {sanitise_line(folder, cap=150)}" if folder else ""
    if new is None:
        told.add(Level.WARN, f"the package{where} is removed")
        return {}
    if old is None:
        told.add(Level.OK, f"a package is new{where}: {len(new.names())} dependencies")
        old = Manifest(folder)
    removed: dict[tuple[str, str], str] = {}
    for name in sorted(old.names() | new.names()):
        before, after = old.section_of(name), new.section_of(name)
        shown = sanitise_line(name, cap=100)
        if not after:
            line = f"{shown} ({_plain(before)}){where} is removed"
            if before in PRODUCTION:
                removed[folder, name] = line
            else:
                told.add(Level.WARN, line)
        elif not before:
            _tell_added(told, f"{shown}{where}", name, new, after)
        else:
            if before in PRODUCTION and after not in PRODUCTION:
                told.add(Level.WARN, f"{shown}{where} is asked for in development only now")
            _tell_changed(told, f"{shown}{where}", name, old, new, answer, within)
    _tell_others(told, where, old, new)
    return removed


def _tell_added(told: Told, shown: str, name: str, new: Manifest, section: str) -> None:
    specifier = new.dependencies[section][name]
    if _is_elsewhere(specifier):
        told.add(Level.WARN, f"{shown} is added, not from the registry: {sanitise_line(specifier, cap=200)}")
    else:
        told.add(Level.OK, f"{shown} {sanitise_line(specifier, cap=60)} is added ({_plain(section)})")


def _tell_changed(
    told: Told, shown: str, name: str, old: Manifest, new: Manifest, answer: Answer | None, within: str
) -> None:
    was, now = (one.dependencies[one.section_of(name)][name] for one in (old, new))
    before = _version(name, was, answer.base if answer else None, within)
    after = _version(name, now, answer.head if answer else None, within)
    if was != now:
        # a stale lock still holds the old version: what the manifest asks for says what is meant
        asked = (lowest(was), lowest(now))
        if asked[0] and asked[1] and is_breaking(asked[0], asked[1]) and before == after:
            before, after = asked
    if was != now and _is_elsewhere(now) and not _is_elsewhere(was):
        told.add(Level.WARN, f"{shown} comes from elsewhere now: {sanitise_line(now, cap=200)}")
    elif before is None or after is None:
        if was != now:
            change = f"{sanitise_line(was, cap=60)} -> {sanitise_line(now, cap=60)}"
            told.add(Level.WARN, f"{shown} {change}: versions that cannot be compared")
    elif is_breaking(before, after):
        types = name.startswith("@types/") and new.section_of(name) == "devDependencies"
        back = " (back)" if after < before else ""
        told.add(
            Level.WARN if types else Level.FAIL,
            f"breaking dependency changes: {shown} {before} -> {after}{back}",
        )
    elif before != after:
        told.add(Level.WARN if after < before else Level.OK, f"{shown} {before} -> {after}")


def _tell_others(told: Told, where: str, old: Manifest, new: Manifest) -> None:
    for name in sorted(old.engines.keys() | new.engines.keys()):
        was, now = old.engines.get(name, "any"), new.engines.get(name, "any")
        if was != now:
            change = f"{sanitise_line(was, cap=60)} -> {sanitise_line(now, cap=60)}"
            told.add(
                Level.WARN, f"{sanitise_line(name, cap=60)}{where} is to be {change}: see what the hosts have"
            )
    if old.package_manager != new.package_manager:
        was, now = (sanitise_line(one.package_manager.split("+")[0], cap=60) or "any" for one in (old, new))
        told.add(Level.WARN, f"the package manager{where}: {was} -> {now}")
    for name in sorted(new.builds - old.builds):
        told.add(
            Level.WARN, f"{sanitise_line(name, cap=100)}{where} may now run scripts when it is installed"
        )
    for name, script in new.scripts.items():
        if old.scripts.get(name) != script:
            told.add(Level.WARN, f"{name}{where} is new or changed: {sanitise_line(script, cap=160)}")


def _version(name: str, specifier: str, lock: Lock | None, within: str) -> Version | None:
    if lock is not None:
        for section in SECTIONS:
            locked = lock.importers.get(within, {}).get(section, {}).get(name)
            if locked is not None:
                number = locked.version.split("(")[0].removeprefix("/")
                # an alias is locked as name@version
                return parse_version(number) or parse_version(number.rpartition("@")[2])
        if version := lock.wanted.get(f"{name}@{specifier}"):
            return parse_version(version)
    return lowest(specifier.rpartition("@")[2] if specifier.startswith("npm:") else specifier)


def _is_elsewhere(specifier: str) -> bool:
    """Whether a specifier names git, an address, a file or a repository rather than a version."""
    return (
        "://" in specifier
        or specifier.startswith(("git", "file:", "github:"))
        or ("/" in specifier and not specifier.startswith(("npm:", "workspace:", "link:", "catalog:")))
    )


def _plain(section: str) -> str:
    return {
        "dependencies": "production",
        "optionalDependencies": "optional",
        "peerDependencies": "peer",
        "devDependencies": "development",
    }[section]
