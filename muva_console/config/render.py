"""A muva.toml with every key explained, written from values: what `muva init` leaves behind.

The comments are the model's own texts. What has no value stands there commented out, with its default or
an example, so that nobody needs the documentation beside the file.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from muva_console.config.model import (
    Alerts,
    Backups,
    Config,
    Contact,
    Database,
    Dependency,
    Environment,
    Flow,
    GitHub,
    Host,
    Journal,
    Maintenance,
    Migrations,
    Notices,
    OnCall,
    Project,
    Rollback,
    Runbooks,
    Secret,
    Shift,
    Table,
    Thresholds,
    Window,
)
from muva_console.config.shape import Key, Kind, describe, keys
from muva_console.config.units import format_duration, format_size

_WIDTH = 100
_EXAMPLES: dict[tuple[type[Table], str], Any] = {
    (Project, "repository"): "your-org/muva-chat",
    (Project, "cache"): "~/.cache/muva-console",
    (Project, "tests"): "pnpm test",
    (Runbooks, "directory"): "runbooks",
    (Backups, "directory"): "~/muva-backups",
    (Backups, "programs"): "/usr/lib/postgresql/17/bin",
    (Migrations, "scratch"): {"env": "SCRATCH_URL"},
    (Migrations, "downs"): "supabase/rollbacks",
    (GitHub, "token"): {"env": "GH_TOKEN"},
    (GitHub, "reviewers"): ["lead-developer"],
    (Journal, "url"): {"command": "pass show muva/journal-url"},
    (Notices, "slack"): {"command": "pass show muva/slack-webhook"},
    (Alerts, "critical"): ["out of memory", "FATAL"],
    (Alerts, "ignore"): ["favicon"],
    (Alerts, "notify"): ["slack"],
    (Alerts, "webhook"): {"command": "pass show muva/alerts-webhook"},
    (Window, "hours"): ["09:00-12:00"],
    (Window, "days"): ["mon", "tue", "wed", "thu"],
    (Window, "freeze"): ["2026-12-20/2027-01-02"],
    (Shift, "name"): "@lead-dev",
    (Shift, "start"): "2026-11-25T08:00+01:00",
    (Shift, "end"): "2026-12-02T08:00+01:00",
    (Shift, "reach"): "Slack",
    (Flow, "path"): "/accommodations",
    (Flow, "contains"): "Accommodations",
    (Host, "address"): "vps.example.com",
    (Host, "port"): 22,
    (Host, "user"): "deploy",
    (Host, "identity"): "~/.ssh/id_ed25519",
    (Host, "known_hosts"): "~/.ssh/known_hosts",
    (Host, "ssh_config"): "~/.ssh/config",
    (Host, "jump"): "another",
    (Environment, "branch"): "main",
    (Environment, "url"): "https://app.example.com",
    (Environment, "hosts"): ["vps"],
    (Environment, "directory"): "/var/www/app",
    (Environment, "processes"): ["app"],
    (Environment, "port"): 3000,
    (Environment, "env_file"): ".env.production",
    (Database, "url"): {"env": "DATABASE_URL"},
    (Database, "host"): "db.example.com",
    (Database, "password"): {"file": "~/.config/muva/password"},
    (Database, "critical_tables"): ["bookings"],
    (Database, "through"): "vps",
    (Dependency, "url"): "https://api.example.com/",
    (Thresholds, "baseline"): "180ms",
    (Contact, "role"): "On-Call",
    (Contact, "name"): "see the rotation",
    (Contact, "reach"): "PagerDuty",
}
_HEAD = """\
# Written by `muva init`. A key after a bare "#" is optional; what stands there is its default or an example.
# `muva config check` names every mistake, `muva doctor` tries what stands here, and a running console
# takes up a change as soon as it is saved.
#
# Durations: "250ms", "30s", "5m", "2h", "7d", "1h30m". Paths of this machine may begin with "~"; relative
# ones are relative to this file. A secret never stands here, only where to get it, one of:
#   { env = "NAME" }  { command = "pass show …" }  { file = "~/.secret" }
"""


def render(document: Mapping[str, Any]) -> str:
    """The file for a document in TOML's own values (durations as texts). Nothing is checked here."""
    parts = [_HEAD]
    for name, key in keys(Config).items():
        if key.shape.kind is Kind.TABLE and key.shape.table is not None:
            parts.append(_table(name, key.shape.table, document.get(name, {}), explained=True))
        if key.shape.table is OnCall:
            shifts = document.get(name, {}).get("shifts", [])
            parts += _array(f"{name}.shifts", Shift, shifts)
    hosts = document.get("hosts", {})
    parts.append(_comment("Hosts. " + describe(Host)))
    parts += [
        _table(f"hosts.{name}", Host, values, explained=number == 0)
        for number, (name, values) in enumerate(hosts.items())
    ] or [_table("hosts.vps", Host, {}, explained=True, absent=True)]
    environments = document["environments"]
    most = max(environments, key=lambda name: len(environments[name]))
    parts.append(_comment("Environments. Every key is explained once, with " + most + "."))
    for name, values in environments.items():
        parts += _environment(name, values, explained=name == most)
    parts.append(_comment("Whom to call, in this order."))
    parts += _array("contacts", Contact, document.get("contacts", []))
    return "\n".join(part for part in parts if part)


def _array(name: str, table: type[Table], given: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tables of a list; where there are none, one that explains it, commented out."""
    return [_table(name, table, values, array=True) for values in given] or [
        _table(name, table, {}, explained=True, absent=True, array=True)
    ]


_PARTS: tuple[tuple[str, type[Table]], ...] = (
    ("database", Database),
    ("rollback", Rollback),
    ("maintenance", Maintenance),
    ("thresholds", Thresholds),
)
"""The tables of an environment, in their order."""


def _environment(name: str, values: Mapping[str, Any], *, explained: bool) -> Iterator[str]:
    path = f"environments.{name}"
    yield _table(path, Environment, values, explained=explained)
    for key, table in _PARTS:
        if key in values or explained:
            given = values.get(key, {})
            yield _table(f"{path}.{key}", table, given, explained=explained, absent=not given)
    yield from _named(f"{path}.dependencies", Dependency, values.get("dependencies", {}), explained)
    yield from _named(f"{path}.flows", Flow, values.get("flows", {}), explained)


def _named(
    path: str, table: type[Table], given: Mapping[str, Mapping[str, Any]], explained: bool
) -> Iterator[str]:
    """Tables by names of the user's own; where there are none, one that explains them, commented out."""
    for name, values in given.items():
        yield _table(f"{path}.{name}", table, values, explained=explained)
    if explained and not given:
        yield _table(f"{path}.example", table, {}, explained=True, absent=True)


def _table(
    name: str,
    table: type[Table],
    values: Mapping[str, Any],
    *,
    explained: bool = False,
    absent: bool = False,
    array: bool = False,
) -> str:
    """One table's text; `absent` comments all of it out."""
    out = "#" if absent else ""
    lines = [_comment(describe(table)).rstrip("\n")] if explained and table is not Host else []
    lines.append(f"{out}[[{name}]]" if array else f"{out}[{name}]")
    for key in keys(table).values():
        if key.shape.table not in (None, Secret) or (key.shape.item is not None and key.shape.item.table):
            continue
        if key.name in values:
            if explained:
                lines.append(_comment(describe(table, key.name)).rstrip("\n"))
            lines.append(f"{key.name} = {toml(values[key.name])}")
        elif explained:
            lines.append(_comment(describe(table, key.name)).rstrip("\n"))
            lines.append(f"#{key.name} = {toml(_example(table, key))}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")) + "\n"


def _example(table: type[Table], key: Key) -> Any:
    if (table, key.name) in _EXAMPLES:
        return _EXAMPLES[table, key.name]
    match key.shape.kind:
        case Kind.DURATION:
            return format_duration(key.default)
        case Kind.SIZE:
            return format_size(key.default)
        case Kind.PATH:
            return "~/muva" if key.default is None else str(key.default)
        case _:
            return key.default


def toml(value: Any) -> str:
    """A value on one line, as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return str(value)
