"""A file as it is run: its statements one by one with their places, and what runs in one transaction.

What is recorded of a file is what the Supabase CLI would record (`SplitAndTrim` of its pkg/parser): each
statement with the comments before it, without white space around it and semicolons behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from muva_console.ops.links.sqltext import mask
from muva_console.ops.migrations.model import Effect, Examined, Problem, Statement

_BEGIN = re.compile(r"(?:begin|start\s+transaction)\b", re.IGNORECASE)
_COMMIT = re.compile(r"(?:commit|end)\b(?!\s+prepared)", re.IGNORECASE)
_ENDS = re.compile(r"(?:rollback|abort|prepare\s+transaction)\b(?!.*\bto\b|\s+prepared)", re.IGNORECASE)
_LIMIT = re.compile(r"\bset\b.{0,40}\b(lock_timeout|statement_timeout)\b", re.IGNORECASE | re.DOTALL)
_SEMICOLON = 59
_COMMENTS = frozenset([275, 276])
"""Numbers of the scanner's words, from pg_query.proto of libpg_query 18."""


class Piece(Struct, frozen=True, kw_only=True):
    """One statement of a file."""

    number: int
    """From 1, in the file."""
    text: str
    """As it is run."""
    line: int
    """Where its text begins, from 1."""
    column: int
    """From 1, in characters."""
    statement: Statement

    def place(self, position: int) -> tuple[int, int]:
        """Line and column in the file of a character of the text, counted from 1 as PostgreSQL does; of its
        beginning where `position` is 0.
        """
        before = self.text[: max(0, position - 1)]
        lines = before.count("\n")
        if not lines:
            return self.line, self.column + len(before)
        return self.line + lines, len(before) - before.rfind("\n")

    @property
    def about(self) -> str:
        """The statement as it may be shown, shortened and without its literals."""
        line = mask(self.text[:1000])
        return f"{line[:117]}…" if len(line) > 118 else line

    @property
    def limits(self) -> tuple[str, ...]:
        """Which of our limits it sets itself: ``lock_timeout``, ``statement_timeout``."""
        found = _LIMIT.search(mask(self.text[:2000]))
        return (found[1].lower(),) if found and self.statement.kind.startswith(("SET", "SELECT")) else ()


class Segment(Struct, frozen=True):
    """Statements that run in one transaction; or one that cannot run in any."""

    pieces: tuple[Piece, ...]
    alone: bool = False


class Script(Struct, frozen=True, kw_only=True):
    """A file, ready to be run."""

    pieces: tuple[Piece, ...]
    """Without a BEGIN at its beginning and the COMMIT at its end, which is ours to say."""
    recorded: tuple[str, ...]
    """What the history keeps of it."""
    unwrapped: bool = False
    """BEGIN and COMMIT were left out."""
    problems: tuple[Problem, ...] = ()
    """Why it cannot be run in a transaction of ours."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What runs together, in order; none of an empty file."""
        found: list[Segment] = []
        together: list[Piece] = []
        for piece in self.pieces:
            if piece.statement.alone:
                if together:
                    found.append(Segment(tuple(together)))
                    together = []
                found.append(Segment((piece,), alone=True))
            else:
                together.append(piece)
        if together:
            found.append(Segment(tuple(together)))
        return tuple(found)

    @property
    def mixed(self) -> bool:
        """Whether it can be left half-applied: it cannot run in one transaction, and has several parts."""
        return len(self.segments) > 1


def script_of(data: bytes, examined: Examined) -> Script:
    """A text that was examined without a problem, in pieces. To be called in `text.in_parser`."""
    words = data.decode()
    found, recorded = _split(words)
    statements = examined.statements
    pieces = []
    for place, (start, text) in enumerate(found):
        line = words.count("\n", 0, start) + 1
        known = statements[place] if len(statements) == len(found) else None
        pieces.append(
            Piece(
                number=place + 1,
                text=text,
                line=line,
                column=start - words.rfind("\n", 0, start),
                statement=known or Statement(kind="statement", effect=Effect.OPAQUE, line=line),
            )
        )
    return _transaction(pieces, recorded)


def _split(words: str) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Each statement's first character and text; and what is recorded."""
    import postgast

    data = words.encode()
    tokens = [(token.start, token.token) for token in postgast.scan(words).tokens]
    starts = {start for start, kind in tokens if kind not in _COMMENTS}
    ends = [start for start, kind in tokens if kind == _SEMICOLON]
    found, recorded = [], []
    at = behind = place = characters = counted = 0
    for text in postgast.split(words):
        piece = text.encode()
        at = data.index(piece, at)
        while at not in starts:  # a comment may hold the same text
            at = data.index(piece, at + 1)
        characters += len(data[counted:at].decode())
        counted = at
        found.append((characters, text.rstrip()))
        at += len(piece)
        while place < len(ends) and ends[place] < at:
            place += 1
        end = ends[place] if place < len(ends) else len(data)
        recorded.append(data[behind:end].decode().lstrip("; \t\r\n\f\v").rstrip())
        behind = end + 1
    rest = data[behind:].decode().strip("; \t\r\n\f\v")
    return found, tuple([*recorded, rest] if rest else recorded)


def _transaction(pieces: Sequence[Piece], recorded: tuple[str, ...]) -> Script:
    """Leave out a BEGIN and a COMMIT around the whole; name what else would end our transaction."""
    said = [mask(piece.text[:200]).lower() for piece in pieces]
    begins = [place for place, one in enumerate(said) if _BEGIN.match(one)]
    commits = [place for place, one in enumerate(said) if _COMMIT.match(one)]
    unwrapped = begins == [0] and commits == [len(pieces) - 1] and "chain" not in said[-1]
    kept = tuple(pieces[1:-1] if unwrapped else pieces)
    problems = []
    for place, piece in enumerate(pieces):
        ends = place in commits or _ENDS.match(said[place])
        if (ends or place in begins) and not (unwrapped and place in (0, len(pieces) - 1)):
            problems.append(
                Problem(
                    f"{said[place].split()[0].upper()}: a file and its record are one transaction, which it "
                    "cannot begin or end in the midst",
                    piece.line,
                )
            )
    alone = next((piece for piece in kept if piece.statement.alone), None)
    if unwrapped and alone is not None:
        problems.append(
            Problem(f"{alone.statement.kind} cannot run in the transaction that the file begins", alone.line)
        )
    return Script(pieces=kept, recorded=recorded, unwrapped=unwrapped, problems=tuple(problems))
