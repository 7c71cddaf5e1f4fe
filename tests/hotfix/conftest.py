"""The scene of the deployments, for hotfixes."""

from __future__ import annotations

from tests.cli.conftest import muva
from tests.deploys.conftest import _gathered, scene

__all__ = ["_gathered", "muva", "scene"]
