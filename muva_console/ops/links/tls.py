"""Trust and certificates: one verifying TLS context for all links, and what a certificate tells."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from muva_console.ops.text import sanitise_line


class Certificate(Struct, frozen=True, kw_only=True):
    """What is said of a server's certificate."""

    expires: datetime | None
    """UTC."""
    issuer: str
    """Sanitised; the organisation or, failing that, the common name."""


NO_CERTIFICATE = Certificate(expires=None, issuer="")


@functools.cache
def verifying_context() -> ssl.SSLContext:
    """The context that verifies servers, made once: reading the trust store takes tens of milliseconds.

    Trusts what the machine trusts (as curl does, SSL_CERT_FILE and SSL_CERT_DIR included); certifi's
    bundle where the machine has no trust store, which is so for some builds of Python.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    # a folder of hashed certificates is read on demand, so an empty store is only empty without one
    folder = Path(paths.capath) if paths.capath else None
    if not context.cert_store_stats()["x509_ca"] and not (folder and any(folder.glob("*.0"))):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


async def shared_context() -> ssl.SSLContext:
    """`verifying_context`, made in a thread the first time."""
    return await asyncio.to_thread(verifying_context)


def certificate_of(tls: ssl.SSLObject | ssl.SSLSocket | None) -> Certificate:
    """What a verified connection's certificate tells."""
    told: Mapping[str, Any] | None = tls.getpeercert() if tls is not None else None
    if not told:
        return NO_CERTIFICATE
    expires = None
    if isinstance(told.get("notAfter"), str):
        expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(told["notAfter"]), UTC)
    names = {key: value for part in told.get("issuer", ()) for key, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or ""
    return Certificate(expires=expires, issuer=sanitise_line(issuer, cap=120))


async def look_at_certificate(address: str, port: int, name: str) -> Certificate:
    """The certificate of a server that failed verification: to tell *when* it expired and who issued it.

    Nothing is sent over this connection but the handshake, and nothing is believed of it. Returns
    NO_CERTIFICATE when it cannot be had. Has no time-out of its own.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    except (OSError, ValueError):
        return NO_CERTIFICATE
    try:
        tls = writer.get_extra_info("ssl_object")
        raw = tls.getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return _read(raw) if raw else NO_CERTIFICATE


def _read(raw: bytes) -> Certificate:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        certificate = x509.load_der_x509_certificate(raw)
        names = certificate.issuer.get_attributes_for_oid(
            NameOID.ORGANIZATION_NAME
        ) or certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        issuer = str(names[0].value) if names else ""
        return Certificate(expires=certificate.not_valid_after_utc, issuer=sanitise_line(issuer, cap=120))
    except ValueError:
        return NO_CERTIFICATE
