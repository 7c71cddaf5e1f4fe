"""Who is the engineer: taken from the login on the jump host, never asserted silently.

Accounts are often shared (``deploy``, ``root``), so three things are told apart: the account that the
kernel vouches for, the name a person claims with ``$MUVA_ENGINEER``, and the circumstances of the
login (where the SSH session came from, which key opened it). A claimed name is recorded together with
the account; nothing here authenticates anybody.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from muva_console.ops.text import sanitise_line

CLAIM_VARIABLE = "MUVA_ENGINEER"
"""A person behind a shared account gives their name here."""

_NAME_CAP = 64
_ORIGIN_CAP = 200
_UNSET_LOGINUID = 2**32 - 1
_KEY_FIELDS = 2


class Engineer(Struct, frozen=True, kw_only=True):
    """Who acts. Every text is sanitised and short."""

    name: str
    """The claimed name when there is one, else the account of the login."""
    host: str
    """This machine's host name."""
    origin: str
    """Where the login came from, for a reader: ``ssh from 10.0.0.7, key dana@laptop``; or ``this host``."""
    account: str = ""
    """The account that the system vouches for; differs from `name` when a name was claimed."""
    claimed: bool = False
    """True when `name` is only somebody's word ($MUVA_ENGINEER)."""

    @property
    def label(self) -> str:
        """The name as the journal keeps it: ``dana``, or ``dana (account deploy)`` for a claimed name."""
        return f"{self.name} (account {self.account})" if self.claimed else self.name

    @property
    def at_host(self) -> str:
        """``dana@jump-1``, for the status line."""
        return f"{self.name}@{self.host}"


def identify(
    environ: Mapping[str, str] | None = None, *, loginuid_file: Path = Path("/proc/self/loginuid")
) -> Engineer:
    """The engineer of this process. Never raises: what cannot be found out is left out or said so.

    The account is, first found: the kernel's audit login id (set once by PAM at login, it survives sudo
    and su), the account that called sudo, the account that owns this process. `environ` is os.environ
    when not given; ``$USER`` and ``$LOGNAME`` are not looked at, because anybody may set them.
    """
    environ = os.environ if environ is None else environ
    running_as = _account_of(os.getuid())
    account = _audit_account(loginuid_file) or _sudo_account(environ) or running_as
    origin = [_login_origin(environ)]
    key = _key_of_login(environ, account)
    if key:
        origin.append(f"key {key}")
    if account != running_as:
        origin.append(f"running as {running_as}")
    claim = sanitise_line(environ.get(CLAIM_VARIABLE, ""), cap=_NAME_CAP).strip()
    claimed = bool(claim) and claim != account
    return Engineer(
        name=claim if claimed else account,
        host=sanitise_line(socket.gethostname(), cap=_NAME_CAP) or "unknown host",
        origin=sanitise_line(", ".join(origin), cap=_ORIGIN_CAP),
        account=account,
        claimed=claimed,
    )


def _account_of(uid: int) -> str:
    try:
        return sanitise_line(pwd.getpwuid(uid).pw_name, cap=_NAME_CAP)
    except KeyError:  # containers and directory services: a number is an honest name
        return f"uid {uid}"


def _audit_account(file: Path) -> str:
    try:
        uid = int(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return ""
    return "" if uid in {_UNSET_LOGINUID, -1} else _account_of(uid)


def _sudo_account(environ: Mapping[str, str]) -> str:
    """The account that called sudo; believed of root alone, since sudo is how root is become."""
    uid = environ.get("SUDO_UID", "")
    return _account_of(int(uid)) if os.getuid() == 0 and uid.isascii() and uid.isdigit() else ""


def _login_origin(environ: Mapping[str, str]) -> str:
    """`SSH_CONNECTION` is ``client-address client-port server-address server-port`` (ssh(1)). Within tmux
    it is that of the login which began the tmux server.
    """
    client = environ.get("SSH_CONNECTION", "").split()
    return f"ssh from {sanitise_line(client[0], cap=_NAME_CAP)}" if client else "this host"


def _key_of_login(environ: Mapping[str, str], account: str) -> str:
    """The comment and fingerprint of the key that opened the session.

    sshd tells the key in the file `$SSH_USER_AUTH` when `ExposeAuthInfo yes` is set (sshd_config(5)); the
    comment is that of the same key in the account's authorized_keys.
    """
    told = environ.get("SSH_USER_AUTH", "")
    if not told:
        return ""
    for line in _lines(Path(told)):
        method, _, rest = line.partition(" ")
        fields = rest.split()
        if method == "publickey" and len(fields) >= _KEY_FIELDS:
            fingerprint = _fingerprint(fields[1])
            comment = _comment_of(fields[1], account)
            return " ".join(part for part in (comment, fingerprint) if part)
    return ""


def _fingerprint(key: str) -> str:
    try:
        blob = base64.b64decode(key, validate=True)
    except ValueError:
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _comment_of(key: str, account: str) -> str:
    try:
        home = Path(pwd.getpwnam(account).pw_dir)
    except KeyError:
        return ""
    for line in _lines(home / ".ssh" / "authorized_keys"):
        before, found, comment = line.partition(f" {key}")
        if found and not before.lstrip().startswith("#"):
            return sanitise_line(comment.strip(), cap=_NAME_CAP)
    return ""


def _lines(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8", errors="replace") as handle:
            return handle.read(256 * 1024).splitlines()
    except (OSError, ValueError):
        return []
