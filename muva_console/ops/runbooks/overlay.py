"""A team's files over the playbook's: new runbooks, others in place of the playbook's, and changed steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from muva_console.config.values import did_you_mean, quoted
from muva_console.ops.runbooks.document import Document, Draft
from muva_console.ops.runbooks.model import Runbook


def assemble(built_in: Iterable[Document], team: Sequence[Document]) -> tuple[Runbook, ...]:
    """The runbooks of these files: the playbook's in their order, then the team's by their files' names.

    What does not fit together is noted in the document that says it; the runbooks are then not to be used.
    A change of a step sees what the changes before it, in the same file, have made.
    """
    books: dict[str, _Book] = {}
    for document in (*built_in, *(each for each in team if not each.changes)):
        if not document.id:
            continue
        known = books.get(document.id)
        if known is not None and not _stands_in(document, known):
            continue
        if known is None and document.whole:
            document.mistake(("replace",), _no_runbook(document.id, books), key="replace")
        if document.added or document.replaced or document.removed:
            document.mistake(
                ("step",),
                "a file with [[step]] is a whole runbook; [[add]], [[replace]] and remove change another",
            )
        books[document.id] = _Book(document)
    for document in team:
        if not document.changes or not document.id:
            continue
        if document.id not in books:
            document.mistake(("id",), _no_runbook(document.id, books), key="id")
            continue
        if document.whole:
            document.mistake(("replace",), "expected [[step]], the steps of the whole runbook", key="replace")
        books[document.id].change(document)
    return tuple(book.built() for book in books.values())


def _stands_in(document: Document, known: _Book) -> bool:
    """Whether it stands in the place of a runbook that is there already."""
    if not document.whole:
        text = (
            f"there is a runbook of that name already, in {known.name}; give `replace = true` to put this one"
            " in its place, or [[add]], [[replace]] and remove to change it"
        )
        document.mistake(("id",), text, key="id")
    elif known.team:
        document.mistake(("id",), f"{known.name} is of that name already", key="id")
    return document.whole and not known.team


def _no_runbook(id: str, books: Mapping[str, object]) -> str:
    hint = did_you_mean(id, list(books)) or f"known are {', '.join(books)}"
    return f"there is no runbook {quoted(id)} to change; {hint}; a new one has [[step]]"


class _Book:
    """A runbook while files are laid over it."""

    def __init__(self, document: Document) -> None:
        self.name, self.team = document.name, document.team
        self._id = document.id
        self._given = dict(document.given)
        self._steps = list(document.steps or ())
        self._source = document.name if document.team else "playbook"
        if not self._steps:
            document.mistake(("step",), "there are no steps; expected at least one [[step]]")

    def change(self, document: Document) -> None:
        """Lay a file over it; what does not fit is noted there."""
        self._given |= document.given
        self._source = document.name
        for draft in document.added:
            self._add(draft, document)
        for draft in document.replaced:
            at = self._find(draft.id, document, (*draft.place, "id"), draft, "id") if draft.id else None
            if at is not None:
                self._place(draft, at)
                self._steps[at] = draft
        for number, name in enumerate(document.removed, 1):
            at = self._find(name, document, ("remove", str(number)), None, "remove")
            if at is not None:
                del self._steps[at]
        if document.removed and not self._steps:
            document.mistake(("remove",), "no step is left; a runbook without any would always say GO")

    def built(self) -> Runbook:
        """The runbook; without the steps that have mistakes."""
        return Runbook(
            id=self._id,
            title=self._given.get("title") or self._id,
            about=self._given.get("about") or "",
            section=self._given.get("section") or "",
            environments=tuple(self._given.get("environments") or ()),
            ordered=bool(self._given.get("ordered")),
            steps=tuple(draft.step for draft in self._steps if draft.step is not None),
            source=self._source,
        )

    def _add(self, draft: Draft, document: Document) -> None:
        if draft.id and any(draft.id == other.id for other in self._steps):
            text = (
                f"there is a step of that name in {self._id} already; [[replace]] puts another in its place"
            )
            document.mistake((*draft.place, "id"), text, step=f"step {quoted(draft.id)}", key="id")
            return
        at: int | None = len(self._steps)
        if draft.after:
            at = self._find(draft.after, document, (*draft.place, "after"), draft, "after")
            at = None if at is None else at + 1
        elif draft.before:
            at = self._find(draft.before, document, (*draft.place, "before"), draft, "before")
        if at is None:
            return
        self._place(draft, at if draft.before else at - 1)
        self._steps.insert(at, draft)

    def _place(self, draft: Draft, beside: int) -> None:
        """Put a step that names no heading under that of the one beside it."""
        known = self._steps[beside].step if 0 <= beside < len(self._steps) else None
        if draft.step is not None and known is not None and not draft.step.section:
            draft.step = structs.replace(draft.step, section=known.section)

    def _find(
        self, id: str, document: Document, place: tuple[str, ...], draft: Draft | None, key: str
    ) -> int | None:
        for at, step in enumerate(self._steps):
            if step.id == id:
                return at
        known = [step.id for step in self._steps if step.id]
        hint = did_you_mean(id, known) or f"known are {', '.join(known)}"
        told = f"step {quoted(draft.id)}" if draft is not None and draft.id else ""
        document.mistake(place, f"there is no step {quoted(id)} in {self._id}; {hint}", step=told, key=key)
        return None
