"""One runbook's file: read into drafts of steps, with every mistake in it named by its place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from muva_console.config.files import NotTomlError, parse_toml
from muva_console.config.places import line_of, places
from muva_console.config.redact import redactor
from muva_console.config.shape import Key
from muva_console.config.values import did_you_mean, expected, kind_of, quoted
from muva_console.config.walk import Walk
from muva_console.ops.runbooks.keys import (
    FILE,
    GOES_WITH,
    KINDS,
    LISTS,
    ROLES,
    SOURCE,
    TOGETHER,
    WITH,
    WRITTEN_IN_LINES,
)
from muva_console.ops.runbooks.model import Basis, Step
from muva_console.ops.text import sanitise, sanitise_line

TEXT_CAP = 4000
"""Characters of one text. Ours: two screens full."""
STEPS_CAP = 200
"""Steps of one file. Ours: the playbook's longest procedure has nine."""
MISTAKES_CAP = 100
"""Mistakes told of one file."""
DEPTH_CAP = 8
"""Tables in tables of a step's parameters."""

Place = tuple[str, ...]


class Known(Struct, frozen=True, kw_only=True):
    """The names that a runbook may mention; None where they are not known and therefore not checked."""

    checks: frozenset[str] | None = None
    operations: frozenset[str] | None = None
    environments: tuple[str, ...] | None = None


class Draft(Struct, kw_only=True):
    """A step as a file gives it."""

    id: str
    """Empty when it has none that can be used."""
    step: Step | None
    """None when it has a mistake."""
    after: str = ""
    before: str = ""
    place: Place = ()


class Document(Struct, kw_only=True):
    """A file, as far as it can be understood."""

    name: str
    """The file as it is told."""
    team: bool
    id: str = ""
    whole: bool = False
    """Whether it stands in the place of the runbook that has its id."""
    given: dict[str, Any] = field(default_factory=dict)
    """``title``, ``about``, ``section``, ``environments``, ``ordered``: what the file says of them."""
    steps: list[Draft] | None = None
    added: list[Draft] = field(default_factory=list)
    replaced: list[Draft] = field(default_factory=list)
    removed: tuple[str, ...] = ()
    commands: bool = False
    """Whether it has commands to run."""
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    """Line (0 when unknown) and text."""
    lines: dict[Place, int] = field(default_factory=dict)
    source: str = ""

    @property
    def changes(self) -> bool:
        """Whether it changes a runbook of another file."""
        return self.steps is None

    def mistake(self, place: Place, text: str, *, step: str = "", key: str = "") -> None:
        """Note what is wrong: ``runbooks/x.toml:12: step "smoke", expires: expected …``."""
        if not self.lines:
            self.lines = places(self.source)
        line = line_of(place, self.lines) or 0
        at = f"{self.name}:{line}" if line else self.name
        where = ", ".join(part for part in (step, key) if part)
        self.mistakes.append((line, f"{at}: {where}: {text}" if where else f"{at}: {text}"))


def read_document(data: bytes, name: str, known: Known, *, team: bool) -> Document:
    """The file of these bytes, told as `name`; never raises, its mistakes are in it."""
    made = Document(name=name, team=team)
    try:
        document, made.source = parse_toml(data, name)
    except NotTomlError as error:
        made.mistakes.append((0, str(error)))
        return made
    _Reader(made, known).read(document)
    return made


class _Reader:
    def __init__(self, made: Document, known: Known) -> None:
        self._made, self._known = made, known

    def read(self, document: dict[str, Any]) -> None:
        made = self._made
        for key, value in document.items():
            if len(made.mistakes) >= MISTAKES_CAP:
                break
            if key == "replace" and isinstance(value, bool):
                made.whole = value
            elif key in LISTS:
                drafts = self._list(key, value)
                if key == "step":
                    made.steps = drafts
                elif key == "add":
                    made.added = drafts
                else:
                    made.replaced = drafts
            elif key in FILE:
                converted = self._value(value, FILE[key], (key,), "", key)
                if converted is None:
                    continue
                if key == "id":
                    made.id = converted
                elif key == "remove":
                    made.removed = converted
                else:
                    made.given[key] = converted
            else:
                meant = did_you_mean(key, [*FILE, *LISTS])
                told = meant or f"known are {', '.join([*FILE, *LISTS])}"
                made.mistake((key,), f"unknown key; {told}", key=_shown(key))
        if "id" not in document:
            made.mistake((), f"missing; expected {expected(FILE['id'].shape)}", key="id")
        self._environments(made.given.get("environments", ()), ("environments",), "")
        if made.steps is not None and "title" not in document:
            made.mistake((), "missing; expected a text that is not empty", key="title")

    def _list(self, name: str, value: Any) -> list[Draft]:
        made = self._made
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            more = " or true" if name == "replace" else ""
            made.mistake((name,), f"expected tables, [[{name}]]{more}; found {kind_of(value)}", key=name)
            return []
        if len(value) > STEPS_CAP:
            made.mistake((name,), f"expected at most {STEPS_CAP} steps, found {len(value)}", key=name)
            return []
        drafts: list[Draft] = []
        for number, table in enumerate(value, 1):
            draft = self._step(name, table, number)
            if draft.id and any(draft.id == other.id for other in drafts):
                told = self._told(name, draft.id, number)
                text = "there is a step of that name already"
                made.mistake((*draft.place, "id"), text, step=told, key="id")
            drafts.append(draft)
        return drafts

    def _told(self, name: str, id: str, number: int) -> str:
        return f"step {quoted(id)}" if id else f"[[{name}]] number {number}"

    def _step(self, name: str, table: dict[str, Any], number: int) -> Draft:
        made, keys, place = self._made, LISTS[name], (name, str(number))
        before = len(made.mistakes)
        values: dict[str, Any] = {}
        given = table.get("id")
        usable = isinstance(given, str) and re.search(keys["id"].shape.pattern or "", given)
        name_of_it = str(given) if usable else ""
        told = self._told(name, name_of_it, number)
        for key, value in table.items():
            if len(made.mistakes) >= MISTAKES_CAP:
                break
            here = (*place, key)
            if key == WITH:
                values[WITH] = self._parameters(value, here, told)
            elif key in keys:
                values[key] = self._value(value, keys[key], here, told, key)
            else:
                meant = did_you_mean(key, [*keys, WITH])
                hint = meant or f"known are {', '.join([*keys, WITH])}"
                made.mistake(here, f"unknown key; {hint}", step=told, key=_shown(key))
        for wanted in keys.values():
            if wanted.required and wanted.name not in table:
                made.mistake(place, f"missing; expected {expected(wanted.shape)}", step=told, key=wanted.name)
        self._kinds(table, place, told)
        self._names(values, place, told)
        made.commands = made.commands or "run" in table
        if values.get("after") and values.get("before"):
            made.mistake(
                (*place, "before"), "goes not together with `after`; give one", step=told, key="before"
            )
        sound = len(made.mistakes) == before
        return Draft(
            id=name_of_it,
            step=_built(values) if sound else None,
            after=values.get("after") or "",
            before=values.get("before") or "",
            place=place,
        )

    def _kinds(self, table: Mapping[str, Any], place: Place, told: str) -> None:
        """Exactly one kind, `attest` beside three of them, and no key that has no effect."""
        given = [kind for kind in KINDS if kind in table]
        main = [kind for kind in given if kind != "attest"]
        if not given:
            text = f"nothing says what it is; expected one of {', '.join(KINDS)}"
            self._made.mistake(place, text, step=told)
        elif (len(main) > 1 and tuple(main) not in TOGETHER) or ("attest" in given and "text" in given):
            beside = "attest may stand beside the first three, operation beside check"
            text = f"expected one of {', '.join(KINDS)} ({beside})"
            self._made.mistake(place, f"{text}, found {' and '.join(given)}", step=told)
        for key, needs in GOES_WITH.items():
            if key in table and given and not any(kind in table for kind in needs):
                text = f"has no effect here: it goes with {' or '.join(f'`{kind}`' for kind in needs)}"
                self._made.mistake((*place, key), text, step=told, key=key)

    def _names(self, values: Mapping[str, Any], place: Place, told: str) -> None:
        for key, what, known in (
            ("check", "check", self._known.checks),
            ("operation", "operation", self._known.operations),
        ):
            name = values.get(key)
            if name and known is not None and name not in known:
                text = _unknown(f"there is no {what} {quoted(_shown(name))}", name, known)
                self._made.mistake((*place, key), text, step=told, key=key)
        self._environments(values.get("environments") or (), (*place, "environments"), told)
        of = values.get("of")
        if of in ROLES:
            text = f"expected {quoted(SOURCE)} or an environment's name, found {quoted(of)}"
            self._made.mistake((*place, "of"), text, step=told, key="of")
        elif of and of != SOURCE:
            self._environments((of,), (*place, "of"), told)
        if values.get("output"):
            text = _expression_problem(values["output"])
            if text:
                self._made.mistake((*place, "output"), text, step=told, key="output")

    def _environments(self, names: Collection[str], place: Place, told: str) -> None:
        known = self._known.environments
        for name in names:
            if name in ROLES or (known is None and not name.startswith("@")) or name in (known or ()):
                continue
            text = _unknown(f"there is no environment {quoted(name)}", name, [*(known or ()), *ROLES])
            self._made.mistake(place, text, step=told, key=place[-1])

    def _value(self, value: Any, key: Key, place: Place, told: str, name: str) -> Any:
        """A value converted; None when it has a mistake, which is noted."""
        if isinstance(value, str):
            if len(value) > TEXT_CAP:
                text = f"expected at most {TEXT_CAP:,} characters, found {len(value):,}"
                self._made.mistake(place, text, step=told, key=name)
                return None
            value = value.replace("\r\n", "\n")
            if sanitise(value) != value.replace("\t", "    "):
                text = "a control character is in it, or one that makes text read backwards"
                self._made.mistake(place, text, step=told, key=name)
                return None
        walk = Walk(Path("/"))
        flat = value.replace("\n", " ").replace("\t", " ") if isinstance(value, str) else value
        # a team's command may speak of passwords, as a secret's command may
        spoken = "command" if name == "run" else name
        converted = walk.value(flat, key.shape, (spoken,))
        for mistake in walk.mistakes:
            item = f"{name}, item {mistake.place[1]}" if len(mistake.place) > 1 else name
            self._made.mistake(place, mistake.text, step=told, key=item)
        if walk.mistakes:
            return None
        if isinstance(converted, str):
            return value.strip("\n") if name in WRITTEN_IN_LINES else " ".join(converted.split())
        return converted

    def _parameters(self, value: Any, place: Place, told: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            text = f'expected a table such as {{ message = "pending" }}, found {kind_of(value)}'
            self._made.mistake(place, text, step=told, key=WITH)
            return {}
        for problem in sorted(set(_unfit(value))):
            self._made.mistake(place, problem, step=told, key=WITH)
        return value


def _expression_problem(expression: str) -> str:
    """What is wrong with a regular expression; empty when nothing is."""
    from muva_console.ops.logs.filter import can_explode

    try:
        re.compile(expression)
        explodes = can_explode(expression)
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        return f"expected a regular expression: {sanitise_line(str(error), cap=120)}"
    return "repeats within a repeat: on some output it would take for ever" if explodes else ""


def _built(values: dict[str, Any]) -> Step:
    """The step of values that have no mistake."""
    given = {key: value for key, value in values.items() if value is not None}
    given.pop("after", None)
    given.pop("before", None)
    if WITH in given:
        given["parameters"] = given.pop(WITH)
    given["depends"] = tuple(Basis(each) for each in given.get("depends", ()))
    return Step(**given)


def _unfit(value: Any, depth: int = 0) -> Iterator[str]:
    """Why a parameter cannot be kept in the journal, or should not."""
    if depth > DEPTH_CAP:
        yield "expected plain values, found tables or lists nested too deeply"
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _unfit(name, depth)
            yield from _unfit(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _unfit(each, depth + 1)
    elif isinstance(value, str):
        if len(value) > TEXT_CAP or sanitise(value) != value.replace("\t", "    "):
            yield f"expected texts of at most {TEXT_CAP:,} characters, without control characters"
        if redactor.holds_secret(value):
            yield "holds what looks like a literal secret, which is not repeated here"
    elif isinstance(value, int):
        if abs(value) > 2**53:
            yield "expected a smaller number"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield "expected a number, found one that is none or has no end"
    else:
        yield f"expected texts, numbers, true or false, found {kind_of(value)}"


def _unknown(text: str, name: str, known: Collection[str]) -> str:
    hint = did_you_mean(name, sorted(known))
    return f"{text}; {hint or 'known are ' + ', '.join(sorted(known))}"


def _shown(name: str) -> str:
    shown = redactor.redact(sanitise_line(name, cap=60))
    return shown if re.fullmatch(r"[A-Za-z0-9_-]+", shown) else json.dumps(shown, ensure_ascii=False)
