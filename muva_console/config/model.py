"""The typed shape of muva.toml.

Every table of the file is a frozen struct here; `load.py` turns a file into these and names every
mistake with its place. Durations are written as text in the file (``"30s"``, ``"5m"``, ``"250ms"``)
and stand here as seconds (``float``); sizes (``"1G"``, ``"512M"``) stand here as bytes (``int``).

The defaults of the thresholds are the playbook's own; where the playbook names no window or sample
size the value is ours and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NewType

from msgspec import Meta, Struct, field

Seconds = NewType("Seconds", float)
"""A duration. In the file: a text such as "30s", "250ms", "5m", "2h" or "7d"."""

Bytes = NewType("Bytes", int)
"""A size. In the file: a text such as "512M" or "1G" (powers of 1024)."""

Url = NewType("Url", str)
"""An absolute http or https address, without user name or password."""

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of muva.toml."""


class Secret(Table, frozen=True, kw_only=True):
    """A reference to a secret, never the secret: exactly one of the three keys is given."""

    env: str | None = None
    """The name of an environment variable of the console's own process."""
    command: str | None = None
    """A command whose first line of standard output is the secret (a password manager, say)."""
    file: Path | None = None
    """A file that holds the secret; readable by its owner alone."""


class Project(Table, frozen=True, kw_only=True):
    """What is operated."""

    name: str = "MUVA Chat"
    repository: str | None = None
    """OWNER/NAME on GitHub."""
    checkout: Path = Path()
    """The local git checkout, relative to the configuration file."""


class Console(Table, frozen=True, kw_only=True):
    """How the console behaves towards the engineer."""

    refresh: Seconds = Seconds(30.0)
    theme: str = "muva-dark"
    """muva-dark, muva-light, muva-16 (sixteen colours) or muva-mono (none)."""
    read_only: bool = False
    glyphs: str = "auto"
    """auto, unicode or ascii."""


class Journal(Table, frozen=True, kw_only=True):
    """Where the record of everything done is kept."""

    directory: Path | None = None
    """A folder that the team on one jump host shares; the user's own state folder when not given."""


class Health(Table, frozen=True, kw_only=True):
    """When an endpoint counts as failed and as recovered, and how much it is asked."""

    failure_threshold: Count = 3
    """Failures in a row before a service is called down (Gatus's default)."""
    recovery_threshold: Count = 2
    """Successes in a row before it is called recovered (Gatus's default)."""
    timeout: Seconds = Seconds(10.0)
    probes: Count = 25
    """Requests that the performance check sends for its percentile and error rate. Ours: the playbook
    names no sample size, and below about 20 a 5 % error rate cannot be told from none."""
    window: Seconds = Seconds(900.0)
    """How far back the console's history is judged. Ours."""


class Thresholds(Table, frozen=True, kw_only=True):
    """The limits beyond which a reading is bad news."""

    response: Seconds = Seconds(5.0)
    """Playbook, automated checks: response time < 5 seconds."""
    database: Seconds = Seconds(0.1)
    """Playbook: database latency < 100 ms in production, < 50 ms in staging."""
    baseline: Seconds | None = None
    """The usual p95 response time; learnt from the journal's healthy samples when not given."""
    slow_factor: Annotated[float, Meta(gt=1)] = 10.0
    """Playbook, when to roll back: response time > 10 x baseline."""
    degraded_factor: Annotated[float, Meta(gt=1)] = 3.0
    """Ours: between usual and rollback lies "slow"."""
    error_rate: Fraction = 0.05
    """Playbook, when to roll back: error rate > 5 % of requests."""
    memory: Fraction = 0.9
    disk: Fraction = 0.9
    inodes: Fraction = 0.9
    connections: Fraction = 0.8
    """Of max_connections."""
    long_query: Seconds = Seconds(30.0)
    restarts: Count = 3
    """Restarts of one process within restart_window that make it a crash loop. Ours."""
    restart_window: Seconds = Seconds(300.0)
    certificate: Seconds = Seconds(14 * 86400.0)
    """Warn when the certificate expires sooner than this."""


class Dependency(Table, frozen=True, kw_only=True):
    """A service the application needs, asked from here."""

    url: Url
    expect: tuple[int, ...] = (200,)
    """The statuses that mean the service is there (Supabase's REST root answers 401 without a key)."""


class Database(Table, frozen=True, kw_only=True):
    """The environment's Postgres. `url` is a secret reference because it holds a password."""

    url: Secret | None = None
    """Direct or session-mode address (port 5432)."""
    host: str | None = None
    port: Port = 5432
    name: str = "postgres"
    user: str = "postgres"
    password: Secret | None = None
    critical_tables: tuple[str, ...] = ()
    """Tables that must be readable; `schema.table` or `table` (public)."""
    through: str | None = None
    """A host of [hosts] through whose SSH connection the database is reached."""


class Environment(Table, frozen=True, kw_only=True):
    """dev, staging or production."""

    branch: str
    production: bool = False
    """Wears the production colours; acts on it want its name typed."""
    url: Url | None = None
    health: str = "/api/health"
    health_db: str = "/api/health/db"
    hosts: tuple[str, ...] = ()
    """Names of [hosts]."""
    directory: str | None = None
    """Where the application lives on its hosts."""
    processes: tuple[str, ...] = ()
    """The PM2 names that must be online on every host."""
    port: Port | None = None
    """Where the application listens on its host."""
    env_file: str | None = None
    """The application's environment file, relative to `directory`. Names are read, never values."""
    database: Database | None = None
    dependencies: dict[str, Dependency] = field(default_factory=dict)
    thresholds: Thresholds = Thresholds()


class Host(Table, frozen=True, kw_only=True):
    """A VPS reached by SSH. What is not given is taken from the user's ssh_config."""

    address: str
    """A host name, an address, or an alias of ssh_config."""
    port: Port | None = None
    user: str | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    ssh_config: Path | None = None
    jump: str | None = None
    """Another host of [hosts] that is hopped through."""
    pm2_home: str = "~/.pm2"
    pm2: str = "pm2"
    """The pm2 command on that host, for the fallback."""
    connect_timeout: Seconds = Seconds(8.0)
    command_timeout: Seconds = Seconds(15.0)
    keepalive: Seconds = Seconds(15.0)


class Contact(Table, frozen=True, kw_only=True):
    """Somebody to call."""

    role: str
    name: str
    reach: str = ""


class Config(Table, frozen=True, kw_only=True):
    """muva.toml as a whole."""

    project: Project = Project()
    console: Console = Console()
    journal: Journal = Journal()
    health: Health = Health()
    hosts: dict[str, Host] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
