"""Migrations as files of a commit: which of them are migrations, in which order, and what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import structs

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.source import Source
from muva_console.ops.migrations.model import FileSet, MigrationFile
from muva_console.ops.text import sanitise_line

# The Supabase CLI's own pattern; a name with a line break in it is none. `.down.sql` is golang-migrate's.
_UP = re.compile(r"([0-9]+)_(.*)\.sql")
_DOWN = re.compile(r"([0-9]+)_(.*)\.down\.sql")
LARGEST = 64 * 1024 * 1024
"""Bytes of one file that is still read. Ours."""


def sort_files(sha: str, folder: str, paths: Iterable[str]) -> FileSet:
    """Tell migrations from what else lies in the folder. What lies in folders below is left alone, as the
    Supabase CLI does.
    """
    lead = folder.rstrip("/") + "/" if folder else ""
    ups: list[MigrationFile] = []
    downs: list[MigrationFile] = []
    skipped, others = [], []
    for path in paths:
        name = path.removeprefix(lead)
        file = None if not path.startswith(lead) or "/" in name else _file(path, name)
        if file is not None:
            (downs if file.down else ups).append(file)
        elif not path.startswith(lead) or "/" in name:
            others.append(path)
        elif name.lower().endswith(".sql"):
            skipped.append(path)
        else:
            others.append(path)
    return FileSet(
        sha=sha,
        folder=folder,
        migrations=tuple(sorted(ups, key=_order)),
        downs=tuple(sorted(downs, key=_order)),
        skipped=tuple(sorted(skipped)),
        others=tuple(sorted(others)),
    )


@lru_cache(maxsize=32_768)  # the files of one branch are mostly those of another
def _file(path: str, name: str) -> MigrationFile | None:
    if down := _DOWN.fullmatch(name):
        return MigrationFile(path=path, version=down[1], name=down[2], down=True)
    if up := _UP.fullmatch(name):
        return MigrationFile(path=path, version=up[1], name=up[2])
    return None


def _order(file: MigrationFile) -> tuple[str, str]:
    return file.version, file.name


async def files_of(repository: Source, sha: str, folder: str, *, downs: str | None = None) -> FileSet:
    """The migrations of a commit, by their names; with down files of the folder `downs` too. Raises
    LinkError.
    """
    files = sort_files(sha, folder, await repository.files(sha, folder))
    if not downs or downs == folder:
        return files
    apart = sort_files(sha, downs, await repository.files(sha, downs))
    return structs.replace(files, downs=tuple(sorted((*files.downs, *apart.downs), key=_order)))


def mistaken(paths: Iterable[str]) -> tuple[str, ...]:
    """A line for each down file among these paths that lies beside migrations: to the Supabase CLI it is one
    of them, of a version that another file has.
    """
    folders: dict[str, bool] = {}
    downs = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        file = _file(path, name)
        if file is not None and file.down:
            downs.append((folder, path))
        elif file is not None:
            folders[folder] = True
    return tuple(
        f"{sanitise_line(path, cap=200)} is a way back, which `supabase db push` takes for a migration, of a "
        "version that is taken: keep it in a folder of its own ([migrations] downs)"
        for folder, path in downs
        if folders.get(folder)
    )


async def texts_of(
    repository: Source, sha: str, paths: Iterable[str]
) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    """The contents of files by path, and the paths of those that are too large to be read. Raises
    LinkError.
    """
    wanted = list(paths)
    found = dict(await repository.read_all(sha, wanted))
    large = []
    for path in wanted:
        if path in found:
            continue
        try:
            text = await repository.read(sha, path, limit=LARGEST)
        except LinkError as error:
            if error.fault is not Fault.TOO_LARGE:
                raise
            large.append(path)
        else:
            if text is not None:
                found[path] = text
    return found, tuple(large)
