"""A new alert is heard and seen, once, whatever screen is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.readings import Level

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.alerts.round import Row

NAMED = 3
"""Alerts named in one notice."""


class Alerting:
    """Of one application; lives in its loop."""

    def __init__(self, app: MuvaApp) -> None:
        self._app = app
        self._known: dict[tuple[str, str], Level] = {}
        self.unseen: tuple[Row, ...] = ()

    @property
    def alarm(self) -> str:
        """What stands in the band while alerts wait for somebody."""
        if not self.unseen:
            return ""
        worst = self.unseen[0]
        others = len(self.unseen) - 1
        more = f" and {others} more" if others else ""
        return f"alert{more}, A: {worst.environment} {worst.key.partition('/')[2]}"

    def look(self) -> None:
        """Hold what is known now against what was known before."""
        app = self._app
        self.unseen = app.board.unseen_alerts()
        now = {(row.environment, row.key): row.level for row in self.unseen}
        fresh = [row for row in self.unseen if _is_news(row, self._known)]
        self._known = now
        if not fresh:
            return
        if app.workspace.config.alerts.bell:
            app.bell()
        lines = [f"{row.environment}: {row.title}" for row in fresh[:NAMED]]
        if len(fresh) > NAMED:
            lines.append(f"and {len(fresh) - NAMED} more; A lists them")
        severity = "error" if any(row.level is Level.FAIL for row in fresh) else "warning"
        app.tell("\n".join(lines), title="Alert", severity=severity, timeout=15)


def _is_news(row: Row, known: dict[tuple[str, str], Level]) -> bool:
    before = known.get((row.environment, row.key))
    return before is None or (before is Level.WARN and row.level is Level.FAIL)
