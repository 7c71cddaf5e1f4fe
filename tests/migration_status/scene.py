"""A repository with dev, staging and main, and a database an environment: real, small, made for a test."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from muva_console.config.load import load
from muva_console.ops.workspace import Workspace
from tests.postgres.server import PASSWORD, Server

FOLDER = "supabase/migrations"
FLOW = {"dev": "dev", "staging": "staging", "production": "main"}
Files = Mapping[str, str | bytes]
HISTORY = (
    "create schema supabase_migrations; create table supabase_migrations.schema_migrations "
    "(version text not null primary key, statements text[], name text)"
)


@dataclass
class Scene:
    """`commit` and `database` make what the workspace then looks at."""

    folder: Path
    server: Server
    databases: tuple[str, ...]
    """Environments that have one, named as they are here and in the server with `prefix`."""
    prefix: str

    @property
    def config(self) -> Path:
        return self.folder / "muva.toml"

    def write(self, *, port: int | None = None, unreachable: Sequence[str] = ()) -> None:
        """The configuration."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        text = [
            f'[project]\ncheckout = "{self.folder}/checkout"\ncache = "{self.folder}/cache"\n'
            f'[journal]\ndirectory = "{self.folder}/journal"'
        ]
        for name, branch in FLOW.items():
            text.append(f'[environments.{name}]\nbranch = "{branch}"')
            text.append(f"production = {str(name == 'production').lower()}")
            if name in self.databases:
                at = 1 if name in unreachable else port or self.server.port
                text.append(
                    f'[environments.{name}.database]\nhost = "127.0.0.1"\nport = {at}\n'
                    f'name = "{self.prefix}_{name}"\nuser = "postgres"\npassword = {{ file = "{secret}" }}'
                )
        self.config.write_text("\n".join(text) + "\n")
        self.config.chmod(0o600)

    def git(self, *words: str, input: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder / "checkout"), *words],
            check=True, capture_output=True, input=input, timeout=30,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def commit(self, **branches: Files) -> None:
        """Give each of main, staging and dev these files, and no others."""
        checkout = self.folder / "checkout"
        if not checkout.exists():
            words = ["git", "init", "-q", "--template=", "-b", "main", str(checkout)]
            subprocess.run(words, check=True, timeout=30)
        stream = bytearray()
        for branch, files in branches.items():
            stream += f"commit refs/heads/{branch}\ncommitter A <a@example.org> 1760000000 +0000\n".encode()
            stream += b"data 1\nx\ndeleteall\n"
            for name, content in files.items():
                data = content.encode() if isinstance(content, str) else content
                quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
                stream += f'M 100644 inline "{FOLDER}/{quoted}"\ndata {len(data)}\n'.encode() + data + b"\n"
            stream += b"\n"
        self.git("fast-import", "--quiet", "--force", input=bytes(stream))

    async def sql(self, environment: str, *statements: str) -> None:
        connection = await connect(self.server, f"{self.prefix}_{environment}")
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close(timeout=5)

    async def record(self, environment: str, *rows: tuple[str, str | None, Sequence[str] | None]) -> None:
        """Write (version, name, statements) into the history."""
        connection = await connect(self.server, f"{self.prefix}_{environment}")
        try:
            await connection.executemany(
                "insert into supabase_migrations.schema_migrations (version, name, statements)"
                " values ($1, $2, $3)",
                [(version, name, None if ran is None else list(ran)) for version, name, ran in rows],
            )
        finally:
            await connection.close(timeout=5)

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[Workspace]:
        workspace = Workspace(load(self.config))
        try:
            yield workspace
        finally:
            await workspace.close()


async def connect(server: Server, database: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database=database,
        timeout=20, ssl=False,
    )  # fmt: skip
