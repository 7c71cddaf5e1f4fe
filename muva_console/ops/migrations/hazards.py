"""Validation: every file parsed by PostgreSQL's own parser, and what may hurt where it is going.

What hangs on a text alone (its statements, squawk's word) is remembered by its content, in memory and, where
a folder is given, on disk: a repeat with nothing changed only weighs anew.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    question = _digest(_encode((ours, earlier, sizes, environment, with_squawk)))
    known = await asyncio.to_thread(shelf.answer, question)
    if known is not None:
        return known
    texts = {of[path]: files[path] for of, files in zip(ours, sets, strict=True) for path in files}
    context = {earlier[path]: text for path, text in (before or {}).items()}
    judged, said, why = await _look(
        shelf,
        texts,
        context,
        lambda reads: [_judge(files, earlier, reads, sizes, environment) for files in ours],
        with_squawk=with_squawk,
    )

    def told() -> tuple[FileReport, ...]:
        with without_collecting():
            reports = tuple(
                one
                for files, judge in zip(ours, judged, strict=True)
                for one in _in_order(files, judge.reports({path: said.get(files[path]) for path in files}))
            )
        if why:
            reports = tuple(structs.replace(one, notes=(why,)) if one.notes else one for one in reports)
        else:
            shelf.put_answer(question, reports)
        shelf.save()
        return reports

    return await asyncio.to_thread(told)


def _judge(
    files: Mapping[str, bytes],
    earlier: Mapping[str, bytes],
    reads: Mapping[bytes, Read],
    sizes: Mapping[str, Size] | None,
    environment: str,
) -> Judge:
    """One set; the ways back come after all others, whatever their names."""
    judge = Judge(Scales(sizes, environment), Known(frozenset(sizes or ())))
    for digest in earlier.values():
        judge.learn(reads[digest])
    for path in sorted(files, key=_is_down):
        judge.judge(path, reads[files[path]], down=_is_down(path))
    return judge


def _in_order(files: Iterable[str], reports: Iterable[FileReport]) -> Iterator[FileReport]:
    told = {one.path: one for one in reports}
    yield from (told[path] for path in files)


def _encode(question: object) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(question, order="deterministic")


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _is_down(path: str) -> bool:
    return path.endswith(".down.sql")


async def _look(
    shelf: Shelf,
    texts: Mapping[bytes, bytes],
    context: Mapping[bytes, bytes],
    judge: Callable[[Mapping[bytes, Read]], list[Judge]],
    *,
    with_squawk: bool,
) -> tuple[list[Judge], dict[bytes, tuple[squawk.Said, ...] | None], str]:
    """What `judge` makes of all contents, read where they are new; squawk's word of each, asked meanwhile;
    and why it could not be asked.
    """
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

    def work() -> tuple[dict[bytes, Read], list[Judge]]:
        with without_collecting():
            reads = {digest: read(text) for digest, text in new.items()}
            every = {**{digest: one.read for digest, one in known.items()}, **reads}
            return reads, judge(every)

    try:
        reads, judged = await in_parser(work)
        said, why = await asking
    except BaseException:
        asking.cancel()
        raise
    if said is None and unasked:
        # one that it cannot take ends its whole call: once more, without those that PostgreSQL refuses and
        # those that are deep
        unasked = [digest for digest in unasked if _is_plain(reads.get(digest) or known[digest].read)]
        said, why = await _ask([texts[digest] for digest in unasked])
    answers = dict(zip(unasked, said, strict=True)) if said is not None else {}
    for digest, one in reads.items():
        shelf.put(digest, Remembered(read=one, said=answers.get(digest)))
    for digest in answers:
        if digest not in reads:
            shelf.put(digest, structs.replace(known[digest], said=answers[digest]))
    words: dict[bytes, tuple[squawk.Said, ...] | None] = {
        digest: answers[digest] if digest in answers else known[digest].said if digest in known else None
        for digest in texts
    }
    return judged, words if with_squawk else dict.fromkeys(texts, ()), why


@contextmanager
def without_collecting() -> Iterator[None]:
    """A thousand trees are a million objects without a circle: looking for circles among them again and again
    takes a third of the time. The collector waits for less than a second, and then takes what is there for
    old, which it looks at when there is much more of it.
    """
    with _collecting:
        _waiting.append(gc.isenabled())
        gc.disable()
    try:
        yield
    finally:
        with _collecting:
            was = _waiting.pop()
            if was and not _waiting:
                if not gc.get_freeze_count():
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()


_collecting = threading.Lock()
_waiting: list[bool] = []


async def _ask(texts: list[bytes]) -> tuple[list[tuple[squawk.Said, ...]] | None, str]:
    try:
        return await squawk.ask(texts) if texts else [], ""
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
