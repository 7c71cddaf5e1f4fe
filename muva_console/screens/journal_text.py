"""A journal entry as cells of a row, and whole."""

from __future__ import annotations

from typing import Any

from textual.content import Content

from muva_console.ops.journal.model import Entry, Kind, Life, Outcome
from muva_console.ops.text import sanitise_line
from muva_console.widgets.format import moment
from muva_console.widgets.level import muted, strong

_OUTCOMES: dict[str, tuple[str, str]] = {
    Outcome.DONE: ("● done", "$t-ok"),
    Outcome.FAILED: ("✖ failed", "$t-fail"),
    Outcome.ABANDONED: ("▲ abandoned", "$t-warn"),
    Outcome.NOT_BEGUN: ("◌ not begun", "$t-muted"),
    Outcome.UNKNOWN: ("? unknown", "$t-unknown"),
}
_LIVES: dict[Life, tuple[str, str]] = {
    Life.RUNNING: ("◐ running", "$t-muted"),
    Life.INTERRUPTED: ("✖ interrupted", "$t-fail"),
}
_LABEL = 12


def outcome_mark(entry: Entry) -> Content:
    """How the act ended; the kind for what is no end of an act."""
    if entry.kind == Kind.ACT_ENDED:
        text, style = _OUTCOMES.get(entry.outcome, (f"? {entry.outcome or 'unknown'}", "$t-unknown"))
        return Content.styled(text, style)
    if entry.kind == Kind.ACT_BEGUN:
        return muted("▸ begun")
    return muted(f"  {entry.kind}")


def life_mark(life: Life) -> Content:
    """Whether an act without an end still runs."""
    text, style = _LIVES.get(life, (f"? {life.value}", "$t-unknown"))
    return Content.styled(text, style)


def entry_cells(entry: Entry) -> tuple[Content, ...]:
    """The cells of a row."""
    what = Content(entry.subject)
    if entry.text and entry.text != entry.subject:
        what = Content.assemble(what, muted(f"  {entry.text}"))
    return (
        muted(moment(entry.at)[:-1]),
        Content(entry.engineer),
        Content(entry.environment or "–"),
        outcome_mark(entry),
        what,
        muted(f"{entry.id:,}"),
    )


def entry_lines(entry: Entry) -> list[Content]:
    """An entry whole."""
    rows: list[tuple[str, Content]] = [
        ("what", strong(entry.subject)),
        ("", Content(entry.text) if entry.text != entry.subject else Content("")),
        ("outcome", outcome_mark(entry)),
        ("who", Content.assemble(entry.engineer, muted(f"  {entry.origin}"))),
        ("when", Content(moment(entry.at))),
        ("environment", Content(entry.environment)),
        ("begin", Content(f"entry {entry.ref}") if entry.ref is not None else Content("")),
    ]
    lines = [Content.assemble(muted(name.ljust(_LABEL)), value) for name, value in rows if value.plain]
    lines += _data({key: value for key, value in entry.data.items() if key != "outcome"})
    lines += [
        Content(""),
        Content.assemble(muted("session".ljust(_LABEL)), muted(entry.session)),
        Content.assemble(muted("hash".ljust(_LABEL)), muted(entry.hash)),
        Content.assemble(muted("before".ljust(_LABEL)), muted(entry.prev_hash)),
    ]
    return lines


def _data(data: Any, indent: int = 0) -> list[Content]:
    """Plain data, a fact a line."""
    pad = "  " * indent
    lines: list[Content] = []
    if isinstance(data, dict):
        for key, value in data.items():
            name = sanitise_line(str(key))
            if isinstance(value, (dict, list)) and value:
                lines.append(muted(f"{pad}{name}"))
                lines += _data(value, indent + 1)
            elif value not in (None, "", [], {}):
                lines.append(
                    Content.assemble(muted(f"{pad}{name}".ljust(_LABEL - 1) + " "), sanitise_line(str(value)))
                )
    elif isinstance(data, list):
        for value in data:
            if isinstance(value, (dict, list)):
                lines += _data(value, indent)
                lines.append(Content(""))
            else:
                lines.append(Content(f"{pad}{sanitise_line(str(value))}"))
    return lines
