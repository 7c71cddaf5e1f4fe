"""The check "processes": what a host's process list means, in the words of a colleague."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from muva_console.config.model import Thresholds
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.readings import Finding, Level, worst

CHECK = "processes"
GOOD_FOR = timedelta(minutes=2)
"""How long a reading of processes may be believed. Ours: four of the console's usual intervals."""


@dataclass(frozen=True, slots=True)
class _Opinion:
    level: Level
    summary: str
    evidence: tuple[str, ...] = ()


def judge(
    list: ProcessList,
    expected: Sequence[str],
    thresholds: Thresholds,
    now: datetime,
    *,
    command: str = "pm2 ls",
) -> tuple[Finding, ...]:
    """One finding for each expected process (each process there is, when none is expected), of all its
    instances, in the words of the worst. What is not expected belongs to somebody else and is not judged.

    A reading older than `GOOD_FOR` makes every finding UNKNOWN. Thresholds: `restarts` unasked ones within
    `restart_window` are a crash loop, `memory` is a share of the process's own limit. `command` is what a
    person would have typed to read the same.
    """
    names = tuple(dict.fromkeys(expected)) or tuple(dict.fromkeys(p.name for p in list.processes))
    if not names:
        return (_finding(list, "", _Opinion(Level.WARN, f"PM2 on {list.host} runs nothing"), now, command),)
    return tuple(
        _finding(
            list,
            name,
            _of_name(list, name, [p for p in list.processes if p.name == name], thresholds),
            now,
            command,
        )
        for name in names
    )


def _finding(list: ProcessList, name: str, opinion: _Opinion, now: datetime, command: str) -> Finding:
    expires = list.at + GOOD_FOR
    level, summary = opinion.level, opinion.summary
    if now > expires:
        age = spell((now - list.at).total_seconds())
        level, summary = Level.UNKNOWN, f"not asked for {age}; then: {summary}"
    return Finding(
        check=CHECK,
        level=level,
        title="Processes",
        subject=f"{name} on {list.host}" if name else list.host,
        summary=summary,
        evidence=(*opinion.evidence, f"read by {list.source}"),
        command=command,
        took_ms=list.took_ms,
        at=list.at,
        expires=expires,
    )


def _of_name(list: ProcessList, name: str, instances: list[Process], thresholds: Thresholds) -> _Opinion:
    if not instances:
        others = ", ".join(dict.fromkeys(p.name for p in list.processes)) or "nothing at all"
        return _Opinion(
            Level.FAIL, f"PM2 on {list.host} does not have {name}", (f"PM2 on {list.host} has {others}",)
        )
    opinions = [_of_process(list, process, thresholds) for process in instances]
    level = worst(opinion.level for opinion in opinions)
    chosen = next(opinion for opinion in opinions if opinion.level is level)
    evidence = tuple(line for opinion in opinions for line in opinion.evidence)
    if len(instances) == 1:
        return _Opinion(level, chosen.summary, evidence)
    up = sum(process.status == "online" for process in instances)
    counted = f"{up} of {len(instances)} instances of {name} are up"
    return _Opinion(level, counted if level is Level.OK else f"{chosen.summary} ({counted})", evidence)


def _of_process(list: ProcessList, process: Process, thresholds: Thresholds) -> _Opinion:
    name = process.name
    evidence = (_facts(list, process),)
    if process.status == "errored":
        summary = f"PM2 gave up on {name}: it failed to start again and again{_ending(process)}"
        return _Opinion(Level.FAIL, summary, evidence)
    unasked = process.restarts_in_window
    if unasked is not None and unasked >= thresholds.restarts:
        within = _within(thresholds)
        summary = f"PM2 restarted {name} {unasked} times in {within}{_ending(process)}"
        return _Opinion(Level.FAIL, summary, (*evidence, *_memory_restarts(process)))
    if process.status in {"stopped", "one-launch-status"}:
        return _Opinion(Level.FAIL, f"{name} is stopped{_ending(process)}", evidence)
    if process.status == "unknown":
        return _Opinion(Level.UNKNOWN, f"PM2 tells no status of {name} that is known here", evidence)
    if process.status != "online":
        return _Opinion(Level.WARN, f"{name} is not up yet: PM2 calls it {process.status}", evidence)
    if process.pid is None:
        return _Opinion(Level.UNKNOWN, f"PM2 calls {name} online but tells no pid", evidence)
    return _of_running(list, process, thresholds, evidence)


def _of_running(
    list: ProcessList, process: Process, thresholds: Thresholds, evidence: tuple[str, ...]
) -> _Opinion:
    name = process.name
    uptime = list.uptime(process)
    up = "" if uptime is None else f" for {spell(uptime)}"
    limit = process.memory_limit
    if limit is not None and process.own_memory >= thresholds.memory * limit:
        summary = (
            f"{name} uses {spell_size(process.own_memory)} of the {spell_size(limit)} "
            "beyond which PM2 restarts it"
        )
        return _Opinion(Level.WARN, summary, evidence)
    if limit is not None and process.tree and process.memory >= thresholds.memory * limit:
        summary = (
            f"{name} uses {spell_size(process.memory)} with its children and its limit is "
            f"{spell_size(limit)}, but PM2 counts only the {spell_size(process.own_memory)} of their parent"
        )
        return _Opinion(Level.WARN, summary, evidence)
    unasked = process.restarts_in_window
    if unasked:
        times = "once" if unasked == 1 else f"{unasked} times"
        within = _within(thresholds)
        summary = f"{name} is up{up}, but PM2 had to restart it {times} in {within}{_ending(process)}"
        return _Opinion(Level.WARN, summary, (*evidence, *_memory_restarts(process)))
    young = uptime is None or uptime < thresholds.restart_window
    if unasked is None and process.restarts and young:
        summary = f"{name} is up{up} after {process.restarts} restarts; how fast they come is not known yet"
        return _Opinion(Level.UNKNOWN, summary, evidence)
    return _Opinion(Level.OK, f"{name} is up{up}", evidence)


def _within(thresholds: Thresholds) -> str:
    """The window in which restarts were counted. (`created_at` is no bound: PM2 sets it at every start.)"""
    minutes = round(thresholds.restart_window / 60)
    if minutes == 1:
        return "a minute"
    return f"{minutes} minutes" if minutes else spell(thresholds.restart_window)


def _ending(process: Process) -> str:
    """How the last run ended, as a clause; the memory limit where it made most of the restarts."""
    if process.memory_limit is not None and 2 * (process.memory_restarts or 0) > (
        process.restarts_in_window or 0
    ):
        return f", because it used more than its memory limit of {spell_size(process.memory_limit)}"
    if process.last_signal:
        return f"; {process.last_signal} ended the last run"
    if process.exit_code:
        return f"; the last run ended with code {process.exit_code}"
    return ""


def _memory_restarts(process: Process) -> tuple[str, ...]:
    if not process.memory_restarts or process.memory_limit is None:
        return ()
    return (
        f"{process.memory_restarts} of the restarts because it used more than "
        f"{spell_size(process.memory_limit)}, its memory limit",
    )


def _facts(list: ProcessList, process: Process) -> str:
    """One instance in a line of evidence."""
    uptime = list.uptime(process)
    parts = [f"{process.name} [{process.pm_id}] {process.status}"]
    if process.pid is not None:
        parts.append(f"pid {process.pid}")
    if uptime is not None:
        parts.append(f"up {spell(uptime)}")
    parts.append(f"{process.restarts} restarts in all")
    if process.restarts_in_window is not None:
        parts.append(f"{process.restarts_in_window} unasked lately")
    if process.pid is not None:
        limit = "" if process.memory_limit is None else f" of {spell_size(process.memory_limit)}"
        parts.append(f"{spell_size(process.memory)}{limit}")
        parts.append(f"{process.cpu:g} % cpu")
    if process.commit:
        parts.append(f"commit {process.commit[:7]} when it was started")
    return ", ".join(parts)


def spell(seconds: float) -> str:
    """A duration in at most two units: ``4m 12s``, ``2h 10m``, ``12d 3h``, ``5m``."""
    left = int(max(0.0, seconds))
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
        if len(parts) == 2:
            break
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def spell_size(size: int) -> str:
    """A size as a person says it: ``512M``, ``1.5G``."""
    value = float(size)
    for unit in ("B", "K", "M", "G"):
        if value < 1000 or unit == "G":
            break
        value /= 1024
    return f"{value:.0f}{unit}" if value >= 10 or value == int(value) else f"{value:.1f}{unit}"
