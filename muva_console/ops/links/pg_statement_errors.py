"""What a statement of ours failed with, in the server's words and without the values of rows.

PostgreSQL puts rows into its errors: ``Key (email)=(…)``, ``Failing row contains (…)``, ``invalid input
syntax for type integer: "…"``. What is told here goes to screens and into the journal, so values are left
out and names stay. The fields of an error: PostgreSQL 18 documentation, section 54.8.
"""

from __future__ import annotations

import re

from muva_console.config.redact import redact
from muva_console.ops.errors import Fault
from muva_console.ops.links.pg_errors import QUERY_CANCELED, DatabaseError
from muva_console.ops.text import sanitise, sanitise_line

LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"
CAP = 400
"""Characters kept of one text of the server's. Ours."""

_KEY = re.compile(r"\)=\(.*\)", re.DOTALL)
_ROW = re.compile(r"(row contains )\(.*\)", re.DOTALL | re.IGNORECASE)
_DOUBLE = re.compile(r'"[^"]*"|"[^"]*\Z')
_SINGLE = re.compile(r"'[^']*(?:'|\Z)")
_NEAR = re.compile(r'at or near "(?![A-Za-z_(),;.=<>*:+-]{1,40}").*', re.DOTALL)
_MAIL = re.compile(r"[^\s@\"'<>()]+@[^\s@\"'<>()]+\.[^\s@\"'<>().]+")
_WHERE = re.compile(r"(?:PL/pgSQL function|SQL function|PL/\w+ function) [^\n]{1,200}")
_VALUE = "“…”"


class StatementError(DatabaseError):
    """A statement that the server refused or gave up. The connection is as good as before.

    `position` counts characters of the statement's text from 1, 0 where the server names none; `inside`
    tells where in a function it failed. No text holds the value of a row.
    """

    def __init__(
        self,
        fault: Fault,
        what: str,
        *,
        where: str,
        sqlstate: str,
        hint: str = "",
        detail: str = "",
        inside: str = "",
        position: int = 0,
    ) -> None:
        super().__init__(
            fault, what, where=where, means=detail, next=f"Hint: {hint}" if hint else "", sqlstate=sqlstate
        )
        self.hint = hint
        self.detail = detail
        self.inside = inside
        self.position = position

    @property
    def waited_in_vain(self) -> bool:
        """Whether it was given up for a lock, so that it may be tried again."""
        return self.sqlstate in (LOCK_NOT_AVAILABLE, DEADLOCK)


def explain_statement(error: Exception, *, where: str) -> StatementError:
    """An ``asyncpg.PostgresError`` of a statement as what it means, without values."""
    state = str(getattr(error, "sqlstate", "") or "")
    said = without_values(str(getattr(error, "message", "") or error), state)
    position = str(getattr(error, "position", "") or "")
    inside = _WHERE.search(str(getattr(error, "context", "") or ""))
    fault = {QUERY_CANCELED: Fault.TIMEOUT, "42501": Fault.AUTH}.get(state, Fault.OTHER)
    return StatementError(
        fault,
        f"{said} (SQLSTATE {state})",
        where=where,
        sqlstate=state,
        hint=without_values(str(getattr(error, "hint", "") or ""), state),
        detail=without_values(str(getattr(error, "detail", "") or ""), state),
        inside=without_values(inside[0], "") if inside else "",
        position=int(position) if position.isdecimal() else 0,
    )


def without_values(text: str, sqlstate: str) -> str:
    """A text of the server's in one harmless line, without the values of rows that it may hold."""
    text = sanitise(text[: 64 * 1024])
    text = _ROW.sub(r"\1(…)", _KEY.sub(")=(…)", text))
    text = _NEAR.sub(f"at or near {_VALUE}", text)
    if sqlstate[:2] in ("22", "P0"):  # data exceptions quote data; RAISE says what its author liked
        text = _SINGLE.sub(_VALUE, _DOUBLE.sub(_VALUE, text))
    return sanitise_line(redact(_MAIL.sub(_VALUE, " ".join(text.split()))), cap=CAP)
