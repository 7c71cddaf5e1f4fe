"""A host's memory, disks, load and CPU, and what the kernel killed: one round trip.

One command prints the kernel's own files and `df`, each part behind a marker that no output can
forge; the parsers are pure functions over those parts. What a host does not tell is None, or the
reading fails: nothing is guessed.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.links.base import HostLink

SAMPLE_GAP = 0.2
"""Seconds between two CPU samples where there is no earlier one: at 100 Hz and 2 cores, 40 ticks."""
SAMPLE_AGE = 120.0
"""An earlier CPU sample older than this many seconds says little of now; two are taken instead. Ours."""
OUTPUT_LIMIT = 512 * 1024
OOM_KEPT = 20
"""Kills listed, the newest ones."""
_DF_TIMEOUT = 5
"""Seconds that `df` may take: a dead network mount would hang it."""


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


class OomKill(Struct, frozen=True, kw_only=True):
    """A process that the kernel killed for want of memory."""

    at: datetime | None
    """By the host's clock; None where its log does not tell."""
    pid: int
    process: str
    """The kernel's name of it, at most 15 characters, sanitised."""
    memory: int | None = None
    """Its resident anonymous memory in bytes."""


class CpuSample(Struct, frozen=True):
    """The first line of /proc/stat: ticks since boot, summed over the cores."""

    total: int
    idle: int
    """Idle and waiting for input or output."""


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
    """Share of all cores that was busy since the last reading, or between two samples within the same
    round trip where there is none of late."""
    memory_total: int
    memory_available: int
    swap_total: int
    swap_free: int
    """Bytes."""
    filesystems: tuple[Filesystem, ...]
    oom_kills: int | None
    """oom_kill of /proc/vmstat: kills since boot; None where the kernel does not say."""
    took_ms: float = 0.0
    notes: tuple[str, ...] = ()
    """What could not be told, a line each: a path that is not there, say."""
    recent_ooms: tuple[OomKill, ...] | None = None
    """The kernel log's latest OOM kills, oldest first; None when not asked for or not permitted."""

    @property
    def memory_fraction(self) -> float:
        """Share of the memory that is not available to a new program."""
        return 1 - self.memory_available / self.memory_total if self.memory_total else 0.0


async def read(link: HostLink, paths: Sequence[str] = (), *, ooms: bool = False) -> HostResources:
    """Read a host once. `paths` are directories whose filesystems matter beside the root.

    CPU is the share since the last reading over the same link, or over `SAMPLE_GAP` where that is
    missing or too old. `ooms` asks the kernel log too (slower). Raises LinkError: as the link does, and
    PROTOCOL when the host does not tell the essentials (it is not Linux, or /proc is hidden).
    """
    began = time.monotonic()
    before = _samples.get(link)
    fresh = before is not None and SAMPLE_GAP <= began - before[0] <= SAMPLE_AGE
    marker = secrets.token_hex(8)
    result = await link.run(command(paths, marker, samples=1 if fresh else 2, ooms=ooms), limit=OUTPUT_LIMIT)
    parts = split(result.stdout.decode("utf-8", "replace"), marker)
    samples = [sample for name in ("stat", "stat2") if (sample := parse_cpu(parts.get(name, "")))]
    if fresh and before is not None:
        samples.insert(0, before[1])
    if samples:
        _samples[link] = (time.monotonic(), samples[-1])
    return compose(
        link.host,
        parts,
        samples,
        paths=paths,
        ooms=ooms,
        took_ms=(time.monotonic() - began) * 1000,
        truncated=result.truncated,
    )


_samples: WeakKeyDictionary[HostLink, tuple[float, CpuSample]] = WeakKeyDictionary()


def command(paths: Sequence[str], marker: str, *, samples: int, ooms: bool) -> str:
    """The command line whose output `split` takes apart."""
    places = " ".join(shlex.quote(path) for path in dict.fromkeys(("/", *paths)) if path.startswith("/"))
    df = f"$limit df -P -k {places}"
    lines = [
        # what a person would type to see the same: the command log shows it (links/ssh.py)
        "# free -h; df -h; df -i; uptime; grep oom_kill /proc/vmstat",
        f"m() {{ printf '\\n%s:%s\\n' {marker} \"$1\"; }}",
        f"if command -v timeout >/dev/null; then limit='timeout {_DF_TIMEOUT}'; else limit=; fi",
        "m stat; head -n 1 /proc/stat",
        "m cores; nproc || grep -c '^processor' /proc/cpuinfo",
        "m hostname; uname -n",
        "m meminfo; cat /proc/meminfo",
        "m loadavg; cat /proc/loadavg",
        "m uptime; cat /proc/uptime",
        "m vmstat; grep '^oom_kill ' /proc/vmstat",
        f"m df; {df} 2>/dev/null",
        f"m inodes; {df.replace('-k', '-i')} 2>/dev/null",
        f'm missing; $limit sh -c \'for p; do [ -e "$p" ] || printf "%s\\n" "$p"; done\' m {places}',
    ]
    if ooms:
        lines.append(
            "m ooms; { $limit dmesg --time-format iso"
            " || $limit journalctl -k -o short-iso --no-pager -n 5000; }"
            f" 2>/dev/null | grep -F 'Killed process' | tail -n {OOM_KEPT}; m oomstatus;"
            " { dmesg || journalctl -k -n 1; } >/dev/null 2>&1 && echo permitted"
        )
    if samples > 1:
        lines.append(f"sleep {SAMPLE_GAP}; m stat2; head -n 1 /proc/stat")
    lines.append("m end")
    return "\n".join(lines)


def split(output: str, marker: str) -> dict[str, str]:
    """The parts of the output by name. A part that was not printed is missing; the first of a name counts."""
    parts: dict[str, str] = {}
    pieces = re.split(rf"^{re.escape(marker)}:([a-z0-9]+)$", output, flags=re.MULTILINE)
    for name, text in zip(pieces[1::2], pieces[2::2], strict=False):
        parts.setdefault(name, text.strip("\n"))
    return parts


def compose(
    host: str,
    parts: Mapping[str, str],
    samples: Sequence[CpuSample],
    *,
    paths: Sequence[str] = (),
    ooms: bool = False,
    took_ms: float = 0.0,
    truncated: bool = False,
) -> HostResources:
    """The reading made of the parts. Raises LinkError(PROTOCOL) when an essential one is not there."""
    memory = parse_meminfo(parts.get("meminfo", ""))
    load, uptime = parse_load(parts.get("loadavg", "")), parse_uptime(parts.get("uptime", ""))
    cores = _number(parts.get("cores", ""))
    total, available = memory.get("MemTotal"), memory.get("MemAvailable")
    unknown = [
        name
        for name, value in (
            ("memory", total or None),
            ("available memory", available),
            ("load", load),
            ("uptime", uptime),
            ("cores", cores or None),
        )
        if value is None
    ]
    if load is None or uptime is None or not cores or not total or available is None:
        raise LinkError(
            Fault.PROTOCOL,
            f"the host does not tell its {', '.join(unknown)}",
            where=host,
            means="It is not a Linux host, /proc is hidden, or its answer was cut short.",
            next="Look by hand: cat /proc/meminfo /proc/loadavg",
        )
    filesystems = parse_df(parts.get("df", ""), parts.get("inodes", ""))
    notes = [f"{sanitise_line(path, cap=200)} is not there" for path in parts.get("missing", "").splitlines()]
    notes += [f"{sanitise_line(path, cap=200)} is not an absolute path" for path in paths if path[:1] != "/"]
    if not filesystems:
        notes.append("df tells nothing")
    if truncated:
        notes.append("the answer was cut short")
    return HostResources(
        host=host,
        at=utc_now(),
        hostname=sanitise_line(parts.get("hostname", "").strip(), cap=253),
        uptime=uptime,
        cores=cores,
        load=load,
        cpu_fraction=cpu_share(samples[0], samples[-1]) if len(samples) > 1 else None,
        memory_total=total,
        memory_available=min(available, total),
        swap_total=memory.get("SwapTotal", 0),
        swap_free=memory.get("SwapFree", 0),
        filesystems=filesystems,
        oom_kills=parse_oom_count(parts.get("vmstat", "")),
        took_ms=took_ms,
        notes=tuple(notes),
        recent_ooms=parse_ooms(parts["ooms"])
        if ooms and parts.get("oomstatus") and "ooms" in parts
        else None,
    )


def _number(text: str) -> int | None:
    """A whole number alone on its line, None for anything else (and for one beyond 2**63)."""
    text = text.strip()
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) else None


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo (proc(5)) in bytes; lines that are not ``Name: 123 kB`` are left out."""
    found = re.findall(r"^([A-Za-z][A-Za-z0-9_()]*):[ \t]+([0-9]{1,16}) kB$", text, re.MULTILINE)
    return {name: int(kibibytes) * 1024 for name, kibibytes in reversed(found)}


def parse_load(text: str) -> tuple[float, float, float] | None:
    """/proc/loadavg's three averages; None when they are not there."""
    match = re.match(r"([0-9]{1,7}\.[0-9]{2}) ([0-9]{1,7}\.[0-9]{2}) ([0-9]{1,7}\.[0-9]{2}) ", text)
    return (float(match[1]), float(match[2]), float(match[3])) if match else None


def parse_uptime(text: str) -> float | None:
    """/proc/uptime's seconds since boot; None when they are not there."""
    match = re.match(r"([0-9]{1,12}\.[0-9]{2}) [0-9]", text)
    return float(match[1]) if match else None


def parse_oom_count(text: str) -> int | None:
    """``oom_kill N`` of /proc/vmstat (since Linux 4.13); None when it is not there."""
    match = re.fullmatch(r"oom_kill ([0-9]{1,19})", text.strip())
    return int(match[1]) if match else None


def parse_cpu(text: str) -> CpuSample | None:
    """The ``cpu`` line of /proc/stat: user nice system idle iowait irq softirq steal (guest is in user)."""
    match = re.match(r"cpu +([0-9]{1,19}(?: [0-9]{1,19}){3,9})$", text.strip())
    if match is None:
        return None
    ticks = [int(part) for part in match[1].split()][:8]
    return CpuSample(sum(ticks), ticks[3] + (ticks[4] if len(ticks) > 4 else 0))


def cpu_share(before: CpuSample, after: CpuSample) -> float | None:
    """The busy share between two samples; None when no time passed or a counter went back (a reboot)."""
    total, idle = after.total - before.total, after.idle - before.idle
    # iowait may decrease (proc(5)), so idle is only held within the total, not required to grow.
    return None if total <= 0 else 1 - min(max(idle, 0), total) / total


_DF_LINE = re.compile(
    r"(?P<device>.*\S)\s+(?P<size>\d{1,19}|-)\s+(?P<used>\d{1,19}|-)\s+(?P<free>\d{1,19}|-)\s+(?:\d+%|-)\s+(?P<mount>/.*)",
    re.ASCII,
)
_DF_LINE_CAP = 2048
"""Characters of a line that is looked at: the expression's time grows with the square of it."""


def _df_lines(text: str) -> list[re.Match[str]]:
    lines = (_DF_LINE.fullmatch(line) for line in text.splitlines() if len(line) <= _DF_LINE_CAP)
    return [match for match in lines if match is not None]


def parse_df(blocks: str, inodes: str) -> tuple[Filesystem, ...]:
    """The filesystems of ``df -P -k`` and ``df -P -i``, each mount once, in df's order."""
    by_mount = {match["mount"]: match for match in _df_lines(inodes)}
    found: dict[str, Filesystem] = {}
    for match in _df_lines(blocks):
        if "-" in (match["size"], match["used"], match["free"]):
            continue
        used, free = int(match["used"]), int(match["free"])
        if not used + free:
            continue  # a pseudo filesystem without blocks
        mount = sanitise_line(match["mount"], cap=200)
        if mount in found:
            continue
        found[mount] = Filesystem(
            mount=mount,
            size=int(match["size"]) * 1024,
            used=used * 1024,
            used_fraction=used / (used + free),
            inodes_fraction=_inodes(by_mount.get(match["mount"])),
        )
    return tuple(found.values())


def _inodes(match: re.Match[str] | None) -> float | None:
    if match is None or "-" in (match["used"], match["free"]):
        return None
    used, free = int(match["used"]), int(match["free"])
    return used / (used + free) if used + free else None


_KILLED = re.compile(r"Killed process ([0-9]{1,10}) \((.{0,64}?)\)")
_ANON = re.compile(r"anon-rss:([0-9]{1,16})kB")


def parse_ooms(text: str) -> tuple[OomKill, ...]:
    """The kernel's ``Killed process PID (NAME) … anon-rss:NkB`` lines, as dmesg or journalctl print them."""
    kills = []
    for line in text.splitlines()[-OOM_KEPT:]:
        match = _KILLED.search(line)
        if match is None:
            continue
        anon = _ANON.search(line, match.end())
        kills.append(
            OomKill(
                at=_log_time(line),
                pid=int(match[1]),
                process=sanitise_line(match[2], cap=64),
                memory=int(anon[1]) * 1024 if anon else None,
            )
        )
    return tuple(kills)


def _log_time(line: str) -> datetime | None:
    # 2026-11-22T21:14:35,400669+00:00 (dmesg) and 2026-11-22T21:14:35+0000 (journalctl)
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:,\d+)?([+-]\d\d):?(\d\d)", line)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(f"{match[1]}{match[2]}:{match[3]}")
    except ValueError:
        return None
