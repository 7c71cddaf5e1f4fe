"""A run: one walk through a runbook, as the journal tells it.

A run is nothing but its entries, folded in their order: whoever reads the same journal sees the same run,
and what a killed console had written is what there is. Nothing here looks at a clock or a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct, field, structs

from muva_console.ops.journal.model import Entry
from muva_console.ops.readings import Finding, Level, worst
from muva_console.ops.runbooks.model import Runbook, Step

EVIDENCE_KEPT = 60
"""Lines of evidence that an entry keeps of one finding; what was longer is in the kept output."""


class RunKind:
    """Kinds of entries; `Entry.act` is the run's id in all of them."""

    BEGUN = "run-begun"
    SENSED = "run-sensed"
    ANSWERED = "run-answered"
    ENDED = "run-ended"


KINDS = (RunKind.BEGUN, RunKind.SENSED, RunKind.ANSWERED, RunKind.ENDED)


class Word(StrEnum):
    """What a person said of an item."""

    YES = "yes"
    NO = "no"
    OVERRIDDEN = "overridden"
    """Red, or not known, and to be passed over all the same: with a reason."""
    NOT_APPLICABLE = "not-applicable"
    """With a reason."""
    HANDED = "handed"
    """To somebody, by name: it is still to be answered."""
    WITHDRAWN = "withdrawn"
    """What was said before is no longer said."""


NEEDS_REASON = frozenset({Word.OVERRIDDEN, Word.NOT_APPLICABLE, Word.NO})


class Answer(Struct, frozen=True, kw_only=True):
    """What somebody said of an item, and when."""

    word: Word
    by: str
    """`Entry.engineer`."""
    at: datetime
    note: str = ""
    """What they added: the note, the reason."""
    to: str = ""
    """Whom the item was handed to."""
    basis: dict[str, str] = field(default_factory=dict)
    """What the item hung on when it was said (see model.Basis)."""
    entry: int = 0
    over_red: bool = False
    """Whether a machine had found the item red when it was said: what overrides an unknown does not cover a
    red that is found later."""


class Sensed(Struct, frozen=True, kw_only=True):
    """What a machine found of an item, and when."""

    findings: tuple[Finding, ...]
    by: str
    """On whose behalf."""
    at: datetime
    basis: dict[str, str] = field(default_factory=dict)
    entry: int = 0


class Item(Struct, frozen=True, kw_only=True):
    """One step of a run and the last that was found and said of it."""

    step: Step
    sensed: Sensed | None = None
    answer: Answer | None = None
    """None when nothing was said, or what was said is withdrawn."""
    said: int = 0
    """The entry of the last word, withdrawn or not: what an answer must have seen to be taken."""


class Run(Struct, frozen=True, kw_only=True):
    """One walk through a runbook."""

    id: str
    runbook: Runbook
    """As it was when the run began: a changed file does not change a walk under way."""
    environment: str
    begun_by: str
    begun_at: datetime
    items: tuple[Item, ...]
    about: dict[str, str] = field(default_factory=dict)
    """What it was begun for: ``source``, ``target``, ``outgoing`` …"""
    ended_at: datetime | None = None
    ended_by: str = ""
    outcome: str = ""
    """The verdict that it was ended with."""
    last: int = 0
    """The last entry that was folded."""

    def item(self, id: str) -> Item | None:
        """The item of that name."""
        return next((item for item in self.items if item.step.id == id), None)

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who began it or said something, in that order."""
        names = [self.begun_by, *(item.answer.by for item in self.items if item.answer is not None)]
        return tuple(dict.fromkeys(names))


def begun_data(runbook: Runbook, environment: str, about: Mapping[str, str]) -> dict[str, Any]:
    """What the entry that begins a run holds: all that is needed to go on with it."""
    steps = runbook.for_environment(environment)
    kept = structs.replace(runbook, steps=steps)
    return {"runbook": msgspec.to_builtins(kept), "about": dict(about)}


def sensed_data(step: str, findings: Iterable[Finding], basis: Mapping[str, str]) -> dict[str, Any]:
    """What the entry of a sensed item holds."""
    return {
        "item": step,
        "findings": [msgspec.to_builtins(shortened(finding)) for finding in findings],
        "basis": dict(basis),
    }


def answered_data(
    step: str, word: Word, *, note: str = "", to: str = "", basis: Mapping[str, str]
) -> dict[str, Any]:
    """What the entry of an answer holds."""
    return {"item": step, "word": word.value, "note": note, "to": to, "basis": dict(basis)}


def shortened(finding: Finding) -> Finding:
    """The finding with as much evidence as an entry keeps."""
    if len(finding.evidence) <= EVIDENCE_KEPT:
        return finding
    left_out = len(finding.evidence) - EVIDENCE_KEPT
    kept = (*finding.evidence[:EVIDENCE_KEPT], f"… {left_out:,} more lines")
    return structs.replace(finding, evidence=kept)


def subject(runbook: str, step: str = "") -> str:
    """`Entry.subject` of a run's entries."""
    return f"{runbook}: {step}" if step else runbook


def fold(entries: Iterable[Entry], run: Run | None = None) -> Run | None:
    """The run after these entries, which come in their order; None while its begin is not among them.

    Entries of other runs, and entries that cannot be read (a newer console's), are passed over.
    """
    for entry in entries:
        if run is None:
            run = _begin(entry)
        elif entry.act == run.id and entry.id > run.last:
            run = _step(run, entry)
    return run


def fold_all(entries: Iterable[Entry]) -> tuple[Run, ...]:
    """All runs in entries of several, in the order in which they were begun."""
    runs: dict[str, Run] = {}
    for entry in entries:
        known = runs.get(entry.act)
        after = fold([entry], known)
        if after is not None:
            runs[entry.act] = after
    return tuple(runs.values())


def _begin(entry: Entry) -> Run | None:
    if entry.kind != RunKind.BEGUN:
        return None
    try:
        runbook = msgspec.convert(entry.data["runbook"], Runbook)
        about = msgspec.convert(entry.data.get("about", {}), dict[str, str])
    except (KeyError, msgspec.ValidationError):
        return None
    return Run(
        id=entry.act,
        runbook=runbook,
        environment=entry.environment,
        begun_by=entry.engineer,
        begun_at=entry.at,
        items=tuple(Item(step=step) for step in runbook.steps),
        about=about,
        last=entry.id,
    )


def _step(run: Run, entry: Entry) -> Run:
    try:
        match entry.kind:
            case RunKind.SENSED:
                run = _sensed(run, entry)
            case RunKind.ANSWERED:
                run = _answered(run, entry)
            case RunKind.ENDED:
                run = structs.replace(
                    run,
                    ended_at=entry.at,
                    ended_by=entry.engineer,
                    outcome=str(entry.data.get("verdict", "")),
                )
    except (KeyError, ValueError, msgspec.ValidationError):
        pass  # written by another version of this program: what it says is not known here
    return structs.replace(run, last=entry.id)


def _sensed(run: Run, entry: Entry) -> Run:
    findings = msgspec.convert(entry.data["findings"], tuple[Finding, ...], strict=False)
    basis = msgspec.convert(entry.data.get("basis", {}), dict[str, str])
    sensed = Sensed(findings=findings, by=entry.engineer, at=entry.at, basis=basis, entry=entry.id)
    return _with(run, entry.data["item"], lambda item: structs.replace(item, sensed=sensed))


def _answered(run: Run, entry: Entry) -> Run:
    answer = Answer(
        word=Word(entry.data["word"]),
        by=entry.engineer,
        at=entry.at,
        note=str(entry.data.get("note", "")),
        to=str(entry.data.get("to", "")),
        basis=msgspec.convert(entry.data.get("basis", {}), dict[str, str]),
        entry=entry.id,
    )
    item = run.item(str(entry.data["item"]))
    if item is not None and item.sensed is not None:
        red = worst(finding.level for finding in item.sensed.findings) is Level.FAIL
        answer = structs.replace(answer, over_red=red)
    kept = None if answer.word is Word.WITHDRAWN else answer
    return _with(run, entry.data["item"], lambda item: structs.replace(item, answer=kept, said=entry.id))


def _with(run: Run, id: Any, change: Any) -> Run:
    items = tuple(change(item) if item.step.id == id else item for item in run.items)
    return structs.replace(run, items=items)
