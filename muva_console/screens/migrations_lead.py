"""The questions on the way to an apply: what lies ahead, is there a backup; and why it cannot be done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.readings import Level
from muva_console.screens.migrations_ahead import Ahead, Outlook
from muva_console.widgets.answer import Answer
from muva_console.widgets.dialog import DEAF_FOR, Dialog, Words
from muva_console.widgets.format import commit, plural
from muva_console.widgets.level import GLYPH, SEVERITY, STYLE, faint, muted, strong

WAY = ("hazards", "backup", "plan", "confirm", "apply", "verify")
"""The steps that lead through an apply."""
LEAST_REASON = 8
"""Characters of a reason for going on without a backup, as a restore asks for. Ours: "yes" is none."""
SHOWN = 12
"""Hazards of a file that are shown, the worst first; the detail has all. Ours."""


class Go(NamedTuple):
    """The answer: ``plan``, ``backup``, or ``without`` with its reason."""

    what: str
    reason: str = ""


def way(at: str, *, verb: str = "apply", left_out: tuple[str, ...] = ()) -> Content:
    """The steps with the present one marked: ``✓ hazards · ▸ backup · plan · …``; those left out as ``–``."""
    parts = []
    place = WAY.index(at)
    for number, step in enumerate(WAY):
        if step in left_out:
            parts.append(faint(f"– {step}"))
        elif number == place:
            parts.append(strong(f"▸ {step}"))
        else:
            name = verb if step == "apply" else step
            parts.append(muted(f"✓ {name}") if number < place else faint(name))
    return faint(" · ").join(parts)


class Leading(Dialog[Go]):
    """What would be applied, its hazards with the sizes of tables, the backup; and how to go on."""

    DEAF = DEAF_FOR
    HELP = (
        "What would be applied and what it would hurt, by the sizes of the tables where it is going. Nothing "
        "has happened yet, and the plan comes next. Production wants a fresh backup that can be read, or a "
        "reason to go without, which stays in the journal."
    )
    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    Leading #ahead { max-height: 60vh; }
    Leading #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    Leading #because { height: 1; margin: 1 0 0 0; }
    Leading #because Words { width: auto; min-width: 27; }
    Leading Input { border: none; height: 1; padding: 0; width: 1fr; background: $panel; margin: 0 1; }
    Leading Input:focus { border: none; }
    """

    def __init__(self, outlook: Outlook, *, read_only: bool, verb: str = "Apply") -> None:
        """`verb`: what is done with the migrations: ``Apply``, ``Roll back``."""
        super().__init__()
        self._outlook, self._read_only, self._verb = outlook, read_only, verb

    @property
    def _lacking(self) -> bool:
        backup = self._outlook.backup
        return backup.needed and not backup.good

    def heading(self) -> str:
        """What it is about."""
        outlook = self._outlook
        where = f"to {outlook.environment}" if self._verb == "Apply" else f"on {outlook.environment}"
        return f"{self._verb} {plural(len(outlook.files), 'migration')} {where}"

    def content(self) -> Iterable[Widget]:
        """The way, what lies ahead, the backup, the answers."""
        left_out = () if self._outlook.backup.needed else ("backup",)
        at = "backup" if self._lacking else "plan"
        yield Words([way(at, verb=self._verb.lower(), left_out=left_out), Content("")])
        yield Words(outlook_lines(self._outlook), id="ahead", focusable=True)
        yield Words([Content(""), backup_line(self._outlook)], id="backup")
        answers = [Answer("Cancel", id="cancel")]
        if self._lacking and not self._read_only:
            yield Horizontal(
                Words([muted("or go without one, because")]),
                Input(id="reason", placeholder="the reason stays in the journal", select_on_focus=False),
                id="because",
            )
            answers += [
                Answer("Without a backup", id="without", disabled=True),
                Answer("Back up now", id="backup-now"),
            ]
        else:
            answers.append(Answer("Plan it", id="plan"))
        yield Horizontal(*answers, id="answers")

    def on_mount(self) -> None:
        """No answer is the answer at hand."""
        self.query_one("#cancel").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """A reason opens the way."""
        self.query_one("#without", Answer).disabled = len(event.value.strip()) < LEAST_REASON

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter confirms nothing: it leads to the answer once there is a reason."""
        answer = self.query_one("#without", Answer)
        if not answer.disabled:
            answer.focus()
            self._opened = time.monotonic()  # a key held down goes no further

    def on_answer_given(self, event: Answer.Given) -> None:
        """How to go on."""
        match event.answer.id:
            case "plan":
                self.dismiss(Go("plan"))
            case "backup-now":
                self.dismiss(Go("backup"))
            case "without":
                self.dismiss(Go("without", self.query_one("#reason", Input).value.strip()))
            case _:
                self.dismiss(None)


def outlook_lines(outlook: Outlook) -> list[Content]:
    """What lies ahead: each file with its hazards, the worst first."""
    kind = "production" if outlook.production else "other"
    lines = [
        Content.assemble(
            (f" {outlook.environment.upper()} ", f"$t-band-{kind}"),
            muted(f"  {outlook.branch} {commit(outlook.sha)}"),
        ),
        Content(""),
    ]
    for ahead in outlook.files:
        lines.append(
            Content.assemble(strong(ahead.title), muted(f"  {plural(ahead.statements, 'statement')}"))
        )
        lines += _hazards(ahead)
    if outlook.warnings:
        lines.append(Content(""))
    lines += [Content.assemble(("▲ ", "$t-warn"), line) for line in outlook.warnings]
    return lines


def _hazards(ahead: Ahead) -> list[Content]:
    looked = ahead.looked
    news = [one for one in looked.perils if one.level is not Level.OK and not one.allowed]
    news.sort(key=lambda one: (SEVERITY[one.level], one.line))
    lines = []
    for one in news[:SHOWN]:
        lines.append(
            Content.assemble(
                (f"  {GLYPH[one.level]}  ", STYLE[one.level]), muted(f"line {one.line}  "), one.what
            )
        )
        lines += [Content.assemble("     ", muted(line)) for line in one.more]
        if one.safe:
            lines.append(Content.assemble("     ", muted("safer: "), one.safe))
    if len(news) > SHOWN:
        lines.append(muted(f"    and {plural(len(news) - SHOWN, 'hazard')} more"))
    if not news and not looked.why:
        lines.append(Content.assemble("  ", ("●", STYLE[Level.OK]), muted(" no hazard was found")))
    allowed = sum(bool(one.allowed) for one in looked.perils)
    if allowed:
        lines.append(muted(f"    {plural(allowed, 'hazard')} allowed by a comment"))
    lines += [Content.styled(f"  ? {line}", "$t-unknown") for line in looked.why]
    return lines


def backup_line(outlook: Outlook) -> Content:
    """Whether a backup is there."""
    backup = outlook.backup
    if backup.good:
        return Content.assemble(muted("backup   "), ("● ", STYLE[Level.OK]), backup.told)
    if backup.needed:
        return Content.assemble(muted("backup   "), (f"✖ {backup.told}", "$t-fail"))
    return Content.assemble(muted(f"backup   – {backup.told}; none is asked for here"))


class Refusal(Dialog[str]):
    """Why it cannot be done, and what can be done instead. The answer is an id; None for nothing."""

    DEAF = DEAF_FOR
    HELP = "Why it is not done, whole. `escape` goes back."
    DEFAULT_CSS = """
    Refusal #why { max-height: 60vh; }
    Refusal #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    """

    def __init__(
        self, title: str, lines: Sequence[str], answers: Sequence[tuple[str, str]] = (), *, bad: bool = True
    ) -> None:
        super().__init__()
        self._title, self._said, self._offered, self._bad = title, list(lines), list(answers), bad

    def heading(self) -> str:
        """What it is about."""
        return self._title

    def content(self) -> Iterable[Widget]:
        """The reasons, the answers."""
        first, *rest = self._said or [""]
        mark = ("✖ ", "$t-fail") if self._bad else ("◌ ", "$t-muted")
        yield Words(
            [Content.assemble(mark, first), *(Content(f"  {line}") for line in rest)],
            id="why",
            focusable=True,
        )
        yield Horizontal(
            Answer("Cancel" if self._offered else "Close", id="cancel"),
            *(Answer(label, id=name) for name, label in self._offered),
            id="answers",
        )

    def on_mount(self) -> None:
        """Nothing is done."""
        self.query_one("#cancel").focus()

    def on_answer_given(self, event: Answer.Given) -> None:
        """That one."""
        self.dismiss(None if event.answer.id == "cancel" else event.answer.id)
