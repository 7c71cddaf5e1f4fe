"""Drift: what a database recorded of a migration against what its file says now, as a diff of statements.

Comments, white space, the case of words and semicolons are no difference. Statements are laid out anew from
their words, so that only what was changed shows, however either side was indented.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.config.redact import redact
from muva_console.ops.migrations.text import in_parser, shape_of, shapes_of, words_of
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.migrations.cache import ContentCache

COMPARED = 8 * 1024 * 1024
"""Bytes of a text whose words are compared. Ours: beyond, only a record that stands in the file verbatim is
known to be the same."""
LINES = 400
"""Lines of a diff that are shown. Ours."""
WIDTH = 300
"""Characters of one line of a diff. Ours."""
_ALIGNED = 2000
"""Lines on either side that are aligned with each other; difflib takes time with the square of them. Ours."""

# A comment within a comment is left to the parser: PostgreSQL nests them.
_COMMENT = re.compile(rb"--[^\n]*+(?:\n|\Z)|/\*(?:(?!/\*).)*?\*/", re.DOTALL)
_BETWEEN = re.compile(rb"(?:\s++|;|" + _COMMENT.pattern + rb")*+", re.DOTALL)


class Drift(Struct, frozen=True, kw_only=True):
    """How a file and a record differ."""

    same: bool
    """No statement differs."""
    lines: tuple[str, ...] = ()
    """A unified diff, the record first; harmless and redacted."""
    cut: int = 0
    """Lines that are not shown."""
    changed: int = 0
    """Statements of the record that the file has not."""
    added: int = 0
    """Statements of the file that the record has not."""
    why: str = ""
    """Why there is no diff, where they differ and none can be made."""


def stands_in(record: Sequence[str], text: bytes) -> bool:
    """Whether a text is these statements, word for word, with nothing but comments, white space and
    semicolons between: so most records are told to be the same without a parser.
    """
    at = 3 if text.startswith(b"\xef\xbb\xbf") else 0
    for statement in record:
        wanted = statement.encode("utf-8", "replace").strip(b" \t\r\n;")
        if not wanted:
            continue
        at = _begin_of(text, at, wanted)
        if at < 0:
            return False
        at += len(wanted)
    end = _BETWEEN.match(text, at)
    return end is not None and end.end() == len(text)


def _begin_of(text: bytes, at: int, wanted: bytes) -> int:
    """Where a statement stands behind white space, semicolons and comments; -1 where something else does. It
    may have been recorded with a comment before it.
    """
    while True:
        while text[at : at + 1] in _BLANK:
            at += 1
        if text.startswith(wanted, at):
            return at
        comment = _COMMENT.match(text, at)
        if comment is None:
            return -1
        at = comment.end()


_BLANK = frozenset([b" ", b"\t", b"\r", b"\n", b"\f", b"\v", b";"])


def plain_of(text: bytes) -> tuple[bytes, list[bytes]] | None:
    """A text without comments, semicolons and needless white space, in lower case, but for what is quoted,
    which stands beside it; None where that takes the parser. Texts that are alike so have one shape, and
    this takes half of the time.
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    parts: list[bytes] = []
    quoted: list[bytes] = []
    at = 0
    for found in _QUOTED.finditer(text):
        start = found.start()
        before = text[at:start]
        parts.append(before)
        word = found[0]
        at = found.end()
        if word[:1] in b"-/":
            parts.append(b" ")
            continue
        # a backslash may end no E'', a dollar may belong to the name before it
        last = before[-1:]
        if last and word[:1] in b"'$" and (last.isalnum() or last in b"_$" or last >= b"\x80"):
            return None
        parts.append(b"\0")
        quoted.append(word)
    parts.append(text[at:])
    code = b"".join(parts)
    # a quote that nobody closes, a comment in a comment
    if any(odd in code for odd in _ODD) or code.count(b"\0") != len(quoted):
        return None
    code = code.replace(b";", b" ")
    code = b" ".join(_SIGNS.sub(rb" \g<0> ", code).split()).lower()
    if b"\0 \0" in code:  # texts one below the other are one, beside each other they are a mistake
        return None
    return _AROUND.sub(rb"\1", code), quoted


_ODD = (b"'", b'"', b"/*", b"*/", b"$")
# two quotes within a text are two texts side by side: as good, and found faster
_QUOTED = re.compile(
    rb"""--[^\n\r]*+|/\*(?:(?!/\*|\*/).)*+\*/|'[^']*+'|"[^"]*+\""""
    rb"""|\$((?:[A-Za-z_\x80-\xff][\w\x80-\xff]*+)?)\$.*?\$\1\$""",
    re.DOTALL,
)
_AROUND = re.compile(rb" ?([(),]) ?")
# signs side by side stay so, for white space between two of them means something
_SIGNS = re.compile(rb"[-+*/<>=~!@#%^&|`?:]+")


def _alike(text: bytes, record: Sequence[str]) -> bool:
    """Whether a text and what was recorded are told to be the same without the parser."""
    if stands_in(record, text):
        return True
    ran = ";\n".join(record).encode("utf-8", "replace")
    if max(len(text), len(ran)) > COMPARED:
        return False
    ours = plain_of(text)
    return ours is not None and ours == plain_of(ran)


async def same_of(
    pairs: Sequence[tuple[bytes, Sequence[str]]], *, cache: ContentCache | None = None
) -> list[bool | None]:
    """Of texts and the statements recorded of them, in order: whether they differ in no more than comments,
    white space and case; None where that cannot be told (no UTF-8, no words, too large).
    """
    found: list[bool | None] = await asyncio.to_thread(
        lambda: [_alike(text, record) or None for text, record in pairs]
    )
    rest = []
    for place, (text, record) in enumerate(pairs):
        ran = ";\n".join(record).encode("utf-8", "replace")
        if found[place] is None and max(len(text), len(ran)) <= COMPARED:
            rest.append((place, text, ran))
    shapes = await shapes_of([one for _, *both in rest for one in both], cache=cache)
    for number, (place, _, _) in enumerate(rest):
        ours, theirs = shapes[2 * number : 2 * number + 2]
        if ours and theirs:
            found[place] = ours == theirs
    return found


async def diff(
    record: Sequence[str], text: bytes, *, recorded: str = "recorded", file: str = "file"
) -> Drift:
    """The record against the text, statement by statement. Never raises for what they hold."""
    if stands_in(record, text):
        return Drift(same=True)
    ours = ";\n".join(record).encode("utf-8", "replace")
    if max(len(ours), len(text)) > COMPARED:
        what = f"{max(len(ours), len(text)):,} bytes are too many to be compared word by word"
        return Drift(same=False, why=what)
    return await in_parser(lambda: _diff(record, text, recorded, file))


def _diff(record: Sequence[str], text: bytes, recorded: str, file: str) -> Drift:
    theirs = [part for one in record for part in split(one.encode("utf-8", "replace"))]
    ours = split(text)
    shapes = [[shape_of(one) or one.hex() for one in side] for side in (theirs, ours)]
    whole = [shape_of(one) for one in (";\n".join(record).encode("utf-8", "replace"), text)]
    if shapes[0] == shapes[1] or (whole[0] and whole[0] == whole[1]):
        return Drift(same=True)
    known, present = set(shapes[0]), set(shapes[1])
    sides = [[line for one in side for line in layout(one)] for side in (theirs, ours)]
    lines, cut = _unified(sides[0], sides[1], recorded, file)
    return Drift(
        same=False,
        lines=lines,
        cut=cut,
        changed=sum(shape not in present for shape in shapes[0]),
        added=sum(shape not in known for shape in shapes[1]),
    )


def _unified(a: list[str], b: list[str], recorded: str, file: str) -> tuple[tuple[str, ...], int]:
    first = 0
    while first < min(len(a), len(b)) and a[first] == b[first]:
        first += 1
    first = max(0, first - 3)
    a, b = a[first:], b[first:]
    beyond = max(0, len(a) - _ALIGNED) + max(0, len(b) - _ALIGNED)
    found = list(difflib.unified_diff(a[:_ALIGNED], b[:_ALIGNED], recorded, file, lineterm="", n=3))
    shown = tuple(sanitise_line(redact(sanitise_line(line, cap=2000)), cap=WIDTH) for line in found[:LINES])
    return shown, max(0, len(found) - LINES) + beyond


def split(text: bytes) -> list[bytes]:
    """The statements of a text; the whole of it as one where it cannot be split. To be called in
    `in_parser`.
    """
    import postgast

    text = text.removeprefix(b"\xef\xbb\xbf")
    words = text.decode("utf-8", "replace")
    if "\0" in words:
        return [text]
    try:
        parts = [part.encode() for part in postgast.split(words, method="scanner")]
    except postgast.PgQueryError:
        return [text]
    # the scanner's way to split passes over what begins with no keyword
    there = words_of(text)
    told = sum(len(words_of(part) or ()) for part in parts)
    return parts if there is not None and told == len(there) else [text]


def layout(statement: bytes) -> list[str]:
    """A statement as lines made of its words alone, so that two ways to write it read the same."""
    words = words_of(statement)
    if not words:
        return [line for line in statement.decode("utf-8", "replace").splitlines() if line.strip()]
    spoken = [word.decode("utf-8", "replace") for word in words]
    after, begins = _breaks(spoken)
    lines: list[str] = []
    line, before = "", "("
    for place, word in enumerate(spoken):
        if place in begins:
            lines.append(line)
            line, before = "", "("
        close = word in _CLOSE or before in _OPEN or (word == "(" and before not in _SPACED)
        line += word if close else f" {word}"
        before = word
        if place in after:
            lines.append(line)
            line, before = after[place], "("
    lines.append(line + ";")
    return [part.rstrip() for one in lines for part in one.split("\n")]


def _breaks(words: Sequence[str]) -> tuple[dict[int, str], set[int]]:
    """After which words a line begins, and with which indent; and which words begin one: of a statement that
    is not short the items of each long list in parentheses, and those that stand in none.
    """
    after: dict[int, str] = {}
    begins: set[int] = set()
    if sum(len(word) + 1 for word in words) <= _SHORT:
        return after, begins
    opened: list[int] = []
    commas: list[int] = []
    for place, word in enumerate(words):
        if word == "(":
            commas = commas if opened else []
            opened.append(place)
        elif word == ")" and opened:
            begin = opened.pop()
            if not opened and commas and sum(len(one) + 1 for one in words[begin:place]) > _LIST:
                after |= dict.fromkeys([begin, *commas], "  ")
                begins.add(place)
        elif word == "," and len(opened) <= 1:
            if opened:
                commas.append(place)
            else:
                after[place] = ""
    return after, begins


_SHORT = 60
"""Characters of a statement that stays on one line."""
_LIST = 40
"""Characters of a list that does."""
_CLOSE = frozenset([",", ";", ")", ".", "]", "::", "["])
_OPEN = frozenset(["(", ".", "[", "::"])
_SPACED = frozenset(
    [
        "values", "in", "check", "key", "as", "and", "or", "not", "using", "exists", "on", "returns", "then",
        "when", "else", "over", "by", ",", "=",
    ]
)  # fmt: skip
"""What an opening parenthesis stands apart from."""
