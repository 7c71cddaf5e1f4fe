"""What was said of an alert, in the words that screens, the command line and the hand-over share."""

from __future__ import annotations

from datetime import datetime

from muva_console.ops.alerts.model import Alert


def said_of(alert: Alert, now: datetime) -> tuple[str, ...]:
    """Who sees to it, and until when it is silenced and why; nothing for an alert of which nobody spoke."""
    said = []
    if alert.open and alert.acked_by:
        said.append(f"seen to by {alert.acked_by}{f': {alert.note}' if alert.note else ''}")
    silence = alert.silence
    if silence is not None and alert.silenced(now):
        until = f"{silence.until:%Y-%m-%d %H:%M} UTC"
        said.append(f"silenced until {until} by {silence.by}: {silence.reason}")
    return tuple(said)
