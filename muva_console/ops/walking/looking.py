"""What the items of a run look at: the contexts of one round of sensing, made anew for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.release.context import Release
from muva_console.ops.runbooks.model import Basis

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

HOTFIX = "hotfix"
"""What `given` calls the branch of a hotfix, which goes out in the place of the source environment's."""
SOURCE = "source"
"""What a step's `of` calls the environment that the code comes from."""


@dataclass(slots=True)
class Look:
    """One round: readings are taken once for all items that share them."""

    target: CheckContext
    """The run's own environment."""
    source: CheckContext | None
    """The one that its code comes from."""
    others: dict[str, CheckContext]
    given: dict[str, str]
    """What every check is given beside its step's parameters: the version that was asked for."""

    def of(self, word: str) -> CheckContext:
        """The context of a step's `of`. Raises OpsError when there is no such environment."""
        if not word or word == self.target.environment_name:
            return self.target
        if word == SOURCE:
            if self.source is None:
                name = self.target.environment_name
                raise OpsError(f"no environment comes before {name}: its code comes from nowhere else")
            return self.source
        if word not in self.others:
            raise OpsError(f"there is no environment {word}")
        return self.others[word]

    def basis(self) -> dict[str, str]:
        """What items of this round hang on, as far as it was read."""
        found: dict[str, str] = {}
        outgoing = self.target.taken("outgoing")
        if outgoing is not None:
            found |= {Basis.OUTGOING: outgoing.head, Basis.TARGET: outgoing.base}
        answer = self.target.taken("health")
        document = read_document(answer.json) if answer is not None else None
        if document is not None and document.commit:
            found[Basis.SERVING] = document.commit
        return found

    def end(self) -> None:
        """Give up what is still being read."""
        for ctx in (self.target, self.source, *self.others.values()):
            if ctx is not None:
                ctx.end()


def look(
    workspace: Workspace,
    environment: str,
    *,
    folder: Path | None = None,
    commit: str = "",
    given: Mapping[str, str] | None = None,
) -> Look:
    """The contexts of one round; `commit` is what goes out where that was chosen, else the source's head.
    Opens nothing yet.
    """
    before = workspace.previous(environment)
    target = workspace.environments[environment].context()
    source = workspace.environments[before].context() if before is not None else None
    hotfix = (given or {}).get(HOTFIX, "")
    release = Release(
        source_branch=hotfix or (source or target).environment.branch,
        target_branch=target.environment.branch,
        repository=workspace.workshop,
        journal=workspace.journal,
        secret=workspace.secret,
        source=source,
        github=workspace.github,
        commands=workspace.commands,
        folder=folder,
        commit="" if hotfix else commit,
        may_be_gone=bool(hotfix),
    )
    others = {
        name: ops.context()
        for name, ops in workspace.environments.items()
        if name not in (environment, before)
    }
    for ctx in (target, source, *others.values()):
        if ctx is not None:
            ctx.release = release
    if before is not None and source is not None:
        others[before] = source
    for ctx in (target, source, *others.values()):
        if ctx is not None:
            ctx.parameters = dict(given or {})
    return Look(target=target, source=source, others=others, given=dict(given or {}))
