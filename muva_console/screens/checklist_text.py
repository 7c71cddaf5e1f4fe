"""A run as words: its standing, its items as rows, and one item whole. From views to lines, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from textual.content import Content

from muva_console.ops.readings import Finding, Level, Verdict
from muva_console.ops.runbooks.model import Basis, StepKind
from muva_console.ops.runbooks.run import Answer, Word
from muva_console.ops.runbooks.saying import words_for
from muva_console.ops.runbooks.standing import FOR_A_PERSON, ItemView, RunView, State
from muva_console.widgets.fit import Part, crop, fit
from muva_console.widgets.format import age, clock, commit, duration, moment, short
from muva_console.widgets.level import GLYPH, STYLE, mark, muted, strong
from muva_console.widgets.sections import heading
from muva_console.widgets.table import Column, Row

SETTLED_SHOWN = 3
"""Reasons beside the verdict; more are counted, and stand in the list."""
LABEL = 9
"""Cells of the column of labels in an item's lines."""

ITEM_COLUMNS = (
    Column("", 13, keep=100),
    Column("item", 23, keep=100),
    Column("what", 16, flex=True, keep=95),
    Column("age", 6, align="right", keep=50),
    Column("", 6, keep=90),
)
NARROW_COLUMNS = (
    Column("", 12, keep=100),
    Column("item", 22, keep=100),
    Column("what", 14, flex=True, keep=95),
    Column("age", 5, align="right", keep=50),
    Column("", 6, keep=90),
)

_VERDICT: dict[Verdict, Level] = {
    Verdict.GO: Level.OK,
    Verdict.NO_GO: Level.FAIL,
    Verdict.CANNOT_TELL: Level.UNKNOWN,
}
_WAITS: dict[State, tuple[str, str]] = {
    State.NOT_ASKED: ("◌ not asked", "$t-muted"),
    State.ASKING: ("◐ asking", "$t-muted"),
    State.YOURS: ("◌ yours", "$t-strong"),
    State.HANDED: ("◌ handed on", "$t-strong"),
    State.PENDING: ("◌ yours", "$t-strong"),
    State.WAITING: ("◌ waits", "$t-muted"),
    State.EXPIRED: ("⌛ expired", STYLE[Level.UNKNOWN]),
    State.OVERRIDDEN: ("▲ overridden", STYLE[Level.WARN]),
    State.NOT_APPLICABLE: ("– n/a", "$t-muted"),
    State.TEXT: ("· to read", "$t-muted"),
}
SAID: dict[Word, str] = {
    Word.YES: "yes",
    Word.NO: "no",
    Word.OVERRIDDEN: "overridden",
    Word.NOT_APPLICABLE: "not applicable",
    Word.HANDED: "handed on",
    Word.WITHDRAWN: "withdrawn",
}


class Enter(StrEnum):
    """What `enter` begins for an item: what is next for it."""

    ANSWER = "answer"
    PERFORM = "perform"
    SENSE = "sense"
    SEE = "see"


def enter_does(item: ItemView, *, ended: bool) -> Enter:
    """What is next for the item."""
    if ended or item.step.kind is StepKind.TEXT:
        return Enter.SEE
    waits = item.state in (State.YOURS, State.HANDED, State.EXPIRED)
    if item.actable:
        return Enter.PERFORM
    if item.state is State.WAITING or (item.step.kind is StepKind.OPERATION and waits):
        return Enter.SEE
    if item.state in (State.YOURS, State.HANDED):
        return Enter.ANSWER
    if item.state in (State.EXPIRED, State.NOT_ASKED):
        return Enter.SENSE if item.step.sensed else Enter.ANSWER
    return Enter.SEE


def sayable(item: ItemView, *, ended: bool) -> frozenset[Word]:
    """What can be said of the item now."""
    if ended:
        return frozenset()
    words = set(words_for(item.step))
    if item.step.sensed and item.state in (State.NOT_ASKED, State.ASKING, State.PENDING, State.WAITING):
        words -= {Word.YES, Word.NO}  # it is asked first; a person answers what a machine cannot tell
    if item.step.sensed and item.state is State.SENSED and item.level in (Level.OK, Level.WARN):
        words -= {Word.YES, Word.OVERRIDDEN, Word.HANDED}  # nothing is to be passed over
    if item.found_red:
        words.discard(Word.YES)
    if item.answer is not None:
        words.add(Word.WITHDRAWN)
    return frozenset(words)


def item_mark(item: ItemView) -> Content:
    """Glyph, word and colour of where an item stands."""
    if item.state in _WAITS:
        text, style = _WAITS[item.state]
        return Content.styled(text, style)
    if item.state is State.ANSWERED:
        return mark(item.level, "yes" if item.level is Level.OK else "no")
    return mark(item.level)


def told(item: ItemView) -> str:
    """The line beside the mark: what the mark says already is not said twice."""
    answer = item.answer
    if item.state in (State.OVERRIDDEN, State.NOT_APPLICABLE) and answer is not None:
        return answer.note
    if item.state is State.ANSWERED and answer is not None and answer.word is Word.NO:
        return answer.note
    if item.step.kind is StepKind.OPERATION and item.state is State.YOURS and not item.step.attest:
        return "not done yet: enter shows first what it is"
    if item.actable and item.step.sensed:
        return f"{item.summary}: enter to do it"
    return item.summary


def verdict_mark(verdict: Verdict) -> Content:
    """``✖ NO-GO`` in its colour."""
    return mark(_VERDICT[verdict], verdict.value).stylize("bold")


def counts(view: RunView) -> list[Content]:
    """How many items stand how, what is bad first; only what there is."""
    told: dict[str, tuple[int, str]] = {}

    def add(word: str, style: str) -> None:
        told[word] = (told.get(word, (0, style))[0] + 1, style)

    for item in view.items:
        if item.state in FOR_A_PERSON:
            add("handed on" if item.state is State.HANDED else "yours", "$t-strong")
        elif item.state in (State.ASKING, State.NOT_ASKED, State.WAITING):
            add(item.state.value, "$t-muted")
        elif item.state is State.EXPIRED:
            add("expired", STYLE[Level.UNKNOWN])
        elif item.state is State.OVERRIDDEN:
            add("overridden", STYLE[Level.WARN])
        elif item.state is State.NOT_APPLICABLE:
            add("n/a", "$t-muted")
        elif item.state is not State.TEXT:
            style = "$t-muted" if item.level is Level.OK else STYLE[item.level]
            add(item.level.value, style)
    order = (
        "ok",
        "fail",
        "unknown",
        "expired",
        "warn",
        "overridden",
        "n/a",
        "asking",
        "not asked",
        "waiting",
        "yours",
    )
    names = sorted(told, key=lambda word: order.index(word) if word in order else len(order))
    return [Content.styled(f"{told[word][0]} {word}", told[word][1]) for word in names]


def what_goes(view: RunView) -> Content:
    """``staging 77ab0c9 → main a1b2c3d``: what goes where, as it is now."""
    about, basis = view.run.about, view.basis
    source, target = about.get("source", ""), about.get("target", "")
    parts: list[Content | str] = []
    if source and source != target:
        parts = [source, muted(f" {commit(basis.get(Basis.OUTGOING, ''))}".rstrip()), muted(" → ")]
    parts += [target, muted(f" {commit(basis.get(Basis.TARGET, ''))}".rstrip())]
    if serving := basis.get(Basis.SERVING):
        parts.append(muted(f"  serves {commit(serving)}"))
    return Content.assemble(*parts)


def standing_lines(view: RunView, width: int) -> list[Content]:
    """What is always in sight: the runbook, what goes where, the verdict, what is left, the reasons."""
    run = view.run
    title = strong(run.runbook.title)
    verdict = verdict_mark(view.verdict)
    told = counts(view)
    goes = what_goes(view)
    tally = muted(" · ").join(told)
    lines: list[Content] = []
    if title.cell_length + goes.cell_length + verdict.cell_length + tally.cell_length + 8 <= width:
        lines.append(
            fit([Part(title, 90), Part(goes, 60)], [Part(verdict, 100), Part(tally, 70)], width, gap="   ")
        )
    else:
        lines.append(fit([Part(title, 90)], [Part(verdict, 100)], width, gap="  "))
        lines.append(fit([Part(goes, 50, Content(""))], [Part(tally, 70)], width, gap="  "))
    lines.append(crop(_between(view), width).rstrip())
    for item in view.overridden[:SETTLED_SHOWN]:
        word, style = _WAITS[item.state]
        reason = item.answer.note if item.answer is not None else item.summary
        who = muted(f"  {item.by}, {_ago(view, item.at)}")
        line = Content.assemble((f"{word}  ", style), f"{item.step.title}: {reason}")
        lines.append(fit([Part(line, 10)], [Part(who, 5)], width) if width > 60 else crop(line, width))
    if len(view.overridden) > SETTLED_SHOWN:
        lines.append(muted(f"  and {len(view.overridden) - SETTLED_SHOWN} more with a reason"))
    if view.notice:
        lines.append(crop(Content.styled(f"▲ {view.notice}", "$t-warn"), width).rstrip())
    if run.ended_at is not None:
        lines.append(
            crop(
                muted(
                    f"■ ended {_ago(view, run.ended_at)} by {run.ended_by} with {run.outcome}; w writes it"
                ),
                width,
            ).rstrip()
        )
    return lines


def _between(view: RunView) -> Content:
    opened = [item for item in view.items if item.open]
    if not opened:
        then = "" if view.run.ended_at is not None else ": w writes it to a file, E ends the run"
        return muted(f"nothing stands between here and GO{then}")
    waiting = sum(item.state is State.WAITING for item in opened)
    shown = [item for item in opened if item.state is not State.WAITING]
    ranked = sorted(shown, key=lambda item: not item.red)
    names = [
        Content.styled(item.step.title, "$t-hot") if item.red else Content(item.step.title) for item in ranked
    ]
    if waiting:
        names.append(muted(f"{waiting} waiting"))
    return Content.assemble(muted("between here and GO  "), muted(" · ").join(names))


def _ago(view: RunView, at: datetime | None) -> str:
    if at is None:
        return "–"
    told = age((view.at - at).total_seconds())
    return "now" if told == "now" else f"{told} ago"


def item_rows(view: RunView, asking_for: Mapping[str, float]) -> list[Row]:
    """A row an item, under the headings of its sections; `asking_for` is how long (seconds) is asked."""
    rows: list[Row] = []
    section = ""
    for item in view.items:
        if item.step.section != section:
            section = item.step.section
            rows.append(heading(f"{len(rows)} {section}", muted(section)))
        rows.append(Row(item.id, _cells(view, item, asking_for.get(item.id, 0.0))))
    return rows


def _cells(view: RunView, item: ItemView, asking_for: float) -> tuple[Content, ...]:
    asking = item.state is State.ASKING
    hot = item.open and not asking and item.state is not State.WAITING
    title = strong(item.step.title) if hot else Content(item.step.title)
    summary = (view.progress.get(item.id, "") if asking else "") or told(item)
    quiet = (
        asking
        or item.state in (State.NOT_ASKED, State.WAITING)
        or (item.level is Level.OK and item.state is State.SENSED)
    )
    what = Content.styled(summary, "$t-hot") if item.red else muted(summary) if quiet else Content(summary)
    if asking:
        when = muted(duration(asking_for))
    elif item.at is None or item.state is State.TEXT:
        when = Content("")
    else:
        when = muted(age((view.at - item.at).total_seconds()))
    following = strong("◀ next") if item.id == view.next and view.run.ended_at is None else Content("")
    return (item_mark(item), title, what, when, following)


def item_lines(
    view: RunView, item: ItemView, width: int, *, message: Sequence[str] = (), whole: bool = False
) -> list[Content]:
    """One item: what is so, what one can do, why it matters, what was seen, the command, who said what.

    `message` is what an operation would send, where that is known. `whole` leaves nothing out.
    """
    ended = view.run.ended_at is not None
    lines = _labelled("", Content.assemble(item_mark(item), "  ", told(item)), width, LABEL)
    if not ended and item.state is not State.TEXT:
        lines += _labelled_lines("you can", packed(keys(item), width - LABEL))
    if item.state is State.ASKING:
        shown = view.tail.get(item.id, ())
        lines += _block("output", [muted(line) for line in (shown if whole else shown[-12:])], width)
    for finding in item.findings:
        lines += _finding(finding, several=len(item.findings) > 1, width=width)
    if item.command:
        lines += _labelled("command", strong(item.command), width)
    if item.answer is not None:
        lines += _labelled("said", _answer(view, item.answer), width)
    if message:
        lines += _block("message", [Content(line) for line in message], width)
    if item.step.why:
        lines += _labelled("why", muted(item.step.why), width)
    if item.step.who:
        lines += _labelled("whose", muted(item.step.who), width)
    return lines


def _finding(finding: Finding, *, several: bool, width: int) -> list[Content]:
    lines: list[Content] = []
    if several:
        about = f"{finding.subject}: " if finding.subject else ""
        line = Content.assemble(
            (f"{GLYPH[finding.level]} ", STYLE[finding.level]), f"{about}{finding.summary}"
        )
        lines += _labelled("found", line, width)
    lines += _block("evidence", [Content(line) for line in finding.evidence], width)
    if finding.next:
        lines += _labelled("next", Content(finding.next), width)
    return lines


def _answer(view: RunView, answer: Answer) -> Content:
    said = SAID[answer.word] + (f" to {answer.to}" if answer.to else "")
    note = f": {answer.note}" if answer.note else ""
    when = muted(f"  {answer.by}, {_ago(view, answer.at)}, {moment(answer.at)}")
    return Content.assemble(strong(said), note, when)


def keys(item: ItemView) -> list[Content]:
    """What one can do with which key, what is likeliest first."""
    words = sayable(item, ended=False)
    does = enter_does(item, ended=False)
    first = {
        Enter.ANSWER: "answer",
        Enter.PERFORM: "see the message, then send it" if _notice(item) else "see the plan, then do it",
        Enter.SENSE: "sense it again" if item.findings else "sense it",
        Enter.SEE: "see all of it",
    }
    offers = [("enter", first[does])]
    if item.step.sensed and does is not Enter.SENSE and item.state is not State.ASKING:
        offers.append(("r", "sense again"))
    named = (
        ("a", Word.YES, "yes"),
        ("x", Word.NO, "no"),
        ("o", Word.OVERRIDDEN, "override with a reason"),
        ("n", Word.NOT_APPLICABLE, "not applicable"),
        ("h", Word.HANDED, "hand on"),
        ("u", Word.WITHDRAWN, "withdraw what was said"),
    )
    offers += [(key, told) for key, word, told in named if word in words]
    offers.append(("y", "copy"))
    return [Content.assemble(strong(key), f" {told}") for key, told in offers]


def packed(parts: Sequence[Content], width: int) -> list[Content]:
    """The parts on as few lines as they need; none is broken."""
    lines: list[Content] = []
    for part in parts:
        if lines and lines[-1].cell_length + 3 + part.cell_length <= width:
            lines[-1] = Content.assemble(lines[-1], "   ", part)
        else:
            lines.append(part)
    return lines


def _notice(item: ItemView) -> bool:
    return "notif" in item.step.operation or "notice" in item.step.operation


def item_aside(view: RunView, item: ItemView) -> Content:
    """Since when an item is known to be so, and by whom; relative and absolute."""
    if item.at is None or item.state is State.TEXT:
        return Content("")
    by = f" by {item.by}" if item.by else ""
    return muted(f"{_ago(view, item.at)}, {clock(item.at)}{by}")


def runs_ago(seconds: float) -> str:
    """``12 m ago``."""
    return f"{short(seconds)} ago" if seconds >= 1 else "now"


def _labelled(label: str, text: Content, width: int, indent: int = LABEL) -> list[Content]:
    """`text` wrapped beside its label; without one it begins at the left and goes on indented."""
    if not label:
        first, *rest = text.wrap(max(8, width)) or [Content("")]
        if not rest:
            return [first.rstrip()]
        left = text[len(first.plain.rstrip()) :]
        skipped = len(left.plain) - len(left.plain.lstrip())
        pieces = left[skipped:].wrap(max(8, width - indent))
        return [first.rstrip(), *(Content(" " * indent) + piece.rstrip() for piece in pieces)]
    return _labelled_lines(label, text.wrap(max(8, width - indent)) or [Content("")], indent)


def _labelled_lines(label: str, pieces: Sequence[Content], indent: int = LABEL) -> list[Content]:
    head = muted(label.ljust(indent))
    rest = Content(" " * indent)
    return [(rest if number else head) + piece.rstrip() for number, piece in enumerate(pieces)]


def _block(label: str, lines: Iterable[Content], width: int) -> list[Content]:
    out: list[Content] = []
    for line in lines:
        out += _labelled(label if not out else " ", line, width)
    return out
