"""On which line of a TOML file a key stands, so that a mistake can be gone to.

tomllib tells no places. This follows headers and keys line by line and lets tomllib judge where a value
ends; where it cannot follow it says nothing rather than something wrong.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str, ...]

_PART = r"""(?:"(?:[^"\\]|\\.)*+"|'[^']*+'|[A-Za-z0-9_-]++)"""
_DOTTED = rf"{_PART}(?:\s*+\.\s*+{_PART})*+"
_HEADER = re.compile(rf"^\s*+(\[\[?)\s*+({_DOTTED})\s*+\]\]?\s*+(?:#.*)?$")
_KEY = re.compile(rf"^\s*+({_DOTTED})\s*+=")
_LONGEST_VALUE = 500
"""Lines."""


def places(text: str) -> dict[Path, int]:
    """The line, from 1, of each key and header; items of an array of tables count from 1, as text."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    lines = text.splitlines()
    table: Path = ()
    number = 0
    while number < len(lines):
        line = lines[number]
        if header := _HEADER.match(line):
            table = _path(header[2], counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, 0) + 1
                table = (*table, str(counts[table]))
            found.setdefault(table, number + 1)
        elif key := _KEY.match(line):
            path = (*table, *_path(key[1], {}))
            found.setdefault(path, number + 1)
            for depth in range(len(table) + 1, len(path)):
                found.setdefault(path[:depth], number + 1)
            taken = _lines_of_value(lines, number)
            if not taken:
                return found
            number += taken - 1
        number += 1
    return found


def line_of(path: Path, found: dict[Path, int]) -> int | None:
    """The line of a key, or of the nearest table that holds it; None when neither is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return None


def _path(dotted: str, counts: dict[Path, int]) -> Path:
    """The parts of a dotted key; under an array of tables, its present item."""
    path: Path = ()
    for raw in re.findall(_PART, dotted):
        part = raw[1:-1] if raw[0] == "'" else raw
        if raw[0] == '"':
            try:
                part = tomllib.loads(f"x = {raw}")["x"]
            except ValueError:
                part = raw[1:-1]
        if path in counts:
            path = (*path, str(counts[path]))
        path = (*path, part)
    return path


def _lines_of_value(lines: list[str], first: int) -> int:
    """How many lines a key and its value take; 0 when it cannot be told."""
    text = ""
    for count in range(1, min(_LONGEST_VALUE, len(lines) - first) + 1):
        text += lines[first + count - 1] + "\n"
        try:
            tomllib.loads(text)
        except (ValueError, RecursionError):
            continue
        return count
    return 0
