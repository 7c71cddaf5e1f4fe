"""Errors as an engineer should meet them: what happened, where, what it means, what to do next."""

from __future__ import annotations

from enum import StrEnum


class OpsError(Exception):
    """An expected failure. Its text is fit for a screen: sanitised, without secrets, no traceback needed.

    Attributes: `what` happened (one line), `where` (file, key, host, statement), what it `means`, and
    what to do `next`; all but the first may be empty.
    """

    def __init__(self, what: str, *, where: str = "", means: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.means = means
        self.next = next

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what

    def lines(self) -> list[str]:
        """The whole message, a thought a line."""
        return [str(self), *(text for text in (self.means, self.next) if text)]


class Fault(StrEnum):
    """How a link failed; the difference is what tells scenarios apart."""

    REFUSED = "refused"
    TIMEOUT = "timed out"
    DNS = "name not resolved"
    UNREACHABLE = "no route"
    TLS = "TLS"
    AUTH = "authentication"
    HOST_KEY = "host key"
    CLOSED = "connection lost"
    PROTOCOL = "protocol"
    MISSING = "not there"
    TOO_LARGE = "too large"
    CONFIG = "not configured"
    OTHER = "error"


class LinkError(OpsError):
    """A link could not be used. `fault` says how it failed.

    `unsure`: something was to be changed, and it is not known whether it was: look before doing it again.
    """

    unsure = False

    def __init__(self, fault: Fault, what: str, *, where: str = "", means: str = "", next: str = "") -> None:
        super().__init__(what, where=where, means=means, next=next)
        self.fault = fault


class FurtherError(LinkError):
    """A host was reached, and could not connect to the place that lies behind it: that place failed."""


class ConfigError(OpsError):
    """The configuration cannot be used; `mistakes` holds every one of them, a line each."""

    def __init__(self, what: str, *, where: str = "", mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(what, where=where)
        self.mistakes = mistakes

    def lines(self) -> list[str]:
        """The headline and then each mistake."""
        return [str(self), *self.mistakes]


class Refused(OpsError):
    """The console will not do this: read-only mode, no confirmation, a lock, no journal."""
