"""The check "critical-tables": the tables without which the application is of no use can be read."""

from __future__ import annotations

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import LinkError, OpsError
from muva_console.ops.health.database import has_database
from muva_console.ops.health.words import count
from muva_console.ops.links.sqltext import quote_table
from muva_console.ops.readings import Finding, Level


@check("critical-tables", title="Critical table access", applies=has_database)
async def critical_tables(ctx: CheckContext) -> Finding:
    """Every table named in [environments.X.database] critical_tables can be read by us, a row of each."""
    configured = ctx.environment.database
    name = ctx.environment_name
    if configured is None or ctx.postgres is None:
        raise OpsError(
            f"no database is configured for {name}",
            next=f"Give [environments.{name}.database] a url or a host.",
        )
    if not configured.critical_tables:
        raise OpsError(
            "no critical tables are named",
            next=f"Name them in [environments.{name}.database] critical_tables.",
        )
    try:
        reading = await ctx.database()
    except LinkError as error:
        raise OpsError(
            f"waits on the database: {error.what}", means=f"{error.where}: {error.fault}", next=error.next
        ) from error
    lines = []
    for table in reading.tables:
        rows = "" if table.estimated_rows is None else f", about {count(table.estimated_rows, 'row')}"
        lines.append(
            f"{table.name}: " + (f"readable{rows}" if table.readable else f"NOT READABLE: {table.error}")
        )
    bad = [table for table in reading.tables if not table.readable]
    first = (bad or list(reading.tables))[0].name
    if bad:
        named = "; ".join(f"{table.name}: {table.error}" for table in bad[:3])
        summary = f"{len(bad)} of {len(reading.tables)} tables cannot be read: {named}"
    else:
        summary = (
            f"all {count(len(reading.tables), 'table')} readable"
            if len(reading.tables) > 1
            else (f"{first} is readable")
        )
    return tell(
        Level.FAIL if bad else Level.OK,
        summary,
        subject=ctx.postgres.where,
        evidence=lines,
        command=ctx.postgres.psql(f"SELECT 1 FROM {quote_table(first)} LIMIT 1"),  # noqa: S608 - only shown
        at=reading.at,
    )
