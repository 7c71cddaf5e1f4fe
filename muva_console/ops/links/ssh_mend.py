"""One host's SSH connection, opened once for all who ask and opened again after it was lost.

The connection, its hops and its sessions are kept here; what is done over it stands in `ssh`. asyncssh is
imported when a connection is first opened, in a thread: it costs a third of a second that the
console's first paint must not pay.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.backoff import BASE, CAP, Backoff
from muva_console.ops.links.base import LinkState, LinkStatus, OnState
from muva_console.ops.links.ssh_slots import Slots
from muva_console.ops.readings import utc_now

if TYPE_CHECKING:
    import asyncssh

    from muva_console.ops.links.ssh_channel import CommandSession
    from muva_console.ops.links.ssh_connect import Target

    S = TypeVar("S", bound=CommandSession)
T = TypeVar("T")

LIVED = 10.0
"""A connection that lasted this many seconds was a good one: its loss is not a failed attempt. Ours."""
AUTH_BASE, AUTH_CAP = 15.0, 600.0
"""Back-off after a refused login, seconds: fail2ban's default bans after five of them in ten minutes."""
SUSPICION = 2.0
"""Keepalive interval, seconds, while the host is suspected of being gone."""
UNNOTICED = 0.25
"""Seconds within which a connection must turn out to be gone for a request to be begun anew over the
next one, unseen; later the caller is told."""
_CLOSE_TIMEOUT = 2.0
WINDOW = 1024 * 1024
"""Bytes that a command may send before we take them."""


class Record(Protocol):
    """Writes a line of the command log."""

    def __call__(self, line: str, began: float, outcome: str) -> None:
        """`began` is on the monotonic clock."""
        ...


class MendedConnection:
    """Opened on first use, by one attempt that all callers share; after a failure with back-off."""

    def __init__(
        self,
        name: str,
        host: Host,
        *,
        hosts: Mapping[str, Host],
        shared: MutableMapping[str, MendedConnection],
        record: Record,
        on_state: OnState | None = None,
        via: MendedConnection | None = None,
        trail: tuple[str, ...] = (),
    ) -> None:
        """`via` is the hop before this one when ssh_config's ProxyJump names several; `trail` are the
        names that led here, to notice a circle.
        """
        self.name, self.host = name, host
        self.on_state = on_state
        self.record = record
        self.users: set[object] = set()
        """Who needs it; when the last one leaves, `leave` closes it."""
        self.state = LinkState(name=f"ssh {name}", status=LinkStatus.UNUSED, since=utc_now())
        self.backoff = Backoff()
        self._hosts, self._shared, self._via, self._trail = hosts, shared, via, trail
        self._hop: MendedConnection | None = None
        self._error: LinkError | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._opening: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._opened = 0.0
        self._token: object = None
        self._slots = Slots()
        self.number = 0
        """How many connections were opened: what was learnt over an earlier one may not hold any more."""

    # ------------------------------------------------------------------ open and close

    async def get(self) -> asyncssh.SSHClientConnection:
        """The open connection, opened now if need be. Raises LinkError, during back-off the last one."""
        connection = self._connection
        if connection is not None and not connection.is_closed():
            return connection
        if self._opening is None:
            wait = self.backoff.remaining()
            if wait > 0 and self._error is not None:
                raise self._not_yet(self._error, wait)
            self._opening = asyncio.create_task(self._open(), name=f"open ssh {self.name}")
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled() and not _cancelling():
                raise LinkError(Fault.CLOSED, "the link was closed here", where=self.name) from None
            raise

    def retry_now(self) -> None:
        """Let the next request try at once, hops included."""
        self.backoff.skip()
        if self._hop is not None:
            self._hop.retry_now()

    async def close(self) -> None:
        """Close; `get` opens anew. A hop that nobody else needs is closed too."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.wait({opening}, timeout=_CLOSE_TIMEOUT)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()
        if self.state.status is not LinkStatus.UNUSED:
            self._tell(LinkStatus.CLOSED)
        if self._hop is not None:
            hop, self._hop = self._hop, None
            await hop.leave(self)

    async def leave(self, user: object) -> None:
        """`user` does not need the connection any more."""
        self.users.discard(user)
        if not self.users:
            await self.close()

    async def _open(self) -> asyncssh.SSHClientConnection:
        self._tell(LinkStatus.OPENING)
        began = time.monotonic()
        token = object()
        line = f"ssh {self.host.address}"
        try:
            connect = await asyncio.to_thread(importlib.import_module, "muva_console.ops.links.ssh_connect")
            target: Target = await connect.resolve(self.name, self.host)
            line = f"ssh {target.user}@{target.address}"
            tunnel = await self._tunnel(target)
            connection: asyncssh.SSHClientConnection = await connect.connect(
                target, tunnel=tunnel, on_lost=lambda error: self._lost(token, error)
            )
        except asyncio.CancelledError:
            self._opening = None
            self.record(line, began, "cancelled")
            raise
        except Exception as error:
            self._opening = None
            failure = error if isinstance(error, LinkError) else _defect(error, self.name)
            self._failed(failure)
            self.record(line, began, failure.fault.value)
            raise failure from (None if failure is error else error)
        self._opening = None
        self._connection, self._token, self._slots = connection, token, Slots()
        self._error = None
        self._opened = time.monotonic()
        self.number += 1
        self._tell(LinkStatus.UP, detail=f"{target.user}@{target.address}")
        self.record(line, began, "connected")
        return connection

    def _failed(self, error: LinkError) -> None:
        self._error = error
        hop = self._hop
        if hop is not None and hop.state.status is not LinkStatus.UP:
            self.backoff.wait_for(hop.backoff.remaining())  # the hop's failure, not ours
        elif error.fault in (Fault.AUTH, Fault.HOST_KEY):
            self.backoff.failed(base=AUTH_BASE, cap=AUTH_CAP)
        else:
            self.backoff.failed(base=BASE, cap=CAP)
        self._tell(LinkStatus.DOWN, error)

    def _lost(self, token: object, error: Exception | None) -> None:
        """Take note of the end of a connection (asyncssh calls); only the present one matters."""
        if self._connection is None or token is not self._token:
            return
        self._connection = None
        self._error = self.lost_error(error)
        if time.monotonic() - self._opened >= LIVED:
            self.backoff.reset()
        elif self.backoff.failures == 0:
            self.backoff.failures = 1  # forgiven once; a host that keeps dropping us is left alone
        else:
            self.backoff.failed()
        self._tell(LinkStatus.DOWN, self._error)

    def lost_error(self, error: BaseException | None = None) -> LinkError:
        """The LinkError for a connection that ended by `error`."""
        from muva_console.ops.links import ssh_errors

        return ssh_errors.lost(self.name, error)

    def _not_yet(self, error: LinkError, wait: float) -> LinkError:
        return LinkError(
            error.fault,
            error.what,
            where=error.where,
            means=error.means,
            next=" ".join((error.next, f"Next attempt in {max(1, round(wait))} s.")).strip(),
        )

    def _tell(self, status: LinkStatus, error: LinkError | None = None, detail: str = "") -> None:
        self.state = LinkState(
            name=self.state.name, status=status, since=utc_now(), error=error, detail=detail
        )
        if self.on_state is not None:
            self.on_state(self.state)

    # ------------------------------------------------------------------ hops

    async def _tunnel(self, target: Target) -> asyncssh.SSHClientConnection | None:
        hop = self._find_hop(target)
        if hop is not self._hop and self._hop is not None:
            await self._hop.leave(self)
        self._hop = hop
        if hop is None:
            return None
        hop.users.add(self)
        from muva_console.ops.links.ssh_connect import HostKeyRefused

        try:
            return await hop.get()
        except HostKeyRefused:
            raise
        except LinkError as error:
            raise LinkError(
                error.fault,
                error.what,
                where=f"{error.where or hop.name}, on the way to {self.name}",
                means=error.means,
                next=error.next,
            ) from error

    def _find_hop(self, target: Target) -> MendedConnection | None:
        if self._via is not None:
            return self._via
        if self.host.jump is not None:
            self._check_circle()
            return self._shared_hop(self.host.jump, self._hosts[self.host.jump], None)
        hop: MendedConnection | None = None
        for jump in target.jumps:
            if jump in self._trail or jump == self.name:
                raise self._circle((*self._trail, self.name, jump))
            name = f"{hop.name} > {jump}" if hop is not None else jump
            hop = self._shared_hop(name, _parse_jump(jump, self.host), hop)
        return hop

    def _shared_hop(self, name: str, host: Host, via: MendedConnection | None) -> MendedConnection:
        # An ssh_config alias may be spelt like a host of muva.toml and mean another one.
        key = name if self.host.jump is not None else f"ssh_config {self.host.ssh_config or ''}: {name}"
        if key not in self._shared:
            self._shared[key] = MendedConnection(
                name,
                host,
                hosts=self._hosts,
                shared=self._shared,
                record=self.record,
                via=via,
                trail=(*self._trail, self.name),
            )
        return self._shared[key]

    def _check_circle(self) -> None:
        seen, host = [self.name], self.host
        while host.jump is not None:
            if host.jump not in self._hosts:
                raise LinkError(
                    Fault.CONFIG,
                    f"the jump host {host.jump} is not in [hosts]",
                    where=seen[-1],
                    next="Add it to muva.toml or correct the name.",
                )
            if host.jump in seen:
                raise self._circle((*seen, host.jump))
            seen.append(host.jump)
            host = self._hosts[host.jump]

    def _circle(self, names: tuple[str, ...]) -> LinkError:
        return LinkError(
            Fault.CONFIG,
            f"the jump hosts go round in a circle: {' > '.join(names)}",
            where=self.name,
            next="Correct jump in muva.toml, or ProxyJump in ssh_config.",
        )

    # ------------------------------------------------------------------ channels

    async def open(
        self,
        connection: asyncssh.SSHClientConnection,
        opening: Coroutine[Any, Any, T],
        discard: Callable[[T], object],
        *,
        seconds: float | None = None,
    ) -> T:
        """Await a channel's opening. Given up half-way it is discarded when it comes, not leaked.

        Raises asyncssh.ChannelOpenError, and LinkError(TIMEOUT) when the server does not answer.
        """
        import asyncssh

        limit = self.host.connect_timeout if seconds is None else min(seconds, self.host.connect_timeout)
        task = asyncio.create_task(opening)
        try:
            async with asyncio.timeout(max(0.0, limit)):
                return await asyncio.shield(task)
        except asyncssh.ChannelOpenError:
            raise
        except (asyncio.CancelledError, TimeoutError) as error:
            task.add_done_callback(lambda done: _discard(done, discard))
            if isinstance(error, asyncio.CancelledError):
                raise
            self.suspect(connection)
            raise LinkError(
                Fault.TIMEOUT,
                f"the host did not answer on the open connection within {limit:.2g} s",
                where=self.name,
                means="It is overloaded or gone; the connection is being checked.",
                next="Try again in some seconds.",
            ) from None
        except (OSError, asyncssh.Error) as error:  # the connection went while the server was to answer
            raise self.lost_error(error) from error

    def suspect(self, connection: asyncssh.SSHClientConnection) -> None:
        """Check soon whether the host still answers; if not, the connection is given up in 6 s."""
        if connection.is_closed():
            return
        connection.set_keepalive(SUSPICION, 2)

        def believe() -> None:
            if not connection.is_closed():
                connection.set_keepalive(self.host.keepalive, 2)

        asyncio.get_running_loop().call_later(4 * SUSPICION, believe)

    async def session(
        self,
        make: Callable[[], S],
        line: str | None,
        deadline: float,
        *,
        stream: bool,
        terminal: tuple[str, tuple[int, int]] | None = None,
    ) -> S:
        """A session that runs `line`, or a login shell. The caller ends it with its `abandon`.

        `terminal` asks for one: its type, columns and rows. Waits until `deadline` (monotonic) for the
        server to have a session free. Raises LinkError.
        """
        import asyncssh

        lost_before = False
        vain = 0
        while True:
            connection = await self.get()
            slots = self._slots
            await self._acquire(slots, deadline, stream=stream)
            began = time.monotonic()
            session = make()
            session.slot = partial(slots.release, stream=stream)
            try:
                await self.open(
                    connection,
                    _start(connection, session, line, terminal),
                    lambda channel: channel.close(),
                    seconds=deadline - began,
                )
            except asyncssh.ChannelOpenError as error:
                if connection.is_closed():
                    slots.release(stream=stream)
                    # Only a channel that was not opened is sure not to have begun the command.
                    if error.code != 2 or lost_before or time.monotonic() - began > UNNOTICED:
                        raise self.lost_error(None) from error
                    lost_before = True
                elif error.code not in (2, 4):  # SSH_OPEN_CONNECT_FAILED, _RESOURCE_SHORTAGE (RFC 4254)
                    slots.release(stream=stream)
                    raise self._no_session(error.reason) from error
                elif not slots.refused(stream=stream):
                    # A session that has just ended may not be counted off yet.
                    vain += 1
                    if vain > 3 or time.monotonic() + 0.25 > deadline:
                        raise self._no_session(error.reason) from error
                    await asyncio.sleep(0.25)
            except BaseException:
                slots.release(stream=stream)
                raise
            else:
                return session

    async def _acquire(self, slots: Slots, deadline: float, *, stream: bool) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await slots.acquire(stream=stream)
        except TimeoutError:
            raise LinkError(
                Fault.TIMEOUT,
                f"all {slots.capacity} sessions that the SSH server allows are in use",
                where=self.name,
                means="Live logs and commands hold them (MaxSessions in its sshd_config).",
                next="Close a live view, or raise MaxSessions.",
            ) from None

    def _no_session(self, reason: str) -> LinkError:
        from muva_console.ops.text import sanitise_line

        return LinkError(
            Fault.REFUSED,
            f"the SSH server runs no command for us ({sanitise_line(reason, cap=200)})",
            where=self.name,
            means="sshd_config: MaxSessions 0 or a ForceCommand; or the user has no login shell.",
            next="Try `ssh HOST true` by hand.",
        )


async def _start(
    connection: asyncssh.SSHClientConnection,
    session: CommandSession,
    line: str | None,
    terminal: tuple[str, tuple[int, int]] | None,
) -> asyncssh.SSHClientChannel[bytes]:
    kind, size = terminal if terminal is not None else (None, None)
    channel, _ = await connection.create_session(
        lambda: session,
        line,
        encoding=None,
        request_pty="force" if terminal is not None else False,
        term_type=kind,
        term_size=size,
        window=WINDOW,
    )
    return channel


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _discard(done: asyncio.Task[T], discard: Callable[[T], object]) -> None:
    if not done.cancelled() and done.exception() is None:
        discard(done.result())


def _defect(error: Exception, where: str) -> LinkError:
    from muva_console.ops.text import sanitise_line

    return LinkError(
        Fault.OTHER, f"defect: {type(error).__name__}: {sanitise_line(str(error), cap=300)}", where=where
    )


def _parse_jump(text: str, towards: Host) -> Host:
    """The hop that ssh_config's ProxyJump writes ``[ssh://][user@]host[:port]``.

    What it does not say (keys, known_hosts) is ssh_config's to say for it; a known_hosts that
    muva.toml gives for the host holds for its hops too.
    """
    text = text.removeprefix("ssh://").rstrip("/")
    user, _, place = text.rpartition("@")
    port: int | None = None
    if place.startswith("["):
        place, _, tail = place[1:].partition("]")
        if tail.startswith(":") and tail[1:].isdecimal():
            port = int(tail[1:])
    elif place.count(":") == 1:
        place, _, number = place.partition(":")
        port = int(number) if number.isdecimal() else None
    return Host(
        address=place,
        user=user or None,
        port=port,
        ssh_config=towards.ssh_config,
        known_hosts=towards.known_hosts,
        connect_timeout=towards.connect_timeout,
        keepalive=towards.keepalive,
    )
