"""Whether a plan that was made again is the one that was confirmed.

What is measured in its texts may differ (a backup has grown older, a table by a few rows, who is connected);
all else must be as it was.
"""

from __future__ import annotations

import re

from muva_console.ops.operations import Plan

# how this project writes spans (`spell_span`), milliseconds, and clock times
_TIMES = re.compile(r"\d+(?:[.,]\d+)? ?(?:ms|s|min|m|h|d)(?: \d+ ?[smhd])?\b|\d\d:\d\d(?::\d\d)?Z?", re.ASCII)

# rows, sizes and sessions as plans tell them: on a database that serves they are others a second later
_MEASURED = re.compile(
    r"nobody is connected|\d+ sessions?: [^;]*"
    r"|\d[\d,.]*(?= (?:rows?|values?|B|KiB|MiB|GiB|TiB)\b)|\d[\d,]*(?= in the backup \()|\([+-]\d[\d,]*\)"
)


def difference(confirmed: Plan, now: Plan) -> str:
    """In what the plan of now is another, in words; empty where it is the same."""
    for name in ("operation", "environment", "target", "tier", "production", "undo", "title"):
        then, is_now = getattr(confirmed, name), getattr(now, name)
        if _timeless(str(then)) != _timeless(str(is_now)):
            return f"its {name} was {then or 'nothing'} and is {is_now or 'nothing'}"
    commands = [_timeless(f"{one.where}\n{one.line}\n{one.why}") for one in confirmed.commands]
    for place, one in enumerate(now.commands):
        if place >= len(commands) or commands[place] != _timeless(f"{one.where}\n{one.line}\n{one.why}"):
            return f"it runs something else: {one.line}"
    if len(commands) > len(now.commands):
        return f"it no longer runs {confirmed.commands[len(now.commands)].line}"
    known = {_timeless(risk) for risk in confirmed.risks}
    for risk in now.risks:
        if _timeless(risk) not in known:
            return f"there is another risk: {risk}"
    return ""


def _timeless(text: str) -> str:
    return _TIMES.sub("#", _MEASURED.sub("#", text))
