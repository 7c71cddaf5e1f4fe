"""The schema's gate: what old code does not notice, and what it stumbles over."""

from __future__ import annotations

import pytest

from muva_console.ops.migrations.reading import read
from muva_console.ops.rollback.schema import _against


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE public.notes (id bigint PRIMARY KEY, at timestamptz NOT NULL)",
        "ALTER TABLE guests ADD COLUMN nickname text",
        "ALTER TABLE guests ADD COLUMN stars int NOT NULL DEFAULT 0",
        "CREATE INDEX CONCURRENTLY guests_email ON guests (email)",
        "CREATE VIEW v AS SELECT 1 AS one",
        "ALTER TABLE guests ALTER COLUMN email DROP NOT NULL",
        "COMMENT ON TABLE guests IS 'x'",
        "CREATE TABLE n (a int); ALTER TABLE n ALTER COLUMN a SET NOT NULL; DROP TABLE n",
    ],
)
def test_what_only_adds_lets_code_go_back_alone(sql: str) -> None:
    assert _against(read(sql.encode())) == []


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DROP TABLE guests", "drop table on public.guests"),
        ("ALTER TABLE guests DROP COLUMN email", "drop column"),
        ("ALTER TABLE guests RENAME COLUMN email TO mail", "rename"),
        ("ALTER TABLE guests RENAME TO visitors", "rename"),
        ("ALTER TABLE guests ALTER COLUMN email TYPE int USING 1", "set type"),
        ("ALTER TABLE guests ALTER COLUMN email SET NOT NULL", "set not null"),
        ("ALTER TABLE guests ADD COLUMN tax text NOT NULL", "must be given"),
        ("ALTER TABLE guests ADD CONSTRAINT c CHECK (id > 5)", "constraint"),
        ("ALTER TABLE guests ENABLE ROW LEVEL SECURITY", "enable row level security"),
        ("DELETE FROM guests", "delete"),
        ("UPDATE guests SET email = lower(email)", "update"),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE guests'; END $$", ""),
        ("this is no SQL", "cannot be read"),
    ],
)
def test_what_takes_away_or_is_stricter_stands_in_the_way(sql: str, why: str) -> None:
    found = _against(read(sql.encode()))
    assert found and why in found[0], found
