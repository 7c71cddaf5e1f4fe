"""Questions and answers over a screen: in the middle, calm, and deaf at first.

Keys typed ahead, or held down, were meant for what was there before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from muva_console.widgets.bars import KeyBar
from muva_console.widgets.fit import WIDTHS, wrapped
from muva_console.widgets.panel import Panel

T = TypeVar("T")

DEAF_FOR = 0.4
"""Seconds after opening in which a question takes no key but escape: a key held down, or typed ahead, was
meant for something else (lazygit #4649: an auto-repeat confirmed a force-push)."""


class Dialog(ModalScreen[T | None], Generic[T]):
    """A framed box over the mode in sight."""

    DEAF = 0.0
    """Seconds in which keys are not taken."""
    YIELDS = False
    """Whether it gives way to an emergency: it only shows something, and nothing is asked or under way."""

    HORIZONTAL_BREAKPOINTS = WIDTHS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "back", id="dialog.close", tooltip="Close this, change nothing"),
        Binding("ctrl+q", "app.quit", "leave", show=False, id="dialog.quit"),
        Binding("exclamation_mark", "emergency", "emergency", show=False, id="dialog.emergency"),
    ]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog #box {
        width: 90%; max-width: 110; height: auto; max-height: 92%;
        background: $surface; border: round $line-focus; padding: 0 1;
    }
    .-ansi-theme Dialog #box { background: ansi_default; }
    .-ascii Dialog #box { border: ascii $line-focus; }
    Dialog #box Panel { background: $surface; }
    .-ansi-theme Dialog #box Panel { background: ansi_default; }
    Dialog #box KeyBar { background: $surface; margin: 1 0 0 0; dock: none; }
    .-ansi-theme Dialog #box KeyBar { background: ansi_default; }
    Dialog.-narrow #box { width: 100%; max-height: 100%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._opened = time.monotonic()
        self._answered = False

    @property
    def deaf(self) -> bool:
        """Whether the keys typed now were meant for something else."""
        return time.monotonic() - self._opened < self.DEAF

    def takes(self, key: str, at: float) -> bool:
        """Whether a key that was pressed at `at` (monotonic seconds) is meant for this.

        Measured by when it was pressed: a console that was busy gets keys late, and all at once. Enter that
        is held down goes on not being taken: nothing is confirmed before it was let go.
        """
        if not self.DEAF or at - self._opened >= self.DEAF:
            return True
        if key == "enter":
            self._opened = max(self._opened, at)
        return False

    def heading(self) -> str:
        """What stands in the frame."""
        return ""

    def content(self) -> Iterable[Widget]:
        """What stands in the box."""
        return ()

    def compose(self) -> ComposeResult:
        """The box, with its keys at the bottom."""
        box = Container(*self.content(), KeyBar(), id="box")
        box.border_title = Content.styled(self.heading(), "$t-strong")
        yield box

    def on_mount(self) -> None:
        """The time in which no key counts begins when the dialog is in sight."""
        self._opened = time.monotonic()

    def action_close(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

    async def action_emergency(self) -> None:
        """Give way: close, and look what is wrong. Where something is asked or under way it stays."""
        if self.YIELDS:
            self.dismiss(None)
            self.app.call_later(self.app.run_action, "emergency")
        else:
            self.app.bell()

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close with an answer, once: a key pressed twice answers nothing that comes after."""
        if self._answered:
            return AwaitComplete()
        self._answered = True
        return super().dismiss(result)


class Words(Panel):
    """Lines without a frame, as high as they are long."""

    DEFAULT_CSS = """
    Words, Words:focus { border: none; padding: 0; height: auto; max-height: 60vh; }
    """

    def __init__(
        self, lines: Sequence[Content] = (), *, id: str | None = None, focusable: bool = False
    ) -> None:
        super().__init__(id=id)
        self._given = list(lines)
        self.can_focus = focusable

    def say_if_changed(self, lines: Sequence[Content]) -> None:
        """Show other lines where they are others: for what is looked at again and again."""
        alike = len(lines) == len(self._given) and all(
            one.is_same(other) for one, other in zip(lines, self._given, strict=True)
        )
        if not alike:
            self.say(lines)

    def say(self, lines: Sequence[Content]) -> None:
        """Show other lines."""
        self._given = list(lines)
        if self.is_mounted:
            self.redraw()
            self.refresh(layout=True)

    def build(self, width: int) -> Sequence[Content]:
        """The lines, wrapped."""
        return wrapped(self._given, width)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """As many rows as the lines take when wrapped."""
        return len(wrapped(self._given, width))
