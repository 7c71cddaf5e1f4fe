"""How a run stands now: what of it is still to be believed, and the verdict over it.

A finding and an answer are believed as long as what they hang on is as it was and they are not too old.
After that the item is unknown again; nothing that has expired counts for GO.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct, structs

from muva_console.ops.readings import Finding, Level, Verdict, worst
from muva_console.ops.runbooks.model import Basis, Step, StepKind
from muva_console.ops.runbooks.run import Answer, Item, Run, Sensed, Word

CLOCK_SLACK = timedelta(seconds=90)
"""How far in the future a time may lie before the clock is taken to have been set back. Ours: jump hosts
that share a journal keep their clocks to a second."""


class State(StrEnum):
    """Where an item stands, beside its level."""

    NOT_ASKED = "not asked"
    ASKING = "asking"
    SENSED = "sensed"
    YOURS = "yours"
    """It waits for a person's answer."""
    HANDED = "handed"
    """Likewise, for one who was named."""
    PENDING = "pending"
    """It has not happened yet, and its act can be done: a person decides."""
    WAITING = "waiting"
    """In an ordered runbook: what stands above it is not well yet (`ItemView.waits_on`)."""
    ANSWERED = "answered"
    OVERRIDDEN = "overridden"
    NOT_APPLICABLE = "not applicable"
    EXPIRED = "expired"
    TEXT = "to be read"


SETTLED = frozenset({State.OVERRIDDEN, State.NOT_APPLICABLE})
FOR_A_PERSON = frozenset({State.YOURS, State.HANDED, State.PENDING})
"""What waits for a person: an answer, or an act."""


class ItemView(Struct, frozen=True, kw_only=True):
    """An item as it stands."""

    step: Step
    level: Level
    """What it counts as: UNKNOWN while it waits, OK for one that was overridden with a reason."""
    state: State
    summary: str
    findings: tuple[Finding, ...] = ()
    answer: Answer | None = None
    at: datetime | None = None
    """Of the finding or the answer that stands."""
    by: str = ""
    expired: str = ""
    """Why what is known is no longer believed."""
    command: str = ""
    """What a person would have typed."""
    said: int = 0
    """What an answer must have seen; see run.Item.said."""
    waits_on: str = ""
    """In an ordered runbook: the title of the first item above that is sensed and not well; until it is, this
    one's act is not offered."""
    postponed: bool = False
    """Whether it is not sensed by itself either: an act above it is still to be done, or another section."""

    @property
    def id(self) -> str:
        """The step's name."""
        return self.step.id

    @property
    def red(self) -> bool:
        """Whether it alone makes the verdict NO-GO."""
        return self.level is Level.FAIL

    @property
    def found_red(self) -> bool:
        """Whether a machine found it red when it was last sensed, be that expired or not."""
        return any(finding.level is Level.FAIL for finding in self.findings)

    @property
    def actable(self) -> bool:
        """Whether its act can be done now: one that is still to be done, and nothing above holds it."""
        if not self.step.operation or self.waits_on:
            return False
        if self.step.sensed:
            return self.state is State.PENDING
        return self.state in (State.YOURS, State.HANDED, State.EXPIRED)

    @property
    def open(self) -> bool:
        """Whether it stands between here and GO."""
        return self.level in (Level.FAIL, Level.UNKNOWN) and self.state is not State.TEXT


class RunView(Struct, frozen=True, kw_only=True):
    """A run as it stands."""

    run: Run
    at: datetime
    items: tuple[ItemView, ...]
    verdict: Verdict
    between: tuple[str, ...]
    """What stands between here and GO, a line an item."""
    next: str = ""
    """The item to go on with; empty when nothing is open."""
    overridden: tuple[ItemView, ...] = ()
    """What was passed over with a reason: it stays in sight."""
    progress: dict[str, str] = {}
    """The last line of an item that is being sensed."""
    tail: dict[str, tuple[str, ...]] = {}
    """The last lines of each such item, the oldest first."""
    basis: dict[str, str] = {}
    """What its items hang on, as it is now (see model.Basis); what is not known is not in it."""
    notice: str = ""
    """Why what is shown may be behind: the repository cannot be fetched, the journal cannot be read …"""

    def item(self, id: str) -> ItemView | None:
        """The item of that name."""
        return next((item for item in self.items if item.id == id), None)

    def count(self, level: Level) -> int:
        """How many items that are asked stand at a level; what waits for a person, or for
        an item above, is not among them.
        """
        return sum(
            item.level is level and item.state not in (State.TEXT, State.WAITING, *FOR_A_PERSON)
            for item in self.items
        )

    @property
    def waiting(self) -> int:
        """How many wait on what stands above them."""
        return sum(item.state is State.WAITING for item in self.items)

    @property
    def yours(self) -> int:
        """How many wait for a person."""
        return sum(item.state in FOR_A_PERSON for item in self.items)


def stand(
    run: Run,
    now: datetime,
    *,
    basis: Mapping[str, str] | None = None,
    asking: Collection[str] = (),
    progress: Mapping[str, str] | None = None,
    tail: Mapping[str, Iterable[str]] | None = None,
    notice: str = "",
) -> RunView:
    """How the run stands at `now` (UTC), with what its items hang on as it is now; `asking` names the items
    that are being sensed. What of `basis` is not known expires nothing.
    """
    items = tuple(_stand(item, now, basis or {}, item.step.id in asking) for item in run.items)
    if run.runbook.ordered:
        items = in_order(items)
    asked = [item for item in items if item.state is not State.TEXT]
    level = worst(item.level for item in asked)
    if level is Level.FAIL:
        verdict = Verdict.NO_GO
    elif level is Level.UNKNOWN:
        verdict = Verdict.CANNOT_TELL
    else:
        verdict = Verdict.GO
    opened = [item for item in asked if item.open]
    return RunView(
        run=run,
        at=now,
        items=items,
        verdict=verdict,
        between=tuple(f"{item.step.title}: {item.summary}" for item in opened),
        next=_first(opened) if run.runbook.ordered else _next(opened),
        overridden=tuple(item for item in asked if item.state in SETTLED),
        progress={name: line for name, line in (progress or {}).items() if name in asking},
        tail={name: tuple(lines) for name, lines in (tail or {}).items() if name in asking},
        basis=dict(basis or {}),
        notice=notice,
    )


def ready(view: RunView) -> tuple[str, ...]:
    """The items of an ordered runbook that are to be sensed now by themselves: not sensed yet or expired, and
    not held back by what stands above them.
    """
    return tuple(
        item.id
        for item in view.items
        if item.step.sensed
        and item.state in (State.NOT_ASKED, State.EXPIRED)
        and not (item.waits_on and item.postponed)
    )


def _first(opened: list[ItemView]) -> str:
    return next((item.id for item in opened), "")


def in_order(items: tuple[ItemView, ...]) -> tuple[ItemView, ...]:
    """The items of an ordered runbook: what stands below one that is sensed and not well waits on it.

    Its act is not offered, and what was not sensed yet is not: neither below an act that is still to be
    done, nor below another section. What was found already stays found.
    """
    told: list[ItemView] = []
    holding = act = ""
    above: list[ItemView] = []
    for item in items:
        step = item.step
        section = next((one.step.title for one in above if one.step.section != step.section), "")
        postponed = bool(act or section)
        if holding and item.open and (step.sensed or step.operation):
            unfound = item.state in (State.NOT_ASKED, State.EXPIRED) and postponed
            unacted = item.state in FOR_A_PERSON and bool(step.operation)
            if unfound or unacted:
                item = structs.replace(item, state=State.WAITING, summary=f"waits on {holding}")  # noqa: PLW2901
        told.append(structs.replace(item, waits_on=holding, postponed=postponed))
        if step.sensed and item.open:
            above.append(item)
            holding = holding or step.title
            act = act or (step.title if step.operation else "")
    return tuple(told)


def _next(opened: list[ItemView]) -> str:
    """What an act would mend, then red, what has expired or is unknown, and what only a person knows."""
    ranked = [
        [item for item in opened if item.state is State.PENDING and item.actable],
        [item for item in opened if item.red],
        [item for item in opened if item.state in (State.EXPIRED, State.SENSED)],
        [item for item in opened if item.state in FOR_A_PERSON],
        [item for item in opened if item.state in (State.NOT_ASKED, State.WAITING)],
    ]
    return next((items[0].id for items in ranked if items), "")


def _stand(item: Item, now: datetime, basis: Mapping[str, str], asking: bool) -> ItemView:
    step, answer, sensed = item.step, item.answer, item.sensed
    if step.kind is StepKind.TEXT:
        return ItemView(step=step, level=Level.OK, state=State.TEXT, summary=step.text, command=step.command)
    findings = sensed.findings if sensed is not None else ()
    stale = _finding_stale(step, sensed, now, basis) if sensed is not None else ""
    gone = _answer_stale(step, answer, now, basis) if answer is not None else ""
    bare = ItemView(
        step=step,
        level=Level.UNKNOWN,
        state=State.NOT_ASKED,
        summary="not asked yet",
        findings=findings,
        answer=answer,
        at=sensed.at if sensed is not None else None,
        by=sensed.by if sensed is not None else "",
        command=next((finding.command for finding in findings if finding.command), step.command),
        said=item.said,
    )
    if answer is not None and not gone:
        said = _said(structs.replace(bare, at=answer.at, by=answer.by), answer, stale)
        if said is not None:
            return said
    if asking:
        return structs.replace(bare, state=State.ASKING, summary="asking …")
    if step.sensed:
        return bare if sensed is None else _as_sensed(bare, stale, gone)
    return _as_asked(bare, step.attest or step.title, gone)


def _said(view: ItemView, answer: Answer, stale: str) -> ItemView | None:
    """The item as a person's word leaves it; None where that word does not settle it."""
    found = worst(finding.level for finding in view.findings) if view.findings and not stale else None
    unasked = view.step.sensed and not view.findings
    match answer.word:
        case Word.NOT_APPLICABLE:
            level, state, text = Level.OK, State.NOT_APPLICABLE, f"not applicable: {answer.note}"
        case Word.OVERRIDDEN if found in (None, Level.UNKNOWN) or (found is Level.FAIL and answer.over_red):
            level, state, text = Level.OK, State.OVERRIDDEN, f"overridden: {answer.note}"
        case Word.NO:
            level, state, text = Level.FAIL, State.ANSWERED, f"no: {answer.note}"
        case Word.YES if found in (None, Level.UNKNOWN) and not unasked and not view.found_red:
            # nothing that a machine could tell is ticked: its no takes a reason, and it is asked first; a red
            # that has grown old is unknown, and no yes of before comes back for it
            level, state, text = Level.OK, State.ANSWERED, answer.note or "yes"
        case _:
            return None
    return structs.replace(view, level=level, state=state, summary=text)


def _as_sensed(view: ItemView, stale: str, gone: str) -> ItemView:
    """The item as a machine found it."""
    level, summary = worst(finding.level for finding in view.findings), summary_of(view.findings)
    if stale:
        return structs.replace(
            view, state=State.EXPIRED, summary=f"{stale}; it was: {summary}", expired=stale
        )
    pending = level is Level.UNKNOWN and only_pending(view.findings)
    if level is Level.UNKNOWN and view.step.attest and not pending:
        return _as_asked(view, f"{view.step.attest} ({summary})", gone)
    answer = view.answer
    if answer is not None and answer.word is Word.HANDED and level in (Level.FAIL, Level.UNKNOWN):
        summary = f"{summary} (handed to {answer.to})"
    state = State.PENDING if pending else State.SENSED
    return structs.replace(view, level=level, state=state, summary=summary)


def only_pending(findings: Iterable[Finding]) -> bool:
    """Whether what is unknown of these is so for nothing else than that it has not happened yet."""
    return all(finding.pending for finding in findings if finding.level is Level.UNKNOWN)


def _as_asked(view: ItemView, question: str, gone: str) -> ItemView:
    """The item as it waits for a person."""
    answer = view.answer
    if gone:
        return structs.replace(view, state=State.EXPIRED, summary=f"{gone}; {question}", expired=gone)
    if answer is not None and answer.word is Word.HANDED:
        return structs.replace(view, state=State.HANDED, summary=f"handed to {answer.to}: {question}")
    return structs.replace(view, state=State.YOURS, summary=question)


def summary_of(findings: tuple[Finding, ...]) -> str:
    """One line for all: the worst finding's; how many are alike when there are several."""
    if not findings:
        return "nothing was found"
    level = worst(finding.level for finding in findings)
    told = [finding for finding in findings if finding.level is level]
    first = told[0]
    text = f"{first.subject}: {first.summary}" if first.subject and len(findings) > 1 else first.summary
    return f"{text} (and {len(told) - 1} more)" if len(told) > 1 else text


def _answer_stale(step: Step, answer: Answer, now: datetime, basis: Mapping[str, str]) -> str:
    for on in step.depends:
        if basis.get(on) and not answer.basis.get(on):
            return f"{_UNTOLD[on]} was not known when it was said"
    return _stale(step, answer.at, answer.basis, now, basis, step.expires)


def _finding_stale(step: Step, sensed: Sensed, now: datetime, basis: Mapping[str, str]) -> str:
    moved = _stale(step, sensed.at, sensed.basis, now, basis, step.expires)
    if moved:
        return moved
    ends = [finding.expires for finding in sensed.findings if finding.expires is not None]
    return f"older than {_span(min(ends) - sensed.at)}" if ends and min(ends) <= now else ""


def _stale(
    step: Step,
    at: datetime,
    then: Mapping[str, str],
    now: datetime,
    basis: Mapping[str, str],
    seconds: float | None,
) -> str:
    """Why something said or found at `at` is no longer believed; empty when it is."""
    for on in step.depends:
        before, after = then.get(on, ""), basis.get(on, "")
        if before and after and before != after:
            return f"{_BASIS[on]}: {before[:7]} then, {after[:7]} now"
    if at - now > CLOCK_SLACK:
        return "it lies in the future: a clock was set back"
    if seconds is not None and now - at >= timedelta(seconds=seconds):
        return f"older than {_span(timedelta(seconds=seconds))}"
    return ""


_BASIS = {
    Basis.OUTGOING: "another commit is going out",
    Basis.TARGET: "the branch it goes to has moved",
    Basis.SERVING: "another commit is served",
}

_UNTOLD = {
    Basis.OUTGOING: "which commit goes out",
    Basis.TARGET: "where the branch it goes to stands",
    Basis.SERVING: "which commit is served",
}


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds >= 7200:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
