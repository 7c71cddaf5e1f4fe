"""Where a database is and who logs in there, without ever showing the password."""

from __future__ import annotations

import shlex
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from muva_console.config.model import Database
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.tls import verifying_context
from muva_console.ops.text import sanitise_line

POOLER_PORT = 6543
"""Supabase's transaction mode: no session is kept, so nothing may be set for one."""
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A database's address. Its representation and its texts hold no password."""

    host: str
    port: int
    name: str
    user: str
    password: str | None = field(default=None, repr=False)
    sslmode: str = "prefer"
    """libpq's word; `prefer` is libpq's own default."""
    sslrootcert: str = ""

    @property
    def where(self) -> str:
        """HOST:PORT/NAME, for a screen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return sanitise_line(f"{host}:{self.port}/{self.name}", cap=255)

    @property
    def pooled(self) -> bool:
        """Whether this is a pooler in transaction mode."""
        return self.port == POOLER_PORT

    def psql(self, sql: str) -> str:
        """The psql command a person would have typed; psql asks for the password."""
        words = ["psql", "-h", self.host, "-p", str(self.port), "-U", self.user, "-d", self.name, "-c", sql]
        return shlex.join(sanitise_line(word, cap=1000) for word in words)


def address_of(database: Database, secret: str | None) -> DatabaseAddress:
    """The address from the configuration and its resolved secret: the URL when `database.url` is given,
    else the password. Raises LinkError(CONFIG), which quotes neither.
    """
    if database.url is not None:
        return parse_url(secret or "")
    if not database.host:
        raise LinkError(Fault.CONFIG, "no database is configured", next="Give [database] a url or a host.")
    return DatabaseAddress(
        host=database.host,
        port=database.port,
        name=database.name,
        user=database.user,
        password=secret,
    )


def parse_url(url: str) -> DatabaseAddress:
    """A postgres:// URL in parts. Raises LinkError(CONFIG), which does not quote it."""
    try:
        split = urlsplit(url.strip())
        port = split.port or 5432
        query = dict(parse_qsl(split.query))
    except ValueError:
        raise _no_url("it cannot be taken apart: are special characters of the password escaped?") from None
    if split.scheme not in ("postgres", "postgresql"):
        raise _no_url("it does not begin with postgres://")
    host = query.get("host") or (split.hostname or "")
    mode = query.get("sslmode", "prefer")
    if not host:
        raise _no_url("it names no host")
    if mode not in _MODES:
        raise _no_url(f"sslmode is none of {', '.join(_MODES)}")
    user = unquote(split.username or "") or "postgres"
    return DatabaseAddress(
        host=unquote(host),
        port=port,
        name=unquote(split.path.lstrip("/")) or user,
        user=user,
        password=unquote(split.password) if split.password is not None else None,
        sslmode=mode,
        sslrootcert=query.get("sslrootcert", ""),
    )


def _no_url(reason: str) -> LinkError:
    return LinkError(
        Fault.CONFIG,
        f"the database's URL cannot be used: {reason}",
        means="It is not shown because it holds a password.",
        next="It should read postgres://USER:PASSWORD@HOST:5432/NAME.",
    )


class _NamedContext(ssl.SSLContext):
    """Verifies against the server's own name although the connection leads through a tunnel's local port."""

    name: str

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As SSLContext.wrap_bio, under our name."""
        kwargs["server_hostname"] = self.name
        return super().wrap_bio(*args, **kwargs)


def tls_for(address: DatabaseAddress, *, tunnelled: bool) -> ssl.SSLContext | str | bool:
    """What asyncpg's `ssl` is for the address's sslmode, with libpq's meaning: only verify-ca and
    verify-full (and require with a root certificate) look at the certificate. Raises LinkError(TLS).
    """
    mode = address.sslmode
    if mode == "require" and address.sslrootcert:
        mode = "verify-ca"
    if mode == "disable":
        return False
    if mode not in ("verify-ca", "verify-full"):
        return mode
    try:
        if tunnelled and mode == "verify-full":
            named = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
            named.name = address.host
            context: ssl.SSLContext = named
            if not address.sslrootcert:
                context.load_verify_locations(cadata=_trusted())
        elif address.sslrootcert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        elif mode == "verify-full":
            return verifying_context()
        else:
            context = ssl.create_default_context()
        if address.sslrootcert:
            context.load_verify_locations(cafile=address.sslrootcert)
    except (OSError, ssl.SSLError) as error:
        said = sanitise_line(str(error), cap=200)
        raise LinkError(
            Fault.TLS, f"the root certificate cannot be read: {said}", where=address.where
        ) from None
    context.check_hostname = mode == "verify-full"
    return context


def _trusted() -> bytes:
    return b"".join(verifying_context().get_ca_certs(binary_form=True))
