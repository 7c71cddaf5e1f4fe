"""What the commands share: the invocation, the environment option, and how answers are printed."""

from __future__ import annotations

import asyncio
import select
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from muva_console.ops.errors import ConfigError, OpsError

if TYPE_CHECKING:
    from muva_console.config.load import LoadedConfig
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.workspace import Workspace

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """The options that stand before the command."""

    def __init__(self, *, config: str | None = None, read_only: bool = False) -> None:
        self.config = Path(config) if config else None
        self.read_only = read_only
        self._loaded: LoadedConfig | None = None

    def load(self) -> LoadedConfig:
        """The configuration, read once. Raises ConfigError."""
        if self._loaded is None:
            from muva_console.config.load import load

            self._loaded = load(self.config)
        return self._loaded

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[Workspace]:
        """A workspace of the configuration; its links are closed on leaving."""
        from muva_console.ops.workspace import Workspace

        workspace = Workspace(self.load(), read_only=self.read_only)
        try:
            yield workspace
        finally:
            missed = workspace.journal.out_of_reach if "journal" in workspace.__dict__ else None
            await workspace.close()
            if missed is not None:
                click.echo(
                    "muva: the journal is this host's copy: the shared one was out of reach, and what was "
                    f"written waits here\n  {missed}",
                    err=True,
                )


def environment_of(workspace: Workspace, name: str | None) -> EnvironmentOps:
    """The environment a command is about; the only one, when there is one. Raises ConfigError."""
    environments = workspace.environments
    if name is None and len(environments) == 1:
        return next(iter(environments.values()))
    if name is None or name not in environments:
        known = ", ".join(environments)
        what = "no environment was named" if name is None else f"there is no environment {name!r}"
        raise ConfigError(what, where=str(workspace.path), mistakes=(f"--env takes one of: {known}",))
    return environments[name]


def tell(error: OpsError) -> None:
    """An error as an engineer should meet it, on standard error: what and where, what it means, what next."""
    first, *rest = error.lines()
    click.echo(f"muva: {first}", err=True)
    for line in rest:
        click.echo(f"  {line}", err=True)


def tell_no_hosts(environment: str) -> None:
    """On standard error: why an environment has neither processes nor logs."""
    click.echo(
        f"muva: {environment} has no hosts, so nothing runs there that could be asked\n"
        f"  give [environments.{environment}] in muva.toml hosts = [...] if something does",
        err=True,
    )


def environment_option(function: F) -> F:
    """Adds ``--env E``."""
    return click.option("--env", "environment", metavar="E", help="dev, staging or production.")(function)


def json_option(function: F) -> F:
    """Adds ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Data, and data alone, on standard output.")(
        function
    )


def print_json(value: Any, *, line: bool = False) -> None:
    """Print structs and plain data as JSON: indented, or as one line."""
    import msgspec

    data = msgspec.json.encode(value)
    # as bytes: JSON is UTF-8, whatever the terminal's letters are
    click.echo(data if line else msgspec.json.format(data, indent=2))


def wait(make: Callable[[], Awaitable[T]]) -> T:
    """Run an answer to its end."""
    return asyncio.run(_to_its_end(make))


async def _to_its_end(make: Callable[[], Awaitable[T]]) -> T:
    """As `make` answers; on SIGTERM and SIGHUP it is given up as on SIGINT, so that what runs on its behalf
    ends with it. Raises click.exceptions.Exit then.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    told: list[int] = []

    def end(number: int) -> None:
        told.append(number)
        if task is not None:
            task.cancel()

    ours = threading.current_thread() is threading.main_thread()  # no other thread may listen to signals
    for number in (signal.SIGTERM, signal.SIGHUP):
        if ours and signal.getsignal(number) is signal.SIG_DFL:  # nohup's stays ignored
            loop.add_signal_handler(number, end, number)
    try:
        return await make()
    except asyncio.CancelledError:
        if told:
            raise click.exceptions.Exit(128 + told[0]) from None
        raise


def wait_while_read(make: Callable[[], Awaitable[T]]) -> T:
    """Run what goes on and on, to its end or until nobody reads standard output any more.

    Without that, `muva logs --follow | head` would hold its connection until the next line comes. Raises
    BrokenPipeError then.
    """

    async def main() -> T:
        work = asyncio.ensure_future(make())
        watch = asyncio.ensure_future(_unread())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise BrokenPipeError
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    return asyncio.run(_to_its_end(main))


_LOOK_EVERY = 0.5
"""Seconds between looks whether standard output is still read. Ours."""


async def _unread() -> None:
    """Returns when the other end of standard output is closed; never for a file or a terminal."""
    poll = select.poll()
    poll.register(1, 0)  # errors and hang-ups are told unasked
    while not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY)  # epoll would wake for the keys of a terminal, too
