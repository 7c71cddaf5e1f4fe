"""A shell on the host for the engineer: OpenSSH's own client where there is one, else through our link.

Both run while the console is suspended and own the terminal. `shell_command` is preferred: it is the
program that people know, with its agent, its escapes and its questions.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import termios
import tty
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.ssh_wrap import quote

if TYPE_CHECKING:
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.links.ssh_channel import Terminal

SIZE_POLL = 0.25
"""Seconds between looks at the window's size. SIGWINCH reaches the main thread only, and `ops` has
another."""
_WAYS = 8
"""Jump hosts in a row at most: a circle in the configuration must not hang."""


def has_client() -> bool:
    """Whether OpenSSH's client is installed."""
    return shutil.which("ssh") is not None


def shell_command(
    host: Host, *, hosts: Mapping[str, Host] | None = None, directory: str | None = None
) -> list[str]:
    """The `ssh` command line that opens a login shell on `host`, in `directory` if given.

    It goes the way the link goes: the same ssh_config, key, known_hosts and jump hosts. An unknown host
    key is asked about, whatever ssh_config says. Raises LinkError(CONFIG) when the jump hosts go round in a
    circle or one is not known.
    """
    argv = _client(host, hosts or {}, 0)
    remote = login_in(directory)
    if remote is not None:
        argv.append("-t")
    argv += ["--", host.address]
    if remote is not None:
        argv.append(remote)
    return argv


def ssh_line(
    host: Host, *options: str, hosts: Mapping[str, Host] | None = None, remote: str | None = None
) -> str:
    """What a person would type to get to `host` the way the link does, and to run `remote` there if given.

    To be shown and pasted: a line of shell, with only what this host needs. Jump hosts that go round in a
    circle are left out; connecting says what is wrong with them.
    """
    words = ["ssh", *options]
    if host.ssh_config is not None:
        words += ["-F", str(host.ssh_config.expanduser())]
    if host.known_hosts is not None:
        words += ["-o", f"UserKnownHostsFile={host.known_hosts.expanduser()}"]
    if host.port is not None:
        words += ["-p", str(host.port)]
    if host.identity is not None:
        words += ["-i", str(host.identity.expanduser())]
    words += _hop(host, hosts or {}, 0)
    place = f"{host.user}@{host.address}" if host.user else host.address
    words += ["--", place] if place.startswith("-") else [place]
    if remote is not None:
        words.append(remote)
    return shlex.join(words)


def _hop(host: Host, hosts: Mapping[str, Host], depth: int) -> list[str]:
    jump = hosts.get(host.jump or "")
    if jump is None or depth >= _WAYS:
        return []
    if _plain(jump):
        return ["-J", _named(jump)]
    line = ssh_line(jump, *_hop(jump, hosts, depth + 1), "-W", "%h:%p")
    return ["-o", f"ProxyCommand={line}"]


def login_in(directory: str | None) -> str | None:
    """The command line that changes to `directory` and becomes a login shell; None for no directory.

    A directory that is not there is told, and the shell comes all the same.
    """
    if not directory:
        return None
    place = '"$HOME"/' + quote(directory[2:]) if directory.startswith("~/") else quote(directory)
    script = quote('cd -- "$1"; exec "${SHELL:-/bin/sh}" -l')
    return f"exec sh -c {script} muva {place}"


def _client(host: Host, hosts: Mapping[str, Host], depth: int) -> list[str]:
    argv = ["ssh"]
    if host.ssh_config is not None:
        argv += ["-F", str(host.ssh_config.expanduser())]
    if host.port is not None:
        argv += ["-p", str(host.port)]
    if host.user is not None:
        argv += ["-l", host.user]
    if host.identity is not None:
        argv += [
            "-o",
            f'IdentityFile="{_literal(str(host.identity.expanduser()))}"',
            "-o",
            "IdentitiesOnly=yes",
        ]
    if host.known_hosts is not None:
        argv += ["-o", f'UserKnownHostsFile="{_literal(str(host.known_hosts.expanduser()))}"']
    argv += ["-o", "StrictHostKeyChecking=ask"]
    argv += ["-o", f"ConnectTimeout={max(1, round(host.connect_timeout))}"]
    argv += ["-o", f"ServerAliveInterval={max(1, round(host.keepalive))}"]
    if host.jump is not None:
        if host.jump not in hosts or depth >= _WAYS:
            why = "goes round in a circle" if host.jump in hosts else "is not in [hosts]"
            raise LinkError(Fault.CONFIG, f"the jump host {host.jump} {why}", next="Correct muva.toml.")
        argv += _through(hosts[host.jump], hosts, depth + 1)
    return argv


def _through(jump: Host, hosts: Mapping[str, Host], depth: int) -> list[str]:
    if _plain(jump):
        return ["-J", _named(jump)]
    # -J would not hand the hop its key and known_hosts. The command passes our shell and ssh's tokens.
    words = [*_client(jump, hosts, depth), "-W"]
    line = " ".join(quote(word).replace("%", "%%") for word in words)
    return ["-o", f"ProxyCommand={line} '[%h]:%p' -- {quote(jump.address).replace('%', '%%')}"]


def _plain(jump: Host) -> bool:
    """Whether ``-J`` is enough to say how it is reached."""
    own = (jump.identity, jump.known_hosts, jump.ssh_config, jump.jump)
    return all(setting is None for setting in own) and not set(jump.address) & set(" ,:%[]")


def _named(jump: Host) -> str:
    user = f"{jump.user}@" if jump.user else ""
    return f"{user}{jump.address}{f':{jump.port}' if jump.port else ''}"


def _literal(path: str) -> str:
    return path.replace("%", "%%")  # ssh expands %h and its like in file names


async def interactive(link: SshLink, directory: str | None = None, *, stdin: int = 0, stdout: int = 1) -> int:
    """A login shell on the host in this terminal, over the link's own connection; its exit status.

    For machines without OpenSSH's client, while nothing else reads or writes the terminal. As in ssh,
    ``~.`` at the beginning of a line hangs up. `stdin` and `stdout` are file descriptors of a terminal.
    Raises LinkError when the host cannot be reached or the connection is lost.
    """
    size = os.get_terminal_size(stdout)
    kind = os.environ.get("TERM", "xterm-256color")
    async with link.terminal(login_in(directory), kind, size.columns, size.lines) as session:
        with _raw(stdin):
            keys = _Keys(session)
            loop = asyncio.get_running_loop()
            loop.add_reader(stdin, keys.read, stdin)
            resizing = asyncio.create_task(_follow_size(session, stdout))
            try:
                while (chunk := await session.next()) is not None:
                    await asyncio.to_thread(_write, stdout, chunk)
            finally:
                loop.remove_reader(stdin)
                resizing.cancel()
        if session.exit_status is not None:
            return session.exit_status
        if keys.hung_up:
            return 255  # as ssh
        raise link.lost_error(session.error)


class _Keys:
    """Passes what is typed on, looking for the escape ``~.`` after a line's beginning."""

    def __init__(self, session: Terminal) -> None:
        self._session = session
        self._before = b"\r"
        self.hung_up = False

    def read(self, descriptor: int) -> None:
        try:
            typed = os.read(descriptor, 65536)
        except OSError:
            typed = b""
        if not typed:  # our own terminal is gone
            self.hung_up = True
            self._session.hang_up()
            return
        recent = self._before + typed
        if b"\r~." in recent:
            self.hung_up = True
            self._session.hang_up()
            return
        self._before = recent[-2:]
        self._session.write(typed)


async def _follow_size(session: Terminal, descriptor: int) -> None:
    known = os.get_terminal_size(descriptor)
    while True:
        await asyncio.sleep(SIZE_POLL)
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(descriptor)
            if size != known:
                known = size
                session.resize(size.columns, size.lines)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """The terminal hands every key over at once and untouched; as it was on leaving."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
