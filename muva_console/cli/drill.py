"""`muva drill`: practice on a small real estate on this machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muva_console.cli.base import json_option, print_json
from muva_console.cli.drill_play import plays
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.drill.state import Estate

_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="D",
    help="The estate's folder; one in the user's state folder when not given.",
)


@click.group()
def drill() -> None:
    """Practice on a small real estate on this machine."""


def _narrate(text: str) -> None:
    click.echo(f"  {text}", err=True)


def _folder(directory: Path | None) -> Path:
    from muva_console.drill.state import default_directory

    return directory or default_directory()


def describe(estate: Estate) -> dict[str, Any]:
    """What `up --json` prints: where everything of the estate is; paths of secrets, never secrets."""
    return {
        "config": str(estate.config),
        "directory": str(estate.directory),
        "id": estate.id,
        "ssh": {
            "host": "127.0.0.1",
            "port": estate.ssh_port,
            "user": estate.user,
            "identity": str(estate.identity),
            "known_hosts": str(estate.known_hosts),
        },
        "postgres": {"host": "127.0.0.1", "port": estate.postgres_port},
        "github": {"api": estate.github_url},
        "pm2_home": str(estate.pm2_home),
        "repository": str(estate.repository),
        "checkout": str(estate.checkout),
        "urls": {name: site.url for name, site in estate.sites.items()},
    }


@drill.command()
@_DIRECTORY
@json_option
@click.option(
    "--with-me", is_flag=True, help="Stay, and take it down when this command ends, however it ends."
)
def up(directory: Path | None, as_json: bool, with_me: bool) -> None:
    """Bring the estate up."""
    from muva_console.drill import estate as estates

    folder = _folder(directory)
    owner = os.getpid() if with_me else None
    estate = asyncio.run(estates.up(folder, progress=_narrate, owner=owner))
    if as_json:
        print_json(describe(estate))
    else:
        click.echo(f"The estate is up in {estate.directory}")
        for name, site in estate.sites.items():
            click.echo(f"  {name:<11} {site.url}/api/health")
        click.echo(
            f"  ssh         ssh -p {estate.ssh_port} -i {estate.identity} "
            f"-o UserKnownHostsFile={estate.known_hosts} {estate.user}@127.0.0.1"
        )
        click.echo(f"  console     muva --config {estate.config}")
    if with_me:
        asyncio.run(_stay(folder))


async def _stay(folder: Path) -> None:
    """Wait for a signal, or for the estate to be taken down by somebody else, and take it down."""
    import signal

    from muva_console.drill import estate as estates
    from muva_console.drill.state import STATE_FILE

    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    _narrate("ctrl+c takes it down")
    while not enough.is_set() and (folder / STATE_FILE).exists():
        try:
            await asyncio.wait_for(enough.wait(), 1.0)
        except TimeoutError:
            continue
    await estates.down(folder, progress=_narrate)


@drill.command()
@_DIRECTORY
def down(directory: Path | None) -> None:
    """Take the estate down: no process, socket or file stays."""
    from muva_console.drill import estate as estates

    folder = _folder(directory)
    there = asyncio.run(estates.down(folder, progress=_narrate))
    _narrate("gone" if there else f"there is no estate in {folder}")


@drill.command()
@_DIRECTORY
@json_option
def status(directory: Path | None, as_json: bool) -> None:
    """What of the estate runs, and which faults are broken in. Exit status 1 when something is amiss."""
    from muva_console.drill import estate as estates

    told = asyncio.run(estates.status(_folder(directory)))
    if as_json:
        print_json(
            {
                "directory": str(told.directory),
                "phase": told.phase,
                "servers": told.servers,
                "faults": [
                    {"name": f.name, "environment": f.environment, "since": f.since} for f in told.faults
                ],
            }
        )
    else:
        click.echo(f"{told.directory}: {told.phase}")
        for server in told.servers:
            where = f"127.0.0.1:{server.port}" if server.port else "UNIX sockets"
            word = "runs" if server.running else "DOWN"
            click.echo(f"  {server.name:<16} {word:<5} {where:<17} {server.detail}".rstrip())
        for fault in told.faults:
            click.echo(f"  fault: {fault.name} on {fault.environment} since {fault.since:%H:%M:%S} UTC")
    raise SystemExit(Exit.OK if told.whole else Exit.BAD)


@drill.command()
@json_option
def faults(as_json: bool) -> None:
    """List the faults that can be broken in: what each really does, and how it is undone."""
    from muva_console.drill.faults import FAULTS

    known = sorted(FAULTS, key=lambda fault: fault.name)
    if as_json:
        print_json(
            [
                {
                    "name": f.name,
                    "title": f.title,
                    "environment": f.environment,
                    "does": f.does,
                    "undone": f.undone,
                    "items": f.items,
                    "besides": f.besides,
                }
                for f in known
            ]
        )
        return
    for fault in known:
        click.echo(f"{fault.name}: {fault.title} ({fault.environment})")
        fails = f"Fails: {', '.join(fault.items)}. {fault.besides}".strip() if fault.items else ""
        for text in filter(None, (fault.does, fails, f"Mending: {fault.undone}")):
            click.echo(click.wrap_text(text, width=100, initial_indent="    ", subsequent_indent="    "))


def _known(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    """The name of a fault that there is."""
    from muva_console.drill.faults import FAULTS

    names = sorted(fault.name for fault in FAULTS)
    if name is not None and name not in names:
        raise click.BadParameter(f"there is no fault {name!r}; one of: {', '.join(names)}")
    return name


@drill.command("break")
@click.argument("fault", callback=_known)
@_DIRECTORY
@click.option(
    "--env", "environment", metavar="E", help="Where; what `muva drill faults` tells when not given."
)
def break_command(fault: str, directory: Path | None, environment: str | None) -> None:
    """Break a fault into the estate, for real."""
    from muva_console.drill import faults as broken

    asyncio.run(broken.break_in(_folder(directory), fault, environment=environment, progress=_narrate))
    _narrate(f"broken; `muva drill mend {fault}` undoes it")


@drill.command()
@click.argument("fault", required=False, callback=_known)
@_DIRECTORY
def mend(fault: str | None, directory: Path | None) -> None:
    """Mend one fault, or all, and wait until everything is healthy."""
    from muva_console.drill import faults as broken

    names = None if fault is None else [fault]
    estate = asyncio.run(broken.mend(_folder(directory), names, progress=_narrate))
    left = ", ".join(active.name for active in estate.faults)
    _narrate(f"still broken: {left}" if left else "everything is healthy")


@drill.command()
@click.argument("fault", nargs=-1)
@_DIRECTORY
@click.option("--count", default=1, type=click.IntRange(1, 3), help="How many are drawn, when none is named.")
@click.option("--within", default="2m", metavar="TIME", help="It breaks within this; 2m by default.")
@click.option(
    "--patience", default="60m", metavar="TIME", help="When it is over at the latest; 60m by default."
)
@json_option
def play(
    fault: tuple[str, ...], directory: Path | None, count: int, within: str, patience: str, as_json: bool
) -> None:
    """Something breaks at a moment unknown; work with the console, against the clock.

    The fault is drawn by lot when none is named. Detected, diagnosed and recovered are taken from the journal
    and from a watcher of its own, told at the end with what was done and what was needed, and kept.

    Exit status: 0 recovered, 1 given up, out of time, or mended by the drill.
    """
    from muva_console.cli.drill_play import lead
    from muva_console.config.units import parse_duration

    try:
        seconds = (float(parse_duration(within)), float(parse_duration(patience)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    status = asyncio.run(
        lead(_folder(directory), fault, count=count, within=seconds[0], patience=seconds[1], as_json=as_json)
    )
    raise SystemExit(status)


drill.add_command(plays)
