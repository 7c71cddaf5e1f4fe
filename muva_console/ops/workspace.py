"""Everything that one configuration leads to: its links, its feeds, its journal, its performer.

Screens and commands hold a workspace and ask it; nothing is opened before it is first asked for. A
changed configuration makes a new workspace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from muva_console.config.redact import redactor
from muva_console.ops.environment import EnvironmentOps
from muva_console.ops.feed import Feed
from muva_console.ops.identity import identify
from muva_console.ops.journal.folder import journal_directory
from muva_console.ops.journal.store import Journal
from muva_console.ops.links.base import CommandLog
from muva_console.ops.performer import Performer
from muva_console.ops.shared_reading import SharedReading

if TYPE_CHECKING:
    from pathlib import Path

    from muva_console.config.load import LoadedConfig
    from muva_console.config.model import Config, Secret
    from muva_console.ops.journal.sharing import Sharing
    from muva_console.ops.links.github import GitHubLink
    from muva_console.ops.links.repository import RepositoryLink
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.links.workshop import Workshop
    from muva_console.ops.migrations.matrix import Matrix
    from muva_console.ops.monitoring.history import HealthHistory
    from muva_console.ops.pm2.model import ProcessList
    from muva_console.ops.processes import ProcessReader
    from muva_console.ops.runbooks.model import Runbook

ABANDON_TIMEOUT = 5.0
"""Seconds that acts under way may take to be abandoned and recorded; above performer.CLOSE_TIMEOUT."""
MIGRATIONS_INTERVAL, MIGRATIONS_TIMEOUT = 60.0, 90.0
"""Seconds between readings of the migrations, which fetch the repository and change with releases alone; and
for one, above its own limit (status.TIMEOUT)."""
CLOSE_TIMEOUT = 2.0
"""Seconds that the feeds, the links and the journal may each take to close."""


class Workspace:
    """Links, feeds, journal and performer of one configuration. Lives in one event loop."""

    def __init__(self, loaded: LoadedConfig, *, read_only: bool = False) -> None:
        self.loaded = loaded
        self.config: Config = loaded.config
        self.path: Path = loaded.path
        self.read_only = read_only or loaded.config.console.read_only
        self.commands = CommandLog()
        self.redact: Callable[[str], str] = redactor.redact
        self.engineer = identify()
        self._prepared = False
        self._closers: list[Callable[[], Awaitable[object]]] = []
        self._hosts: dict[str, SshLink] = {}
        self._readers: dict[str, ProcessReader] = {}
        self._processes: dict[str, SharedReading[ProcessList]] = {}
        self.environments: Mapping[str, EnvironmentOps] = {
            name: EnvironmentOps(name, environment, self)
            for name, environment in loaded.config.environments.items()
        }

    @property
    def base(self) -> Path:
        """The folder that relative paths of the configuration are relative to."""
        return self.path.parent

    @cached_property
    def journal(self) -> Journal:
        """The record. Opened on first use."""
        return Journal(
            journal_directory(self.config.journal, beside=self.base),
            self.engineer,
            redact=self.redact,
            shared=self.config.journal.directory is not None,
            share=self._share if self.config.journal.url is not None else None,
        )

    def _share(self, warn: Callable[[str], None]) -> Sharing:
        """The way to the journal that several jump hosts share."""
        from muva_console.config.model import Database
        from muva_console.ops.journal.shared_schema import bring_up
        from muva_console.ops.journal.sharing import Sharing
        from muva_console.ops.links.postgres import PostgresLink

        reference = self.config.journal.url
        assert reference is not None
        link = PostgresLink(
            "journal",
            Database(url=reference),
            lambda: self.secret(reference),
            self.commands,
            refused=lambda: self.forget_secret(reference),
        )
        self.at_end(link.close)
        return Sharing(link.session, lambda: bring_up(link, self.engineer.label), warn)

    @cached_property
    def history(self) -> HealthHistory:
        """What the environments have been like over days. Opened on first use."""
        from muva_console.ops.monitoring.history import HealthHistory

        return HealthHistory(
            journal_directory(self.config.journal, beside=self.base),
            shared=self.config.journal.directory is not None,
        )

    @cached_property
    def performer(self) -> Performer:
        """The one place that acts."""
        return Performer(self.journal, self.engineer, read_only=self.read_only, redact=self.redact)

    async def prepare(self) -> None:
        """Import what the links are made of, once, away from the event loop: half a second of imports in the
        midst of a sample of requests would be taken for a slow application.
        """
        if not self._prepared:
            await asyncio.to_thread(_import_links)
            self._prepared = True

    def host(self, name: str) -> SshLink:
        """The link to a host of [hosts]; made, not opened."""
        if not self._hosts:
            from muva_console.ops.links.ssh import ssh_links

            # all at once: they share the connections to their jump hosts
            self._hosts = ssh_links(self.config.hosts, log=self.commands, redact=self.redact)
        return self._hosts[name]

    def made_hosts(self, names: Iterable[str]) -> tuple[SshLink, ...]:
        """The links to these hosts that exist already; opens and makes none."""
        hosts = self._hosts
        return tuple(hosts[name] for name in names if name in hosts)

    def process_reader(self, host: str) -> ProcessReader:
        """The one reader of a host's PM2, shared by all environments on that host."""
        if host not in self._readers:
            from muva_console.ops.processes import ProcessReader

            # one reader serves several environments, so the longest of their windows is watched
            windows = [
                float(environment.thresholds.restart_window)
                for environment in self.config.environments.values()
                if host in environment.hosts
            ]
            self._readers[host] = ProcessReader(
                self.host(host), self.config.hosts[host], restart_window=max(windows, default=300.0)
            )
        return self._readers[host]

    def processes(self, host: str) -> SharedReading[ProcessList]:
        """A host's processes, read once for all environments that ask at the same time."""
        if host not in self._processes:
            self._processes[host] = SharedReading(lambda: self.process_reader(host).read())
        return self._processes[host]

    @cached_property
    def repository(self) -> RepositoryLink:
        """The local checkout."""
        from muva_console.ops.links.repository import RepositoryLink

        return RepositoryLink(self.base / self.config.project.checkout)

    @cached_property
    def cache(self) -> Path:
        """The folder of what can be made again: the console's own copy of the repository, kept outputs."""
        configured = self.config.project.cache
        if configured is not None:
            return configured
        from platformdirs import user_cache_path

        return user_cache_path("muva-console")

    @cached_property
    def runbooks(self) -> tuple[Runbook, ...]:
        """The playbook's procedures and the team's own. Raises ConfigError with every mistake in them."""
        from muva_console.ops.runbooks.load import runbooks_of

        return runbooks_of(self.config)

    def forget_runbooks(self) -> None:
        """Read the runbooks' files again when they are next asked for."""
        self.__dict__.pop("runbooks", None)

    @cached_property
    def workshop(self) -> Workshop:
        """The console's own copy of the application's repository."""
        from hashlib import sha256

        from muva_console.ops.links.workshop import Workshop

        checkout = self.config.project.checkout
        name = sha256(str(checkout).encode()).hexdigest()[:12]
        return Workshop(checkout, self.cache / "repositories" / name, log=self.commands)

    @cached_property
    def migrations(self) -> Feed[Matrix]:
        """Files against the histories of all environments."""

        async def read() -> Matrix:
            await asyncio.to_thread(_import_migrations)
            from muva_console.ops.migrations.status import read_matrix

            return await read_matrix(self)

        return Feed("migrations", read, interval=MIGRATIONS_INTERVAL, timeout=MIGRATIONS_TIMEOUT)

    @cached_property
    def github(self) -> GitHubLink | None:
        """GitHub, None where no repository there is configured."""
        repository = self.config.project.repository
        if repository is None:
            return None
        from muva_console.ops.links.github import GitHubLink
        from muva_console.ops.links.github_token import github_token

        settings = self.config.github
        return GitHubLink(
            settings.api,
            repository,
            github_token(self.config, self.secret),
            timeout=float(settings.timeout),
            log=self.commands,
        )

    def previous(self, environment: str) -> str | None:
        """The environment that this one's code comes from: the one before it in the configuration's order,
        production coming last; None for the first.
        """
        environments = self.config.environments
        flow = [name for name, one in environments.items() if not one.production]
        if environments[environment].production:
            return flow[-1] if flow else None
        place = flow.index(environment)
        return flow[place - 1] if place else None

    def at_end(self, close: Callable[[], Awaitable[object]]) -> None:
        """Have something closed before the links are, when the workspace closes."""
        self._closers.append(close)

    def next_branch(self, environment: str) -> str | None:
        """The branch that the environment's own flows into: that of the next one in the configuration's order
        (dev, staging), production's from the last; None for production.
        """
        environments = self.config.environments
        if environments[environment].production:
            return None
        flow = [name for name, one in environments.items() if not one.production]
        after = flow[flow.index(environment) + 1 :]
        after += [name for name, one in environments.items() if one.production]
        return environments[after[0]].branch if after else None

    async def secret(self, secret: Secret) -> str:
        """A secret's value. Raises SecretError."""
        from muva_console.config.secrets import resolve

        return await resolve(secret, self.base)

    def forget_secret(self, secret: Secret) -> None:
        """A secret was refused: it is had anew when it is next asked for. It may have been changed."""
        from muva_console.config.secrets import forget

        forget(secret)

    async def close(self) -> None:
        """Abandon what is being done, stop the feeds, close every link, then the journal; bounded, and
        never raises. The order matters: an act that is abandoned still needs its link, and its record.
        """
        if "performer" in self.__dict__:
            await _bounded([self.performer.close()], ABANDON_TIMEOUT)
        await _bounded([close() for close in self._closers], CLOSE_TIMEOUT)
        closing: list[Awaitable[object]] = [environment.close() for environment in self.environments.values()]
        if "migrations" in self.__dict__:
            closing.append(self.migrations.close())
        await _bounded([*closing, *(reader.close() for reader in self._readers.values())], CLOSE_TIMEOUT)
        links: list[Awaitable[object]] = [link.close() for link in self._hosts.values()]
        links += [
            one.close() for name in ("github", "workshop") if (one := self.__dict__.get(name)) is not None
        ]
        await _bounded(links, CLOSE_TIMEOUT)
        if "history" in self.__dict__:
            await _bounded([self.history.close()], CLOSE_TIMEOUT)
        if "journal" in self.__dict__:
            await _bounded([self.journal.close()], CLOSE_TIMEOUT)


async def _bounded(closing: list[Awaitable[object]], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*closing, return_exceptions=True)
    except TimeoutError:
        return


def _import_migrations() -> None:
    from importlib import import_module

    import_module("muva_console.ops.migrations.status")


def _import_links() -> None:
    from importlib import import_module

    for name in ("asyncssh", "asyncpg", "h11"):
        import_module(name)
