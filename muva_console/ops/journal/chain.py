"""The chain of hashes, and its verification.

An entry's hash is SHA-256 over the canonical JSON (keys sorted, no spaces, ASCII) of its columns as they
are stored, the hash of the entry before among them. So an entry cannot be changed, removed, inserted or
moved without every later hash changing, and the anchor file remembers what those were.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any

from muva_console.ops.journal.anchors import Anchors
from muva_console.ops.journal.clean import canonical
from muva_console.ops.journal.model import Flaw, Verification
from muva_console.ops.readings import Level, utc_now

COLUMNS = (
    "id", "at", "engineer", "origin", "session", "environment", "kind", "subject", "text", "data", "act",
    "ref", "prev_hash",
)  # fmt: skip
"""What the hash is taken over, by the names in the canonical JSON."""

GUARDS = {"entry_is_never_changed", "entry_is_never_removed", "entry_follows_the_last"}
"""The triggers of 0001_journal.sql."""

GENESIS = "0" * 64
"""The `prev_hash` of entry 1."""


def hash_of(values: dict[str, Any]) -> str:
    """The hash of an entry, of its columns as stored."""
    return hashlib.sha256(canonical({name: values[name] for name in COLUMNS}).encode("ascii")).hexdigest()


class _Walk:
    """State of one walk along the chain."""

    def __init__(self, anchors: Anchors | None, expected: tuple[int, str] | None = None) -> None:
        self.anchored = anchors.hashes if anchors else {}
        self.expected = expected
        self.expected_found = False
        self.entries = 0
        self.head = 0
        self.head_hash = GENESIS

    def step(self, row: tuple[Any, ...]) -> Flaw | None:
        """Take the next entry; its flaw, if it has one."""
        *columns, told = row
        values = dict(zip(COLUMNS, columns, strict=True))
        seq = values["id"]
        expected = self.head + 1
        if not isinstance(seq, int) or seq < 1:
            return Flaw(id=expected, problem="inserted", text=f"an entry has the id {seq!r}")
        if seq != expected:
            missing = f"entry {expected}" if seq == expected + 1 else f"entries {expected} to {seq - 1}"
            return Flaw(id=expected, problem="removed", text=f"missing: {missing}")
        try:
            reckoned = hash_of(values)
        except (TypeError, ValueError):  # a BLOB or a NaN, which no console writes
            reckoned = ""
        if reckoned != told:
            return Flaw(
                id=seq, problem="edited", text=f"entry {seq} is not what was written: its hash does not fit"
            )
        if values["prev_hash"] != self.head_hash:
            before = f"entry {seq - 1}" if seq > 1 else "the beginning"
            return Flaw(
                id=seq,
                problem="reordered",
                text=f"entry {seq} does not follow {before}: one of the two was replaced, inserted or moved",
            )
        if self.anchored.get(seq, told) != told:
            return Flaw(
                id=seq,
                problem="rewritten",
                text=f"entry {seq} is not the one that was anchored: the journal was rewritten up to here, "
                "or cut and gone on with",
            )
        self.entries, self.head, self.head_hash = self.entries + 1, seq, told
        if self.expected is not None and self.expected[0] == seq:
            self.expected_found = told.startswith(self.expected[1])
        return None


def verify(
    connection: sqlite3.Connection,
    anchors: Anchors | None,
    *,
    expected: tuple[int, str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Verification:
    """Walk the whole chain in one snapshot. `anchors` must have been read before.

    `expected` is a head noted elsewhere earlier (id and the beginning of its hash). Raises sqlite3.Error,
    and TimeoutError when `stop` says so.
    """
    began = time.monotonic()
    walk = _Walk(anchors, expected)
    flaw: Flaw | None = None
    guards = _guards(connection)
    try:
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)}, hash FROM entry ORDER BY id")  # noqa: S608
        for row in rows:
            flaw = walk.step(row)
            if flaw is not None:
                break
            if walk.entries % 1000 == 0 and stop():
                raise TimeoutError
        rows.close()
    except sqlite3.DatabaseError as error:
        if (error.sqlite_errorcode or 0) & 0xFF not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise
        flaw = Flaw(
            id=walk.head + 1,
            problem="unreadable",
            text=f"the file is damaged from entry {walk.head + 1} on ({error})",
        )
    if flaw is None:
        flaw = _tail(walk, anchors)
    return conclude(walk, anchors, flaw, guards, began)


def verify_rows(rows: Iterable[tuple[Any, ...]], *, expected: tuple[int, str] | None = None) -> Verification:
    """Walk entries that come from elsewhere (an export of everything), as rows of COLUMNS and the hash.

    The verdict is at best UNKNOWN, because nothing tells whether the end was cut, unless the head was
    noted elsewhere and is `expected`.
    """
    began = time.monotonic()
    walk = _Walk(None, expected)
    flaw = next((flaw for row in rows if (flaw := walk.step(row)) is not None), None)
    noted = Anchors({walk.head: walk.head_hash}) if expected and expected[0] == walk.head else None
    return conclude(walk, noted, flaw or _tail(walk, None), True, began)


def _guards(connection: sqlite3.Connection) -> bool:
    """Whether the triggers that forbid changes are all there."""
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    return found >= GUARDS


def _tail(walk: _Walk, anchors: Anchors | None) -> Flaw | None:
    """What the chain alone cannot show: entries cut off at its end."""
    last = anchors.last if anchors else 0
    if last > walk.head:
        return Flaw(
            id=walk.head + 1,
            problem="cut",
            text=f"it ends with entry {walk.head}, but entry {last} was written: the end was cut off",
        )
    if anchors and anchors.contradicted is not None:
        seq = anchors.contradicted
        return Flaw(
            id=seq,
            problem="rewritten",
            text=f"entry {seq} was anchored with two different hashes: the journal was cut and gone on with, "
            "or the anchor file was written to",
        )
    if walk.expected is not None and not walk.expected_found:
        seq = walk.expected[0]
        gone = f"the journal ends with entry {walk.head}" if seq > walk.head else "it has another hash now"
        return Flaw(
            id=min(seq, walk.head + 1), problem="rewritten", text=f"entry {seq} is not the one noted: {gone}"
        )
    return None


def conclude(
    walk: _Walk, anchors: Anchors | None, flaw: Flaw | None, guards: bool, began: float
) -> Verification:
    """The verdict over a walk."""
    entries, head = walk.entries, walk.head
    last = anchors.last if anchors else 0
    count = f"{entries:,} {'entry' if entries == 1 else 'entries'}"
    evidence = [f"{count} before it as written" if flaw else f"{count}, each as it was written"]
    if head:
        evidence.append(f"head {head}:{walk.head_hash}")
    if anchors is None:
        evidence.append("there is no anchor file")
    else:
        evidence.append(f"anchored {len(anchors.hashes):,} times, the last time at entry {last}")
        if anchors.malformed:
            evidence.append(f"lines of the anchor file that are no anchors: {anchors.malformed}")
    if not guards:
        evidence.append("the triggers that forbid changes were taken out of the database")
    if flaw is not None:
        level, summary = Level.FAIL, f"The journal does not hold: {flaw.text}"
    elif entries and not last:
        level = Level.UNKNOWN
        summary = "The chain holds, but without anchors nobody can tell whether its end was cut"
    elif not guards:
        level, summary = Level.WARN, "The chain holds, but its guards against changes were taken out"
    elif head > last or (anchors and anchors.malformed):
        level = Level.WARN
        summary = f"The chain holds; its end is anchored up to entry {last} of {head}"
    else:
        level = Level.OK
        summary = f"The journal holds: {count}" if entries else "The journal is empty"
    return Verification(
        level=level,
        entries=entries,
        head=head,
        head_hash=walk.head_hash if head else "",
        anchored=last,
        flaw=flaw,
        summary=summary,
        evidence=tuple(evidence),
        took_ms=(time.monotonic() - began) * 1000,
        at=utc_now(),
    )


def verify_nothing(anchors: Anchors | None) -> Verification:
    """The verdict where there is no database at all."""
    walk = _Walk(anchors)
    return conclude(walk, anchors, _tail(walk, anchors), True, time.monotonic())
