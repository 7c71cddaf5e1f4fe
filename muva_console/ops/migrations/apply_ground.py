"""What an apply stands on: the environment's database, where the files come from, what was chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.config.model import Backups, Migrations
from muva_console.ops.errors import OpsError
from muva_console.ops.links.postgres import PostgresLink
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.links.source import Source
from muva_console.ops.migrations.catalog import Size
from muva_console.ops.migrations.findings import FileReport
from muva_console.ops.migrations.model import FileSet, History, MigrationFile
from muva_console.ops.migrations.pieces import Script
from muva_console.ops.readings import Finding

if TYPE_CHECKING:
    from muva_console.ops.environment import EnvironmentOps
    from muva_console.ops.workspace import Workspace

HEALTH = ("api-health", "database", "critical-tables")
"""The checks that must hold after an apply."""


class Choice(Struct, frozen=True, kw_only=True):
    """What the engineer chose."""

    source: str = ""
    """The branch that the files come from; empty for the environment's own."""
    to: str = ""
    """The last version to apply; empty for all."""
    out_of_order: bool = False
    """Apply versions below the highest one applied too."""
    without_backup: str = ""
    """Why production is changed without a fresh backup."""
    wait: float = 0.0
    """Seconds to wait for somebody else's apply; 0 to be refused at once."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One environment, as applying needs it."""

    environment: str
    production: bool
    link: PostgresLink
    repository: Source
    branch: str
    """The environment's own."""
    folder: str
    """Of the migrations, in the repository."""
    settings: Migrations
    backups: Backups
    engineer: str
    session: Callable[[], PostgresSession]
    """Makes a session for writing; whoever asks closes it."""
    cache: Path | None = None
    """Where it is remembered what hangs on texts alone."""
    coming: str = ""
    """The branch that flows into the environment's own; empty where none does."""
    health: Callable[[], Awaitable[tuple[Finding, ...]]] | None = None
    """The checks of HEALTH that apply here; None to look at nothing."""


class Step(Struct, frozen=True, kw_only=True):
    """One file, ready to be applied."""

    file: MigrationFile
    digest: str
    """SHA-256 of its bytes, hexadecimal."""
    script: Script
    rollback: tuple[str, ...] = ()
    """The statements of its way back, where there is a file of them."""
    branch: str = ""
    """The branch that the file is of, where that is not the plan's."""
    sha: str = ""
    """The commit of that branch."""

    @property
    def title(self) -> str:
        """``20251105120000_add_bookings``."""
        return f"{self.file.version}_{self.file.name}"


class Prepared(Struct, frozen=True, kw_only=True):
    """Everything that was looked at for a plan."""

    files: FileSet
    branch: str
    stale: str
    """Why the branch may stand further on; empty where it was fetched just now."""
    history: History
    steps: tuple[Step, ...]
    reports: dict[str, FileReport]
    """What validating told of each file, by path: locks and hazards."""
    sizes: dict[str, Size]
    warnings: tuple[str, ...]
    """What does not stand in the way and deserves a look."""
    backup: str = ""
    """The backup that production may be changed with, in words."""
    invalid: frozenset[str] = frozenset()
    """Indexes that were invalid before."""


class NothingToApply(OpsError):
    """Every file is in the history already: no failure."""


class NotApplicable(OpsError):
    """What stands in the way of applying, all of it."""

    def __init__(self, reasons: tuple[str, ...], *, where: str, next: str = "") -> None:
        first = reasons[0] if len(reasons) == 1 else f"{len(reasons)} things stand in the way"
        super().__init__(first, where=where, next=next)
        self.reasons = reasons

    def lines(self) -> list[str]:
        """The headline, each reason, and what to do."""
        more = [f"- {reason}" for reason in self.reasons] if len(self.reasons) > 1 else []
        return [str(self), *more, *([self.next] if self.next else [])]


def ground_of(workspace: Workspace, environment: EnvironmentOps) -> Ground:
    """The ground of an environment. Raises OpsError where no database is configured."""
    link = environment.postgres
    if link is None:
        raise OpsError(
            f"no database is configured for {environment.name}",
            next=f"Give [environments.{environment.name}.database] a url or a host.",
        )

    async def health() -> tuple[Finding, ...]:
        from muva_console.ops.checks import find, run_checks

        context = environment.context()
        names = [name for name in HEALTH if (known := find(name)) is None or known.applies(context)]
        database = environment.config.database
        if database is not None and not database.critical_tables:
            names.remove("critical-tables")
        return await run_checks(names, context)

    before = workspace.previous(environment.name)
    coming = workspace.config.environments[before].branch if before is not None else ""
    return Ground(
        environment=environment.name,
        production=environment.config.production,
        link=link,
        repository=workspace.workshop,
        branch=environment.config.branch,
        folder=workspace.config.project.migrations,
        settings=workspace.config.migrations,
        backups=workspace.config.backups,
        engineer=workspace.engineer.label,
        session=link.session,
        cache=workspace.cache,
        coming=coming if coming != environment.config.branch else "",
        health=health,
    )
