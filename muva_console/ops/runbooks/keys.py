"""The keys that a runbook's file may have, with what each takes; the texts are told in docs/runbooks.md.

The values are converted by the same hands as muva.toml's (config/walk.py), so a mistake reads the same.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from muva_console.config.shape import Key, keys
from muva_console.config.types import Duration, Seconds, Table, Text
from muva_console.ops.runbooks.model import HERE, HOST, Basis

PRODUCTION = "@production"
"""In place of an environment's name: every environment that is marked as production."""
STAGING = "@staging"
"""Likewise: the environment that production's code comes from."""
ROLES = (PRODUCTION, STAGING)
SOURCE = "source"
"""What `of` calls the environment that the outgoing code comes from."""
WITH = "with"
"""The key of a step's parameters; a word of Python's, so no field is named so."""

Id = Annotated[
    str,
    Meta(
        pattern=r"^(?=.{1,60}$)[a-z0-9]+(-[a-z0-9]+)*$",
        extra={"expected": 'a name of lower-case letters, digits and hyphens, such as "smoke-test"'},
    ),
]
Where = Annotated[
    str,
    Meta(
        pattern=r"^@?[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        extra={"expected": 'an environment\'s name, "@production" or "@staging"'},
    ),
]


class StepKeys(Table, frozen=True, kw_only=True):
    """One item: `[[step]]`."""

    id: Id
    """Its name, unique within the runbook. It is kept when the wording changes."""
    title: Text
    """What it is called on the screen."""
    why: str = ""
    """Why it matters, in the words of a colleague."""
    section: str = ""
    """The heading it stands under."""
    who: str = ""
    """Whose item it is by role, such as "Tech Lead"; empty for whoever walks."""
    environments: tuple[Where, ...] = ()
    """The environments it applies to; all that the runbook is for when not given."""
    check: Text | None = None
    """The name of a check that senses it."""
    of: Where | None = None
    """The environment that the check looks at: the run's own when not given, "source" for the one that the
    outgoing code comes from, or a name."""
    run: Text | None = None
    """A shell command of yours that senses it."""
    on: Annotated[str, Meta(extra={"choices": (HERE, HOST)})] = HERE
    """Where `run` runs: "here", in a clean worktree of the commit that is going out, or "host", on every host
    of the environment, in its directory."""
    exit: Annotated[int, Meta(ge=0, le=255)] = 0
    """The exit status of `run` that means ok."""
    output: Text | None = None
    """A regular expression that must be found in what `run` prints."""
    operation: Text | None = None
    """The name of an operation: an act, shown and confirmed before it is done. Beside `check`: the check
    tells whether it has happened, the operation makes it so."""
    attest: Text | None = None
    """The question that a person answers. Beside `check`, `run` or `operation` it is asked where the machine
    cannot tell."""
    text: Text | None = None
    """To be read; nothing is asked."""
    command: str = ""
    """What a person would type, shown until a finding brings its own."""
    expires: Duration | None = None
    """How long a finding or an answer is believed."""
    depends: tuple[Annotated[str, Meta(extra={"choices": tuple(Basis)})], ...] = ()
    """What its truth hangs on: "outgoing" (the commit that is going out), "target" (the commit that the
    environment's branch stands at), "serving" (the commit that the environment serves)."""
    timeout: Annotated[Seconds, Meta(gt=0, le=7200)] | None = None
    """After how long sensing is given up; at most 2h."""
    again: Annotated[Seconds, Meta(ge=1, le=3600)] | None = None
    """How often an open walk senses it again by itself while it is not well; from 1s to 1h."""


class AddKeys(StepKeys, frozen=True, kw_only=True):
    """A step that is added: `[[add]]`; at the end when it says neither `after` nor `before`."""

    after: Id | None = None
    """The step that it follows."""
    before: Id | None = None
    """The step that it precedes."""


class FileKeys(Table, frozen=True, kw_only=True):
    """A file."""

    id: Id
    """The runbook: a new name makes one, a known one changes it."""
    title: Text | None = None
    """What it is called; a new one must say so."""
    about: str | None = None
    """What it is for and when it is walked."""
    section: str | None = None
    """The playbook's section it comes from."""
    environments: tuple[Where, ...] | None = None
    """The environments it is for; every one when not given."""
    ordered: bool | None = None
    """Whether its acts come one after the other: none is offered before what is sensed above is well."""
    remove: tuple[Id, ...] = ()
    """Steps that are taken out."""


STEP = keys(StepKeys)
ADD = keys(AddKeys)
FILE = keys(FileKeys)

LISTS: dict[str, dict[str, Key]] = {"step": STEP, "add": ADD, "replace": STEP}
"""The lists of steps that a file may hold: its own, those it adds, those it puts in the place of others."""
KINDS = ("check", "run", "operation", "attest", "text")
"""What a step is: one of these; `attest` may stand beside the first three, `operation` beside `check`."""
TOGETHER = (("check", "operation"),)
"""Of the kinds other than `attest`, those that may stand together."""
GOES_WITH: dict[str, tuple[str, ...]] = {
    "of": ("check",),
    WITH: ("check", "operation"),
    "on": ("run",),
    "exit": ("run",),
    "output": ("run",),
    "timeout": ("check", "run"),
    "again": ("check", "run"),
    "expires": ("check", "run", "operation", "attest"),
    "depends": ("check", "run", "operation", "attest"),
}
"""Keys that mean something beside these alone."""
WRITTEN_IN_LINES = ("text", "command", "run")
"""Texts that keep their lines; in all others a line break is a space."""
