"""The four faces of the console: dark, light, sixteen colours and none; and which one a terminal can show.

Colour means level and nothing else: red, amber and blue stand for fail, warn and unknown. The bands of
the environments use colours that no level uses (production violet), so that a band is never read as
news. Text styles that the screens use are variables of the theme whose names begin with ``t-``; they
may hold attributes (``dim``, ``reverse``) besides colours, because sixteen colours and none need them.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

DARK, LIGHT, SIXTEEN, MONO = "muva-dark", "muva-light", "muva-16", "muva-mono"
NAMES = (DARK, LIGHT, SIXTEEN, MONO)

_COLOURLESS_TERMINALS = ("dumb", "vt100", "vt102", "vt220", "vt320")
_MANY_COLOURS = ("256", "direct", "truecolor", "24bit", "kitty", "alacritty", "ghostty", "wezterm", "foot")


def _text(
    *, muted: str, faint: str, strong: str, ok: str, warn: str, fail: str, hot: str, unknown: str, cursor: str
) -> dict[str, str]:
    return {
        "t-muted": muted,
        "t-faint": faint,
        "t-strong": strong,
        "t-ok": ok,
        "t-warn": warn,
        "t-fail": fail,
        "t-hot": hot,
        "t-unknown": unknown,
        "t-cursor": cursor,
    }


def _sql(keyword: str, string: str, comment: str) -> dict[str, str]:
    """SQL: no colour of a level, and none of a band."""
    return {"t-sql-keyword": keyword, "t-sql-string": string, "t-sql-comment": comment}


def _bands(production: str, staging: str, other: str) -> dict[str, str]:
    return {"t-band-production": production, "t-band-staging": staging, "t-band-other": other}


_DARK = Theme(
    name=DARK,
    dark=True,
    primary="#8b949e",
    secondary="#6e7681",
    accent="#c9d1d9",
    foreground="#c9d1d9",
    background="#0f1217",
    surface="#161b22",
    panel="#1c2129",
    warning="#e3b341",
    error="#ff6b66",
    success="#57ab5a",
    variables={
        **_text(
            muted="#8b949e",
            faint="#5d6570",
            strong="bold #f0f3f6",
            ok="#6bb86f",
            warn="#e3b341",
            fail="bold #ff6b66",
            hot="#ff6b66",
            unknown="#6cb6ff",
            cursor="on #2b333d",
        ),
        **_sql("bold #d5dae0", "#a99fc9", "italic #8b949e"),
        **_bands("bold #ffffff on #6e3fc9", "bold #ffffff on #1f5f66", "bold #ffffff on #3d444d"),
        "line": "#30363d",
        "line-focus": "#768390",
        "band": "#1c2129",
        "border": "#768390",
        "border-blurred": "#30363d",
        "block-cursor-foreground": "#f0f3f6",
        "block-cursor-background": "#2b333d",
        "block-cursor-text-style": "none",
        "input-cursor-background": "#c9d1d9",
        "input-cursor-foreground": "#0f1217",
        "input-selection-background": "#3a4654",
        "scrollbar": "#3d444d",
        "scrollbar-hover": "#545d68",
        "scrollbar-active": "#768390",
        "scrollbar-background": "#12161c",
        "scrollbar-background-hover": "#12161c",
        "scrollbar-background-active": "#12161c",
    },
)

_LIGHT = Theme(
    name=LIGHT,
    dark=False,
    primary="#57606a",
    secondary="#6e7781",
    accent="#24292f",
    foreground="#24292f",
    background="#fbfbfa",
    surface="#f1f2f3",
    panel="#e9ebee",
    warning="#8a5a00",
    error="#b3141f",
    success="#2c7a37",
    variables={
        **_text(
            muted="#5b646e",
            faint="#8c959f",
            strong="bold #0b0e11",
            ok="#2c7a37",
            warn="bold #8a5a00",
            fail="bold #b3141f",
            hot="#b3141f",
            unknown="#0757b8",
            cursor="on #dde3ea",
        ),
        **_sql("bold #0b0e11", "#6a4d96", "italic #5b646e"),
        **_bands("bold #ffffff on #6e3fc9", "bold #ffffff on #1f6f78", "bold #ffffff on #6e7781"),
        "line": "#c9ced4",
        "line-focus": "#57606a",
        "band": "#e9ebee",
        "border": "#57606a",
        "border-blurred": "#c9ced4",
        "block-cursor-foreground": "#0b0e11",
        "block-cursor-background": "#dde3ea",
        "block-cursor-text-style": "none",
        "input-cursor-background": "#24292f",
        "input-cursor-foreground": "#fbfbfa",
        "input-selection-background": "#c5d3e2",
        "scrollbar": "#c2c8cf",
        "scrollbar-hover": "#a9b1ba",
        "scrollbar-active": "#8c959f",
        "scrollbar-background": "#f1f2f3",
        "scrollbar-background-hover": "#f1f2f3",
        "scrollbar-background-active": "#f1f2f3",
    },
)

# What the terminal's own palette gives; grey is `dim`, because bright black is the background of some
# popular palettes (Solarized). The cursor is reverse: no background colour is safe on every palette.
_ANSI_COMMON = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "screen-selection-background": "ansi_default",
    "screen-selection-foreground": "ansi_default",
    "input-selection-background": "ansi_default",
    "input-selection-foreground": "ansi_default",
    "block-hover-background": "ansi_default",
    "line": "ansi_default",
    "line-focus": "ansi_default",
    "band": "ansi_default",
    "border": "ansi_default",
    "border-blurred": "ansi_default",
    "block-cursor-foreground": "ansi_default",
    "block-cursor-background": "ansi_default",
    "block-cursor-text-style": "reverse",
    "input-cursor-background": "ansi_default",
    "input-cursor-foreground": "ansi_default",
    "input-cursor-text-style": "reverse",
    "scrollbar": "ansi_default",
    "scrollbar-hover": "ansi_default",
    "scrollbar-active": "ansi_default",
    "scrollbar-background": "ansi_default",
    "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default",
    "footer-key-foreground": "ansi_default",
    "link-color": "ansi_default",
    "link-color-hover": "ansi_default",
    "link-background-hover": "ansi_default",
}

_SIXTEEN = Theme(
    name=SIXTEEN,
    ansi=True,
    dark=True,
    primary="ansi_default",
    secondary="ansi_default",
    accent="ansi_default",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    variables={
        **_text(
            muted="ansi_default dim",
            faint="ansi_default dim",
            strong="ansi_default bold",
            ok="ansi_green",
            warn="ansi_yellow bold",
            fail="ansi_red bold",
            hot="ansi_red bold",
            unknown="ansi_cyan bold",
            cursor="ansi_default reverse",
        ),
        **_sql("ansi_default bold", "ansi_magenta", "ansi_default dim"),
        **_bands(
            "ansi_bright_white on ansi_magenta bold",
            "ansi_bright_white on ansi_blue bold",
            "ansi_default reverse bold",
        ),
        **_ANSI_COMMON,
        "line": "ansi_bright_black",
    },
)

_MONO = Theme(
    name=MONO,
    ansi=True,
    dark=True,
    primary="ansi_default",
    secondary="ansi_default",
    accent="ansi_default",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    warning="ansi_default",
    error="ansi_default",
    success="ansi_default",
    variables={
        **_text(
            muted="ansi_default dim",
            faint="ansi_default dim",
            strong="ansi_default bold",
            ok="ansi_default",
            warn="ansi_default bold",
            fail="ansi_default bold reverse",
            hot="ansi_default bold",
            unknown="ansi_default bold",
            cursor="ansi_default reverse",
        ),
        **_sql("ansi_default bold", "ansi_default", "ansi_default dim"),
        **_bands("ansi_default bold reverse", "ansi_default underline bold", "ansi_default bold"),
        **_ANSI_COMMON,
    },
)

THEMES = (_DARK, _LIGHT, _SIXTEEN, _MONO)


def choose(wanted: str, environ: Mapping[str, str]) -> str:
    """The theme to begin with: `wanted`, unless the terminal cannot show it.

    NO_COLOR (when not empty, as no-color.org has it) and terminals without colours get muva-mono;
    terminals that tell of no more than sixteen colours get muva-16. What the engineer picks later in
    the palette holds, except that NO_COLOR stays in force.
    """
    if environ.get("NO_COLOR"):
        return MONO
    if wanted not in NAMES:
        wanted = DARK
    if wanted in (SIXTEEN, MONO):
        return wanted
    term = environ.get("TERM", "").lower()
    if term in _COLOURLESS_TERMINALS or term.endswith("-m") or term.endswith("-mono"):
        return MONO
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return wanted
    return wanted if any(word in term for word in _MANY_COLOURS) else SIXTEEN


def ascii_only(wanted: str, environ: Mapping[str, str], encoding: str) -> bool:
    """Whether glyphs give way to their ASCII twins: asked for, or a locale or terminal without them.

    `wanted` is `console.glyphs` of muva.toml: auto, unicode or ascii.
    """
    if wanted in ("ascii", "unicode"):
        return wanted == "ascii"
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    coerced = not environ.get("LC_ALL") and locale == "C.UTF-8"
    if coerced and environ.get("LANG") in ("C", "POSIX"):
        return True  # Python set LC_CTYPE for itself (PEP 538); what the terminal was told is LANG
    if locale:
        spelled = locale.lower().replace("-", "")
        # "C" and "POSIX" say nothing of the terminal beyond ASCII; Python would still write UTF-8 there.
        return "utf8" not in spelled
    return "utf" not in encoding.lower() or environ.get("TERM") in ("dumb", "linux-m")
