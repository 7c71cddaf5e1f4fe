"""The command line, as other tests run it."""

from __future__ import annotations

from tests.cli.conftest import muva

__all__ = ["muva"]
