"""Files and folders that somebody names, to be validated: read as they are, told apart into sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.migrations.files import LARGEST

_NUMBERED = re.compile(r"[vV]?\d+[\d.]*(?:[_.\s-].*)?\.sql")


def gather(paths: Iterable[Path]) -> tuple[list[dict[str, bytes]], tuple[str, ...]]:
    """Texts by path, a mapping for each set of files that are applied one after the other; and the paths of
    those that are too large. Files of one folder whose names all begin with a number are such a set, in the
    order of their names; others stand each for itself. Folders are looked into, hidden ones below are not.

    Raises LinkError where something is not there, cannot be read, or where a folder holds no SQL.
    """
    by_folder: dict[Path, dict[str, Path]] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(_files(path))
            if not found:
                raise LinkError(Fault.MISSING, "no file of this folder ends in .sql", where=str(path))
        else:
            found = [path]
        for one in found:
            by_folder.setdefault(one.parent, {})[str(one)] = one
    sets: list[dict[str, bytes]] = []
    large = []
    for files in by_folder.values():
        texts = {}
        for name, path in files.items():
            text = _read(path)
            if text is None:
                large.append(name)
            else:
                texts[name] = text
        if all(_NUMBERED.fullmatch(path.name) for path in files.values()):
            sets.append(texts)
        else:
            sets += [{name: text} for name, text in texts.items()]
    return sets, tuple(large)


def _files(folder: Path) -> list[Path]:
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(base) / name for name in names if name.lower().endswith(".sql")]
    return found


def _read(path: Path) -> bytes | None:
    try:
        if not path.is_file():
            raise LinkError(Fault.MISSING, "there is no such file", where=str(path))
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise LinkError(Fault.MISSING, f"cannot be read: {why}", where=str(path)) from error
    return None if len(text) > LARGEST else text
