"""Addresses: as they may be shown, as a person would type them, and through which proxy they are asked."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import httpcore

_SECRET_NAME = re.compile(r"key|token|secret|passw|auth|sign|cookie|credential|session", re.IGNORECASE)


def curl_line(
    url: str,
    *,
    timeout: float | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    jq: bool = False,
) -> str:
    """The request as a person would type it, secrets masked."""
    words = ["curl", "-sS"]
    if timeout is not None:
        words += ["-m", f"{timeout:g}"]
    if method != "GET":
        words += ["-I"] if method == "HEAD" else ["-X", method]
    for name, value in (headers or {}).items():
        shown = "***" if _SECRET_NAME.search(name) else value
        words += ["-H", sanitise_line(f"{name}: {shown}", cap=300)]
    words.append(shown_url(url))
    return shlex.join(words) + (" | jq" if jq else "")


def shown_url(url: str) -> str:
    """A URL fit for a screen: no user name or password, the values of secret-looking parameters masked."""
    try:
        split = urlsplit(url)
        place = split.netloc.rpartition("@")[2]
    except ValueError:
        return sanitise_line(url.rpartition("@")[2], cap=2048)
    query = "&".join(
        f"{name}=***" if mark and _SECRET_NAME.search(name) else f"{name}{mark}{value}"
        for name, mark, value in (part.partition("=") for part in split.query.split("&"))
    )
    return sanitise_line(urlunsplit((split.scheme, place, split.path, query, "")), cap=2048)


def proxy_for(url: str) -> httpcore.Proxy | None:
    """The environment's proxy for a URL. Raises ValueError for one that cannot be used."""
    from urllib.request import getproxies_environment, proxy_bypass

    proxies = getproxies_environment()
    split = urlsplit(url)
    address = proxies.get(split.scheme) or proxies.get("all")
    host = split.hostname or ""
    if not address or is_loopback(host) or proxy_bypass(host):
        return None
    import httpcore

    way = urlsplit(address if "://" in address else f"http://{address}")
    if way.scheme not in ("http", "https") or not way.hostname:
        raise ValueError("the proxy of the environment is not an http proxy")
    auth = (unquote(way.username), unquote(way.password or "")) if way.username else None
    port = way.port or (443 if way.scheme == "https" else 80)
    name = f"[{way.hostname}]" if ":" in way.hostname else way.hostname
    return httpcore.Proxy(f"{way.scheme}://{name}:{port}", auth=auth)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
