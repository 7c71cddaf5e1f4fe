"""Free ports on loopback, and waiting until something answers there."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable

from muva_console.ops.errors import OpsError

# Below the range that Linux gives to outgoing connections (32768 and up): a port of the estate whose
# server is down, because a fault stopped it, must not be taken by a passing client.
_FIRST, _LAST = 20000, 32000


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now. Raises OpsError when none can be found."""
    found: list[int] = []
    chance = random.SystemRandom()
    for _ in range(2000):
        port = chance.randrange(_FIRST, _LAST)
        if port not in found and _is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise OpsError("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def listens(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1:port."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 2.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def until(
    true: Callable[[], Awaitable[bool]], what: str, *, timeout: float = 60.0, every: float = 0.05
) -> None:
    """Wait until a condition holds. Raises OpsError, naming `what`, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not await true():
        if time.monotonic() > deadline:
            raise OpsError(f"{what}: not within {timeout:g} s")
        await asyncio.sleep(every)
