"""The gate of the schema: whether the old code can live with what the database has become since.

Code goes back, the schema does not. What only adds (a table, a column that may be empty, an index) is in
nobody's way; what took away, renamed or made stricter what the old code uses, is. What cannot be told counts
as that.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from msgspec import Struct

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.deeds import Deed, Do, Read
from muva_console.ops.migrations.files import files_of
from muva_console.ops.migrations.history import read_history, read_statements
from muva_console.ops.migrations.text import in_parser

ADDS = frozenset(
    {
        Do.CREATE_TABLE, Do.COLUMN, Do.INDEX, Do.DROP_INDEX, Do.REINDEX, Do.DROP_NOT_NULL, Do.VALIDATE,
        Do.DROP_CONSTRAINT, Do.INSERT, Do.COPY, Do.READ, Do.VIEW, Do.GRANT, Do.REFRESH, Do.VACUUM, Do.CLUSTER,
        Do.ENUM_ADD, Do.CREATE_TYPE, Do.LOCK, Do.BEGIN, Do.END, Do.SET, Do.COMMENT, Do.POLICY, Do.ATTACH,
        Do.RLS_OFF,
    }
)  # fmt: skip
"""What old code does not notice. A row that was added, or an enum's value, it may meet; it is not stopped."""


class Verdict(StrEnum):
    """What the schema says to old code."""

    SAME = "same"
    ADDED = "added"
    """Code alone goes back."""
    CHANGED = "changed"
    """Something the old code may use is gone or stricter."""
    UNKNOWN = "unknown"


class Gate(Struct, frozen=True, kw_only=True):
    """What was applied since a release, and what of it stands in its way."""

    verdict: Verdict
    applied: tuple[str, ...] = ()
    """``VERSION_name``, applied and unknown to the release."""
    against: tuple[str, ...] = ()
    """Why it is not harmless, a line each."""

    @property
    def open(self) -> bool:
        """Whether code may go back without a further word."""
        return self.verdict in (Verdict.SAME, Verdict.ADDED)


async def gate_of(ctx: CheckContext, commit: str) -> Gate:
    """The gate for a release. Raises nothing of what cannot be read: that is its verdict."""
    if ctx.postgres is None:
        why = "no database is configured: what was applied since is not known"
        return Gate(verdict=Verdict.UNKNOWN, against=(why,))
    repository, folder = ctx.going_out().repository, ctx.config.project.migrations
    try:
        known = (await files_of(repository, commit, folder)).by_version
        history = await read_history(ctx.postgres, statements=False)
        late = {version for version in history.applied if version not in known}
        ran = await read_statements(ctx.postgres, late)
    except OpsError as error:
        return Gate(verdict=Verdict.UNKNOWN, against=(f"what was applied since is not known: {error.what}",))
    since = [history.applied[version] for version in sorted(late)]
    if not since:
        return Gate(verdict=Verdict.SAME)
    names, against = [], []
    for one in since:
        name = f"{one.version}_{one.name}" if one.name else one.version
        names.append(name)
        if one.version not in ran:
            against.append(f"{name}: what it did is not recorded")
            continue
        text = ";\n".join(ran[one.version]).encode()
        read = await in_parser(partial(_read, text))
        against += [f"{name}: {why}" for why in _against(read)]
    verdict = Verdict.CHANGED if against else Verdict.ADDED
    return Gate(verdict=verdict, applied=tuple(names), against=tuple(dict.fromkeys(against)))


def _read(text: bytes) -> Read:
    from muva_console.ops.migrations.reading import read

    return read(text)


def _against(read: Read) -> list[str]:
    if read.problems:
        return ["its statements cannot be read"]
    made = {deed.on for one in read.statements for deed in one.deeds if deed.do is Do.CREATE_TABLE}
    lines = []
    for one in read.statements:
        if not one.known:
            lines.append(f"what {one.kind} does cannot be told")
        lines += [told for deed in one.deeds if deed.on not in made and (told := _stricter(deed))]
    return lines


def _stricter(deed: Deed) -> str:
    """Why a deed on what the old code may know is not harmless; empty where it is."""
    if deed.do in ADDS:
        return ""
    if deed.do is Do.ADD_COLUMN:
        strict = "not null" in deed.marks and not {"default", "serial", "identity"} & set(deed.marks)
        return (
            f"column {deed.name} of {deed.on} must be given, and old code does not give it" if strict else ""
        )
    if deed.do is Do.OTHER and not deed.on:
        return ""
    what = " ".join(part for part in (deed.do.value, deed.type.lower(), deed.name) if part)
    return f"{what} on {deed.on}" if deed.on else what
