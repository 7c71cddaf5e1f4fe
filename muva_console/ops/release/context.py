"""What checks of a release may look at beside one environment: the code that goes out, and its way there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.ops.errors import Fault, LinkError

if TYPE_CHECKING:
    from muva_console.config.model import Secret
    from muva_console.ops.checks import CheckContext
    from muva_console.ops.journal.store import Journal
    from muva_console.ops.links.base import CommandLog
    from muva_console.ops.links.github import GitHubLink
    from muva_console.ops.links.outgoing import Outgoing
    from muva_console.ops.links.source import Source


@dataclass(slots=True)
class Release:
    """What is going to an environment, for the checks of one run."""

    source_branch: str
    target_branch: str
    repository: Source
    journal: Journal
    secret: Callable[[Secret], Awaitable[str]]
    """A secret's value by its reference. Raises SecretError."""
    source: CheckContext | None = None
    """The environment that the code comes from (staging for production); None where there is none."""
    github: GitHubLink | None = None
    """None when no repository on GitHub is configured."""
    commands: CommandLog | None = None
    """Where what is run here is told."""
    folder: Path | None = None
    """Where outputs of commands are kept; None to keep none."""
    commit: str = ""
    """The commit that goes out, where a run was begun for one; empty for the head of `source_branch`."""
    may_be_gone: bool = False
    """`source_branch` may be deleted once it is merged (a setting of repositories): nothing is left to go."""

    async def left(self) -> Outgoing:
        """What the source branch has that the target has not; nothing where it is gone. Raises LinkError."""
        source, target = self.source_branch, self.target_branch
        try:
            return await self.repository.outgoing(source, target)
        except LinkError as error:
            if error.fault is not Fault.MISSING:
                raise
            heads, _ = await self.repository.known_heads()
            if source in heads or target not in heads:
                raise
            return await self.repository.outgoing(target, target)
