"""Whoever has the file in hand can change it; a verification says so and names the first bad entry."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muva_console.ops.journal import Draft, Journal, Kind, Verification
from muva_console.ops.journal.anchors import Anchors
from muva_console.ops.journal.chain import COLUMNS, GENESIS, hash_of, verify
from muva_console.ops.journal.schema import migrations, statements
from muva_console.ops.readings import Level
from tests.patience import HANG

ENTRIES = 12


@pytest.fixture
async def written(journal: Journal) -> Journal:
    """A journal of ENTRIES entries."""
    for number in range(1, ENTRIES + 1):
        await journal.append(
            Draft(kind=Kind.NOTE, subject=f"subject {number}", text=f"entry {number}", data={"n": number})
        )
    assert (await journal.verify()).level is Level.OK
    return journal


def tamper(folder: Path, *commands: str) -> None:
    """What a person with write access and patience does."""
    connection = sqlite3.connect(folder / "journal.db")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for guard in ("entry_is_never_changed", "entry_is_never_removed", "entry_follows_the_last"):
        connection.execute(f"DROP TRIGGER IF EXISTS {guard}")
    for command in commands:
        connection.execute(command)
    connection.commit()
    connection.close()


def rehash(folder: Path, first: int) -> None:
    """The forger reckons the chain anew from entry `first` on."""
    connection = sqlite3.connect(folder / "journal.db")
    names = ", ".join(COLUMNS)
    rows = connection.execute(f"SELECT {names} FROM entry WHERE id >= ? ORDER BY id", (first,)).fetchall()
    before = connection.execute("SELECT hash FROM entry WHERE id = ?", (first - 1,)).fetchone()
    previous = before[0] if before else GENESIS
    for row in rows:
        values = {**dict(zip(COLUMNS, row, strict=True)), "prev_hash": previous}
        previous = hash_of(values)
        connection.execute(
            "UPDATE entry SET prev_hash = ?, hash = ? WHERE id = ?",
            (values["prev_hash"], previous, values["id"]),
        )
    connection.commit()
    connection.close()


async def flaw_of(journal: Journal) -> tuple[int, str]:
    told = await journal.verify()
    assert told.level is Level.FAIL, told
    assert told.flaw is not None
    assert told.flaw.text in told.summary
    return told.flaw.id, told.flaw.problem


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in {"id", "ref"}])
async def test_an_edit_of_any_column_is_found(written: Journal, folder: Path, column: str) -> None:
    value = "2020-01-01T00:00:00.000000Z" if column == "at" else "e" * 64
    tamper(folder, f"UPDATE entry SET {column} = '{value}' WHERE id = 5")
    assert await flaw_of(written) == (5, "edited")


async def test_an_edit_of_a_reference_is_found(written: Journal, folder: Path) -> None:
    tamper(folder, "UPDATE entry SET ref = 1 WHERE id = 5")
    assert await flaw_of(written) == (5, "edited")


async def test_data_formatted_anew_is_an_edit(written: Journal, folder: Path) -> None:
    tamper(folder, """UPDATE entry SET data = '{"n": 5}' WHERE id = 5""")
    assert await flaw_of(written) == (5, "edited")


async def test_a_removed_entry_is_found(written: Journal, folder: Path) -> None:
    tamper(folder, "DELETE FROM entry WHERE id IN (6, 7)")
    assert await flaw_of(written) == (6, "removed")


async def test_a_removed_beginning_is_found(written: Journal, folder: Path) -> None:
    tamper(folder, "DELETE FROM entry WHERE id < 4")
    assert await flaw_of(written) == (1, "removed")


async def test_removed_and_closed_up_is_found(written: Journal, folder: Path) -> None:
    tamper(
        folder,
        "DELETE FROM entry WHERE id = 6",
        *(f"UPDATE entry SET id = {n - 1} WHERE id = {n}" for n in (7, 8)),
    )
    assert await flaw_of(written) == (6, "edited")


async def test_swapped_entries_are_found(written: Journal, folder: Path) -> None:
    tamper(
        folder,
        "UPDATE entry SET id = 100 WHERE id = 4",
        "UPDATE entry SET id = 4 WHERE id = 9",
        "UPDATE entry SET id = 9 WHERE id = 100",
    )
    assert await flaw_of(written) == (4, "edited")


async def test_an_inserted_entry_is_found(written: Journal, folder: Path) -> None:
    columns = ", ".join(name for name in (*COLUMNS, "hash") if name not in {"id", "hash"})
    tamper(
        folder,
        f"INSERT INTO entry (id, {columns}, hash) SELECT -3, {columns}, '{'a' * 64}' FROM entry LIMIT 1",
    )
    assert await flaw_of(written) == (1, "inserted")


async def test_an_entry_forged_with_a_hash_of_its_own_does_not_follow(written: Journal, folder: Path) -> None:
    tamper(folder, "UPDATE entry SET text = 'forged' WHERE id = 5")
    connection = sqlite3.connect(folder / "journal.db")
    row = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM entry WHERE id = 5").fetchone()
    connection.execute(
        "UPDATE entry SET hash = ? WHERE id = 5", (hash_of(dict(zip(COLUMNS, row, strict=True))),)
    )
    connection.commit()
    connection.close()
    (folder / "journal.anchors").unlink()
    assert await flaw_of(written) == (6, "reordered")


async def test_a_chain_rewritten_whole_contradicts_its_anchors(written: Journal, folder: Path) -> None:
    tamper(folder, "UPDATE entry SET text = 'forged' WHERE id = 5")
    rehash(folder, 5)
    assert await flaw_of(written) == (5, "rewritten")


async def test_a_cut_end_is_found(written: Journal, folder: Path) -> None:
    tamper(folder, f"DELETE FROM entry WHERE id > {ENTRIES - 3}")
    assert await flaw_of(written) == (ENTRIES - 2, "cut")


async def test_a_cut_end_stays_in_sight_when_the_journal_goes_on(
    written: Journal, folder: Path, open_journal: Callable[..., Journal]
) -> None:
    tamper(folder, f"DELETE FROM entry WHERE id > {ENTRIES - 3}")
    told: list[str] = []
    other = open_journal(on_warning=told.append)
    for number in range(6):
        await other.note(f"gone on with {number}")
    assert "cut off" in told[0]
    assert await flaw_of(written) == (ENTRIES - 2, "rewritten")


async def test_a_removed_database_is_found(written: Journal, folder: Path) -> None:
    for path in folder.glob("journal.db*"):
        path.unlink()
    assert await flaw_of(written) == (1, "cut")


async def test_without_anchors_nobody_can_tell(written: Journal, folder: Path) -> None:
    (folder / "journal.anchors").unlink()
    told = await written.verify()
    assert (told.level, told.flaw) == (Level.UNKNOWN, None)
    assert "without anchors" in told.summary


async def test_a_missing_anchor_file_is_told_and_written_down(
    written: Journal, folder: Path, open_journal: Callable[..., Journal]
) -> None:
    await written.close()
    (folder / "journal.anchors").unlink()
    told: list[str] = []
    other = open_journal(on_warning=told.append)
    await other.note("after")
    assert "anchor file was missing" in told[0]
    (entry,) = [entry for entry in await other.read() if entry.kind == Kind.JOURNAL]
    assert entry.id == ENTRIES + 1
    assert (await other.verify()).level is Level.OK


async def test_a_head_noted_elsewhere_finds_what_was_cut_together_with_its_anchors(
    written: Journal, folder: Path
) -> None:
    head = (await written.verify()).head_token
    tamper(folder, f"DELETE FROM entry WHERE id > {ENTRIES - 3}")
    anchors = folder / "journal.anchors"
    anchors.write_text("".join(anchors.read_text().splitlines(keepends=True)[:-3]))
    number, _, told = head.partition(":")
    silent = await written.verify()
    assert silent.flaw is None  # documented: this cannot be seen from the two files alone
    checked = await written.verify(expected=(int(number), told[:12]))
    assert checked.flaw is not None
    assert (checked.flaw.id, checked.flaw.problem) == (ENTRIES - 2, "rewritten")


async def test_a_noted_head_that_still_holds(written: Journal) -> None:
    head = await written.verify()
    await written.note("later")
    assert (await written.verify(expected=(head.head, head.head_hash))).level is Level.OK
    wrong = await written.verify(expected=(head.head, "f" * 64))
    assert wrong.level is Level.FAIL


async def test_guards_taken_out_are_told(written: Journal, folder: Path) -> None:
    tamper(folder)
    told = await written.verify()
    assert told.level is Level.WARN
    assert any("triggers" in line for line in told.evidence)


async def test_anchors_that_are_behind_or_torn_are_told(written: Journal, folder: Path) -> None:
    anchors = folder / "journal.anchors"
    whole = anchors.read_bytes()
    anchors.write_bytes(whole[:-60])
    told = await written.verify()
    assert (told.level, told.anchored) == (Level.WARN, ENTRIES - 1)
    await written.note("the next anchor begins on a line of its own")
    after = await written.verify()
    assert after.anchored == ENTRIES + 1
    assert any("no anchors: 1" in line for line in after.evidence)


async def test_a_damaged_file_is_unreadable_not_ok(written: Journal, folder: Path) -> None:
    await written.append_many([Draft(kind=Kind.NOTE, subject="s", text="t" * 3000) for _ in range(40)])
    await written.close()
    path = folder / "journal.db"
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 4096 // 2, len(content) // 4096):
        content[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    other = Journal(folder, written.engineer, redact=str)
    number, problem = await flaw_of(other)
    assert problem == "unreadable"
    assert number > 1
    await other.close()


def test_the_documented_verification_finds_the_same(tmp_path: Path) -> None:
    """The few lines of docs/security.md, run as they stand there."""
    document = Path(__file__).parents[2] / "docs" / "security.md"
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    (script,) = [block for block in blocks if "sha256" in block]
    connection, _ = _chain(["a", "b é", "c"])
    copy = sqlite3.connect(tmp_path / "journal.db")
    connection.backup(copy)
    copy.close()

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "journal.db")],
            capture_output=True, text=True, check=False, timeout=HANG,
        )  # fmt: skip

    good = run()
    assert (good.returncode, good.stdout.strip()) == (0, "3 entries hold")
    tamper(tmp_path, "UPDATE entry SET text = 'x' WHERE id = 2")
    assert "entry 2" in run().stderr


def _chain(texts: list[str]) -> tuple[sqlite3.Connection, dict[int, str]]:
    """A journal in memory, written without the program's own writer."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for _, _, sql in migrations():
        for statement in statements(sql):
            connection.execute(statement)
    previous = GENESIS
    hashes = {}
    for number, text in enumerate(texts, 1):
        values: dict[str, Any] = dict.fromkeys(COLUMNS, "x") | {
            "id": number, "at": "2025-01-01T00:00:00.000000Z", "text": text, "ref": None, "data": "{}",
            "prev_hash": previous,
        }  # fmt: skip
        previous = hashes[number] = hash_of(values)
        connection.execute(
            f"INSERT INTO entry ({', '.join(COLUMNS)}, hash) VALUES ({', '.join('?' * 14)})",
            (*(values[name] for name in COLUMNS), previous),
        )
    return connection, hashes


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_one_change_is_found_where_it_begins(data: st.DataObject) -> None:
    """One edit, removal or swap, or the chain reckoned anew: the first bad entry is named."""
    texts = data.draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2, max_size=8)
    )
    connection, hashes = _chain(texts)
    anchors = Anchors(hashes)
    assert verify(connection, anchors).level is Level.OK
    for guard in ("entry_is_never_changed", "entry_is_never_removed", "entry_follows_the_last"):
        connection.execute(f"DROP TRIGGER {guard}")
    victim = data.draw(st.integers(1, len(texts)))
    match data.draw(st.sampled_from(["edit", "remove", "swap", "rehash"])):
        case "edit":
            connection.execute("UPDATE entry SET text = text || 'x' WHERE id = ?", (victim,))
        case "remove":
            connection.execute("DELETE FROM entry WHERE id = ?", (victim,))
        case "swap":
            other = data.draw(st.integers(1, len(texts)).filter(lambda number: number != victim))
            connection.execute("UPDATE entry SET id = 99 WHERE id = ?", (victim,))
            connection.execute("UPDATE entry SET id = ? WHERE id = ?", (victim, other))
            connection.execute("UPDATE entry SET id = ? WHERE id = 99", (other,))
            victim = min(victim, other)
        case "rehash":
            _rehash_from(connection, victim)
    told: Verification = verify(connection, anchors)
    assert told.level is Level.FAIL
    assert told.flaw is not None
    assert told.flaw.id == victim
    json.dumps(told.flaw.text)


def _rehash_from(connection: sqlite3.Connection, victim: int) -> None:
    connection.execute("UPDATE entry SET text = text || 'x' WHERE id = ?", (victim,))
    names = ", ".join(COLUMNS)
    previous = GENESIS
    for row in connection.execute(f"SELECT {names}, hash FROM entry ORDER BY id").fetchall():
        values = dict(zip(COLUMNS, row[:-1], strict=True))
        if values["id"] >= victim:
            values["prev_hash"] = previous
            connection.execute(
                "UPDATE entry SET prev_hash = ?, hash = ? WHERE id = ?",
                (previous, hash_of(values), values["id"]),
            )
            previous = hash_of(values)
        else:
            previous = row[-1]
