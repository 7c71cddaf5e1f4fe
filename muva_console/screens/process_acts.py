"""From a key on a process to the plan of an act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from muva_console.ops.errors import OpsError
from muva_console.ops.pm2.model import Process
from muva_console.ops.process_operations import Action, memory_limit
from muva_console.screens.acting import act
from muva_console.widgets.dialog import Dialog, Words
from muva_console.widgets.format import size
from muva_console.widgets.level import muted

if TYPE_CHECKING:
    from muva_console.app import MuvaApp


async def begin(app: MuvaApp, environment: str, process: Process, action: Action) -> None:
    """Ask what must be asked, plan, confirm, perform."""
    limit: int | None = None
    if action is Action.MEMORY_LIMIT:
        limit = await app.push_screen_wait(LimitDialog(process))
        if limit is None:
            return
    of = app.workspace.environments[environment]
    operation = of.process_operation(action, process.host, process.name, pm_id=process.pm_id, limit=limit)
    await act(app, operation)


class LimitDialog(Dialog[int]):
    """Asks for a memory limit; the answer is bytes."""

    HELP = (
        "A size such as `512M` or `1.5G`. PM2 restarts the process when it takes more; it looks every 30 s."
    )
    DEFAULT_CSS = """
    LimitDialog #box { max-width: 70; }
    LimitDialog Input { border: none; height: 1; padding: 0 1; background: $panel; }
    LimitDialog Input:focus { border: none; }
    """

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    def heading(self) -> str:
        """The question."""
        return f"Memory limit of {self._process.name}"

    def content(self) -> Iterable[Widget]:
        """What it is now, and the field."""
        process = self._process
        now = size(process.memory_limit) if process.memory_limit else "none"
        yield Words(
            [Content.assemble(muted("now "), now, muted("   uses "), size(process.own_memory)), Content("")]
        )
        value = f"{round(process.memory_limit / 1024**2)}M" if process.memory_limit else "1G"
        yield Input(value, id="limit", select_on_focus=True)
        yield Words([Content("")], id="mistake")

    def on_mount(self) -> None:
        """Ready to type."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A size, or what is wrong with it."""
        try:
            self.dismiss(memory_limit(event.value))
        except OpsError as error:
            self.query_one("#mistake", Words).say([Content.styled(line, "$t-warn") for line in error.lines()])
