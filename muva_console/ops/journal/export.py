"""The journal in other formats: JSON lines, which can be verified, and Markdown, which can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from muva_console.ops.journal.chain import COLUMNS
from muva_console.ops.journal.clean import canonical
from muva_console.ops.journal.model import Entry, Filter
from muva_console.ops.journal.reader import Reader, entry_of, pages

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!$])")
_CELL_CAP = 300


def json_lines(reader: Reader, wanted: Filter) -> Iterator[str]:
    """Every entry that fits, oldest first: a JSON object a line, its columns exactly as stored.

    The columns are what the hashes are taken over, so an export of everything can be verified by itself
    (`muva journal verify --export`). ASCII: whatever was stored is harmless in a terminal.
    """
    for page in pages(reader, wanted):
        for row in page:
            yield canonical(dict(zip((*COLUMNS, "hash"), row, strict=True)))


def markdown_of(reader: Reader, wanted: Filter) -> Iterator[str]:
    """Every entry that fits, oldest first, as the lines of a Markdown document."""
    return markdown(entry_of(row) for page in pages(reader, wanted) for row in page)


def markdown(entries: Iterable[Entry]) -> Iterator[str]:
    """Entries as the lines of a Markdown document: a table a day, times in UTC."""
    yield "# Journal"
    for day, those in groupby(entries, key=lambda entry: entry.at.date()):
        yield ""
        yield f"## {day:%Y-%m-%d}"
        yield ""
        yield "| UTC | # | who | environment | what | |"
        yield "|---|---:|---|---|---|---|"
        for entry in those:
            what = f"{entry.kind} {entry.outcome}".strip()
            text = entry.subject if not entry.text else f"{entry.subject}: {entry.text}"
            cells = (f"{entry.at:%H:%M:%S}", str(entry.id), entry.engineer, entry.environment, what, text)
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def rows_of(lines: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of exported JSON lines. Raises ValueError, which names the line, for what is no export."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            yield tuple(told[name] for name in (*COLUMNS, "hash"))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} is no entry of a journal") from error


def _cell(text: str) -> str:
    """Text that stays text in a cell of a table."""
    if len(text) > _CELL_CAP:
        text = f"{text[:_CELL_CAP]} …"
    return _MARKDOWN.sub(r"\\\1", text).replace("\n", "<br>")
