"""Backups by their names, and whether they can be read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muva_console.ops.backups import backup_name, find_backups, spell_size, verify
from muva_console.ops.errors import OpsError

NOW = datetime.now(UTC)


async def test_backups_are_found_by_name_newest_first(tmp_path: Path) -> None:
    def put(name: str, data: bytes = b"PGDMP") -> None:
        (tmp_path / name).write_bytes(data)

    put(backup_name("eu-production", NOW, "a" * 12))
    put(backup_name("production", NOW - timedelta(days=3), "b" * 40))
    put(backup_name("production", NOW - timedelta(hours=3), "c" * 7))
    put(backup_name("production", NOW + timedelta(days=1), "d" * 7))
    put("production-20251399T000000Z-abcdef0.dump")
    put("production-\x1b[31m.dump")
    put("notes.txt")
    found = await find_backups(tmp_path, "production")
    assert [one.commit[0] for one in found.found] == ["c", "b"]
    assert [line.split(" ")[-3:] for line in found.odd if "future" in line] == [["in", "the", "future"]]
    assert any("its date is none" in line for line in found.odd)
    assert any("is not named" in line and "\x1b" not in line for line in found.odd)
    assert len(found.odd) == 3
    with pytest.raises(OpsError, match="cannot be read"):
        await find_backups(tmp_path / "none", "production")


async def test_a_backup_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from muva_console.drill.parts import postgres_programs

    monkeypatch.setenv("PATH", f"{postgres_programs()}:{os.defpath}")

    async def of(data: bytes) -> tuple[bool, str]:
        (tmp_path / backup_name("a b", NOW, "abcdef0")).unlink(missing_ok=True)
        path = tmp_path / backup_name("production", NOW, "abcdef0")
        path.write_bytes(data)
        ((backup),) = (await find_backups(tmp_path, "production")).found
        verified = await verify(backup)
        return verified.good, verified.why

    assert await of(b"") == (False, "is empty")
    assert (await of(b"\x1f\x8b gzip"))[0] is False
    good, why = await of(b"PGDMP\x01\x0e\x00\x04\x08\x01")  # ends where its header begins
    assert not good
    assert "pg_restore cannot read it" in why
    good, why = await of(b"PGDMP\x09\x0e\x00")
    assert good
    assert "too old to look further" in why
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await of(b"PGDMP\x01"))[1].endswith("no pg_restore is here to look further")


def test_sizes_are_said_as_a_colleague_says_them() -> None:
    assert [spell_size(size) for size in (0, 999, 1536, 46 * 1024, 3 * 1024**3)] == [
        "0 B", "999 B", "1.5 KiB", "46 KiB", "3.0 GiB",
    ]  # fmt: skip
