"""Files against a history: where each version stands in a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from muva_console.ops.migrations.drift import same_of
from muva_console.ops.migrations.model import FileSet, History, MigrationFile, Standing, State
from muva_console.ops.migrations.text import shapes_of

if TYPE_CHECKING:
    from muva_console.ops.migrations.cache import ContentCache


def compare(
    files: FileSet, history: History, *, changed: Mapping[str, bool] | None = None
) -> tuple[Standing, ...]:
    """Every version of the files and of the history, sorted as text. `changed` tells of versions whose
    file and record could be compared whether they differ (see `drifted`); others count as alike.
    """
    by_version = files.by_version
    highest = history.highest
    found = []
    for version in sorted({*by_version, *history.applied}):
        of_version = by_version.get(version, ())
        file = of_version[0] if of_version else None
        applied = history.applied.get(version)
        name = file.name if file else (applied.name or "") if applied else ""
        if len(of_version) > 1:
            state = State.DUPLICATE
        elif file is None:
            state = State.MISSING
        elif applied is None:
            state = State.OUT_OF_ORDER if version < highest else State.PENDING
        elif (changed or {}).get(version):
            state = State.DRIFTED
        elif applied.name is not None and applied.name != file.name:
            state = State.RENAMED
        else:
            state = State.APPLIED
        found.append(Standing(version=version, name=name, state=state, file=file, applied=applied))
    return tuple(found)


async def drifted(
    files: FileSet, texts: Mapping[str, bytes], history: History, *, cache: ContentCache | None = None
) -> dict[str, bool]:
    """Whether file and record of a version differ in more than comments, for each where both are known and
    can be compared. `texts` are the files' contents by path.
    """
    pairs: list[tuple[bytes, tuple[str, ...]]] = []
    versions = []
    for version, of_version in files.by_version.items():
        applied = history.applied.get(version)
        if applied is None or applied.statements is None or len(of_version) > 1:
            continue
        text = texts.get(of_version[0].path)
        if text is not None:
            pairs.append((text, applied.statements))
            versions.append(version)
    same = await same_of(pairs, cache=cache)
    return {version: not alike for version, alike in zip(versions, same, strict=True) if alike is not None}


async def differ(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> dict[str, bool]:
    """Whether texts of the same key differ in more than comments and white space, for keys of both."""
    keys = [key for key in ours if key in theirs]
    unequal = [key for key in keys if ours[key] != theirs[key]]
    shapes = await shapes_of([text for key in unequal for text in (ours[key], theirs[key])])
    found = dict.fromkeys(keys, False)
    for place, key in enumerate(unequal):
        a, b = shapes[2 * place : 2 * place + 2]
        found[key] = not a or not b or a != b
    return found


def pending(standings: tuple[Standing, ...]) -> tuple[MigrationFile, ...]:
    """The files that wait to be applied, in order."""
    waiting = (State.PENDING, State.OUT_OF_ORDER)
    return tuple(one.file for one in standings if one.state in waiting and one.file is not None)
