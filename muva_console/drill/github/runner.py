"""The runner as a process of the estate's: begun when a run waits for it, swept with the others."""

from __future__ import annotations

from muva_console.drill.state import Estate


def start(estate: Estate) -> None:
    """Start the runner where it does not run. Raises OpsError."""
