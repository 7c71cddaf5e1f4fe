"""Whether the process that began an act still runs.

A pid alone lies: it is used again, and means nothing on another machine or in another container. So the
begin of an act keeps the pid with its start time, the boot id and the PID namespace (proc(5)).
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from muva_console.ops.journal.model import Life, Owner

_PROC = Path("/proc")


def this_process() -> Owner:
    """The mark of this process."""
    pid = os.getpid()
    _, started = _state_of(pid)
    return Owner(host=socket.gethostname(), pid=pid, started=started, machine=_machine())


def owner_of(data: dict[str, Any]) -> Owner | None:
    """The mark in the data of an act-begun entry; None when there is none."""
    try:
        return msgspec.convert(data.get("owner"), Owner)
    except msgspec.ValidationError:
        return None


def life_of(owner: Owner | None) -> Life:
    """Whether that process still runs. Never raises; what cannot be told is UNKNOWN."""
    if owner is None or owner.host != socket.gethostname() or owner.pid <= 0:
        return Life.UNKNOWN
    if owner.machine.partition(" ")[0] != _boot():
        return Life.INTERRUPTED  # the same host, started anew since
    if owner.machine != _machine():
        return Life.UNKNOWN  # another container of this host
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return Life.INTERRUPTED
    except (PermissionError, OverflowError):
        pass  # somebody else's process: it is there
    state, started = _state_of(owner.pid)
    if state in {"Z", "X"} or (started and owner.started and started != owner.started):
        return Life.INTERRUPTED
    return Life.RUNNING


def _state_of(pid: int) -> tuple[str, int]:
    """State and start time (fields 3 and 22 of /proc/PID/stat); ("", 0) where /proc does not tell."""
    with suppress(OSError, ValueError, IndexError):
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        after_name = fields[fields.rindex(")") + 2 :].split()
        return after_name[0], int(after_name[19])
    return "", 0


def _boot() -> str:
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _machine() -> str:
    namespace = ""
    with suppress(OSError):
        namespace = str((_PROC / "self/ns/pid").readlink())
    return f"{_boot()} {namespace}"
