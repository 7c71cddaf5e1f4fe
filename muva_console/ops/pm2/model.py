"""What is read of PM2: an allow-list of fields, never the environment of a process.

PM2 flattens a process's environment variables into `pm2_env` itself, so nothing is copied from there
that is not named here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Process(Struct, frozen=True, kw_only=True):
    """One process of PM2 on one host, at a time."""

    host: str
    pm_id: int
    name: str
    """Sanitised."""
    namespace: str = "default"
    pid: int | None = None
    status: str
    """PM2's word: online, stopping, stopped, launching, errored, one-launch-status, waiting restart."""
    cpu: float = 0.0
    """Percent of one core, of the whole process tree where /proc could be read (see `tree`)."""
    memory: int = 0
    """Bytes, of the whole process tree where /proc could be read (see `tree`)."""
    tree: bool = False
    """True when cpu and memory count the children too; PM2 itself counts the leader alone."""
    own_memory: int = 0
    """Bytes of the leader alone, by PM2's own count: what PM2 holds against `memory_limit`."""
    memory_limit: int | None = None
    """max_memory_restart in bytes."""
    restarts: int = 0
    """restart_time: the counter since the process was added."""
    unstable_restarts: int = 0
    restarts_in_window: int | None = None
    """Restarts within the restart window that nobody asked for (crash, kill, memory limit), counted from the
    last one that somebody did ask for; None until it has been watched or told by the daemon's log. A lower
    bound where the log begins within the window."""
    memory_restarts: int | None = None
    """Those of them that PM2 made because `memory_limit` was exceeded; None where the log does not tell."""
    started_at: datetime | None = None
    """pm_uptime: when the present run began (UTC); None when it is not running."""
    asked_at: datetime | None = None
    """When it was last started because somebody asked for it (a deployment, a restart by hand), by the
    daemon's log of the last hour, UTC; None where that does not tell. Later runs were PM2's own doing."""
    created_at: datetime | None = None
    exit_code: int | None = None
    """How the last run ended; None when it has not ended yet or a signal ended it (see `last_signal`)."""
    last_signal: str = ""
    """The signal that ended the last run, from the daemon's log: PM2 itself reports code 0 after SIGKILL.
    Empty for SIGINT too, which PM2 also writes where there was no signal."""
    exec_mode: str = ""
    instances: int = 1
    node_version: str = ""
    version: str = ""
    cwd: str = ""
    out_log: str = ""
    err_log: str = ""
    commit: str = ""
    """versioning.revision, 40 hexadecimal digits, or empty."""
    branch: str = ""


class ProcessList(Struct, frozen=True, kw_only=True):
    """All processes of one host."""

    host: str
    at: datetime
    processes: tuple[Process, ...]
    source: str
    """``daemon socket`` or ``pm2 jlist``: which of the two ways was used."""
    daemon_version: str = ""
    clock_offset: float = 0.0
    """Seconds that the host's wall clock is ahead of ours; uptime is reckoned on the host's clock."""
    took_ms: float = 0.0

    def uptime(self, process: Process) -> float | None:
        """Seconds that `process` had run when this was read, by the host's clock; None if it did not."""
        if process.started_at is None:
            return None
        return max(0.0, self.at.timestamp() + self.clock_offset - process.started_at.timestamp())


class ProcessEvent(Struct, frozen=True, kw_only=True):
    """A line of the daemon's bus about a process."""

    host: str
    at: datetime
    event: str
    """start, online, exit, restart, stop, reload, restart overlimit, exception …"""
    process: str
    pm_id: int
    manually: bool = False
    detail: str = ""


class LogChunk(Struct, frozen=True, kw_only=True):
    """What a process wrote, as the daemon's bus passed it on: any number of lines, torn anywhere."""

    host: str
    process: str
    pm_id: int
    stream: Literal["out", "err"]
    at: datetime
    """The daemon's clock (UTC)."""
    data: str
    """NOT sanitised: an escape sequence may be torn between two chunks, so lines are made first."""


class NoticeKind(StrEnum):
    """What happened to the bus itself."""

    CONNECTED = "connected"
    LOST = "lost"
    """What was written from here to the next CONNECTED was not seen."""
    KILLED = "killed"
    """The daemon said that it is being ended (`pm2 kill`, `pm2 update`, a signal)."""


class BusNotice(Struct, frozen=True, kw_only=True):
    """Something about the bus itself, in its place among what it carried."""

    host: str
    at: datetime
    kind: NoticeKind
    detail: str = ""
