"""Looking from outside whether a release serves."""

from __future__ import annotations

import asyncio

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.health.document import read_document
from muva_console.ops.release.served import same

IN_A_ROW = 3
"""Good answers in a row, after the hosts' own. Ours."""
WITHIN = 60.0
"""Seconds for them."""


async def seen_from_here(ctx: CheckContext, commit: str) -> str:
    """Why it is not well from outside, several times in a row; empty where it is."""
    row, why = 0, "no answer"
    deadline = asyncio.get_running_loop().time() + WITHIN
    while row < IN_A_ROW:
        if asyncio.get_running_loop().time() > deadline:
            return why
        try:
            answer = await ctx.fresh().health()
            document = read_document(answer.json)
            served = document.commit if document is not None else ""
            if answer.status != 200:
                row, why = 0, f"{answer.url} answers {answer.status or answer.error or 'not'}"
            elif served and not same(served, commit):
                row, why = 0, f"{answer.url} serves {served[:7]}"
            else:
                row += 1
        except OpsError as error:
            row, why = 0, error.what
        await asyncio.sleep(0.5)
    return ""
