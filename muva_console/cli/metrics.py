"""`muva metrics`: deployments written down, taken over from GitHub, and the five key figures of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from muva_console.cli.base import (
    Invocation,
    environment_of,
    environment_option,
    json_option,
    print_json,
    wait,
)
from muva_console.cli.moments import Moment
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Exit, utc_now

if TYPE_CHECKING:
    from muva_console.ops.metrics.dora import Report


@click.group()
def metrics() -> None:
    """Deployments as figures: report, record by hand, import from GitHub."""


@metrics.command()
@environment_option
@click.option("--since", "--from", type=Moment(), default=None, help="Where the window begins; 30d ago.")
@click.option("--until", "--to", type=Moment(), default=None, help="Where it ends; now by default.")
@click.option("--window", metavar="30d", help="How long it is, up to --until; instead of --since.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the changes to a file.")
@click.option("--svg", "svg_file", type=click.Path(path_type=Path), help="Write a chart to a file.")
@click.option("--png", "png_file", type=click.Path(path_type=Path), help="Write the chart as a picture.")
@click.option("--format", "shape", type=click.Choice(["text", "json", "csv", "svg"]), default="text")
@click.option("--records", is_flag=True, help="Tell the changes that the figures were made of.")
@json_option
@click.pass_obj
def report(
    invocation: Invocation,
    environment: str | None,
    since: datetime | None,
    until: datetime | None,
    window: str | None,
    csv_file: Path | None,
    svg_file: Path | None,
    png_file: Path | None,
    shape: str,
    records: bool,
    as_json: bool,
) -> int:
    """The five key figures (DORA) of an environment, against the time of the same length before.

    Each with what it rests on; below five that is called too few. Exit status: 0 told, 3 the journal could
    not be read.
    """

    async def read() -> int:
        from muva_console.ops.metrics.chart import as_csv, as_png, as_svg, data_of
        from muva_console.ops.metrics.reading import read_report

        begin, end = _window(since, until, window)
        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment).name
            told = await read_report(workspace, of, begin, end)
        for file, make in ((csv_file, as_csv), (svg_file, as_svg)):
            if file is not None:
                _write(file, make(told.now).encode())
        if png_file is not None:
            _write(png_file, as_png(told.now))
        if as_json or shape == "json":
            print_json(
                {
                    "report": data_of(told.now),
                    "before": data_of(told.before),
                    "trend": [data_of(part)["figures"] for part in told.parts],
                    "lead_times": told.unknown_leads or "known",
                }
            )
            return Exit.OK
        if shape != "text":
            click.echo(as_csv(told.now) if shape == "csv" else as_svg(told.now), nl=False)
            return Exit.OK
        _print(told.now, told.before, records=records)
        if told.unknown_leads:
            click.echo(f"  some lead times are not known: {told.unknown_leads}", err=True)
        return Exit.OK

    return wait(read)


def _window(since: datetime | None, until: datetime | None, window: str | None) -> tuple[datetime, datetime]:
    """Begin and end. Raises click.UsageError for what is no window."""
    from muva_console.config.units import parse_duration

    end = until or utc_now()
    if since is not None and window is not None:
        raise click.UsageError("give --since or --window, not both")
    if since is None:
        try:
            since = end - timedelta(seconds=parse_duration(window or "30d"))
        except (ValueError, OverflowError):
            raise click.UsageError('--window takes a duration such as "30d"') from None
    if end <= since:
        raise click.UsageError("--until must lie after --since")
    return since, end


@metrics.command()
@environment_option
@click.option("--status", required=True, type=click.Choice(["success", "failed", "rollback"]))
@click.option("--duration", type=float, default=None, metavar="SECONDS", help="How long it took.")
@click.option("--commit", default="", metavar="SHA", help="What was deployed; the branch's head by default.")
@click.option("--branch", default="", help="From where; the environment's branch by default.")
@click.option("--kind", type=click.Choice(["planned", "hotfix", "rollback"]), default="planned")
@click.option("--rolls-back", default="", metavar="SHA", help="The commit that a rollback takes back.")
@click.option("--error", default="", help="What went wrong.")
@click.option("--at", type=Moment(), default=None, help="When it ended; now by default.")
@json_option
@click.pass_obj
def record(
    invocation: Invocation,
    environment: str | None,
    status: str,
    duration: float | None,
    commit: str,
    branch: str,
    kind: str,
    rolls_back: str,
    error: str,
    at: datetime | None,
    as_json: bool,
) -> int:
    """Write down a deployment that the console did not lead. Those that it led are there already.

    Exit status: 0 recorded, 1 refused, 3 the repository or the journal could not be asked.
    """

    async def write() -> int:
        from muva_console.ops.deploys.record_act import told_line
        from muva_console.ops.metrics.recording import record_by_hand
        from muva_console.ops.release.records import DeploymentKind, Status

        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment).name
            if workspace.read_only:
                from muva_console.ops.errors import Refused

                raise Refused("read-only: nothing is recorded")
            made, first = await record_by_hand(
                workspace,
                of,
                status=Status(status),
                duration=duration,
                commit=commit,
                branch=branch,
                kind=DeploymentKind(kind),
                error=error,
                at=at or utc_now(),
                rolls_back=rolls_back,
            )
        if as_json:
            print_json({"recorded": to_builtins(made), "first": first})
        else:
            click.echo(("recorded: " if first else "recorded already: ") + told_line(made))
        return Exit.OK

    return wait(write)


@metrics.command(name="import")
@environment_option
@click.option("--since", type=Moment(), default="90d", show_default=True, help="How far back.")
@click.pass_obj
def import_(invocation: Invocation, environment: str | None, since: datetime) -> int:
    """Take over from GitHub's runs what was deployed elsewhere. What is recorded already is passed over.

    Exit status: 0 done, 3 GitHub could not be asked.
    """

    async def take() -> int:
        from muva_console.ops.metrics.recording import import_runs

        count = 0
        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment).name
            if workspace.read_only:
                from muva_console.ops.errors import Refused

                raise Refused("read-only: nothing is recorded")
            async for line in import_runs(workspace, of, since):
                click.echo(line)
                count += 1
        click.echo(f"{count} taken over" if count else "nothing is new", err=True)
        return Exit.OK

    return wait(take)


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise OpsError(f"not written: {error.strerror or error}", where=str(file)) from error


def _print(now: Report, before: Report, *, records: bool) -> None:
    click.echo(f"{now.environment}, {now.since:%Y-%m-%d %H:%M} to {now.until:%Y-%m-%d %H:%M} UTC")
    from muva_console.ops.metrics.chart import spelled

    for figure, earlier in zip(now.figures, before.figures, strict=True):
        few = "  too few" if figure.few else ""
        against = f"before: {spelled(earlier)} (n {earlier.n})"
        click.echo(f"  {figure.name:<32} {spelled(figure):>14}   n {figure.n:<4}{few:<10} {against}")
    aside = f"{now.rollbacks} rollbacks, {now.failed_before} failed before they went live"
    click.echo(f"  {len(now.changes)} changes; {aside}")
    if records:
        _print_records(now)


def _print_records(told: Report) -> None:
    for one in told.changes:
        deployment = one.deployment
        failed = f"  failed: {one.failed}" if one.failed else ""
        version = f" v{deployment.version}" if deployment.version else ""
        line = f"  {one.at:%Y-%m-%d %H:%M}  {deployment.commit[:7]}{version}  {deployment.kind.value}{failed}"
        click.echo(f"{line}  (entry {deployment.entry})")
