"""What is wrong with a migration's text, where; what its statements do; which texts say the same."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.migrations.model import Effect, Examined
from muva_console.ops.migrations.statements import settled
from muva_console.ops.migrations.text import examine, examine_all, in_parser, shape_of


async def one(text: bytes | str) -> Examined:
    return (await examine_all([text.encode() if isinstance(text, str) else text]))[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("select 1;\n  selekt 'é' 2;", 'line 2, column 3: syntax error at or near "selekt"'),
        ("select 'é';\n\\i other.sql", "line 2, column 1: \\i is a command of psql's"),
        ("copy t from stdin;", "line 1: COPY FROM STDIN"),
        ("", "is empty"),
        ("-- nothing\n/* yet */", "holds no statement"),
        ("\ufeffselect 1", "line 1, column 1: begins with a byte order mark"),
        ("select 1;\nselect 2;\r\n", "line 2: lines end in CRLF"),
        (b"select\n a\0b", "line 2, column 3: holds a NUL byte"),
        (b"select '\xff'", "line 1, column 9: is no UTF-8: byte 0xff"),
        (b"\xff\xfes\0e\0", "is UTF-16"),
        ("select 'open", "unterminated quoted string"),
        (b"select 1;" + b" " * 1024 * 1024, "too many to be parsed"),
        (b"select " + b"(" * 20_000, "memory exhausted"),
    ],
    ids=range(13),
)
async def test_a_problem_is_named_with_its_place(text: bytes | str, problem: str) -> None:
    assert problem in "\n".join(map(str, (await one(text)).problems))


async def test_statements_are_told_apart_and_classified() -> None:
    found = await one(
        "-- who\ncreate table a (id int);\n"
        "create function f() returns int begin atomic select 1; select 2; end;\n"
        "drop table b, s.c; alter table d drop column x, add column y int;\n"
        "alter table a alter column id type bigint;\n"
        "delete from e; delete from e where id = 1; update e set x = 1;\n"
        "do $$ begin; drop table z; end $$; select f(1); truncate g;\n"
        "create index concurrently i on t (x); alter table t add column n int not null;\n"
        "alter table t add column m int not null default 1; insert into t values ('a;b');\n"
        "alter type k add value 'v'; alter type k rename value 'v' to 'w'; drop view v; vacuum t"
    )
    assert not found.problems
    effects = [(one.effect, one.line, one.about) for one in settled(found.statements)]
    a, c, d, o = Effect.ADDITIVE, Effect.CHANGING, Effect.DESTRUCTIVE, Effect.OPAQUE
    assert effects == [
        (a, 2, "CREATE TABLE public.a"),
        (a, 3, "CREATE FUNCTION public.f()"),
        (d, 4, "DROP TABLE public.b, s.c"),
        (d, 4, "ALTER TABLE … DROP COLUMN x on public.d"),
        (a, 5, "ALTER TABLE … TYPE of id on public.a"),  # made just before
        (d, 6, "DELETE without WHERE public.e"),
        (c, 6, "DELETE public.e"),
        (d, 6, "UPDATE without WHERE public.e"),
        (o, 7, "DO"),
        (o, 7, "SELECT"),
        (d, 7, "TRUNCATE public.g"),
        (a, 8, "CREATE INDEX public.t"),
        (c, 8, "ALTER TABLE … ADD COLUMN NOT NULL without default on public.t"),
        (a, 9, "ALTER TABLE public.t"),
        (a, 9, "INSERT public.t"),
        (a, 10, "ALTER TYPE public.k"),
        (c, 10, "ALTER TYPE public.k"),
        (c, 10, "DROP VIEW public.v"),
        (a, 10, "VACUUM"),
    ]
    assert [one.kind for one in found.statements if one.alone] == ["CREATE INDEX", "VACUUM"]


async def test_deep_text_neither_ends_the_process_nor_hides_its_neighbours() -> None:
    deep = "select 1" + "+1" * 40_000
    found = await one(f"{deep};\ndrop table x;")
    assert [(one.effect, one.about) for one in found.statements] == [
        (Effect.OPAQUE, "SELECT"),
        (Effect.DESTRUCTIVE, "DROP TABLE public.x"),
    ]


def test_only_comments_space_case_and_semicolons_make_no_difference() -> None:
    shape = shape_of(
        b"create table T (a text default 'X'); -- t\ncreate function f() returns int as $$ a $$;"
    )
    alike = b"CREATE /* a */ TABLE t(a TEXT\n default 'X')\n;;create function f() returns int as $$ a $$"
    assert shape and shape_of(alike) == shape
    for other in (b"'x'", b"'X '"):
        assert shape_of(alike.replace(b"'X'", other)) != shape
    assert shape_of(alike.replace(b"$$ a $$", b"$$ b $$")) != shape
    assert shape_of(alike.replace(b"TABLE t(", b'TABLE "T"(')) != shape


async def test_what_was_examined_is_not_examined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import postgast

    text = b"select 'asked once'"
    first = await examine_all([text])
    monkeypatch.setattr(postgast, "fingerprint", None)
    assert await examine_all([text]) == first
    with pytest.raises(TypeError):  # an error comes back from the parser's thread
        await examine_all([b"select 'asked anew'"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"'", b"$$", b"\\", b"\n", b"\0", b"(", b";", b"select", b"--", b"\xc3", b" 1"])
    )
)
def test_any_text_is_examined_without_an_error(parts: list[bytes]) -> None:
    found = asyncio.run(in_parser(lambda: examine(b"".join(parts))))
    for problem in found.problems:
        assert "\n" not in str(problem)
