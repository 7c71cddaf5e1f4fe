"""What the values of muva.toml are made of: durations, addresses, names, and references to secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NewType

from msgspec import Meta, Struct

Seconds = NewType("Seconds", float)
"""A duration. In the file: a text such as "30s", "250ms", "5m", "2h" or "7d"."""

Bytes = NewType("Bytes", int)
"""A size. In the file: a text such as "512M" or "1G" (powers of 1024)."""

Url = NewType("Url", str)
"""An absolute http or https address, without user name or password."""

THEMES = ("muva-dark", "muva-light", "muva-16", "muva-mono")
GLYPHS = ("auto", "unicode", "ascii")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

BaseUrl = Annotated[Url, Meta(extra={"base": True})]
"""An address that paths are appended to: loaded without the slash at its end."""

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
HttpStatus = Annotated[int, Meta(ge=100, le=599)]
Retries = Annotated[int, Meta(ge=0, le=100)]
Duration = Annotated[Seconds, Meta(gt=0)]
Wait = Annotated[Seconds, Meta(gt=0, le=600)]
"""How long something is awaited: a slip of the unit must not freeze the console for an hour."""

Text = Annotated[str, Meta(pattern=r"\S", extra={"expected": "a text that is not empty"})]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        extra={"expected": "a name of letters, digits, '.', '_' and '-', beginning with a letter or digit"},
    ),
]
ProcessName = Annotated[
    str,
    Meta(
        pattern=r"^[^\s\-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
        extra={"expected": "the name of a PM2 process, which does not begin with '-'"},
    ),
]
HostAddress = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_:\[][A-Za-z0-9._:%\[\]-]*$",
        extra={
            "expected": "a host name, an address or an alias of ssh_config, without user name, port or scheme"
        },
    ),
]
Branch = Annotated[
    str,
    Meta(
        pattern=r"^(?![-/.])(?!.*(//|\.\.|@\{))[^\s~^:?*\[\\\x00-\x1f\x7f]+(?<![/.])$",
        extra={"expected": "the name of a git branch"},
    ),
]
RemoteDirectory = Annotated[
    str,
    Meta(
        pattern=r"^(/|~/|~$)[^\x00-\x1f\x7f]*$",
        extra={"expected": 'an absolute path on the host, such as "/var/www/muva-chat"'},
    ),
]
UrlPath = Annotated[
    str,
    Meta(
        pattern=r"^/[^\s\x00-\x1f\x7f]*$",
        extra={"expected": "a path that begins with '/', such as \"/api/health\""},
    ),
]
EnvFile = Annotated[
    str,
    Meta(
        pattern=r"^[^/~\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
        extra={"expected": 'a file name relative to `directory`, such as ".env.production"'},
    ),
]
TreePath = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.\.?(/|$))(?!.*/\.\.?(/|$))[^/\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*(?<!/)$",
        extra={"expected": 'a path within the repository, such as ".env.template"'},
    ),
]
ClockSpan = Annotated[
    str,
    Meta(
        pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
        extra={"expected": 'hours as "22:00-06:00"'},
    ),
]
DateSpan = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\d(/\d{4}-\d\d-\d\d)?$",
        extra={"expected": 'a date "2026-12-24" or dates "2026-12-20/2027-01-02", both included'},
    ),
]
Moment = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$",
        extra={"expected": 'a time with its zone, such as "2026-11-25T08:00Z" or "2026-11-25T08:00+01:00"'},
    ),
]
TableName = Annotated[
    str,
    Meta(
        pattern=r"^[^\s.\"'\x00-\x1f\x7f]+(\.[^\s.\"'\x00-\x1f\x7f]+)?$",
        extra={"expected": "a table as `table` or `schema.table`"},
    ),
]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of muva.toml."""


class Secret(Table, frozen=True, kw_only=True):
    """A reference to a secret, never the secret: exactly one of the three keys is given."""

    env: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
                extra={"expected": "the name of an environment variable", "secret": True},
            ),
        ]
        | None
    ) = None
    """The name of an environment variable of the console's own process."""
    command: Annotated[Text, Meta(extra={"secret": True})] | None = None
    """A command whose first line of standard output is the secret (a password manager, say). The
    user's shell runs it, in the folder of this file, without a terminal."""
    file: Annotated[Path, Meta(extra={"secret": True})] | None = None
    """A file whose first line is the secret; readable by its owner alone."""
