"""The muva.toml of an estate: the same keys that a real one has."""

from __future__ import annotations

import os
import shlex
import tomllib
from datetime import timedelta
from typing import Any

from muva_console.drill import deploy
from muva_console.drill.github import records
from muva_console.drill.state import Estate, Site

CRITICAL_TABLES = ("accommodations", "guests", "staff", "bookings", "chat_conversations", "chat_messages")
"""The tables without which the application is of no use."""

_SHIFT = timedelta(days=30)
"""On call before and after the estate is made: longer than any estate lives."""
HOST = "vps"
"""The host's name in the configuration."""


def write(estate: Estate, baselines: dict[str, float]) -> None:
    """Write the configuration; `baselines` holds the measured p95 response time (s) by environment."""
    import tomli_w

    _write(estate, tomli_w.dumps(_document(estate, baselines)))


def change(estate: Estate, table: str, new: dict[str, Any] | None) -> dict[str, Any] | None:
    """Give one table of the configuration other contents, or none, as somebody who edits the file; returns
    what it held before. The rest stays as it is.
    """
    import tomli_w

    document = tomllib.loads(estate.config.read_text())
    before: dict[str, Any] | None = document.pop(table, None)
    if new is not None:
        document[table] = new
    _write(estate, tomli_w.dumps(document))
    return before


def _write(estate: Estate, text: str) -> None:
    note = "# Written by `muva drill up` for the estate in this folder; gone with it.\n\n"
    beside = estate.config.with_suffix(".next")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(note + text)
    beside.replace(estate.config)


def _document(estate: Estate, baselines: dict[str, float]) -> dict[str, Any]:
    return {
        "project": {
            "name": "MUVA Chat (drill)",
            "repository": records.REPOSITORY,
            "checkout": str(estate.checkout),
            "cache": str(estate.cache),
            "build": f". {shlex.quote(str(estate.tools))} && {deploy.BUILD}",
            "tests": f". {shlex.quote(str(estate.tools))} && pnpm test",
        },
        "github": {"api": estate.github_url, "token": {"file": str(records.token_file(estate))}},
        "notices": {"slack": {"file": str(records.webhook_file(estate))}},
        "journal": {"directory": str(estate.journal)},
        "backups": {"directory": str(estate.backups), "programs": str(estate.postgres_programs)},
        "health": {"timeout": "5s", "probes": 25},
        "hosts": {
            HOST: {
                "address": "127.0.0.1",
                "port": estate.ssh_port,
                "user": estate.user,
                "identity": str(estate.identity),
                "known_hosts": str(estate.known_hosts),
                "pm2_home": str(estate.pm2_home),
                "connect_timeout": "5s",
            }
        },
        "environments": {
            "dev": {"branch": "dev"},
            **{name: _environment(estate, site, baselines[name]) for name, site in estate.sites.items()},
        },
        "window": {"hours": ["00:00-00:00"]},
        "on_call": {
            "shifts": [
                {
                    "name": "@lead-dev",
                    "start": f"{estate.created_at - _SHIFT:%Y-%m-%dT%H:%MZ}",
                    "end": f"{estate.created_at + _SHIFT:%Y-%m-%dT%H:%MZ}",
                    "reach": "Slack",
                }
            ]
        },
        "contacts": [
            {"role": "Tech Lead", "name": "@lead-dev", "reach": "Slack"},
            {"role": "DevOps", "name": "@devops-lead", "reach": "Slack"},
            {"role": "Database", "name": "@db-admin", "reach": "Slack"},
        ],
    }


def _environment(estate: Estate, site: Site, baseline: float) -> dict[str, Any]:
    return {
        "branch": site.branch,
        "production": site.environment == "production",
        "url": site.url,
        "hosts": [HOST],
        "directory": str(site.directory),
        "processes": [site.process],
        "port": site.port,
        "env_file": site.env_file,
        "database": {
            "host": "127.0.0.1",
            "port": estate.postgres_port,
            "name": site.database,
            "user": site.role,
            "password": {"file": str(estate.secrets / f"{site.role}.password")},
            "critical_tables": list(CRITICAL_TABLES),
        },
        "rollback": {"start": f"MUVA_ENV={site.environment} pnpm start", "passes": 3, "patience": "30s"},
        "flows": {
            "rates": {"path": "/rates", "contains": "Deluxe Sea View"},
            "accommodations": {"path": "/api/accommodations", "contains": '"price_cents"'},
            "chat": {"path": "/api/conversations", "contains": '"last_message_at"'},
        },
        "thresholds": {
            "database": "100ms" if site.environment == "production" else "50ms",
            "baseline": f"{max(1, round(baseline * 1000))}ms",
            # Short, so that a fault that was mended is soon forgotten.
            "restarts": 3,
            "restart_window": "60s",
        },
    }
