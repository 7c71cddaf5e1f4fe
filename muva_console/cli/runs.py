"""`muva runs`: the workflows' runs on GitHub; and following one that a deployment waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muva_console.ops.runbooks.standing import ItemView
    from muva_console.ops.walking.walk import Walk
    from muva_console.ops.workspace import Workspace


async def follow_item(workspace: Workspace, item: ItemView, walk: Walk) -> None:
    """Stream what a workflow's run does, where that is what the item waits for."""
