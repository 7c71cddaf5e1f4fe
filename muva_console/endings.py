"""How the console ends, and how failures are told: cleanly on a hang-up, and never with anybody's secrets."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.text import Text

from muva_console.ops.errors import OpsError
from muva_console.ops.text import sanitise, sanitise_line

if TYPE_CHECKING:
    from textual.app import App

GRACE = 4.0
"""Seconds that an orderly end may take after a hang-up. Ours: Textual's takes 0.2 s; a terminal that does not
read holds the event loop for ever, and then the process ends without it."""


def listen(app: App[None]) -> None:
    """End the application in order on SIGHUP and SIGTERM.

    Textual leaves both to their defaults, which skip every `finally` and leave the terminal raw. The
    handlers are plain ones, not the event loop's: a terminal that takes no more output blocks the loop,
    while Python's handlers still run. When the loop does not end within `GRACE` the process does.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    ending = False
    _gone.clear()

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal ending
        if ending:
            return
        ending = True
        threading.Thread(target=_watchdog, args=(number,), name="hang-up", daemon=True).start()
        try:
            loop.call_soon_threadsafe(lambda: app.exit(return_code=128 + number))
        except RuntimeError:  # the loop has ended already
            return

    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, end)


_gone = threading.Event()


def _watchdog(number: int) -> None:
    if not _gone.wait(GRACE):
        os._exit(128 + number)


def screen_is_gone() -> None:
    """The application has ended: what follows (closing links, the journal) has its own bounds."""
    _gone.set()


def describe(what: str, error: BaseException, redact: Callable[[str], str]) -> tuple[str, str]:
    """A notice's title and text for a failure."""
    if isinstance(error, OpsError):
        return "", redact("\n".join(error.lines()))
    place = traceback.extract_tb(error.__traceback__)[-1:] or None
    where = f"\n{place[0].name} in {Path(place[0].filename).name}:{place[0].lineno}" if place else ""
    text = sanitise_line(str(error), cap=300)
    return (
        f"A defect in the console ({what})",
        redact(f"{type(error).__name__}: {text}{where}\nThe console goes on; please report this."),
    )


def crash_report(redact: Callable[[str], str]) -> Text:
    """The traceback of the exception being handled, without local variables, redacted, harmless."""
    kind, error, trace = sys.exc_info()
    lines = traceback.format_exception(kind, error, trace) if kind is not None else ["no exception\n"]
    head = "muva ended because of a defect. Nothing that runs on a host was stopped by it.\n\n"
    return Text(redact(sanitise(head + "".join(lines))))
