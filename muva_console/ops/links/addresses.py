"""Addresses: as they may be shown, as a person would type them, and through which proxy they are asked."""

from __future__ import annotations

import base64
import ipaddress
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from muva_console.ops.text import sanitise_line

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


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy of the environment. Its representation holds no credentials."""

    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def headers(self) -> list[tuple[str, str]]:
        """What a request to the proxy carries for it (RFC 7617)."""
        if not self.user:
            return []
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [("Proxy-Authorization", f"Basic {pair}")]


def proxy_for(url: str) -> Proxy | None:
    """The environment's proxy for a URL. Raises ValueError, which quotes nothing, for one of another kind
    than http://.
    """
    from urllib.request import getproxies_environment, proxy_bypass

    split = urlsplit(url)
    host = split.hostname or ""
    if is_loopback(host):
        return None
    proxies = getproxies_environment()
    address = proxies.get(split.scheme) or proxies.get("all")
    if not address or proxy_bypass(host):
        return None
    way = urlsplit(address if "://" in address else f"http://{address}")
    if way.scheme != "http" or not way.hostname:
        raise ValueError("the proxy of the environment is not an http:// proxy, and no other kind is known")
    return Proxy(
        host=way.hostname,
        port=way.port or 80,
        user=unquote(way.username or ""),
        password=unquote(way.password or ""),
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
