"""What is read of PM2: an allow-list of fields, never the environment of a process.

PM2 flattens a process's environment variables into `pm2_env` itself, so nothing is copied from there
that is not named here.
"""

from __future__ import annotations

from datetime import datetime

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
    memory_limit: int | None = None
    """max_memory_restart in bytes."""
    restarts: int = 0
    """restart_time: the counter since the process was added."""
    unstable_restarts: int = 0
    restarts_in_window: int | None = None
    """Restarts seen within the restart window; None until it has been watched or told by the daemon's log."""
    started_at: datetime | None = None
    """pm_uptime: when the present run began (UTC); None when it is not running."""
    created_at: datetime | None = None
    exit_code: int | None = None
    last_signal: str = ""
    """The signal that ended the last run, from the daemon's log: PM2 itself reports code 0 after SIGKILL."""
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
