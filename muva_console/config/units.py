"""Durations and sizes as they are written in muva.toml and on the command line."""

from __future__ import annotations

import re

from muva_console.config.types import Bytes, Seconds

_SECONDS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES = {"T": 1024**4, "G": 1024**3, "M": 1024**2, "K": 1024, "B": 1}

DURATION_PATTERN = (
    r"^(?=[0-9])([0-9]+(\.[0-9]+)?w)?([0-9]+(\.[0-9]+)?d)?([0-9]+(\.[0-9]+)?h)?"
    r"([0-9]+(\.[0-9]+)?m(?!s))?([0-9]+(\.[0-9]+)?s)?([0-9]+(\.[0-9]+)?ms)?$"
)
"""A duration: numbers with units, the larger unit first, each at most once."""
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?[BKMGT]$"
"""A size: one number with one unit, powers of 1024."""

DURATION_EXAMPLES = '"250ms", "30s", "5m", "2h", "7d" or "1h30m"'
SIZE_EXAMPLES = '"512M" or "1G"'
LONGEST = 366 * 86400.0
"""Seconds. Ours: nothing here waits longer than a year, and a slip of the unit should be told."""

_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[wdhms])", re.ASCII)
_SIZE = re.compile(SIZE_PATTERN, re.ASCII)
_TEXT_CAP = 64


def parse_duration(text: str) -> Seconds:
    """Seconds of ``"250ms"``, ``"30s"``, ``"1h30m"`` …. Raises ValueError, which does not repeat the text."""
    text = text.strip()
    if len(text) > _TEXT_CAP or not _DURATION.match(text):
        raise ValueError(f"not a duration such as {DURATION_EXAMPLES}")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > LONGEST:
        raise ValueError("longer than a year")
    return Seconds(seconds)


def parse_size(text: str) -> Bytes:
    """Bytes of ``"512M"`` or ``"1G"``. Raises ValueError, which does not repeat the text."""
    text = text.strip()
    if len(text) > _TEXT_CAP or not _SIZE.match(text):
        raise ValueError(f"not a size such as {SIZE_EXAMPLES}")
    size = float(text[:-1]) * _BYTES[text[-1]]
    if size >= 2**63:
        raise ValueError("larger than any machine has")
    return Bytes(int(size))


def format_duration(seconds: float) -> str:
    """A duration as muva.toml writes it: ``format_duration(5400) == "1h30m"``; whole milliseconds."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_SECONDS[unit] * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def format_size(size: int) -> str:
    """A size as muva.toml writes it, exact: ``format_size(1 << 30) == "1G"``."""
    for unit, factor in _BYTES.items():
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return "0B"
