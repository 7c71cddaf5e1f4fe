"""`muva health`, `muva processes`: what the screens show, headless."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    tell_no_hosts,
    wait,
)
from muva_console.cli.lines import finding_lines, process_lines, verdict_line
from muva_console.cli.moments import Moment
from muva_console.ops.readings import Exit, Finding, Level, exit_status, verdict

if TYPE_CHECKING:
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.pm2.model import ProcessList


@click.command()
@environment_option
@json_option
@click.option("--verbose", "-v", is_flag=True, help="The evidence of what is well, too.")
@click.option("--since", type=Moment(), default=None, help="How it has been since then, instead of now.")
@click.pass_obj
def health(
    invocation: Invocation, environment: str | None, as_json: bool, verbose: bool, since: datetime | None
) -> int:
    """Every health check once; with --since what was kept while somebody watched.

    Exit status: 0 healthy, 1 something failed, 3 something needed could not be asked.
    """
    if since is not None:
        from muva_console.cli.past import tell_past

        return tell_past(invocation, environment, since, as_json=as_json)

    async def answer() -> HealthReport:
        async with invocation.workspace() as workspace:
            return await environment_of(workspace, environment).read_health()

    report = wait(answer)
    if as_json:
        print_json(report_data(report))
    else:
        for line in finding_lines(report.findings, verbose=verbose):
            click.echo(line)
        click.echo(verdict_line(report))
    if not report.findings:
        tell_nothing(report.environment)
    return exit_status(report.verdict)


def tell_nothing(environment: str) -> None:
    """Why there was no check at all."""
    click.echo(
        f"muva: nothing of {environment} could be asked: it has no address, no hosts and no database\n"
        f"  give [environments.{environment}] in muva.toml a url, hosts or a database",
        err=True,
    )


@click.command()
@environment_option
@json_option
@click.option("--all", "every", is_flag=True, help="What PM2 keeps for other environments, too.")
@click.pass_obj
def processes(invocation: Invocation, environment: str | None, as_json: bool, every: bool) -> int:
    """PM2's processes on all hosts of an environment.

    Exit status: 0 all up, 1 something is down or keeps restarting, 3 a host could not be asked.
    """

    async def answer() -> tuple[str, list[ProcessList], tuple[Finding, ...], tuple[str, ...]]:
        from muva_console.ops.checks import run_checks
        from muva_console.ops.environment import own
        from muva_console.ops.errors import LinkError

        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment)
            findings = await run_checks(["processes"], of.context()) if of.hosts else ()
            lists = []
            for host in of.hosts:
                try:
                    told = await of.read_processes(host)
                except LinkError:
                    continue  # the finding says why
                lists.append(told if every else own(told, of.config.processes))
            return of.name, lists, findings, of.hosts

    name, lists, findings, hosts = wait(answer)
    outcome = verdict(findings)
    if not hosts:
        tell_no_hosts(name)
    if as_json:
        print_json(
            {
                "environment": name,
                "verdict": outcome,
                "processes": [process_data(of, process) for of in lists for process in of.processes],
                "hosts": [
                    {
                        "host": of.host,
                        "at": of.at,
                        "source": of.source,
                        "daemon_version": of.daemon_version,
                        "took_ms": round(of.took_ms, 2),
                    }
                    for of in lists
                ],
                "findings": [finding_data(finding) for finding in findings],
            }
        )
        return exit_status(outcome)
    if not hosts:
        return Exit.CANNOT_TELL
    from muva_console.ops.processes import SOCKET

    for line in process_lines(lists):
        click.echo(line)
    for of in lists:
        if of.source != SOCKET:
            click.echo(f"{of.host} was read by `{of.source}`: PM2's sockets cannot be reached", err=True)
    for line in finding_lines(tuple(f for f in findings if f.level is not Level.OK), verbose=True):
        click.echo(line)
    return exit_status(outcome)


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding as `--json` gives it; milliseconds to a hundredth."""
    data: dict[str, Any] = to_builtins(finding)
    return {**data, "took_ms": round(finding.took_ms, 2)}


def report_data(report: HealthReport) -> dict[str, Any]:
    """A health report as `--json` gives it."""
    data: dict[str, Any] = to_builtins(report)
    return {
        **data,
        "took_ms": round(report.took_ms, 2),
        "findings": [finding_data(finding) for finding in report.findings],
    }


def process_data(list: ProcessList, process: Any) -> dict[str, Any]:
    """A process as `--json` gives it, with its uptime in seconds by the host's clock."""
    data: dict[str, Any] = to_builtins(process, builtin_types=(datetime,))
    return {**data, "uptime": list.uptime(process)}
