"""Validation: every file parsed by PostgreSQL's own parser, and what may hurt where it is going.

What hangs on a text alone (its statements, squawk's word) is remembered by its content, in memory and, where
a folder is given, on disk: a repeat with nothing changed only weighs anew.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from muva_console.ops.errors import LinkError
from muva_console.ops.migrations import squawk
from muva_console.ops.migrations.catalog import Size
from muva_console.ops.migrations.deeds import Read
from muva_console.ops.migrations.findings import FileReport
from muva_console.ops.migrations.hazards_cache import Shelf
from muva_console.ops.migrations.judging import Judge
from muva_console.ops.migrations.known import Known
from muva_console.ops.migrations.text import in_parser
from muva_console.ops.migrations.weigh import Scales

_shelves: dict[Path | None, Shelf] = {}


class Remembered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is known of a content."""

    read: Read
    said: tuple[squawk.Said, ...] | None = None
    """What squawk says; None where it was not asked, or could not be."""


async def validate(
    files: Mapping[str, bytes],
    sizes: Mapping[str, Size] | None = None,
    *,
    before: Mapping[str, bytes] | None = None,
    environment: str = "",
    folder: Path | None = None,
    with_squawk: bool = True,
) -> tuple[FileReport, ...]:
    """Hazards and problems of files, by path, in the order in which they are applied.

    `sizes`: the tables of the database that they are going to (`catalog.read_sizes`); None: unknown, and
    taken as large. `before`: files that are applied already; they are not judged, but tell which tables,
    types and indexes there are. `environment`: its name, for the words. `folder`: where to remember what
    hangs on texts alone. Files named ``….down.sql`` are ways back: what they take away is what they are for.

    Never raises for what files hold; squawk that is not there or fails is told in the reports' notes.
    """
    return await validate_sets(
        [files], sizes, before=before, environment=environment, folder=folder, with_squawk=with_squawk
    )


async def validate_sets(
    sets: Sequence[Mapping[str, bytes]],
    sizes: Mapping[str, Size] | None = None,
    *,
    before: Mapping[str, bytes] | None = None,
    environment: str = "",
    folder: Path | None = None,
    with_squawk: bool = True,
) -> tuple[FileReport, ...]:
    """As `validate`, of several sets that know nothing of each other; their reports one after the other."""
    shelf = _shelves.setdefault(folder, Shelf(folder))
    earlier = {path: _digest(text) for path, text in (before or {}).items()}
    ours = [{path: _digest(text) for path, text in files.items()} for files in sets]
    texts = {of[path]: files[path] for of, files in zip(ours, sets, strict=True) for path in files}
    context = {earlier[path]: text for path, text in (before or {}).items()}
    known, why = await _look(shelf, texts, context, with_squawk=with_squawk)
    scales = Scales(sizes, environment)

    def judge(files: Mapping[str, bytes]) -> Iterator[FileReport]:
        """One set: the ways back come after all others, whatever their names."""
        judging = Judge(scales, Known(frozenset(sizes or ())))
        for digest in earlier.values():
            judging.learn(known[digest].read)
        for path in sorted(files, key=_is_down):
            one = known[files[path]]
            judging.judge(path, one.read, one.said if with_squawk else (), down=_is_down(path))
        told = {one.path: one for one in judging.reports()}
        yield from (_why(told[path], why) for path in files)

    return await asyncio.to_thread(lambda: tuple(one for files in ours for one in judge(files)))


def _why(report: FileReport, why: str) -> FileReport:
    """Why squawk was not asked, where that is known."""
    return structs.replace(report, notes=(why,)) if why and report.notes else report


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _is_down(path: str) -> bool:
    return path.endswith(".down.sql")


async def _look(
    shelf: Shelf, texts: Mapping[bytes, bytes], context: Mapping[bytes, bytes], *, with_squawk: bool
) -> tuple[dict[bytes, Remembered], str]:
    """What is known of each content, looked at where it is new; and why squawk could not be asked."""
    from muva_console.ops.migrations.reading import read

    await asyncio.to_thread(shelf.load)
    known: dict[bytes, Remembered] = {}
    for digest in (*texts, *context):
        remembered = shelf.get(digest, Remembered)
        if remembered is not None:
            known[digest] = remembered
    new = {digest: text for digest, text in {**context, **texts}.items() if digest not in known}
    unasked = [
        digest
        for digest, text in texts.items()
        if with_squawk
        and (digest in new or (known[digest].said is None and not known[digest].read.problems))
        and _is_for_squawk(text)
    ]
    asking = asyncio.ensure_future(_ask([texts[digest] for digest in unasked]))
    try:
        reads = dict(zip(new, await in_parser(lambda: [read(text) for text in new.values()]), strict=True))
    except BaseException:
        asking.cancel()
        raise
    said, why = await asking
    if said is None and unasked:
        # one that it cannot take ends its whole call: once more, without those that PostgreSQL refuses and
        # those that are deep
        all_reads = {**{digest: one.read for digest, one in known.items()}, **reads}
        unasked = [digest for digest in unasked if _is_plain(all_reads[digest])]
        said, why = await _ask([texts[digest] for digest in unasked])
    answers = dict(zip(unasked, said, strict=True)) if said is not None else {}
    for digest, one in reads.items():
        known[digest] = Remembered(read=one, said=answers.get(digest))
        shelf.put(digest, known[digest])
    for digest in answers:
        if digest not in reads:
            known[digest] = structs.replace(known[digest], said=answers[digest])
            shelf.put(digest, known[digest])
    await asyncio.to_thread(shelf.save)
    return known, why


async def _ask(texts: list[bytes]) -> tuple[list[tuple[squawk.Said, ...]] | None, str]:
    try:
        return await squawk.ask(texts), ""
    except LinkError as error:
        return None, f"squawk was not asked: {error.what}"


def _is_for_squawk(text: bytes) -> bool:
    if len(text) > squawk.LARGEST or b"\0" in text:
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_plain(read: Read) -> bool:
    return not read.problems and all(one.known for one in read.statements)
