"""A job's log taken apart into its steps', by the times at which they began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from muva_console.drill.github.runs import Step

_STAMP = 19
"""Characters of a line's time to the second, ``2026-01-31T12:00:00``; steps are timed no finer."""
_BEGINNING = ("##[group]Run ", "##[group]Post ", "Post job cleanup.", "Cleaning up orphan processes")
"""What the first line of a step may be, after its time."""


def parts(text: str, steps: Sequence[Step]) -> Iterator[tuple[Step, str]]:
    """The steps that ran, in order, each with its part of the log; nothing of the log is left out.

    Where a step begins in the second in which the one before wrote its last line, the boundary is the first
    line of that second that can begin a step.
    """
    ran = [step for step in steps if step.started_at is not None and step.conclusion != "skipped"]
    lines = text.splitlines(keepends=True)
    at = 0
    for step, following in zip(ran, [*ran[1:], None], strict=True):
        end = len(lines) if following is None else _begins(lines, at, following)
        yield step, "".join(lines[at:end])
        at = end


def _begins(lines: Sequence[str], at: int, step: Step) -> int:
    """The index of a step's first line, looked for from one line after `at`."""
    assert step.started_at is not None
    start = step.started_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    first = None
    for index in range(min(at + 1, len(lines)), len(lines)):
        stamp = lines[index][:_STAMP]
        if not _is_time(stamp) or stamp < start:
            continue
        if stamp > start:
            return index if first is None else first
        words = lines[index].partition(" ")[2]
        if words.startswith(_BEGINNING):
            return index
        first = index if first is None else first
    return len(lines) if first is None else first


def _is_time(stamp: str) -> bool:
    try:
        datetime.fromisoformat(stamp)
    except ValueError:
        return False
    return True
