"""The repository's own muva.toml, and the schema: whole, current and true."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from muva_console.config.load import load, parse
from muva_console.config.model import Config, Secret, Thresholds
from muva_console.config.schema import schema, schema_text
from muva_console.config.shape import describe, every_key, keys

TOP = Path(__file__).parents[2]
FILE = TOP / "muva.toml"
_OPTIONAL = re.compile(r"^#(\[|[a-z][a-z0-9_]* = )", re.MULTILINE)


def whole() -> str:
    """The file with everything optional switched on."""
    return _OPTIONAL.sub(r"\1", FILE.read_text(encoding="utf-8"))


def test_it_loads_and_is_the_playbooks_estate() -> None:
    config = load(FILE).config
    assert list(config.environments) == ["dev", "staging", "production"]
    staging, production = config.environments["staging"], config.environments["production"]
    assert production.url == "https://simmerdown.muva.chat"
    assert staging.url == "https://simmerdown.staging.muva.chat"
    assert (production.directory, staging.directory) == ("/var/www/muva-chat", "/var/www/muva-chat-staging")
    assert (production.processes, staging.processes) == (("muva-production",), ("muva-staging",))
    assert (production.port, staging.port) == (3000, 3001)
    assert (production.branch, staging.branch) == ("main", "staging")
    assert production.production
    assert not staging.production
    assert production.thresholds.database == pytest.approx(0.1)
    assert staging.thresholds.database == pytest.approx(0.05)
    assert production.dependencies["supabase"].expect == (200, 401)
    assert "ooaumjzaztmutltifhoq" in production.dependencies["supabase"].url
    assert [contact.name for contact in config.contacts[:3]] == ["@lead-dev", "@devops-lead", "@db-admin"]


def test_with_everything_optional_switched_on_it_loads_too() -> None:
    config = parse(whole().encode(), FILE).config
    assert config.hosts["vps"].jump == "jump"
    assert config.project.repository == "your-org/muva-chat"


@pytest.mark.parametrize("path", [".".join(path) for path, _ in every_key()])
def test_every_key_of_the_model_stands_in_it(path: str) -> None:
    def standing(value: Any, parts: list[str]) -> bool:
        if not parts:
            return True
        if isinstance(value, list):
            return any(standing(item, parts[1:]) for item in value)
        if not isinstance(value, dict):
            return False
        if parts[0] == "*":
            return any(standing(item, parts[1:]) for item in value.values())
        return parts[0] in value and standing(value[parts[0]], parts[1:])

    assert standing(tomllib.loads(whole()), path.split("."))


def test_every_key_is_explained() -> None:
    """Somewhere in the file a comment stands over it, or over the lines that it is among."""
    explained = set()
    above = False
    for line in FILE.read_text(encoding="utf-8").splitlines():
        key = re.match(r"#?([a-z0-9_]+) = ", line)
        if line.startswith("# "):
            above = True
        elif not line.strip():
            above = False
        elif key and above:
            explained.add(key[1])
    values = {path[-1] for path, key in every_key() if key.shape.table is None and key.shape.item is None}
    lists = {path[-1] for path, key in every_key() if key.shape.item and not key.shape.item.table}
    in_a_heading = {"role", "reach", "expect", "file", "command", "env"}
    assert (values | lists) - explained - in_a_heading == set()


def test_secrets_are_shown_in_their_three_ways() -> None:
    text = FILE.read_text(encoding="utf-8")
    for key in keys(Secret):
        assert f"{{ {key} = " in text


def test_the_optional_values_of_production_are_the_defaults() -> None:
    config, bare = parse(whole().encode(), FILE).config, load(FILE).config
    given, default = config.environments["production"].thresholds, Thresholds()
    for name in keys(Thresholds):
        if name != "baseline":
            assert getattr(given, name) == pytest.approx(getattr(default, name)), name
    assert config.health == bare.health == Config().health
    assert config.console == bare.console == Config().console


# --- the schema ----------------------------------------------------------------------------------------


def test_the_committed_schema_is_current() -> None:
    committed = (TOP / "docs/muva.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: muva config schema > docs/muva.schema.json"


def test_every_key_is_described_there() -> None:
    made = json.loads(schema_text())
    for path, _ in every_key():
        assert describe(_owner(path), path[-1]), path
    for name, table in [("Config", made), *made["definitions"].items()]:
        assert table["description"], name
        for key_name, value in table["properties"].items():
            assert value["description"], (name, key_name)


def _owner(path: tuple[str, ...]) -> Any:
    table: Any = Config
    for part in path[:-1]:
        if part in ("*", "[]"):
            continue
        shape = keys(table)[part].shape
        table = shape.table or (shape.item and shape.item.table)
    return table


def test_the_file_agrees_with_the_schema() -> None:
    made = schema()
    _validate(tomllib.loads(whole()), made, made, "")
    _validate(tomllib.loads(FILE.read_text(encoding="utf-8")), made, made, "")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"environments": {}},
        {"environments": {"a": {}}},
        {"environments": {"a": {"branch": "x", "colour": 1}}},
        {"environments": {"a": {"branch": "x", "database": {"url": "postgres://x"}}}},
        {"environments": {"a": {"branch": "x", "database": {"url": {"env": "A", "file": "b"}}}}},
        {"environments": {"a": {"branch": "x", "url": "https://u:p@x.y"}}},
        {"environments": {"a": {"branch": "x"}}, "console": {"refresh": 30}},
        {"environments": {"a": {"branch": "x"}}, "console": {"refresh": "5 m"}},
    ],
)
def test_what_the_loader_refuses_the_schema_refuses(wrong: dict[str, Any]) -> None:
    made = schema()
    with pytest.raises(AssertionError):
        _validate(wrong, made, made, "")


def _validate(value: Any, part: dict[str, Any], made: dict[str, Any], at: str) -> None:
    """The keywords of draft-07 that the schema uses, and an error for any other."""
    known = {"$schema", "title", "description", "definitions", "default", "examples", "format"}
    for keyword, wanted in part.items():
        if keyword in known:
            continue
        match keyword:
            case "$ref":
                _validate(value, made["definitions"][wanted.rsplit("/", 1)[1]], made, at)
            case "allOf":
                for each in wanted:
                    _validate(value, each, made, at)
            case "type":
                types: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool}
                types |= {"integer": int, "number": (int, float)}
                assert isinstance(value, types[wanted]), at
            case "properties":
                for name, each in value.items():
                    if name in wanted:
                        _validate(each, wanted[name], made, f"{at}.{name}")
            case "additionalProperties":
                others = [each for name, each in value.items() if name not in part.get("properties", {})]
                assert wanted or not others, at
                for each in others:
                    _validate(each, wanted, made, at)
            case "propertyNames":
                for name in value:
                    _validate(name, wanted, made, at)
            case "required":
                assert set(wanted) <= set(value), at
            case "items":
                for each in value:
                    _validate(each, wanted, made, at)
            case "uniqueItems":
                assert len(set(map(str, value))) == len(value), at
            case "minProperties":
                assert len(value) >= wanted, at
            case "maxProperties":
                assert len(value) <= wanted, at
            case "minLength":
                assert len(value) >= wanted, at
            case "pattern":
                assert re.search(wanted, value), at
            case "enum":
                assert value in wanted, at
            case "minimum":
                assert value >= wanted, at
            case "exclusiveMinimum":
                assert value > wanted, at
            case "maximum":
                assert value <= wanted, at
            case _:
                raise NotImplementedError(keyword)
