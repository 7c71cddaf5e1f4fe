"""A TOML document against the model: values converted, and every mistake named, not the first alone.

(msgspec stops at the first mistake, and by then it has repeated the value, which may be a password.)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.config.model import Config, Table
from muva_console.config.redact import holds_token, redactor
from muva_console.config.shape import Key, Kind, Shape, every_key, keys
from muva_console.config.values import (
    CONVERTERS,
    REFERENCE,
    SHOWN,
    LiteralPasswordError,
    Place,
    WrongError,
    did_you_mean,
    expected,
    found,
    kind_of,
    quoted,
)
from muva_console.ops.text import sanitise_line

Tree = dict[str, Any]
"""A table's converted values; what had a mistake is left out."""

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


class Mistake(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and where."""

    place: Place
    """The path of the key; an item of a list counts from 1."""
    text: str

    def told(self, file: str, line: int | None) -> str:
        """``muva.toml:12: [environments.staging] url: expected …``."""
        at = f"{file}:{line}" if line else file
        where = name_of(self.place)
        text = sanitise_line(self.text)  # it may quote names of the file, and those may hold anything
        return f"{at}: {where}: {text}" if where else f"{at}: {text}"


def name_of(place: Place) -> str:
    """A place as an engineer would point at it: ``[environments.staging] url``."""
    shown = [redactor.redact(sanitise_line(part, cap=SHOWN)) for part in place]
    if place[:1] == ("contacts",) and len(place) > 2:
        return f"[[contacts]] number {shown[1]}, {shown[2]}"
    if place[:2] == ("on_call", "shifts") and len(place) > 3:
        return f"[[on_call.shifts]] number {shown[2]}, {shown[3]}"
    if len(shown) < 2:
        return f"[{shown[0]}]" if shown and shown[0] in keys(Config) else "".join(shown)
    *table, key = shown
    if key.isdigit():
        return f"{name_of(tuple(table))}, item {key}"
    return f"[{'.'.join(part if _NAME.match(part) else quoted(part) for part in table)}] {key}"


class Walk:
    """One document's walk. `home` is the folder of the file: what relative paths are relative to."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.mistakes: list[Mistake] = []

    def mistake(self, place: Place, text: str) -> None:
        """Note what is wrong, and go on."""
        self.mistakes.append(Mistake(place=place, text=text))

    def table(self, value: Any, table: type[Table], place: Place = ()) -> Tree | None:
        """A table's values by key, defaults left out; None when it is no table at all."""
        if not isinstance(value, dict):
            self.mistake(place, f"expected a table, found {kind_of(value)}")
            return None
        known = keys(table)
        tree: Tree = {}
        for name, given in value.items():
            if name not in known:
                self.mistake((*place, name), _unknown(name, table, place))
                continue
            converted = self.value(given, known[name].shape, (*place, name))
            if converted is not None:
                tree[name] = converted
        for key in known.values():
            if key.required and key.name not in value:
                self.mistake((*place, key.name), f"missing; expected {expected(key.shape)}")
        return tree

    def value(self, value: Any, shape: Shape, place: Place) -> Any:
        """One value converted; None when it has a mistake, which is noted."""
        match shape.kind:
            case Kind.TABLE:
                assert shape.table is not None
                return self.table(value, shape.table, place)
            case Kind.SECRET:
                return self._secret(value, shape, place)
            case Kind.MAP:
                return self._map(value, shape, place)
            case Kind.LIST:
                return self._list(value, shape, place)
            case _:
                return self._plain(value, shape, place)

    def _secret(self, value: Any, shape: Shape, place: Place) -> Tree | None:
        assert shape.table is not None
        if not isinstance(value, dict):
            self.mistake(
                place,
                f"expected {REFERENCE}; found a literal value, which is not repeated here: "
                "a secret does not stand in this file",
            )
            return None
        before = len(self.mistakes)
        tree = self.table(value, shape.table, place)
        if len(self.mistakes) > before:
            return None
        if len(value) != 1:
            count = "none of the three keys" if not value else f"{len(value)} keys ({', '.join(value)})"
            self.mistake(place, f"expected {REFERENCE}; found {count}")
            return None
        return tree

    def _map(self, value: Any, shape: Shape, place: Place) -> Tree | None:
        assert shape.item is not None
        if not isinstance(value, dict):
            self.mistake(place, f"expected tables, [{'.'.join(place)}.NAME]; found {kind_of(value)}")
            return None
        tree: Tree = {}
        for name, given in value.items():
            if not _NAME.match(name):
                self.mistake(
                    (*place, name), "expected a name of at most 63 letters, digits, '.', '_' and '-'"
                )
            converted = self.value(given, shape.item, (*place, name))
            if converted is not None:
                tree[name] = converted
        return tree

    def _list(self, value: Any, shape: Shape, place: Place) -> tuple[Any, ...] | None:
        assert shape.item is not None
        if not isinstance(value, list):
            wrong = found(value, shape.item, place)
            hint = f"; did you mean [{wrong}]?" if wrong[:1] == '"' or wrong.isdigit() else ""
            self.mistake(place, f"expected {expected(shape)}, found {wrong}{hint}")
            return None
        before = len(self.mistakes)
        items = [self.value(item, shape.item, (*place, str(n))) for n, item in enumerate(value, 1)]
        if len(self.mistakes) > before:
            return None
        if shape.item.table is None:
            for n, item in enumerate(items, 1):
                if item in items[: n - 1]:
                    self.mistake((*place, str(n)), f"{found(item, shape.item, place)} stands there twice")
        return tuple(items)

    def _plain(self, value: Any, shape: Shape, place: Place) -> Any:
        if isinstance(value, str) and shape.kind is not Kind.URL and _literal(value, place):
            self.mistake(
                place,
                "holds what looks like a literal secret, which is not repeated here: "
                "a secret does not stand in this file",
            )
            return None
        try:
            return CONVERTERS[shape.kind](value, shape, self._home)
        except WrongError as wrong:
            reason = f" ({wrong.reason})" if wrong.reason else ""
            hint = f"; {wrong.hint}" if wrong.hint else ""
            self.mistake(
                place, f"expected {expected(shape)}, found {found(value, shape, place)}{reason}{hint}"
            )
        except LiteralPasswordError:
            self.mistake(
                place,
                "holds a literal password (user:password@), which is not repeated here: "
                "give the address without it",
            )
        return None


def objection(table: type[Table], key: str, value: Any) -> str:
    """What is wrong with one value of a table, in a line; empty when nothing is."""
    walk = Walk(Path.cwd())
    walk.value(value, keys(table)[key].shape, (key,))
    return "; ".join(mistake.text for mistake in walk.mistakes)


def _literal(value: str, place: Place) -> bool:
    """Whether a secret stands in a text; the command that fetches one may speak of passwords."""
    return holds_token(value) if place[-1] == "command" else redactor.holds_secret(value)


def _unknown(name: str, table: type[Table], place: Place) -> str:
    known = list(keys(table))
    meant = did_you_mean(name, known)
    if not meant:
        meant = _elsewhere(name, place)
    return f"unknown key; {meant or 'known are ' + ', '.join(known)}"


def _elsewhere(name: str, place: Place) -> str:
    """Whether a known key has strayed into another table."""
    homes: dict[Place, Key] = {path[:-1]: key for path, key in every_key() if path[-1] == name}
    homes.pop(place, None)
    if len(homes) != 1:
        return ""
    (home,) = homes
    if not home:
        return f"[{name}] is a table of its own"
    return f"it stands in [{'.'.join('NAME' if part == '*' else part for part in home if part != '[]')}]"


def build(table: type[Table], tree: Tree, home: Path) -> Any:
    """The struct of a walked table without mistakes; paths that were not given are made absolute too."""
    values: dict[str, Any] = {}
    for key in keys(table).values():
        shape, value = key.shape, tree.get(key.name)
        if value is None:
            if shape.kind is Kind.PATH and isinstance(key.default, Path):
                values[key.name] = home / key.default
            elif shape.kind is Kind.TABLE and shape.table is not None and key.default is not None:
                values[key.name] = build(shape.table, {}, home)
        elif shape.kind in (Kind.TABLE, Kind.SECRET) and shape.table is not None:
            values[key.name] = build(shape.table, value, home)
        elif shape.item is not None and shape.item.table is not None:
            inner = shape.item.table
            if shape.kind is Kind.MAP:
                values[key.name] = {name: build(inner, each, home) for name, each in value.items()}
            else:
                values[key.name] = tuple(build(inner, each, home) for each in value)
        else:
            values[key.name] = value
    return table(**values)


def build_config(tree: Tree, home: Path) -> Config:
    """`build` for the whole file."""
    built = build(Config, tree, home)
    assert isinstance(built, Config)
    return built
