"""detect-secrets' baseline: what a team has looked at and found to be no secret."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise_line


class Known(Struct, frozen=True):
    """An entry of the baseline."""

    is_secret: bool | None = None
    """What an audit said; None where there was none."""


class Baseline(Struct):
    """What of a baseline is heeded: its findings, its exclusions, the settings of its detectors."""

    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    """By file and hash."""
    plugins: dict[str, dict[str, float | str]] = field(default_factory=dict)
    exclude_lines: list[str] = field(default_factory=list)
    exclude_files: list[str] = field(default_factory=list)
    exclude_secrets: list[str] = field(default_factory=list)

    @property
    def exclusions(self) -> int:
        """How many patterns it excludes by."""
        return len(self.exclude_lines) + len(self.exclude_files) + len(self.exclude_secrets)


def read_baseline(data: bytes, where: str) -> Baseline:
    """Raises OpsError with the place when it is no baseline."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        line = _line_of(data, str(error))
        raise OpsError(
            f"is not valid JSON: {sanitise_line(str(error), cap=120)}",
            where=f"{where}{f' line {line}' if line else ''}",
            next=f"Make it anew: detect-secrets scan > {where}",
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("results"), dict):
        raise OpsError("is not a baseline of detect-secrets: it has no results", where=where)
    baseline = Baseline()
    for path, entries in document["results"].items():
        for entry in entries if isinstance(entries, list) else ():
            hashed = entry.get("hashed_secret") if isinstance(entry, dict) else None
            if not isinstance(hashed, str):
                place = f"{where} results.{sanitise_line(path, cap=200)}"
                raise OpsError("has an entry without hashed_secret", where=place)
            verdict = entry.get("is_secret")
            baseline.known[path, hashed] = Known(verdict if isinstance(verdict, bool) else None)
    for plugin in _dicts(document.get("plugins_used")):
        baseline.plugins[str(plugin.get("name"))] = {
            key: value
            for key, value in plugin.items()
            if key in ("limit", "keyword_exclude") and isinstance(value, float | int | str) and value != ""
        }
    for one in _dicts(document.get("filters_used")):
        patterns = one.get("pattern")
        wanted = [
            text for text in (patterns if isinstance(patterns, list) else [patterns]) if isinstance(text, str)
        ]
        match str(one.get("path")).rpartition(".")[2]:
            case "should_exclude_line":
                baseline.exclude_lines += wanted
            case "should_exclude_file":
                baseline.exclude_files += wanted
            case "should_exclude_secret":
                baseline.exclude_secrets += wanted
    return baseline


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _line_of(data: bytes, message: str) -> int:
    """The line of the byte that the parser names; 0 when it names none."""
    digits = message.rpartition("byte ")[2].rstrip(")")
    return data.count(b"\n", 0, int(digits)) + 1 if digits.isdigit() else 0
