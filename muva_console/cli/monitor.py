"""`muva monitor`: the dashboard without the console, for a wall, a pipe, or Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait_while_read,
)
from muva_console.cli.lines import finding_lines, verdict_line
from muva_console.cli.observe import report_data, tell_nothing
from muva_console.ops.readings import Level, Verdict, exit_status

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.health.memory import Memory
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.workspace import Workspace

SHORTEST_REFRESH = 1.0
"""Seconds between two rounds at least."""


@click.command()
@environment_option
@json_option
@click.option("--refresh", default=30.0, show_default=True, metavar="SECONDS", help="Seconds between rounds.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many rounds.")
@click.option(
    "--serve",
    metavar="ADDRESS",
    help="Serve the figures for Prometheus at /metrics: HOST:PORT, or a port of this machine alone.",
)
@click.pass_obj
def monitor(
    invocation: Invocation,
    environment: str | None,
    as_json: bool,
    refresh: float,
    count: int | None,
    serve: str | None,
) -> int:
    """The health checks again and again, until stopped; what they measure is kept (muva health --since).

    With --json a line each time, with what stands of each check (down after so many failures in a row) and
    the share of good answers within the window; else what has changed. With --serve, without --env, of every
    environment that can be asked. Exit status: that of the last round.
    """
    if not SHORTEST_REFRESH <= refresh <= 86400:
        raise click.UsageError(f"--refresh takes {SHORTEST_REFRESH:g} to 86400 seconds")
    last = Verdict.CANNOT_TELL

    async def rounds() -> None:
        nonlocal last
        async with invocation.workspace() as workspace, AsyncExitStack() as stack:
            watched = [_Watched(of, workspace) for of in _asked(workspace, environment, serve)]
            if serve is not None:
                await stack.enter_async_context(_page(serve, workspace, watched))
            done = 0
            while True:
                began = time.monotonic()
                reports = await asyncio.gather(*(one.look() for one in watched))
                last = _worst([report.verdict for report in reports])
                for one in watched:
                    one.tell(as_json=as_json, first=not done)
                done += 1
                if done == count:
                    return
                await asyncio.sleep(max(0.0, refresh - (time.monotonic() - began)))

    try:
        wait_while_read(rounds)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    return exit_status(last)


def _asked(workspace: Workspace, environment: str | None, serve: str | None) -> list[EnvironmentOps]:
    """The environments that are watched."""
    if environment is None and serve is not None:
        every = workspace.environments.values()
        asked = [of for of in every if of.config.url or of.hosts or of.config.database]
        if asked:
            return asked
    return [environment_of(workspace, environment)]


def _worst(verdicts: list[Verdict]) -> Verdict:
    for verdict in (Verdict.NO_GO, Verdict.CANNOT_TELL):
        if verdict in verdicts:
            return verdict
    return Verdict.GO


class _Watched:
    """One environment, from round to round."""

    def __init__(self, of: EnvironmentOps, workspace: Workspace) -> None:
        from muva_console.ops.health.memory import Memory

        self._of = of
        self.memory = Memory(workspace.config.health)
        self.report: HealthReport | None = None
        self._told: dict[tuple[str, str], Level] = {}
        self._kept = True

    async def look(self) -> HealthReport:
        """One round. Never raises for what cannot be reached."""
        self.report = await self._of.watch_health()
        self.memory.take(self.report, time.monotonic())
        return self.report

    def tell(self, *, as_json: bool, first: bool) -> None:
        """Print it."""
        report = self.report
        assert report is not None
        if as_json:
            print_json(report_data(report) | _standing(self.memory), line=True)
        else:
            _tell_changes(report, self._told, self.memory)
        if not report.findings and first:
            tell_nothing(report.environment)
        error = self._of.not_kept
        if error is not None and self._kept:
            click.echo("muva: " + "\n  ".join(error.lines()), err=True)
        self._kept = error is None


@asynccontextmanager
async def _page(address: str, workspace: Workspace, watched: list[_Watched]) -> AsyncIterator[None]:
    """Serve the newest looks. Raises click.UsageError for no address, OpsError for one that is taken."""
    from muva_console.ops.alerts.desk import Alerts
    from muva_console.ops.errors import OpsError
    from muva_console.ops.monitoring.exposition import CONTENT_TYPE, exposition
    from muva_console.ops.monitoring.serving import read_address, serving

    try:
        host, port = read_address(address)
    except ValueError as error:
        raise click.UsageError(f"--serve: {error}") from None
    desk = Alerts(workspace.journal)

    async def page() -> tuple[str, str]:
        looks = [(one.report, one.memory.states) for one in watched if one.report is not None]
        names = [report.environment for report, _ in looks]
        try:
            opened = [alert.environment for alert in await desk.open()]
            alerts = {name: opened.count(name) for name in names}
        except OpsError:  # a journal that cannot be read hides no figure of health
            alerts = {}
        return CONTENT_TYPE, exposition(looks, alerts=alerts, now=time.time())

    async with serving(host, port, page) as (where, number):
        click.echo(f"serving http://{f'[{where}]' if ':' in where else where}:{number}/metrics", err=True)
        yield


def _standing(memory: Memory) -> dict[str, Any]:
    """What is believed of each check, and how the two endpoints have been over the window."""
    now = time.monotonic()
    return {
        "standing": {
            check: {
                "standing": state.standing,
                "failures": state.failures,
                "since": state.since_at,
            }
            for check, state in memory.states.items()
        },
        "window": {check: to_builtins(memory.window(check, now)) for check in memory.history},
    }


def _tell_changes(report: HealthReport, told: dict[tuple[str, str], Level], memory: Memory) -> None:
    """Print what is new since the round before, and what has been failing for longer than one round; the
    first round tells everything.
    """
    now = {(finding.check, finding.subject): finding.level for finding in report.findings}
    changed = [f for f in report.findings if told.get((f.check, f.subject)) is not f.level]
    click.echo(f"{report.at:%H:%M:%SZ}  {verdict_line(report)}")
    for line in finding_lines(tuple(changed), verbose=False):
        click.echo(f"  {line}")
    standing = [
        f"{check} {state.told}" for check, state in memory.states.items() if state.is_down or state.failures
    ]
    if standing:
        click.echo(f"  so far: {'; '.join(standing)}")
    told.clear()
    told.update(now)
