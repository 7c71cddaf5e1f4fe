"""Hostile text stays text: what comes from outside is made harmless once, where it is read.

Escape sequences reach a terminal through most widgets (an OSC 52 in a log line writes the engineer's
clipboard), so no control character of any kind passes here, and neither do the bidirectional controls
that make a line read as another ("Trojan Source", CVE-2021-42574).
"""

from __future__ import annotations

import re

LINE_CAP = 4096
"""Characters kept of one line; the rest is counted, not kept. Ours: twenty rows at 200 columns."""

# CSI … final; OSC/DCS/SOS/PM/APC … up to BEL, ST or the end of the text; two-character escapes.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
    r"|[\x90\x98\x9d-\x9f][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def sanitise(text: str | bytes, *, newlines: bool = True) -> str:
    """Text without control characters, escape sequences or bidirectional controls.

    Bytes are decoded as UTF-8 with U+FFFD for what is not. Tabs become four spaces; newlines stay
    unless `newlines` is False, in which case they become a space.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    if _CONTROLS.search(text):
        text = _CONTROLS.sub("\u00b7", _ESCAPES.sub("", text))
    return text if newlines else text.replace("\n", " ")


def sanitise_line(text: str | bytes, *, cap: int = LINE_CAP) -> str:
    """One harmless line of at most `cap` characters; what was cut is told: ``… +812 characters``.

    Of a very long input only the beginning is looked at.
    """
    cut = 0
    if len(text) > 4 * cap:
        cut = len(text) - 4 * cap
        text = text[: 4 * cap]
    line = sanitise(text, newlines=False).rstrip()
    if len(line) > cap:
        cut += len(line) - cap
        line = line[:cap]
    return f"{line} … +{cut:,} characters" if cut else line
