"""package.json: what a package asks for."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise_line

SECTIONS = ("dependencies", "optionalDependencies", "peerDependencies", "devDependencies")
PRODUCTION = ("dependencies", "optionalDependencies", "peerDependencies")
INSTALL_SCRIPTS = ("preinstall", "install", "postinstall", "prepare", "prepublish")
"""Scripts of a package that an installation runs by itself (docs.npmjs.com, "scripts")."""


class Manifest(Struct):
    """What of a package.json matters here; names and specifiers as they stand, not yet harmless."""

    folder: str
    """Of the repository; empty for the root."""
    dependencies: dict[str, dict[str, str]] = field(default_factory=dict)
    """Specifier by section and name; each name in the first of its sections."""
    engines: dict[str, str] = field(default_factory=dict)
    package_manager: str = ""
    scripts: dict[str, str] = field(default_factory=dict)
    """The install scripts alone."""
    builds: frozenset[str] = frozenset()
    """Packages whose install scripts pnpm may run."""

    def section_of(self, name: str) -> str:
        """Where a package is asked for; empty when nowhere."""
        return next((section for section in SECTIONS if name in self.dependencies.get(section, {})), "")

    def names(self, sections: tuple[str, ...] = SECTIONS) -> set[str]:
        """All packages asked for in these sections."""
        return {name for section in sections for name in self.dependencies.get(section, {})}


def folder_of(path: str) -> str:
    """The folder that a file lies in; empty for the root."""
    return path.rpartition("/")[0]


def read_manifest(path: str, data: bytes) -> Manifest:
    """Raises OpsError with the place when it is no package.json."""
    shown = sanitise_line(path, cap=200)
    try:
        document = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OpsError(f"is not valid JSON: {sanitise_line(str(error), cap=160)}", where=shown) from error
    if not isinstance(document, dict):
        raise OpsError("is no package.json: it holds no object", where=shown)
    pnpm = document.get("pnpm")
    builds = pnpm.get("onlyBuiltDependencies") if isinstance(pnpm, dict) else None
    return Manifest(
        folder_of(path),
        {section: _texts(document.get(section)) for section in SECTIONS},
        _texts(document.get("engines")),
        document["packageManager"] if isinstance(document.get("packageManager"), str) else "",
        {key: value for key, value in _texts(document.get("scripts")).items() if key in INSTALL_SCRIPTS},
        frozenset(one for one in builds if isinstance(one, str)) if isinstance(builds, list) else frozenset(),
    )


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}
