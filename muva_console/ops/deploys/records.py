"""Deployments as the journal has them, for metrics, rollbacks and whoever asks what went out when.

The reading stands below (`ops.release.records`), where the checks of a release use it too.
"""

from __future__ import annotations

from muva_console.ops.release.records import (
    KIND,
    Deployment,
    DeploymentKind,
    Status,
    deployments_of,
    is_recorded,
    last_good,
    newest_good,
    read_deployments,
)

__all__ = [
    "KIND",
    "Deployment",
    "DeploymentKind",
    "Status",
    "deployments_of",
    "is_recorded",
    "last_good",
    "newest_good",
    "read_deployments",
]
