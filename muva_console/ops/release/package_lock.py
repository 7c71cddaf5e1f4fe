"""Whether a lock file says what a manifest says."""

from __future__ import annotations

from collections.abc import Iterator

from muva_console.ops.release.lockfile import Lock, Locked
from muva_console.ops.release.manifest import Manifest
from muva_console.ops.text import sanitise_line

_SECTIONS = ("dependencies", "optionalDependencies", "devDependencies")


def match_lock(manifest: Manifest, lock: Lock, within: str, *, yarn: bool = False) -> Iterator[str]:
    """What differs, a line each; `within` is the manifest's folder as the lock calls it. Peers may be locked
    (pnpm installs them by itself) and need not be; an override stands in a lock in place of the specifier.
    """
    asked = {
        name: specifier
        for section in reversed(_SECTIONS)
        for name, specifier in manifest.dependencies.get(section, {}).items()
    }
    if yarn:
        for name, specifier in asked.items():
            if f"{name}@{specifier}" not in lock.wanted and not specifier.startswith(
                ("link:", "file:", "workspace:")
            ):
                yield f"{_shown(name)} {_shown(specifier)} is not locked"
        return
    locked: dict[str, Locked] = {}
    for section in reversed(_SECTIONS):
        locked |= lock.importers.get(within, {}).get(section, {})
    for name, specifier in asked.items():
        if name not in locked:
            yield f"{_shown(name)} {_shown(specifier)} is not locked"
        elif locked[name].specifier != specifier and not _overridden(name, locked[name].specifier, lock):
            yield f"{_shown(name)} is {_shown(specifier)}, locked for {_shown(locked[name].specifier)}"
    peers = manifest.dependencies.get("peerDependencies", {})
    for name in locked.keys() - asked.keys() - peers.keys():
        yield f"{_shown(name)} is locked and not asked for"


def _overridden(name: str, specifier: str, lock: Lock) -> bool:
    for key, value in lock.overrides.items():
        target = key.rpartition(">")[2]
        at = target.find("@", 1)
        if value == specifier and (target if at < 0 else target[:at]) == name:
            return True
    return False


def _shown(text: str) -> str:
    return sanitise_line(text, cap=100)
