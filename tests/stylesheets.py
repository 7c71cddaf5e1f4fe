"""Textual's style sheets, parsed once in a worker: every console of the tests has the same, some 180 of them.

A console parses what it is given with its theme's variables, a fifth of what a picture costs. What is parsed
depends on nothing else, so that the next console of the same theme may have it too.
"""

from __future__ import annotations

from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

_parse_rules = Stylesheet._parse_rules
_parsed: dict[Any, list[RuleSet]] = {}


def _once(sheet: Stylesheet, *of: Any, **named: Any) -> list[RuleSet]:
    key = (of, frozenset(named.items()), frozenset(sheet._variables.items()))
    if key not in _parsed:
        _parsed[key] = _parse_rules(sheet, *of, **named)
    return _parsed[key]


@pytest.fixture(autouse=True, scope="session")
def style_sheets_parsed_once() -> None:
    """For whichever folder of tests imports it into its conftest.py."""
    Stylesheet._parse_rules = _once  # type: ignore[method-assign, assignment]
