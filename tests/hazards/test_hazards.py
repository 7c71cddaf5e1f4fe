"""What validation tells: on the labelled set, by size, with what comments allow, of hostile texts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.migrations import hazards, squawk
from muva_console.ops.migrations.catalog import Size
from muva_console.ops.migrations.findings import FileReport
from muva_console.ops.migrations.hazards import validate
from muva_console.ops.migrations.hazards_cache import Shelf
from muva_console.ops.migrations.rules import RULES
from muva_console.ops.migrations.type_change import Change, change
from muva_console.ops.readings import Level
from tests.hazards.scoring import CLASSES, labels, score, score_squawk


async def one(text: str | bytes, sizes: dict[str, Size] | None = None, **options: object) -> FileReport:
    data = text.encode() if isinstance(text, str) else text
    options.setdefault("with_squawk", False)
    return (await validate({"1_a.sql": data}, sizes, **options))[0]  # type: ignore[arg-type]


def told(report: FileReport) -> list[tuple[str, str]]:
    return [(each.rule, each.level.value) for each in report.hazards]


async def test_the_labelled_set_holds_its_floors() -> None:
    ours, theirs = await score(), await score_squawk()
    assert len(labels()) >= 60
    # the set is our own: what is missed or wrong now was put in knowingly
    assert ours.precision >= 0.97, ours.wrong
    assert ours.recall >= 0.97, ours.missed
    assert ours.precision > theirs.precision and ours.recall > theirs.recall
    assert {rule for rules in CLASSES.values() for rule in rules} | {"allow-wrong", "allow-unused"} == set(
        RULES
    )


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        (None, "fail warn warn fail"),
        (Size(0.0, counted=True), "ok ok ok warn"),
        (Size(999.0), "ok ok ok fail"),
        (Size(999.0, bytes=2e9), "fail warn warn fail"),
        (Size(50_000.0), "warn ok ok fail"),
        (Size(12_400_000.0, bytes=3.3e9), "fail warn warn fail"),
        (Size(None, why="never analysed"), "fail warn warn fail"),
    ],
    ids=range(7),
)
async def test_the_same_statement_weighs_by_the_size_of_its_table(size: Size | None, levels: str) -> None:
    text = (
        "create index on public.t (x);\ncreate trigger g after insert on t execute function f();\n"
        "drop index t_old;\nalter table t drop column y;"
    )
    before = {"0_a.sql": b"create table t (x int, y int); create index t_old on t (y)"}
    report = await one(text, None if size is None else {"public.t": size}, before=before)
    found = {each.rule: each for each in report.hazards}
    rules = ("index-blocks-writes", "trigger-lock", "drop-index", "drop-column")
    assert " ".join(found[rule].level for rule in rules) == levels
    size_told = found["index-blocks-writes"].sizes[0]
    if size is None or size.rows is None:
        assert "taken as large" in size_told
    elif size.rows > 1e6:
        assert size_told == "public.t (about 12,400,000 rows, 3.1 GiB)"


async def test_a_lock_of_a_moment_is_news_on_a_huge_table_alone() -> None:
    text = "alter table t add column z int"
    assert told(await one(text)) == []
    assert told(await one(text, {"public.t": Size(2e6)})) == []
    assert told(await one(text, {"public.t": Size(2e7)})) == [("brief-lock", "warn")]


async def test_what_these_files_make_is_empty_where_sizes_are_known() -> None:
    files = {"1_a.sql": b"create table t (x int)", "2_b.sql": b"create index on t (x)"}
    unknown = (await validate(files, with_squawk=False))[1]
    known = (await validate(files, {}, with_squawk=False))[1]
    assert told(unknown) == [("index-blocks-writes", "fail")]
    assert told(known) == [("index-blocks-writes", "ok")]
    # a table that is there already is not made by IF NOT EXISTS
    again = "create table if not exists t (x int); create index on t (x)"
    assert told(await one(again)) == []
    assert told(await one(again, {"public.t": Size(5e6)})) == [("index-blocks-writes", "fail")]


async def test_a_way_back_may_take_away_what_its_file_made() -> None:
    files = {"1_a.down.sql": b"drop table t;", "1_a.sql": b"create table t (x int)"}
    down, up = await validate(files, with_squawk=False)
    assert (down.path, told(down), up.level) == ("1_a.down.sql", [("drop-table", "warn")], Level.OK)


async def test_comments_allow_with_a_reason_alone() -> None:
    text = """-- muva: allow-file json-column: the writer is not ours
alter table a add column j json;
-- muva: allow drop-column, rename-column: nobody reads it since 1.4
alter table a drop column b;
alter table a drop column c; -- muva: allow truncate: belongs to the next
alter table a /* muva: allow drop-column: here */ drop column d;
-- muva: allow drop-column
alter table a drop column e;
-- muva: allow drop-colum: typed wrong
alter table a drop column f;
-- squawk-ignore ban-drop-column
alter table a drop column g;
-- muva: forbid drop-column
-- muva: allow-file drop-column: too late
select '-- muva: allow drop-column: in a text';
alter table a drop column h
"""
    report = await one(text)
    assert [(each.hazard.rule, each.hazard.line, each.reason, each.squawk) for each in report.allowed] == [
        ("json-column", 2, "the writer is not ours", False),
        ("drop-column", 4, "nobody reads it since 1.4", False),
        ("drop-column", 6, "here", False),
        ("drop-column", 12, "", True),
    ]
    assert [(each.rule, each.line) for each in report.hazards] == [
        ("drop-column", 5),
        ("allow-unused", 5),
        ("allow-wrong", 7),
        ("drop-column", 8),
        ("allow-wrong", 9),
        ("drop-column", 10),
        ("allow-wrong", 13),
        ("allow-wrong", 14),
        ("drop-column", 16),
    ]


async def test_squawk_says_it_too_and_the_place_is_in_characters() -> None:
    report = await one("select 'ünï';\nselect 'é'; drop table x;", with_squawk=True)
    (hazard,) = report.hazards
    assert (hazard.rule, hazard.line, hazard.column) == ("drop-table", 2, 13)
    assert hazard.by == ("muva", "squawk ban-drop-table")
    long = "x" * 70
    report = await one(f"-- é\nselect 'é'; create index concurrently {long} on a (b);", with_squawk=True)
    assert ("identifier-too-long", 2, 39) in [(each.rule, each.line, each.column) for each in report.hazards]


async def test_without_squawk_ours_are_told_and_that_it_was_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> str:
        raise LinkError(Fault.MISSING, "squawk is not installed")

    monkeypatch.setattr(squawk, "program", missing)
    report = await one("drop table unasked", with_squawk=True)
    assert told(report) == [("drop-table", "fail")]
    assert report.notes == ("squawk was not asked: squawk is not installed",)


async def test_one_deep_file_does_not_take_squawk_from_the_others() -> None:
    deep = b"select " + b"(" * 3000 + b"1" + b")" * 3000
    reports = await validate({"1_a.sql": deep, "2_b.sql": b"drop table beside_a_deep_one"})
    assert reports[1].hazards[0].by == ("muva", "squawk ban-drop-table") and not reports[1].notes


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        (b"select 1;\n  selekt 2", "fail", "line 2, column 3: syntax error"),
        (b"select\n a\0b", "fail", "line 2, column 3: holds a NUL byte"),
        (b"select '\xff'", "fail", "line 1, column 9: is no UTF-8"),
        (b"\xef\xbb\xbfselect 1", "fail", "line 1, column 1: begins with a byte order mark"),
        (b"\\restrict abc\nselect 1", "fail", "\\restrict is a command of psql's"),
        (b"copy t from stdin;", "fail", "COPY FROM STDIN"),
        (b"", "fail", "is empty"),
        (b"drop table x; " + b" " * 50 * 1024 * 1024, "unknown", "too many to be looked into"),
        (b"select " + b"(" * 20_000, "fail", "memory exhausted"),
        (b"select " + b"+".join([b"1"] * 4000), "unknown", "not-looked-into"),
        (b"delete from t where " + b"not " * 4000 + b"a", "unknown", "not-looked-into"),
        (b"select 1;\r\nselect 2;", "warn", "line-ends"),
        (b"select 1;" * 20_000, "ok", ""),
        (b"select 1;\n" * 20_000 + b"drop table;", "fail", "line 20001, column 11: syntax error"),
        (b"/*" * 5000, "fail", "unterminated"),
        (b"insert into t values " + b",".join([b"(1,'a;b')"] * 20_000), "ok", ""),
    ],
    ids=range(16),
)
async def test_hostile_texts_are_told_soon(text: bytes, level: str, said: str) -> None:
    began = time.process_time()
    report = await one(text)
    assert time.process_time() - began < 4
    assert report.level == level
    assert said in "\n".join([*map(str, report.problems), *(each.rule for each in report.hazards)])


async def test_a_repeat_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {"1_a.sql": b"drop table asked_once", "2_b.sql": b"select 'asked once'"}
    first = await validate(files, folder=tmp_path)
    hazards._shelves[tmp_path] = Shelf(tmp_path)  # as another process

    async def never(*_: object) -> None:
        raise AssertionError("squawk was asked again")

    monkeypatch.setattr(squawk, "ask", never)
    assert await validate(files, folder=tmp_path) == first
    # other sizes weigh anew, and read nothing
    weighed = await validate(files, {"public.asked_once": Size(0.0)}, folder=tmp_path)
    assert weighed[0].level is Level.WARN and weighed[0].hazards[0].by == first[0].hazards[0].by
    # what is on disk is believed whole or not at all
    for path in (tmp_path / "hazards").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    shelf = Shelf(tmp_path)
    shelf.load()
    assert not shelf._known


def test_which_changes_of_type_are_free() -> None:
    for old, new, using, expected in (
        ("character varying(50)", "character varying(51)", "", Change.FREE),
        ("character varying(50)", "character varying(49)", "", Change.REWRITE),
        ("character varying(50)", "text", "using cast", Change.FREE),
        ("character varying(50)", "text", "using", Change.REWRITE),
        ("text", "character varying(50)", "", Change.REWRITE),
        ("character(5)", "character(6)", "", Change.REWRITE),
        ("numeric(10,2)", "numeric(12,2)", "", Change.FREE),
        ("numeric(10,2)", "numeric", "", Change.FREE),
        ("numeric(10,2)", "numeric(12,3)", "", Change.REWRITE),
        ("timestamp(3) without time zone", "timestamp(6) without time zone", "", Change.FREE),
        ("timestamp without time zone", "timestamp with time zone", "", Change.UNKNOWN),
        ("timestamp without time zone", "timestamp with time zone", "using", Change.REWRITE),
        ("integer", "bigint", "", Change.REWRITE),
        ("character varying(50)[]", "text[]", "", Change.FREE),
        ("", "text", "", Change.UNKNOWN),
        ("", "jsonb", "", Change.REWRITE),
    ):
        assert change(old, new, using=using) is expected, (old, new)
