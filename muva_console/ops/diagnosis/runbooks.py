"""Which runbook a scenario's verdict opens."""

from __future__ import annotations

_DOWN, _LOOP, _MEMORY = "emergency-service-down", "emergency-crash-loop", "emergency-memory"
_DATABASE, _MIGRATION, _DISK = "emergency-database", "emergency-migration", "emergency-disk"
_HOST, _EDGE, _SLOW = "emergency-host", "emergency-edge", "emergency-slow"
_BACK = "rollback"

RUNBOOKS: dict[str, str] = {
    "process-stopped": _DOWN,
    "app-crashed": _DOWN,
    "port-conflict": _DOWN,
    "crash-loop": _LOOP,
    "missing-configuration": _LOOP,
    "bad-deployment": _BACK,
    "out-of-memory": _MEMORY,
    "database-connectivity": _DATABASE,
    "database-unresponsive": _DATABASE,
    "dependency-down": _DATABASE,
    "migration-failed": _MIGRATION,
    "disk-full": _DISK,
    "host-unreachable": _HOST,
    "pm2-down": _HOST,
    "system-failure": _HOST,
    "cpu-saturated": _SLOW,
    "proxy-or-dns": _EDGE,
    "certificate": _EDGE,
    "slow-responses": _SLOW,
    "elevated-errors": _SLOW,
}
"""By scenario; "healthy" has none."""


def runbook_for(scenario: str) -> str:
    """The id of the runbook; empty where there is none."""
    return RUNBOOKS.get(scenario, "")
