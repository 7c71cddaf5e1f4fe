"""What the model's tables look like from outside: their keys, what each takes, and what it is for.

One description serves the loader, the JSON Schema, the commented file of `muva init` and the tests.
It is read from the type hints rather than from `msgspec.inspect`, which does not keep a NewType and
so cannot tell a duration from a number.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from muva_console.config import model, release
from muva_console.config import types as words
from muva_console.config.model import Config
from muva_console.config.types import Bytes, Seconds, Secret, Table, Url


class Kind(StrEnum):
    """What a key takes."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    FLAG = "true or false"
    PATH = "path"
    DURATION = "duration"
    SIZE = "size"
    URL = "address"
    SECRET = "secret"  # noqa: S105 - a word
    TABLE = "table"
    LIST = "list"
    MAP = "named tables"


class Shape(Struct, frozen=True, kw_only=True):
    """What one value looks like."""

    kind: Kind
    optional: bool = False
    """None stands for "not given"; the file has no such value, the key is left out."""
    table: type[Table] | None = None
    """The struct of a TABLE or SECRET."""
    item: Shape | None = None
    """What a LIST or MAP holds."""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    told: str = ""
    """What is expected, in words, where a pattern would not tell a person."""
    base: bool = False
    """An address that paths are appended to."""
    secret: bool = False
    """Something given here by mistake may be a secret: it is never repeated."""


class Key(Struct, frozen=True, kw_only=True):
    """One key of a table."""

    name: str
    shape: Shape
    required: bool
    default: Any = None


@cache
def keys(table: type[Table]) -> dict[str, Key]:
    """The keys of a table, in the model's order."""
    hints = typing.get_type_hints(table, include_extras=True)
    found = {}
    for info in msgspec.structs.fields(table):
        required = info.default is NODEFAULT and info.default_factory is NODEFAULT
        default = None
        if info.default is not NODEFAULT:
            default = info.default
        elif info.default_factory is not NODEFAULT:
            default = info.default_factory()
        found[info.name] = Key(
            name=info.name, shape=_shape(hints[info.name]), required=required, default=default
        )
    return found


_PLAIN: dict[Any, Kind] = {
    Seconds: Kind.DURATION,
    Bytes: Kind.SIZE,
    Url: Kind.URL,
    str: Kind.TEXT,
    bool: Kind.FLAG,
    int: Kind.WHOLE,
    float: Kind.NUMBER,
    Path: Kind.PATH,
}


def _shape(hint: Any) -> Shape:
    metas: list[Meta] = []
    optional = False
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *extras = get_args(hint)
            metas = [extra for extra in extras if isinstance(extra, Meta)] + metas
        elif origin in (typing.Union, types.UnionType):
            parts = [part for part in get_args(hint) if part is not type(None)]
            if len(parts) != 1:
                raise TypeError(f"the model has a union that the loader does not know: {hint}")
            optional, hint = True, parts[0]
        else:
            break
    limits = _limits(metas)
    if origin is tuple:
        return Shape(kind=Kind.LIST, optional=optional, item=_shape(get_args(hint)[0]), **limits)
    if origin is dict:
        return Shape(kind=Kind.MAP, optional=optional, item=_shape(get_args(hint)[1]), **limits)
    if isinstance(hint, type) and issubclass(hint, Table):
        kind = Kind.SECRET if hint is Secret else Kind.TABLE
        return Shape(kind=kind, optional=optional, table=hint, **limits)
    if hint not in _PLAIN:
        raise TypeError(f"the model has a type that the loader does not know: {hint}")
    return Shape(kind=_PLAIN[hint], optional=optional, **limits)


def _limits(metas: list[Meta]) -> dict[str, Any]:
    """What the annotations demand; an outer one (later in the list) overrules an inner one."""
    limits: dict[str, Any] = {}
    for meta in metas:
        for name in ("ge", "gt", "le", "pattern"):
            if getattr(meta, name) is not None:
                limits[name] = getattr(meta, name)
        extra = meta.extra or {}
        if "choices" in extra:
            limits["choices"] = tuple(extra["choices"])
        if "expected" in extra:
            limits["told"] = extra["expected"]
        for name in ("base", "secret"):
            if name in extra:
                limits[name] = bool(extra[name])
    return limits


@cache
def descriptions() -> dict[str, dict[str, str]]:
    """The texts of the model: for each table's class name, "" for its own and its keys' by name."""
    trees = [
        ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        for module in (model, release, words)
    ]
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: _described(node) for node in classes}


def _described(node: ast.ClassDef) -> dict[str, str]:
    texts = {"": _unwrapped(ast.get_docstring(node) or "")}
    last = ""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            last = item.target.id
        elif last and isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
            texts[last] = _unwrapped(str(item.value.value))
            last = ""
    return texts


def _unwrapped(text: str) -> str:
    return " ".join(text.split())


def describe(table: type[Table], key: str = "") -> str:
    """What a table, or one of its keys, is for: one paragraph."""
    return descriptions().get(table.__name__, {}).get(key, "")


def every_key(
    table: type[Table] = Config, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Every key of the model with its path: a name of the user's own is ``*``, an item of a list ``[]``."""
    for key in keys(table).values():
        here = (*path, key.name)
        yield here, key
        shape = key.shape
        if shape.kind is Kind.TABLE and shape.table is not None:
            yield from every_key(shape.table, here)
        elif shape.item is not None and shape.item.table is not None:
            mark = "*" if shape.kind is Kind.MAP else "[]"
            yield from every_key(shape.item.table, (*here, mark))
