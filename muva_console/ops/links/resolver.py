"""Names become addresses in threads of our own.

`loop.getaddrinfo` uses the loop's default executor: six threads on a machine of two cores. Six names
whose resolver hangs would hold up every other look-up, and the threads of an executor are joined at
exit, so the console would not end either. Here each name in flight has one daemon thread, and all who
ask for the same name at the same time share its answer: a hanging name costs one thread, ever.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from muva_console.ops.text import sanitise_line

Lookup = Callable[[str, int], list[tuple[int, str]]]
"""(host, port) to [(family, address)], blocking; raises OSError (socket.gaierror)."""


class Resolved(Struct, frozen=True, kw_only=True):
    """A name's addresses, in the order in which to try them."""

    addresses: tuple[tuple[int, str], ...]
    """(family, numeric address), never empty."""
    took_ms: float | None
    """None when nothing was looked up because the host is an address already."""


class ResolveError(Exception):
    """A name has no address. `silent` tells a resolver that did not answer from a name it does not know."""

    def __init__(self, host: str, reason: str, *, silent: bool) -> None:
        super().__init__(f"{sanitise_line(host, cap=255)}: {reason}")
        self.reason = reason
        self.silent = silent


def _getaddrinfo(host: str, port: int) -> list[tuple[int, str]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in found]


class Resolver:
    """Looks names up side by side. Belongs to one event loop."""

    def __init__(self, lookup: Lookup = _getaddrinfo) -> None:
        self._lookup = lookup
        self._flying: dict[tuple[str, int], asyncio.Future[tuple[tuple[int, str], ...]]] = {}

    async def resolve(self, host: str, port: int) -> Resolved:
        """The host's addresses, the families taking turns. Raises ResolveError.

        Has no time-out of its own; the caller's cancels the waiting, and the thread ends when the
        system's resolver gives up.
        """
        numeric = _numeric(host)
        if numeric is not None:
            return Resolved(addresses=(numeric,), took_ms=None)
        began = time.perf_counter()
        key = (host, port)
        flight = self._flying.get(key)
        if flight is None:
            flight = self._flying[key] = self._fly(key)
        addresses = await asyncio.shield(flight)
        return Resolved(addresses=addresses, took_ms=(time.perf_counter() - began) * 1000)

    def _fly(self, key: tuple[str, int]) -> asyncio.Future[tuple[tuple[int, str], ...]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[tuple[int, str], ...]] = loop.create_future()

        def land(addresses: tuple[tuple[int, str], ...], error: ResolveError | None) -> None:
            self._flying.pop(key, None)
            if future.done():
                return
            if error is None:
                future.set_result(addresses)
            else:
                future.set_exception(error)
                future.exception()  # whoever waited may have given up; that is no news

        def work() -> None:
            addresses: tuple[tuple[int, str], ...] = ()
            error: ResolveError | None = None
            try:
                addresses = _take_turns(self._lookup(*key))
                if not addresses:
                    error = ResolveError(key[0], "the name has no address", silent=False)
            except (OSError, UnicodeError) as trouble:
                error = _explain(key[0], trouble)
            try:
                loop.call_soon_threadsafe(land, addresses, error)
            except RuntimeError:
                return  # the loop is closed; nobody waits any more

        threading.Thread(target=work, name=f"resolve {key[0][:60]}", daemon=True).start()
        return future


def _numeric(host: str) -> tuple[int, str] | None:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (int(socket.AF_INET6 if address.version == 6 else socket.AF_INET), str(address))


def _explain(host: str, trouble: OSError | UnicodeError) -> ResolveError:
    if not isinstance(trouble, OSError):
        return ResolveError(host, "not a name that DNS can hold", silent=False)
    if trouble.errno == socket.EAI_AGAIN:
        return ResolveError(host, "the resolver does not answer", silent=True)
    if trouble.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
        return ResolveError(host, "no such name", silent=False)
    return ResolveError(host, sanitise_line(trouble.strerror or "the look-up failed", cap=200), silent=True)


def _take_turns(found: list[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    """The addresses once each, the families alternating (RFC 8305, section 4), the first family first."""
    unique = list(dict.fromkeys(found))
    if not unique:
        return ()
    first = [one for one in unique if one[0] == unique[0][0]]
    others = [one for one in unique if one[0] != unique[0][0]]
    mixed: list[tuple[int, str]] = []
    while first or others:
        if first:
            mixed.append(first.pop(0))
        if others:
            mixed.append(others.pop(0))
    return tuple(mixed)
