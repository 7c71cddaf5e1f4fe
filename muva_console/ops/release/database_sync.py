"""The check "database-sync": staging's database is like production's, in schema and in size."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import count
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.migrations.catalog import (
    Difference,
    Part,
    Size,
    differences,
    read_schema,
    read_sizes,
    tables_of,
)
from muva_console.ops.migrations.text import examine_all
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release.schema_ground import Told, ground_of, history_of, no_database, source_of

GOOD_FOR = 600.0
FEW = 10
"""Rows below which two tables are alike whatever their ratio. Ours: 2 against 5 says nothing."""
SHOWN = "SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY 1"
"""What a person would ask of both."""


class _Pair(Struct, frozen=True):
    table: str
    here: Size
    """In the environment that the code comes from."""
    there: Size

    @property
    def ratio(self) -> float | None:
        """Rows here for each row there; None where nothing can be said."""
        if self.here.rows is None or self.there.rows is None or not self.there.rows:
            return None
        return self.here.rows / self.there.rows


@check("database-sync", title="Database sync", good_for=GOOD_FOR)
async def database_sync(ctx: CheckContext) -> Finding:
    """The database of the environment that the code comes from has the target's schema, and for each row of
    a table between [environments.X.thresholds] rows_least and rows_most rows.
    """
    source = source_of(ctx)
    if source.environment_name == ctx.environment_name:
        raise OpsError(f"{ctx.environment_name} would be compared with itself")
    links: list[PostgresLink] = []
    for of in (source, ctx):
        if of.postgres is None:
            raise no_database(of)
        links.append(of.postgres)
    here, there = source.environment_name, ctx.environment_name
    (ours, our_sizes), (theirs, their_sizes) = await asyncio.gather(*(_read(link) for link in links))
    told = Told()
    expected = await _tell_schema(ctx, told, differences(ours, theirs), here, there)
    both = sorted(tables_of(ours) & tables_of(theirs))
    if not both and not told.lines[Level.FAIL]:
        raise OpsError(f"neither {here} nor {there} has a table of its own")
    unknown = Size(None, why="its size is not known")
    pairs = [_Pair(name, our_sizes.get(name, unknown), their_sizes.get(name, unknown)) for name in both]
    ratios = _tell_sizes(ctx, told, pairs, here, there)
    if told.level is Level.OK:
        spread = f", rows {_span(ratios)} of {there}'s" if ratios else ", all empty"
        but = f"; {count(expected, 'difference')} that pending migrations explain" if expected else ""
        summary = f"{count(len(both), 'table')} alike{spread}{but}"
    else:
        summary = told.headline(told.level)
    return tell(
        told.level,
        summary,
        subject=f"{here} against {there}",
        evidence=told.evidence,
        command=links[0].psql(SHOWN),
        next=_next(told, here, there),
    )


async def _read(link: PostgresLink) -> tuple[dict[Part, str], dict[str, Size]]:
    return await read_schema(link), await read_sizes(link)


def _next(told: Told, here: str, there: str) -> str:
    if told.level is Level.UNKNOWN:
        return "ANALYZE gives tables statistics."
    if told.level is Level.FAIL:
        return f"Apply to {here} what {there} has, and refresh its data, before a test there says anything."
    return ""


async def _tell_schema(
    ctx: CheckContext, told: Told, found: tuple[Difference, ...], here: str, there: str
) -> int:
    """Tells how many of the differences are explained by a migration that only one of the two has run."""
    if not found:
        return 0
    expected = 0
    explained = await _explained(ctx, source_of(ctx))
    for one in found:
        if one.there is None:
            line = f"only on {here}: {one.what}"
        elif one.here is None:
            line = f"only on {there}: {one.what}"
        elif one.kind in ("function", "view"):
            line = f"{one.what} is defined otherwise on {here} than on {there}"
        else:
            line = f"{one.what}: {one.here} on {here}, {one.there} on {there}"
        by = explained.get(f"{one.owner}()" if one.kind == "function" else one.owner)
        expected += bool(by)
        told.add(Level.OK if by else Level.FAIL, f"{line}; expected: {by}" if by else line)
    return expected


async def _explained(ctx: CheckContext, source: CheckContext) -> dict[str, str]:
    """What migrations that one of the two has applied and the other has not are about, and which."""
    ours, theirs = await history_of(ctx, source), await history_of(ctx, ctx)
    versions = sorted(set(ours.applied) ^ set(theirs.applied))
    ground = await ground_of(ctx)
    titles, texts = [], []
    for version in versions:
        applied = ours.applied.get(version) or theirs.applied[version]
        files = ground.head.by_version.get(version, ()) or ground.base.by_version.get(version, ())
        text = applied.text.encode("utf-8", "replace") if applied.text is not None else b""
        if not text and files:
            text = ground.head_texts.get(files[0].path, b"") or ground.base_texts.get(files[0].path, b"")
        where = source.environment_name if version in ours.applied else ctx.environment_name
        titles.append(f"{version} is applied on {where} alone")
        texts.append(text)
    found: dict[str, str] = {}
    for title, examined in zip(titles, await examine_all(texts), strict=True):
        for statement in examined.statements:
            for name in (*statement.touches, *statement.makes):
                found.setdefault(name, title)
    return found


def _tell_sizes(ctx: CheckContext, told: Told, pairs: list[_Pair], here: str, there: str) -> list[float]:
    limits = ctx.environment.thresholds
    ratios = []
    for pair in pairs:
        ours, theirs = pair.here, pair.there
        for size, name in ((ours, here), (theirs, there)):
            if size.rows is None:
                told.add(Level.UNKNOWN, f"{pair.table} on {name}: {size.why}")
        if ours.rows is None or theirs.rows is None:
            continue
        line = f"{pair.table}: {_rows(ours)} on {here}, {_rows(theirs)} on {there}"
        if not ours.rows and theirs.rows:
            told.add(Level.FAIL, f"{pair.table} is empty on {here} and has {_rows(theirs)} on {there}")
            continue
        ratio = pair.ratio
        if ratio is None:
            told.add(Level.OK, line)
            continue
        ratios.append(ratio)
        few = max(ours.rows, theirs.rows) < FEW
        if ours.capped and theirs.capped:
            told.add(Level.OK, f"{line}: not compared further")
        elif few or limits.rows_least <= ratio <= limits.rows_most:
            told.add(Level.OK, f"{line}: {ratio:.2g}×")
        else:
            bounds = f"{limits.rows_least:g} to {limits.rows_most:g}"
            told.add(Level.FAIL, f"{line}: {ratio:.2g}×; {bounds} is expected")
    return ratios


def _rows(size: Size) -> str:
    rows = int(size.rows or 0)
    lead = "at least " if size.capped else "" if size.counted else "about "
    return f"{lead}{count(rows, 'row')}"


def _span(ratios: list[float]) -> str:
    least, most = f"{min(ratios):.2g}", f"{max(ratios):.2g}"
    return f"{least}×" if least == most else f"{least} to {most}×"
