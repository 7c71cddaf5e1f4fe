"""squawk over a set of files in one call (squawk-cli, a binary in a wheel of its own).

Files are given to it under names of our own in a folder of our own: it reads a pattern, so a thousand paths
need no place on a command line, and no name of a file is hostile to it. One file that it cannot read ends
its whole call, and a deep one its stack; what PostgreSQL's parser refuses is therefore kept from it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.local import run_local

TIMEOUT = 60.0
"""Seconds for one call. Ours: a thousand files take half of one."""
LIMIT = 256 * 1024 * 1024
"""Bytes of its answer. Ours."""
LARGEST = 1024 * 1024
"""Bytes of one file that it is given. Ours, as for the parser."""

LEFT_OUT = {
    "require-lock-timeout": "the console sets lock_timeout itself, and shows it in the plan",
    "require-statement-timeout": "the console sets statement_timeout itself, and shows it in the plan",
    "prefer-robust-stmts": "a file is applied in one transaction: nothing of it is there when it fails, and "
    "IF NOT EXISTS hides a table, or an invalid index, that is not what the file says",
    "prefer-text-field": "taste: varchar(n) does no harm where it is applied, and its change is looked at",
    "prefer-bigint-over-int": "a choice of design; changing it later is looked at as a change of type",
    "prefer-bigint-over-smallint": "a choice of design; changing it later is looked at as a change of type",
    "prefer-identity": "a choice of design",
    "prefer-timestamp-tz": "a choice of design",
    "ban-char-field": "a choice of design",
    "require-enum-value-ordering": "taste: a new value at the end is what most mean",
    "ban-create-domain-with-constraint": "nothing uses a new domain yet; changing it later is looked at",
    "unused-ignore": "comments that allow nothing are told by ourselves",
}
"""Rules that are noise here, with the reason. They are not asked for: that saves a quarter of its time."""

_USAGE = 2
"""squawk's exit status for options that it does not know."""
_NOT_EXCLUDED = frozenset(["unused-ignore"])
"""What squawk does not let one exclude; left out of its answer."""

OURS: dict[str, tuple[str, ...]] = {
    "require-concurrent-index-creation": ("index-blocks-writes",),
    "require-concurrent-index-deletion": ("drop-index",),
    "require-concurrent-reindex": ("reindex",),
    "require-concurrent-partition-detach": ("detach-partition",),
    "constraint-missing-not-valid": (
        "constraint-scan", "foreign-key-scan", "validate-together", "not-null-scan", "unique-constraint",
        "exclusion-constraint",
    ),
    "adding-foreign-key-constraint": ("foreign-key-scan", "foreign-key-lock"),
    "adding-field-with-default": ("volatile-default", "generated-column"),
    "changing-column-type": ("column-type",),
    "adding-not-nullable-field": ("not-null-scan",),
    "adding-serial-primary-key-field": ("unique-constraint", "primary-key-scan"),
    "disallowed-unique-constraint": ("unique-constraint",),
    "renaming-column": ("rename-column",),
    "renaming-table": ("rename-table",),
    "ban-drop-database": ("drop-database",),
    "ban-drop-column": ("drop-column",),
    "ban-drop-table": ("drop-table",),
    "ban-drop-not-null": ("drop-not-null",),
    "adding-required-field": ("required-column",),
    "ban-concurrent-index-creation-in-transaction": ("alone-with-others",),
    "transaction-nesting": ("own-transaction", "transaction-left-open"),
    "ban-uncommitted-transaction": ("transaction-left-open",),
    "ban-alter-domain-with-add-constraint": ("domain-constraint",),
    "ban-truncate-cascade": ("truncate",),
    "ban-drop-constraint": ("drop-key",),
    "ban-drop-default": ("drop-default",),
    "ban-drop-generated-expression": ("drop-default",),
    "ban-alter-identity": ("drop-default",),
    "ban-drop-view": ("drop-object", "drop-cascade"),
    "ban-drop-function": ("drop-object", "drop-cascade"),
    "ban-drop-type": ("drop-object", "drop-cascade"),
    "ban-drop-domain": ("drop-object", "drop-cascade"),
    "ban-drop-sequence": ("drop-object", "drop-cascade"),
    "ban-drop-extension": ("drop-object", "drop-cascade"),
    "ban-drop-schema": ("drop-schema",),
    "renaming-object": ("rename-object", "rename-table", "rename-enum-value"),
    "ban-set-schema": ("set-schema",),
    "prefer-repack": ("vacuum-full", "cluster"),
}  # fmt: skip
"""Which rules of ours are about the same as one of squawk's. Where PostgreSQL's parser gave us the statement,
ours decide: they know what is new in the file, what a type was, and what an earlier file proved. Where it
did not (a statement too long), squawk's word is told by the first name."""
TAKEN_OVER = {
    "identifier-too-long": "identifier-too-long",
    "ban-duplicate-column-assignments": "duplicate-assignment",
}
"""Rules of squawk's that we have none for, and what they are called here."""


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What squawk says of a place."""

    rule: str
    line: int
    """From 1, as everywhere here; squawk counts from 0."""
    column: int
    """From 1, in characters."""
    message: str
    help: str = ""


class _Finding(Struct):
    file: str
    line: int
    column: int
    message: str
    rule_name: str
    help: str | None = None


def program() -> str:
    """Where squawk is: beside the interpreter that runs this, else on the path. Raises LinkError."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        found = folder / "squawk"
        if found.is_file() and os.access(found, os.X_OK):
            return str(found)
    found_on_path = shutil.which("squawk")
    if found_on_path is None:
        raise LinkError(
            Fault.MISSING, "squawk is not installed", where="here", next="Install the package squawk-cli."
        )
    return found_on_path


async def ask(texts: Sequence[bytes], *, all_said: bool = False) -> list[tuple[Said, ...]]:
    """What squawk says of each text, in order; all in one call. Each must be UTF-8 without NUL. With
    `all_said` its own syntax errors too. Raises LinkError where it is not there, crashes or takes too long.
    """
    if not texts:
        return []
    where = program()
    folder = Path(await asyncio.to_thread(_write, texts))
    words = [where, "--config", "squawk.toml", "--assume-in-transaction", "--reporter", "json"]
    without = ["--exclude", ",".join(rule for rule in LEFT_OUT if rule not in _NOT_EXCLUDED)]
    try:
        threads = _threads()
        result = await run_local(
            [*words, *without, "*.sql"],
            cwd=folder,
            timeout=TIMEOUT,
            limit=LIMIT,
            env=threads,
            leftovers=False,
        )
        if result.exit_status == _USAGE:  # another version, which does not know all of these rules
            result = await run_local(
                [*words, "*.sql"], cwd=folder, timeout=TIMEOUT, limit=LIMIT, env=threads, leftovers=False
            )
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    if result.timed_out or result.truncated or result.exit_status not in (0, 1):
        why = "took too long" if result.timed_out else f"ended with {result.exit_status}"
        raise LinkError(Fault.PROTOCOL, f"squawk {why} on {len(texts):,} files", where="here")
    try:
        found = msgspec.json.decode(result.stdout, type=list[_Finding])
    except msgspec.DecodeError as error:
        raise LinkError(Fault.PROTOCOL, "squawk's answer cannot be read", where="here") from error
    said: list[list[Said]] = [[] for _ in texts]
    for one in found:
        if not all_said and (one.rule_name == "syntax-error" or one.rule_name in LEFT_OUT):
            continue  # PostgreSQL's own parser has taken the text: squawk's knows less
        number = int(Path(one.file).stem)
        said[number].append(
            Said(
                rule=one.rule_name,
                line=one.line + 1,
                column=_characters(texts[number], one.line, one.column) + 1,
                message=one.message,
                help=one.help or "",
            )
        )
    return [tuple(each) for each in said]


def _threads() -> dict[str, str]:
    """How many threads it is given: all processors but the one that our own reading needs meanwhile. Its
    threads wait for each other, so that on two processors one of them takes two thirds of the work of two.
    """
    return {"RAYON_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) - 1))}


def _characters(text: bytes, line: int, column: int) -> int:
    """The column in characters; squawk counts bytes."""
    if text.isascii():
        return column
    return len(text.split(b"\n", line + 1)[line][:column].decode("utf-8", "replace"))


def _memory() -> str | None:
    """A folder that is in memory, where there is one: a thousand small files are written in a fifth of the
    time.
    """
    folder = "/dev/shm"  # noqa: S108 - mkdtemp makes a folder of our own there
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _write(texts: Sequence[bytes]) -> str:
    folder = tempfile.mkdtemp(prefix="muva-squawk-", dir=_memory())
    for number, text in enumerate([b"", *texts]):
        # with a configuration of our own none is looked for in the folders above
        name = f"{number - 1}.sql" if number else "squawk.toml"
        descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)
    return folder
