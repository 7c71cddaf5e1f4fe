"""detect-secrets over lines, in a process of its own: ``python -P -m muva_console.ops.release.secret_scan``.

Reads a `Request` as JSON from standard input and writes an `Answer` to standard output. It has a process of
its own because detect-secrets takes most of a second to import, keeps its settings in globals, and runs
regular expressions over text that others wrote. No secret is in the answer: a hit has its place, its kind and
detect-secrets' hash of it (SHA-1, as in a baseline).

Where this differs from ``detect-secrets scan``:

- nothing is asked over the network (detect-secrets calls that verification): it has nothing to ask with;
- its guess that a line such as ``key = get("…")`` is a reference is applied to suspicious names alone: a
  service's key within a call is still that service's key;
- forms that version 1.5 does not know are looked for too (`_FORMS`);
- custom plugins and filters that a baseline names by file are not loaded: they are code of the repository.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

LONGEST_LINE = 20_000
"""Characters. A longer line is a build's product or data; it is counted, not looked at. Ours."""


class File(Struct):
    """Lines of one file that are looked at."""

    path: str
    lines: list[tuple[int, str, str]]
    """The number in the file, the line, and the line before it."""


class Request(Struct):
    """What is looked at, and how."""

    files: list[File]
    plugins: dict[str, dict[str, float | str]] = {}
    """Settings of plugins by class name, as the baseline has them: `limit` and `keyword_exclude`."""
    exclude_lines: list[str] = []
    """Regular expressions of a baseline: lines, files and secrets that are no findings."""
    exclude_files: list[str] = []
    exclude_secrets: list[str] = []


class Hit(Struct, frozen=True):
    """One thing that looks like a secret."""

    path: str
    line: int
    kind: str
    """detect-secrets' name of the kind."""
    hash: str
    """SHA-1 of the secret, hexadecimal, as in a baseline."""
    weak: str = ""
    """Why it is probably no secret; empty when it probably is one."""


class Answer(Struct):
    """What was found."""

    hits: list[Hit]
    allowed: list[tuple[str, int]]
    """Places that a comment ``pragma: allowlist secret`` allows and that hold a hit."""
    excluded: int = 0
    """Hits that the baseline's exclusions took out."""
    long: list[tuple[str, int]] = []
    """Lines that are too long to be looked at."""


MOST_HITS = 2000
"""Hits that are told of; a release with more has one problem, not thousands."""

# Kinds that are guessed from a value's name or its randomness; all others have a form of their own.
GUESSED = frozenset(["Secret Keyword", "Base64 High Entropy String", "Hex High Entropy String"])
_KEYWORD = "Secret Keyword"
ENTROPY = frozenset(["Base64 High Entropy String", "Hex High Entropy String"])

# Tokens by their form, described where the services describe their keys (see `config.redact`).
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Supabase Secret Key", re.compile(r"(?<![A-Za-z0-9])sb_secret_[A-Za-z0-9_-]{16,}")),
    ("Supabase Access Token", re.compile(r"(?<![A-Za-z0-9])sbp_[a-f0-9]{32,}")),
    ("Anthropic API Key", re.compile(r"(?<![A-Za-z0-9])sk-ant-[A-Za-z0-9_-]{24,}")),
    ("OpenAI Token", re.compile(r"(?<![A-Za-z0-9])sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{24,}")),
    ("GitHub Token", re.compile(r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{22,}")),
    ("Stripe Webhook Secret", re.compile(r"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{24,}")),
    ("Google API Key", re.compile(r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")),
    ("Meta Access Token", re.compile(r"(?<![A-Za-z0-9])EAA[A-Za-z0-9]{40,}")),
    ("Resend API Key", re.compile(r"(?<![A-Za-z0-9])re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}")),
)

_WORDLIKE = re.compile(
    r"(?i)x{3,}|\*{3,}|\.{3}|your|example|placeholder|change[-_ ]?me|dummy|fake|sample|redacted|<[^>]*>|todo"
)
_COMMON = frozenset(
    [
        "admin",
        "guest",
        "minioadmin",
        "pass",
        "passwd",
        "password",
        "postgres",
        "root",
        "secret",
        "test",
        "user",
    ]
)
_TELLING = re.compile(r"(?i)token|key|secret|passw|pwd|auth|credential|bearer|signature|private|salt")
_ENV_LINE = re.compile(
    r"[ \t]*(?:export[ \t]+|ENV[ \t]+|ARG[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=([^\s\"'#$][^\s\"']*)[ \t]*"
)


def weakness(kind: str, value: str, line: str) -> str:
    """Why a hit is probably no secret, or empty.

    Measured on three Next.js applications of 104,762 lines, before names for themselves were left out: a form
    of its own was right 1 time of 1; a suspicious name 0 of 17 (16 words, 1 reference); randomness 0 of 1.
    So words, references and mere randomness are weak, unless what looks random stands behind a telling name.
    """
    bare = value.strip()
    if kind == "Public IP (ipv4)":
        return "an address"
    if kind == "JSON Web Token":
        return "a key that every browser gets" if is_public_key(bare) else ""
    if kind not in GUESSED and kind != "Basic Auth Credentials":
        return ""
    if bare.lower() in _COMMON or _WORDLIKE.search(bare):
        return "a placeholder"
    if kind == "Basic Auth Credentials":
        return ""
    if re.search(r"\s", bare) or re.search(r"[$#]?\{[^}]*\}|\w\(", bare):
        return "a sentence or a reference"
    if kind in ENTROPY:
        return "" if _TELLING.search(line) else "only random-looking"
    plain = len(bare) < 6 or not (re.search(r"[A-Za-z]", bare) and re.search(r"\d|[^\w./:-]", bare))
    return "a word" if plain else ""


def is_public_key(value: str) -> bool:
    """Whether a JSON Web Token is one of Supabase's `anon` keys, which every browser gets."""
    try:
        body = value.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return False
    return isinstance(claims, dict) and claims.get("role") == "anon"


def _go_offline() -> None:
    """Give detect-secrets an empty `requests`, which it would verify secrets with."""
    empty: Any = types.ModuleType("requests")
    empty.Response = object
    sys.modules["requests"] = empty


class _Scanner:
    """detect-secrets' detectors and filters, as they are used here."""

    def __init__(self, request: Request) -> None:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.filters import allowlist, heuristic

        self._heuristic, self._allowlist = heuristic, allowlist
        self._plugins: list[Any] = []
        kinds: dict[str, Any] = get_mapping_from_secret_type_to_class()
        for plugin in kinds.values():
            settings = {
                key: value
                for key, value in request.plugins.get(plugin.__name__, {}).items()
                if key in ("limit", "keyword_exclude")
            }
            try:
                self._plugins.append(plugin(**settings))
            except (TypeError, ValueError, re.error):
                self._plugins.append(plugin())
        self._lines = [re.compile(pattern) for pattern in request.exclude_lines]
        self._files = [re.compile(pattern) for pattern in request.exclude_files]
        self._secrets = [re.compile(pattern) for pattern in request.exclude_secrets]
        self._filters: list[Callable[..., bool]] = [
            heuristic.is_sequential_string,
            heuristic.is_potential_uuid,
            heuristic.is_templated_secret,
            heuristic.is_prefixed_with_dollar_sign,
            heuristic.is_not_alphanumeric_string,
        ]

    def scan(self, files: list[File]) -> Answer:
        answer = Answer([], [], 0, [])
        for file in files:
            structured_only = any(
                is_so(file.path)
                for is_so in (
                    _is_lock_file,
                    self._heuristic.is_lock_file,
                    self._heuristic.is_non_text_file,
                    self._heuristic.is_swagger_file,
                )
            )
            excluded = any(pattern.search(file.path) for pattern in self._files)
            for number, line, before in file.lines:
                if len(line) > LONGEST_LINE:
                    answer.long.append((file.path, number))
                    continue
                for kind, value in self._line(file.path, number, line, structured_only):
                    if self._pragma(file.path, line, before):
                        answer.allowed.append((file.path, number))
                        break
                    if excluded or self._is_excluded(line, value):
                        answer.excluded += 1
                        continue
                    if len(answer.hits) < MOST_HITS:
                        answer.hits.append(_hit(file.path, number, kind, value, line))
        return answer

    def _line(self, path: str, number: int, line: str, structured_only: bool) -> Iterator[tuple[str, str]]:
        if len(line) < 6:
            return
        if _is_env_like(path) and (assigned := _ENV_LINE.fullmatch(line)):
            line = f'{assigned[1]}="{assigned[2]}"'  # the guesses want quotes, these files have none
        seen: set[str] = set()
        for plugin in self._plugins:
            guessed = plugin.secret_type in GUESSED
            if guessed and structured_only:
                continue
            for secret in plugin.analyze_line(filename=path, line=line, line_number=number):
                value = secret.secret_value or ""
                if guessed and self._heuristic.is_likely_id_string(value, line):
                    continue
                if plugin.secret_type == _KEYWORD and self._heuristic.is_indirect_reference(line):
                    continue
                if not value or any(no_secret(value) for no_secret in self._filters):
                    continue
                if guessed and line.lower().count(value.lower()) > 1:
                    continue  # OPENAI_API_KEY = "openai_api_key": a name for itself
                seen.add(value)
                yield plugin.secret_type, value
        for kind, pattern in _FORMS:
            for match in pattern.finditer(line):
                if match[0] not in seen:
                    yield kind, match[0]

    def _pragma(self, path: str, line: str, before: str) -> bool:
        from detect_secrets.util.code_snippet import CodeSnippet

        context = CodeSnippet([before, line], 0, 1)
        return bool(self._allowlist.is_line_allowlisted(path, line, context))

    def _is_excluded(self, line: str, value: str) -> bool:
        return any(pattern.search(line) for pattern in self._lines) or any(
            pattern.search(value) for pattern in self._secrets
        )


def _hit(path: str, number: int, kind: str, value: str, line: str) -> Hit:
    from detect_secrets.core.potential_secret import PotentialSecret

    return Hit(path, number, kind, PotentialSecret.hash_secret(value), weakness(kind, value, line))


def _is_env_like(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return name.startswith((".env", "Dockerfile")) or name.endswith((".env", ".sh", ".conf", ".npmrc"))


def _is_lock_file(path: str) -> bool:
    return path.rsplit("/", 1)[-1] in ("pnpm-lock.yaml", "npm-shrinkwrap.json", "bun.lock", "deno.lock")


def scan(request: Request) -> Answer:
    """What is found in the lines. Raises re.error for an exclusion that is no regular expression."""
    return _Scanner(request).scan(request.files)


def main() -> int:
    """Read the request, write the answer; 0 when there is one, 3 for a pattern that is none."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    _go_offline()
    try:
        answer = scan(request)
    except re.error:
        return 3
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
