"""Single values of muva.toml: converted, or told what was expected and what was found.

A value that may be a secret is never repeated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from muva_console.config.redact import redactor
from muva_console.config.shape import Kind, Shape
from muva_console.config.units import (
    DURATION_EXAMPLES,
    SIZE_EXAMPLES,
    format_duration,
    parse_duration,
    parse_size,
)
from muva_console.ops.text import sanitise_line

Place = tuple[str, ...]
"""The path of a key; an item of a list counts from 1."""

REFERENCE = 'a reference: { env = "NAME" }, { command = "…" } or { file = "…" }'
SHOWN = 60
"""Characters of a wrong value that are repeated."""
_TELLTALE = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
_CREDENTIALS = re.compile(r":[^@]*@")
"""user:password@, with or without a scheme."""
_HOSTNAME = re.compile(r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$|^[0-9A-Fa-f:.]+$")


class WrongError(Exception):
    """Not what was expected: why, and what would help."""

    def __init__(self, reason: str = "", hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class LiteralPasswordError(Exception):
    """User name and password, or something else secret, stand in an address."""


def _text(value: Any, shape: Shape, _home: Path) -> str:
    if not isinstance(value, str):
        raise WrongError
    if shape.choices and value not in shape.choices:
        raise WrongError(hint=did_you_mean(value, shape.choices))
    if shape.pattern is not None and not re.search(shape.pattern, value):
        raise WrongError
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise WrongError("a control character is in it")
    return value


def _whole(value: Any, shape: Shape, _home: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongError
    _within(value, shape)
    return value


def _number(value: Any, shape: Shape, _home: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongError
    if isinstance(value, int) and abs(value) > 2**53:
        raise WrongError
    if not math.isfinite(value):
        raise WrongError
    _within(value, shape)
    return float(value)


def _flag(value: Any, _shape: Shape, _home: Path) -> bool:
    if not isinstance(value, bool):
        raise WrongError
    return value


def _path(value: Any, _shape: Shape, home: Path) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise WrongError
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise WrongError("a control character is in it")
    try:
        return home / Path(value).expanduser()
    except RuntimeError:
        raise WrongError("whose home that is, this machine does not know") from None


def _duration(value: Any, shape: Shape, _home: Path) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = ""
        if 0 < value < 1e9:  # neither for what is no number, nor for an integer beyond every float
            hint = f'did you mean "{format_duration(value)}"?'
        raise WrongError("a number has no unit", hint)
    if not isinstance(value, str):
        raise WrongError
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise WrongError("" if str(error).startswith("not") else str(error)) from None
    _within(seconds, shape)
    return seconds


def _size(value: Any, shape: Shape, _home: Path) -> int:
    if not isinstance(value, str):
        raise WrongError
    try:
        size = parse_size(value)
    except ValueError:
        raise WrongError from None
    _within(size, shape)
    return size


def _url(value: Any, shape: Shape, _home: Path) -> str:
    if not isinstance(value, str):
        raise WrongError
    if "@" in value.split("://", 1)[-1].split("/", 1)[0] or redactor.holds_secret(value):
        raise LiteralPasswordError
    if len(value) > 2000 or re.search(r"[\s\x00-\x20\x7f<>\"\\^`{|}]", value):
        raise WrongError("a character is in it that no address has")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise WrongError("its host or port is no host or port") from None
    if parts.scheme not in ("http", "https"):
        raise WrongError("it does not begin with http:// or https://")
    if not parts.hostname or not _HOSTNAME.match(parts.hostname):
        raise WrongError("no host is in it")
    if shape.base and (parts.query or parts.fragment):
        raise WrongError("paths are appended to it, so it has neither ? nor #")
    return value.rstrip("/") if shape.base else value


CONVERTERS: dict[Kind, Callable[[Any, Shape, Path], Any]] = {
    Kind.TEXT: _text,
    Kind.WHOLE: _whole,
    Kind.NUMBER: _number,
    Kind.FLAG: _flag,
    Kind.PATH: _path,
    Kind.DURATION: _duration,
    Kind.SIZE: _size,
    Kind.URL: _url,
}


def _within(value: float, shape: Shape) -> None:
    if (
        (shape.ge is not None and value < shape.ge)
        or (shape.gt is not None and value <= shape.gt)
        or (shape.le is not None and value > shape.le)
    ):
        raise WrongError


def expected(shape: Shape) -> str:
    """What a key takes, in words."""
    if shape.told:
        return shape.told
    match shape.kind:
        case Kind.TEXT:
            return f"one of {', '.join(quoted(c) for c in shape.choices)}" if shape.choices else "a text"
        case Kind.WHOLE | Kind.NUMBER:
            article = "a whole number" if shape.kind is Kind.WHOLE else "a number"
            return f"{article}{_range(shape, lambda limit: f'{limit:g}')}"
        case Kind.FLAG:
            return "true or false"
        case Kind.PATH:
            return "a path"
        case Kind.DURATION:
            return f"a duration such as {DURATION_EXAMPLES}{_range(shape, format_duration)}"
        case Kind.SIZE:
            return f"a size such as {SIZE_EXAMPLES}"
        case Kind.URL:
            return 'an address such as "https://muva.chat"'
        case Kind.SECRET:
            return REFERENCE
        case Kind.LIST:
            assert shape.item is not None
            return f"a list, each item {expected(shape.item)}"
        case _:
            return "a table"


def _range(shape: Shape, show: Callable[[float], str]) -> str:
    words = []
    if shape.ge is not None:
        words.append(f"at least {show(shape.ge)}")
    if shape.gt is not None:
        words.append("more than 0" if shape.gt == 0 else f"more than {show(shape.gt)}")
    if shape.le is not None:
        words.append(f"at most {show(shape.le)}")
    return f", {' and '.join(words)}" if words else ""


def found(value: Any, shape: Shape, place: Place) -> str:
    """What stands there instead: short, harmless, and not at all when it may be a secret."""
    kind = kind_of(value)
    if isinstance(value, dict | list) or (isinstance(value, int) and abs(value) >= 10**SHOWN):
        return kind
    text = value if isinstance(value, str) else str(value)[: 4 * SHOWN]
    doubtful = _CREDENTIALS.search(text) or any(_TELLTALE.search(part) for part in place)
    if shape.secret or doubtful or redactor.holds_secret(text):
        return f"{kind}, which is not repeated here" if isinstance(value, str) else kind
    shown = sanitise_line(text, cap=SHOWN)
    return quoted(shown) if isinstance(value, str) else shown.lower()


def kind_of(value: Any) -> str:
    """What TOML calls it."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case dict():
            return "a table"
        case list():
            return "a list"
        case datetime() | date() | time():
            return "a date or time"
        case _:
            return "something else"


def quoted(text: str) -> str:
    """As TOML writes a text."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str:
    """A question that names the closest of what is known, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name[:SHOWN].lower(), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""
