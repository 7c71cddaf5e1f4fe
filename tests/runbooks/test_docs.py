"""docs/runbooks.md knows every key, every runbook and every check, and its examples are sound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from muva_console.ops.checks import all_checks
from muva_console.ops.runbooks.document import Known, read_document
from muva_console.ops.runbooks.keys import ADD, FILE, LISTS, WITH
from muva_console.ops.runbooks.load import PLAYBOOK, load_runbooks
from muva_console.ops.runbooks.model import Basis

TEXT = (Path(__file__).parents[2] / "docs/runbooks.md").read_text(encoding="utf-8")
_EXAMPLES = [text for text in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL) if text.startswith("id = ")]


@pytest.mark.parametrize("name", sorted({*ADD, *FILE, *LISTS, WITH}))
def test_every_key_stands_there(name: str) -> None:
    assert re.search(rf"`{name}`|\[\[{name}\]\]|^{name} = ", TEXT, re.MULTILINE)


def test_every_runbook_check_and_basis_stands_there() -> None:
    for name in (*PLAYBOOK, *(check.name for check in all_checks())):
        assert f"`{name}`" in TEXT, name
    for basis in Basis:
        assert f'`"{basis}"`' in TEXT


def test_the_examples_are_sound(tmp_path: Path) -> None:
    whole, change = _EXAMPLES
    assert read_document(whole.encode(), "x.toml", Known(), team=True).mistakes == []
    (tmp_path / "x.toml").write_text(change)
    (book,) = (each for each in load_runbooks(tmp_path) if each.id == "pre-deploy-production")
    assert [step.id for step in book.steps][4:6] == ["load-test", "backup-plan"]
    assert book.step("database-sync") is None
