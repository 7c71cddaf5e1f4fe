"""Parts of log files on a host, read in one round trip however many they are.

Only ends of files are read: of hundreds of files and of gigabytes never more than `TOTAL` bytes.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence

from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import HostLink
from muva_console.ops.text import sanitise_line

TOTAL = 4 * 1024 * 1024
"""Bytes read at most in one round trip: two seconds over a slow link (16 Mbit/s)."""
MOST, LEAST = 512 * 1024, 4 * 1024
"""Bytes read at most and at least of one file."""
_AT_ONCE = 100
"""Files asked for in one command: their paths must fit in a command line."""


class Wanted(Struct, frozen=True):
    """A part of a file to be read: to its end, from `start` or from `window` bytes before the end."""

    path: str
    start: int | None = None
    window: int = MOST


class FilePart(Struct, frozen=True, kw_only=True):
    """The end of one file at a time."""

    path: str
    problem: str = ""
    """Why there is nothing: ``not there``, ``may not be read``, ``not a file``."""
    inode: int = 0
    size: int = 0
    """Bytes of the whole file."""
    start: int = 0
    """Where `data` begins in it."""
    modified_ms: int = 0
    data: bytes = b""
    shortened: bool = False
    """It begins later than was asked for, because that was more than the window."""

    @property
    def end(self) -> int:
        """Where `data` ends in the file."""
        return self.start + len(self.data)


class Reading(Struct, frozen=True, kw_only=True):
    """Parts of files, and the host's clock."""

    parts: tuple[FilePart, ...]
    done_ms: int | None
    """The host's clock after the last byte was read; what it writes later than that is in no part."""
    utc_offset: float | None
    """Seconds that the host's local time is ahead of UTC; None when it does not say."""


# $1 number, $2 path, $3 start or -1, $4 window. The size is taken before the data, so that a file which
# grows meanwhile is read up to a known place.
_FUNCTION = r"""
m=%s
p() {
 if [ ! -e "$2" ]; then printf '\n%%s %%s missing\n' $m "$1"; return; fi
 if [ ! -f "$2" ]; then printf '\n%%s %%s other\n' $m "$1"; return; fi
 if [ ! -r "$2" ]; then printf '\n%%s %%s denied\n' $m "$1"; return; fi
 set -- "$1" "$2" "$3" "$4" $(stat -L -c '%%s %%Y %%i' -- "$2")
 s=$3; c=0
 if [ "$s" -lt 0 ] || [ "$s" -gt "$5" ]; then s=$(($5 - $4)); c=0
 elif [ $(($5 - s)) -gt "$4" ]; then s=$(($5 - $4)); c=1; fi
 if [ "$s" -lt 0 ]; then s=0; fi
 printf '\n%%s %%s file %%s %%s %%s %%s %%s\n' $m "$1" "$5" "$6" "$7" "$s" "$c"
 tail -c "+$((s + 1))" -- "$2" | head -c "$(($5 - s))"
}
"""
_HEADER = re.compile(
    rb"(\d+) (?:(missing|other|denied)|file (\d+) (\d+) (\d+) (\d+) ([01])|clock (\S*) (\S*))\n"
)
_PROBLEMS = {b"missing": "not there", b"other": "not a file", b"denied": "may not be read"}


async def read_ends(link: HostLink, wanted: Sequence[Wanted]) -> Reading:
    """The ends of some files. A file that cannot be read is a part with a `problem`; LinkError otherwise."""
    window = max(LEAST, min(MOST, TOTAL // max(1, len(wanted))))
    parts: list[FilePart] = []
    done_ms: int | None = None
    offset: float | None = None
    for begin in range(0, len(wanted), _AT_ONCE):
        group = wanted[begin : begin + _AT_ONCE]
        # what a log says cannot look like a header: nobody can guess the mark
        mark = f"muva-{secrets.token_hex(16)}"
        # what a person would type to see the same: the command log shows it (links/ssh.py)
        told = sanitise_line("tail -c " + str(window) + " " + shlex.join([one.path for one in group]))
        command = f"# {told}{_FUNCTION % mark}"
        for number, one in enumerate(group):
            start = -1 if one.start is None else one.start
            command += f"p {number} {shlex.quote(one.path)} {start} {min(window, one.window)}\n"
        command += 'printf \'\\n%s 0 clock %s %s\\n\' $m "$(date +%s%3N)" "$(date +%z)"\n'
        result = await link.run(command, limit=2 * TOTAL + 4096 * len(group))
        got, clock = _parse(result.stdout, mark, group)
        if clock is None:
            told = sanitise_line(result.stderr, cap=200) or "the answer is cut short"
            raise LinkError(Fault.PROTOCOL, f"the log files could not be read: {told}", where=link.host)
        parts += got
        done_ms, offset = clock
    return Reading(parts=tuple(parts), done_ms=done_ms, utc_offset=offset)


def _parse(
    output: bytes, mark: str, group: Sequence[Wanted]
) -> tuple[list[FilePart], tuple[int | None, float | None] | None]:
    parts = {}
    clock: tuple[int | None, float | None] | None = None
    for piece in output.split(b"\n" + mark.encode() + b" ")[1:]:
        header = _HEADER.match(piece)
        if header is None:
            continue
        number, problem, size, modified, inode, start, cut, now, zone = header.groups()
        if now is not None:
            clock = (int(now) if now.isdigit() else None, _offset(zone))
            continue
        path = group[int(number)].path
        if problem is not None:
            parts[int(number)] = FilePart(path=path, problem=_PROBLEMS[problem])
            continue
        parts[int(number)] = FilePart(
            path=path,
            inode=int(inode),
            size=int(size),
            start=int(start),
            modified_ms=int(modified) * 1000,
            data=piece[header.end() :],
            shortened=cut == b"1",
        )
    answered = [
        parts.get(number, FilePart(path=one.path, problem="no answer")) for number, one in enumerate(group)
    ]
    return answered, clock


def _offset(zone: bytes) -> float | None:
    match = re.fullmatch(rb"([+-])(\d\d)(\d\d)", zone)
    if match is None:
        return None
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return float(-seconds if match[1] == b"-" else seconds)
