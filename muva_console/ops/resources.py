"""A host's memory, disks, load and CPU, and what the kernel killed: one round trip."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Filesystem(Struct, frozen=True, kw_only=True):
    """One mounted filesystem that matters (the root and what holds the application)."""

    mount: str
    size: int
    used: int
    """Bytes."""
    used_fraction: float
    """As df reckons it: reserved blocks count as used."""
    inodes_fraction: float | None
    """None where the filesystem has no fixed number of inodes (btrfs)."""


class HostResources(Struct, frozen=True, kw_only=True):
    """One host at a time."""

    host: str
    at: datetime
    hostname: str
    uptime: float
    """Seconds since boot."""
    cores: int
    load: tuple[float, float, float]
    cpu_fraction: float | None
    """Share of all cores that was busy between the two samples taken within the same round trip."""
    memory_total: int
    memory_available: int
    swap_total: int
    swap_free: int
    """Bytes."""
    filesystems: tuple[Filesystem, ...]
    oom_kills: int | None
    """oom_kill of /proc/vmstat: kills since boot; None where the kernel does not say."""
    took_ms: float = 0.0

    @property
    def memory_fraction(self) -> float:
        """Share of the memory that is not available to a new program."""
        return 1 - self.memory_available / self.memory_total if self.memory_total else 0.0
