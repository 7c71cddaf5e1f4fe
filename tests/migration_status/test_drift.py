"""What counts as the same, and how a difference is shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.migrations import text
from muva_console.ops.migrations.cache import ContentCache
from muva_console.ops.migrations.drift import diff, layout, plain_of, same_of, stands_in
from muva_console.ops.migrations.text import Memory, shape_of, shapes_of

STATEMENTS = (
    "create table t (a int, b text)",
    "-- why\ninsert into t values (1, 'a;b -- c'), (2, $x$ ; $x$)",
    "comment on table t is '/* no comment */'",
    "create function f() returns int language sql as $$\n  select 1; -- one\n  select 2;\n$$",
    'select "A", b from t',
)
BETWEEN = (";", ";\n", " ;\n\n-- a comment; with 'a quote\n", ";/* over\nlines */", ";\r\n\t")


@given(st.lists(st.tuples(st.sampled_from(STATEMENTS), st.sampled_from(BETWEEN)), min_size=1, max_size=6))
def test_a_record_stands_in_the_file_it_came_from(parts: list[tuple[str, str]]) -> None:
    record = [statement for statement, _ in parts]
    file = "/* head */\n" + "".join(statement + between for statement, between in parts)
    assert stands_in(record, file.encode())
    assert shape_of(file.encode()) == shape_of(";\n".join(record).encode()), "the parser says so too"
    for place in range(len(record)):
        fewer = record[:place] + record[place + 1 :]
        assert not stands_in(fewer, file.encode())


PIECES = (
    "select", "A", "b_", "E", "e'a\\'b'", "'", "''", "'x Y'", '"', '"Q r"', "$$", "$t$", "$1", "t$", "--",
    "-", "\n", " ", "/*", "*/", "/", "*", "(", ")", ",", ";", "<", "=", "1", "1.5", "é", "::", "<=", "1e",
)  # fmt: skip


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", "\n", "/* c */"]))),
    st.lists(st.sampled_from(["", " ", "  ", "-- c\n", ";", "/**/"]), min_size=1),
    st.booleans(),
)
def test_what_is_alike_without_the_parser_is_alike_with_it(
    parts: list[tuple[str, str]], others: list[str], upper: bool
) -> None:
    one = "".join(piece + blank for piece, blank in parts)
    two = "".join(
        (piece.upper() if upper else piece) + others[place % len(others)]
        for place, (piece, _) in enumerate(parts)
    )
    a, b = plain_of(one.encode()), plain_of(two.encode())
    shapes = shape_of(one.encode()), shape_of(two.encode())
    if a is not None and a == b and all(shapes):
        assert shapes[0] == shapes[1]


def test_most_rewritten_records_need_no_parser() -> None:
    file = (
        b"-- who\ncreate table t (\n  a int, -- 'a'\n  b text default 'x; y'\n);\n/* z */ select $$ A -- $$;"
    )
    record = "CREATE TABLE t( a  int,b text DEFAULT 'x; y' );select $$ A -- $$"
    assert plain_of(b"select a<=1 , b :: text||'x'") == plain_of(b"select a <= 1, b::text || 'x'")
    assert plain_of(b"select a <-1") != plain_of(b"select a < -1")
    assert plain_of(file) == plain_of(record.encode()) is not None
    assert plain_of(file) != plain_of(record.replace("x; y", "x;  y").encode())


@pytest.mark.parametrize(
    ("record", "file"),
    [
        (["select 1"], "/* select 1; */"),
        (["select 1"], "/* /* */ select 1; /* */ */"),
        (["select 1"], "-- select 1\n"),
        (["select 1"], "select 12"),
        (["select 1"], "select 1; select 2"),
        (["select 1", "select 2"], "select 1"),
        (["select 'a'"], "select 'A'"),
        (["select 'a'"], "select 'a' 'b'"),
    ],
)
def test_what_is_not_the_same_is_not_taken_for_it(record: list[str], file: str) -> None:
    assert not stands_in(record, file.encode())
    assert asyncio.run(same_of([(file.encode(), record)])) == [False]


async def test_only_what_was_changed_shows() -> None:
    record = [
        "create table public.bookings (id uuid primary key default gen_random_uuid(), note text,"
        " price numeric(10,2) not null)",
        "create function f() returns int language sql as $$\n  select 1;\n  select 2;\n$$",
        "drop table old",
    ]
    file = """-- Bookings.
    CREATE TABLE public.bookings(
        id   UUID primary key DEFAULT gen_random_uuid ( ), -- the id
        note varchar(20),
        price numeric( 10 , 2 ) not null
    );
    create function f() returns int language sql as $$
  select 1;
  select 3;
$$;
create index bookings_note_idx on public.bookings (note);
"""
    found = await diff(record, file.encode(), recorded="production", file="main")
    assert found.lines[:2] == ("--- production", "+++ main")
    assert [line for line in found.lines[2:] if line[0] in "+-"] == [
        "-  note text,",
        "+  note varchar(20),",
        "-  select 2;",
        "+  select 3;",
        "-drop table old;",
        "+create index bookings_note_idx on public.bookings(note);",
    ]
    assert (found.changed, found.added) == (3, 3)


async def test_what_begins_with_no_keyword_is_not_passed_over() -> None:
    found = await diff(["select 1"] * 5 + ["x y"], b"select 1;\n" * 5)
    assert not found.same and found.lines[-1].startswith("-") and "x y" in found.lines[-1]


async def test_a_diff_is_bounded_harmless_and_without_secrets() -> None:
    rows = ",\n".join(f"({n}, 'x')" for n in range(3000))
    record = [f"insert into t values {rows}", "select '\x1b]52;c;x\x07'"]
    other = f"insert into t values {rows.replace('x', 'y')}; alter role a password 'postgres://u:hunter2@h/d'"
    found = await diff(record, other.encode())
    assert len(found.lines) == 400 and found.cut > 1000
    assert "\x1b" not in "".join(found.lines)
    told = await diff(["select 1"], b"select 'postgres://u:hunter2@h/d'")
    assert "hunter2" not in "".join(told.lines) and not told.same


@given(
    st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape"))
)
def test_nothing_breaks_it(told: str) -> None:
    data = told.encode("utf-8", "surrogateescape")
    layout(data)
    found = asyncio.run(diff([told], data + b" select 1"))
    assert isinstance(found.same, bool)


async def test_shapes_outlive_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [b"select 1", b"select 2 -- two", b"'", b"select\n1"]
    path = tmp_path / "cache" / "migrations.shapes"
    cache = ContentCache(path)
    first = await shapes_of(texts, cache=cache)
    cache.save()
    assert first[0] == first[3] != first[1] and first[2] == ""

    def forget() -> ContentCache:
        monkeypatch.setattr(text, "_shapes", Memory())
        return ContentCache(path)

    def never(_: bytes) -> str:
        raise AssertionError("scanned again")

    with monkeypatch.context() as patch:
        fresh = forget()
        patch.setattr(text, "shape_of", never)
        assert await shapes_of(texts, cache=fresh) == first

    whole = path.read_bytes()
    broken = (
        whole[:-1],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        b"",
        whole.replace(b"postgast", b"postgost", 1),
    )
    for data in broken:  # cut, changed, empty, of another parser: as if it were not there
        path.write_bytes(data)
        fresh = forget()
        assert await shapes_of(texts, cache=fresh) == first
        fresh.save()
        assert path.read_bytes()[:60] == whole[:60], "made again"
    # two consoles: neither loses what the other found
    a, b = ContentCache(path), ContentCache(path)
    a.put(b"a" * 32, b"1")
    b.put(b"b" * 32, b"2")
    a.save()
    b.save()
    last = ContentCache(path)
    last.load()
    assert last.get(b"a" * 32) is not None and last.get(b"b" * 32) is not None
    assert not [one for one in path.parent.iterdir() if one != path], "nothing is left beside it"
    # a folder that cannot be written to costs time, not truth
    closed = ContentCache(Path("/proc/nothing/here"))
    assert await shapes_of(texts, cache=closed) == first
    closed.put(b"c" * 32, b"3")
    closed.save()
