"""CPU and memory of whole process trees, from /proc.

PM2 counts the process that it started. Under npm, pnpm or yarn that is a wrapper of 60 MB, and the
server is its child.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOCK_TICKS = 100
"""USER_HZ: 100 on every architecture that Linux still supports (proc_pid_stat(5))."""

# pid, ppid, utime, stime, starttime, rss of every process. The name may hold spaces, parentheses and
# newlines, so only the first line of each file is read, and up to its last parenthesis.
STAT_SED = (
    r"1s/^\([0-9]*\) (.*) [A-Za-z] \(-\{0,1\}[0-9]*\)\( -\{0,1\}[0-9]*\)\{9\}"
    r" \([0-9]*\) \([0-9]*\)\( -\{0,1\}[0-9]*\)\{6\} \([0-9]*\) [0-9]* \([0-9]*\) .*"
    r"/\1 \2 \4 \5 \7 \8/p"
)


@dataclass(frozen=True, slots=True)
class Stat:
    """One process of the host."""

    pid: int
    parent: int
    ticks: int
    """User and system time since it began."""
    began: int
    """Ticks since boot: tells a pid from its next bearer."""
    memory: int
    """Resident bytes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One tree at present."""

    memory: int
    cpu: float | None
    """Percent of one core since the sample before; None without one."""
    size: int
    """Processes in the tree."""


class TreeSample:
    """All processes of a host at one time."""

    def __init__(self, stats: dict[int, Stat], uptime: float) -> None:
        self.stats = stats
        self.uptime = uptime
        """Seconds since boot, by the host's own steady clock."""
        self._children: dict[int, list[int]] = {}
        for stat in stats.values():
            self._children.setdefault(stat.parent, []).append(stat.pid)

    @classmethod
    def parse(cls, lines: list[bytes], page: int, uptime: float) -> TreeSample:
        """Of `STAT_SED`'s output; a line that is not six numbers is passed over."""
        stats = {}
        for line in lines:
            parts = line.split()
            if len(parts) != 6:
                continue
            try:
                pid, parent, user, system, began, pages = map(int, parts)
            except ValueError:
                continue
            stats[pid] = Stat(pid, parent, user + system, began, pages * page)
        return cls(stats, uptime)

    def members(self, leader: int) -> list[Stat]:
        """A process and all that descend from it; empty when it does not run."""
        found: list[Stat] = []
        waiting = [leader]
        seen = set()
        while waiting:
            pid = waiting.pop()
            stat = self.stats.get(pid)
            if stat is None or pid in seen:
                continue
            seen.add(pid)
            found.append(stat)
            waiting += self._children.get(pid, ())
        return found

    def usage(self, leader: int, before: TreeSample | None) -> Usage | None:
        """What the tree of `leader` takes; None when it does not run.

        A process that began since `before` counts from its beginning.
        """
        members = self.members(leader)
        if not members:
            return None
        memory = sum(member.memory for member in members)
        cpu = None
        if before is not None and self.uptime - before.uptime >= MIN_SPAN:
            ticks = 0
            for member in members:
                earlier = before.stats.get(member.pid)
                same = earlier is not None and earlier.began == member.began
                ticks += member.ticks - (earlier.ticks if same and earlier is not None else 0)
            cpu = max(0.0, ticks / CLOCK_TICKS / (self.uptime - before.uptime) * 100)
        return Usage(memory=memory, cpu=cpu, size=len(members))


MIN_SPAN = 0.15
"""Seconds between two samples below which a rate says nothing: a tick is 10 ms."""
