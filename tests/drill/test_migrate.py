"""Splitting a migration into its statements as the Supabase CLI records them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muva_console.drill.migrate import split


def test_semicolons_that_end_nothing() -> None:
    text = """
-- one; of two
create table a (b text default 'x;''y;');
create function f() returns trigger language plpgsql as $body$
begin
  perform 1; /* ; */
  return new;
end;
$body$;
comment on column a."b;c" is 'z';
-- nothing more;
"""
    statements = split(text)
    assert len(statements) == 3
    assert statements[0].startswith("-- one; of two\ncreate table a")
    assert statements[0].endswith("'x;''y;')")
    assert statements[1].endswith("$body$")
    assert statements[2] == "comment on column a.\"b;c\" is 'z'"


_PIECES = st.sampled_from(
    ["select 1", "select ';'", "select $$;$$", 'select "a;"', "select /* ; */ 2", "-- ;\nselect 3"]
)


@given(st.lists(_PIECES, max_size=8))
def test_what_was_joined_comes_apart_again(pieces: list[str]) -> None:
    assert split(";\n".join(pieces) + (";" if pieces else "")) == pieces
