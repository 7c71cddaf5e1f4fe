"""The job on the host: begun by one command, heard by offsets from wherever one left off.

It lives in ``~/.muva/rollback/ENVIRONMENT/ID`` (host.sh says what is in there) in a session of its own, so a
connection that is lost takes nothing with it. Every question is one short command; asked again it does no
harm.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from importlib import resources
from shlex import quote

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.links.base import HostLink
from muva_console.ops.links.hostscript import run_script
from muva_console.ops.text import sanitise, sanitise_line

FOLDER = ".muva/rollback"
"""Below the home of who logs in there."""
CHUNK = 48 * 1024
"""Bytes of a log heard at once."""
_THERE = 17
_HEAD = "trap '' HUP PIPE; umask 077; d=\"$HOME\"/.muva/rollback/{name};"
_START = (
    _HEAD + ' mkdir -p "$d" || exit 1; mkdir "$d"/{id} 2>/dev/null || exit 17;'
    ' : > "$d"/{id}/events; : > "$d"/{id}/log; cat > "$d"/{id}/.job && mv "$d"/{id}/.job "$d"/{id}/job.sh'
)
# its own session: what ends this command does not find it
_BEGIN = (
    _HEAD
    + ' cd "$d"/{id} || exit 1; setsid sh "$d"/{id}/job.sh "$d"/{id} {mode} >/dev/null 2>&1 </dev/null &'
)
_WORD = _HEAD + ' [ -d "$d"/{id} ] && : > "$d"/{id}/{word}'
_HEAR = (
    _HEAD + ' cd "$d" 2>/dev/null || exit 0; id={id}; [ -n "$id" ] || id=$(ls -1 | tail -n 1);'
    ' [ -e "$id"/job.sh ] || exit 0; p=$(cat "$id"/pid 2>/dev/null);'
    ' if [ -z "$p" ]; then s=waiting;'
    ' elif tr "\\0" " " < /proc/"$p"/cmdline 2>/dev/null | grep -q -F "$id"; then s=alive; else s=gone; fi;'
    ' echo "$id $s"; cat "$id"/phase 2>/dev/null || echo -;'
    ' if [ -e "$id"/end ]; then head -n 1 "$id"/end; else echo -; fi;'
    ' echo "$(sed -n "s/^commit=//p" "$id"/job.sh | head -n 1)";'
    ' echo "$(sed -n "s/^old=//p" "$id"/job.sh | head -n 1)";'
    ' echo "$(head -n 1 "$id"/reason 2>/dev/null)"; echo "$(head -n 1 "$id"/restore 2>/dev/null)";'
    ' tail -c +{events} "$id"/events | head -c {chunk} | base64 | tr -d "\\n"; echo;'
    ' tail -c +{log} "$id"/log | head -c {chunk} | base64 | tr -d "\\n"; echo'
)


class Told(Struct, frozen=True, kw_only=True):
    """One thing that the job told. Harmless."""

    kind: str
    """``phase``, ``seen``, ``note`` or ``end``; ``output`` for a line of its log."""
    text: str


class Heard(Struct, frozen=True, kw_only=True):
    """A job as it stands, and what is new since the offsets that were asked from."""

    id: str
    host: str
    alive: bool
    """Its process is there."""
    begun: bool
    phase: str = ""
    """The last it wrote down; empty before the first."""
    outcome: str = ""
    """``rolled-back``, ``untouched``, ``returned`` or ``broken``; empty before its end."""
    why: str = ""
    commit: str = ""
    """What is gone back to."""
    old: str = ""
    """What served before."""
    reason: str = ""
    """Why, in the words of whoever began it."""
    restore: str = ""
    """What is restored while it waits for the word; empty for code alone."""
    told: tuple[Told, ...] = ()
    """What is new, in its order."""
    events_at: int = 0
    """Where the next events begin."""
    log_at: int = 0

    @property
    def ended(self) -> bool:
        """Whether it told an end."""
        return bool(self.outcome)

    @property
    def broken_off(self) -> bool:
        """Whether its process is gone without one."""
        return self.begun and not self.alive and not self.ended


def script(parameters: Mapping[str, str]) -> bytes:
    """The job: its parameters, quoted for a shell, and host.sh."""
    body = resources.files("muva_console.ops.rollback").joinpath("host.sh").read_text("utf-8")
    head = "".join(f"{name}={quote(value)}\n" for name, value in parameters.items())
    return (head + body).encode()


async def start(link: HostLink, environment: str, id: str, job: bytes) -> None:
    """Lay the job down and begin it; where it is there already, it is only begun, which it is once whoever
    asks how often. Raises LinkError.
    """
    line = _START.format(name=quote(environment), id=id)
    await run_script(link, line, failed="the rollback cannot be laid down", input=job, fine=(0, _THERE))
    await begin(link, environment, id)


async def begin(link: HostLink, environment: str, id: str, mode: str = "") -> None:
    """Begin what was laid down; `mode` "recover" puts in order what was broken off. Raises LinkError."""
    line = _BEGIN.format(name=quote(environment), id=quote(id), mode=mode)
    await run_script(link, line, failed="the rollback cannot be begun")


async def word(link: HostLink, environment: str, id: str, what: str) -> None:
    """Say "go" or "stop" to a job that waits. Raises LinkError."""
    line = _WORD.format(name=quote(environment), id=quote(id), word=quote(what))
    await run_script(link, line, failed=f"the rollback cannot be told to {what}")


async def hear(
    link: HostLink, environment: str, id: str = "", *, events_at: int = 0, log_at: int = 0
) -> Heard | None:
    """A job, the newest where no `id` is given; None where there is none. Raises LinkError."""
    line = _HEAR.format(
        name=quote(environment), id=quote(id), events=events_at + 1, log=log_at + 1, chunk=CHUNK
    )
    result = await run_script(link, line, failed="the rollback cannot be heard")
    lines = result.stdout.decode("ascii", "replace").split("\n")
    if len(lines) < 9:
        return None
    named, _, state = lines[0].partition(" ")
    outcome, _, why = lines[2].partition("\t") if lines[2] != "-" else ("", "", "")
    events, log = _bytes(lines[7]), _bytes(lines[8])
    events = events[: events.rfind(b"\n") + 1]
    if len(log) < CHUNK and not outcome:  # a line that is still being written is heard whole
        log = log[: log.rfind(b"\n") + 1]
    return Heard(
        id=sanitise_line(named, cap=60),
        host=link.host,
        alive=state == "alive",
        begun=state != "waiting",
        phase=sanitise_line(lines[1].strip("-"), cap=40),
        outcome=sanitise_line(outcome, cap=40),
        why=redact(sanitise_line(why, cap=400)),
        commit=_commit(lines[3]),
        old=_commit(lines[4]),
        restore=redact(sanitise_line(lines[6], cap=300)),
        reason=redact(sanitise_line(lines[5], cap=300)),
        told=tuple(_in_order(events, log, log_at)),
        events_at=events_at + len(events),
        log_at=log_at + len(log),
    )


def _in_order(events: bytes, log: bytes, start: int) -> Iterator[Told]:
    """Events and the log's lines as they came: each event says how long the log was."""
    at = 0
    for line in events.splitlines():
        parts = line.decode("utf-8", "replace").split("\t", 3)
        if len(parts) < 4 or not parts[1].isdigit():
            continue
        until = min(max(int(parts[1]) - start, at), len(log))
        yield from _lines(log[at:until])
        at = until
        yield Told(kind=sanitise_line(parts[2], cap=20), text=redact(sanitise_line(parts[3], cap=400)))
    yield from _lines(log[at:])


def _lines(log: bytes) -> Iterator[Told]:
    for line in redact(sanitise(log)).splitlines():
        yield Told(kind="output", text=line)


def _commit(text: str) -> str:
    plain = text.strip("'\" ")
    return plain if len(plain) == 40 and all(one in "0123456789abcdef" for one in plain) else ""


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
