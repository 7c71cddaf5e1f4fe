"""What the commands share: the invocation, the environment option, and how answers are printed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from muva_console.ops.errors import ConfigError

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
            await workspace.close()


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
    click.echo((data if line else msgspec.json.format(data, indent=2)).decode())


def wait(make: Callable[[], Awaitable[T]]) -> T:
    """Run an answer to its end."""

    async def main() -> T:
        return await make()

    return asyncio.run(main())
