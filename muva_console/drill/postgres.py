"""The estate's PostgreSQL: made, started and stopped; its databases, roles and practice data.

TCP on 127.0.0.1 with passwords (SCRAM) alone; no UNIX socket and nobody trusted.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from muva_console.drill.parts import APPLICATION
from muva_console.drill.ports import until
from muva_console.drill.run import run, spawn
from muva_console.drill.state import TAG, Estate, Site
from muva_console.drill.sweep import has_tag
from muva_console.ops.backups import backup_name
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    from asyncpg import Connection

_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "60",  # what Supabase's smallest compute size allows
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # nothing in /dev/shm that could be left behind
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum_naptime": "10min",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def make_passwords(estate: Estate) -> None:
    """Make a password for every role and keep each in a file that the owner alone can read."""
    roles = [name for site in estate.sites.values() for name in (site.role, f"{site.role}_app")]
    for role in ("postgres", *roles):
        path = estate.secrets / f"{role}.password"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")


def _as_server(estate: Estate) -> list[str]:
    """The words before a program that make it run as a user whom PostgreSQL accepts.

    It refuses root. Where we are root it runs as "nobody", which every system has, with the one
    capability that lets it reach folders that only root may enter, such as a virtual environment in /root.
    """
    if os.geteuid() != 0:
        return []
    user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    reach = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    closed = any(not _open_to_all(path) for path in (estate.postgres_programs, estate.data))
    return ["setpriv", *user, *(reach if closed else []), "--"]


def _open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in path.parents)


def _environment(estate: Estate) -> dict[str, str]:
    return {TAG: estate.id, "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


async def initialise(estate: Estate) -> None:
    """Make the cluster. Raises OpsError."""
    password = estate.secrets / "postgres.password"
    estate.data.mkdir(mode=0o700)
    handed = estate.data.with_name("postgres.pw")
    shutil.copy(password, handed)
    handed.chmod(0o600)
    if os.geteuid() == 0:
        for path in (estate.data, handed):
            os.chown(path, _NOBODY, _NOBODY)
    try:
        await run(
            [*_as_server(estate), estate.postgres_programs / "initdb", "-D", estate.data, "-U", "postgres",
             "--auth=scram-sha-256", f"--pwfile={handed}", "--encoding=UTF8", "--locale=C",
             "--no-sync", "--no-instructions"],
            env=_environment(estate), cwd=estate.directory,
        )  # fmt: skip
    finally:
        handed.unlink()
    settings = {**_SETTINGS, "port": str(estate.postgres_port)}
    with (estate.data / "postgresql.conf").open("a") as file:
        file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())


def server_pid(estate: Estate) -> int | None:
    """The server's process id when it runs."""
    try:
        pid = int((estate.data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if has_tag(pid, estate.id) else None


def shared_memory(estate: Estate) -> int | None:
    """The id of the System V segment that the server holds, from the seventh line of postmaster.pid."""
    try:
        return int((estate.data / "postmaster.pid").read_text().splitlines()[6].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def release(segment: int) -> None:
    """Remove a segment that a killed server left behind; one that is gone or in use stays as it is."""
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1]) == segment and fields[6] == "0":
            subprocess.run(["ipcrm", "-m", str(segment)], check=False, timeout=10)


async def start(estate: Estate) -> None:
    """Start the server and wait until it answers. Raises OpsError with what its log says."""
    if server_pid(estate) is None:
        server = spawn(
            [*_as_server(estate), estate.postgres_programs / "postgres", "-D", estate.data],
            env=_environment(estate), cwd=estate.data, log=estate.logs / "postgres.log",
        )  # fmt: skip

        async def ready() -> bool:
            if server.poll() is not None:
                raise OpsError(
                    "PostgreSQL ended at once",
                    where=str(estate.logs / "postgres.log"),
                    means=_last_words(estate),
                )
            return await answers(estate)
    else:

        async def ready() -> bool:
            return await answers(estate)

    await until(ready, "PostgreSQL answers")


def _last_words(estate: Estate) -> str:
    lines = (estate.logs / "postgres.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-3:])


async def stop(estate: Estate) -> None:
    """Stop the server as an administrator would, in mode fast. Raises OpsError."""
    if server_pid(estate) is not None:
        program = estate.postgres_programs / "pg_ctl"
        await run(
            [*_as_server(estate), program, "-D", estate.data, "-m", "fast", "-w", "-t", "20", "stop"],
            env=_environment(estate), cwd=estate.data, timeout=30.0,
        )  # fmt: skip


async def answers(estate: Estate) -> bool:
    """Whether a query is answered."""
    import asyncpg

    try:
        async with connect(estate, "postgres", "postgres") as connection:
            return bool(await connection.fetchval("select true"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


@asynccontextmanager
async def connect(estate: Estate, database: str, role: str) -> AsyncIterator[Connection]:
    """A connection as a role of the estate. Raises what asyncpg raises."""
    import asyncpg

    connection = await asyncpg.connect(
        host="127.0.0.1", port=estate.postgres_port, user=role, password=estate.password(role),
        database=database, timeout=5.0, command_timeout=20.0, ssl=False,
    )  # fmt: skip
    try:
        yield connection
    finally:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError):
            await connection.close(timeout=2.0)


async def create_databases(estate: Estate) -> None:
    """The roles and databases of every site, empty."""
    async with connect(estate, "postgres", "postgres") as admin:
        for name in ("anon", "authenticated"):
            await admin.execute(f"create role {name} nologin")
        await admin.execute("create role service_role nologin bypassrls")
        for site in estate.sites.values():
            owner, application = estate.password(site.role), estate.password(f"{site.role}_app")
            # token_urlsafe knows no quotes; CREATE ROLE takes no parameters.
            await admin.execute(f"create role {site.role} login createrole createdb password '{owner}'")
            await admin.execute(f"grant pg_monitor, pg_signal_backend to {site.role}")
            await admin.execute(
                f"create role {site.role}_app login password '{application}' in role service_role bypassrls"
            )
            await admin.execute(f"create database {site.database} owner {site.role}")
            await admin.execute(f"revoke all on database {site.database} from public")
            await admin.execute(f"grant connect on database {site.database} to {site.role}_app")


async def fill(estate: Estate, database: str, role: str, migrations: list[tuple[str, str]]) -> None:
    """Apply migrations (file name, text) as the Supabase CLI does, and seed the tables."""
    from muva_console.drill.migrate import apply

    async with connect(estate, database, role) as connection:
        grant = "alter default privileges in schema public grant"
        await connection.execute(f"{grant} select, insert, update, delete on tables to service_role")
        await connection.execute(f"{grant} usage, select on sequences to service_role")
        for name, text in migrations:
            await apply(connection, name, text)
        await connection.execute((APPLICATION / "supabase" / "seed.sql").read_text())
        await connection.execute("analyze")


async def dump(estate: Estate, site: Site, commit: str) -> Path:
    """A backup of a site's database by `pg_dump`, taken now, as of a commit that it serves. Raises
    OpsError.
    """
    path = estate.backups / backup_name(site.environment, utc_now(), commit[:12])
    await run(
        [estate.postgres_programs / "pg_dump", "--format=custom", f"--file={path}", "--host=127.0.0.1",
         f"--port={estate.postgres_port}", f"--username={site.role}", "--no-password", site.database],
        env={**_environment(estate), "PGPASSWORD": estate.password(site.role)}, cwd=estate.backups,
    )  # fmt: skip
    path.chmod(0o600)
    return path
