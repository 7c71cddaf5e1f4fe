"""`muva alerts`: service failures and error patterns, what was said of them, and saying it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
    wait_while_read,
)
from muva_console.cli.lines import glyph
from muva_console.ops.readings import Exit, Level, utc_now

if TYPE_CHECKING:
    from muva_console.ops.alerts.model import Alert
    from muva_console.ops.alerts.round import Round, Row
    from muva_console.ops.workspace import Workspace

WARNED = 4
"""Exit status where nothing fails and something warns."""


@click.group(invoke_without_command=True)
@environment_option
@click.option("--errors-only", "--check-errors-only", is_flag=True, help="What fails alone, no warnings.")
@click.option("--notify", is_flag=True, help="Write down what is new or over, and tell whom [alerts] names.")
@click.option("--watch", is_flag=True, help="Look again and again, until stopped.")
@click.option("--refresh", default=30.0, show_default=True, metavar="SECONDS", help="Seconds between looks.")
@click.option("--count", type=click.IntRange(min=1), help="With --watch: stop after so many looks.")
@json_option
@click.pass_context
def alerts(
    context: click.Context,
    environment: str | None,
    errors_only: bool,
    notify: bool,
    watch: bool,
    refresh: float,
    count: int | None,
    as_json: bool,
) -> int:
    """Service failures and error patterns of an environment, now; what was said of them.

    A check that fails is asked again until it is down by [health] failure_threshold, or is not. Exit status:
    0 nothing, 1 something fails, 3 something could not be looked at, 4 warnings alone.
    """
    if context.invoked_subcommand is not None:
        return Exit.OK
    if not 1 <= refresh <= 86400:
        raise click.UsageError("--refresh takes 1 to 86400 seconds")
    last = Level.UNKNOWN

    async def look() -> None:
        nonlocal last
        from muva_console.ops.alerts.round import Rounds

        async with context.obj.workspace() as workspace:
            of = environment_of(workspace, environment)
            await workspace.prepare()
            rounds, done = Rounds(workspace, of), 0
            while True:
                began = time.monotonic()
                told = await rounds.once(keep=notify, notify=notify, settle=not watch)
                last = told.level(errors_only=errors_only)
                _show(told, errors_only=errors_only, as_json=as_json, line=watch)
                done += 1
                if not watch or done == count:
                    return
                await asyncio.sleep(max(0.0, refresh - (time.monotonic() - began)))

    try:
        wait_while_read(look) if watch else wait(look)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    return {Level.OK: Exit.OK, Level.FAIL: Exit.BAD, Level.UNKNOWN: Exit.CANNOT_TELL}.get(last, WARNED)


def _show(told: Round, *, errors_only: bool, as_json: bool, line: bool) -> None:
    rows = [row for row in told.rows if row.level is Level.FAIL or not errors_only]
    level = told.level(errors_only=errors_only)
    if as_json:
        print_json(
            {
                "environment": told.environment,
                "at": told.at,
                "level": level,
                "alerts": [row_data(row) for row in rows],
                "changes": to_builtins(told.changes),
                "told": told.told,
                "unknown": told.unknown,
            },
            line=line,
        )
        return
    stamp = f"{told.at:%H:%M:%SZ}  " if line else ""
    count = f"{len(rows)} alerts" if len(rows) != 1 else "1 alert"
    none = "no alert" if level is Level.OK else "no alert was seen, and not all could be looked at"
    click.echo(f"{stamp}{glyph(level)} {told.environment}: {count if rows else none}")
    for row in rows:
        click.echo(f"  {glyph(row.level)} {row.title}")
        click.echo(f"      {row.key}{_said(row)}")
        for text in row.evidence[:3]:
            click.echo(f"      {text}")
    for text in told.unknown:
        click.echo(f"  ? {text}", err=True)
    for text in told.told:
        click.echo(f"  {text}", err=True)


def row_data(row: Row) -> dict[str, Any]:
    """An alert as `--json` gives it."""
    data: dict[str, Any] = to_builtins(row)
    alert = data.pop("alert")
    return {**data, "kept": alert, "wants_somebody": row.wants_somebody(utc_now())}


def _said(row: Row) -> str:
    """Since when, and what was said of an alert, for the end of a line."""
    from muva_console.ops.alerts.words import said_of

    parts = [f"since {row.since:%Y-%m-%d %H:%M} UTC"] if row.since is not None else []
    if not row.seen:
        parts.append("not seen by this look")
    if row.alert is not None:
        parts += said_of(row.alert, utc_now())
    return f"  ({'; '.join(parts)})" if parts else ""


@alerts.command(name="list")
@environment_option
@click.option("--all", "every", is_flag=True, help="Those that are over, too.")
@json_option
@click.pass_obj
def list_(invocation: Invocation, environment: str | None, every: bool, as_json: bool) -> int:
    """The alerts that the journal has, without looking. Exit status: 0 none is open, 1 one is."""

    async def tell() -> int:
        from muva_console.ops.alerts.desk import Alerts

        async with invocation.workspace() as workspace:
            name = environment_of(workspace, environment).name if environment else None
            known = (await Alerts(workspace.journal).all(name)).values()
        shown = [one for one in known if every or one.open or one.silenced(utc_now())]
        if as_json:
            print_json({"alerts": to_builtins(shown)})
        else:
            for one in shown:
                click.echo(kept_line(one))
            if not shown:
                click.echo("no alert is open", err=True)
        return Exit.BAD if any(one.open for one in shown) else Exit.OK

    return wait(tell)


def kept_line(one: Alert) -> str:
    """An alert as the journal has it, in a line."""
    from muva_console.ops.alerts.words import said_of

    state = "open" if one.open else "over" if one.raised_at is not None else "not raised"
    when = f" {one.raised_at:%Y-%m-%d %H:%M}" if one.raised_at is not None else ""
    more = "".join(f"  {text}" for text in said_of(one, utc_now()))
    return f"{glyph(one.level)} {one.environment:<10} {state}{when}  {one.key}  {one.title}{more}"


@alerts.command()
@click.argument("key")
@environment_option
@click.option("--note", default="", help="What is being done.")
@click.pass_obj
def ack(invocation: Invocation, key: str, environment: str | None, note: str) -> int:
    """Say that an alert is seen to: it calls for nobody any more. Exit status: 0 said, 1 refused."""

    async def say(workspace: Workspace) -> Alert:
        from muva_console.ops.alerts.desk import Alerts

        desk = Alerts(workspace.journal)
        return await desk.ack(await desk.find(environment_of(workspace, environment).name, key), note)

    return _say(invocation, say)


@alerts.command()
@click.argument("key")
@environment_option
@click.option("--for", "lasting", default="2h", show_default=True, metavar="2h", help="How long.")
@click.option("--reason", required=True, help="Why. It is written down.")
@click.pass_obj
def silence(invocation: Invocation, key: str, environment: str | None, lasting: str, reason: str) -> int:
    """Tell nobody of an alert for a while; it is shown all the same. Exit status: 0 said, 1 refused."""
    from muva_console.config.units import parse_duration

    try:
        until = utc_now() + timedelta(seconds=parse_duration(lasting))
    except (ValueError, OverflowError):
        raise click.UsageError('--for takes a duration such as "2h"') from None

    async def say(workspace: Workspace) -> Alert:
        from muva_console.ops.alerts.desk import Alerts, named

        desk, name = Alerts(workspace.journal), environment_of(workspace, environment).name
        known = {one.key: one for one in (await desk.all(name)).values()}
        if key not in known and key.startswith(("service/", "pattern/")):
            return await desk.silence(named(name, key), reason, until)
        return await desk.silence(await desk.find(name, key), reason, until)

    return _say(invocation, say)


@alerts.command()
@click.argument("key")
@environment_option
@click.pass_obj
def unsilence(invocation: Invocation, key: str, environment: str | None) -> int:
    """Tell of an alert again. Exit status: 0 said, 1 refused."""

    async def say(workspace: Workspace) -> Alert:
        from muva_console.ops.alerts.desk import Alerts

        desk = Alerts(workspace.journal)
        return await desk.unsilence(await desk.find(environment_of(workspace, environment).name, key))

    return _say(invocation, say)


def _say(invocation: Invocation, say: Any) -> int:
    async def done() -> int:
        from muva_console.ops.errors import Refused

        async with invocation.workspace() as workspace:
            if workspace.read_only:
                raise Refused("read-only: nothing is said of an alert")
            click.echo(kept_line(await say(workspace)))
        return Exit.OK

    return wait(done)
