"""Fill one kind of log with lines and tell seconds and memory as JSON: a process of its own a measurement.

``python -m bench.log_fill ours|Log|RichLog LINES``
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import psutil
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import Log, RichLog

from bench.log_lines import text
from muva_console.ops.logs.assemble import LineAssembler
from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.logs.model import Origin, Stream
from muva_console.widgets.log_view import LogView

BATCH = 2000


class _App(App[None]):
    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


async def fill(kind: str, lines: int) -> dict[str, float]:
    """Seconds spent on the lines themselves (making them is not counted), and megabytes grown.

    Processor seconds: what else runs on the machine should not count.
    """
    ring = LogBuffer(lines, max_bytes=1 << 40)
    widget: Widget = LogView(ring) if kind == "ours" else Log() if kind == "Log" else RichLog()
    app = _App(widget)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        before = psutil.Process().memory_info().rss
        assembler = LineAssembler(Origin("vps", "muva-production", Stream.OUT))
        spent = 0.0
        for start in range(0, lines, BATCH):
            written = text(start, BATCH)
            data = written.encode()
            began = time.process_time()
            if isinstance(widget, LogView):
                ring.append(assembler.feed(data))  # from raw bytes: cut, cleaned, parsed, kept
            elif isinstance(widget, Log):
                widget.write_lines(written.splitlines())
            elif isinstance(widget, RichLog):
                for line in written.splitlines():
                    widget.write(line)
            await asyncio.sleep(0)
            spent += time.process_time() - began
        began = time.process_time()
        if isinstance(widget, LogView):
            while not (widget.status.total == lines and widget.caught_up):
                await asyncio.sleep(0.005)
        await pilot.pause()
        spent += time.process_time() - began
        return {"seconds": spent, "MB": (psutil.Process().memory_info().rss - before) / 1e6}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fill(sys.argv[1], int(sys.argv[2])))))
