"""What may be kept: redacted, sanitised and bounded, however deep it is nested."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from muva_console.ops.text import sanitise, sanitise_line

Redact = Callable[[str], str]
"""Masks every secret it knows in a text."""

MASK = "•••"
TEXT_CAP = 16 * 1024
"""Characters kept of one text. Ours: a long error with its trace fits."""
ITEMS_CAP = 1000
DEPTH_CAP = 16
DATA_CAP = 512 * 1024
"""Characters of JSON that one entry may carry. Ours: a plan of a thousand commands fits."""

_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|credential|authorization|cookie", re.I
)


def no_redaction(text: str) -> str:
    """For callers that hold no secret at all: the text itself."""
    return text


def clean_text(text: str, redact: Redact, *, cap: int = TEXT_CAP, newlines: bool = True) -> str:
    """Redacted, harmless, at most `cap` characters and a note of what was cut.

    Redacted before and after sanitising: either could hide a secret from the other (a secret with a tab
    in it, a secret with an escape sequence in its middle).
    """
    cut = max(0, len(text) - 4 * cap)
    text = redact(text[: 4 * cap])
    text = redact(sanitise(text, newlines=newlines)).rstrip()
    if len(text) > cap:
        cut += len(text) - cap
        text = text[:cap]
    return f"{text} … +{cut:,} characters" if cut else text


def clean_line(text: str, redact: Redact, *, cap: int = 512) -> str:
    """One redacted, harmless line."""
    return sanitise_line(clean_text(text, redact, cap=cap, newlines=False), cap=cap + 40)


def clean_data(value: Any, redact: Redact, *, depth: int = 0) -> Any:
    """Plain JSON data with every text in it cleaned, keys too; what JSON has no word for becomes text.

    A value under a key that names a secret is masked whole, whether `redact` knows it or not.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return clean_text(value, redact)
    if depth >= DEPTH_CAP:
        return "… nested too deep"
    if isinstance(value, Mapping):
        kept: dict[str, Any] = {}
        for key, item in list(value.items())[:ITEMS_CAP]:
            name = clean_line(str(key), redact, cap=128)
            secret = bool(_SECRET_KEY.search(name)) and isinstance(item, str) and bool(item)
            kept[name] = MASK if secret else clean_data(item, redact, depth=depth + 1)
        if len(value) > ITEMS_CAP:
            kept["…"] = f"{len(value) - ITEMS_CAP:,} more"
        return kept
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        cleaned = [clean_data(item, redact, depth=depth + 1) for item in items[:ITEMS_CAP]]
        return [*cleaned, f"… {len(items) - ITEMS_CAP:,} more"] if len(items) > ITEMS_CAP else cleaned
    return clean_text(str(value), redact)


def canonical(value: Any) -> str:
    """JSON of one form only: keys sorted, no spaces, ASCII, no NaN. What the hash is taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def data_text(data: Mapping[str, Any], redact: Redact) -> str:
    """Cleaned data as the canonical JSON that is stored, bounded by DATA_CAP."""
    text = canonical(clean_data(data, redact))
    if len(text) > DATA_CAP:
        kept = {key: data[key] for key in ("outcome", "owner") if key in data}
        text = canonical({**clean_data(kept, redact), "too_large": len(text), "beginning": text[:TEXT_CAP]})
    return text
