"""docs/configuration.md knows every key and every finding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from muva_console.config.shape import every_key
from muva_console.config.units import format_duration
from muva_console.ops.doctor.hosts import AFTERWARDS
from muva_console.ops.doctor.reach import STAGES

TEXT = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted({path[-1] for path, _ in every_key()}))
def test_every_key_stands_there(name: str) -> None:
    assert f"`{name}`" in TEXT or f"[{name}" in TEXT or f".{name}" in TEXT or f"{{ {name} = " in TEXT


def test_the_defaults_of_durations_are_the_models() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `\"(\w+)\"` \|", TEXT, re.MULTILINE))
    for path, key in every_key():
        if key.shape.kind == "duration" and key.default is not None and path[-1] in told:
            assert told[path[-1]] == format_duration(key.default), path
    assert {"refresh", "timeout", "connect_timeout", "response", "long_query"} <= set(told)


def test_every_stage_of_a_host_stands_there() -> None:
    for check in (*STAGES, *AFTERWARDS):
        assert f"`{check}`" in TEXT
