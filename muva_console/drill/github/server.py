"""The stand-in as a process of the estate's: started early, waited for late, swept with the others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from muva_console.drill.ports import listens, until
from muva_console.drill.run import spawn
from muva_console.drill.state import TAG, Estate, load
from muva_console.drill.sweep import has_tag
from muva_console.ops.errors import OpsError


def pid_file(estate: Estate) -> Path:
    """Where the server's process id stands."""
    return estate.directory / "github.pid"


def server_pid(estate: Estate) -> int | None:
    """The server's process id when it runs."""
    try:
        pid = int(pid_file(estate).read_text())
    except (OSError, ValueError):
        return None
    return pid if has_tag(pid, estate.id) else None


def begin(estate: Estate) -> subprocess.Popen[bytes]:
    """Start the process; `until_ready` waits for it. The tokens must be there. Raises OpsError."""
    process = spawn(
        [sys.executable, "-m", __name__, estate.directory],
        env={
            TAG: estate.id,
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        cwd=Path("/"), log=estate.logs / "github.log",
    )  # fmt: skip
    pid_file(estate).write_text(f"{process.pid}\n")
    return process


async def until_ready(estate: Estate, process: subprocess.Popen[bytes]) -> None:
    """Wait until it listens. Raises OpsError."""

    async def ready() -> bool:
        if process.poll() is not None:
            raise OpsError("the stand-in for GitHub ended at once", where=str(estate.logs / "github.log"))
        return await listens(estate.github_port) and await listens(estate.github_blob_port)

    await until(ready, "the stand-in for GitHub listens")


class Absolute:
    """An ASGI middleware: takes the absolute form of a request's target (RFC 9112, 3.2.2), which a client
    sends that takes this server for its proxy. So GitHub's own `gh` can be pointed at it: docs/drills.md.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as if it had been asked here."""
        if scope["type"] == "http" and "://" in scope["path"]:
            split = urlsplit(scope["path"])
            scope = {**scope, "path": split.path, "raw_path": quote(split.path).encode()}
        await self._app(scope, receive, send)


async def serve(estate: Estate) -> None:
    """Serve the API and, on the second port, what it redirects to, until the process is ended."""
    import uvicorn

    from muva_console.drill.github.app import hub_of, make

    hub = hub_of(estate)
    apps: dict[int, ASGIApp] = {
        estate.github_blob_port: hub.blobs.app(),
        estate.github_port: Absolute(make(hub)),
    }
    servers = [
        uvicorn.Server(uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="warning", access_log=False, server_header=False,
            lifespan="off", ws="none", http="h11",
        ))
        for port, app in apps.items()
    ]  # fmt: skip
    await asyncio.gather(*(server.serve() for server in servers))


def main() -> None:
    """`python -m muva_console.drill.github.server DIRECTORY`."""
    asyncio.run(serve(load(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
