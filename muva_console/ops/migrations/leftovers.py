"""What a migration that failed leaves behind: files that are half done, and invalid indexes.

A tool that runs CONCURRENTLY alone, outside of the transaction, leaves what went before it applied and
unrecorded; and the index that could not be built stays, is of no use to any query, and is kept up by every
write. ``CREATE INDEX … IF NOT EXISTS`` then finds it there and is content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.sqltext import quote_name
from muva_console.ops.migrations.facts import Step, steps_of
from muva_console.ops.migrations.model import MigrationFile
from muva_console.ops.migrations.text import in_parser
from muva_console.ops.text import sanitise_line

LOOKED_INTO = 300
"""Files of those not applied that are looked for in the schema, the first ones. Ours: a tool that goes in
order fails at the first that it tries."""
TIMEOUT = 10.0
"""Seconds for each query."""

# Who may not see others' sessions sees their progress as NULL; the lock that building holds is seen by all.
INVALID = """
SELECT n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text,
       pg_catalog.pg_relation_size(c.oid)::int8, i.indisready,
       EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid),
       EXISTS (SELECT FROM pg_catalog.pg_locks l
                WHERE l.relation = i.indrelid AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
                  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                     WHERE d.datname = pg_catalog.current_database()))
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE (NOT i.indisvalid OR NOT i.indisready) AND c.relkind = 'i'
 ORDER BY 1, 2
"""
THERE = """
SELECT CASE w.kind
  WHEN 'relation' THEN EXISTS (SELECT FROM relations r WHERE r.name = w.owner)
  WHEN 'column' THEN EXISTS (SELECT FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
                              WHERE r.name = w.owner AND a.attname = w.name AND a.attnum > 0
                                AND NOT a.attisdropped)
  WHEN 'constraint' THEN EXISTS (SELECT FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
                                  WHERE r.name = w.owner AND k.conname = w.name)
  WHEN 'policy' THEN EXISTS (SELECT FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
                              WHERE r.name = w.owner AND p.polname = w.name)
  WHEN 'trigger' THEN EXISTS (SELECT FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
                               WHERE r.name = w.owner AND t.tgname = w.name)
  WHEN 'security' THEN EXISTS (SELECT FROM relations r WHERE r.name = w.owner AND r.relrowsecurity)
  WHEN 'function' THEN EXISTS (SELECT FROM pg_catalog.pg_proc p
                                 JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                                WHERE n.nspname || '.' || p.proname = w.owner)
  WHEN 'type' THEN EXISTS (SELECT FROM pg_catalog.pg_type t
                             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                            WHERE n.nspname || '.' || t.typname = w.owner)
  WHEN 'schema' THEN EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = w.owner)
  WHEN 'extension' THEN EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = w.owner)
  END
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w(kind, owner, name, place)
 ORDER BY w.place
"""
_RELATIONS = """
WITH relations AS MATERIALIZED (
  SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relrowsecurity
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname || '.' || c.relname = ANY ($2::text[])
)
"""


class InvalidIndex(Struct, frozen=True, kw_only=True):
    """An index that no query uses."""

    index: str
    """``schema.name``."""
    table: str
    bytes: int
    ready: bool
    """Writes keep it up: it costs, and helps nobody."""
    building: bool | None = False
    """It is being built just now; None where that cannot be told: somebody holds the lock that building takes
    (VACUUM takes it too), and this user may not see who."""
    mend: str
    """The statement that removes it."""

    def __str__(self) -> str:
        size = (
            f"{self.bytes / 1024 / 1024:,.1f} MiB" if self.bytes >= 1 << 20 else f"{self.bytes // 1024} KiB"
        )
        return f"the index {self.index} is invalid ({size}, on {self.table}): building it failed half-way"


class Half(Struct, frozen=True, kw_only=True):
    """A file that is not in the history and of which something was done."""

    file: MigrationFile
    done: tuple[str, ...]
    """Statements that seem done, ``line 3: CREATE TABLE public.x``, with what tells of it."""
    undone: tuple[str, ...]
    untold: tuple[str, ...]
    """Of which the schema tells nothing: INSERT, UPDATE, DO."""
    found: tuple[str, ...]
    """What is there and should not be."""


async def invalid_indexes(link: PostgresLink) -> tuple[InvalidIndex, ...]:
    """Every invalid index of the database, those that are being built too. Raises DatabaseError."""
    found = []
    for schema, name, table_schema, table, size, ready, progress, locked in await link.fetch(
        INVALID, timeout=TIMEOUT
    ):
        found.append(
            InvalidIndex(
                index=sanitise_line(f"{schema}.{name}", cap=200),
                table=sanitise_line(f"{table_schema}.{table}", cap=200),
                bytes=size or 0,
                ready=ready,
                building=True if progress else None if locked else False,
                mend=f"DROP INDEX CONCURRENTLY {quote_name(schema)}.{quote_name(name)};",
            )
        )
    return tuple(found)


async def half_way(
    link: PostgresLink, files: Sequence[MigrationFile], texts: Mapping[str, bytes]
) -> tuple[Half, ...]:
    """Of files that are not in the history, in their order, those of which something was done all the same.
    `texts` are their contents by path; files without one are left out. Raises DatabaseError.
    """
    looked = [file for file in files if file.path in texts][:LOOKED_INTO]
    if not looked:
        return ()
    steps = await in_parser(lambda: [steps_of(texts[file.path]) for file in looked])
    things = sorted({fact.thing for of in steps for step in of for fact in step.facts})
    there = await _there(link, things)
    taken: set[tuple[str, str, str]] = set()
    found = []
    for file, of in zip(looked, steps, strict=True):
        half = _half(file, of, there, taken)
        if half is not None:
            found.append(half)
    return tuple(found)


async def _there(
    link: PostgresLink, things: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], bool]:
    if not things:
        return {}
    kinds, owners, names = zip(*things, strict=True)
    rows = await link.fetch(_RELATIONS + THERE, list(kinds), list(owners), list(names), timeout=TIMEOUT)
    return {thing: bool(one) for thing, (one,) in zip(things, rows, strict=True)}


def _half(
    file: MigrationFile,
    steps: Iterable[Step],
    there: Mapping[tuple[str, str, str], bool],
    taken: set[tuple[str, str, str]],
) -> Half | None:
    """`taken` is what files and statements before these take away: that such a thing is there proves nothing.
    That a thing is gone never does: it may not have been there.
    """
    done: list[str] = []
    undone: list[str] = []
    untold: list[str] = []
    evidence: list[str] = []
    for step in steps:
        about = ", ".join(str(fact) for fact in step.facts[:3])
        words = sanitise_line(f"line {step.line}: {step.lead} {about}".rstrip(), cap=200)
        told = [there.get(fact.thing, False) is not fact.gone for fact in step.facts]
        if not told:
            untold.append(words)
        else:
            (done if all(told) else undone).append(words)
        for fact, so in zip(step.facts, told, strict=True):
            relation = ("relation", fact.owner, "")
            if so and fact.sure and not fact.gone and fact.thing not in taken and relation not in taken:
                evidence.append(sanitise_line(f"{fact} is there", cap=200))
            if fact.gone:
                taken.add(fact.thing)
    if not evidence:
        return None
    return Half(
        file=file, done=tuple(done), undone=tuple(undone), untold=tuple(untold), found=tuple(evidence)
    )
