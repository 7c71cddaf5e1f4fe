"""The deployment lock: a folder on the host, so that every console that deploys there meets it.

``~/.muva/lock/ENVIRONMENT`` is made by mkdir(2), which only one can win (a test followed by a write lets two
through). In it stands who holds it, and by the host's own clock since when. No process is tied to it: it
survives the console, and is let go or broken by a person. A lock without an owner's file was left by one that
was killed between the two: it is held by nobody known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from shlex import quote
from uuid import uuid4

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.identity import Engineer
from muva_console.ops.links.base import HostLink
from muva_console.ops.links.hostscript import run_script
from muva_console.ops.text import sanitise, sanitise_line

FOLDER = ".muva/lock"
"""Below the home of who logs in there."""
_HELD, _NOT_OURS = 17, 18
"""Exit statuses of the scripts below: somebody holds it; it is not the one that was seen."""
# each runs whole even where the connection is lost meanwhile
_HEAD = 'trap \'\' HUP PIPE; umask 077; d="$HOME"/.muva/lock; l="$d"/{name};'
_TAKE = (
    _HEAD + ' mkdir -p "$d" || exit 1; mkdir "$l" 2>/dev/null || {{ [ -d "$l" ] && exit 17; exit 1; }};'
    ' {{ date +%s > "$l"/since && cat > "$l"/.owner && mv "$l"/.owner "$l"/owner; }}'
    ' || {{ rm -rf "$l"; exit 1; }}'
)
_READ = (
    _HEAD + ' [ -d "$l" ] || {{ tail -n 1 "$l".broken 2>/dev/null; exit 0; }};'
    ' echo held; date +%s; cat "$l"/since 2>/dev/null || echo -; head -c 8192 "$l"/owner 2>/dev/null; :'
)
# moved away by one rename: of two that let go of the same one, the second finds it gone
_DROP = (
    _HEAD + ' [ -d "$l" ] || exit 0; x="$d"/.gone-{name}-{token};'
    ' have=$(head -c 8192 "$l"/owner 2>/dev/null | sed -n \'s/.*"token": *"\\([0-9a-f]*\\)".*/\\1/p\');'
    ' [ "$have" = {seen} ] || exit 18; {note} mv "$l" "$x" && rm -rf "$x"'
)


class Owner(Struct, frozen=True, kw_only=True):
    """Who holds a lock, in their own words. Harmless."""

    who: str
    """`Engineer.label`."""
    host: str
    """Where their console runs."""
    why: str
    token: str = ""
    """What tells this lock from the next one; hexadecimal."""
    version: str = ""
    run: str = ""
    """The walk it was taken in, where there is one."""

    def is_of(self, engineer: Engineer) -> bool:
        """Whether this engineer, on this machine, holds it: whichever of their consoles took it."""
        return (self.who, self.host) == (engineer.label, engineer.host)


class Lock(Struct, frozen=True, kw_only=True):
    """How the lock stands on one host."""

    host: str
    held: bool
    owner: Owner | None = None
    """None of a free one, and where who holds it is not known."""
    age: float | None = None
    """Seconds for which it is held, by the host's clock; None where that is not known."""
    broken: str = ""
    """Of a free one: who broke the last, and why; empty where nobody did."""

    @property
    def token(self) -> str:
        """Of the owner; empty without."""
        return self.owner.token if self.owner is not None else ""


class HeldError(OpsError):
    """Somebody else holds the lock."""

    def __init__(self, lock: Lock) -> None:
        super().__init__(
            f"{holder(lock)}",
            where=lock.host,
            means="nothing was locked",
            next="Wait for them, ask them, or break it with a reason.",
        )
        self.lock = lock


def new_owner(engineer: Engineer, why: str, *, version: str = "", run: str = "") -> Owner:
    """An owner of a lock that is yet to be taken."""
    return Owner(
        who=sanitise_line(engineer.label, cap=160),
        host=sanitise_line(engineer.host, cap=100),
        why=sanitise_line(redact(why), cap=300),
        token=uuid4().hex,
        version=version,
        run=run,
    )


async def read_lock(link: HostLink, environment: str) -> Lock:
    """How the lock of an environment stands on a host. Raises LinkError."""
    line = _READ.format(name=quote(environment))
    result = await run_script(link, line, failed="the lock cannot be read")
    lines = result.stdout.decode("utf-8", "replace").split("\n", 3)
    if lines[0] != "held":
        broken = sanitise_line(sanitise(lines[0]), cap=400) if lines[0].strip() else ""
        return Lock(host=link.host, held=False, broken=redact(broken))
    now, since, told = (*lines[1:], "", "", "")[:3]
    age = float(int(now) - int(since)) if now.isdigit() and since.isdigit() else None
    return Lock(host=link.host, held=True, owner=_owner(told), age=None if age is None else max(0.0, age))


async def take(links: Sequence[HostLink], environment: str, owner: Owner) -> tuple[HostLink, ...]:
    """Take the lock on every host, in their order, or on none; those that it was taken on now: one that the
    owner's engineer holds already is theirs.

    Raises HeldError and LinkError; what was taken is let go before.
    """
    taken: list[HostLink] = []
    try:
        for link in links:  # one after the other: two consoles meet at the first
            if not await _take(link, environment, owner):
                continue
            taken.append(link)
    except BaseException:
        for link in reversed(taken):
            try:
                await drop(link, environment, owner.token)
            except OpsError:
                continue  # what is left behind names its owner, and is theirs at the next try
        raise
    return tuple(taken)


async def _take(link: HostLink, environment: str, owner: Owner) -> bool:
    line = _TAKE.format(name=quote(environment))
    said = json.dumps(
        {
            "token": owner.token, "who": owner.who, "host": owner.host, "why": owner.why,
            "version": owner.version, "run": owner.run, "environment": environment,
        },
        ensure_ascii=False,
    )  # fmt: skip
    try:
        result = await run_script(
            link, line, failed="the lock cannot be taken", input=said.encode(), fine=(0, _HELD)
        )
    except LinkError as error:
        # the answer is lost: whether it was taken is the host's to tell
        try:
            there = await read_lock(link, environment)
        except LinkError:
            error.means = error.means or f"whether {link.host} is locked is not known"
            raise error from None
        if there.token == owner.token:
            return True
        raise
    if result.exit_status == _HELD:
        there = await read_lock(link, environment)
        if there.owner is not None and (there.owner.who, there.owner.host) == (owner.who, owner.host):
            return False
        if there.held:
            raise HeldError(there)
        return await _take(link, environment, owner)  # let go since
    return True


async def drop(link: HostLink, environment: str, token: str, *, broken: str = "") -> None:
    """Let go of the lock that has this token; nothing where it is free. `broken` says who breaks it and
    why, for whoever looks there. Raises LinkError, OpsError where it is another one by now.
    """
    if token and not all(one in "0123456789abcdef" for one in token):
        raise LinkError(Fault.PROTOCOL, "not the token of a lock", where=link.host)
    name = quote(environment)
    note = f'printf "%s\\n" {quote(sanitise_line(redact(broken), cap=400))} >> "$l".broken;' if broken else ""
    line = _DROP.format(name=name, token=token or uuid4().hex, seen=quote(token), note=note)
    result = await run_script(link, line, failed="the lock cannot be let go", fine=(0, _NOT_OURS))
    if result.exit_status == _NOT_OURS:
        raise OpsError(
            "the lock is another one by now",
            where=link.host,
            means="nothing was let go",
            next="Look who holds it.",
        )


def holder(lock: Lock) -> str:
    """Who holds it, since when and why, in a line."""
    if not lock.held:
        return "the lock is free"
    from muva_console.ops.health.words import spell_span

    since = "" if lock.age is None else f" for {spell_span(lock.age)}"
    if lock.owner is None:
        return f"the lock is held{since}, by whom is not known"
    owner = lock.owner
    version = f" ({owner.version})" if owner.version else ""
    return f"{owner.who} on {owner.host} holds the lock{since}: {owner.why or 'no reason given'}{version}"


def mkdir_line(environment: str) -> str:
    """What a person would type to take it."""
    return f"mkdir -p ~/{FOLDER} && mkdir ~/{FOLDER}/{quote(environment)}"


def _owner(told: str) -> Owner | None:
    try:
        data = json.loads(told)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None

    def text(key: str, cap: int) -> str:
        value = data.get(key, "")
        return redact(sanitise_line(value, cap=cap)) if isinstance(value, str) else ""

    token = text("token", 64)
    return Owner(
        who=text("who", 160) or "somebody",
        host=text("host", 100) or "an unknown host",
        why=text("why", 300),
        token=token if all(one in "0123456789abcdef" for one in token) else "",
        version=text("version", 60),
        run=text("run", 60),
    )
