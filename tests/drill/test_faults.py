"""The faults together, and what else breaks or mends one; tests/cli/test_cli_faults.py has each by itself."""

from __future__ import annotations

import subprocess
import tomllib

import pytest

from muva_console.drill import deploy, faults, host, repository
from muva_console.drill import estate as estates
from muva_console.drill.github.records import store
from muva_console.drill.ports import listens
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError
from tests.drill.seen import ssh_answers, without_database
from tests.patience import HANG


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


async def test_what_came_after_a_bad_commit_stays(breakable_estate: Estate) -> None:
    directory, git = breakable_estate.directory, ["git", "-C", str(breakable_estate.repository)]
    before = await repository.head(breakable_estate, "dev")
    for name in ("planted-secret", "unreviewed-commit"):
        await faults.break_in(directory, name)
    try:
        with pytest.raises(OpsError, match="unreviewed-commit came after it"):
            await faults.mend(directory, ["planted-secret"])
        await faults.mend(directory, ["unreviewed-commit"])
        await repository.commit(breakable_estate, "dev", "docs: more", {"docs/more.md": b"More.\n"})

        await faults.mend(directory)

        with pytest.raises(OpsError):
            await repository.read(breakable_estate, "dev", "scripts/payments.js")
        assert await repository.read(breakable_estate, "dev", "docs/more.md") == "More.\n"
        subjects = subprocess.check_output([*git, "log", "--format=%s", f"{before}..dev"], text=True)
        assert subjects.splitlines()[0] == 'Revert "feat(report): count the payments of the day"'
    finally:
        subprocess.run([*git, "update-ref", "refs/heads/dev", before], check=True, timeout=HANG)


async def test_the_newest_is_mended_first_and_nothing_of_it_stays(breakable_estate: Estate) -> None:
    directory = breakable_estate.directory
    config = breakable_estate.config.read_bytes()
    before = await repository.head(breakable_estate, "dev")
    pulls = len(store(breakable_estate).read().pulls)
    for name in ("self-approved", "migration-conflict", "outside-window", "nobody-on-call"):
        await faults.break_in(directory, name)
    await faults.mend(directory)
    assert await repository.head(breakable_estate, "dev") == before
    assert len(store(breakable_estate).read().pulls) == pulls
    assert tomllib.loads(breakable_estate.config.read_text()) == tomllib.loads(config.decode())
