"""`muva demo`: the console on a drill estate of its own, gone when it closes."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import click

from muva_console.cli.base import Invocation


@click.command()
@click.pass_obj
def demo(invocation: Invocation) -> int:
    """The console on a drill estate of its own: real PM2, PostgreSQL, SSH and HTTP on this machine.

    The estate is gone when the console closes, however it closes.
    """
    from muva_console.cli.console import open_console, require_terminal
    from muva_console.drill import estate as estates

    require_terminal()
    # the keeper that the estate starts watches this process, so that even a kill leaves nothing behind
    directory = Path(tempfile.mkdtemp(prefix="muva-"))
    click.echo("Bringing up a small real estate on this machine:", err=True)
    asyncio.run(estates.up(directory, progress=_narrate, owner=os.getpid()))
    try:
        on_estate = Invocation(config=str(directory / "muva.toml"), read_only=invocation.read_only)
        return open_console(on_estate, "production")
    finally:
        asyncio.run(estates.down(directory, progress=_narrate))


def _narrate(text: str) -> None:
    click.echo(f"  {text}", err=True)
