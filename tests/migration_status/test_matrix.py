"""The matrix of real branches and histories: every state, where nothing can be told, and who applied it."""

from __future__ import annotations

import os

import pytest

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Draft, Kind
from muva_console.ops.migrations.detail import sql_of
from muva_console.ops.migrations.matrix import Matrix
from muva_console.ops.migrations.model import State
from muva_console.ops.migrations.status import read_matrix
from muva_console.ops.migrations.status_findings import findings_of
from muva_console.ops.readings import Level, Verdict, verdict

from .conftest import MakeScene

TABLE = "-- who\ncreate table public.{0} (\n  id int primary key, -- the id\n  name text\n);\n"
RAN = "create table public.{0} (\n  id int primary key, -- the id\n  name text\n)"


def states(matrix: Matrix, environment: str) -> dict[str, State]:
    place = matrix.place(environment)
    return {row.title: cell.state for row in matrix.rows if (cell := row.cells[place]) is not None}


async def test_every_state_of_a_column(make_scene: MakeScene) -> None:
    scene = await make_scene("production")
    names = [
        "01_same", "02_comments", "03_edited", "04_renamed", "05_late", "07_twice", "07_thrice", "08_bare",
        "09_last", "10_waits",
    ]  # fmt: skip
    main = {f"{name}.sql": TABLE.format(name[3:]) for name in names}
    staging = {**main, "11_comes.sql": TABLE.format("comes"), "08_bare.sql": TABLE.format("other")}
    scene.commit(main=main, staging=staging, dev={**staging, "12_far.sql": "select 1"})
    await scene.record(
        "production",
        ("01", "same", ["-- who\n" + RAN.format("same")]),
        ("02", "comments", ["CREATE TABLE public.comments(id int primary key, name TEXT) -- else"]),
        ("03", "edited", [RAN.format("edited").replace("text", "varchar")]),
        ("04", "other", [RAN.format("renamed")]),
        ("06", "gone", ["select 1"]),
        ("07", "twice", [RAN.format("twice")]),
        ("08", "bare", [RAN.format("bare")]),
        ("09", "last", None),
    )
    async with scene.workspace() as workspace:
        matrix = await read_matrix(workspace)
        again = await read_matrix(workspace)
        detail = await sql_of(workspace, matrix, "03", "production")
        same = await sql_of(workspace, matrix, "02", "production")
        with pytest.raises(OpsError, match="no branch and no history"):
            await sql_of(workspace, matrix, "99", "production")
    assert states(matrix, "production") == {
        "01_same": State.APPLIED,
        "02_comments": State.APPLIED,
        "03_edited": State.DRIFTED,
        "04_renamed": State.RENAMED,
        "05_late": State.OUT_OF_ORDER,
        "06_gone": State.MISSING,
        "07_twice": State.DUPLICATE,
        "07_thrice": State.DUPLICATE,
        "08_bare": State.DRIFTED,
        "09_last": State.APPLIED,
        "10_waits": State.PENDING,
        "11_comes": State.PENDING,
        "12_far": State.ABSENT,
    }
    assert again.rows == matrix.rows, "what was remembered says the same"
    cell = matrix.cell("08", "production")
    assert cell is not None and cell.why == "what ran is not what staging has"
    comes, waits = matrix.cell("11", "production"), matrix.cell("10", "production")
    assert comes is not None and waits is not None
    assert (comes.here, comes.why, waits.here) == (False, "comes from staging", True)
    last = matrix.cell("09", "production")
    assert last is not None and "not recorded" in last.why

    # no database, no cell: the columns say so
    assert all(row.cells[:2] == (None, None) for row in matrix.rows)
    assert [column.why for column in matrix.columns] == ["no database is configured"] * 2 + [""]

    # from problem to problem, around the end
    found = [0]
    for _ in range(8):
        at = matrix.next_problem(found[-1])
        assert at is not None and at[1] == 2
        found.append(at[0])
    found = found[1:]
    rows = [matrix.rows[at].title for at in found]
    assert rows[0] == rows[-1] == "03_edited" and len(set(rows)) == 7
    back = matrix.next_problem(found[1], back=True)
    assert back is not None and matrix.rows[back[0]].title == "03_edited"

    files, production = findings_of(matrix)
    assert (files.level, production.level) == (Level.FAIL, Level.FAIL)
    assert "07 twice" in files.summary
    assert "1 applied but missing in the files" in production.summary
    assert production.next.startswith("git log --all")
    assert any("06_gone" in line and "neither main nor staging" in line for line in production.evidence)

    assert detail.drift is not None and not detail.drift.same
    assert [line for line in detail.drift.lines if line[0] in "+-"][2:] == [
        "-create table public.edited(id int primary key, name varchar);",
        "+create table public.edited(id int primary key, name text);",
    ]
    assert same.drift is not None and same.drift.same
    assert "create table public.edited" in detail.text and detail.branch == "main"


async def test_what_cannot_be_asked_is_unknown_and_says_why(make_scene: MakeScene) -> None:
    scene = await make_scene("staging", "production")
    scene.write(unreachable=["production"])
    scene.commit(main={"01_a.sql": "select 1"}, staging={"01_a.sql": "select 1"})
    await scene.sql("staging", "drop schema supabase_migrations cascade")
    async with scene.workspace() as workspace:
        matrix = await read_matrix(workspace, ["staging", "production"])
    assert states(matrix, "production") == {"01_a": State.UNKNOWN}
    assert states(matrix, "staging") == {"01_a": State.PENDING}
    staging, production = matrix.columns
    assert "refused" in production.why and not production.reachable
    assert staging.notes == ("there is no history of migrations: none counts as applied",)
    found = findings_of(matrix)
    assert verdict(found) is Verdict.CANNOT_TELL
    assert "refused" in found[-1].summary and found[1].level is Level.OK


async def test_a_branch_that_is_not_there_and_a_folder_without_migrations(make_scene: MakeScene) -> None:
    scene = await make_scene("staging", "production")
    scene.commit(main={"README.md": "x"})
    async with scene.workspace() as workspace:
        matrix = await read_matrix(workspace, ["staging", "production"])
    assert matrix.columns[0].why == "there is no branch staging"
    assert {finding.level for finding in findings_of(matrix)} == {Level.UNKNOWN}


async def test_odd_histories_and_odd_names(make_scene: MakeScene) -> None:
    """Text that is no UTF-8, a record that is no array of one text, names that would paint a terminal."""
    scene = await make_scene("production")
    odd = "02_\x1b]52;c;x\x07a b'$(x)"
    scene.commit(main={"01_latin.sql": b"select '\xe9'", f"{odd}.sql": "select 2", "3_short.sql": "select 3"})
    await scene.sql(
        "production",
        "alter table supabase_migrations.schema_migrations add created_by text, add rollback text[]",
        "insert into supabase_migrations.schema_migrations (version, name, statements, created_by)"
        " values ('01', 'latin', array['select ''e'''], E'eve\\x1b[31m'),"
        " ('3', null, array['select 3', null], null)",
    )
    async with scene.workspace() as workspace:
        matrix = await read_matrix(workspace, ["production"])
    latin, short = matrix.cell("01", "production"), matrix.cell("3", "production")
    assert latin is not None and short is not None
    assert latin.state is State.UNKNOWN and "cannot be compared" in latin.why
    assert latin.by == "eve"
    assert short.state is State.APPLIED
    assert matrix.rows[1].name == "a b'$(x)" and matrix.rows[1].cells[0] is not None
    assert matrix.rows[1].cells[0].state is State.OUT_OF_ORDER
    assert "digits" in findings_of(matrix)[0].summary


async def test_the_journal_knows_who_applied_it(make_scene: MakeScene) -> None:
    scene = await make_scene("production")
    scene.commit(main={"01_a.sql": "select 1"})
    await scene.record("production", ("01", "a", ["select 1"]))
    async with scene.workspace() as workspace:
        data = {"outcome": "done", "applied": ["01"]}
        entry = await workspace.journal.append(
            Draft(
                kind=Kind.ACT_ENDED,
                subject="migrations-apply production",
                environment="production",
                data=data,
            )
        )
        matrix = await read_matrix(workspace, ["production"])
    cell = matrix.cell("01", "production")
    assert cell is not None and (cell.by, cell.at) == (entry.engineer, entry.at)


async def test_the_remote_is_away(make_scene: MakeScene) -> None:
    """What the last fetch knew, and that it is no more than that."""
    scene = await make_scene("production")
    scene.commit(main={"01_a.sql": "select 1"})
    scene.git("clone", "-q", "--bare", "--template=", ".", str(scene.folder / "far.git"))
    scene.git("remote", "add", "origin", str(scene.folder / "far.git"))
    async with scene.workspace() as workspace:
        assert (await read_matrix(workspace, ["production"])).fetch_error == ""
    (scene.folder / "far.git").rename(scene.folder / "gone.git")
    for stamp in (scene.folder / "cache").rglob("fetched"):
        os.utime(stamp, (1, 1))
    async with scene.workspace() as workspace:
        matrix = await read_matrix(workspace, ["production"])
    assert states(matrix, "production") == {"01_a": State.PENDING}
    assert any("as of the last fetch" in line for one in findings_of(matrix) for line in one.evidence)
