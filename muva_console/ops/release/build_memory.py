"""Results of builds and tests, remembered in the journal for the commit and the commands."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Struct

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Draft, Entry, Filter
from muva_console.ops.journal.store import Journal
from muva_console.ops.release.build_bench import Ran

BUILD = "build-result"
TESTS = "test-result"


class Result(Struct, frozen=True, kw_only=True):
    """What came out, now or earlier."""

    exit: int
    timed_out: bool
    truncated: bool
    took_ms: float
    matter: str
    tail: tuple[str, ...]
    told: str = ""
    """When and by whom, for a remembered one."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.exit == 0 and not self.timed_out and not self.truncated


class Memory:
    """What the journal remembers of one commit and its commands."""

    def __init__(self, journal: Journal, kind: str, sha: str, commands: tuple[str, ...]) -> None:
        self._journal = journal
        self._kind = kind
        self._sha = sha
        self._commands = commands
        self._digest = hashlib.sha256("\0".join(commands).encode()).hexdigest()[:16]

    async def recall(self) -> Result | None:
        """The newest result; None when there is none or the journal cannot be read."""
        wanted = Filter(kinds=(self._kind,), text=self._sha, limit=50)
        try:
            entries = await self._journal.read(wanted)
        except OpsError:
            return None  # then it is run: that costs time, not truth
        for entry in reversed(entries):
            result = self._read(entry)
            if result is not None:
                return result
        return None

    async def keep(self, ran: Ran, *, environment: str) -> str:
        """Remember; the reason when the journal does not take it, else nothing."""
        data: dict[str, Any] = {
            "sha": self._sha,
            "digest": self._digest,
            "command": " && ".join(self._commands),
            "exit": ran.exit,
            "timed_out": ran.timed_out,
            "truncated": ran.truncated,
            "took_ms": round(ran.took_ms, 1),
            "matter": ran.matter,
            "tail": list(ran.tail),
            "output": str(ran.kept) if ran.kept is not None else "",
        }
        what = "build" if self._kind == BUILD else "test"
        outcome = "ok" if ran.ok else "timed out" if ran.timed_out else f"exit {ran.exit}"
        draft = Draft(
            kind=self._kind,
            subject=f"{what} {self._sha}",
            text=f"{outcome}: {ran.matter}" if ran.matter else outcome,
            environment=environment,
            data=data,
        )
        try:
            await self._journal.append(draft)
        except OpsError as error:
            return f"this result could not be remembered: {error}"
        return ""

    @staticmethod
    def fresh(ran: Ran) -> Result:
        """A result that was just had."""
        return Result(
            exit=ran.exit,
            timed_out=ran.timed_out,
            truncated=ran.truncated,
            took_ms=ran.took_ms,
            matter=ran.matter,
            tail=ran.tail,
        )

    def _read(self, entry: Entry) -> Result | None:
        """An entry's data, when it is about this commit and these commands and can be read."""
        data = entry.data
        status, took = data.get("exit"), data.get("took_ms")
        if data.get("sha") != self._sha or data.get("digest") != self._digest:
            return None
        if type(status) is not int or not isinstance(took, int | float):
            return None
        tail = data.get("tail")
        return Result(
            exit=status,
            timed_out=data.get("timed_out") is True,
            truncated=data.get("truncated") is True,
            took_ms=float(took),
            matter=str(data.get("matter", "")),
            tail=tuple(str(line) for line in tail) if isinstance(tail, list) else (),
            told=f"{entry.at:%Y-%m-%d %H:%M}Z by {entry.engineer}",
        )
