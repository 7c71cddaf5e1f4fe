"""Finding in what a build printed the lines that say what is wrong."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from muva_console.ops.links.local_lines import clean_lines
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.release.build_bench import Ran

SHOWN = 10
"""The last lines that are told."""
MATTERS = 4
"""Lines that look like errors that are told before those."""
NOT_FOUND = 127
"""The exit status of a shell that finds no such command (POSIX, 2.8.2)."""

_ERROR = re.compile(
    r"\b(?:errors?|failed|failing|failure|fatal|exception|panic|not found|cannot|can't|unable to|denied)\b"
    r"|[a-z]error\b|\bERR_\w+|\bTS\d{4}\b|^\s*[✗✖✕⨯×●]\s|^FAIL\b|^\s*not ok\b|^E\s{3}|\bkilled\b",
    re.IGNORECASE,
)
# What tools print around an error: who called whom, where a log lies, nothing of what is wrong.
_NOISE = re.compile(
    r"ELIFECYCLE|^\s*at\s|command failed with exit|exited with(?: code)? \d|exit status \d"
    r"|complete log of this run|\b(?:0|no) (?:error|fail)|throw new |^\s*\^+\s*$|errors?:\s*0\b"
    r"|^found \d+ errors?\.?$|^npm ERR!\s*(?:code|errno|path|command)",
    re.IGNORECASE,
)
# A line that says by its form that it names what went wrong; what follows it is about it.
_HEADLINES = (
    re.compile(r"^not ok \d+(?: -)? (?P<told>.+?)(?: #.*)?$"),  # a test, as TAP has it: node --test, tap
    re.compile(r"^(?P<told>ERR_[A-Z_]+\s.*)$"),  # pnpm
)
_MISSING = (
    re.compile(
        r"^(?:/bin/)?(?:sh|bash|dash|zsh): (?:line )?(?:\d+: )?(?P<name>[^:]+): (?:command )?not found"
    ),
    re.compile(r"^(?:/bin/)?(?:sh|zsh): command not found: (?P<name>.+)$"),
)


def matter(output: bytes) -> str:
    """The first line that names by its form what failed; else the last one that looks like an error and is no
    noise around one; else the last line; or nothing.
    """
    lines = [line.strip() for line in clean_lines(output) if line.strip()]
    for pattern in _HEADLINES:
        for line in lines:
            found = pattern.match(line)
            if found is not None and not _NOISE.search(line):
                return sanitise_line(found["told"], cap=160)
    errors = [line for line in lines if _looks_wrong(line)]
    told = errors or [line for line in lines if not _NOISE.search(line)] or lines
    return sanitise_line(told[-1], cap=160) if told else ""


def tail_of(output: bytes, *, failed: bool) -> tuple[str, ...]:
    """The last lines, and before them those that look like errors and would not be among them."""
    lines = [line.rstrip() for line in clean_lines(output) if line.strip()]
    last = lines[-SHOWN:]
    if not failed:
        return tuple(last)
    errors = [line for line in lines[:-SHOWN] if _looks_wrong(line)][-MATTERS:]
    return (*errors, "…", *last) if errors else tuple(last)


def missing_tool(ran: Ran, command: str) -> str:
    """The program that `command` itself names and this machine does not have; empty when that is not what
    went wrong. (What a script of the application does not find is the application's mistake.)
    """
    if ran.exit != NOT_FOUND:
        return ""
    for line in reversed(ran.tail):
        for pattern in _MISSING:
            found = pattern.search(line)
            if found is not None and found["name"].strip() in _programs(command):
                return found["name"].strip()
    return ""


def _programs(command: str) -> set[str]:
    """The words of a command line, of which some are programs."""
    try:
        return set(shlex.split(re.sub(r"[;&|()\n]", " ", command)))
    except ValueError:
        return set(command.split())


def _looks_wrong(line: str) -> bool:
    return bool(_ERROR.search(line)) and not _NOISE.search(line)
