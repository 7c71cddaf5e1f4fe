"""Migration status of 10,000 files against three environments, the first time and with what was remembered.

Against the least that has to be read for it, in the same run: the list of files of each branch and every
content by git, and the three histories with their statements. Each is a process of its own that begins with
an open eye: what it takes to start Python is not counted, what it imports to answer is. The records are what
the Supabase CLI would have written; in "rewritten" each was written otherwise: other letters, other white
space. A remembered status reads no content and no statement at all.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import Figure, header, median

FILES = 10_000
ROUNDS = 5
FLOW = {"dev": ("dev", 0), "staging": ("staging", 2), "production": ("main", 5)}
"""By environment its branch, and how many of the newest files that and its database lack."""
FIRST, AGAIN, REWRITTEN = 3.0, 2.0, 8.0
"""Bars of the ratios. DESIGN's are absolute, 4 s the first time and 1 s with what was remembered."""


async def measure() -> list[Figure]:
    """Three figures."""
    from tests.postgres.server import running_server

    with tempfile.TemporaryDirectory(prefix="muva-b-") as folder, running_server() as server:
        at = Path(folder)
        await asyncio.to_thread(_repository, at / "checkout")
        await _databases(at, server.port, rewritten=False)
        found: dict[str, list[float]] = {"floor": [], "first": [], "again": [], "rewritten": []}
        for _ in range(ROUNDS):
            _forget(at)
            for what in ("floor", "first", "again"):
                found[what].append(await _one(at, "floor" if what == "floor" else "status"))
        await _databases(at, server.port, rewritten=True)
        for _ in range(ROUNDS):
            _forget(at)
            found["rewritten"].append(await _one(at, "status"))
    floor = median(found["floor"])
    bars = {"first": (FIRST, 4.0), "again": (AGAIN, 1.0), "rewritten": (REWRITTEN, 4.0)}
    names = {"first": "the first time", "again": "remembered", "rewritten": "the first time, rewritten"}
    figures = []
    for what, (bar, seconds) in bars.items():
        ours = median(found[what])
        figures.append(
            Figure(
                name=f"migration status, {FILES:,} × 3, {names[what]}",
                ours=f"{ours:.2f} s (≤ {seconds:g} s: {'yes' if ours <= seconds else 'NO'})",
                peer=f"reading it all {floor:.2f} s",
                ratio=ours / floor,
                bar=f"≤ {bar:g} ×",
                met=ours / floor <= bar,
            )
        )
    return figures


def _text(number: int) -> str:
    return f"""-- Number {number}: what it is for, in a line or two.
create table public.things_{number} (
  id uuid primary key default gen_random_uuid(),
  name text not null check (length(name) < 200),
  price_cents integer not null default {number},
  created_at timestamptz not null default now()
);

create index things_{number}_name_idx on public.things_{number} (name);
alter table public.things_{number} enable row level security;
create policy "anyone sees things" on public.things_{number} for select to anon using (true);
create function public.count_{number}() returns bigint language sql as $$
  select count(*) from public.things_{number}; -- all
$$;
"""


def _name(number: int) -> tuple[str, str]:
    return str(20_200_101_000_000 + number), f"add_things_{number}"


def _repository(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", "--template=", "-b", "main", folder], check=True, timeout=60)
    stream, begin = bytearray(), 0
    for branch, lacks in (("main", 5), ("staging", 2), ("dev", 0)):
        mark = {"main": "mark :1\n", "staging": "mark :2\n", "dev": ""}[branch]
        stream += f"commit refs/heads/{branch}\n{mark}committer A <a@example.org> 1760000000 +0000\n".encode()
        stream += b"data 1\nx\n" + {"main": b"", "staging": b"from :1\n", "dev": b"from :2\n"}[branch]
        for number in range(begin, FILES - lacks):
            data = _text(number).encode()
            path = f"supabase/migrations/{'_'.join(_name(number))}.sql"
            stream += f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n"
        begin = FILES - lacks
        stream += b"\n"
    words = ["git", "-C", str(folder), "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"]
    subprocess.run(words, check=True, input=bytes(stream), timeout=120)


async def _databases(at: Path, port: int, *, rewritten: bool) -> None:
    """The histories, and the configuration that leads to them."""
    import asyncpg

    from muva_console.drill.migrate import split
    from tests.postgres.server import PASSWORD

    async def connect(name: str) -> Any:
        return await asyncpg.connect(
            host="127.0.0.1", port=port, user="postgres", password=PASSWORD, database=name, ssl=False
        )

    (at / "password").write_text(PASSWORD)
    (at / "password").chmod(0o600)
    text = f'[project]\ncheckout = "{at}/checkout"\ncache = "{at}/cache"\n'
    text += f'[journal]\ndirectory = "{at}/journal"\n'
    admin = await connect("postgres")
    for name, (branch, lacks) in FLOW.items():
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.execute(f"create database {name}")
        connection = await connect(name)
        await connection.execute(
            "create schema supabase_migrations; create table supabase_migrations.schema_migrations"
            " (version text primary key, statements text[], name text)"
        )
        rows = []
        for number in range(FILES - lacks):
            version, title = _name(number)
            ran = split(_text(number))
            if rewritten:
                ran = [statement.replace("create ", "CREATE  ", 1).replace(" < ", "<") for statement in ran]
            rows.append((version, ran, title))
        await connection.copy_records_to_table(
            "schema_migrations", schema_name="supabase_migrations", records=rows,
            columns=["version", "statements", "name"],
        )  # fmt: skip
        await connection.close()
        text += (
            f'[environments.{name}]\nbranch = "{branch}"\nproduction = {str(name == "production").lower()}\n'
            f'[environments.{name}.database]\nhost = "127.0.0.1"\nport = {port}\nname = "{name}"\n'
            f'user = "postgres"\npassword = {{ file = "{at}/password" }}\n'
        )
    await admin.close()
    (at / "muva.toml").write_text(text)
    (at / "muva.toml").chmod(0o600)


def _forget(at: Path) -> None:
    (at / "cache" / "migrations.shapes").unlink(missing_ok=True)


async def _one(at: Path, what: str) -> float:
    """Seconds of one answer, by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.migrations", what, str(at / "muva.toml"), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    seconds: float = json.loads(out)
    return seconds


async def _answer(what: str, config: Path) -> float:
    from muva_console.config.load import load
    from muva_console.ops.workspace import Workspace

    workspace = Workspace(load(config))
    try:
        began = time.perf_counter()
        await (_floor(workspace) if what == "floor" else _status(workspace))
        return time.perf_counter() - began
    finally:
        await workspace.close()


async def _status(workspace: Any) -> None:
    from muva_console.ops.migrations.model import State
    from muva_console.ops.migrations.status import read_matrix

    matrix = await read_matrix(workspace)
    assert len(matrix.rows) == FILES
    told = [column.counts for column in matrix.columns]
    assert [one[State.APPLIED] for one in told] == [FILES - lacks for _, lacks in FLOW.values()], told
    assert not any(column.problems for column in matrix.columns), told


async def _floor(workspace: Any) -> None:
    """All that has to be read where nothing is remembered, and no more: looked at by nobody."""
    from muva_console.ops.migrations.history import read_history

    workshop = workspace.workshop

    async def files() -> None:
        heads, _ = await workshop.known_heads()
        trees = [await workshop.tree(heads[branch], "supabase/migrations") for branch, _ in FLOW.values()]
        blobs = {blob.oid: blob for tree in trees for blob in tree.values()}
        assert len(await workshop.contents(blobs.values())) == FILES

    links = [one.postgres for one in workspace.environments.values()]
    reading = asyncio.gather(*(read_history(link) for link in links))
    _, histories = await asyncio.gather(files(), reading)
    assert [len(one.applied) for one in histories] == [FILES - lacks for _, lacks in FLOW.values()]


async def main() -> None:
    """Print the figures."""
    print(header())
    for figure in await measure():
        print(figure.line())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(asyncio.run(_answer(sys.argv[1], Path(sys.argv[2])))))
    else:
        asyncio.run(main())
