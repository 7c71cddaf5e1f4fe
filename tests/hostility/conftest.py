from __future__ import annotations

from tests.cli.conftest import muva

__all__ = ["muva"]
