"""GitHub's answers as bytes: kept with their ETag, paged, decoded."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.addresses import shown_url
from muva_console.ops.text import sanitise_line

T = TypeVar("T")

KEPT_ANSWERS = 512
KEPT_BYTES = 16 * 1024 * 1024
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,<]*\brel="?next"?')


class Answer(Struct, frozen=True):
    """An answer that was had whole."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    url: str


class Kept(Struct, frozen=True):
    """An answer and what GitHub calls its state."""

    etag: str
    answer: Answer


class KeptAnswers:
    """The last answers by address, bounded in number and bytes; the least recently used go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def find(self, url: str) -> Kept | None:
        """What is kept of an address."""
        kept = self._kept.get(url)
        if kept is not None:
            self._kept.move_to_end(url)
        return kept

    def keep(self, url: str, answer: Answer) -> None:
        """Keep an answer that has an ETag and is not too large."""
        etag = answer.headers.get("etag", "")
        if not etag or len(answer.body) > KEPT_BYTES // 8:
            return
        before = self._kept.pop(url, None)
        self._bytes += len(answer.body) - (len(before.answer.body) if before else 0)
        self._kept[url] = Kept(etag, answer)
        while len(self._kept) > KEPT_ANSWERS or self._bytes > KEPT_BYTES:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.answer.body)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._bytes = 0


def next_page(answer: Answer, api: str) -> str | None:
    """The address of the page after an answer; None after the last one and for one on another host."""
    found = _NEXT.search(answer.headers.get("link", ""))
    if found is None:
        return None
    url = urljoin(answer.url, found[1])
    return url if origin(url) == origin(api) else None


def decode(answer: Answer, kind: type[T], where: str) -> T:
    """An answer as what GitHub describes it to be. Raises LinkError(PROTOCOL)."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.ValidationError as error:
        what = f"the answer is not what GitHub describes: {sanitise_line(str(error), cap=200)}"
    except (msgspec.DecodeError, RecursionError, ValueError):
        kind_told = sanitise_line(answer.headers.get("content-type", "nothing"), cap=80)
        what = f"the answer is not JSON ({kind_told}, {len(answer.body):,} bytes)"
    raise LinkError(
        Fault.PROTOCOL,
        what,
        where=where,
        means="something else than GitHub's API may answer there (a proxy, a login page)",
        next=f"Look at {shown_url(answer.url)}.",
    )


class _Detail(Struct):
    field: str = ""
    code: str = ""
    message: str = ""


class _Message(Struct):
    message: str = ""
    errors: list[_Detail | str] | str = ""


class Said(Struct, frozen=True):
    """What GitHub says of a refusal. Not sanitised."""

    message: str = ""
    fields: tuple[str, ...] = ()
    """The fields of the request that it names."""


def said(body: bytes) -> Said:
    """What a refusal's body says; nothing where it is no JSON of GitHub's."""
    try:
        told = msgspec.json.decode(body, type=_Message)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return Said(message=_message_alone(body))
    details = [told.errors] if isinstance(told.errors, str) else told.errors
    parts, fields = [told.message], []
    for one in details:
        if isinstance(one, str):
            parts.append(one)
            continue
        if one.field:
            fields.append(one.field)
        told_of = one.message or one.code.replace("_", " ")
        parts.append(f"{one.field}: {told_of}" if one.field and told_of else one.field or told_of)
    return Said("; ".join(part for part in parts if part), tuple(fields))


class _Alone(Struct):
    message: str = ""


def _message_alone(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Alone).message
    except (msgspec.DecodeError, RecursionError, ValueError):
        return ""


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a token may be sent to or not."""
    try:
        split = urlsplit(url)
        port = split.port or {"https": 443, "http": 80}.get(split.scheme)
    except ValueError:
        return ("", url, None)
    return (split.scheme, (split.hostname or "").lower(), port)


def host(url: str) -> str:
    """A URL's host and port as errors name it."""
    try:
        return sanitise_line(urlsplit(url).netloc.rpartition("@")[2], cap=255)
    except ValueError:
        return "?"
