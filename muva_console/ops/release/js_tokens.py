"""JavaScript and TypeScript, only as far as names need it: words, strings and signs, each with its line.

Comments, regular expressions and the text of templates are left out; what stands in a template's ``${…}`` is
code and is read. Not a parser: JSX text is read as if it were code, so an odd backtick in it can hide what
follows (`Tokens.lost` then says from where on). ECMA-262, clause 12, is the grammar that is approximated;
what it leaves to the parser (whether ``/`` divides or begins a regular expression) the token before tells.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a token is."""

    WORD = 1
    """A name, a keyword or a number."""
    STRING = 2
    """A string in quotes, or a template without ``${``; its text is the content, escapes undone roughly."""
    SIGN = 3
    """Punctuation."""
    TEMPLATE = 4
    """The beginning or the end of a template that holds code."""


class Token(NamedTuple):
    """One token."""

    kind: Kind
    text: str
    line: int
    """Counted from 1."""


class Tokens(NamedTuple):
    """What was read of a file."""

    tokens: list[Token]
    lost: int = 0
    """The line of a template or comment that has no end: nothing behind it was read. 0 when all was."""


_NEXT = re.compile(
    r"""(?P<space>[^\S\n]+)
    |(?P<newline>\n)
    |(?P<comment>//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?)
    |(?P<word>[\w$]++)
    |(?P<string>"(?:[^"\\\n]|\\(?:\r\n|[\s\S]))*+"|'(?:[^'\\\n]|\\(?:\r\n|[\s\S]))*+')
    |(?P<sign>=>|\?\.(?!\d)|\.\.\.|[=!]==?|\+\+|--|[^\s\w$])
    """,
    re.VERBOSE,
)
_REGEX = re.compile(r"/(?![*/])(?:[^\\/\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*+\])++/[A-Za-z]*+")
_TEMPLATE = re.compile(r"(?:[^`\\$]|\\[\s\S]|\$(?!\{))*+")
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(\r?\n)|(.))")

# After these a slash begins a regular expression and a quote a string; after other words neither.
_BEFORE_A_VALUE = frozenset(
    [
        "return",
        "typeof",
        "instanceof",
        "in",
        "of",
        "new",
        "delete",
        "void",
        "throw",
        "case",
        "do",
        "else",
        "yield",
        "await",
        "default",
        "from",
        "import",
        "export",
        "as",
        "extends",
    ]
)
_CONDITION = frozenset(["if", "while", "for", "with"])
_BEFORE_A_BLOCK = frozenset(["else", "do", "try", "finally"])


def tokenise(text: str) -> Tokens:
    """The tokens of a source text, in time proportional to its length."""
    tokens: list[Token] = []
    # what each open bracket is: "(" or "if(" a condition, "{" or "block{", "[", "${" in a template
    open_: list[str] = []
    at, line, size = 0, 1, len(text)
    value_before = False  # whether the token before ends a value: then a slash divides
    # signs that begin nothing up to this place, so that none is tried again and again on one long line
    open_until = {"'": 0, '"': 0, "/": 0}
    while at < size:
        if text[at] in "'\"" and at < open_until[text[at]]:
            tokens.append(Token(Kind.SIGN, text[at], line))
            at, value_before = at + 1, False
            continue
        match = _NEXT.match(text, at)
        if match is None:  # cannot be: the last alternative takes any character that is not a space
            at += 1
            continue
        kind, piece = match.lastgroup, match.group()
        last = tokens[-1] if tokens else None
        if kind == "comment":
            if piece[1] == "/" and text.endswith(("http:", "https:"), 0, at) and _stands_in_text(tokens):
                at += 2  # an address in JSX text
                continue
            if piece[1] == "*" and (len(piece) < 4 or not piece.endswith("*/")):
                return Tokens(tokens, line)
            line += piece.count("\n")
        elif kind == "newline":
            line += 1
        elif kind == "word":
            value_before = piece not in _BEFORE_A_VALUE or (last is not None and last.text in (".", "?."))
            tokens.append(Token(Kind.WORD, piece, line))
        elif kind == "string":
            if piece[0] == "'" and _touches_a_word(text, at, last):
                at += 1  # an apostrophe in JSX text: don't
                continue
            tokens.append(Token(Kind.STRING, _unescape(piece[1:-1]), line))
            line += piece.count("\n")
            value_before = True
        elif kind == "sign":
            if piece == "`":
                at, line, value_before, end = _template(text, at + 1, line, tokens, open_)
                if end:
                    return Tokens(tokens, end)
                continue
            if piece == "/" and not value_before and text[at - 1 : at] != "<":
                regex = _REGEX.match(text, at) if at >= open_until["/"] else None
                if regex is not None:
                    at, value_before = regex.end(), True
                    continue
                open_until["/"] = max(open_until["/"], _end_of_line(text, at))
            if piece == "}" and open_ and open_[-1] == "${":
                open_.pop()
                at, line, value_before, end = _template(text, at + 1, line, tokens, open_)
                if end:
                    return Tokens(tokens, end)
                continue
            if piece in ("'", '"') and at >= open_until[piece]:
                open_until[piece] = _end_of_line(text, at)
            value_before = _sign(piece, last, open_)
            tokens.append(Token(Kind.SIGN, piece, line))
        at += len(piece)
    return Tokens(tokens)


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _template(
    text: str, at: int, line: int, tokens: list[Token], open_: list[str]
) -> tuple[int, int, bool, int]:
    """Skip a template's text from `at`: (where to go on, its line, whether a value ended, 0 or the line from
    which on there is no end).
    """
    match = _TEMPLATE.match(text, at)
    stop = match.end() if match is not None else at
    began = line
    line += text.count("\n", at, stop)
    if text[stop : stop + 1] not in ("`", "$"):  # the end, perhaps behind a backslash
        return stop, line, True, began
    whole = text[at - 1] == "`"
    if text[stop] == "`":
        if whole:
            tokens.append(Token(Kind.STRING, _unescape(text[at:stop]), began))
        else:
            tokens.append(Token(Kind.TEMPLATE, "`", line))
        return stop + 1, line, True, 0
    tokens.append(Token(Kind.TEMPLATE, "${", line))
    open_.append("${")
    return stop + 2, line, False, 0


def _sign(piece: str, last: Token | None, open_: list[str]) -> bool:
    """Note brackets; whether the sign ends a value."""
    if piece == "(":
        open_.append("if(" if last is not None and last.text in _CONDITION else "(")
    elif piece == "{":
        open_.append("block{" if _begins_a_block(last) else "{")
    elif piece == "[":
        open_.append("[")
    elif piece in (")", "]", "}"):
        opened = open_.pop() if open_ and open_[-1] != "${" else ""
        return opened not in ("if(", "block{")
    return piece in ("++", "--")


def _begins_a_block(last: Token | None) -> bool:
    if last is None:
        return True
    if last.kind is Kind.SIGN:
        return last.text in (")", ";", "{", "}", "=>")
    return last.kind is Kind.WORD and last.text in _BEFORE_A_BLOCK


def _touches_a_word(text: str, at: int, last: Token | None) -> bool:
    before = text[at - 1 : at]
    if not (before.isalnum() or before in ("_", "$")):
        return False
    return last is None or last.kind is not Kind.WORD or last.text not in _BEFORE_A_VALUE


def _stands_in_text(tokens: list[Token]) -> bool:
    """Whether ``https:`` just before is a word of JSX text, not a label or a key."""
    before = tokens[-3].text if len(tokens) > 2 else ""
    return before not in ("", "{", "}", ";", ",", "?")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code:
            number = int(code, 16)
            return chr(number) if number < 0x110000 else "\ufffd"
        return "" if match[4] else match[5]

    return _ESCAPE.sub(one, text)
