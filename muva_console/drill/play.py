"""A play: something breaks at a moment unknown, an engineer works with the console, and the time is taken.

What the engineer saw and did is read from the journal, as a colleague would; whether it is well again is
looked at by the console's own diagnosis, apart from the engineer, and believed when it is healthy twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from msgspec import structs

from muva_console.config.load import load as load_config
from muva_console.drill import faults as broken
from muva_console.drill.deploy import healthy
from muva_console.drill.estate import load
from muva_console.drill.faults.base import Fault
from muva_console.drill.plays import Broken, Done, Play
from muva_console.drill.state import Estate
from muva_console.ops.diagnosis.diagnose import diagnose
from muva_console.ops.diagnosis.runbooks import runbook_for
from muva_console.ops.errors import OpsError
from muva_console.ops.incidents.verdicts import SUBJECT, keep_verdict, state_of
from muva_console.ops.journal.model import Entry, Filter, Kind
from muva_console.ops.readings import utc_now
from muva_console.ops.runbooks.run import RunKind
from muva_console.ops.text import sanitise_line
from muva_console.ops.workspace import Workspace

Progress = Callable[[str], None]

EVERY = 1.0
"""Seconds between looks into the journal, and at the health endpoint."""
FULL_EVERY = 5.0
"""Seconds between full diagnoses while the health endpoint answers well: each sends some thirty requests."""
SEEN_WITHIN = 60.0
"""Seconds within which the diagnosis must see what was broken. Ours: a crash loop needs a few restarts."""
ENOUGH = 2
"""Healthy diagnoses in a row that make a recovery."""
ACTS_END = 60.0
"""Seconds that acts under way may take to end once all is well. Ours: a restart is watched for some ten."""
SOONEST = 3.0
"""Seconds that it stays well at least, so that the player can turn to the console."""

SCENARIOS: Mapping[str, tuple[str, ...]] = {
    "crash-loop": ("crash-loop", "app-crashed", "bad-deployment"),
    "memory-exhausted": ("out-of-memory", "bad-deployment"),
    "slow-responses": ("slow-responses", "bad-deployment"),
    "elevated-errors": ("elevated-errors", "bad-deployment"),
    "database-stopped": ("database-connectivity",),
    "ssh-gone": ("host-unreachable",),
    "pm2-daemon-killed": ("pm2-down",),
    "process-frozen": ("app-crashed", "process-frozen"),
    "process-stopped": ("process-stopped",),
    "port-taken": ("port-conflict",),
    "variable-missing": ("missing-configuration",),
    "connections-taken": ("database-unresponsive",),
    "machine-gone": ("system-failure",),
    "migration-failed-half-way": ("migration-failed",),
}
"""The verdicts that are right for a fault, where the fault itself does not say."""


def scenarios_of(fault: Fault) -> tuple[str, ...]:
    """The verdicts that are right for a fault; none of one that no diagnosis is made for."""
    return SCENARIOS.get(fault.name, ())


def playable() -> tuple[Fault, ...]:
    """The faults that can be played: those that a diagnosis can name."""
    return tuple(fault for fault in broken.FAULTS if scenarios_of(fault))


def chosen(names: Sequence[str], *, count: int = 1, lot: random.Random | None = None) -> tuple[Fault, ...]:
    """The faults of a play: those that are named, else `count` drawn by lot. Raises OpsError."""
    if not names:
        return _drawn(count, lot or random.SystemRandom())
    found = tuple(broken.find(name) for name in dict.fromkeys(names))
    for fault in found:
        if not scenarios_of(fault):
            known = ", ".join(sorted(one.name for one in playable()))
            raise OpsError(
                f"{fault.name} cannot be played: no diagnosis is made for it", next=f"One of: {known}."
            )
    return found


def _drawn(count: int, lot: random.Random) -> tuple[Fault, ...]:
    """Faults of different sorts (processes, releases, servers): two of one sort hide each other. Raises
    OpsError where there are not so many sorts.
    """
    found: dict[str, Fault] = {}
    known = playable()
    for fault in lot.sample(known, len(known)):
        found.setdefault(fault.break_in.__module__, fault)
    if count > len(found):
        raise OpsError(f"there are {len(found)} sorts of faults: so many at once can be drawn")
    return tuple(found.values())[:count]


class Playing:
    """One play on an estate; `end` ends it early."""

    def __init__(
        self,
        directory: Path,
        faults: Sequence[Fault],
        *,
        drawn: bool,
        within: float = 120.0,
        patience: float = 3600.0,
        progress: Progress = lambda _: None,
    ) -> None:
        """`within`: seconds until it is broken at the latest; `patience`: seconds until it is given up."""
        self._directory = directory
        self._faults = tuple(faults)
        self._drawn, self._within, self._patience = drawn, within, patience
        self._progress = progress
        self._over = asyncio.Event()
        self._watcher: _Watcher | None = None

    def end(self) -> None:
        """Give it up."""
        self._over.set()

    @property
    def red(self) -> bool:
        """Whether the watcher has seen that something is wrong."""
        return self._watcher is not None and self._watcher.red

    async def play(self) -> Play | None:
        """Play it; None when it was given up before anything broke. Raises OpsError where the estate is not
        well to begin with, where it cannot be broken, and where no diagnosis sees what was broken.
        """
        estate = load(self._directory)
        if estate.faults:
            names = ", ".join(one.name for one in estate.faults)
            raise OpsError(f"something is broken already: {names}", next="muva drill mend")
        workspace = Workspace(load_config(estate.config))
        try:
            await workspace.prepare()
            return await self._play(estate, workspace)
        finally:
            await workspace.close()

    async def _play(self, estate: Estate, workspace: Workspace) -> Play | None:
        environments = sorted({fault.environment for fault in self._faults})
        for environment in environments:
            told = await diagnose(workspace.environments[environment].context())
            # kept, so that the time line of what comes begins with "it was well"
            await keep_verdict(workspace.journal, told, opens=False)
            if state_of(told) != "healthy":
                raise OpsError(
                    f"{environment} is not well to begin with: {told.cannot_tell or told.scenarios[0].title}",
                    next="muva drill mend, and wait a minute: restarts are remembered that long.",
                )
        self._progress("something breaks soon; work with the console: muva --config " + str(estate.config))
        wait = random.SystemRandom().uniform(min(SOONEST, self._within), self._within)
        if await self._given_up(wait):
            return None
        seen = await _head(workspace)
        for fault in self._faults:
            await broken.break_in(self._directory, fault.name)
        self._watcher = watcher = _Watcher(workspace, self._directory, self._faults, environments, seen=seen)
        outcome = await self._until_well(watcher, estate)
        return watcher.play(drawn=self._drawn, outcome=outcome)

    async def _until_well(self, watcher: _Watcher, estate: Estate) -> str:
        ends = time.monotonic() + self._patience
        while True:
            await watcher.read()
            if await watcher.well(estate):
                await self._acts_end(watcher)
                return "recovered"
            if time.monotonic() > ends:
                return "out of time"
            if await self._given_up(EVERY):
                await watcher.read()
                return "given up"

    async def _acts_end(self, watcher: _Watcher) -> None:
        """The engineer's acts verify themselves: how they end belongs to the play."""
        ends = time.monotonic() + ACTS_END
        while True:
            await watcher.read()
            if not watcher.acting or time.monotonic() > ends or await self._given_up(EVERY):
                return

    async def _given_up(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True


class _Watcher:
    """Looks at the journal and at the estate, and remembers what came of it."""

    def __init__(
        self,
        workspace: Workspace,
        directory: Path,
        faults: Sequence[Fault],
        environments: Sequence[str],
        *,
        seen: int,
    ) -> None:
        self._workspace, self._directory = workspace, directory
        self._environments = tuple(environments)
        self._broken = [
            Broken(
                name=one.name,
                environment=one.environment,
                scenarios=scenarios_of(one),
                needed=one.undone,
                runbook=runbook_for(scenarios_of(one)[0]),
            )
            for one in faults
        ]
        self._at = utc_now()
        self._began = time.monotonic()
        self._seen = seen
        self._entries: dict[int, Entry] = {}
        self._detected: tuple[datetime, str] | None = None
        self.red = False
        """Whether something was seen to be wrong; read from outside only."""
        self._healthy = 0
        self._recovered: datetime | None = None
        self._full = float("-inf")
        self._helped = False

    async def read(self) -> None:
        """What the engineer has seen and done since."""
        entries = await self._workspace.journal.read(Filter(after=self._seen, limit=None))
        for entry in entries:
            self._seen = entry.id
            self._entries[entry.id] = entry
            how = _detects(entry)
            if how and self._detected is None:
                self._detected = (entry.at, how)
            self._name(entry)
        left = {one.name for one in load(self._directory).faults}
        self._helped = self._helped or any(one.name not in left for one in self._broken)

    def _name(self, entry: Entry) -> None:
        if not _is_verdict(entry) or entry.data.get("state") != "red":
            return
        told = entry.data.get("scenarios")
        names = [str(one) for one in told] if isinstance(told, list) else []
        counted = names if len(self._broken) > 1 else names[:1]  # of several, one hides another
        self._broken = [
            structs.replace(one, diagnosed_at=entry.at)
            if one.diagnosed_at is None
            and one.environment == entry.environment
            and set(counted) & set(one.scenarios)
            else one
            for one in self._broken
        ]

    @property
    def acting(self) -> bool:
        """Whether an act was begun that has not ended."""
        return any(one.outcome == "open" for one in _done(tuple(self._entries.values())))

    async def well(self, estate: Estate) -> bool:
        """Whether all is well again, seen twice. Raises OpsError where nothing was ever seen to be wrong."""
        now = time.monotonic()
        sites = [estate.sites[name] for name in self._environments]
        answering = all(await asyncio.gather(*(healthy(site) for site in sites)))
        if not answering:
            self.red, self._healthy = True, 0
            return False
        if now - self._full < (EVERY if self._healthy else FULL_EVERY):
            return False
        at = utc_now()
        told = await asyncio.gather(
            *(diagnose(self._workspace.environments[name].context()) for name in self._environments)
        )
        self._full = time.monotonic()
        states = {state_of(one) for one in told}
        if states != {"healthy"}:
            self.red = self.red or "red" in states
            self._healthy = 0
            return False
        if not self.red:
            if now - self._began > SEEN_WITHIN:
                names = ", ".join(one.name for one in self._broken)
                raise OpsError(f"nothing is seen of {names}: it mends itself, or no diagnosis sees it")
            return False
        self._recovered = at if self._healthy == 0 else self._recovered
        self._healthy += 1
        return self._healthy >= ENOUGH

    def play(self, *, drawn: bool, outcome: str) -> Play:
        """What it came to."""
        entries = [self._entries[number] for number in sorted(self._entries)]
        at, how = self._detected or (None, "")
        return Play(
            id=uuid4().hex[:12],
            player=self._workspace.engineer.label,
            drawn=drawn,
            faults=tuple(self._broken),
            broken_at=self._at,
            detected_at=at,
            detected_how=how,
            recovered_at=self._recovered if outcome == "recovered" else None,
            ended_at=utc_now(),
            outcome=outcome,
            helped=self._helped,
            verdicts=tuple(
                f"{one.environment}: {sanitise_line(one.text, cap=160)}"
                for one in entries
                if _is_verdict(one)
            ),
            done=_done(entries),
            walked=tuple(dict.fromkeys(one.subject for one in entries if one.kind == RunKind.BEGUN)),
        )


async def _head(workspace: Workspace) -> int:
    entries = await workspace.journal.read(Filter(limit=1))
    return entries[-1].id if entries else 0


def _is_verdict(entry: Entry) -> bool:
    return entry.kind == Kind.FINDING and entry.subject.startswith(f"{SUBJECT} ")


def _detects(entry: Entry) -> str:
    """How an entry shows that its author has noticed; empty where it does not."""
    if _is_verdict(entry) and entry.data.get("state") == "red":
        return f"{entry.engineer}: a red verdict"
    if entry.kind == Kind.INCIDENT:
        return f"{entry.engineer}: an incident opened"
    if entry.kind == Kind.ACT_BEGUN:
        return f"{entry.engineer}: an act begun"
    return ""


def _done(entries: Sequence[Entry]) -> tuple[Done, ...]:
    ends = {one.act: one for one in entries if one.kind == Kind.ACT_ENDED}
    found = []
    for one in entries:
        if one.kind != Kind.ACT_BEGUN:
            continue
        end = ends.get(one.act)
        took = end.data.get("took_s") if end is not None else None
        found.append(
            Done(
                at=one.at,
                by=one.engineer,
                text=sanitise_line(f"{one.text}: {end.text}" if end is not None else one.text, cap=200),
                outcome=end.outcome or "unknown" if end is not None else "open",
                took=float(took) if isinstance(took, int | float) else None,
            )
        )
    return tuple(found)
