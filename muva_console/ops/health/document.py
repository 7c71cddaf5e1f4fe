"""What the health endpoint's document says: status, commit, version, services.

The shape is the application's: ``{"status": "healthy", "services": {"supabase": {"status": "healthy"}}}``
with the commit at the top or under ``environment`` or ``build``. Nothing in it is trusted to be what it
should be; every text is sanitised here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.readings import Level
from muva_console.ops.text import LINE_CAP, sanitise_line

_GOOD = {
    "healthy",
    "ok",
    "up",
    "pass",
    "passing",
    "operational",
    "connected",
    "available",
    "configured",
    "true",
}
_POOR = frozenset({"degraded", "slow", "warn", "warning", "partial"})
_UNTOLD = frozenset({"unknown", "testing", "pending", "skipped", "starting", ""})
_COMMIT_KEYS = (
    "commit",
    "commit_sha",
    "commitSha",
    "git_sha",
    "gitSha",
    "gitCommit",
    "git_commit",
    "sha",
    "revision",
    "deployment",
)
_NESTS = ("build", "environment", "git", "app", "release")
_SERVICES = ("services", "dependencies", "checks", "components")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,40}")
_BEYOND_BELIEF = 1e9
"""Milliseconds, eleven days: a latency from here on is not one."""


class Service(Struct, frozen=True, kw_only=True):
    """A service that the application names in its health document."""

    name: str
    level: Level
    word: str
    """The application's own word for its state."""
    detail: str = ""
    latency_ms: float | None = None


class HealthDocument(Struct, frozen=True, kw_only=True):
    """A health document; every field may be missing."""

    word: str = ""
    """The status as the application words it; empty when it gives none."""
    commit: str = ""
    """7 to 40 hexadecimal digits, or empty."""
    version: str = ""
    services: tuple[Service, ...] = ()
    latency_ms: float | None = None
    error: str = ""

    @property
    def level(self) -> Level:
        """What the status word means; a document without one is UNKNOWN."""
        return level_of(self.word)


def level_of(word: str) -> Level:
    """The level that a status word means. A word that is not known to be good is bad."""
    word = word.strip().lower()
    if word in _GOOD:
        return Level.OK
    if word in _POOR:
        return Level.WARN
    return Level.UNKNOWN if word in _UNTOLD else Level.FAIL


def read_document(json: Any) -> HealthDocument | None:
    """The document, or None when what came is no JSON object."""
    if not isinstance(json, dict):
        return None
    nests = [json, *(json[key] for key in _NESTS if isinstance(json.get(key), dict))]
    return HealthDocument(
        word=_text(json.get("status"), 40),
        commit=next((c for nest in nests for c in _commits(nest)), ""),
        version=next((v for nest in nests if (v := _text(nest.get("version"), 40))), ""),
        services=tuple(_services(json)),
        latency_ms=_latency(json),
        error=_error(json),
    )


def _commits(nest: Mapping[str, Any]) -> Iterator[str]:
    for key in _COMMIT_KEYS:
        value = nest.get(key)
        if isinstance(value, str) and _COMMIT.fullmatch(value):
            yield value.lower()


def _services(json: Mapping[str, Any]) -> Iterator[Service]:
    for key in _SERVICES:
        listed = json.get(key)
        if isinstance(listed, dict):
            for name, value in list(listed.items())[:50]:
                yield _service(_text(name, 60), value)
            return
        if isinstance(listed, list):
            for value in listed[:50]:
                if isinstance(value, dict):
                    yield _service(_text(value.get("name"), 60) or "(unnamed)", value)
            return


def _service(name: str, value: Any) -> Service:
    if not isinstance(value, dict):
        word = _text(value, 40)
        return Service(name=name, level=level_of(word), word=word)
    word = _text(value.get("status", value.get("state", value.get("healthy"))), 40)
    detail = _error(value)
    level = level_of(word)
    if level is Level.OK and value.get("error"):
        level = Level.WARN
    return Service(name=name, level=level, word=word, detail=detail, latency_ms=_latency(value))


def _error(value: Mapping[str, Any]) -> str:
    return _text(value.get("error"), 200) or _text(value.get("message"), 200)


def _latency(value: Mapping[str, Any]) -> float | None:
    """Milliseconds; a number, or a text such as "12ms"."""
    for key in ("latency_ms", "latencyMs", "latency", "responseTime", "response_time_ms", "duration"):
        told = value.get(key)
        if isinstance(told, str):
            number = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(?:ms)?\s*", told)
            told = float(number[1]) if number else None
        if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told < _BEYOND_BELIEF:
            return float(told)
    return None


def _text(value: Any, cap: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        # redacted before it is cut: half a password is no longer known for one
        return sanitise_line(redact(sanitise_line(str(value)[: 4 * LINE_CAP])), cap=cap)
    return ""
