"""PM2's own log (`pm2.log`): how runs ended and what was restarted without being asked.

The status of a process lies: after SIGKILL its exit code is 0, and a crash loop that lives for more than
a second each time stays "online" with no unstable restart. The daemon's log has both.

Source: `lib/God.js` (handleExit), `lib/God/ActionMethods.js` (stopProcessId), `lib/Worker.js`
(maxMemoryRestart), `lib/Daemon.js` of pm2 7.0.4; its lines begin with the local time of the host.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from muva_console.ops.pm2.parse import text

TAIL_BYTES = 128 * 1024
"""Read of the log at most, in one go. Ours: one process that crashes every second writes 75 KB in five
minutes."""
KEEP = 3600.0
"""Seconds of history kept at most."""

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d): PM2 (?:log|error|info|warn): (.*)")
_STOPPING = re.compile(r"Stopping app:(.*) id:(\d+)")
_PARKED = re.compile(r"Stopping app:(.*) id:_old_(\d+)")
"""The outgoing worker of a cluster's reload: its successor runs under its number already."""
_EXITED = re.compile(r"App \[(.*):(\d+)\] exited with code \[([^\]]*)\] via signal \[([^\]]*)\]")
_STARTING = re.compile(r"App \[(.*):(\d+)\] starting in -(?:fork|cluster) mode-")
_MEMORY = re.compile(r"\[PM2\]\[WORKER\] Process (\d+) restarted because it exceeds --max-memory-restart")


@dataclass(slots=True)
class Restarts:
    """What the log says of one process within a window."""

    unasked: int = 0
    """Restarts that nobody asked for (crashes, kills, the memory limit) since somebody last asked for one:
    a restart by hand, or a deployment, is a new beginning and is judged by what comes after it."""
    asked: int = 0
    settled: int = 0
    """Unasked ones before the last that was asked for."""
    memory: int = 0
    """Those of `unasked` that the memory limit made."""


@dataclass(slots=True)
class _History:
    name: str = ""
    stopping: bool = False
    memory: bool = False
    ended: str | None = None
    """How the run that is not yet followed by another was ended: "unasked", "asked" or "memory"."""
    signal: str = ""
    starts: deque[tuple[float, str]] = field(default_factory=deque)
    """(time, how the run before ended), oldest first."""


class DaemonLog:
    """Follows the log piece by piece. Times are seconds since 1970 on the host's clock."""

    def __init__(self) -> None:
        self._histories: dict[int, _History] = {}
        self._rest = b""
        self.covers_from: float | None = None
        """Since when nothing was missed: the time of the first line that was read, minus infinity when the
        daemon's own beginning was; None when nothing was read."""
        self.last: float | None = None
        """The time of the newest line."""

    def reset(self) -> None:
        """Forget everything: the file is another one."""
        self._histories.clear()
        self._rest = b""
        self.covers_from = self.last = None

    def feed(self, data: bytes, utc_offset: float) -> None:
        """Read on. `utc_offset` is seconds that the log's local time is ahead of UTC.

        What is not PM2's (stack traces, a line torn at the beginning of what was read) is passed over.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > TAIL_BYTES:
            self._rest = b""
        for line in lines:
            match = _LINE.fullmatch(line[:2000].decode("utf-8", "replace"))
            if match is None:
                continue
            try:
                at = stamp(match[1]) - utc_offset
            except ValueError:
                continue
            if self.covers_from is None:
                self.covers_from = at
            self.last = at
            self._read(at, match[2])
        self._forget()

    def restarts(self, pm_id: int, name: str, since: float) -> Restarts:
        """The restarts of a process after `since`; none for a name that the number does not bear."""
        found = Restarts()
        history = self._histories.get(pm_id)
        if history is not None and history.name == name:
            for at, how in history.starts:
                if at < since:
                    continue
                if how == "asked":
                    found.asked += 1
                    found.settled += found.unasked
                    found.unasked = found.memory = 0
                else:
                    found.unasked += 1
                    found.memory += how == "memory"
        return found

    def asked(self, pm_id: int, name: str) -> float | None:
        """When the process was last started because somebody asked for it; None when the log does not say."""
        history = self._histories.get(pm_id)
        if history is None or history.name != name:
            return None
        return max((at for at, how in history.starts if how == "asked"), default=None)

    def signal(self, pm_id: int, name: str) -> str:
        """The signal that ended the last run; empty when none did or the log does not say."""
        history = self._histories.get(pm_id)
        return history.signal if history is not None and history.name == name else ""

    def _read(self, at: float, message: str) -> None:
        if match := _EXITED.fullmatch(message):
            history = self._of(match[2], match[1])
            history.ended = "memory" if history.memory else "asked" if history.stopping else "unasked"
            history.stopping = history.memory = False
            # "SIGINT" stands there also when there was no signal
            history.signal = "" if match[4] == "SIGINT" else text(match[4], 20)
        elif match := _STARTING.fullmatch(message):
            history = self._of(match[2], match[1])
            if history.ended is not None:
                history.starts.append((at, history.ended))
                history.ended = None
        elif match := _PARKED.fullmatch(message):
            history = self._of(match[2], match[1])
            history.starts.append((at, "memory" if history.memory else "asked"))
            history.memory = False
        elif match := _STOPPING.fullmatch(message):
            self._of(match[2], match[1]).stopping = True
        elif match := _MEMORY.match(message):
            self._of(match[1], None).memory = True
        elif "New PM2 Daemon started" in message:  # it counts from zero
            self._histories.clear()
            self.covers_from = float("-inf")

    def _of(self, number: str, name: str | None) -> _History:
        """The history of a process, a new one where the number has gone to another name."""
        pm_id = int(number[:9])
        shown = None if name is None else text(name)
        history = self._histories.get(pm_id)
        if history is None or (shown is not None and history.name not in {"", shown}):
            history = self._histories[pm_id] = _History()
        if shown is not None:
            history.name = shown
        return history

    def _forget(self) -> None:
        if self.last is None:
            return
        for history in self._histories.values():
            while history.starts and history.starts[0][0] < self.last - KEEP:
                history.starts.popleft()


def stamp(local: str) -> float:
    """``2026-01-31T23:59:59`` read as if it were UTC, in seconds since 1970. Raises ValueError."""
    return datetime.strptime(local, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()


def utc_offset(last_stamp: str, modified: float, host_offset: float) -> float:
    """Seconds that the log's local time is ahead of UTC.

    The daemon may have been started in another time zone than the one a login has now. The newest line
    was written when the file was last modified, so their difference tells; where it is no plausible zone
    (something else was written since), the host's own zone is taken.
    """
    difference = stamp(last_stamp) - modified
    if abs(difference - host_offset) <= 120:
        return host_offset
    zone = round(difference / 900) * 900
    return float(zone) if abs(difference - zone) <= 5 and abs(zone) <= 14 * 3600 else host_offset


def newest_stamp(data: bytes) -> str | None:
    """The time that the newest line bears, None where no line bears one."""
    for line in reversed(data[-16384:].split(b"\n")):
        match = _LINE.fullmatch(line[:2000].decode("utf-8", "replace"))
        if match is not None:
            return match[1]
    return None
