"""Secrets are taken out of everything that is shown, logged, journalled or copied.

Two nets: the values of the secrets that this process has resolved, wherever they stand, and the forms
in which secrets usually appear. The second is a net, not a proof: what reaches a screen is chosen by
allow-list first (pm2.md: never copy a process's environment).

The forms and where they are described: GitHub tokens (docs.github.com, "About authentication to
GitHub", token formats), Slack tokens and webhooks (api.slack.com/authentication/token-types), Stripe
keys (docs.stripe.com/keys), Supabase keys (a JWT, or `sb_secret_…`), AWS key ids (`AKIA`/`ASIA`),
HTTP credentials (RFC 7235, 7617, 6750), JWT (RFC 7519), userinfo in a URI (RFC 3986, 3.2.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus, unquote, urlsplit

REDACTED = "‹redacted›"
SHORTEST = 4
"""Characters. A known value shorter than this is left alone: it would blot out ordinary words."""
SHORT = 8
"""Characters. A known value shorter than this is replaced only where it stands as a word."""
NO_SECRETS = frozenset(
    ["postgres", "password", "passwd", "supabase", "admin", "root", "secret", "changeme", "test", "example"]
)
"""What passes for a password on a developer's machine: everybody knows it, and every screen is full of it."""

# Each pattern begins where a token can begin (a look-behind), or its repeats are possessive, so that a
# hostile line costs time in proportion to its length.
_VALUE = (
    r"""(\\["'][^"'\\]*+(?:\\["'])?"""  # quoted within a quoted text
    r"""|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?"""
    r"""|[^\s"'&,;]++)"""
)
_NOT_A_VALUE = (
    r"""(?!\\?["']?(?:null|undefined|none|nil|true|false)(?![\w-])"""
    r"""|\\?["']?‹redacted›(?:[\s"'&,;\\@/]|\Z)|["']{2}|\\["']\\["'])"""
)

_Replace = str | Callable[[re.Match[str]], str]


def _family(
    triggers: str, pattern: str, replace: _Replace, flags: int = 0
) -> tuple[tuple[str, ...], re.Pattern[str], _Replace]:
    return tuple(triggers.split()), re.compile(pattern, flags | re.ASCII), replace


def _quoted(match: re.Match[str]) -> str:
    """What led to the value stays, and its quotes."""
    lead, value = match[1], match[2]
    bare = value.lstrip("\\")
    mark = value[: len(value) - len(bare) + 1] if bare[:1] in ("'", '"') else ""
    return f"{lead}{mark}{REDACTED}{mark}"


# (what must be in the lower-cased text, the pattern, what it becomes)
_FAMILIES: tuple[tuple[tuple[str, ...], re.Pattern[str], _Replace], ...] = (
    _family(
        "key-----",
        r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        rf"\1{REDACTED}\2",
        re.DOTALL,
    ),
    # USER:PASSWORD@ and TOKEN@ before a host; the user's name stays.
    _family("://", r"(?<=://)([^\s/?#\"'<>:@]*+):(?!‹redacted›@)[^\s/?#\"'<>]*(?=@)", rf"\1:{REDACTED}"),
    _family("://", r"(?<=://)(?!‹redacted›)[^\s/?#\"'<>:@]{20,}+(?=@)", REDACTED),
    _family(
        "authorization",
        r"(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:(?:bearer|basic|token|digest)\s{1,4})?)"
        r"(?!‹redacted›|bearer\s|basic\s|token\s|digest\s)[^\s\"',;<>]++",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    _family(
        "bearer", r"\b(bearer\s{1,4})(?!‹redacted›)[A-Za-z0-9._~+/=-]{8,}+", rf"\1{REDACTED}", re.IGNORECASE
    ),
    _family("eyj", r"(?<![\w-])eyJ[\w-]{6,}+\.[\w-]{4,}+(?:\.[\w-]*+)?", REDACTED),
    _family("ghp_ gho_ ghu_ ghs_ ghr_", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{16,}+", REDACTED),
    _family("github_pat_", r"github_pat_[A-Za-z0-9_]{16,}+", REDACTED),
    _family("_live_ _test_", r"(?<![A-Za-z0-9])[srp]k_(?:live|test)_[A-Za-z0-9]{8,}+", REDACTED),
    _family(
        "whsec_ sb_secret_ sbp_", r"(?<![A-Za-z0-9])(?:whsec|sb_secret|sbp)_[A-Za-z0-9_-]{8,}+", REDACTED
    ),
    _family("sk-", r"(?<![A-Za-z0-9-])sk-[A-Za-z0-9_-]{20,}+", REDACTED),
    _family("xox xapp-", r"(?<![A-Za-z0-9])(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}+", REDACTED),
    _family(
        "hooks.slack.com /api/webhooks/",
        r"(hooks\.slack\.com/[a-z]{1,20}/|/api/webhooks/)[A-Za-z0-9/_+=-]{8,}+",
        rf"\1{REDACTED}",
        re.IGNORECASE,
    ),
    _family("akia asia", r"(?<![A-Za-z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Za-z0-9])", REDACTED),
    # KEY=value, "key": "value", ?key=value, --key value
    _family(
        "password passwd secret apikey api_key api-key _token -token private_key private-key service_role",
        r"((?:password|passwd|secret|api[_-]?key|[_-]token|private[_-]key|service[_-]role(?:[_-]key)?)"
        rf"(?:\\?[\"'])?(?:\s{{0,4}}[:=]\s{{0,4}}|(?<=--password)\s{{1,4}}(?![=:]))){_NOT_A_VALUE}{_VALUE}",
        _quoted,
        re.IGNORECASE,
    ),
    # a bare "token:" is also what a parser complains about, so its value must look like one
    _family(
        "token",
        rf"(token(?:\\?[\"'])?\s{{0,4}}[:=]\s{{0,4}}){_NOT_A_VALUE}(?=\\?[\"']?[\w.~+/=-]{{12}})({_VALUE})",
        _quoted,
        re.IGNORECASE,
    ),
)


def _suspicious(lowered: str) -> bool:
    """Whether any trigger of a family may be there; written out because every line of every log passes
    here, and a loop takes four times as long.
    """
    return (
        "://" in lowered
        or "eyj" in lowered
        or "pass" in lowered
        or "token" in lowered
        or "secret" in lowered
        or "auth" in lowered
        or "bearer" in lowered
        or "key" in lowered
        or "hooks" in lowered
        or "sk-" in lowered
        or "xox" in lowered
        or "xapp-" in lowered
        or "akia" in lowered
        or "asia" in lowered
        or (
            "_" in lowered
            and (
                "gh" in lowered
                or "_live_" in lowered
                or "_pat_" in lowered
                or "_test_" in lowered
                or "role" in lowered
            )
        )
        or "whsec_" in lowered
        or "sbp_" in lowered
    )


_NAMED = 2
"""The last families go by a name before the value."""


class Redactor:
    """Replaces secrets by ``‹redacted›``. Safe to use from several threads."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: frozenset[str] = frozenset()
        self._needles: tuple[str, ...] = ()
        for value in values:
            self.add(value)

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} values)"

    def add(self, value: str) -> None:
        """Know one more secret: its value, the password within it when it is a URL, and both as they
        look quoted for a URL or for JSON. Values shorter than 4 characters are left alone.
        """
        found = {value, *_password_of(value)}
        forms = {
            form
            for each in found
            for form in (each, quote(each, safe=""), quote_plus(each), json.dumps(each)[1:-1])
        }
        self._values |= {
            form
            for form in forms
            if len(form) >= SHORTEST and form not in REDACTED and form.lower() not in NO_SECRETS
        }
        # the longest first, so that a secret which holds another is replaced whole
        self._needles = tuple(sorted(self._values, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """The text without secrets; the very same object when there were none. Applying it twice
        changes nothing more.
        """
        for needle in self._needles:
            if needle in text:
                if len(needle) >= SHORT:
                    text = text.replace(needle, REDACTED)
                else:
                    text = re.sub(rf"(?<!\w){re.escape(needle)}(?!\w)", REDACTED, text)
        lowered = text.lower()
        if not _suspicious(lowered):
            return text
        for triggers, pattern, replace in _FAMILIES:
            for trigger in triggers:
                if trigger in lowered:
                    text = pattern.sub(replace, text)
                    break
        return text

    def innocent(self, text: str) -> bool:
        """Whether nothing in the text, however long, can be a secret: quick, and False in doubt. For many
        lines at once; each of them is then innocent too.
        """
        return not _suspicious(text.lower()) and not any(needle in text for needle in self._needles)

    def holds_secret(self, text: str) -> bool:
        """Whether anything in the text would be replaced."""
        return self.redact(text) != text


def holds_token(text: str) -> bool:
    """Whether something is in the text that is a secret by its own form, such as a JWT or a GitHub token;
    a ``password=`` alone is not, which a command line may well search for.
    """
    return any(
        any(trigger in text.lower() for trigger in triggers) and pattern.search(text)
        for triggers, pattern, _ in _FAMILIES[:-_NAMED]
    )


def _password_of(value: str) -> set[str]:
    """The password in a URL, as it is written and as it is meant."""
    if "://" not in value:
        return set()
    try:
        password = urlsplit(value).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


redactor = Redactor()
"""The process's own: `secrets.resolve` tells it every value."""


def redact(text: str) -> str:
    """The text without the secrets that this process knows, and without what looks like one."""
    return redactor.redact(text)
