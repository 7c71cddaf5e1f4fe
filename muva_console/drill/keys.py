"""The estate's SSH keys: a host key and one key to log in with, good for nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from muva_console.drill.state import Estate

HOST_KEY = "ssh_host_ed25519_key"
AUTHORISED = "authorized_keys"


def generate(estate: Estate) -> None:
    """Write the host key, the user's key, authorized_keys and known_hosts."""
    import asyncssh

    host = asyncssh.generate_private_key("ssh-ed25519", comment="muva-drill-host")
    user = asyncssh.generate_private_key("ssh-ed25519", comment=f"{estate.user}@muva-drill")
    _write(estate.secrets / HOST_KEY, host.export_private_key())
    _write(estate.identity, user.export_private_key())
    _write(estate.identity.with_suffix(".pub"), user.export_public_key())
    _write(estate.secrets / AUTHORISED, user.export_public_key())
    public = host.export_public_key().decode().split(" ")
    _write(estate.known_hosts, f"[127.0.0.1]:{estate.ssh_port} {public[0]} {public[1]}\n".encode())


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
