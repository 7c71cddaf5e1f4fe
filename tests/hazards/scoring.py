"""Precision and recall over the labelled set, of our own hazards and of squawk alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muva_console.ops.migrations import squawk
from muva_console.ops.migrations.findings import FileReport
from muva_console.ops.migrations.hazards import validate_sets
from muva_console.ops.readings import Level

LABELLED = Path(__file__).parent / "labelled"

CLASSES: Mapping[str, Iterable[str]] = {
    "rewrite": (
        "volatile-default", "serial-column", "generated-column", "column-type", "table-rewrite",
        "vacuum-full", "cluster", "domain-column",
    ),
    "scan": (
        "not-null-scan", "constraint-scan", "foreign-key-scan", "unique-constraint", "primary-key-scan",
        "exclusion-constraint", "validate-together", "domain-constraint", "attach-partition",
    ),
    "blocks-writes": ("index-blocks-writes", "reindex"),
    "blocks-reads": ("refresh-view", "lock-table"),
    "waits": (
        "drop-index", "detach-partition", "partition-of", "trigger-lock", "brief-lock", "foreign-key-lock",
        "no-timeout",
    ),
    "held": ("held-lock",),
    "deadlock": ("exclusive-together",),
    "loss": (
        "drop-table", "drop-column", "drop-schema", "drop-database", "drop-cascade", "truncate", "delete-all",
        "drop-owned",
    ),
    "long": ("update-all", "backfill-at-once"),
    "breaks": (
        "drop-object", "rename-table", "rename-column", "rename-object", "rename-enum-value", "set-schema",
        "drop-not-null", "drop-default", "drop-key",
    ),
    "fails": ("required-column", "alone-with-others", "enum-value-used", "duplicate-assignment"),
    "half": ("own-transaction", "transaction-left-open"),
    "security": (
        "rls-off", "rls-without-policy", "table-without-rls", "grant-to-everyone", "open-policy",
        "definer-search-path", "plain-password",
    ),
    "integrity": ("triggers-off", "replica-role", "sequence-restart"),
    "slow-later": ("foreign-key-index",),
    "later": ("json-column", "identifier-too-long", "line-ends"),
    "unseen": ("code-unseen", "not-looked-into"),
}  # fmt: skip
"""Which rules tell of which class of harm."""
_CLASS = {rule: name for name, rules in CLASSES.items() for rule in rules}


@dataclass
class Score:
    """How well a set of answers fits the labels."""

    right: int = 0
    missed: list[str] = field(default_factory=list)
    """``case: class`` that was not told."""
    wrong: list[str] = field(default_factory=list)
    """``case: class`` that was told and is none."""

    @property
    def precision(self) -> float:
        """The share of what was told that is so."""
        return self.right / (self.right + len(self.wrong) or 1)

    @property
    def recall(self) -> float:
        """The share of what is so that was told."""
        return self.right / (self.right + len(self.missed) or 1)

    def take(self, case: str, expected: Iterable[str], told: Iterable[str]) -> None:
        """One case."""
        wanted, found = set(expected), set(told)
        self.right += len(wanted & found)
        self.missed += [f"{case}: {one}" for one in sorted(wanted - found)]
        self.wrong += [f"{case}: {one}" for one in sorted(found - wanted)]


def labels() -> dict[str, list[str]]:
    """The classes of each case."""
    return dict(tomllib.loads((LABELLED / "labels.toml").read_text())["cases"])


def texts(case: str) -> dict[str, bytes]:
    """The files of a case, in their order."""
    folder = LABELLED / case
    paths = sorted(folder.glob("*.sql")) if folder.is_dir() else [LABELLED / f"{case}.sql"]
    return {f"{case}/{path.name}": path.read_bytes() for path in paths}


async def reports() -> dict[str, list[FileReport]]:
    """What validation tells of each case, sizes unknown."""
    cases = list(labels())
    found = await validate_sets([texts(case) for case in cases])
    told: dict[str, list[FileReport]] = {case: [] for case in cases}
    for one in found:
        told[one.path.partition("/")[0]].append(one)
    return told


def classes_of(found: Iterable[FileReport]) -> set[str]:
    """The classes that reports tell of; what is no news at its size is not told."""
    told = {
        _CLASS.get(one.rule, one.rule)
        for report in found
        for one in report.hazards
        if one.level is not Level.OK
    }
    if any(report.problems for report in found):
        told.add("error")
    return told


async def score() -> Score:
    """Ours."""
    outcome = Score()
    told = await reports()
    for case, expected in labels().items():
        outcome.take(case, expected, classes_of(told[case]))
    return outcome


async def score_squawk() -> Score:
    """squawk alone, a file at a time as it looks at them, without the rules that are left out here too."""
    outcome = Score()
    cases = labels()
    flat = [(case, text) for case in cases for text in texts(case).values()]
    said = await squawk.ask([text for _, text in flat], all_said=True)
    told: dict[str, set[str]] = {case: set() for case in cases}
    for (case, _), each in zip(flat, said, strict=True):
        for one in each:
            if one.rule == "syntax-error":
                told[case].add("error")
            elif one.rule not in squawk.LEFT_OUT:
                rules = squawk.OURS.get(one.rule) or (squawk.TAKEN_OVER.get(one.rule, one.rule),)
                classes = {_CLASS.get(rule, rule) for rule in rules}
                # one that may be about several classes counts for the one that is so
                told[case] |= (classes & set(cases[case])) or {sorted(classes)[0]}
    for case, expected in cases.items():
        outcome.take(case, expected, told[case])
    return outcome
