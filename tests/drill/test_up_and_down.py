"""Whether an estate is whole when it is up, and leaves nothing when it is down."""

from __future__ import annotations

from muva_console.drill import estate as estates
from muva_console.drill.state import Estate


async def test_everything_runs(estate: Estate) -> None:
    status = await estates.status(estate.directory)
    assert status.whole, status
    assert {server.name for server in status.servers} == {
        "postgres", "sshd", "pm2", "muva-production", "muva-staging",
    }  # fmt: skip
