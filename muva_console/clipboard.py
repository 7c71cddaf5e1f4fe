"""The clipboard from within a terminal, which may be three hosts away.

A terminal takes OSC 52; tmux drops it by default but hands a buffer on when asked (`load-buffer -w`,
tmux 3.2 and later). Neither answers, so what was done is said, and a file is offered.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

TMUX_TIMEOUT = 2.0
"""Seconds that tmux may take."""
OSC52_LIMIT = 74_994
"""Characters: what xterm's buffer of 100,000 bytes holds in base64."""


async def copy(app: App[Any], text: str, environ: Mapping[str, str] | None = None) -> str:
    """Put `text` on the clipboard; returns the way it went, in words."""
    environ = os.environ if environ is None else environ
    if environ.get("TMUX") and await _through_tmux(text):
        return "handed to tmux"
    if len(text) > OSC52_LIMIT:
        return f"written to {save(text)}, being too long for a terminal's clipboard"
    app.copy_to_clipboard(text)
    return "handed to the terminal (OSC 52)"


async def _through_tmux(text: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "load-buffer",
            "-w",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(TMUX_TIMEOUT):
            await process.communicate(text.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return process.returncode == 0


def save(text: str, *, folder: Path | None = None, name: str = "") -> Path:
    """Write `text` to a new file that only its owner can read; returns its path. Raises OSError.

    `name` is a file name of the program's own making, new each time; without it the time is the name.
    """
    if folder is None:
        folder = state_folder() / "copies"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = folder / (name or f"{stamp}.txt")
    return save_bytes((text if text.endswith("\n") else f"{text}\n").encode(), path)


def save_bytes(data: bytes, path: Path) -> Path:
    """Write to a new file that only its owner can read, its folder made; returns its path. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return path


def state_folder() -> Path:
    """The folder of what the console writes for its engineer."""
    import platformdirs

    return Path(platformdirs.user_state_dir("muva"))
