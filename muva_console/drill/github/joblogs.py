"""A job's log as GitHub's runner writes it: lines with their time, secrets as ``***``, commands done.

Source: docs.github.com, "Workflow commands for GitHub Actions"; the times have seven digits, as .NET's do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

_COMMAND = re.compile(r"::(?P<name>[a-z-]+)(?: [^:]*)?::(?P<text>.*)")
_MARKS = {"error": "##[error]", "warning": "##[warning]", "notice": "##[notice]", "debug": "##[debug]"}
_CODES = {"%0D": "\r", "%0A": "\n", "%25": "%"}
_SHORTEST = 4
"""Characters of a line of a secret that is worth masking: a shorter one would blot out the log."""


class JobLog:
    """Writes to a file beside, which becomes the log when the job ends: GitHub has none before."""

    def __init__(self, path: Path, secrets: Iterable[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._masks: list[str] = []
        for secret in secrets:
            self._mask(secret)

    def line(self, text: str) -> None:
        """Write a line."""
        for mask in self._masks:
            text = text.replace(mask, "***")
        nanoseconds = time.time_ns()
        at = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._file.write(f"{at}.{nanoseconds % 1_000_000_000 // 100:07d}Z {text}\n")

    def printed(self, text: str) -> None:
        """Write what a step printed; a workflow command is carried out instead."""
        found = _COMMAND.fullmatch(text)
        if found is None:
            self.line(text)
            return
        told = found["text"]
        for code, character in _CODES.items():
            told = told.replace(code, character)
        match found["name"]:
            case "add-mask":
                self._mask(told)
            case "group":
                self.line(f"##[group]{told}")
            case "endgroup":
                self.line("##[endgroup]")
            case name if name in _MARKS:
                self.line(f"{_MARKS[name]}{told}")
            case _:
                self.line(text)

    def group(self, title: str, lines: Iterable[str]) -> None:
        """A group and its lines."""
        self.line(f"##[group]{title}")
        for line in lines:
            self.line(line)
        self.line("##[endgroup]")

    def end(self, final: Path) -> None:
        """Let it be the log."""
        self._file.close()
        self.path.replace(final)

    def _mask(self, secret: str) -> None:
        self._masks += [line for line in secret.splitlines() if len(line) >= _SHORTEST]
        self._masks.sort(key=len, reverse=True)
