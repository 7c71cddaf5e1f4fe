"""Opening one SSH connection: what ssh_config says of the host, which keys, whose host key.

Imports asyncssh: import this module from functions only.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import ssh_errors
from muva_console.ops.links.ssh_trust import DEFAULT_PORT, HostKeyOffer, KnownHosts
from muva_console.ops.text import sanitise_line

# Without a handler of its own asyncssh's warnings would go to stderr, over the screen.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())

LOGIN_MARGIN = 5.0
"""Seconds by which asyncssh's time-out outlasts ours."""
KEEPALIVE_COUNT = 2
"""Unanswered keepalives after which a connection is given up (so after 3 x keepalive seconds)."""
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")


class HostKeyRefused(LinkError):
    """The host key is not trusted; `offer` is what a person may be shown, None when it was not seen."""

    def __init__(self, offer: HostKeyOffer | None, where: str, address: str) -> None:
        self.offer = offer
        if offer is None or offer.changed:
            seen = f" It now shows {offer.algorithm} {offer.fingerprint}." if offer else ""
            known = f" On record: {', '.join(offer.recorded)}." if offer and offer.recorded else ""
            super().__init__(
                Fault.HOST_KEY,
                f"the host key of {address} is not the one on record",
                where=where,
                means="Either the host was set up anew or somebody is in between." + seen + known,
                next="Do not go on before you know which. Ask who runs the host.",
            )
        else:
            super().__init__(
                Fault.HOST_KEY,
                f"the host key of {address} is not known here",
                where=where,
                means=f"It shows {offer.algorithm} {offer.fingerprint}.",
                next="Compare the fingerprint with what the host's owner tells, then accept it.",
            )


@dataclass(frozen=True, kw_only=True)
class Target:
    """One host as it will be connected to, ssh_config applied."""

    name: str
    """In muva.toml, or the hop's as ssh_config writes it."""
    host: Host
    address: str
    """``host:port`` for people."""
    user: str
    jumps: tuple[str, ...]
    """ssh_config's ProxyJump, the nearest first; empty when none."""
    options: dict[str, Any]
    known: Callable[[str, int], KnownHosts]
    """The known_hosts that hold when asyncssh asks for a name and port."""
    socket: tuple[int, tuple[str, int] | None]
    """AddressFamily and BindAddress."""
    keys: Keys


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What to log in with."""

    options: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    """What an engineer should know when none of them is accepted."""


def config_files(host: Host) -> list[Path]:
    """The ssh_config files that hold for a host: the one given, else the user's and the system's."""
    if host.ssh_config is not None:
        return [host.ssh_config.expanduser()]
    files = (Path("~/.ssh/config").expanduser(), SYSTEM_CONFIG)
    return [file for file in files if os.access(file, os.R_OK)]


async def resolve(name: str, host: Host) -> Target:
    """Apply ssh_config to a host. Raises LinkError(CONFIG) for anything that cannot be used.

    Runs in a thread: `Match exec` runs commands and keys are read from disk.
    """
    try:
        return await asyncio.to_thread(_resolve, name, host, asyncio.get_running_loop())
    except LinkError:
        raise
    except (OSError, ValueError, asyncssh.Error) as error:
        raise LinkError(
            Fault.CONFIG,
            f"the SSH settings cannot be used: {sanitise_line(str(error), cap=300)}",
            where=name,
            next="Check the host's table in muva.toml and what ssh_config says of it.",
        ) from error


def _resolve(name: str, host: Host, loop: asyncio.AbstractEventLoop) -> Target:
    files = config_files(host)
    for file in files:
        if not file.exists():
            raise LinkError(
                Fault.CONFIG,
                f"there is no ssh_config {file}",
                where=name,
                next="Correct ssh_config in muva.toml, or remove it to use your own.",
            )
    base: dict[str, Any] = {
        "config": [str(file) for file in files],
        "host": host.address,
        "port": host.port if host.port is not None else (),
        "username": host.user if host.user is not None else (),
    }
    peek = asyncssh.SSHClientConnectionOptions(loop=loop, client_keys=None, **base)
    alias = peek.host_key_alias
    known_files = _known_hosts_files(name, host, peek)
    jumps: tuple[str, ...] = ()
    if not host.jump and isinstance(peek.tunnel, str):
        jumps = tuple(part.strip() for part in peek.tunnel.split(",") if part.strip())

    def known(asked: str, port: int) -> KnownHosts:
        return KnownHosts(known_files, name=asked, port=port, alias=alias)

    options = base | {
        "keepalive_interval": host.keepalive,
        "keepalive_count_max": KEEPALIVE_COUNT,
        # ours goes by phase and tells which, see `connect`; asyncssh's own is only the backstop behind it
        "login_timeout": host.connect_timeout + LOGIN_MARGIN,
        "connect_timeout": None,  # ours goes by phase, see `connect`
        "x11_forwarding": False,
        "request_pty": False,
        "command": None,
    }
    command = None if host.jump or jumps else peek.config.get("ProxyCommand")
    if isinstance(command, str):
        # As ssh does it: by a shell. Its chatter would reach the screen, or (asyncssh) the stream.
        options["proxy_command"] = ["/bin/sh", "-c", "{ " + command + "\n} 2>/dev/null"]
    return Target(
        name=name,
        host=host,
        address=f"{peek.host}:{peek.port}",
        user=peek.username,
        jumps=jumps,
        options=options,
        known=known,
        socket=(peek.family, peek.local_addr),
        keys=_keys(name, host, peek),
    )


def _known_hosts_files(name: str, host: Host, peek: asyncssh.SSHClientConnectionOptions) -> list[Path]:
    if host.known_hosts is not None:
        return [host.known_hosts.expanduser()]
    given: Any = peek.config.get("UserKnownHostsFile", ())
    if given == []:
        raise LinkError(
            Fault.CONFIG,
            "ssh_config turns the check of host keys off (UserKnownHostsFile none)",
            where=name,
            means="Anybody in between could pose as the host and receive what is sent to it.",
            next="Remove that line, or name a file: known_hosts in muva.toml.",
        )
    if not given:
        return [Path("~/.ssh/known_hosts").expanduser(), Path("~/.ssh/known_hosts2").expanduser()]
    tokens = {
        "%": "%",
        "d": str(Path.home()),
        "h": peek.host,
        "k": peek.host_key_alias or peek.host,
        "n": peek.orig_host,
        "p": str(peek.port),
        "r": peek.username,
        "u": getpass.getuser(),
        "i": str(os.getuid()),
    }
    files = [Path(_expand(str(text), tokens)).expanduser() for text in given]
    extra: Any = peek.config.get("GlobalKnownHostsFile", [])
    return files + [Path(str(text)).expanduser() for text in extra or []]


def _expand(text: str, tokens: dict[str, str]) -> str:
    parts = text.split("%")
    out, index = parts[0], 1
    while index < len(parts):
        part = parts[index]
        if part == "":  # "%%": the token is the percent sign itself
            out += "%" + (parts[index + 1] if index + 1 < len(parts) else "")
            index += 2
            continue
        out += tokens.get(part[0], "%" + part[0]) + part[1:]
        index += 1
    return out


def _keys(name: str, host: Host, peek: asyncssh.SSHClientConnectionOptions) -> Keys:
    """Which key files and which of the agent's keys to offer.

    A key that muva.toml names is the only one offered (IdentitiesOnly): an agent with many keys runs
    into the server's MaxAuthTries before the right one has its turn.
    """
    if host.identity is not None:
        files = [host.identity.expanduser()]
        only = True
        if not files[0].is_file():
            raise LinkError(
                Fault.CONFIG,
                f"there is no key {files[0]}",
                where=name,
                next=f"Correct identity in [hosts.{name}] of muva.toml.",
            )
    else:
        configured: Any = peek.config.get("IdentityFile", ()) or ()
        files = [Path(str(text)).expanduser() for text in configured]
        files = [file for file in files if file.is_file()]  # ssh skips missing ones too
        only = bool(peek.config.get("IdentitiesOnly"))
    if not files:
        return Keys(options={"ignore_encrypted": True})
    private, public, locked, unreadable = _sort_keys(files)
    options: dict[str, Any] = {"ignore_encrypted": True}
    if private:
        options["client_keys"] = [str(file) for file in private]
    if only:
        if public:
            options["agent_identities"] = public
        else:
            options["agent_path"] = None
    notes = []
    if locked:
        notes.append(f"The key {locked[0]} is locked by a passphrase: run `ssh-add {locked[0]}` first.")
    notes += unreadable
    return Keys(options=options, notes=" ".join(notes))


def _sort_keys(files: list[Path]) -> tuple[list[Path], list[bytes], list[Path], list[str]]:
    private: list[Path] = []
    public: list[bytes] = []
    locked: list[Path] = []
    unreadable: list[str] = []
    for file in files:
        try:
            text = file.read_bytes()
        except OSError as error:
            unreadable.append(f"The key {file} cannot be read: {error.strerror}.")
            continue
        if b"PRIVATE KEY" in text:
            private.append(file)
            try:
                public.append(asyncssh.import_private_key(text).public_data)
                continue
            except asyncssh.KeyImportError as error:
                if not str(error).startswith("Passphrase"):
                    unreadable.append(f"The key {file} is not understood: {error}.")
                    private.remove(file)
                    continue
                locked.append(file)
        with contextlib.suppress(OSError, asyncssh.KeyImportError):
            beside = file if b"PRIVATE KEY" not in text else file.with_name(file.name + ".pub")
            public.append(asyncssh.read_public_key(beside).public_data)
    return private, public, locked, unreadable


class _Client(asyncssh.SSHClient):
    """Sees the host key that was refused, how far the attempt came, and the end of the connection."""

    def __init__(self, on_lost: Callable[[Exception | None], None]) -> None:
        self._on_lost = on_lost
        self.connected = asyncio.Event()
        self.begun = False
        """Whether the key exchange is through, so that the login could begin."""
        self.refused: asyncssh.SSHKey | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connected.set()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.refused = key
        return False

    def begin_auth(self, username: str) -> None:
        self.begun = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(exc)


class _Direct:
    """Connects TCP for asyncssh, one address after the other, each with its share of the time.

    asyncssh would wait for the kernel's own time-out on a black-holed first address (an IPv6 one, say)
    and, with several addresses, tell all errors as one text.
    """

    def __init__(self, family: int, local: tuple[str, int] | None, timeout: float) -> None:
        self._family, self._local, self._timeout = family, local, timeout

    async def create_connection(
        self, factory: Callable[[], Any], host: str, port: int
    ) -> tuple[asyncio.BaseTransport, Any]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            found = await loop.getaddrinfo(host, port, family=self._family, type=socket.SOCK_STREAM)
        failed: OSError | None = None
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                if self._local is not None:
                    sock.bind(self._local)
                async with asyncio.timeout(self._timeout / len(found)):
                    await loop.sock_connect(sock, address)
                return await loop.create_connection(factory, sock=sock)
            except OSError as error:  # TimeoutError is one
                sock.close()
                if failed is None or isinstance(failed, TimeoutError):
                    failed = error
            except BaseException:
                sock.close()
                raise
        raise failed or socket.gaierror(socket.EAI_NODATA, "no address")


async def connect(
    target: Target,
    *,
    tunnel: asyncssh.SSHClientConnection | None,
    on_lost: Callable[[Exception | None], None],
    any_host_key: bool = False,
) -> asyncssh.SSHClientConnection:
    """Open the connection. Raises LinkError; `HostKeyRefused` when the host key is not trusted.

    `any_host_key` lets the server show a key of another kind than those on record (to tell a person
    which one it is); no more is trusted for it.
    """
    where, seconds = target.name, target.host.connect_timeout
    asked: list[KnownHosts] = []

    def trusted(host: str, _address: str, port: int | None) -> tuple[list[Any], list[Any], list[Any]]:
        asked.append(target.known(host, port or DEFAULT_PORT))
        return asked[-1].trusted()

    def refused() -> HostKeyRefused | None:
        if client.refused is None or not asked:
            return None
        return HostKeyRefused(asked[-1].judge(where, client.refused), where, target.address)

    client = _Client(on_lost)
    options = target.options | target.keys.options | {"known_hosts": trusted}
    options["client_factory"] = lambda: client
    if any_host_key:
        options["server_host_key_algs"] = "default"
    if tunnel is not None:
        options["tunnel"] = tunnel
    elif "proxy_command" in options:
        options["tunnel"] = None
    else:
        options["tunnel"] = _Direct(*target.socket, timeout=seconds)

    async def attempt() -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(**options)

    opening = asyncio.create_task(attempt(), name=f"connect {where}")
    try:
        return await _in_phases(opening, client, target)
    except asyncssh.HostKeyNotVerifiable as error:
        raise (refused() or HostKeyRefused(None, where, target.address)) from error
    except (OSError, ValueError, asyncssh.Error) as error:
        failure = ssh_errors.while_connecting(error, where, target.address, target.user, target.keys.notes)
        if any_host_key or client.begun or not asked or not asked[-1].recorded():
            raise failure from error
    # It ended before a key was shown. We asked for the kinds of key on record only, and a server that
    # has none of them hangs up (sshd) or says so: ask for any kind, to be able to tell which it shows.
    try:
        return await connect(target, tunnel=tunnel, on_lost=on_lost, any_host_key=True)
    except HostKeyRefused:
        raise
    except LinkError:
        raise failure from None


async def _in_phases(
    opening: asyncio.Task[asyncssh.SSHClientConnection], client: _Client, target: Target
) -> asyncssh.SSHClientConnection:
    """Await the attempt with one time-out for TCP and one for SSH, so that each failure has its name."""
    seconds = target.host.connect_timeout
    standing = asyncio.create_task(client.connected.wait())
    try:
        await asyncio.wait({opening, standing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done() and client.connected.is_set():
            await asyncio.wait({opening}, timeout=seconds)
        if opening.done():
            return opening.result()
        answered = client.connected.is_set() and "proxy_command" not in target.options
        failure = ssh_errors.timed_out(target.name, target.address, seconds, answered=answered)
    except asyncio.CancelledError:
        await _give_up(opening)
        raise
    finally:
        standing.cancel()
    await _give_up(opening)
    raise failure


async def _give_up(opening: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    opening.cancel()
    await asyncio.wait({opening}, timeout=1.0)
    if opening.done() and not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
