"""A running console takes up a change of its configuration; a broken file is told, and the old stays."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from muva_console.config.load import LoadedConfig, load, shown
from muva_console.ops.errors import ConfigError

INTERVAL = 1.0
"""Seconds between looks. Ours: a look is one stat, and nobody waits longer for a saved file."""
SETTLE = 0.15
"""Seconds that the file must rest before it is read: an editor empties it first and then writes it."""
GONE_AFTER = 3.0
"""Seconds until a missing file is told: editors that write beside and rename leave a gap."""

_Signature = tuple[int, int, int, int]


async def watch(
    loaded: LoadedConfig,
    on_change: Callable[[LoadedConfig], object],
    on_broken: Callable[[ConfigError], object],
    *,
    interval: float = INTERVAL,
    settle: float = SETTLE,
    gone_after: float = GONE_AFTER,
) -> None:
    """Look at the file for ever; ends by being cancelled.

    `on_change` gets a configuration that differs from the last good one, and the last good one again
    when a broken file was put right by putting it back. `on_broken` gets the mistakes, once for each
    broken version. Both are called in this event loop; what they raise ends the watch.
    """
    good = loaded
    seen: _Signature | None = None
    broken = ""
    missing_since: float | None = None
    while True:
        signature = await asyncio.to_thread(_signature, good.path)
        if signature is None:
            missing_since = missing_since or time.monotonic()
            if time.monotonic() - missing_since >= gone_after and broken != "gone":
                broken, seen = "gone", None
                on_broken(ConfigError("the file is gone; the last good one stays", where=shown(good.path)))
        elif signature != seen:
            missing_since = None
            await asyncio.sleep(settle)
            if await asyncio.to_thread(_signature, good.path) != signature:
                continue  # still being written
            seen = signature
            try:
                fresh = await asyncio.to_thread(load, good.path)
            except ConfigError as error:
                if await asyncio.to_thread(_signature, good.path) is None:
                    seen = None
                    continue  # renamed away under our hands
                told = "\n".join(error.lines())
                if told != broken:
                    broken = told
                    on_broken(error)
            else:
                if fresh.digest != good.digest or broken:
                    good, broken = fresh, ""
                    on_change(fresh)
        else:
            missing_since = None
        await asyncio.sleep(interval)


def _signature(path: Path) -> _Signature | None:
    """What changes when a file is written or replaced; None when it is not there.

    The inode tells a file that was renamed into place with an old time.
    """
    try:
        about = os.stat(path)  # noqa: PTH116 - one system call, of an open question
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ino, about.st_dev, about.st_size
