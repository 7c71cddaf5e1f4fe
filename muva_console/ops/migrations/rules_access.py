"""Rules of rights: row level security, policies, grants, functions that run with their owner's rights."""

from __future__ import annotations

from collections.abc import Iterator

from muva_console.ops.migrations.deeds import Deed, Do
from muva_console.ops.migrations.known import BEFORE, Known
from muva_console.ops.migrations.rules import Found, Rule, Scene, columns_sql, sql
from muva_console.ops.migrations.weigh import Weight

EVERYBODY = frozenset(["public", "anon"])
"""PUBLIC is every role; `anon` is Supabase's for whoever is not signed in (its key is in every browser)."""
_CHANGES = frozenset(["ALL", "INSERT", "UPDATE", "DELETE", "TRUNCATE"])


def _rls_off(deed: Deed, scene: Scene) -> Iterator[Found]:
    if not scene.is_new(deed.on):
        yield Found(
            "rls-off",
            f"from now on every role with rights on {sql(deed.on)} sees and changes every row",
            Weight.CERTAIN,
            (deed.on,),
            f"CREATE POLICY … ON {sql(deed.on)} FOR SELECT TO … USING (…);  -- what is to be let through",
            deed.at,
        )


def _policy(deed: Deed, scene: Scene) -> Iterator[Found]:
    everybody = sorted(EVERYBODY & set(deed.columns))
    if "open" in deed.marks and everybody:
        yield Found(
            "open-policy",
            f"the policy {columns_sql((deed.name,))} lets {' and '.join(everybody)} write every row of "
            f"{sql(deed.on)}",
            Weight.CARE,
            (deed.on,),
            "TO authenticated (or the role that is meant), WITH CHECK (what its rows have in common)",
            deed.at,
        )


def _grant(deed: Deed, scene: Scene) -> Iterator[Found]:
    everybody = sorted(EVERYBODY & set(deed.columns))
    kind = deed.type.removeprefix("ALL ")
    if not everybody or kind not in ("TABLE", "FUNCTION", "PROCEDURE", "ROUTINE"):
        return
    changes = sorted(_CHANGES & set(deed.marks))
    whole = deed.type.startswith("ALL ")
    of = f"all of {deed.on or 'a schema'}" if whole else sql(deed.on)
    if kind == "TABLE":
        guarded = not whole and (
            scene.known.table(deed.on).rls
            or any(one.do is Do.RLS_ON and one.on == deed.on for one in scene.later())
        )
        if guarded:
            return  # policies decide about rows
        weight = Weight.CERTAIN if changes else Weight.CARE
    elif whole or any(
        one.do is Do.FUNCTION and one.on == deed.on and "definer" in one.marks
        for one in (*scene.earlier(), *scene.later())
    ):
        weight = Weight.CARE
    else:
        return
    rights = ", ".join(deed.marks)
    yield Found(
        "grant-to-everyone",
        f"{rights} on {of} for {' and '.join(everybody)}: whoever reaches the database may",
        weight,
        (deed.on,) if kind == "TABLE" and not whole else (),
        f"GRANT … ON {of if not whole else 'each table'} TO the role that needs it; row level security with "
        "policies where anon is meant",
        deed.at,
    )


def _function(deed: Deed, scene: Scene) -> Iterator[Found]:
    if "definer" not in deed.marks or "search path" in deed.marks:
        return
    if any(
        one.do is Do.FUNCTION and one.on == deed.on and "search path" in one.marks for one in scene.later()
    ):
        return
    yield Found(
        "definer-search-path",
        f"{sql(deed.on)} runs with its owner's rights and with the search_path of whoever calls it",
        Weight.CARE,
        (),
        f"CREATE FUNCTION {sql(deed.on)} … SECURITY DEFINER SET search_path = ''  -- and names with their "
        "schema",
        deed.at,
    )


def _password(deed: Deed, scene: Scene) -> Iterator[Found]:
    yield Found(
        "plain-password",
        f"the password of {deed.name} stands in this file, and stays in the repository and in the history",
        Weight.CERTAIN,
        (),
        "CREATE ROLE … LOGIN;  -- and its password by hand (psql's \\password), or from the platform's vault",
        deed.at,
    )


RULES_OF: dict[Do, Rule] = {
    Do.RLS_OFF: _rls_off,
    Do.POLICY: _policy,
    Do.GRANT: _grant,
    Do.FUNCTION: _function,
    Do.PASSWORD: _password,
}


def at_the_end(deed: Deed, known: Known) -> Iterator[Found]:
    """What only the state after all files tells, of a deed: a table or a foreign key that lacks something."""
    if deed.do is Do.CREATE_TABLE:
        yield from _unguarded(deed, known)
    elif deed.do is Do.RLS_ON and deed.on in known.tables and not known.table(deed.on).policies:
        yield Found(
            "rls-without-policy",
            f"{sql(deed.on)} has no policy in these files: roles other than its owner see and change nothing",
            Weight.CARE,
            (deed.on,),
            f"CREATE POLICY … ON {sql(deed.on)} FOR SELECT TO … USING (…);",
            deed.at,
        )
    elif deed.do is Do.CONSTRAINT and deed.type == "FOREIGN KEY":
        yield from _unindexed(deed, known)


def _unguarded(deed: Deed, known: Known) -> Iterator[Found]:
    if not known.mostly_guarded() or not deed.on.startswith("public."):
        return
    if not {"temporary", "partition", "materialized view"}.isdisjoint(deed.marks):
        return
    if known.born.get(deed.on, BEFORE) == BEFORE or known.table(deed.on).rls:
        return
    yield Found(
        "table-without-rls",
        f"{sql(deed.on)} is in public without row level security, which others have: with default rights "
        "whoever has the public key reads and writes it",
        Weight.CARE,
        (deed.on,),
        f"ALTER TABLE {sql(deed.on)} ENABLE ROW LEVEL SECURITY;  -- and a policy for whom it is meant",
        deed.at,
    )


def _unindexed(deed: Deed, known: Known) -> Iterator[Found]:
    of = known.tables.get(deed.on)
    if of is None or of.temporary or not deed.columns or known.has_index(deed.on, deed.columns):
        return
    fresh = [one in of.columns and of.columns[one].file != BEFORE for one in deed.columns]
    if deed.on in known.born:
        if not all(one in of.columns for one in deed.columns):
            return  # a column that is gone by the end, or has another name
    elif not any(fresh):
        return  # the table's indexes are not in these files
    table, columns = sql(deed.on), columns_sql(deed.columns)
    here = known.born.get(deed.on, BEFORE) != BEFORE
    yield Found(
        "foreign-key-index",
        f"no index begins with {columns} of {table}: deleting a row of {sql(deed.to)} reads all of {table}",
        Weight.CARE,
        (deed.on,),
        f"CREATE INDEX ON {table} ({columns});"
        + ("  -- in the file that makes the table" if here else "\n-- CONCURRENTLY, alone in its file"),
        deed.at,
    )
