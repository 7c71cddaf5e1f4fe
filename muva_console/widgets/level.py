"""How good the news is, drawn: glyph, word and colour, in that order of trust. The one place for it."""

from __future__ import annotations

from textual.content import Content

from muva_console.ops.feed import Freshness
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.readings import Level

GLYPH: dict[Level, str] = {Level.OK: "●", Level.WARN: "▲", Level.FAIL: "✖", Level.UNKNOWN: "?"}
STYLE: dict[Level, str] = {
    Level.OK: "$t-ok",
    Level.WARN: "$t-warn",
    Level.FAIL: "$t-fail",
    Level.UNKNOWN: "$t-unknown",
}
FRESHNESS_GLYPH: dict[Freshness, str] = {
    Freshness.NEVER: "◌",
    Freshness.ASKING: "◐",
    Freshness.FRESH: "●",
    Freshness.STALE: "⌛",
    Freshness.PAUSED: "⏸",
    Freshness.UNREACHABLE: "✖",
}
LINK_GLYPH: dict[LinkStatus, tuple[str, str]] = {
    LinkStatus.UNUSED: ("◌", "$t-muted"),
    LinkStatus.OPENING: ("◐", "$t-muted"),
    LinkStatus.UP: ("●", "$t-ok"),
    LinkStatus.DOWN: ("✖", "$t-fail"),
    LinkStatus.CLOSED: ("◌", "$t-muted"),
}

MUTED, FAINT, STRONG = "$t-muted", "$t-faint", "$t-strong"

SEVERITY: dict[Level, int] = {Level.FAIL: 0, Level.UNKNOWN: 1, Level.WARN: 2, Level.OK: 3}
"""For sorting: what is worst comes first."""


def glyph(level: Level) -> Content:
    """The level's glyph in its colour."""
    return Content.styled(GLYPH[level], STYLE[level])


def mark(level: Level, word: str = "") -> Content:
    """Glyph and word in the level's colour: ``✖ fail``, or another word for it: ``✖ down``."""
    return Content.styled(f"{GLYPH[level]} {word or level.value}", STYLE[level])


def mark_of(level: Level | None, word: str) -> Content:
    """The same where there may be nothing to tell yet: ``◐ asking``, ``◌ local checkout``."""
    if level is not None:
        return mark(level, word)
    glyphs = {each.value: glyph for each, glyph in FRESHNESS_GLYPH.items()}
    return Content.styled(f"{glyphs.get(word, '◌')} {word}", MUTED)


def tinted(text: str, level: Level) -> Content:
    """Text in the colour of bad news; good news stays plain."""
    return Content(text) if level is Level.OK else Content.styled(text, STYLE[level])


def muted(text: str) -> Content:
    """Text that explains: units, ages, sources."""
    return Content.styled(text, MUTED)


def faint(text: str) -> Content:
    """Text that may be overlooked: rules, separators."""
    return Content.styled(text, FAINT)


def strong(text: str) -> Content:
    """A name or a headline."""
    return Content.styled(text, STRONG)


def freshness_word(freshness: Freshness) -> Content:
    """Glyph and word of a snapshot that is not simply fresh: ``⌛ stale``, ``⏸ paused`` …"""
    style = {
        Freshness.STALE: STYLE[Level.WARN],
        Freshness.UNREACHABLE: STYLE[Level.FAIL],
        Freshness.FRESH: STYLE[Level.OK],
    }.get(freshness, MUTED)
    return Content.styled(f"{FRESHNESS_GLYPH[freshness]} {freshness.value}", style)
