"""The JSON Schema of muva.toml, for editors: what `muva config schema` prints.

Draft-07, which the TOML language servers understand (Taplo, Even Better TOML). It says what a schema can
say; references between tables are the loader's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.config.model import Config, Secret, Table
from muva_console.config.shape import Key, Kind, Shape, describe, every_key, keys
from muva_console.config.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

_NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"


def schema() -> dict[str, Any]:
    """The schema as plain data, in a stable order."""
    used = {key.shape.table or (key.shape.item and key.shape.item.table): None for _, key in every_key()}
    tables = [table for table in used if isinstance(table, type)]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "muva.toml",
        **_table(Config),
        "definitions": {table.__name__: _table(table) for table in tables},
    }


def schema_text() -> str:
    """The schema as the text of docs/muva.schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _table(table: type[Table]) -> dict[str, Any]:
    known = keys(table)
    made: dict[str, Any] = {
        "description": describe(table),
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _key(table, key) for key in known.values()},
    }
    required = [key.name for key in known.values() if key.required]
    if table is Config:
        required = ["environments"]
    if required:
        made["required"] = required
    if table is Secret:
        made["minProperties"] = made["maxProperties"] = 1
    return made


def _key(table: type[Table], key: Key) -> dict[str, Any]:
    made = _value(key.shape)
    text = describe(table, key.name)
    if "$ref" in made:  # draft-07 ignores what stands beside a $ref
        return {"description": text, "allOf": [made]}
    made = {"description": text, **made}
    if table is Config and key.name == "environments":
        made["minProperties"] = 1
    default = _written(key.default, key.shape)
    if default is not None:
        made["default"] = default
    return made


def _value(shape: Shape) -> dict[str, Any]:
    match shape.kind:
        case Kind.TABLE | Kind.SECRET:
            assert shape.table is not None
            return {"$ref": f"#/definitions/{shape.table.__name__}"}
        case Kind.LIST:
            assert shape.item is not None
            return {"type": "array", "items": _value(shape.item), **_unique(shape.item)}
        case Kind.MAP:
            assert shape.item is not None
            return {
                "type": "object",
                "propertyNames": {"pattern": _NAME_PATTERN},
                "additionalProperties": _value(shape.item),
            }
        case Kind.FLAG:
            return {"type": "boolean"}
        case Kind.WHOLE:
            return {"type": "integer", **_limits(shape)}
        case Kind.NUMBER:
            return {"type": "number", **_limits(shape)}
        case Kind.DURATION:
            return {"type": "string", "pattern": DURATION_PATTERN, "examples": ["250ms", "30s", "1h30m"]}
        case Kind.SIZE:
            return {"type": "string", "pattern": SIZE_PATTERN, "examples": ["512M", "1G"]}
        case Kind.URL:
            return {"type": "string", "format": "uri", "pattern": r"^https?://[^/@\s]+(/\S*)?$"}
        case Kind.PATH:
            return {"type": "string", "minLength": 1}
        case Kind.TEXT:
            made: dict[str, Any] = {"type": "string"}
            if shape.choices:
                made["enum"] = list(shape.choices)
            if shape.pattern:
                made["pattern"] = shape.pattern
            return made


def _unique(item: Shape) -> dict[str, Any]:
    return {} if item.table is not None else {"uniqueItems": True}


def _limits(shape: Shape) -> dict[str, Any]:
    names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
    return {name: getattr(shape, limit) for limit, name in names.items() if getattr(shape, limit) is not None}


def _written(default: Any, shape: Shape) -> Any:
    """A default as the file would say it; None when there is nothing to say."""
    if isinstance(default, Struct | Mapping) or default is None or default == ():
        return None
    match shape.kind:
        case Kind.DURATION:
            return format_duration(default)
        case Kind.SIZE:
            return format_size(default)
        case Kind.LIST:
            return list(default)
        case _:
            return str(default) if isinstance(default, Path) else default
