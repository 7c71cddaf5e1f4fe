"""The words of a runbook: one procedure of the playbook as data, an item after the other."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class StepKind(StrEnum):
    """What a step is; follows from which of its keys is given."""

    CHECK = "check"
    """Sensed by a named check. With an operation beside it, that makes it so (see `Step.led`)."""
    COMMAND = "command"
    """Sensed by a team's own command: its exit status, or what it prints."""
    OPERATION = "operation"
    """An act, planned and confirmed."""
    ATTEST = "attest"
    """Only a person can know: one pointed question."""
    TEXT = "text"
    """To be read; nothing is asked."""


class Basis(StrEnum):
    """What the truth of an item hangs on: when it changes, the item is unknown again."""

    OUTGOING = "outgoing"
    """The commit that is going out."""
    TARGET = "target"
    """The commit that the environment's branch stands at."""
    SERVING = "serving"
    """The commit that the environment says it serves."""


HERE = "here"
"""Where a command runs: this machine, in a clean worktree of the commit that is going out."""
HOST = "host"
"""Where a command runs: every host of the environment, in its directory."""


class Step(Struct, frozen=True, kw_only=True):
    """One item."""

    id: str
    """Unique within the runbook; lower case with hyphens. Kept when the wording changes."""
    title: str
    why: str = ""
    """Why it matters."""
    section: str = ""
    """The heading it stands under."""
    who: str = ""
    """Whose item it is by role, e.g. "Tech Lead"; empty for whoever walks."""
    environments: tuple[str, ...] = ()
    """Only in these; empty for all that the runbook is for."""

    check: str = ""
    """The name of a check."""
    of: str = ""
    """The environment that the check looks at: empty for the run's own, ``source`` for the one that the
    outgoing code comes from, else an environment's name."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What the check or the operation is given (``with`` in the file)."""
    run: str = ""
    """A shell command of the team's."""
    on: str = HERE
    """Where it runs: `HERE` or `HOST`."""
    exit: int = 0
    """The exit status that means ok."""
    output: str = ""
    """A regular expression that must be found in what it prints; empty for none."""
    operation: str = ""
    """The name of an operation. Beside `check`: what makes it so, where the check says that it is not yet."""
    attest: str = ""
    """The question a person answers. Beside `check`: asked where the check cannot tell."""
    text: str = ""

    command: str = ""
    """What the playbook's reader would have typed, shown until a finding brings its own."""
    expires: float | None = None
    """Seconds after which a finding or an answer is no longer believed; None for the check's own measure
    (findings) or the run's end (answers)."""
    depends: tuple[Basis, ...] = ()
    timeout: float | None = None
    """Seconds after which sensing is given up; None for the usual."""
    again: float | None = None
    """Seconds after which an open walk senses it again by itself while it is not well: for what changes by
    itself, such as a workflow's run. None for never."""

    @property
    def kind(self) -> StepKind:
        """What it is."""
        if self.check:
            return StepKind.CHECK
        if self.run:
            return StepKind.COMMAND
        if self.operation:
            return StepKind.OPERATION
        return StepKind.ATTEST if self.attest else StepKind.TEXT

    @property
    def sensed(self) -> bool:
        """Whether a machine answers it."""
        return self.kind in (StepKind.CHECK, StepKind.COMMAND)

    @property
    def led(self) -> bool:
        """Whether its check knows if its operation is still to be done."""
        return bool(self.check and self.operation)


class Runbook(Struct, frozen=True, kw_only=True):
    """One procedure."""

    id: str
    """Stable, e.g. ``pre-deploy-production``."""
    title: str
    about: str = ""
    section: str = ""
    """The playbook's section it comes from."""
    environments: tuple[str, ...] = ()
    """The environments it is for; empty for every one."""
    ordered: bool = False
    """Whether its acts come one after the other: none is offered before what is sensed above is well."""
    steps: tuple[Step, ...]
    source: str = "playbook"
    """``playbook``, or the team's file that made or changed it."""

    def for_environment(self, environment: str) -> tuple[Step, ...]:
        """The steps that apply there, in order."""
        return tuple(step for step in self.steps if not step.environments or environment in step.environments)

    def step(self, id: str) -> Step | None:
        """The step of that name."""
        return next((step for step in self.steps if step.id == id), None)
