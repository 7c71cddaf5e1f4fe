"""What is kept of plays: one JSON text a line in the user's data folder, which outlives the estates."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from muva_console.ops.errors import OpsError

NAME = "drill-plays.jsonl"


class Done(Struct, frozen=True, kw_only=True):
    """One act of the engineer's, as the journal has it."""

    at: datetime
    by: str
    text: str
    outcome: str
    """``open`` where the journal has no end of it."""
    took: float | None = None
    """Seconds."""


class Broken(Struct, frozen=True, kw_only=True):
    """One fault of a play."""

    name: str
    environment: str
    scenarios: tuple[str, ...]
    """The verdicts that are right."""
    needed: str
    """How it is undone."""
    runbook: str = ""
    """The runbook that the right verdict opens; empty where it opens none."""
    diagnosed_at: datetime | None = None
    """When a kept verdict first named it; None where none did."""


class Play(Struct, frozen=True, kw_only=True):
    """One play. Times are UTC; None is "it did not come to that"."""

    id: str
    player: str
    drawn: bool
    """The fault was drawn by lot: the player did not know it."""
    faults: tuple[Broken, ...]
    broken_at: datetime
    """When all of it could be seen from outside: every duration is from here."""
    detected_at: datetime | None = None
    detected_how: str = ""
    recovered_at: datetime | None = None
    """Since when it was seen healthy, twice in a row."""
    ended_at: datetime
    outcome: str
    """``recovered``, ``given up`` or ``out of time``."""
    helped: bool = False
    """The drill itself mended it (`muva drill mend`): that is no recovery by the player."""
    verdicts: tuple[str, ...] = ()
    """The verdicts that were seen, in their order."""
    done: tuple[Done, ...] = ()
    walked: tuple[str, ...] = ()
    """The runbooks that were begun."""

    @property
    def diagnosed_at(self) -> datetime | None:
        """When the last of the faults was named; None while one of them was not."""
        found = [one.diagnosed_at for one in self.faults]
        return max((at for at in found if at is not None), default=None) if all(found) else None

    def seconds(self, at: datetime | None) -> float | None:
        """From the break to a moment; None where it did not come to that."""
        return None if at is None else max(0.0, (at - self.broken_at).total_seconds())


def plays_file() -> Path:
    """Where they are kept."""
    import platformdirs

    return platformdirs.user_data_path("muva-console") / NAME


def keep(play: Play, file: Path) -> None:
    """Add one, in one write. Raises OpsError."""
    data = msgspec.json.encode(play) + b"\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(data)
    except OSError as error:
        raise OpsError(f"the play cannot be kept: {error.strerror}", where=str(file)) from error


def read(file: Path) -> tuple[tuple[Play, ...], int]:
    """Those that are kept, oldest first, and how many lines are none. Raises OpsError."""
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return (), 0
    except OSError as error:
        raise OpsError(f"the plays cannot be read: {error.strerror}", where=str(file)) from error
    found, bad = [], 0
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Play))
        except msgspec.DecodeError:
            bad += bool(line.strip())
    return tuple(found), bad
