"""Finding and ending every process that a local command began, however it tried to get away.

Several nets, because each alone has a hole: the session (a child may begin its own), the parents (an
orphan has lost them), and a variable in the environment, which stands in ``/proc/PID/environ`` as it was
when the program began and which children inherit. A child that clears its environment, loses its parents
and begins a session of its own, all between two looks, is not found.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from uuid import uuid4

from msgspec import Struct

TAG = "MUVA_RUN"
"""The variable; its value is ``OWNER:START:NAMESPACE:UNIQUE``: the console that runs the command, where its
number is its own (a container has numbers of its own), and a name."""
GRACE = 2.0
"""Seconds between asking (SIGTERM) and killing. The same as on hosts (ssh_wrap.GRACE)."""
_PATIENCE = 3.0
"""Seconds for which killed processes are waited for."""


class _Stat(Struct, frozen=True):
    """What ``/proc/PID/stat`` says."""

    pid: int
    state: str
    parent: int
    session: int
    started: int
    """Clock ticks since boot: with the number it names a process for good."""


def new_tag() -> str:
    """A value for `TAG` that no other run has."""
    mine = _stat(os.getpid())
    return f"{os.getpid()}:{mine.started if mine else 0}:{_namespace()}:{uuid4().hex}"


def end_tree(root: int, tag: str, *, gently: bool = True) -> bool:
    """End the command that process `root` began as the leader of its session, with everything that
    descends from it. Blocks for a few seconds at most; False when something would not die.

    `root` must not have been reaped yet, for its number could be another's then.
    """
    known: set[tuple[int, int]] = set()

    def members() -> list[_Stat]:
        return _members(root, f"{TAG}={tag}".encode(), known)

    return (gently and _end(members, signal.SIGTERM, GRACE)) or _end(members, signal.SIGKILL, _PATIENCE)


def end_orphans() -> list[int]:
    """Kill what commands of consoles that are no more (kill -9) have left behind; their numbers."""
    ended = []
    lead, here = f"{TAG}=".encode(), _namespace()
    for one in _processes():
        for word in _environ(one.pid):
            if word.startswith(lead):
                owner, _, rest = word[len(lead) :].decode("ascii", "replace").partition(":")
                started, _, rest = rest.partition(":")
                known = owner.isdigit() and started.isdigit() and rest.partition(":")[0] == here
                if known and not _lives(int(owner), int(started)):
                    _send(one, signal.SIGKILL)
                    ended.append(one.pid)
    return ended


def _end(members: Callable[[], list[_Stat]], number: signal.Signals, patience: float) -> bool:
    """Send a signal to all, newcomers included, until none is left or patience is."""
    asked: set[int] = set()
    until = time.monotonic() + patience
    pause = 0.002
    while left := members():
        for one in left:
            # asked once, for programs take a second request for "at once"; killed as often as needed
            if number == signal.SIGKILL or one.pid not in asked:
                _send(one, number)
                asked.add(one.pid)
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True


def _members(root: int, mark: bytes, known: set[tuple[int, int]]) -> list[_Stat]:
    """Those of the tree that live. `known` remembers it, for the parents may be gone at the next look."""
    everyone = _processes()
    inside = {one.pid for one in everyone if one.pid == root or (one.pid, one.started) in known}
    grown = True
    while grown:
        more = {
            one.pid
            for one in everyone
            if one.pid not in inside and (one.parent in inside or one.session in inside)
        }
        inside |= more
        grown = bool(more)
    mine = os.getpid()
    found = [
        one
        for one in everyone
        if one.state not in "ZX" and one.pid != mine and (one.pid in inside or mark in _environ(one.pid))
    ]
    known.update((one.pid, one.started) for one in found)
    return found


def _processes() -> list[_Stat]:
    """Everything that runs, zombies included."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted, not paths
        if name.isdigit():
            one = _stat(int(name))
            if one is not None:
                found.append(one)
    return found


def _stat(pid: int) -> _Stat | None:
    try:
        # "PID (name) state PPID PGRP SESSION …" (proc(5)): the name may hold spaces and brackets
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return _Stat(
            pid=pid,
            state=fields[0].decode(),
            parent=int(fields[1]),
            session=int(fields[3]),
            started=int(fields[19]),
        )
    except (OSError, IndexError, ValueError):
        return None


def _environ(pid: int) -> list[bytes]:
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return []


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as the reading
        return file.read()


def _namespace() -> str:
    """The namespace of this process's numbers, and the boot they are of."""
    try:
        inside = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path, a name
        boot = _read("/proc/sys/kernel/random/boot_id").decode("ascii", "replace")
    except OSError:
        return "unknown"
    return f"{inside.strip('pid:[]')}-{boot[:8]}"


def _lives(pid: int, started: int) -> bool:
    one = _stat(pid)
    return one is not None and one.started == started and one.state not in "ZX"


def _send(one: _Stat, number: signal.Signals) -> None:
    """Send a signal to that very process: a descriptor cannot come to mean another, as a number can."""
    try:
        descriptor = os.pidfd_open(one.pid)
    except OSError:
        return
    try:
        if _lives(one.pid, one.started):
            signal.pidfd_send_signal(descriptor, number)
    except OSError:
        pass
    finally:
        os.close(descriptor)
