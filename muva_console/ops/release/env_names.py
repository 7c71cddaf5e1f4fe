"""The names of environment variables: those that code reads, those that a template asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from muva_console.ops.release.js_tokens import Kind, Token, tokenise

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
"""What a shell takes for the name of a variable."""

KNOWN: dict[str, str] = {
    "NODE_ENV": "set by Next.js, by PM2's description and by every build tool",
    "NODE_OPTIONS": "read by Node itself",
    "NODE_PATH": "read by Node itself",
    "NODE_DEBUG": "read by Node itself",
    "NODE_APP_INSTANCE": "set by PM2",
    "NODE_EXTRA_CA_CERTS": "read by Node itself",
    "NODE_TLS_REJECT_UNAUTHORIZED": "read by Node itself",
    "PM2_HOME": "set by PM2",
    "INSTANCE_ID": "set by PM2",
    "pm_id": "set by PM2",
    "PORT": "has a default in every server, and belongs to the process",
    "HOST": "likewise",
    "HOSTNAME": "set by the shell; Next.js's address to listen on",
    "CI": "set by whoever runs the build unattended",
    "GITHUB_ACTIONS": "set by GitHub Actions",
    "GITHUB_SHA": "set by GitHub Actions",
    "GITHUB_REF": "set by GitHub Actions",
    "VERCEL": "set by Vercel, as are all names that begin with VERCEL_",
    "NEXT_RUNTIME": "set by Next.js",
    "NEXT_PHASE": "set by Next.js",
    "NEXT_TELEMETRY_DISABLED": "read by Next.js itself",
    "__NEXT_PRIVATE_ORIGIN": "set by Next.js",
    "ANALYZE": "asked for by hand: it opens the bundle analyser",
    "MODE": "set by Vite (import.meta.env)",
    "BASE_URL": "set by Vite (import.meta.env)",
    "PROD": "set by Vite (import.meta.env)",
    "DEV": "set by Vite (import.meta.env)",
    "SSR": "set by Vite (import.meta.env)",
    "PATH": "of the system",
    "HOME": "of the system",
    "USER": "of the system",
    "LOGNAME": "of the system",
    "SHELL": "of the system",
    "PWD": "of the system",
    "TZ": "of the system",
    "LANG": "of the system",
    "LC_ALL": "of the system",
    "TERM": "of the system",
    "TMPDIR": "of the system",
    "TEMP": "of the system",
    "TMP": "of the system",
    "EDITOR": "of the system",
    "DEBUG": "asked for by hand: it makes libraries talk",
    "FORCE_COLOR": "asked for by hand",
    "NO_COLOR": "asked for by hand",
}
"""Standard variables that no template needs to name, each with who sets it. Vite's count as known only where
they are read from import.meta.env."""

_FAMILIES = ("npm_", "VERCEL_", "__NEXT_", "NEXT_PUBLIC_VERCEL_")
_VITE = frozenset(["MODE", "BASE_URL", "PROD", "DEV", "SSR"])


class Read(Struct, frozen=True):
    """A place where code reads a variable."""

    name: str
    line: int


class Reads(Struct, frozen=True):
    """What one file reads of its environment."""

    reads: tuple[Read, ...]
    whole: tuple[int, ...] = ()
    """Lines where the environment is handed on as a whole or read by a computed name: what is read there
    cannot be told.
    """
    lost: int = 0
    """The line from which on the file could not be read; 0 when all was."""


def mentions_environment(data: bytes) -> bool:
    """Whether a file may read a variable at all: quick, and True in doubt."""
    return b"env" in data


def reads_of(text: str) -> Reads:
    """The variables that a source text reads: ``process.env.A``, ``process.env["A"]``, ``const {A} =
    process.env``, ``import.meta.env.A``, and through a name that the same file gave to ``process.env``.
    Standard variables are left out. What is only set or deleted is not read.
    """
    tokens, lost = tokenise(text)
    found: list[Read] = []
    whole: list[int] = []
    aliases: set[str] = set()

    def note(name: str, line: int, *, vite: bool) -> None:
        if NAME.fullmatch(name) and not is_known(name, vite=vite):
            found.append(Read(name, line))

    index = 0
    while index < len(tokens):
        end, vite = _environment_at(tokens, index)
        if end == 0:
            token = tokens[index]
            if token.text == "process" and _takes_env(tokens, index):
                aliases.add("env")
            elif token.kind is Kind.WORD and token.text in aliases and not _is_member(tokens, index):
                name, _ = _member(tokens, index + 1)
                if name.isupper() and not _is_written(tokens, index, index + 3):
                    note(name, token.line, vite=False)
            index += 1
            continue
        name, after = _member(tokens, end)
        line = tokens[index].line
        if name:
            if not _is_written(tokens, index, after):
                note(name, line, vite=vite)
        elif (names := _destructured(tokens, index)) is not None:
            for each, at in names:
                note(each, at, vite=vite)
        elif (alias := _assigned_to(tokens, index)) and _text(tokens, end) not in (".", "[", "?."):
            aliases.add(alias)
        else:
            whole.append(line)
        index = after if name else end
    return Reads(tuple(found), tuple(whole), lost)


def is_known(name: str, *, vite: bool = False) -> bool:
    """Whether a variable is standard: set or read by somebody else, see `KNOWN`."""
    if name in _VITE:
        return vite
    return name in KNOWN or name.startswith(_FAMILIES)


def _environment_at(tokens: list[Token], index: int) -> tuple[int, bool]:
    """Where ``process.env`` or ``import.meta.env`` ends that begins here (0: none does), and which."""
    token = tokens[index]
    if token.kind is not Kind.WORD or _is_member(tokens, index):
        return 0, False
    if token.text == "process":
        name, after = _member(tokens, index + 1)
        return (after, False) if name == "env" else (0, False)
    if token.text == "import":
        name, after = _member(tokens, index + 1)
        if name == "meta":
            name, after = _member(tokens, after)
            if name == "env":
                return after, True
    return 0, False


def _is_member(tokens: list[Token], index: int) -> bool:
    """Whether the word is a property of something else; ``globalThis.process`` is still Node's."""
    if _text(tokens, index - 1) not in (".", "?."):
        return False
    return _text(tokens, index - 2) not in ("globalThis", "global", "window")


def _member(tokens: list[Token], index: int) -> tuple[str, int]:
    """The property read at `index` (``.NAME``, ``?.NAME``, ``["NAME"]``, ``!`` allowed before) and what is
    behind it; "" and `index` when there is none.
    """
    start = index
    if _text(tokens, index) == "!" and _text(tokens, index + 1) in (".", "["):
        index += 1  # TypeScript: not null
    sign = _text(tokens, index)
    if sign == "?." and _text(tokens, index + 1) == "[":
        index, sign = index + 1, "["
    if sign in (".", "?.") and index + 1 < len(tokens) and tokens[index + 1].kind is Kind.WORD:
        return tokens[index + 1].text, index + 2
    if sign == "[" and index + 2 < len(tokens):
        key = tokens[index + 1]
        if key.kind is Kind.STRING and tokens[index + 2].text == "]":
            return key.text, index + 3
    return "", start


def _is_written(tokens: list[Token], start: int, after: int) -> bool:
    if _text(tokens, start - 1) == "delete":
        return True
    return _text(tokens, after) == "=" and _kind(tokens, after) is Kind.SIGN


def _destructured(tokens: list[Token], index: int) -> list[tuple[str, int]] | None:
    """The names taken by ``{ … } =`` just before `index`; None when nothing is taken apart there."""
    if _text(tokens, index - 1) != "=" or _text(tokens, index - 2) != "}":
        return None
    depth, at = 0, index - 2
    while at >= 0:
        text = tokens[at].text if tokens[at].kind is Kind.SIGN else ""
        depth += (text in ("}", "]", ")")) - (text in ("{", "[", "("))
        if depth == 0:
            break
        at -= 1
    else:
        return None
    names: list[tuple[str, int]] = []
    depth, expects = 0, True
    for token in tokens[at + 1 : index - 2]:
        if token.kind is Kind.SIGN:
            depth += (token.text in ("{", "[", "(")) - (token.text in ("}", "]", ")"))
            expects = depth == 0 and token.text == ","
        elif expects and depth == 0 and token.kind in (Kind.WORD, Kind.STRING):
            names.append((token.text, token.line))
            expects = False
        else:
            expects = False
    return names


def _takes_env(tokens: list[Token], index: int) -> bool:
    """Whether this is ``const { env } = process``."""
    if _text(tokens, index + 1) in (".", "?.", "["):
        return False
    return any(name == "env" for name, _ in _destructured(tokens, index) or ())


def _assigned_to(tokens: list[Token], index: int) -> str:
    """The name in ``NAME = process.env``."""
    if _text(tokens, index - 1) != "=" or index < 2:
        return ""
    name = tokens[index - 2]
    if name.kind is not Kind.WORD or _text(tokens, index - 3) in (".", "?."):
        return ""
    return name.text


def _text(tokens: list[Token], index: int) -> str:
    if not 0 <= index < len(tokens) or tokens[index].kind is Kind.STRING:
        return ""
    return tokens[index].text


def _kind(tokens: list[Token], index: int) -> Kind | None:
    return tokens[index].kind if 0 <= index < len(tokens) else None


# --- templates and environment files --------------------------------------------------------------------

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]{0,199})[ \t]*=(.*)", re.DOTALL)
_COMMENTED = re.compile(r"[ \t]*#[ \t]*(?:export[ \t]+)?([A-Z_][A-Z0-9_]{0,199})=\S*[ \t]*(?:#.*)?")
_OPTIONAL = re.compile(r"#.*\boptional\b", re.IGNORECASE)


class Template(Struct, frozen=True):
    """What a template asks for."""

    required: frozenset[str]
    optional: frozenset[str]
    """Named, but an application does without: ``# NAME=`` or a comment with the word "optional" behind it."""

    @property
    def names(self) -> frozenset[str]:
        """All that it names."""
        return self.required | self.optional


def read_template(text: str) -> Template:
    """The names in a template such as ``.env.template``. A name that is asked for anywhere is required."""
    required: set[str] = set()
    optional: set[str] = set()
    for name, value in assignments(text).items():
        (optional if _OPTIONAL.search(value) else required).add(name)
    for line in text.split("\n"):
        match = _COMMENTED.fullmatch(line.rstrip("\r"))
        if match is not None:
            optional.add(match[1])
    return Template(frozenset(required), frozenset(optional - required))


def assignments(text: str) -> dict[str, str]:
    """The assignments of an environment file, the last of a name, each with what stands behind the ``=``
    on its line. A value in quotes may go over several lines, as Node's dotenv has it; a quote that nobody
    closes is a character like any other.
    """
    found: dict[str, str] = {}
    lines = text.split("\n")
    closes_nowhere = dict.fromkeys("\"'`", False)
    index = 0
    while index < len(lines):
        line = lines[index].rstrip("\r")
        index += 1
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            continue
        found[match[1]] = match[2]
        value = match[2].lstrip(" \t")
        quote = value[:1]
        if quote and quote in "\"'`" and not closes_nowhere[quote]:
            rest, at = value[1:], index
            while not _closes(rest, quote) and at < len(lines):
                rest, at = lines[at], at + 1
            if _closes(rest, quote):
                index = at
            else:
                closes_nowhere[quote] = True
    return found


def _closes(text: str, quote: str) -> bool:
    return quote in re.sub(r"\\.", "", text)


def sorted_names(names: Iterable[str]) -> list[str]:
    """In the order in which people look for them."""
    return sorted(names, key=lambda name: (name.lower(), name))
