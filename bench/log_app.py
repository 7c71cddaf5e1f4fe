"""An application that shows a log fed at a steady rate, for measurements through a terminal.

``python -m bench.log_app RATE``: lines a second, from a thread of their own and from raw bytes, as in the
console; or ``python -m bench.log_app FILE``: the lines of a file as fast as they go. The key ``x`` draws
the next number, ``#1#``, ``#2#`` …, for the time that a key takes.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.css.stylesheet import Stylesheet
from textual.widgets import Static

from bench.log_lines import text
from muva_console.ops.logs.assemble import LineAssembler
from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.logs.model import Origin, Stream
from muva_console.widgets.log_panel import LogPanel
from muva_console.widgets.theme import DARK, THEMES


class LogApp(App[None]):
    """A panel over a buffer that a thread fills."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "#probe { dock: top; height: 1; }"
    BINDINGS = [Binding("x", "probe", priority=True)]  # noqa: RUF012

    def __init__(self, rate: int, file: Path | None = None) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.set_reactive(App.theme, DARK)
        self.stylesheet = Stylesheet(variables=self.get_css_variables())
        self.buffer = LogBuffer() if file is None else LogBuffer(1_000_000, max_bytes=1 << 40)
        self.file = file
        self.rate = rate
        self.keys = 0

    def compose(self) -> ComposeResult:
        yield Static("#0#", id="probe", markup=False)
        yield LogPanel(self.buffer)

    def on_mount(self) -> None:
        self.query_one(LogPanel).view.focus()
        threading.Thread(target=self._write, daemon=True).start()

    def action_probe(self) -> None:
        self.keys += 1
        self.query_one("#probe", Static).update(f"#{self.keys}#", layout=False)

    def _write(self) -> None:
        assembler = LineAssembler(Origin("vps", "muva-production", Stream.OUT))
        if self.file is not None:
            with self.file.open("rb") as source:
                while data := source.read(65536):
                    self.buffer.append(assembler.feed(data))
            return
        written, began = 2000, time.monotonic()
        self.buffer.append(assembler.feed(text(0, written)))
        while self.rate:
            time.sleep(0.1)
            due = 2000 + int((time.monotonic() - began) * self.rate)
            if due > written:
                self.buffer.append(assembler.feed(text(written, due - written).encode()))
                written = due


if __name__ == "__main__":
    argument = sys.argv[1]
    (LogApp(int(argument)) if argument.isdigit() else LogApp(0, Path(argument))).run()
