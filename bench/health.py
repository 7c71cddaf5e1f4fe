"""A health refresh over N endpoints and N hosts against its slowest part alone.

The servers run in a process of their own on loopback, one for HTTP and one for SSH, each endpoint and
each host with a delay of its own; the slowest endpoint takes a second. A host answers a reading of its
resources with what this machine really answered once: fifty hosts' work is not one machine's.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import Figure, header, median
from muva_console.config.model import Config, Dependency, Environment, Health, Host, Seconds, Url
from muva_console.ops.links.base import CommandLog

if TYPE_CHECKING:
    import asyncssh

    from muva_console.ops.checks import CheckContext
    from muva_console.ops.links.ssh import SshLink

SIZES = ((20, 5), (200, 50))
SLOWEST = 1.0
"""Seconds."""
ROUNDS = 5
BAR = 1.25
NAMES = ("api-health", "dependencies", "resources")


async def measure() -> list[Figure]:
    """A figure for each size."""
    with tempfile.TemporaryDirectory(prefix="muva-b-") as folder:
        async with _served(Path(folder)) as (web_port, ssh_port):
            return [await _size(*size, web_port, ssh_port, Path(folder)) for size in SIZES]


async def _size(endpoints: int, hosts: int, web_port: int, ssh_port: int, folder: Path) -> Figure:
    from muva_console.ops.checks import CheckContext
    from muva_console.ops.health.report import read_health
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.links.web import WebLink
    from muva_console.ops.readings import Level
    from muva_console.ops.resources import read

    log = CommandLog()
    table = Host(
        address="127.0.0.1",
        port=ssh_port,
        user="bench",
        identity=folder / "user_key",
        known_hosts=folder / "known_hosts",
        ssh_config=folder / "ssh_config",
    )
    links = {f"h{n}": SshLink(f"h{n}", table, log=log) for n in range(hosts)}
    base = f"http://127.0.0.1:{web_port}"
    environment = Environment(
        branch="main",
        url=Url(f"{base}/{SLOWEST}"),
        hosts=tuple(links),
        dependencies={
            f"d{n}": Dependency(url=Url(f"{base}/{SLOWEST * n / endpoints:.3f}/{n}"))
            for n in range(1, endpoints)
        },
    )
    web = WebLink("web bench", log)

    def taking(link: SshLink) -> object:
        return lambda: read(link)

    context: CheckContext = CheckContext(
        environment_name="bench",
        environment=environment,
        config=Config(health=Health(timeout=Seconds(30.0)), environments={"bench": environment}),
        web=web,
        hosts=links,
        take_resources={name: taking(link) for name, link in links.items()},  # type: ignore[misc]
    )
    alone: list[float] = []
    ours: list[float] = []
    try:
        await read_health(context, NAMES)  # opens the connections
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await web.get(f"{base}/{SLOWEST}/api/health", timeout=30)
            alone.append(time.perf_counter() - began)
            began = time.perf_counter()
            report = await read_health(context, NAMES)
            ours.append(time.perf_counter() - began)
            asked = [f for f in report.findings if f.subject not in ("database",)]
            assert len(asked) >= endpoints + hosts, len(asked)
            bad = [f for f in asked if f.level in (Level.UNKNOWN, Level.FAIL) and f.check != "resources"]
            bad += [f for f in asked if f.check == "resources" and f.level is Level.UNKNOWN]
            assert not bad, bad[0]
    finally:
        await asyncio.gather(web.close(), *(link.close() for link in links.values()))
    ratio = median(ours) / median(alone)
    return Figure(
        name=f"health refresh, {endpoints} endpoints, {hosts} hosts",
        ours=f"{median(ours) * 1000:.0f} ms (≤ {max(ours) * 1000:.0f})",
        peer=f"slowest alone {median(alone) * 1000:.0f} ms",
        ratio=ratio,
        bar=f"≤ {BAR:g} ×",
        met=ratio <= BAR,
    )


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[int, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.health", "serve", str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ports = json.loads(await process.stdout.readline())
        yield ports["web"], ports["ssh"]
    finally:
        process.kill()
        await process.wait()


async def _serve(folder: Path) -> None:
    """The servers: an HTTP path's first part is its delay in seconds, a host's is half of the slowest."""
    import asyncssh

    for name in ("user_key", "host_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        (folder / name).chmod(0o600)
        key.write_public_key(str(folder / f"{name}.pub"))
    (folder / "ssh_config").touch()
    body = json.dumps({"status": "healthy", "services": {"database": {"status": "ok"}}}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(float(head.split(b"/", 2)[1].split(b" ")[0]))
                writer.write(answer + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    known: dict[str, tuple[str, bytes]] = {}

    async def command(process: asyncssh.SSHServerProcess[bytes]) -> None:
        line = process.command or ""
        marker = re.search(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", line)
        assert marker is not None, line
        if "output" not in known:
            child = await asyncio.create_subprocess_shell(
                line, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            assert child.stdout is not None
            known["output"] = (marker[0], await child.stdout.read())
        first, output = known["output"]
        await asyncio.sleep(SLOWEST / 2)
        process.stdout.write(output.replace(first.encode(), marker[0].encode()))
        process.exit(0)

    web = await asyncio.start_server(page, "127.0.0.1", 0, backlog=1024)
    ssh = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(folder / "host_key")],
        authorized_client_keys=str(folder / "user_key.pub"),
        process_factory=command,
        encoding=None,
        backlog=256,
    )
    trusted = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{ssh.get_port()} {trusted}")
    print(json.dumps({"web": web.sockets[0].getsockname()[1], "ssh": ssh.get_port()}), flush=True)
    await asyncio.Event().wait()


async def main() -> None:
    """Print the figures."""
    print(header())
    for figure in await measure():
        print(figure.line())


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[2])) if sys.argv[1:2] == ["serve"] else main())
