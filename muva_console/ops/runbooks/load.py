"""The runbooks: the playbook's own, from the package, with the team's folder laid over them.

Every mistake in the team's files is told at once. A folder holds commands that run as the engineer, so it is
trusted as muva.toml is: not when others can write to it, not when it belongs to somebody else.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from muva_console.config.files import of_another, read_file, shown, writable_by_others
from muva_console.config.values import did_you_mean
from muva_console.ops.errors import ConfigError
from muva_console.ops.runbooks.document import Document, Known, read_document
from muva_console.ops.runbooks.keys import PRODUCTION, STAGING
from muva_console.ops.runbooks.model import Runbook, Step
from muva_console.ops.runbooks.overlay import assemble
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.config.model import Config, Contact

PLAYBOOK = (
    "pre-deploy-staging",
    "pre-deploy-production",
    "review",
    "post-deploy-staging",
    "post-deploy-production",
    "deploy-staging",
    "deploy-production",
    "incident",
    "hotfix",
    "notify",
    "rollback",
    "post-rollback",
    "emergency-service-down",
    "emergency-crash-loop",
    "emergency-memory",
    "emergency-database",
    "emergency-migration",
    "emergency-disk",
    "emergency-host",
    "emergency-edge",
    "emergency-slow",
    "contacts",
)
"""The playbook's own runbooks, in its order."""
CONTACTS = "contacts"
"""The runbook that [[contacts]] of muva.toml are appended to."""
ESTATE = {"dev": False, "staging": False, "production": True}
"""The playbook's own environments in the order of their flow, and which is production."""
FILES_CAP = 200
"""Files of a team's folder. Ours."""


def load_runbooks(
    directory: Path | None = None,
    *,
    environments: Mapping[str, bool] | None = None,
    contacts: Iterable[Contact] = (),
    operations: Collection[str] | None = None,
) -> tuple[Runbook, ...]:
    """The playbook's runbooks with the files of the team's folder laid over them, in a stable order.

    `environments` are the estate's in the order of their flow, each with whether it is production; the names
    of runbooks and steps are then checked, and ``@production`` and ``@staging`` stand for them. Without it
    they are the playbook's own, and other names pass. `operations` are those that a step may name: those of
    ops/deploys/acts.py when not given.

    Raises ConfigError with every mistake of every file.
    """
    books = _playbook() if directory is None else _with_team(directory, environments, operations)
    estate = environments or ESTATE
    return tuple(_placed(_with_contacts(book, contacts), estate) for book in books)


def _with_team(
    directory: Path, environments: Mapping[str, bool] | None, operations: Collection[str] | None
) -> tuple[Runbook, ...]:
    from muva_console.ops.checks import all_checks
    from muva_console.ops.deploys.acts import ACTS

    known = Known(
        checks=frozenset(check.name for check in all_checks()),
        operations=frozenset(ACTS if operations is None else operations),
        environments=tuple(environments) if environments else None,
    )
    team = _team(directory, known)
    return _sound(assemble(_built_in(), team), team, where=shown(directory))


def _sound(books: tuple[Runbook, ...], documents: Iterable[Document], *, where: str) -> tuple[Runbook, ...]:
    """The runbooks, when their files have no mistakes. Raises ConfigError with all of them."""
    mistakes = [
        text for document in documents for _, text in sorted(document.mistakes, key=lambda each: each[0])
    ]
    if mistakes:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigError(f"{count} in the runbooks", where=where, mistakes=tuple(mistakes))
    return books


def runbooks_of(config: Config) -> tuple[Runbook, ...]:
    """The runbooks of an estate: `load_runbooks` with what muva.toml says. Raises ConfigError."""
    return load_runbooks(
        config.runbooks.directory,
        environments={name: one.production for name, one in config.environments.items()},
        contacts=config.contacts,
    )


def find_runbook(runbooks: Iterable[Runbook], id: str) -> Runbook:
    """The runbook of that id. Raises ConfigError, which names those that there are."""
    known = {runbook.id: runbook for runbook in runbooks}
    if id in known:
        return known[id]
    hint = did_you_mean(id, list(known))
    raise ConfigError(
        f"there is no runbook {sanitise_line(id, cap=80)!r}{f'; {hint}' if hint else ''}",
        mistakes=(f"there are: {', '.join(known)}",),
    )


# --- the playbook's ------------------------------------------------------------------------------------


@cache
def _playbook() -> tuple[Runbook, ...]:
    documents = _built_in()
    return _sound(assemble(documents, ()), documents, where="the playbook")


def _built_in() -> tuple[Document, ...]:
    """The playbook's files. A test holds that the checks they name exist, so that is not looked up here."""
    return tuple(read_document(data, name, Known(), team=False) for name, data in _packaged())


@cache
def _packaged() -> tuple[tuple[str, bytes], ...]:
    folder = resources.files("muva_console") / "playbook"
    return tuple((f"{name}.toml", (folder / f"{name}.toml").read_bytes()) for name in PLAYBOOK)


# --- the team's ----------------------------------------------------------------------------------------


def _team(directory: Path, known: Known) -> list[Document]:
    """The files of the folder by name; their mistakes are in them. Raises ConfigError about the folder."""
    where = shown(directory)
    try:
        home = directory.resolve(strict=True)
        about = home.stat()
        names = sorted(
            entry.name for entry in os.scandir(home) if entry.name.endswith(".toml") and entry.name[0] != "."
        )
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "links in a circle"
        raise ConfigError(
            "the folder of runbooks cannot be read",
            where=where,
            mistakes=(f"[runbooks] directory, {where}: {reason}",),
        ) from None
    if len(names) > FILES_CAP:
        raise ConfigError(
            "too many files", where=where, mistakes=(f"expected at most {FILES_CAP}, found {len(names)}",)
        )
    documents = [_file(home, name, known, where) for name in names]
    if any(document.commands for document in documents):
        objection = _objection(about, "directory", where)
        if objection:
            raise ConfigError(
                "the runbooks name commands that would run as you", where=where, mistakes=(objection,)
            )
    return documents


def _file(home: Path, name: str, known: Known, folder: str) -> Document:
    told = f"{folder}/{sanitise_line(name, cap=120)}"
    failed = Document(name=told, team=True)
    try:
        path = (home / name).resolve(strict=True)
        if not path.is_relative_to(home):
            failed.mistakes.append((0, f"{told}: a link to outside of the folder is not followed"))
            return failed
        data, about = read_file(path, follow=False)
    except ConfigError as error:
        failed.mistakes.append((0, f"{told}: {error.what}"))
        return failed
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "links in a circle"
        failed.mistakes.append((0, f"{told}: cannot be read: {reason}"))
        return failed
    document = read_document(data, told, known, team=True)
    objection = _objection(about, "file", told) if document.commands else ""
    if objection:
        document.mistakes.insert(0, (0, objection))
    return document


def _objection(about: os.stat_result, what: str, where: str) -> str:
    """Why commands from there are not run as this user; empty when they are."""
    runs = "and its commands (`run`) would run as you"
    if writable_by_others(about):
        return f"{where}: anybody on this machine can change this {what}, {runs}; next: chmod o-w {where}"
    if of_another(about):
        return (
            f"{where}: this {what} belongs to somebody else, {runs}; "
            "next: have it owned by root, or keep a copy of your own"
        )
    return ""


# --- the estate ----------------------------------------------------------------------------------------


def _placed(runbook: Runbook, estate: Mapping[str, bool]) -> Runbook:
    """The runbook with names in place of ``@production`` and ``@staging``. A word that stands for nothing in
    this estate stays: it is for no environment, not for all.
    """
    steps = tuple(
        structs.replace(step, environments=_names(step.environments, estate)) for step in runbook.steps
    )
    return structs.replace(runbook, environments=_names(runbook.environments, estate), steps=steps)


def _names(words: tuple[str, ...], estate: Mapping[str, bool]) -> tuple[str, ...]:
    before = [name for name, production in estate.items() if not production]
    stands = {
        PRODUCTION: [name for name, production in estate.items() if production],
        STAGING: before[-1:],
    }
    named = (name for word in words for name in (stands.get(word) or [word]))
    return tuple(dict.fromkeys(named))


def _with_contacts(runbook: Runbook, contacts: Iterable[Contact]) -> Runbook:
    if runbook.id != CONTACTS:
        return runbook
    told = tuple(
        Step(
            id=f"contact-{number}",
            title=sanitise_line(contact.role),
            text=sanitise_line(f"{contact.name} ({contact.reach})" if contact.reach else contact.name),
        )
        for number, contact in enumerate(contacts, 1)
    ) or (
        Step(
            id="no-contacts",
            title="No contacts are configured",
            text="Name them in muva.toml, a [[contacts]] each: role, name, reach.",
        ),
    )
    return structs.replace(runbook, steps=(*runbook.steps, *told))
