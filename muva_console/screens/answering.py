"""The questions of a checklist: what is said of an item, a message to send by hand, whether to begin or end.

All of them are deaf at first, and Enter held down confirms nothing: it leads from the field to the answer and
is not taken there before it was let go.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.runbooks.run import NEEDS_REASON, Word
from muva_console.ops.runbooks.standing import ItemView
from muva_console.screens.checklist_text import item_mark
from muva_console.screens.frame import CopyItem
from muva_console.widgets.answer import Answer
from muva_console.widgets.dialog import DEAF_FOR, Dialog, Words
from muva_console.widgets.level import muted, strong

_LABEL: dict[Word, str] = {
    Word.YES: "Yes",
    Word.NO: "No",
    Word.OVERRIDDEN: "Override",
    Word.NOT_APPLICABLE: "Not applicable",
    Word.HANDED: "Hand on",
    Word.WITHDRAWN: "Withdraw",
}
_MEANS: dict[Word, str] = {
    Word.OVERRIDDEN: "It counts as passed over. The reason stays in sight beside the verdict.",
    Word.NOT_APPLICABLE: "It no longer counts. The reason stays in sight beside the verdict.",
    Word.HANDED: "It stays open, in that person's name, until it is answered.",
    Word.WITHDRAWN: "What was said before no longer counts; it stays in the journal.",
    Word.NO: "A no makes the verdict NO-GO.",
}


class Reply(NamedTuple):
    """What was said, before it is written down."""

    word: Word
    note: str = ""
    to: str = ""


class Saying(Dialog[Reply]):
    """Asks for one item's answer, its note or reason, and to whom it is handed. None for nothing said."""

    DEAF = DEAF_FOR
    HELP = (
        "What you say is written to the journal in your name. Type the note; `enter` leads to the answer, "
        "`←` `→` choose among answers, `enter` there gives it. `escape` says nothing."
    )
    DEFAULT_CSS = """
    Saying #box { max-width: 92; }
    Saying Input { border: none; height: 1; padding: 0; width: 1fr; background: $panel; margin: 0 1; }
    Saying Input:focus { border: none; }
    Saying .field { height: 1; margin: 1 0 0 0; }
    Saying .field Words { width: 10; }
    Saying #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    """

    def __init__(
        self,
        item: ItemView,
        words: Sequence[Word],
        *,
        reply: Reply | None = None,
        mistake: Sequence[str] = (),
    ) -> None:
        """`words` are the answers offered, the likeliest last; `reply` was refused because of `mistake`."""
        super().__init__()
        self._item, self._offered = item, tuple(words)
        self._reply, self._mistake = reply, tuple(mistake)

    def heading(self) -> str:
        """The item."""
        return self._item.step.title

    def content(self) -> Iterable[Widget]:
        """The question, the fields, the answers."""
        item, offered = self._item, self._offered
        question = item.step.attest if item.step.attest and Word.YES in offered else item.summary
        lines = [Content.assemble(item_mark(item), "  ", strong(question))]
        if item.step.why:
            lines.append(muted(item.step.why))
        means = [_MEANS[word] for word in offered if word in _MEANS]
        if len(offered) == 1 and means:
            lines += [Content(""), Content(means[0])]
        yield Words(lines)
        if Word.HANDED in offered:
            to = self._reply.to if self._reply is not None else ""
            yield Horizontal(Words([muted("to")]), Input(to, id="to", select_on_focus=False), classes="field")
        needed = all(word in NEEDS_REASON for word in offered)
        label = "reason" if needed else "note"
        hint = "" if needed else "a no needs its reason here" if Word.NO in offered else "may stay empty"
        note = self._reply.note if self._reply is not None else ""
        yield Horizontal(
            Words([muted(label)]),
            Input(note, placeholder=hint, id="note", select_on_focus=False),
            classes="field",
        )
        yield Words([Content.styled(line, "$t-warn") for line in self._mistake], id="mistake")
        yield Horizontal(
            Answer("Cancel", id="cancel"),
            *(Answer(_LABEL[word], id=f"say-{word.value}") for word in offered),
            id="answers",
        )

    def on_mount(self) -> None:
        """Ready to type."""
        self.query(Input).first().focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter confirms nothing: it leads on, to the next field or to the answer."""
        if event.input.id == "to":
            self.query_one("#note", Input).focus()
        else:
            self.query_one(f"#say-{self._offered[-1].value}", Answer).focus()
        self._opened = time.monotonic()  # a key held down goes no further

    def on_answer_given(self, event: Answer.Given) -> None:
        """Take it, when nothing is missing."""
        if event.answer.id == "cancel":
            self.dismiss(None)
            return
        word = next(word for word in self._offered if event.answer.id == f"say-{word.value}")
        note = self.query_one("#note", Input).value.strip()
        to = self.query_one("#to", Input).value.strip() if word is Word.HANDED else ""
        if word in NEEDS_REASON and not note:
            self._missing("#note", f"“{_LABEL[word].lower()}” needs a reason: it stays in sight.")
        elif word is Word.HANDED and not to:
            self._missing("#to", "To whom? Give a name.")
        else:
            self.dismiss(Reply(word, note, to))

    def _missing(self, field: str, text: str) -> None:
        self.query_one("#mistake", Words).say([Content.styled(text, "$t-warn")])
        self.query_one(field, Input).focus()
        self._opened = time.monotonic()


class Asking(Dialog[str]):
    """A question with a few answers; the answer is one's id, None for cancel, where the focus is."""

    DEAF = DEAF_FOR
    HELP = "`←` `→` choose an answer, `enter` gives it, `escape` changes nothing."
    DEFAULT_CSS = """
    Asking #box { max-width: 92; }
    Asking #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    """

    def __init__(
        self,
        title: str,
        lines: Sequence[Content],
        answers: Sequence[tuple[str, str]],
        *,
        focus: str = "cancel",
    ) -> None:
        """`answers` are ids and labels; `focus` is the id of the answer at hand."""
        super().__init__()
        self._title, self._said, self._answers, self._at_hand = title, list(lines), list(answers), focus

    def heading(self) -> str:
        """What it is about."""
        return self._title

    def content(self) -> Iterable[Widget]:
        """The question and the answers."""
        yield Words(self._said)
        yield Horizontal(
            Answer("Cancel", id="cancel"),
            *(Answer(label, id=name) for name, label in self._answers),
            id="answers",
        )

    def on_mount(self) -> None:
        """The answer at hand."""
        self.query_one(f"#{self._at_hand}", Answer).focus()

    def on_answer_given(self, event: Answer.Given) -> None:
        """That one."""
        self.dismiss(None if event.answer.id == "cancel" else event.answer.id)


class ByHand(Dialog[bool]):
    """A message that the console cannot send: shown, to be copied, and attested once it is sent."""

    DEAF = DEAF_FOR
    HELP = "`y` copies the message. Send it, then go to the answer with `→` and press `enter`."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy the message", id="by_hand.copy", tooltip="Copy the message"),
    ]
    DEFAULT_CSS = """
    ByHand #message { max-height: 50vh; background: $panel; padding: 0 1; margin: 1 0 0 0; }
    ByHand #message:focus { padding: 0 1; }
    ByHand #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    """

    def __init__(self, title: str, text: str, why: Sequence[str]) -> None:
        super().__init__()
        self._title, self._text, self._why = title, text, tuple(why)

    def heading(self) -> str:
        """The item."""
        return self._title

    def content(self) -> Iterable[Widget]:
        """Why by hand, the message, the answers."""
        yield Words([muted(line) for line in self._why])
        yield Words([Content(line) for line in self._text.splitlines()], id="message", focusable=True)
        yield Horizontal(Answer("Cancel", id="cancel"), Answer("It is sent", id="sent"), id="answers")

    def on_mount(self) -> None:
        """Nothing is sent yet."""
        self.query_one("#cancel", Answer).focus()

    def on_answer_given(self, event: Answer.Given) -> None:
        """Whether it was sent."""
        self.dismiss(event.answer.id == "sent")

    def action_copy(self) -> None:
        """Copy the message."""
        from muva_console.screens.copying import copy_text

        self.app.run_worker(copy_text(self.app, CopyItem("the message", self._text)))
