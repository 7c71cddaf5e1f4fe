"""A migration's text, read for its hazards: problems, statements and their deeds, comments that allow some.

All of it hangs on the text alone and is remembered by its content.
"""

from __future__ import annotations

import re

from muva_console.ops.migrations.deeds import Do, Read, Stated
from muva_console.ops.migrations.deeds_read import read_statements
from muva_console.ops.migrations.model import Problem
from muva_console.ops.migrations.suppress import read_remarks
from muva_console.ops.migrations.text import LARGEST, syntax_problem, unreadable
from muva_console.ops.migrations.trees import Places

_BOM = b"\xef\xbb\xbf"
_STDIN = re.compile(rb"\bfrom\s+stdin\b")


def read(text: bytes) -> Read:
    """What a text says. To be called in `text.in_parser`."""
    import postgast

    problem = unreadable(text)
    if problem is not None:
        return Read(problems=(problem,))
    problems = []
    if text.startswith(_BOM):
        problems.append(
            Problem("begins with a byte order mark (BOM), which PostgreSQL takes for a word", 1, 1)
        )
        text = b"   " + text[3:]  # bytes stay where they are
    if len(text) > LARGEST:
        what = f"{len(text):,} bytes are too many to be looked into ({LARGEST // 1024 // 1024} MiB at most)"
        return Read(problems=(*problems, Problem(what)), large=True)
    try:
        places = Places(text)
        statements = read_statements(text, places)
    except postgast.PgQueryError as error:
        return Read(problems=(*problems, syntax_problem(text.decode(), error)))
    lower = text.lower()
    if not statements:
        problems.append(Problem("holds no statement" if text.strip() else "is empty"))
    if b"stdin" in lower and _STDIN.search(lower):
        problems += [
            Problem("COPY FROM STDIN, whose data only psql reads", one.line, one.column)
            for one in statements
            if one.kind.startswith("COPY")
        ]
    return Read(
        problems=tuple(problems),
        statements=statements,
        crlf=1 + text.count(b"\n", 0, text.index(b"\r\n")) if b"\r\n" in text else 0,
        remarks=read_remarks(text, statements) if b"muva" in lower or b"squawk" in lower else (),
        enums_used=tuple(_enums_used(text, statements)) if b"value" in lower else (),
        breaks=tuple(places.breaks),
        wide=() if text.isascii() else tuple(at for at, byte in enumerate(text) if byte & 0xC0 == 0x80),
    )


def _enums_used(text: bytes, statements: tuple[Stated, ...]) -> list[str]:
    """Values that ALTER TYPE … ADD VALUE adds and a later statement names. A function's body is not run."""
    found = []
    for number, one in enumerate(statements):
        for deed in one.deeds:
            if deed.do is not Do.ENUM_ADD:
                continue
            word = "'{}'".format(deed.name.replace("'", "''")).encode()
            for later in statements[number + 1 :]:
                runs = all(other.do not in (Do.FUNCTION, Do.ENUM_ADD, Do.COMMENT) for other in later.deeds)
                if runs and word in text[later.start : later.end]:
                    found.append(deed.name)
                    break
    return found
