"""The estate's parts: pinned by hashes, from no named registry, installed once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from muva_console.drill import parts
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError

HERE = Path(parts.__file__).parent


def test_everything_from_npm_is_pinned_by_hash_and_names_no_registry() -> None:
    lock = json.loads((HERE / "npm" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert {"node_modules/pm2", "node_modules/pnpm"} <= packages.keys()
    assert packages["node_modules/pm2"]["version"] == "7.0.4"
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
    text = (parts.APPLICATION / "pnpm-lock.yaml").read_text()
    entries = re.findall(r"resolution: \{(.*)\}", text)
    assert len(entries) > 10
    assert all(re.fullmatch(r"integrity: sha512-\S+", entry) for entry in entries)
    assert "://" not in text


async def test_what_is_installed_is_found_without_running_anything(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> bytes:
        raise AssertionError("the second time nothing is installed")

    monkeypatch.setattr(parts, "run", never)
    told: list[str] = []
    found = await parts.find(told.append)
    assert told == []
    assert found.pm2.is_file()
    assert found.pnpm.is_file()
    assert found.node == estate.node
    assert (found.postgres / "postgres").is_file()


async def test_an_install_that_fails_leaves_no_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def offline(*_: object, **__: object) -> bytes:
        raise OpsError("ended with 1", where="npm ci", means="ENOTFOUND")

    monkeypatch.setenv("MUVA_CACHE", str(tmp_path))
    monkeypatch.setattr(parts, "run", offline)
    with pytest.raises(OpsError) as told:
        await parts.find(lambda _: None)
    assert "ENOTFOUND" in told.value.means
    assert "network" in told.value.next
    assert [entry.name for entry in (tmp_path / "drill").iterdir()] == ["install.lock"]


def test_a_machine_without_node_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("muva_console.drill.parts._wheel_node", lambda: None)
    with pytest.raises(OpsError) as told:
        parts.node_program()
    assert ".[drill]" in told.value.next


def test_a_node_that_is_too_old_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v16.20.2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("muva_console.drill.parts._wheel_node", lambda: None)
    with pytest.raises(OpsError, match=r"v16\.20\.2"):
        parts.node_program()
