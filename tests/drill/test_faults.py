"""The faults together, and what else breaks or mends one; tests/cli/test_cli_faults.py has each by itself."""

from __future__ import annotations

import pytest

from muva_console.drill import deploy, faults, host
from muva_console.drill import estate as estates
from muva_console.drill.ports import listens
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError
from tests.drill.seen import ssh_answers, without_database


async def test_two_at_once_and_one_mended_before_the_other(breakable_estate: Estate) -> None:
    directory = breakable_estate.directory
    await faults.break_in(directory, "database-stopped")
    estate = await faults.break_in(directory, "ssh-gone")
    await without_database(estate)
    assert not await ssh_answers(estate)
    with pytest.raises(OpsError, match="already"):
        await faults.break_in(directory, "ssh-gone")

    estate = await faults.mend(directory, ["database-stopped"])

    assert [active.name for active in estate.faults] == ["ssh-gone"]
    assert not await ssh_answers(estate)
    await faults.mend(directory)
    assert await ssh_answers(estate)
    assert await deploy.healthy(estate.sites["production"])


async def test_what_an_engineer_mended_already_is_no_trouble(breakable_estate: Estate) -> None:
    directory = breakable_estate.directory
    estate = await faults.break_in(directory, "process-stopped", environment="staging")
    assert await listens(estate.sites["production"].port)
    await host.on_host(estate, "pm2 restart muva-staging")
    estate = await faults.mend(directory)
    assert (await estates.status(directory)).whole


async def test_an_unknown_fault_is_told_with_those_there_are(estate: Estate) -> None:
    with pytest.raises(OpsError) as told:
        await faults.break_in(estate.directory, "flood")
    assert "crash-loop" in told.value.next
