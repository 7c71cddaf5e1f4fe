"""Short scripts of ours on a host: run by `sh` whatever the login's shell is, failures in their own words."""

from __future__ import annotations

from collections.abc import Collection
from shlex import quote

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandResult, HostLink
from muva_console.ops.text import sanitise, sanitise_line

TIMEOUT = 20.0
"""Seconds. Ours: each asks or says one thing."""
LIMIT = 512 * 1024
"""Bytes of output."""


async def run_script(
    link: HostLink,
    script: str,
    *,
    failed: str,
    input: bytes | None = None,
    fine: Collection[int] = (0,),
) -> CommandResult:
    """Run `script` to its end. Raises LinkError: the link's own, and where its exit status is none of `fine`,
    with `failed` and the first line of what it said.
    """
    result = await link.run(f"sh -c {quote(script)}", timeout=TIMEOUT, limit=LIMIT, input=input)
    if result.exit_status not in fine:
        said = sanitise_line(sanitise(result.stderr).strip().partition("\n")[0], cap=200)
        raise LinkError(
            Fault.OTHER, f"{failed}: {said or f'exit status {result.exit_status}'}", where=link.host
        )
    return result
