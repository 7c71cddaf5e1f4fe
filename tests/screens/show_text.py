"""What stands on a screen, as text."""

from __future__ import annotations

from typing import Any


def text_of(app: Any) -> str:
    """The screen's lines."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)
