"""An httpx client as the console wants one: our proxies and our trust, and nothing of it in a log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.addresses import proxy_for

if TYPE_CHECKING:
    import httpx


async def open_client(url: str, *, where: str, timeout: float, connections: int = 1) -> httpx.AsyncClient:
    """A client for the host of `url`; `timeout` (seconds) is for each phase of a request. Redirects are told,
    not followed. Raises LinkError where the environment's proxy is of an unknown kind.
    """
    import httpx

    from muva_console import __version__
    from muva_console.ops.links.tls import shared_context

    for name in ("httpx", "httpcore"):
        # they log whole addresses (httpx at INFO), and a webhook's address is a secret
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        way = proxy_for(url)
    except ValueError as error:
        raise LinkError(Fault.CONFIG, str(error), where=where) from None
    proxy = None
    if way is not None:
        proxy = httpx.Proxy(
            f"http://{way.host}:{way.port}", auth=(way.user, way.password) if way.user else None
        )
    return httpx.AsyncClient(
        headers={"User-Agent": f"muva-console/{__version__}"},
        timeout=timeout,
        limits=httpx.Limits(max_connections=connections, keepalive_expiry=30.0),
        verify=await shared_context(),
        proxy=proxy,
        trust_env=False,  # ours, not httpx's reading of the environment: it would trust and read other files
    )
