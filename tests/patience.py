"""How long a test waits for what must come: until it would hang, and never as a measure of speed."""

from __future__ import annotations

HANG = 60.0
"""Seconds. What has not come by then hangs: a machine that others use too may take ten times as long."""
