"""Whose host key it is: known_hosts, read strictly, and a new key accepted only by a person.

asyncssh would also take a key because it stands under the *address* that a name resolved to, and an
unlisted port's key because the plain name has one. Here a key counts for the name it is recorded
under, as in OpenSSH with its default `CheckHostIP no`; a plain entry still vouches for another port of
the same name, but never makes that port's key look "changed".
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError, OpsError, Refused

if TYPE_CHECKING:
    import asyncssh

SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
"""OpenSSH's default GlobalKnownHostsFile."""
DEFAULT_PORT = 22


class HostKeyOffer(Struct, frozen=True, kw_only=True):
    """A host key that is not trusted yet, as a person is to be shown it before deciding."""

    host: str
    """The host's name in muva.toml, or the hop's on the way to it."""
    address: str
    """As known_hosts names it: ``vps.example`` or ``[vps.example]:2222``."""
    algorithm: str
    """``ssh-ed25519`` …"""
    fingerprint: str
    """``SHA256:…``, as `ssh-keygen -l` prints it."""
    key: str
    """The public key in OpenSSH's one-line form, without comment."""
    randomart: str = ""
    """The picture `ssh -o VisualHostKey=yes` draws; several lines."""
    file: Path
    """The known_hosts file in which it would be recorded."""
    changed: bool = False
    """Another key, or a revocation, is on record for this address. Never to be accepted in passing."""
    recorded: tuple[str, ...] = ()
    """The fingerprints on record when it changed."""


class KnownHosts:
    """The known_hosts files that hold for one host. Read anew for every question."""

    def __init__(self, files: Sequence[Path], *, name: str, port: int, alias: str | None = None) -> None:
        """`name` is what is connected to; `alias` is ssh_config's HostKeyAlias, which has no port."""
        self.files = tuple(files)
        self._name, self._port, self._alias = name, port, alias

    @property
    def address(self) -> str:
        """The name under which the key is looked up and recorded."""
        if self._alias:
            return self._alias
        return self._name if self._port == DEFAULT_PORT else f"[{self._name}]:{self._port}"

    def trusted(self) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
        """Host keys, authorities' keys and revoked keys for the address.

        Raises LinkError(CONFIG) when a file cannot be read or understood: a known_hosts that is not
        understood must not look empty.
        """
        known = self._load()
        keys, authorities, revoked = (list(part) for part in known.match(self.address, "", None)[:3])
        plain = self._alias or self._name
        if plain != self.address and not (keys or authorities):
            found = known.match(plain, "", None)
            keys, authorities = list(found[0]), list(found[1])
            revoked += list(found[2])
        return keys, authorities, revoked

    def recorded(self) -> list[asyncssh.SSHKey]:
        """The keys that stand under the exact address: what makes another key a changed one."""
        return list(self._load().match(self.address, "", None)[0])

    def judge(self, host: str, key: asyncssh.SSHKey) -> HostKeyOffer:
        """What to show a person about a key that was not trusted."""
        revoked = any(key == other for other in self.trusted()[2])
        recorded = self.recorded()
        return HostKeyOffer(
            host=host,
            address=self.address,
            algorithm=key.get_algorithm(),
            fingerprint=key.get_fingerprint(),
            key=_line(key),
            randomart=randomart(key.public_data, key.get_algorithm()),
            file=self.files[0],
            changed=revoked or bool(recorded),
            recorded=tuple(f"{other.get_algorithm()} {other.get_fingerprint()}" for other in recorded),
        )

    def _load(self) -> asyncssh.SSHKnownHosts:
        import asyncssh

        known = asyncssh.SSHKnownHosts()
        for file in (*self.files, *SYSTEM_KNOWN_HOSTS):
            try:
                known.load(file.read_text("utf-8", "replace"))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise LinkError(
                    Fault.CONFIG,
                    f"known_hosts cannot be read: {error}",
                    where=str(file),
                    means="Without it no host key can be checked, so no connection is made.",
                    next="Mend the file or its permissions.",
                ) from error
        return known


def accept(offer: HostKeyOffer, *, hashed: bool | None = None) -> None:
    """Record the offered key in known_hosts. A person has seen the fingerprint and said yes.

    The line is appended with one write under a lock, so neither another console nor ssh itself loses
    an entry; the file (0600) and its folder (0700) are created. `hashed` hides the name as OpenSSH's
    HashKnownHosts does; when None, as the file's other entries are. Raises Refused when another key is
    on record for the address (looked up now, whatever the offer says), OpsError when it cannot be
    written.
    """
    known = KnownHosts((offer.file,), name=offer.address, port=DEFAULT_PORT)
    if offer.changed or any(_line(key) != offer.key for key in known.recorded()) or _revoked(known, offer):
        raise Refused(
            "the host key has changed",
            where=offer.address,
            means="Another key is on record. Either the host was set up anew or somebody is in between.",
            next=f"Ask who runs the host. If it was set up anew: ssh-keygen -R '{offer.address}' "
            f"-f '{offer.file}', then connect again.",
        )
    try:
        _append(offer, hashed)
    except OSError as error:
        raise OpsError(
            f"the host key could not be recorded: {error.strerror or error}",
            where=str(offer.file),
            next="Mend the file's permissions or its disk and accept the key again.",
        ) from error
    if not any(_line(key) == offer.key for key in known.recorded()):
        raise OpsError(
            "the host key was written but is not found again",
            where=str(offer.file),
            means="The file does not keep what is written to it (/dev/null?).",
            next="Name another file: known_hosts in muva.toml, or UserKnownHostsFile in ssh_config.",
        )


def _append(offer: HostKeyOffer, hashed: bool | None) -> None:
    offer.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(offer.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        present = offer.file.read_bytes()
        if hashed is None:
            hashed = any(line.startswith(b"|1|") for line in present.splitlines())
        name = hash_name(offer.address) if hashed else offer.address
        line = f"{name} {offer.key}\n".encode()
        if present and not present.endswith(b"\n"):
            line = b"\n" + line
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, line) != len(line):
            os.ftruncate(descriptor, size)  # half a line would spoil the next one too
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with contextlib.suppress(OSError):  # /dev/null has nothing to keep; it is looked up again anyway
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _revoked(known: KnownHosts, offer: HostKeyOffer) -> bool:
    return any(_line(key) == offer.key for key in known.trusted()[2])


def _line(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])


def hash_name(name: str, salt: bytes | None = None) -> str:
    """`name` as known_hosts hides it: ``|1|salt|HMAC-SHA1(salt, name)`` (sshd(8), HashKnownHosts)."""
    salt = os.urandom(20) if salt is None else salt
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def randomart(public_data: bytes, title: str) -> str:
    """The drunken bishop's walk over a key's SHA-256, as `ssh-keygen -lv` draws it, 19 columns."""
    width, height, symbols = 17, 9, " .o+=*BOX@%&#/^"
    field = [[0] * width for _ in range(height)]
    x, y = width // 2, height // 2
    for byte in hashlib.sha256(public_data).digest():
        for shift in range(0, 8, 2):
            x = min(width - 1, max(0, x + (1 if byte >> shift & 1 else -1)))
            y = min(height - 1, max(0, y + (1 if byte >> shift & 2 else -1)))
            field[y][x] += 1
    rows = [[symbols[min(count, len(symbols) - 1)] for count in row] for row in field]
    rows[height // 2][width // 2] = "S"
    rows[y][x] = "E"
    head = f"[{title.removeprefix('ssh-').upper()}]"[:width]
    return "\n".join(
        (f"+{head:-^{width}}+", *(f"|{''.join(row)}|" for row in rows), f"+{'[SHA256]':-^{width}}+")
    )
