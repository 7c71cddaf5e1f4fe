from __future__ import annotations

from tests.stylesheets import style_sheets_parsed_once

__all__ = ["style_sheets_parsed_once"]
