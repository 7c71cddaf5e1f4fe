"""Names of files, and files held against a history."""

from __future__ import annotations

from muva_console.ops.migrations.compare import compare, drifted, pending
from muva_console.ops.migrations.files import sort_files
from muva_console.ops.migrations.model import Applied, History, State


def test_migrations_are_told_from_everything_else() -> None:
    names = [
        "20250102_b.sql", "20250101_a c'$(x).sql", "9_short.sql", "20250102_b.down.sql", "20250102_two.sql",
        "README.md", "notes.sql", "20250103_x.SQL", "sub/20250104_y.sql", "20250105_z\n.sql", "-1_x.sql",
    ]  # fmt: skip
    found = sort_files("0" * 40, "db", [f"db/{name}" for name in names])
    assert [one.path.removeprefix("db/") for one in found.migrations] == [
        "20250101_a c'$(x).sql", "20250102_b.sql", "20250102_two.sql", "9_short.sql",
    ]  # fmt: skip
    assert [one.name for one in found.downs] == ["b"]
    assert {path.removeprefix("db/") for path in found.skipped} == {
        "notes.sql", "20250103_x.SQL", "20250105_z\n.sql", "-1_x.sql",
    }  # fmt: skip
    assert set(found.others) == {"db/README.md", "db/sub/20250104_y.sql"}
    assert list(found.duplicates) == ["20250102"]
    assert found.widths == (1, 8)


async def test_every_state_has_its_name() -> None:
    names = ["1_applied", "2_drifted", "3_renamed", "4_late", "6_twice", "6_thrice", "8_new"]
    files = sort_files("0" * 40, "", [f"{name}.sql" for name in names])
    texts = {one.path: b"create table x (a int) -- x" for one in files.migrations}
    ran = ("CREATE TABLE x(a int)",)
    applied = [
        Applied(version="1", name="applied", statements=ran),
        Applied(version="2", name="drifted", statements=("create table x (a text)",)),
        Applied(version="3", name="else", statements=ran),
        Applied(version="5", name="gone"),
        Applied(version="6", name="twice", statements=ran),
        Applied(version="7"),
    ]
    history = History(where="here", applied={one.version: one for one in applied})
    changed = await drifted(files, texts, history)
    standings = compare(files, history, changed=changed)
    assert [(one.title, one.state) for one in standings] == [
        ("1_applied", State.APPLIED),
        ("2_drifted", State.DRIFTED),
        ("3_renamed", State.RENAMED),
        ("4_late", State.OUT_OF_ORDER),
        ("5_gone", State.MISSING),
        ("6_thrice", State.DUPLICATE),
        ("7", State.MISSING),
        ("8_new", State.PENDING),
    ]
    assert changed == {"1": False, "2": True, "3": False}
    assert [one.version for one in pending(standings)] == ["4", "8"]
