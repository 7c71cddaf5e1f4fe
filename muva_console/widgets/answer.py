"""An answer to a question: a word that takes the focus, and Enter or a click as yes to it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget


class Answer(Widget, can_focus=True):
    """One line; plain, reversed while it has the focus, dim while it cannot be chosen."""

    DEFAULT_CSS = """
    Answer { width: auto; height: 1; margin: 0 0 0 2; background: $panel; color: $foreground; }
    Answer:focus { background: $foreground; color: $background; text-style: bold; }
    Answer:disabled { color: $line-focus; opacity: 1; }
    .-ansi-theme Answer { background: ansi_default; color: ansi_default; }
    .-ansi-theme Answer:focus { text-style: bold reverse; }
    .-ansi-theme Answer:disabled { text-style: dim; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "answer", "answer", key_display="enter", id="answer", tooltip="Give this answer"),
        Binding("right,left", "app.focus_next", "the other", show=False, id="answer.next"),
    ]

    class Given(Message):
        """The answer was given."""

        def __init__(self, answer: Answer) -> None:
            super().__init__()
            self.answer = answer

        @property
        def control(self) -> Answer:
            """The answer."""
            return self.answer

    def __init__(self, label: str, *, id: str, disabled: bool = False) -> None:
        super().__init__(id=id, disabled=disabled)
        self._label = label

    def render(self) -> Content:
        """The word, with room around it; brackets tell it apart where there is no background."""
        return Content(f"[ {self._label} ]")

    def action_answer(self) -> None:
        """Give the answer."""
        self.post_message(self.Given(self))

    def on_click(self, event: Click) -> None:
        """A click gives it."""
        self.action_answer()
