"""A unified difference, read for the lines that it adds. The format: git-diff(1), "Generating patch text"."""

from __future__ import annotations

import re

from msgspec import Struct

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_NAMED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


class Added(Struct):
    """What a difference adds to one file."""

    path: str
    lines: list[tuple[int, str, str]]
    """Number in the new file, the line, and the line before it in the new file (empty where the difference
    does not show it).
    """
    size: int = 0
    """Characters added."""
    binary: bool = False
    """The difference says only that the file differs."""
    new: bool = False


def added_lines(diff: str) -> list[Added]:
    """By file, in order. Contents that look like headers are contents: hunks are read by their counts."""
    files: list[Added] = []
    current: Added | None = None
    old = new = number = 0
    before = ""
    # not splitlines: that would also break at form feeds and their like within a line
    for line in diff.split("\n"):
        if old > 0 or new > 0:
            sign, text = line[:1], line[1:].removesuffix("\r")
            if sign == "+":
                if current is not None:
                    current.lines.append((number, text, before))
                    current.size += len(text)
                before, number, new = text, number + 1, new - 1
            elif sign == "-":
                old -= 1
            elif sign != "\\":
                before, number, old, new = text, number + 1, old - 1, new - 1
            continue
        if line.startswith("diff --git "):
            current = Added(_header_path(line[11:]), [])
            files.append(current)
        elif current is None:
            continue
        elif hunk := _HUNK.match(line):
            old, number, new = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
            before = ""
        elif line.startswith(("+++ ", "rename to ")):
            name = _unquote(line[4:] if line[0] == "+" else line[10:])
            if line[0] == "+":
                if name == "/dev/null":
                    files.pop()
                    current = None
                    continue
                name = name.removeprefix("b/")
            current.path = name
        elif line.startswith("new file mode"):
            current.new = True
        elif line.startswith("deleted file mode"):
            files.pop()
            current = None
        elif line.startswith(("Binary files ", "GIT binary patch")):
            current.binary = True
    return files


def _header_path(text: str) -> str:
    """The new path in ``a/P b/P``, which is all there is where neither contents nor name change."""
    if text.endswith('"'):
        start = text.rfind(' "', 0, -1)
        return _unquote(text[start + 1 :]).removeprefix("b/")
    half = len(text) // 2
    return text[half + 1 :].removeprefix("b/") if text[half : half + 1] == " " else text.rpartition(" b/")[2]


def _unquote(name: str) -> str:
    """A name as it is: git quotes those with unusual characters as C does."""
    name = name.removesuffix("\t")  # git's own, behind a name with a space
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name
    inner = name[1:-1]
    raw = bytearray()
    at = 0
    for match in _ESCAPE.finditer(inner):
        raw += inner[at : match.start()].encode("utf-8", "surrogateescape")
        code = match[1]
        raw.append(_NAMED[code] if code in _NAMED else int(code, 8) & 0xFF)
        at = match.end()
    raw += inner[at:].encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")
