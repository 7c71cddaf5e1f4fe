"""Which of the names that a template asks for an environment file on a host has: names, never values.

The file is read by `awk` on the host. The host is told which names are asked for and answers about those
alone, so that nothing else of the file can come back: a line of a long value may well look like a name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import HostLink
from muva_console.ops.release.env_names import NAME, sorted_names
from muva_console.ops.text import sanitise_line

LARGEST = 1024 * 1024
"""Bytes of an environment file that are read. Ours: real ones have a few thousand."""
MOST_NAMES = 2000
"""Names that are asked for at once. Ours."""

# As `env_names.assignments`, which the tests hold it against; for any awk (mawk 1.3.3 knows no [[:space:]]).
# The names asked for come first, from standard input.
_AWK = r"""
function closes(t, q) { gsub(/\\./, "", t); return index(t, q) > 0 }
BEGIN { while ((getline n < "-") > 0) { asked[++k] = n; want[n] = 1 } }
{ sub(/\r$/, ""); line[NR] = $0 }
END {
  i = 1
  while (i <= NR) {
    t = line[i++]
    if (t !~ /^[ \t]*(export[ \t]+)?[A-Za-z_][A-Za-z0-9_]*[ \t]*=/) continue
    sub(/^[ \t]*/, "", t)
    if (t ~ /^export[ \t]/) sub(/^export[ \t]+/, "", t)
    name = t; sub(/[ \t]*=.*/, "", name)
    sub(/^[^=]*=[ \t]*/, "", t)
    q = substr(t, 1, 1)
    full = 0
    if ((q == "\"" || q == "'" || q == "`") && !nowhere[q]) {
      rest = substr(t, 2); j = i
      full = (substr(rest, 1, 1) != q)
      while (!closes(rest, q) && j <= NR) rest = line[j++]
      if (closes(rest, q)) i = j
      else { nowhere[q] = 1; full = 1 }
    } else {
      sub(/[ \t]*#.*/, "", t); sub(/[ \t]+$/, "", t)
      full = (t != "")
    }
    if (name in want) has[name] = full ? "set" : "empty"
    else other[name] = 1
  }
  for (m = 1; m <= k; m++) print (asked[m] in has ? has[asked[m]] : "lacks"), asked[m]
  n = 0; for (name in other) n++
  print "others", n
}
"""

_SCRIPT = """
f={path}; d=$(dirname "$f")
if [ -d "$d" ] && [ ! -x "$d" ]; then echo unreadable; exit 0; fi
if [ ! -e "$f" ]; then echo missing; exit 0; fi
if [ ! -f "$f" ]; then echo "no file"; exit 0; fi
if [ ! -r "$f" ]; then echo unreadable; exit 0; fi
if [ "$(wc -c < "$f")" -gt {largest} ]; then echo "too large"; exit 0; fi
awk {awk} "$f"
"""

_TOLD = re.compile(r"(set|empty|lacks) ([A-Za-z_][A-Za-z0-9_]{0,199})")


class HostNames(Struct, frozen=True):
    """What an environment file has of the names asked for."""

    has: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    """Set, to nothing."""
    lacks: frozenset[str] = frozenset()
    others: int = 0
    """How many names it has that nobody asked for."""
    trouble: str = ""
    """Why it could not be read: ``missing``, ``no file``, ``unreadable``, ``too large``; else empty."""


def remote_path(directory: str, file: str) -> str:
    """A file of a directory on the host as one word of its shell; a leading ``~`` stays the home."""
    if directory == "~":
        return '"$HOME"/' + shlex.quote(file)
    if directory.startswith("~/"):
        return '"$HOME"/' + shlex.quote(f"{directory[2:].rstrip('/')}/{file}")
    return shlex.quote(f"{directory.rstrip('/')}/{file}")


def names_line(directory: str, file: str) -> str:
    """What a person would type on the host to see the names in the file, and no value."""
    return f"sed -nE 's/^(export )?([A-Z_][A-Z0-9_]*)=.*/\\2/p' {remote_path(directory, file)} | sort"


async def ask_host(link: HostLink, directory: str, file: str, names: Iterable[str]) -> HostNames:
    """What the file has of `names`. Raises LinkError."""
    asked = sorted_names(name for name in names if NAME.fullmatch(name))
    if len(asked) > MOST_NAMES:
        raise LinkError(
            Fault.TOO_LARGE, f"{len(asked):,} names are more than can be asked for", where=link.host
        )
    script = _SCRIPT.format(path=remote_path(directory, file), largest=LARGEST, awk=shlex.quote(_AWK))
    result = await link.run(script, input="".join(f"{name}\n" for name in asked).encode(), limit=1024 * 1024)
    lines = result.stdout.decode("utf-8", "replace").split("\n")
    if lines[0] in ("missing", "no file", "unreadable", "too large"):
        return HostNames(trouble=lines[0])
    told: dict[str, set[str]] = {"set": set(), "empty": set(), "lacks": set()}
    others = None
    for line in lines:
        match = _TOLD.fullmatch(line)
        if match is not None:
            told[match[1]].add(match[2])
        elif line.startswith("others ") and line[7:].isdigit():
            others = int(line[7:])
    if result.exit_status or others is None or len(set().union(*told.values())) != len(asked):
        # what awk says may hold a line of the file: only that it failed is told
        first = result.stderr.split(b"\n")[0] if b"not found" in result.stderr else b""
        why = f": {sanitise_line(first, cap=100)}" if first else ""
        raise LinkError(
            Fault.PROTOCOL, f"the names could not be read (exit {result.exit_status}){why}", where=link.host
        )
    return HostNames(
        frozenset(told["set"] | told["empty"]), frozenset(told["empty"]), frozenset(told["lacks"]), others
    )
