"""From PM2's JSON to readings, by the allow-list alone.

The environment of a process stands in what PM2 sends, in `pm2_env.env` and flattened into `pm2_env`
itself, its arguments and `versioning.url` beside it. The structs here name the fields that are read;
the decoder skips everything else without ever making an object of it. No error raised here quotes what
was read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.pm2.model import Process
from muva_console.ops.text import sanitise_line

T = TypeVar("T")

NAME_CAP = 200
PATH_CAP = 4096

STATUSES = frozenset(
    {
        "online",
        "stopping",
        "stopped",
        "launching",
        "errored",
        "one-launch-status",
        "waiting restart",
    }
)
"""PM2's words (`constants.js`)."""

_MODE = re.compile(r"fork_mode|cluster_mode")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"v?\d[0-9A-Za-z.+_-]{0,63}")

# A JavaScript string may hold half of a surrogate pair; JSON carries it as an escape that is no text.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|u[dD][89a-fA-F][0-9a-fA-F]{2}"  # a half
    rb"|.)",  # any other escape: its second byte begins nothing
    re.DOTALL,
)


class RawVersioning(Struct):
    """The fields of `versioning` that are read; its `url` may hold a token and is not among them."""

    revision: Any = None
    branch: Any = None


class RawMonit(Struct):
    """What PM2 measured of the leader: bytes and percent."""

    memory: Any = None
    cpu: Any = None


class RawEnv(Struct):
    """The fields of `pm2_env` that are read. Any of them may be shadowed by an environment variable of
    the same name, so none is trusted to have its type.
    """

    status: Any = None
    restart_time: Any = None
    unstable_restarts: Any = None
    pm_uptime: Any = None
    created_at: Any = None
    exec_mode: Any = None
    instances: Any = None
    namespace: Any = None
    exit_code: Any = None
    pm_out_log_path: Any = None
    pm_err_log_path: Any = None
    max_memory_restart: Any = None
    node_version: Any = None
    version: Any = None
    pm_cwd: Any = None
    versioning: Raw = Raw(b"null")
    env: Raw = Raw(b"null")


class RawShadow(Struct):
    """The one environment variable that could pass for a field with no shape of its own."""

    namespace: Any = None


class RawProcess(Struct):
    """One element of `getMonitorData` and of `pm2 jlist`."""

    name: Any = None
    pm_id: Any = None
    pid: Any = None
    monit: Raw = Raw(b"null")
    pm2_env: Raw = Raw(b"null")


def decode_json(data: bytes | Raw, type: type[T], *, where: str = "") -> T:
    """JSON as `type`. Raises LinkError(PROTOCOL), without a word of the content, for what is neither."""
    try:
        return msgspec.json.decode(data, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    mended = bytes(data)
    if _SURROGATE.search(mended):
        mended = _ESCAPE.sub(_mend, mended)
    try:
        return msgspec.json.decode(mended.decode("utf-8", "replace"), type=type)
    except (msgspec.DecodeError, RecursionError):
        raise LinkError(
            Fault.PROTOCOL,
            "PM2's answer is not what PM2 7 sends",
            where=where,
            means="another version of PM2, or not PM2 at all",
        ) from None


def _mend(match: re.Match[bytes]) -> bytes:
    """U+FFFD for half of a pair, every other escape as it is."""
    escape = match.group()
    return b"\\ufffd" if len(escape) == 6 and escape[2:3] in b"dD" else escape


def processes(data: bytes | Raw, host: str) -> tuple[Process, ...]:
    """The processes in the answer of `getMonitorData` or `pm2 jlist`, ordered by pm_id.

    An element without a number of its own (a worker on its way out during a reload) is left out.
    Raises LinkError(PROTOCOL).
    """
    found = []
    for raw in decode_json(data, list[RawProcess], where=host):
        pm_id = _integer(raw.pm_id)
        if pm_id is not None:
            found.append(_process(raw, pm_id, host))
    return tuple(sorted(found, key=lambda process: process.pm_id))


def _process(raw: RawProcess, pm_id: int, host: str) -> Process:
    env = _part(raw.pm2_env, RawEnv, host)
    monit = _part(raw.monit, RawMonit, host)
    versioning = _part(env.versioning, RawVersioning, host)
    shadow = _part(env.env, RawShadow, host)
    status = env.status if isinstance(env.status, str) and env.status in STATUSES else "unknown"
    namespace = env.namespace if env.namespace != shadow.namespace else None
    revision = versioning.revision if isinstance(versioning.revision, str) else ""
    running = status in {"online", "launching", "stopping"}
    memory = _integer(monit.memory) or 0
    return Process(
        host=host,
        pm_id=pm_id,
        name=text(raw.name, NAME_CAP) or f"#{pm_id}",
        namespace=text(namespace, NAME_CAP) or "default",
        pid=(_integer(raw.pid) or None) if running else None,
        status=status,
        cpu=_number(monit.cpu) or 0.0,
        memory=memory,
        own_memory=memory,
        memory_limit=_integer(env.max_memory_restart) or None,
        restarts=_integer(env.restart_time) or 0,
        unstable_restarts=_integer(env.unstable_restarts) or 0,
        started_at=moment(env.pm_uptime) if running else None,
        created_at=moment(env.created_at),
        exit_code=_integer(env.exit_code),
        exec_mode=_shaped(env.exec_mode, _MODE),
        instances=max(1, _integer(env.instances) or 1),
        node_version=_shaped(env.node_version, _VERSION),
        version=_shaped(env.version, _VERSION),
        cwd=_path(env.pm_cwd),
        out_log=_path(env.pm_out_log_path),
        err_log=_path(env.pm_err_log_path),
        commit=revision if _COMMIT.fullmatch(revision) else "",
        branch=text(versioning.branch, NAME_CAP),
    )


def _part(raw: Raw, type: type[T], where: str) -> T:
    """A nested object; an empty one where PM2 (or a variable that shadows it) put something else."""
    if bytes(memoryview(raw)[:1]) != b"{":
        return type()
    return decode_json(raw, type, where=where)


def text(value: object, cap: int = NAME_CAP) -> str:
    """One harmless, redacted line of a string or a number; empty for anything else."""
    if isinstance(value, str):
        return sanitise_line(redact(sanitise_line(value)), cap=cap)  # redacted before it is cut
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def _path(value: object) -> str:
    return text(value, PATH_CAP) if isinstance(value, str) and value.startswith("/") else ""


def _shaped(value: object, pattern: re.Pattern[str]) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= 32:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and -1e18 < value < 1e18:
        return float(value)
    return None


def _integer(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**62) < value < 2**62 else None
    number = _number(value)
    return None if number is None else int(number)


def moment(value: object) -> datetime | None:
    """A time in milliseconds since 1970 as UTC; None for what is none."""
    number = _number(value)
    if not number or number < 0:
        return None
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def process_id(value: object) -> int | None:
    """A pm_id of the bus; ``_old_3`` (the outgoing worker of a reload) is 3. None for anything else."""
    if isinstance(value, str) and value.startswith("_old_"):
        value = value.removeprefix("_old_")
    return _integer(value)
