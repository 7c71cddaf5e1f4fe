"""What items hang on, read for itself: which commit goes out, which it goes to, which is served."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.runbooks.model import Basis

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace


async def read_basis(
    workspace: Workspace, environment: str, needed: Collection[Basis]
) -> tuple[dict[str, str], str]:
    """The commits of `needed` that could be read, by `Basis`, and why others could not (empty when all were).

    Never raises for what cannot be reached: what is not known expires nothing, and is told.
    """
    parts = []
    errors: list[str] = []
    if Basis.OUTGOING in needed or Basis.TARGET in needed:
        parts.append(_branches(workspace, environment, errors))
    if Basis.SERVING in needed:
        parts.append(_serving(workspace, environment))
    found: dict[str, str] = {}
    for outcome in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(outcome, OpsError):
            errors.append(str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            found |= outcome
    return {on: sha for on, sha in found.items() if on in needed}, "; ".join(errors)


async def _branches(workspace: Workspace, environment: str, errors: list[str]) -> dict[str, str]:
    """What the last fetch knew where the remote is away: what is said now is said of that."""
    before = workspace.previous(environment)
    environments = workspace.config.environments
    heads, away = await workspace.workshop.known_heads()
    if away:
        errors.append(away)
    found = {}
    source = environments[before].branch if before is not None else environments[environment].branch
    if source in heads:
        found[Basis.OUTGOING] = heads[source]
    if environments[environment].branch in heads:
        found[Basis.TARGET] = heads[environments[environment].branch]
    return {str(on): sha for on, sha in found.items()}


async def _serving(workspace: Workspace, environment: str) -> dict[str, str]:
    ops = workspace.environments[environment]
    if ops.config.url is None:
        return {}
    answer = await ops.web.get(
        ops.config.url.rstrip("/") + ops.config.health, timeout=workspace.config.health.timeout
    )
    document = read_document(answer.json)
    return {str(Basis.SERVING): document.commit} if document is not None and document.commit else {}
