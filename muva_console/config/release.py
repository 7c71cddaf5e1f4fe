"""The tables of muva.toml that a release goes by: GitHub, runbooks, notices, window, rota, backups, flows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from muva_console.config.types import (
    DAYS,
    BaseUrl,
    ClockSpan,
    Count,
    DateSpan,
    Duration,
    HttpStatus,
    Moment,
    Retries,
    Seconds,
    Secret,
    Table,
    Text,
    TreePath,
    Url,
    UrlPath,
    Wait,
)

NOTIFY = ("slack", "webhook")
"""Where alerts go by themselves."""


class GitHub(Table, frozen=True, kw_only=True):
    """GitHub, for [project] repository."""

    api: BaseUrl = Url("https://api.github.com")
    """The address of its REST API (GitHub Enterprise has another)."""
    token: Secret | None = None
    """A token that may read the repository. $GH_TOKEN, $GITHUB_TOKEN or `gh auth token` when not given."""
    timeout: Wait = Seconds(10.0)
    """How long one request may take."""
    approvals: Count = 1
    """Approving reviews that a pull request needs (playbook: one for production)."""
    reviewers: tuple[Text, ...] = ()
    """Logins on GitHub, and teams as ORG/TEAM, who are asked to review a release. (The playbook's @lead-dev
    is a name in Slack.) None given: nobody is asked."""
    labels: tuple[Text, ...] = ("production", "release")
    """Labels of a release's pull request (playbook)."""


class Runbooks(Table, frozen=True, kw_only=True):
    """The procedures that the console walks."""

    directory: Path | None = None
    """A folder of the team's own runbooks and changes to the playbook's: files NAME.toml. None for none."""


class Notices(Table, frozen=True, kw_only=True):
    """Where messages go. What is not configured is shown, to be copied by hand."""

    slack: Secret | None = None
    """An incoming webhook of Slack; its address is a secret."""
    channel: Text = "#muva-chat-production"
    """The channel that the webhook posts to, for display (playbook)."""


class Alerts(Table, frozen=True, kw_only=True):
    """When error lines are an alert, and who is told. Services are by the thresholds of [health]."""

    critical: tuple[Text, ...] = ()
    """Regular expressions of error lines that are an alert from the first one on."""
    ignore: tuple[Text, ...] = ()
    """Regular expressions of error lines that are known to be harmless."""
    within: Duration = Seconds(300.0)
    """How far back error lines are counted. Ours: the playbook looks every five minutes."""
    least: Count = 3
    """Lines of one pattern within that time below which it is none, unless it is critical. Ours."""
    rise: Annotated[float, Meta(gt=1)] = 5.0
    """How many times as often as before a known pattern must come. Ours."""
    notify: tuple[Annotated[str, Meta(extra={"choices": NOTIFY})], ...] = ()
    """Who is told by itself when an alert is raised and when it is over: slack ([notices] slack), webhook.
    None given: nobody is, the console shows it."""
    webhook: Secret | None = None
    """The address that alerts are posted to as JSON; it is a secret."""
    bell: bool = True
    """Ring the terminal's bell at a new alert."""


class Window(Table, frozen=True, kw_only=True):
    """When production is deployed to: hours of low traffic, and dates on which nothing is."""

    timezone: Text = "UTC"
    """The zone of `hours`, `days` and `freeze`: a name such as "Europe/Madrid"."""
    hours: tuple[ClockSpan, ...] = ()
    """Hours of low traffic, such as "09:00-12:00"; over midnight too; "00:00-00:00" is the whole day. Without
    any, `days` and `freeze` alone decide."""
    days: tuple[Annotated[str, Meta(extra={"choices": DAYS})], ...] = ()
    """Days on which a window may begin: mon, tue, wed, thu, fri, sat, sun. None given: every day."""
    freeze: tuple[DateSpan, ...] = ()
    """Dates on which nothing is deployed."""


class Shift(Table, frozen=True, kw_only=True):
    """Who is on call, from when until when."""

    name: Text
    """Who."""
    start: Moment
    """From when."""
    end: Moment
    """Until when."""
    reach: str = ""
    """Where: a chat, a telephone number."""


class OnCall(Table, frozen=True, kw_only=True):
    """Who answers when something breaks."""

    after: Duration = Seconds(7200.0)
    """How long after a deployment somebody must be there (playbook: two hours)."""
    shifts: tuple[Shift, ...] = ()
    """The rota. None given: the checklist asks a person."""


class Backups(Table, frozen=True, kw_only=True):
    """Where backups of the databases are kept."""

    directory: Path | None = None
    """A folder of `pg_dump` files in custom format, ENVIRONMENT-YYYYMMDDTHHMMSSZ-COMMIT.dump. None: none."""
    fresh: Duration = Seconds(86400.0)
    """How old the newest may be before a deployment. Ours."""
    keep: Duration = Seconds(30 * 86400.0)
    """How long they are kept: older ones are removed when a new one is good (playbook: 30 days)."""
    programs: Path | None = None
    """The folder of pg_dump and pg_restore; the PATH and the places of Debian and Red Hat when not given."""


class Migrations(Table, frozen=True, kw_only=True):
    """How migrations are applied."""

    lock_timeout: Wait = Seconds(2.0)
    """How long a statement may wait for a lock; whoever comes after it waits too. It is then tried again."""
    retries: Retries = 8
    """How often it is tried again, with growing pauses of chance length in between."""
    statement_timeout: Duration = Seconds(900.0)
    """How long one statement may take, where the file does not say otherwise."""
    backup_within: Duration = Seconds(3600.0)
    """How old the newest backup may be when production's migrations are applied."""
    scratch: Secret | None = None
    """The address of a server for rehearsals, postgres://USER:PASSWORD@HOST/NAME: databases are made and
    dropped there. None given: the environment's own server, where the user may make databases."""
    downs: TreePath | None = None
    """Another folder of the repository that holds down files (VERSION_NAME.down.sql), for those beside the
    migrations are migrations to the Supabase CLI. Down files beside them are taken too."""


class Rollback(Table, frozen=True, kw_only=True):
    """How an environment goes back to a release that was good."""

    way: Annotated[str, Meta(extra={"choices": ("in-place", "symlink")})] = "in-place"
    """in-place: what was built beside is moved into `directory`, and its checkout is set back. symlink:
    `directory` is a link, and is made to lead to the release that was built beside."""
    build: Text | None = None
    """How it is built on the host, in a folder beside; [project] build when not given."""
    build_timeout: Annotated[Seconds, Meta(gt=0, le=7200)] = Seconds(900.0)
    """How long that may take."""
    start: Text | None = None
    """How it is tried beside before it is put in place: a command that serves on $PORT until it is ended.
    None is said so."""
    passes: Annotated[int, Meta(ge=1, le=100)] = 5
    """Good answers in a row, one a second, that make it verified. Ours."""
    patience: Annotated[Seconds, Meta(ge=1, le=3600)] = Seconds(60.0)
    """How long that may take, before what served is put back. Ours."""


class Maintenance(Table, frozen=True, kw_only=True):
    """How a page that says "back soon" is put before the application: commands for its hosts' shell."""

    on: Text
    """Puts it there."""
    off: Text
    """Takes it away."""
    test: Text
    """Ends with 0 while it is there, with 1 while it is not."""


class Flow(Table, frozen=True, kw_only=True):
    """A critical user flow as one request: what a user sees when it works."""

    path: UrlPath
    """The path after the environment's `url`."""
    expect: tuple[HttpStatus, ...] = (200,)
    """The statuses that mean it works."""
    contains: str = ""
    """A text that must be in the body."""
