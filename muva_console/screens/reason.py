"""A question for a reason: nothing is done without one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.widgets.answer import Answer
from muva_console.widgets.dialog import DEAF_FOR, Dialog, Words
from muva_console.widgets.level import muted


class Reason(Dialog[str]):
    """Asks why; the answer is None for nothing said, and never empty."""

    DEAF = DEAF_FOR
    HELP = "Type the reason; `enter` leads to the answer, `escape` changes nothing. It is written down."
    DEFAULT_CSS = """
    Reason #box { max-width: 92; }
    Reason Input { border: none; height: 1; padding: 0; width: 1fr; background: $panel; margin: 0 1; }
    Reason Input:focus { border: none; }
    Reason .field { height: 1; margin: 1 0 0 0; }
    Reason .field Words { width: 10; }
    Reason #answers { height: 1; margin: 1 0 0 0; align-horizontal: right; }
    """

    def __init__(
        self, title: str, lines: Sequence[str], *, field: str = "reason", answer: str = "Go on to the plan"
    ) -> None:
        super().__init__()
        self._title, self._said = title, tuple(lines)
        self._field, self._answer = field, answer

    def heading(self) -> str:
        """What is asked about."""
        return self._title

    def content(self) -> Iterable[Widget]:
        """What is so, the field, the answers."""
        yield Words([Content(line) for line in self._said])
        yield Horizontal(
            Words([muted(self._field)]), Input(id="reason", select_on_focus=False), classes="field"
        )
        yield Horizontal(
            Answer("Cancel", id="cancel"), Answer(self._answer, id="go", disabled=True), id="answers"
        )

    def on_mount(self) -> None:
        """Ready to type."""
        self.query_one("#reason", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The way is open once there is a reason."""
        self.query_one("#go", Answer).disabled = not event.value.strip()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter confirms nothing: it leads to the answer."""
        answer = self.query_one("#go", Answer)
        if not answer.disabled:
            answer.focus()
            self._opened = time.monotonic()

    def on_answer_given(self, event: Answer.Given) -> None:
        """The reason, or nothing."""
        given = event.answer.id == "go"
        self.dismiss(self.query_one("#reason", Input).value.strip() if given else None)
