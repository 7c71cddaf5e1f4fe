"""One host over SSH: commands, streams and sockets over a connection that mends itself.

The connection is `ssh_mend`'s; what is really run on the host for a command is `ssh_wrap`'s.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import ssh_trust, ssh_wrap
from muva_console.ops.links.base import (
    CommandLog,
    CommandRecord,
    CommandResult,
    LinkState,
    OnState,
    StreamWriterLike,
)
from muva_console.ops.links.ssh_mend import MendedConnection
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    import asyncssh

    from muva_console.ops.links.ssh_channel import ByteChannel, CommandSession, Terminal

MAX_INPUT = 8 * 1024 * 1024
"""Bytes of standard input that a command may be given: a shell on the host holds it in memory."""
SILENCE = 4.0
"""Keepalive intervals without a beat after which a stream's command ends itself on the host."""
SILENCE_LEAST = 20.0
_PATIENCE = ssh_wrap.GRACE + 1.0


class SshLink:
    """A `HostLink` over SSH. Lives in one event loop."""

    def __init__(
        self,
        name: str,
        host: Host,
        *,
        hosts: Mapping[str, Host] | None = None,
        log: CommandLog | None = None,
        on_state: OnState | None = None,
        redact: Callable[[str], str] | None = None,
        shared: MutableMapping[str, MendedConnection] | None = None,
    ) -> None:
        """`hosts` is where `host.jump` is looked up. Links that are given the same `shared` share the
        connections to their jump hosts (see `ssh_links`).
        """
        self._name, self._host = name, host
        self.hosts: Mapping[str, Host] = hosts or {}
        """All hosts of muva.toml."""
        self._log = log if log is not None else CommandLog()
        self._redact = redact or (lambda text: text)
        shared = {} if shared is None else shared
        if name not in shared:
            shared[name] = MendedConnection(name, host, hosts=self.hosts, shared=shared, record=self._record)
        self._way = shared[name]
        self._way.on_state, self._way.record = on_state, self._record
        self._home: tuple[int, str] = (0, "")

    # ------------------------------------------------------------------ the link itself

    @property
    def host(self) -> str:
        """The host's name in muva.toml."""
        return self._name

    @property
    def settings(self) -> Host:
        """The host's table in muva.toml."""
        return self._host

    @property
    def state(self) -> LinkState:
        """Where the link stands now."""
        return self._way.state

    @property
    def backoff_remaining(self) -> float:
        """Seconds until the next attempt to connect may begin; 0 when it may begin now."""
        return self._way.backoff.remaining()

    def retry_now(self) -> None:
        """Let the next request open the connection at once, whatever the back-off says."""
        self._way.retry_now()

    async def connect(self) -> asyncssh.SSHClientConnection:
        """The open connection, opened now if need be. Raises LinkError; during back-off the last one,
        at once, with when the next attempt may be made.
        """
        self._way.users.add(self)
        return await self._way.get()

    def lost_error(self, error: BaseException | None = None) -> LinkError:
        """The LinkError for a connection that ended by `error`."""
        return self._way.lost_error(error)

    async def close(self) -> None:
        """Close the connection, unless other hosts are reached through it; the link may be used again."""
        await self._way.leave(self)

    def _record(self, line: str, began: float, outcome: str) -> None:
        self._log.add(
            CommandRecord(
                at=utc_now(),
                where=self._name,
                line=sanitise_line(self._redact(_told(line))),
                took_ms=(time.monotonic() - began) * 1000,
                outcome=outcome,
            )
        )

    # ------------------------------------------------------------------ trust

    async def unknown_host_key(self) -> ssh_trust.HostKeyOffer | None:
        """The key that the host (or a hop on the way) shows and that is not trusted; None when all are.

        Connects now, whatever the back-off says. Raises LinkError when the host cannot be reached, and
        also when the login fails after the key was found good.
        """
        self.retry_now()
        try:
            await self.connect()
        except LinkError as error:
            from muva_console.ops.links.ssh_connect import HostKeyRefused

            if isinstance(error, HostKeyRefused) and error.offer is not None:
                return error.offer
            raise
        return None

    async def accept_host_key(self, offer: ssh_trust.HostKeyOffer, *, hashed: bool | None = None) -> None:
        """Record a key that a person has been shown and has accepted; the next request connects.

        Raises Refused for a changed key, OpsError when it cannot be written.
        """
        await asyncio.to_thread(ssh_trust.accept, offer, hashed=hashed)
        self.retry_now()

    # ------------------------------------------------------------------ commands

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        limit: int = 4 * 1024 * 1024,
        input: bytes | None = None,
    ) -> CommandResult:
        """Run a shell command line to its end; see `HostLink.run`.

        Standard input is `input` or empty, the locale C.UTF-8, the shell `sh`. The time-out (seconds)
        counts from the open connection and includes waiting for one of the server's sessions.
        """
        if "\0" in command:
            raise ValueError("a command line cannot hold a NUL")
        if input is not None and len(input) > MAX_INPUT:
            raise ValueError(f"more than {MAX_INPUT} bytes of input")
        began = time.monotonic()
        outcome = "cancelled"
        try:
            seconds = self._host.command_timeout if timeout is None else timeout
            result = await self._run(command, seconds, limit, input)
            outcome = "output limit" if result.truncated else f"exit {result.exit_status}"
        except LinkError as error:
            outcome = error.fault.value
            raise
        finally:
            self._record(command, began, outcome)
        return result

    async def _run(self, command: str, seconds: float, limit: int, data: bytes | None) -> CommandResult:
        connection = await self.connect()
        from muva_console.ops.links.ssh_channel import ENDED_BY_TERM, Collector

        encoded = None if data is None else ssh_wrap.encode_input(data)
        size = None if encoded is None else len(encoded)
        line = ssh_wrap.wrap_run(command, timeout=seconds, input_size=size)
        began = time.monotonic()
        deadline = began + seconds
        session = await self._way.session(lambda: Collector(limit), line, deadline, stream=False)
        try:
            if encoded:
                session.write(encoded)
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await session.settled.wait()
        except TimeoutError:
            self._way.suspect(connection)
            raise LinkError(
                Fault.TIMEOUT,
                f"the command did not end within {seconds:g} s",
                where=self._name,
                means="It is ended on the host. The host may be short of memory, CPU or disk.",
                next="Look at the host's load and memory, or try again with more time.",
            ) from None
        finally:
            session.abandon(_PATIENCE)
        if session.exit_status is None and not session.truncated:
            raise self._way.lost_error(session.error)
        return CommandResult(
            exit_status=ENDED_BY_TERM if session.exit_status is None else session.exit_status,
            stdout=bytes(session.stdout),
            stderr=bytes(session.stderr),
            truncated=session.truncated,
            took_ms=(time.monotonic() - began) * 1000,
        )

    @asynccontextmanager
    async def stream(self, command: str, *, stderr: bool = False) -> AsyncIterator[AsyncIterator[bytes]]:
        """A long-running command's output; see `HostLink.stream`.

        Should this machine vanish without a word, the command ends on the host all the same, after
        `SILENCE` keepalive intervals.
        """
        began = time.monotonic()
        outcome = "ended here"
        try:
            await self.connect()
            from muva_console.ops.links.ssh_channel import Streamer

            silence = max(SILENCE_LEAST, SILENCE * self._host.keepalive)
            line = ssh_wrap.wrap_stream(command, stderr=stderr, silence=silence)
            deadline = began + self._host.connect_timeout + self._host.command_timeout
            session = await self._way.session(Streamer, line, deadline, stream=True)
            beating = asyncio.create_task(_beat(session, silence / SILENCE))

            async def chunks() -> AsyncIterator[bytes]:
                nonlocal outcome
                while (chunk := await session.next()) is not None:
                    yield chunk
                if session.exit_status is None:
                    lost = self._way.lost_error(session.error)
                    outcome = lost.fault.value
                    raise lost

            try:
                yield chunks()
            finally:
                if session.exit_status is not None:
                    outcome = f"exit {session.exit_status}"
                beating.cancel()
                session.abandon(_PATIENCE)
        except LinkError as error:
            outcome = error.fault.value
            raise
        finally:
            self._record(command, began, outcome)

    @asynccontextmanager
    async def terminal(
        self, command: str | None, kind: str, columns: int, rows: int
    ) -> AsyncIterator[Terminal]:
        """A terminal on the host, of type `kind` (as in $TERM), in which `command` or a login shell runs.

        Leaving the block hangs up. Raises LinkError when it cannot be had.
        """
        began = time.monotonic()
        outcome = "ended here"
        try:
            await self.connect()
            from muva_console.ops.links.ssh_channel import Terminal

            deadline = began + self._host.connect_timeout + self._host.command_timeout
            session = await self._way.session(
                Terminal, command, deadline, stream=True, terminal=(kind, (columns, rows))
            )
            try:
                yield session
            finally:
                if session.exit_status is not None:
                    outcome = f"exit {session.exit_status}"
                session.hang_up()
                session.abandon(_PATIENCE)
        except LinkError as error:
            outcome = error.fault.value
            raise
        finally:
            self._record(f"ssh -t {self._name} {command or ''}".rstrip(), began, outcome)

    async def home(self) -> str:
        """The login user's home directory on the host; asked once a connection."""
        if self._home[0] != self._way.number or not self._home[0]:
            result = await self.run('printf %s "$HOME"', limit=4096)
            self._home = (self._way.number, result.stdout.decode("utf-8", "surrogateescape"))
        return self._home[1]

    # ------------------------------------------------------------------ sockets

    @asynccontextmanager
    async def open_unix(self, path: str) -> AsyncIterator[tuple[asyncio.StreamReader, StreamWriterLike]]:
        """A channel to a UNIX socket on the host; see `HostLink.open_unix`. A leading ``~/`` is the
        login user's home. Reading and writing raise LinkError when the connection is lost.
        """
        began = time.monotonic()
        outcome = "closed"
        try:
            if path.startswith("~/"):
                path = f"{await self.home()}/{path[2:]}"
            channel = await self._unix(path)
            try:
                yield channel.reader, channel
            finally:
                channel.close()
        except LinkError as error:
            outcome = error.fault.value
            raise
        finally:
            self._record(f"nc -U {ssh_wrap.quote(path)}", began, outcome)

    async def _unix(self, path: str) -> ByteChannel:
        connection = await self.connect()
        import asyncssh

        from muva_console.ops.links import ssh_channel, ssh_errors

        channel = ssh_channel.ByteChannel(self._way.lost_error)
        factory: Any = lambda: channel  # noqa: E731
        try:
            await self._way.open(
                connection, connection.create_unix_connection(factory, path), lambda pair: pair[0].abort()
            )
        except asyncssh.ChannelOpenError as error:
            if connection.is_closed():
                raise self._way.lost_error(None) from error
            refusal = ssh_errors.channel_refused(
                error, self._name, f"the way to the socket {path}", "AllowStreamLocalForwarding"
            )
            if error.code == ssh_errors.PROHIBITED:
                raise refusal from error
            # sshd tells a missing socket and a deaf one apart as little as one that is not ours.
            raise await self._why_no_socket(path, refusal) from error
        return channel

    async def _why_no_socket(self, path: str, refusal: LinkError) -> LinkError:
        quoted = ssh_wrap.quote(path)
        listed = ssh_wrap.quote(f" {path}")
        answer = await self.run(
            f"test -S {quoted} || exit 3; test -w {quoted} || exit 4; "
            f"grep -F {listed} /proc/net/unix | grep -q ' 00010000 '",  # __SO_ACCEPTCON: it listens
            limit=4096,
        )
        if answer.exit_status == 3:
            return LinkError(
                Fault.MISSING,
                f"there is no socket {sanitise_line(path, cap=200)}",
                where=self._name,
                means="The service that makes it is not running, or it keeps it elsewhere.",
            )
        if answer.exit_status == 4:
            refusal.means = f"The socket belongs to another user than {self._host.user or 'ours'}."
        elif answer.exit_status == 0:
            refusal.means = "The socket is alive, so the SSH server forbids: AllowStreamLocalForwarding."
        else:
            refusal.means = "The socket is there but nobody listens: its service died without cleaning up."
        return refusal

    @asynccontextmanager
    async def open_tcp(self, address: str, port: int) -> AsyncIterator[int]:
        """A local port on loopback that leads to address:port as seen from the host; gone on leaving.

        Only this user's processes are let in (others on a shared jump host are turned away, see
        `ssh_forward`). The port stays the same while the connection behind it is lost and mended.
        Raises LinkError(REFUSED) when the server forbids forwarding or nobody listens there.
        """
        from muva_console.ops.links.ssh_forward import LocalPort

        began = time.monotonic()
        outcome = "closed"
        local = 0
        try:
            first = await self._tcp(address, port)
            forward = LocalPort(lambda: self._tcp(address, port), first)
            try:
                local = await forward.open()
                yield local
            finally:
                await forward.close()
        except LinkError as error:
            outcome = error.fault.value
            raise
        finally:
            self._record(f"ssh -N -L 127.0.0.1:{local}:{address}:{port} {self._name}", began, outcome)

    @asynccontextmanager
    async def open_tcp_streams(
        self, address: str, port: int
    ) -> AsyncIterator[tuple[asyncio.StreamReader, StreamWriterLike]]:
        """A channel to address:port as seen from the host, without any local port."""
        began = time.monotonic()
        outcome = "closed"
        try:
            channel = await self._tcp(address, port)
            try:
                yield channel.reader, channel
            finally:
                channel.close()
        except LinkError as error:
            outcome = error.fault.value
            raise
        finally:
            self._record(f"nc {address} {port}", began, outcome)

    async def _tcp(self, address: str, port: int) -> ByteChannel:
        connection = await self.connect()
        import asyncssh

        from muva_console.ops.links import ssh_channel, ssh_errors

        channel = ssh_channel.ByteChannel(self._way.lost_error)
        factory: Any = lambda: channel  # noqa: E731
        try:
            await self._way.open(
                connection, connection.create_connection(factory, address, port), lambda pair: pair[0].abort()
            )
        except asyncssh.ChannelOpenError as error:
            if connection.is_closed():
                raise self._way.lost_error(None) from error
            raise ssh_errors.channel_refused(
                error, self._name, f"the way to {address}:{port}", "AllowTcpForwarding, PermitOpen"
            ) from error
        return channel


_TOLD = re.compile(r"(?:sh -c ')?# ([^\n]+)\n")


def _told(command: str) -> str:
    """The line that stands for a command in the command log: a script of ours begins with a comment that is
    what a person would type to see the same.
    """
    told = _TOLD.match(command)
    return told[1] if told else command


async def _beat(session: CommandSession, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        session.write(ssh_wrap.BEAT)


def ssh_links(
    hosts: Mapping[str, Host],
    *,
    log: CommandLog | None = None,
    on_state: OnState | None = None,
    redact: Callable[[str], str] | None = None,
) -> dict[str, SshLink]:
    """A link for every host of muva.toml, by name. A jump host's connection is opened once for all."""
    shared: dict[str, MendedConnection] = {}
    return {
        name: SshLink(name, host, hosts=hosts, log=log, on_state=on_state, redact=redact, shared=shared)
        for name, host in hosts.items()
    }
