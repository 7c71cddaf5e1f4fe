"""What an estate is made of: its folder's layout, and the record that outlives the command that made it."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct, field

from muva_console.ops.errors import OpsError

STATE_FILE = "estate.json"
TAG = "MUVA_DRILL"
"""The environment variable that marks every process of an estate with its id."""
LONGEST_SOCKET = 100
"""Bytes of a UNIX socket's path: sun_path holds 107 on Linux, some are left for names that PM2 may add."""


class Site(Struct, kw_only=True):
    """One deployment of the application on the estate's host."""

    environment: str
    branch: str
    process: str
    """PM2's name for it."""
    port: int
    directory: Path
    """Its git checkout on the host."""
    database: str
    role: str
    """The role that owns the database."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def env_file(self) -> str:
        """The application's environment file, relative to `directory`."""
        return f".env.{self.environment}"


class ActiveFault(Struct, kw_only=True):
    """A fault that is broken into the estate, and what mending it needs to know."""

    name: str
    environment: str
    since: datetime
    memory: dict[str, str] = field(default_factory=dict)


class Estate(Struct, kw_only=True):
    """A drill estate. Times are UTC; the paths are absolute; secrets stand in files, not here."""

    id: str
    directory: Path
    created_at: datetime
    phase: str = "starting"
    """starting, up or stopping."""
    ssh_port: int
    postgres_port: int
    github_port: int = 0
    """Where the stand-in for GitHub's API answers; 0 in estates from before there was one."""
    github_blob_port: int = 0
    """Where it redirects to for logs and artifacts."""
    user: str = "deploy"
    """The name to log in with by SSH."""
    pm2_home: Path
    short: Path | None = None
    """A folder outside of `directory`, where that is too long for UNIX sockets."""
    sites: dict[str, Site]
    """By environment: production and staging."""
    faults: list[ActiveFault] = field(default_factory=list)
    node: Path
    postgres_programs: Path

    @property
    def host_home(self) -> Path:
        """The home directory on the host; var/www is below it."""
        return self.directory / "host"

    @property
    def repository(self) -> Path:
        """The bare git repository that hosts and engineers fetch from."""
        return self.directory / "repository.git"

    @property
    def checkout(self) -> Path:
        """An engineer's own clone, on dev."""
        return self.directory / "checkout"

    @property
    def cache(self) -> Path:
        """What the console keeps and can make again: its own copy of the repository, outputs of builds."""
        return self.directory / "cache"

    @property
    def tools(self) -> Path:
        """What an engineer's shell reads to have Node and pnpm."""
        return self.directory / "tools.sh"

    @property
    def config(self) -> Path:
        """The configuration, ready for `muva --config`."""
        return self.directory / "muva.toml"

    @property
    def secrets(self) -> Path:
        """Keys and passwords, readable by the owner alone."""
        return self.directory / "secrets"

    @property
    def identity(self) -> Path:
        """The private key to log in with."""
        return self.secrets / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host's key, as ssh wants it."""
        return self.secrets / "known_hosts"

    @property
    def logs(self) -> Path:
        """What the estate's own servers print."""
        return self.directory / "log"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "postgres"

    @property
    def github_url(self) -> str:
        """Where GitHub's API is stood in for."""
        return f"http://127.0.0.1:{self.github_port}"

    @property
    def journal(self) -> Path:
        """The console's journal."""
        return self.directory / "journal"

    @property
    def backups(self) -> Path:
        """Backups of the databases, as `ops/backups.py` names them."""
        return self.directory / "backups"

    def password(self, role: str) -> str:
        """A database role's password. Raises OpsError when the estate has no such role."""
        try:
            return (self.secrets / f"{role}.password").read_text().strip()
        except OSError as error:
            raise OpsError(f"no password for the role {role}", where=str(self.secrets)) from error

    def save(self) -> None:
        """Write the record, whole or not at all."""
        target = self.directory / STATE_FILE
        beside = target.with_suffix(".next")
        data = msgspec.json.format(msgspec.json.encode(self, enc_hook=_encode), indent=2)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data + b"\n")
        beside.replace(target)


def load(directory: Path) -> Estate:
    """The estate in a folder. Raises OpsError when there is none."""
    path = directory / STATE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Estate, dec_hook=_decode)
    except FileNotFoundError as error:
        raise OpsError("there is no drill estate here", where=str(directory), next="muva drill up") from error
    except (msgspec.DecodeError, OSError) as error:
        raise OpsError(f"the record of the estate cannot be read: {error}", where=str(path)) from error


def default_directory() -> Path:
    """Where an estate stands when no folder is named."""
    import platformdirs

    return platformdirs.user_state_path("muva-console") / "drill"


def socket_directory(directory: Path, estate_id: str) -> tuple[Path, Path | None]:
    """PM2_HOME for an estate, and the short folder it needs when `directory` is too long for sockets."""
    wanted = directory / "host" / ".pm2"
    if len(os.fsencode(wanted / "interactor.sock")) <= LONGEST_SOCKET:
        return wanted, None
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - made with mode 0700 below it
        short = base / f"muva-{estate_id}"
        if len(os.fsencode(short / "pm2" / "interactor.sock")) <= LONGEST_SOCKET:
            return short / "pm2", short
    raise OpsError(
        "no folder with a path short enough for UNIX sockets",
        where=str(directory),
        next="use a shorter --dir",
    )


def _encode(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _decode(kind: type, value: object) -> object:
    if issubclass(kind, Path):
        return Path(str(value))
    raise NotImplementedError(kind.__name__)
