"""Bringing an estate up, looking at it, and taking it down without a trace."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.drill import configuration, deploy, host, keeper, keys, parts, postgres, repository, sshd
from muva_console.drill.github import records, server
from muva_console.drill.ports import free_ports
from muva_console.drill.state import (
    STATE_FILE,
    ActiveFault,
    Estate,
    Site,
    default_directory,
    load,
    socket_directory,
)
from muva_console.drill.sweep import has_tag, sweep
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import utc_now

__all__ = ["Estate", "Status", "default_directory", "down", "load", "locked", "status", "up"]

_LOCK_TIMEOUT = 60.0

Progress = Callable[[str], None]


class ServerStatus(Struct, frozen=True, kw_only=True):
    """One server of the estate."""

    name: str
    running: bool
    pid: int | None
    port: int | None = None
    detail: str = ""


class Status(Struct, frozen=True, kw_only=True):
    """An estate as it is now."""

    directory: Path
    phase: str
    servers: tuple[ServerStatus, ...]
    faults: tuple[ActiveFault, ...]

    @property
    def whole(self) -> bool:
        """Whether everything runs and no fault is broken in."""
        return self.phase == "up" and not self.faults and all(server.running for server in self.servers)


async def up(directory: Path, *, progress: Progress = lambda _: None, owner: int | None = None) -> Estate:
    """Bring up an estate in a folder that is new or empty, and return it healthy.

    With `owner`, a process id, the estate is taken down when that process ends, however it ends; without,
    it stands until `down`. A failure or a cancellation on the way, even a kill, leaves nothing behind.
    Raises OpsError.
    """
    found = await parts.find(progress)
    directory = _claim(directory)
    with locked(directory):
        estate = _plan(directory, found)
        estate.save()
        # One watches over this process while it builds, another over the owner for good.
        builder = keeper.start(estate, os.getpid()) if owner != os.getpid() else None
        if owner is not None:
            keeper.start(estate, owner)
        try:
            await _build(estate, found, progress)
        except BaseException:
            _remove(estate)
            raise
        if builder is not None:
            keeper.dismiss(estate, builder)
    return estate


async def down(directory: Path, *, progress: Progress = lambda _: None) -> bool:
    """Take an estate down: every process ended, every file gone. False when there was none.

    Raises OpsError when a process cannot be ended, or when `directory` is not an estate's.
    """
    if not (directory / STATE_FILE).exists():
        return False

    def work() -> bool:
        with locked(directory):
            if not (directory / STATE_FILE).exists():
                return False
            estate = load(directory)
            if estate.directory != directory.resolve():
                raise OpsError(
                    f"this folder was copied from the estate in {estate.directory}", where=str(directory)
                )
            progress("taking the estate down")
            _remove(estate)
            return True

    return await asyncio.to_thread(work)


async def status(directory: Path) -> Status:
    """How the estate in a folder is. Raises OpsError when there is none."""
    estate = load(directory)
    servers = [
        _server("postgres", postgres.server_pid(estate), estate.postgres_port),
        _server("sshd", sshd.server_pid(estate), estate.ssh_port),
        _server("github", server.server_pid(estate), estate.github_port),
        _server("pm2", _pid_in(estate.pm2_home / "pm2.pid", estate), None),
    ]
    for site in estate.sites.values():
        told, body, _ = await deploy.get(site, "/api/health")
        servers.append(
            ServerStatus(
                name=site.process, running=told == 200, pid=None, port=site.port,
                detail=f"HTTP {told}" if told else "no answer" if not body else "",
            )
        )  # fmt: skip
    return Status(
        directory=estate.directory, phase=estate.phase, servers=tuple(servers), faults=tuple(estate.faults)
    )


@contextmanager
def locked(directory: Path, *, timeout: float = _LOCK_TIMEOUT) -> Iterator[None]:
    """Hold an estate for oneself. Raises OpsError when another holds it for longer than `timeout` seconds."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OpsError("there is no drill estate here", where=str(directory)) from error
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise OpsError(
                        "another command is at work on this estate", where=str(directory)
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _claim(directory: Path) -> Path:
    """Make the folder, or take the empty one that is there; returns it without symbolic links."""
    if (directory / STATE_FILE).exists():
        raise OpsError(
            "a drill estate stands here already",
            where=str(directory),
            next=f"muva drill down --dir {directory}",
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise OpsError("this is not an empty folder", where=str(directory), next="choose another --dir")
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    return directory.resolve()


def _plan(directory: Path, found: parts.Parts) -> Estate:
    estate_id = secrets.token_hex(4)
    ssh_port, postgres_port, github_port, github_blob_port, production, staging = free_ports(6)
    pm2_home, short = socket_directory(directory, estate_id)
    www = directory / "host" / "var" / "www"
    sites = {
        name: Site(
            environment=name, branch=branch, process=f"muva-{name}", port=port, directory=www / folder,
            database=f"muva_{name}", role=f"muva_{name}",
        )
        for name, branch, port, folder in (
            ("production", "main", production, "muva-chat"),
            ("staging", "staging", staging, "muva-chat-staging"),
        )
    }  # fmt: skip
    return Estate(
        id=estate_id, directory=directory, created_at=utc_now(), ssh_port=ssh_port,
        postgres_port=postgres_port, github_port=github_port, github_blob_port=github_blob_port,
        pm2_home=pm2_home, short=short,
        sites=sites, node=found.node, postgres_programs=found.postgres,
    )  # fmt: skip


async def _build(estate: Estate, found: parts.Parts, progress: Progress) -> None:
    for folder in (estate.secrets, estate.logs, estate.journal, estate.backups):
        folder.mkdir(mode=0o700)
    if estate.short is not None:
        estate.short.mkdir(mode=0o700)
    (estate.secrets / "planted").write_text(f"sk_live_{secrets.token_hex(20)}\n")
    (estate.secrets / "planted").chmod(0o600)
    keys.generate(estate)
    postgres.make_passwords(estate)
    records.make_secrets(estate)
    host.prepare(estate, found)
    standing_in = server.begin(estate)  # comes up while the rest is made
    written = asyncio.Event()
    await _together(
        _database(estate, progress, written),
        _code(estate, progress, written),
        _servers(estate, progress),
    )
    progress("starting muva-production and muva-staging under PM2")
    await deploy.start_all(estate)
    sites = estate.sites.values()
    await _together(*(deploy.until_healthy(site) for site in sites), server.until_ready(estate, standing_in))
    progress("measuring the usual response time")
    baselines = [await deploy.baseline(site) for site in sites]
    configuration.write(estate, dict(zip(estate.sites, baselines, strict=True)))
    estate.phase = "up"
    estate.save()


async def _database(estate: Estate, progress: Progress, written: asyncio.Event) -> None:
    progress("making PostgreSQL's cluster")
    await postgres.initialise(estate)
    await postgres.start(estate)
    progress("creating the databases, applying the migrations")
    await postgres.create_databases(estate)
    migrations = [
        (Path(name).name, data.decode())
        for name, data in sorted(repository.application_files().items())
        if name.startswith("supabase/migrations/")
    ]
    await _together(
        *(postgres.fill(estate, site.database, site.role, migrations) for site in estate.sites.values())
    )
    await written.wait()
    production = estate.sites["production"]
    await postgres.dump(estate, production, await repository.head(estate, production.branch))


async def _code(estate: Estate, progress: Progress, written: asyncio.Event) -> None:
    """Sets `written` when the repository is there."""
    progress("writing the git history")
    await repository.create(estate)
    written.set()
    progress("building the application for production and staging")
    await _together(
        repository.clone(estate, "dev", estate.checkout),
        *(deploy.place(estate, site) for site in estate.sites.values()),
    )


async def _servers(estate: Estate, progress: Progress) -> None:
    progress("starting the SSH server and PM2's daemon")
    await _together(sshd.start(estate), deploy.start_daemon(estate))


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """All at once; the first failure ends the others and is raised itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def _remove(estate: Estate) -> None:
    if estate.phase != "stopping":
        estate.phase = "stopping"
        estate.save()
    segment = postgres.shared_memory(estate)
    left = sweep(estate.id, estate.data)
    if left:
        raise OpsError(
            f"processes that cannot be ended: {', '.join(map(str, left))}",
            where=str(estate.directory),
        )
    if segment is not None:
        postgres.release(segment)
    if estate.short is not None:
        shutil.rmtree(estate.short, ignore_errors=True)
    # The record goes last: as long as it stands, `down` can be called again.
    for entry in estate.directory.iterdir():
        if entry.name != STATE_FILE:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    shutil.rmtree(estate.directory)


def _server(name: str, pid: int | None, port: int | None) -> ServerStatus:
    return ServerStatus(name=name, running=pid is not None, pid=pid, port=port)


def _pid_in(path: Path, estate: Estate) -> int | None:
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return None
    return pid if has_tag(pid, estate.id) else None
