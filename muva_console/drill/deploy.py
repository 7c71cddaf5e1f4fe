"""Deploying to the estate's host by the playbook's own commands, and PM2 as its engineers would use it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shlex
import time

from muva_console.drill import repository
from muva_console.drill.host import on_host
from muva_console.drill.ports import until
from muva_console.drill.state import Estate, Site

BUILD = "pnpm install --frozen-lockfile && pnpm run build"
"""The playbook's build."""

_HEALTHY_TIMEOUT = 60.0


def write_env_file(estate: Estate, site: Site) -> None:
    """The application's environment file, with generated secrets, readable by the owner alone."""
    password = estate.password(f"{site.role}_app")
    lines = {
        "PORT": str(site.port),
        "HOSTNAME": "127.0.0.1",
        "DATABASE_URL": f"postgresql://{site.role}_app:{password}@127.0.0.1:{estate.postgres_port}/{site.database}",
        "NEXT_PUBLIC_SUPABASE_URL": "https://drill.supabase.invalid",
        "NEXT_PUBLIC_SUPABASE_ANON_KEY": f"anon-{secrets.token_hex(16)}",
        "SUPABASE_SERVICE_ROLE_KEY": f"service-{secrets.token_hex(24)}",
        "ANTHROPIC_API_KEY": f"sk-ant-drill-{secrets.token_hex(24)}",
        "WHATSAPP_VERIFY_TOKEN": secrets.token_hex(12),
    }
    descriptor = os.open(site.directory / site.env_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{key}={value}\n" for key, value in lines.items())


async def place(estate: Estate, site: Site) -> None:
    """The first deployment: clone, install, build; started by `start_all`. Raises OpsError."""
    await repository.clone(estate, site.branch, site.directory)
    write_env_file(estate, site)
    await on_host(estate, BUILD, cwd=site.directory, timeout=120.0)


async def deploy(estate: Estate, site: Site) -> None:
    """Bring the head of the site's branch to the host: reset, install, build, restart. Raises OpsError.

    Returns when the restart was asked for; whether the release is any good is another question.
    """
    await on_host(
        estate,
        f"git fetch --quiet origin && git checkout --quiet {site.branch} && "
        f"git reset --quiet --hard origin/{site.branch} && {BUILD}",
        cwd=site.directory, timeout=120.0,
    )  # fmt: skip
    await on_host(estate, f"pm2 restart {shlex.quote(site.process)}", cwd=site.directory)


async def start_daemon(estate: Estate) -> None:
    """Start PM2's daemon. Raises OpsError."""
    await on_host(estate, "pm2 ping")


async def start_all(estate: Estate) -> None:
    """Start every site under PM2 and save the list. Raises OpsError.

    A planted secret goes into the environment of the processes, as it does where an engineer exported
    one before starting them: the console must never show it.
    """
    planted = (estate.secrets / "planted").read_text().strip()
    starts = [
        f"cd {shlex.quote(str(site.directory))} && "
        f"STRIPE_SECRET_KEY={planted} pm2 start ecosystem.config.js --only {shlex.quote(site.process)}"
        for site in estate.sites.values()
    ]
    await on_host(estate, " && ".join([*starts, "pm2 save"]))


async def pm2_list(estate: Estate) -> list[dict[str, object]]:
    """What `pm2 jlist` prints, as plain data. It starts a daemon where none is running. Raises OpsError."""
    text = await on_host(estate, "pm2 jlist")
    found = json.loads(text[text.index("[{") if "[{" in text else text.index("[") :])
    assert isinstance(found, list)
    return found


async def get(site: Site, path: str, *, timeout: float = 5.0) -> tuple[int, bytes, float]:
    """Ask a site over HTTP: status, body and the seconds it took; status 0 when it cannot be reached."""
    began = time.monotonic()
    writer = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
    except (OSError, TimeoutError):
        return 0, b"", time.monotonic() - began
    finally:
        if writer is not None:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return status, body, time.monotonic() - began


async def healthy(site: Site) -> bool:
    """Whether the site says that it is healthy."""
    status, body, _ = await get(site, "/api/health")
    return status == 200 and b'"status":"healthy"' in body


async def until_healthy(site: Site, *, in_a_row: int = 1) -> None:
    """Wait until the site was healthy several times in a row. Raises OpsError."""
    seen = 0

    async def enough() -> bool:
        nonlocal seen
        seen = seen + 1 if await healthy(site) else 0
        return seen >= in_a_row

    await until(enough, f"{site.process} is healthy", timeout=_HEALTHY_TIMEOUT)


async def baseline(site: Site, *, probes: int = 25, floor: float = 0.020) -> float:
    """The p95 of the health endpoint's response time in seconds, measured now; at least `floor`."""
    taken = sorted([(await get(site, "/api/health"))[2] for _ in range(probes)])
    return max(floor, taken[int(len(taken) * 0.95) - 1])
