"""Either side is killed at any point: nothing is lost, nothing comes twice, the chain holds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from muva_console.ops.journal import Draft, Filter, Kind
from muva_console.ops.links.postgres_session import PostgresSession
from muva_console.ops.readings import Level
from tests.journal_shared.conftest import MakeHost, url_of
from tests.patience import HANG
from tests.postgres.server import Server

pytestmark = [pytest.mark.timeout(HANG), pytest.mark.xdist_group("journal_shared")]
STEPS = 8
"""Statements of a write: of the opening, identity twice, BEGIN, the lock, one page, INSERT, COMMIT."""
CHILD = """
import asyncio, os, sys
from pathlib import Path
from muva_console.ops.journal import Draft, Kind
from muva_console.ops.links.postgres_session import PostgresSession
from tests.journal_shared.conftest import journal_of

folder, url, point = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
asked = 0

def wrapped(method):
    async def ask(self, *arguments, **options):
        global asked
        asked += 1
        if 2 * asked - 1 == point:
            os._exit(9)          # before the statement is sent
        answer = await method(self, *arguments, **options)
        if 2 * asked == point:
            os._exit(9)          # after it was answered
        return answer
    return ask

PostgresSession.execute = wrapped(PostgresSession.execute)
PostgresSession.fetch = wrapped(PostgresSession.fetch)

async def main():
    journal = journal_of(folder, url, "dana")
    await journal.append_many([Draft(kind=Kind.NOTE, subject="note", text=t) for t in ("child 1", "child 2")])
    await journal.close()

asyncio.run(main())
"""


def child(folder: Path, url: str, point: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), url, str(point)],
        cwd=Path(__file__).parents[2],
        env={**os.environ},
        capture_output=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode in (0, 9), done.stderr.decode()
    return done.returncode


@pytest.mark.parametrize("point", range(1, 2 * STEPS + 1))
async def test_a_console_killed_at_any_statement(
    cluster: Server, host: MakeHost, admin: asyncpg.Connection, tmp_path: Path, point: int
) -> None:
    other = host("jump-2", engineer="eve")
    await other.append(Draft(kind=Kind.NOTE, subject="note", text="before"))
    killed = await asyncio.to_thread(child, tmp_path / "jump-1", url_of(cluster), point)
    assert killed == 9
    await other.append(Draft(kind=Kind.NOTE, subject="note", text="after"))  # the lock was not left behind
    mended = host("jump-1")
    await mended.read()
    told = [entry.text for entry in await mended.read(Filter(limit=None))]
    # written whole or not at all: nobody was told that it was
    assert told.count("child 1") == told.count("child 2") <= 1
    assert [text for text in told if text in ("before", "after")] == ["before", "after"]
    if "child 1" in told:
        assert told.index("child 2") == told.index("child 1") + 1
    assert [entry.text for entry in await other.read(Filter(limit=None))] == told
    rows = await admin.fetch("SELECT text FROM muva_journal.entry ORDER BY id")
    assert [row["text"] for row in rows] == told
    for journal in (mended, other):
        assert (await journal.verify()).level is Level.OK


@pytest.mark.parametrize("point", range(1, 2 * STEPS + 1))
async def test_the_server_ends_the_session_at_any_statement(
    host: MakeHost, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    other = host("jump-2", engineer="eve")
    await other.append(Draft(kind=Kind.NOTE, subject="note", text="before"))
    await other.close()
    asked = 0

    def wrapped(method: Any) -> Any:
        async def ask(self: PostgresSession, *arguments: Any, **options: Any) -> Any:
            nonlocal asked
            asked += 1
            mine = asked
            if 2 * mine - 1 == point:
                await end(self)
            answer = await method(self, *arguments, **options)
            if 2 * mine == point:
                await end(self)
            return answer

        return ask

    async def end(session: PostgresSession) -> None:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'muva-console' AND pid <> pg_backend_pid()"
        )

    with monkeypatch.context() as patched:
        patched.setattr(PostgresSession, "execute", wrapped(PostgresSession.execute))
        patched.setattr(PostgresSession, "fetch", wrapped(PostgresSession.fetch))
        journal = host("jump-1")
        await journal.append(Draft(kind=Kind.NOTE, subject="note", text="mine"))
        assert 2 * asked >= point
    # it was said to be written, so it is there: once
    await journal.read()
    told = [entry.text for entry in await journal.read(Filter(limit=None))]
    assert told == ["before", "mine"]
    rows = await admin.fetch("SELECT text FROM muva_journal.entry ORDER BY id")
    assert [row["text"] for row in rows] == told
    assert (await journal.status()).waiting == 0
    assert (await journal.verify()).level is Level.OK
