"""A shell on a host, in the console's terminal; the console waits, what it watches goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Draft

if TYPE_CHECKING:
    from muva_console.app import MuvaApp


async def open_shell(app: MuvaApp, host: str) -> None:
    """Hand the terminal to a shell on `host` until that ends. Raises OpsError where it cannot be.

    It is written into the journal that it was opened; what is typed there is not.
    """
    from muva_console.ops.links.shell import has_client, interactive, shell_command

    workspace = app.workspace
    if workspace.read_only:
        raise OpsError(
            "read-only: no shell is opened",
            means="whoever has a shell can change things",
            next="start muva without --read-only",
        )
    of = workspace.environments.get(app.environment)
    environment = app.environment if of is not None and host in of.hosts else ""
    directory = of.config.directory if of is not None and environment else None
    draft = Draft(kind="shell", subject=f"shell on {host}", environment=environment)
    try:
        await app.ask_ops(lambda: workspace.journal.append(draft))
    except OpsError as error:
        app.tell(str(error), title="The shell is not in the journal", severity="warning")
    hosts = workspace.config.hosts
    command = shell_command(hosts[host], hosts=hosts, directory=directory) if has_client() else None
    loop = app.engine.loop
    try:
        with app.suspend():
            _say(f"{environment.upper()} a shell on {host}. The console waits; exit comes back to it.")
            if command is not None:
                status = subprocess.run(command, check=False).returncode  # noqa: ASYNC221 - the screen waits
            else:
                link = workspace.host(host)
                status = asyncio.run_coroutine_threadsafe(interactive(link, directory), loop).result()
    except SuspendNotSupported:
        raise OpsError("this terminal cannot be handed to a shell") from None
    if status == 255:
        app.tell(
            f"The connection to {host} could not be made, or was lost.", title="Shell", severity="warning"
        )
    app.action_refresh()


def _say(text: str) -> None:
    """A line on the bare terminal, between the console's screen and the shell's."""
    out = sys.__stdout__
    if out is not None:
        out.write(f"\r\n── muva ── {text}\r\n")
        out.flush()
