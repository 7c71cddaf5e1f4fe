"""What asyncssh and the system say when SSH fails, in the words of a colleague.

Imports asyncssh: import this module from functions only.
"""

from __future__ import annotations

import errno
import socket

import asyncssh

from muva_console.ops.errors import Fault, FurtherError, LinkError
from muva_console.ops.text import sanitise_line

PROHIBITED = 1
"""SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1)."""
_CONSOLE = "Look at the host through its provider's console."
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
# What a jump host tells of its own attempt stands in the refusal's text only (sshd: strerror).
_TOLD = (
    ("refused", Fault.REFUSED),
    ("[errno 111]", Fault.REFUSED),  # a server that is asyncssh, too
    ("[errno 110]", Fault.TIMEOUT),
    ("[errno 113]", Fault.UNREACHABLE),
    ("timed out", Fault.TIMEOUT),
    ("timeout", Fault.TIMEOUT),
    ("no route", Fault.UNREACHABLE),
    ("unreachable", Fault.UNREACHABLE),
    ("not known", Fault.DNS),
    ("name resolution", Fault.DNS),
    ("resolve", Fault.DNS),
)


_INCOMPATIBLE = (
    asyncssh.ProtocolError,
    asyncssh.ProtocolNotSupported,
    asyncssh.KeyExchangeFailed,
    asyncssh.MACError,
)


def told(reason: str) -> Fault:
    """The fault that a peer's one-line reason names; OTHER when it names none that is known."""
    lower = reason.lower()
    return next((fault for words, fault in _TOLD if words in lower), Fault.OTHER)


def _words(error: BaseException) -> str:
    return sanitise_line(str(error) or type(error).__name__, cap=300)


def timed_out(where: str, address: str, seconds: float, *, answered: bool) -> LinkError:
    """The time is up while connecting; `answered` when TCP stood and SSH did not."""
    if answered:
        return LinkError(
            Fault.TIMEOUT,
            f"{address} accepts connections but its SSH server did not answer within {seconds:g} s",
            where=where,
            means="The host is overloaded, frozen, or something other than sshd listens on that port.",
            next=_CONSOLE,
        )
    return LinkError(
        Fault.TIMEOUT,
        f"no answer from {address} within {seconds:g} s",
        where=where,
        means="The host is down, the network between is, or a firewall drops us silently.",
        next=f"Try another network or the jump host. {_CONSOLE}",
    )


def from_system(error: OSError, where: str, address: str) -> LinkError:
    """A failure of the operating system's own: name, route, port."""
    if isinstance(error, socket.gaierror):
        return LinkError(
            Fault.DNS,
            f"the name {address} could not be resolved ({sanitise_line(error.strerror or '')})",
            where=where,
            means="The name is misspelt, or this machine's name service is not reachable.",
            next="Check the address in muva.toml or ssh_config; try its number.",
        )
    if isinstance(error, ConnectionRefusedError):
        return LinkError(
            Fault.REFUSED,
            f"connection refused by {address}",
            where=where,
            means="The host is there but nothing listens on that port: sshd is stopped or elsewhere.",
            next=f"Check the port. {_CONSOLE}",
        )
    if isinstance(error, TimeoutError):
        return LinkError(
            Fault.TIMEOUT,
            f"no answer from {address}",
            where=where,
            means="The host is down, the network between is, or a firewall drops us silently.",
            next=_CONSOLE,
        )
    if error.errno in _UNREACHABLE:
        return LinkError(
            Fault.UNREACHABLE,
            f"no route to {address} ({error.strerror})",
            where=where,
            means="This machine's network has no way there.",
            next="Check this machine's network, then the address.",
        )
    return LinkError(Fault.OTHER, f"{address}: {_words(error)}", where=where)


def lost(where: str, error: BaseException | None = None) -> LinkError:
    """An open connection is gone."""
    said = _words(error) if error is not None else ""
    silent = "keepalive" in said
    return LinkError(
        Fault.CLOSED,
        "the host stopped answering; the SSH connection was given up"
        if silent
        else "the SSH connection was lost",
        where=where,
        means="" if silent or said in ("", "Connection lost") else said,
        next="It is opened again with the next request.",
    )


def while_connecting(error: BaseException, where: str, address: str, user: str, notes: str = "") -> LinkError:
    """Whatever opening a connection raised; host keys are judged by the caller, who knows them."""
    if isinstance(error, LinkError):
        return error
    gone = isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError))
    if isinstance(error, OSError) and not gone:
        return from_system(error, where, address)
    said = _words(error)
    if isinstance(error, asyncssh.PermissionDenied) or (
        isinstance(error, asyncssh.DisconnectError) and "authentication" in said.lower()
    ):
        return LinkError(
            Fault.AUTH,
            f"{address} did not accept user {user} with any key at hand",
            where=where,
            means=notes or "The user, the key, or the host's authorized_keys is not the right one.",
            next="Try `ssh` by hand; check user and identity in muva.toml, and `ssh-add -l`.",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return _through_jump(error, where, address)
    if gone or (isinstance(error, asyncssh.DisconnectError) and not isinstance(error, _INCOMPATIBLE)):
        return LinkError(
            Fault.CLOSED,
            f"{address} closed the connection before the login was through",
            where=where,
            means=f"It said: {said}. Often too many unfinished logins (MaxStartups) or a ban (fail2ban).",
            next=f"Wait a minute. {_CONSOLE}",
        )
    if isinstance(error, asyncssh.DisconnectError):
        return LinkError(
            Fault.PROTOCOL,
            f"{address} does not speak SSH as we do: {said}",
            where=where,
            means="Another service listens on that port, or the two have no algorithm in common.",
            next="Check the port; compare `ssh -v`.",
        )
    if isinstance(error, (ValueError, asyncssh.KeyImportError)):
        return LinkError(
            Fault.CONFIG,
            f"the SSH settings cannot be used: {said}",
            where=where,
            next="Check the host's table in muva.toml and what ssh_config says of it.",
        )
    return LinkError(Fault.OTHER, f"{type(error).__name__}: {said}", where=where)


def _through_jump(error: asyncssh.ChannelOpenError, where: str, address: str) -> LinkError:
    said = sanitise_line(error.reason, cap=300)
    if error.code == PROHIBITED:
        return LinkError(
            Fault.REFUSED,
            f"the jump host does not let us through to {address} ({said})",
            where=where,
            means="Its sshd forbids forwarding there (AllowTcpForwarding, PermitOpen).",
            next="Allow it on the jump host, or reach the host another way.",
        )
    fault = told(said)
    return LinkError(
        Fault.UNREACHABLE if fault is Fault.OTHER else fault,
        f"the jump host could not connect to {address} ({said})",
        where=where,
        means="The way up to the jump host is fine; what lies behind it is not.",
        next=_CONSOLE,
    )


def channel_refused(error: asyncssh.ChannelOpenError, where: str, what: str, forbidden_by: str) -> LinkError:
    """A channel other than a session was refused; `forbidden_by` names the sshd settings that would."""
    said = sanitise_line(error.reason, cap=300)
    if error.code == PROHIBITED:
        return LinkError(
            Fault.REFUSED,
            f"the SSH server forbids {what} ({said})",
            where=where,
            means=f"sshd_config: {forbidden_by}.",
            next="Allow it on the host; where there is another way, it is used meanwhile.",
        )
    fault = told(said)
    return FurtherError(
        Fault.REFUSED if fault is Fault.OTHER else fault, f"{what} failed ({said})", where=where
    )
