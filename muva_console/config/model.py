"""The typed shape of muva.toml.

Every table of the file is a frozen struct, here or in `types.py` (what values are made of) and `release.py`
(what a release goes by); whoever needs one imports it from here. `load.py` turns a file into these and
names every mistake with its place, `schema.py` makes the JSON Schema of them, `render.py` writes a commented
file. The texts under the fields are what an engineer reads there, so they are written for one.

Durations are written as text in the file (``"30s"``, ``"5m"``, ``"250ms"``) and stand here as seconds
(``float``); sizes (``"1G"``, ``"512M"``) stand here as bytes (``int``). Paths of this machine are
absolute once loaded: ``~`` is the user's home, and what is relative is relative to the file.

The defaults of the thresholds are the playbook's own; where the playbook names no window or sample
size the value is ours and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, field

from muva_console.config.release import (
    Alerts,
    Backups,
    Flow,
    GitHub,
    Maintenance,
    Migrations,
    Notices,
    OnCall,
    Rollback,
    Runbooks,
    Shift,
    Window,
)
from muva_console.config.types import (
    DAYS,
    GLYPHS,
    THEMES,
    BaseUrl,
    Branch,
    Bytes,
    Count,
    Duration,
    EnvFile,
    Fraction,
    HostAddress,
    HttpStatus,
    Name,
    Port,
    ProcessName,
    RemoteDirectory,
    Seconds,
    Secret,
    Table,
    TableName,
    Text,
    TreePath,
    Url,
    UrlPath,
    Wait,
)

__all__ = [
    "DAYS",
    "GLYPHS",
    "THEMES",
    "Alerts",
    "Backups",
    "Bytes",
    "Config",
    "Console",
    "Contact",
    "Database",
    "Dependency",
    "Environment",
    "Flow",
    "GitHub",
    "Health",
    "Host",
    "Journal",
    "Maintenance",
    "Migrations",
    "Notices",
    "OnCall",
    "Project",
    "Rollback",
    "Runbooks",
    "Seconds",
    "Secret",
    "Shift",
    "Table",
    "Thresholds",
    "Url",
    "Window",
]


class Project(Table, frozen=True, kw_only=True):
    """What is operated."""

    name: Text = "MUVA Chat"
    """The name that the console shows."""
    repository: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$",
                extra={"expected": "OWNER/NAME of a GitHub repository"},
            ),
        ]
        | None
    ) = None
    """OWNER/NAME on GitHub."""
    checkout: Path = Path()
    """The local git checkout, relative to the configuration file."""
    cache: Path | None = None
    """Where the console keeps its own copy of the repository and what builds print; the user's cache folder
    when not given."""
    build: Text = "pnpm install --frozen-lockfile && pnpm run build"
    """How the application is built: a shell command, run in a clean worktree of the commit that goes out."""
    tests: Text | None = None
    """How its tests are run, likewise; after the build, in the same worktree. None is said so."""
    build_timeout: Annotated[Seconds, Meta(gt=0, le=7200)] = Seconds(900.0)
    """How long build and tests may each take."""
    template: TreePath = ".env.template"
    """The file of the repository that names every environment variable."""
    migrations: TreePath = "supabase/migrations"
    """The folder of the repository that holds the migrations."""
    status_page: Url | None = None
    """The database provider's status, as Statuspage tells it (``/api/v2/status.json``): diagnoses ask it."""
    secrets_baseline: TreePath = ".secrets.baseline"
    """detect-secrets' baseline in the repository: what was looked at and is no secret. It need not exist."""


class Console(Table, frozen=True, kw_only=True):
    """How the console behaves towards the engineer."""

    refresh: Annotated[Seconds, Meta(ge=1, le=3600)] = Seconds(30.0)
    """How often the readings of the screen in sight are renewed ("+" and "-" change it while it runs)."""
    theme: Annotated[str, Meta(extra={"choices": THEMES})] = "muva-dark"
    """muva-dark, muva-light, muva-16 (sixteen colours) or muva-mono (none)."""
    read_only: bool = False
    """Refuse every operation, as --read-only does."""
    glyphs: Annotated[str, Meta(extra={"choices": GLYPHS})] = "auto"
    """auto, unicode or ascii."""


class Journal(Table, frozen=True, kw_only=True):
    """Where the record of everything done is kept."""

    directory: Path | None = None
    """A folder that the team on one jump host shares; the user's own state folder when not given."""
    url: Secret | None = None
    """A Postgres that several jump hosts share, postgresql://USER:PASSWORD@HOST/NAME: `directory` then holds
    a copy of the journal there, and what waits while it cannot be reached. A database of its own."""


class Health(Table, frozen=True, kw_only=True):
    """When an endpoint counts as failed and as recovered, and how much it is asked."""

    failure_threshold: Count = 3
    """Failures in a row before a service is called down (Gatus's default)."""
    recovery_threshold: Count = 2
    """Successes in a row before it is called recovered (Gatus's default)."""
    timeout: Wait = Seconds(10.0)
    """How long one request may take."""
    probes: Annotated[int, Meta(ge=1, le=1000)] = 25
    """Requests that the performance check sends for its percentile and error rate. Ours: the playbook
    names no sample size, and below about 20 a 5 % error rate cannot be told from none."""
    window: Duration = Seconds(900.0)
    """How far back the console's history is judged. Ours."""


class Thresholds(Table, frozen=True, kw_only=True):
    """The limits beyond which a reading is bad news."""

    response: Duration = Seconds(5.0)
    """Playbook, automated checks: response time < 5 seconds."""
    database: Duration = Seconds(0.1)
    """Playbook: database latency < 100 ms in production, < 50 ms in staging."""
    baseline: Duration | None = None
    """The usual p95 response time; learnt from the healthy answers this console has seen when not given."""
    slow_factor: Annotated[float, Meta(gt=1)] = 10.0
    """Playbook, when to roll back: response time > 10 x baseline."""
    degraded_factor: Annotated[float, Meta(gt=1)] = 3.0
    """Ours: between usual and rollback lies "slow"."""
    error_rate: Fraction = 0.05
    """Playbook, when to roll back: error rate > 5 % of requests."""
    memory: Fraction = 0.9
    """Share of a host's memory in use. Ours."""
    disk: Fraction = 0.9
    """Share of a filesystem's space in use. Ours."""
    inodes: Fraction = 0.9
    """Share of a filesystem's inodes in use. Ours."""
    connections: Fraction = 0.8
    """Share of Postgres's max_connections in use. Ours."""
    rows_least: Annotated[float, Meta(ge=0)] = 0.1
    """The fewest rows of a table for each row of it in the environment it is compared with. Ours."""
    rows_most: Annotated[float, Meta(gt=0)] = 10.0
    """The most. Ours: staging's data is like production's when it is of the same order."""
    errors: Annotated[int, Meta(ge=0)] = 0
    """Critical log lines within error_window that are tolerated. Ours."""
    error_window: Duration = Seconds(1800.0)
    """How far back the logs are searched for errors. Playbook: the first 30 minutes."""
    long_query: Duration = Seconds(30.0)
    """A query that runs longer is named. Ours."""
    restarts: Count = 3
    """Restarts of one process within restart_window that make it a crash loop. Ours."""
    restart_window: Duration = Seconds(300.0)
    """The window of `restarts`. Ours."""
    availability: Annotated[float, Meta(gt=0, lt=1)] = 0.999
    """The share of looks that are to be well, over thirty days: what is left of the rest is the error budget.
    Ours."""
    certificate: Duration = Seconds(14 * 86400.0)
    """Warn when the certificate expires sooner than this. Ours."""


class Dependency(Table, frozen=True, kw_only=True):
    """A service the application needs, asked from here."""

    url: Url
    """What is asked for, with GET."""
    expect: tuple[HttpStatus, ...] = (200,)
    """The statuses that mean the service is there (Supabase's REST root answers 401 without a key)."""


class Database(Table, frozen=True, kw_only=True):
    """The environment's Postgres: either `url`, a secret reference because it holds a password, or
    `host` with what goes with it.
    """

    url: Secret | None = None
    """Direct or session-mode address (port 5432): postgres://USER:PASSWORD@HOST:5432/NAME."""
    host: HostAddress | None = None
    """The server, in place of `url`."""
    port: Port = 5432
    """Its port. Not 6543, Supabase's transaction mode: a session is needed to see what blocks what."""
    name: Text = "postgres"
    """The database."""
    user: Text = "postgres"
    """Who logs in; one that may only read is enough."""
    password: Secret | None = None
    """Their password."""
    critical_tables: tuple[TableName, ...] = ()
    """Tables that must be readable; `schema.table` or `table` (public)."""
    through: Name | None = None
    """A host of [hosts] through whose SSH connection the database is reached."""


class Environment(Table, frozen=True, kw_only=True):
    """dev, staging or production."""

    branch: Branch
    """The branch that is deployed here."""
    production: bool = False
    """Wears the production colours; acts on it want its name typed."""
    url: BaseUrl | None = None
    """Where the application answers its users."""
    health: UrlPath = "/api/health"
    """The path of the health endpoint, after `url`."""
    health_db: UrlPath = "/api/health/db"
    """The path of the database's health endpoint, after `url`."""
    hosts: tuple[Name, ...] = ()
    """Names of [hosts]: one or more machines that run the application."""
    directory: RemoteDirectory | None = None
    """Where the application lives on its hosts."""
    processes: tuple[ProcessName, ...] = ()
    """The PM2 names that must be online on every host."""
    port: Port | None = None
    """Where the application listens on its host."""
    env_file: EnvFile | None = None
    """The application's environment file, relative to `directory`. Names are read, never values."""
    database: Database | None = None
    """The environment's Postgres."""
    dependencies: dict[str, Dependency] = field(default_factory=dict)
    """Services the application needs, by a name of yours."""
    flows: dict[str, Flow] = field(default_factory=dict)
    """Critical user flows that one request can tell of, by a name of yours."""
    rollback: Rollback = Rollback()
    """How it goes back to a release that was good."""
    maintenance: Maintenance | None = None
    """How a page that says "back soon" is put before it."""
    thresholds: Thresholds = Thresholds()
    """The limits beyond which a reading is bad news."""


class Host(Table, frozen=True, kw_only=True):
    """A VPS reached by SSH. What is not given is taken from the user's ssh_config."""

    address: HostAddress
    """A host name, an address, or an alias of ssh_config."""
    port: Port | None = None
    """The port of its SSH server."""
    user: (
        Annotated[
            str,
            Meta(pattern=r"^[A-Za-z0-9_][^\s:@/\x00-\x1f\x7f]*$", extra={"expected": "a login name"}),
        ]
        | None
    ) = None
    """Who logs in."""
    identity: Path | None = None
    """The private key; the agent's keys and ssh_config's when not given."""
    known_hosts: Path | None = None
    """Where the server's key is known from; ~/.ssh/known_hosts when not given."""
    ssh_config: Path | None = None
    """Another ssh_config than ~/.ssh/config."""
    jump: Name | None = None
    """Another host of [hosts] that is hopped through."""
    pm2_home: RemoteDirectory = "~/.pm2"
    """PM2_HOME on that host, where the sockets of PM2's daemon are."""
    pm2: Text = "pm2"
    """The pm2 command on that host, for the fallback."""
    connect_timeout: Wait = Seconds(8.0)
    """How long connecting and logging in may take."""
    command_timeout: Wait = Seconds(15.0)
    """How long one command may take."""
    keepalive: Wait = Seconds(15.0)
    """How often a silent connection is asked whether it lives; three silences end it."""


class Contact(Table, frozen=True, kw_only=True):
    """Somebody to call."""

    role: Text
    """What for: Tech Lead, DevOps, Database, On-Call."""
    name: Text
    """Who."""
    reach: str = ""
    """Where: a chat, a telephone number, an address."""


class Config(Table, frozen=True, kw_only=True):
    """muva.toml as a whole."""

    project: Project = Project()
    """What is operated."""
    console: Console = Console()
    """How the console behaves towards the engineer."""
    journal: Journal = Journal()
    """Where the record of everything done is kept."""
    health: Health = Health()
    """When an endpoint counts as failed and as recovered, and how much it is asked."""
    github: GitHub = GitHub()
    """GitHub, for [project] repository."""
    runbooks: Runbooks = Runbooks()
    """The procedures that the console walks."""
    notices: Notices = Notices()
    """Where messages go. What is not configured is shown, to be copied by hand."""
    alerts: Alerts = Alerts()
    """When error lines are an alert, and who is told. Services are by the thresholds of [health]."""
    window: Window = Window()
    """When production is deployed to: hours of low traffic, and dates on which nothing is."""
    on_call: OnCall = OnCall()
    """Who answers when something breaks."""
    backups: Backups = Backups()
    """Where backups of the databases are kept."""
    migrations: Migrations = Migrations()
    """How migrations are applied."""
    hosts: dict[str, Host] = field(default_factory=dict)
    """The VPSs, by a name of yours."""
    environments: dict[str, Environment] = field(default_factory=dict)
    """What is operated on, by name: dev, staging, production. At least one."""
    contacts: tuple[Contact, ...] = ()
    """Whom to call, in this order."""
