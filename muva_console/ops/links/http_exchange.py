"""What is known of one HTTP request, and what its failure means in the words of a colleague."""

from __future__ import annotations

import errno
import ssl
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from muva_console.ops.errors import Fault
from muva_console.ops.links.resolver import ResolveError
from muva_console.ops.links.tls import NO_CERTIFICATE, Certificate
from muva_console.ops.text import sanitise_line


@dataclass(slots=True)
class Exchange:
    """What is known of one request so far; still true when the request is cut short."""

    began: float = field(default_factory=time.perf_counter)
    phase: str = "start"
    """What is being waited for: dns, connect, proxy, tls, answer or body."""
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float = 0.0
    """Milliseconds, like the others."""
    address: str = ""
    """The address that was connected to; empty where a proxy was."""
    heard: bool = False
    """Any byte came."""
    certificate: Certificate = NO_CERTIFICATE
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Lower-case names; sanitised values; the first of each name."""
    body: bytes = b""
    truncated: bool = False

    def end(self) -> None:
        """Stop the clock."""
        self.total = (time.perf_counter() - self.began) * 1000


class Trouble(Exception):
    """A request that failed, told by kind. `own_side`: it looks like this machine's own trouble."""

    def __init__(self, fault: Fault, text: str, *, own_side: bool = False) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.own_side = own_side


def explain(error: BaseException, exchange: Exchange) -> Trouble:
    """What an exception means. Nothing of the request itself is quoted: it may hold a credential."""
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case Trouble():
                return cause
            case ResolveError():
                return Trouble(Fault.DNS, str(cause), own_side=cause.silent)
            case ssl.SSLCertVerificationError():
                return Trouble(Fault.TLS, f"certificate not accepted: {_plain(cause.verify_message)}")
            case ssl.SSLError():
                said = _plain(cause.reason or "handshake failed").replace("_", " ").lower()
                return Trouble(Fault.TLS, f"TLS failed: {said}")
            case zlib.error():
                return Trouble(Fault.PROTOCOL, "the body is not what its content-encoding says")
            case _:
                pass
    if exchange.phase == "tls":
        return Trouble(Fault.TLS, "the connection ended during the TLS handshake")
    for cause in causes:
        if isinstance(cause, OSError):
            return _explain_os(cause)
    return Trouble(Fault.OTHER, f"{type(error).__name__}: {_plain(error)}")


def _explain_os(error: OSError) -> Trouble:
    match error.errno:
        case errno.ECONNREFUSED:
            return Trouble(Fault.REFUSED, "connection refused: nothing listens there")
        case errno.ENETUNREACH | errno.ENETDOWN | errno.EADDRNOTAVAIL:
            return Trouble(Fault.UNREACHABLE, "no route to that network from here", own_side=True)
        case errno.EHOSTUNREACH | errno.EHOSTDOWN:
            return Trouble(Fault.UNREACHABLE, "no route to the host")
        case errno.ETIMEDOUT:
            return Trouble(Fault.TIMEOUT, "the host does not answer")
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            return Trouble(Fault.CLOSED, "the server cut the connection")
        case errno.EMFILE | errno.ENFILE:
            return Trouble(Fault.OTHER, "this machine has no file descriptors left", own_side=True)
        case errno.EACCES | errno.EPERM:
            return Trouble(Fault.UNREACHABLE, "this machine's firewall forbids it", own_side=True)
        case _ if isinstance(error, ConnectionError):
            return Trouble(Fault.CLOSED, "the server cut the connection")
        case _:
            return Trouble(Fault.OTHER, _plain(error.strerror or type(error).__name__))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it came from; each once."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        one = queue.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        queue.extend((one.__cause__, one.__context__))


def _plain(text: object) -> str:
    return sanitise_line(str(text), cap=200)
