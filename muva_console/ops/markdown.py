"""Text of others in a Markdown document: it shows as itself."""

from __future__ import annotations

import re

from muva_console.ops.text import LINE_CAP, sanitise_line

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def as_text(raw: str, *, cap: int = LINE_CAP) -> str:
    """A line in which nothing is markup, HTML, a mention or a link; at most `cap` characters of it."""
    plain = _ACTIVE.sub(r"\\\1", sanitise_line(raw, cap=cap))
    # a backslash does not stop GitHub from mentioning, nor anybody from making a link: an empty space does
    return plain.replace("@", "@\u200b").replace("://", ":\u200b//")
