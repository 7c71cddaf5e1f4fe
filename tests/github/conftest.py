"""The stand-in for GitHub as the process that an estate has, over a repository of its own."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from muva_console.drill import repository
from muva_console.drill.github import records, server
from muva_console.drill.ports import free_ports
from muva_console.drill.state import Estate
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.readings import utc_now
from tests.conftest import in_thread


@pytest.fixture(scope="session")
def _standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """What of an estate GitHub needs: the repository, the secrets, the server."""
    folder = tmp_path_factory.mktemp("github")
    port, blob_port = free_ports(2)
    made = Estate(
        id=f"test{os.getpid()}", directory=folder, created_at=utc_now(), ssh_port=1, postgres_port=1,
        github_port=port, github_blob_port=blob_port, pm2_home=folder, sites={}, node=folder,
        postgres_programs=folder,
    )  # fmt: skip
    made.save()
    for each in (made.secrets, made.logs):
        each.mkdir()
    records.make_secrets(made)

    async def begin() -> int:
        process = server.begin(made)
        await repository.create(made)
        await server.until_ready(made, process)
        return process.pid

    pid = in_thread(begin)
    shutil.copy(folder / "github.json", folder / "github.first")
    shutil.copytree(made.repository / "refs", folder / "refs.first")
    yield made
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def hub(_standing: Estate) -> Iterator[Estate]:
    """A fresh GitHub: what a test changed is as before afterwards."""
    yield _standing
    folder: Path = _standing.directory
    shutil.copy(folder / "github.first", folder / "github.json")
    shutil.rmtree(_standing.repository / "refs")
    shutil.copytree(folder / "refs.first", _standing.repository / "refs")
    records.messages_file(_standing).unlink(missing_ok=True)


@pytest.fixture
async def link(hub: Estate) -> AsyncIterator[GitHubLink]:
    """The console's link to it, with the engineer's token."""

    async def token() -> str:
        return records.token_file(hub).read_text().strip()

    made = GitHubLink(hub.github_url, records.REPOSITORY, token, timeout=10)
    yield made
    await made.close()


@pytest.fixture
async def client(hub: Estate) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client, as any other program would ask."""
    headers = {"Authorization": f"Bearer {records.token_file(hub).read_text().strip()}"}
    base = f"{hub.github_url}/repos/{records.REPOSITORY}"
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as made:
        yield made
