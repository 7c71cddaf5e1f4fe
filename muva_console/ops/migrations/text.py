"""The text of a migration: what is wrong with it, what its statements do, and its shape.

PostgreSQL's own parser judges (postgast, which is libpg_query of PostgreSQL 18). Three things about it:

- Its fingerprint leaves out every literal, a function's body too: two functions that do different things
  have one fingerprint. So the *shape* here is the words of a text without comments, which is exact.
- Its tree comes over in a form whose making takes time with the square of the depth, and a deep one
  overflows a thread's stack, which ends the process. So syntax is judged without the tree, in a thread with
  a stack that a megabyte of the worst text does not fill, and the tree is asked for of statements that
  are not long.
- The tree of an expression some 30 operators deep cannot be read at all: such a statement is then known by
  its first words alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from muva_console.config.redact import redact
from muva_console.ops.migrations.model import Examined, Problem, Statement
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from postgast import PgQueryError

    from muva_console.ops.migrations.cache import ContentCache

T = TypeVar("T")

LARGEST = 1024 * 1024
"""Bytes of one text that the parser is given. Ours: beyond, nothing but its shape is known."""
TREE_TOKENS = 4000
"""Words of a statement whose tree is asked for. Ours: 0.1 s for the deepest one of that length."""
STACK = 256 * 1024 * 1024
"""Bytes of the parsing thread's stack; of memory it takes what it uses."""
KEPT = 30_000
"""Texts whose examination is remembered. Ours: 10,000 files and the histories of two databases."""

_META = re.compile(r"\\[a-zA-Z!?]\w*")
_LEAD = re.compile(rb"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|;)*", re.DOTALL)


class Memory:
    """Answers by a digest of what was asked about: content that was seen once is not parsed again.

    In memory, the newest `KEPT`; shapes have a memory on disk beside it (`cache.ContentCache`).
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._known: OrderedDict[bytes, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Any:
        """What is known; None when nothing is."""
        with self._lock:
            return self._known.get(digest)

    def put(self, digest: bytes, known: object) -> None:
        """Remember it."""
        with self._lock:
            self._known[digest] = known
            while len(self._known) > self._kept:
                self._known.popitem(last=False)


_examined, _shapes = Memory(), Memory()


def too_large(path: str, text: bytes) -> str:
    """Why a text is not run, and what to do with it."""
    return (
        f"{sanitise_line(path, cap=200)} has {len(text):,} bytes, too many to be parsed ({LARGEST:,} are the "
        "most): what is not looked into is not run; split it, or load the rows apart from the schema"
    )


async def examine_all(texts: Sequence[bytes]) -> list[Examined]:
    """Each text examined, in order; what is known already is not parsed again."""
    return await in_parser(lambda: [_remembered(_examined, text, examine) for text in texts])


async def shapes_of(texts: Sequence[bytes], *, cache: ContentCache | None = None) -> list[str]:
    """The shape of each text, in order; empty where it cannot be split into words. Takes a third of what
    examining takes; what `cache` or this process knows takes next to nothing.
    """
    if cache is not None:
        await asyncio.to_thread(cache.load)
    digests = [hashlib.sha256(text).digest() for text in texts]
    found = [_known_shape(digest, cache) for digest in digests]
    unknown = [place for place, shape in enumerate(found) if shape is None]
    if unknown:
        made = await in_parser(lambda: [_remembered(_shapes, texts[place], shape_of) for place in unknown])
        for place, shape in zip(unknown, made, strict=True):
            found[place] = shape
            if cache is not None:
                cache.put(digests[place], bytes.fromhex(shape))
    return [shape or "" for shape in found]


def _known_shape(digest: bytes, cache: ContentCache | None) -> str | None:
    known: str | None = _shapes.get(digest)
    if cache is None:
        return known
    kept = cache.get(digest)
    if known is None and kept is not None:
        known = kept.hex()
        _shapes.put(digest, known)
    elif known is not None and kept is None:
        cache.put(digest, bytes.fromhex(known))
    return known


async def in_parser(work: Callable[[], T]) -> T:
    """Run something that parses in a thread whose stack is large enough for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:  # raised again by whoever waits
            error = raised
        with suppress(RuntimeError):  # the loop may be gone with whoever waited
            loop.call_soon_threadsafe(tell, value, error)

    with _starting:
        before = threading.stack_size(STACK)
        try:
            threading.Thread(target=run, name="parser", daemon=True).start()
        finally:
            threading.stack_size(before)
    return await done


_starting = threading.Lock()


def _remembered(memory: Memory, text: bytes, look: Callable[[bytes], T]) -> T:
    digest = hashlib.sha256(text).digest()
    known: T | None = memory.get(digest)
    if known is None:
        known = look(text)
        memory.put(digest, known)
    return known


def shape_of(text: bytes) -> str:
    """The shape of a text (see `Examined.shape`)."""
    words = words_of(text)
    if words is None:
        return ""
    return hashlib.sha256(b"\0".join([*words, b""])).hexdigest()[:32]


def words_of(text: bytes) -> list[bytes] | None:
    """The words of a text as its shape has them, without comments and semicolons; None where it cannot be
    split into words.
    """
    import postgast

    if b"\0" in text:
        return None
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        tokens = postgast.scan(text.decode()).tokens
    except (UnicodeDecodeError, postgast.PgQueryError):
        return None
    words = []
    for token in tokens:
        kind = token.token
        if kind in _UNSAID:
            continue
        word = text[token.start : token.end]
        if token.keyword_kind or (kind == _IDENT and word[:1] != b'"'):
            word = word.lower()
        words.append(word)
    return words


# numbers of the scanner's words, from pg_query.proto of libpg_query 18
_IDENT, _SQL_COMMENT, _C_COMMENT, _SEMICOLON = 258, 275, 276, 59
_UNSAID = frozenset([_SQL_COMMENT, _C_COMMENT, _SEMICOLON])


def examine(text: bytes) -> Examined:
    """What a text says. To be called in `in_parser`."""
    import postgast

    problem = unreadable(text)
    if problem is not None:
        return Examined(shape="", problems=(problem,))
    problems = []
    if text.startswith(b"\xef\xbb\xbf"):
        problems.append(
            Problem("begins with a byte order mark (BOM), which PostgreSQL takes for a word", 1, 1)
        )
        text = text[3:]
    if b"\r\n" in text:
        problems.append(
            Problem(
                "lines end in CRLF; bodies of functions and texts keep the CR",
                1 + text[: text.index(b"\r\n")].count(b"\n"),
            )
        )
    shape = _remembered(_shapes, text, shape_of)
    if len(text) > LARGEST:
        problems.append(Problem(f"{len(text):,} bytes are too many to be parsed"))
        return Examined(shape=shape, problems=tuple(problems))
    words = text.decode()
    try:
        postgast.fingerprint(words)
    except postgast.PgQueryError as error:
        return Examined(shape=shape, problems=(*problems, syntax_problem(words, error)))
    statements = _statements(words)
    if not statements:
        problems.append(Problem("holds no statement" if text.strip() else "is empty"))
    stdin = re.search(r"\bfrom\s+stdin\b", words, re.IGNORECASE)
    problems += [
        Problem("COPY FROM STDIN, whose data only psql reads", one.line)
        for one in statements
        if stdin and one.kind.startswith("COPY")
    ]
    return Examined(shape=shape, problems=tuple(problems), statements=statements)


def unreadable(text: bytes) -> Problem | None:
    """Why a text is none that can be parsed: UTF-16, a NUL, no UTF-8."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Problem("is UTF-16; PostgreSQL's tools read UTF-8")
    at = text.find(b"\0")
    if at >= 0:
        return Problem("holds a NUL byte", *_place_of(text, at))
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return Problem(f"is no UTF-8: byte 0x{text[error.start]:02x}", *_place_of(text, error.start))
    return None


def _place_of(text: bytes, at: int) -> tuple[int, int]:
    return text.count(b"\n", 0, at) + 1, len(
        text[text.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", "replace")
    ) + 1


def syntax_problem(words: str, error: PgQueryError) -> Problem:
    """A syntax error with its place, harmless and without secrets; `words` are what was parsed."""
    at = max(0, int(error.cursorpos or 0) - 1)
    line, column = words.count("\n", 0, at) + 1, at - words.rfind("\n", 0, at)
    meta = _META.match(words, at)
    if meta is not None and not words[words.rfind("\n", 0, at) + 1 : at].strip():
        return Problem(f"{meta[0]} is a command of psql's, which nothing but psql understands", line, column)
    return Problem(sanitise_line(redact(sanitise_line(str(error))), cap=200), line, column)


def _statements(words: str) -> tuple[Statement, ...]:
    """Every statement of a text that parses."""
    from muva_console.ops.migrations.statements import by_lead, classify

    return tuple(
        by_lead(text, line) if node is None else classify(node, text, line)
        for line, text, node in parsed(words)
    )


def parsed(words: str) -> list[tuple[int, str, Any]]:
    """Every statement of a text that parses: the line where it begins, the first 400 bytes of it, and its
    tree (a protobuf ``Node``; None where that cannot be had). To be called in `in_parser`. Raises
    PgQueryError.
    """
    import postgast
    from google.protobuf.message import DecodeError

    data = words.encode()
    if len(data) < 64 * 1024 and len(postgast.scan(words).tokens) <= TREE_TOKENS:
        try:
            tree = postgast.parse(words)
        except DecodeError:
            pass
        else:
            found: list[tuple[int, str, Any]] = []
            for raw in tree.stmts:
                end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(data)
                found.append((*_begin(data, raw.stmt_location, end), raw.stmt))
            return found
    found, at = [], 0
    for part in postgast.split(words):
        piece = part.encode()
        at = data.index(piece, at)
        line, text = _begin(data, at, at + len(piece))
        at += len(piece)
        node = None
        if len(postgast.scan(part).tokens) <= TREE_TOKENS:
            try:
                node = postgast.parse(part).stmts[0].stmt
            except (DecodeError, IndexError):
                pass
        found.append((line, text, node))
    return found


def _begin(data: bytes, start: int, end: int) -> tuple[int, str]:
    """The line where a statement's first word stands, and its text from there."""
    blank = _LEAD.match(data, start, end)
    first = blank.end() if blank else start
    return data.count(b"\n", 0, first) + 1, data[first : min(end, first + 400)].decode("utf-8", "replace")
