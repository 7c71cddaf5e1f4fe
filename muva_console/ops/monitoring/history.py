"""The history of all environments, kept in a file beside the journal; used from an event loop.

A history that cannot be written or read is told, and holds nothing up: looking goes on without it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.folder import Folder
from muva_console.ops.journal.thread import ClosedError, DatabaseThread, Job
from muva_console.ops.monitoring.looking_back import look_back
from muva_console.ops.monitoring.model import API, Budget, Measured, Past
from muva_console.ops.monitoring.rolling import DAY, Rolls
from muva_console.ops.monitoring.schema import FILE, connect
from muva_console.ops.text import sanitise_line

T = TypeVar("T")

TIMEOUT = 3.0
"""Seconds for one write or one look. Ours: a look takes milliseconds."""
BUDGET_DAYS = 30
"""Days that an error budget is told for. Ours: the usual window of a service level objective (Google SRE
workbook, "Implementing SLOs": four weeks)."""


class HealthHistory:
    """One file. Every method raises OpsError where it cannot be used."""

    def __init__(self, directory: Path, *, shared: bool = False, timeout: float = TIMEOUT) -> None:
        """Nothing is opened yet; `shared` as the journal's folder is made."""
        self.path = directory / FILE
        self._folder = Folder(directory, shared=shared)
        self._timeout = timeout
        self._connection: sqlite3.Connection | None = None
        self._rolls: Rolls | None = None
        self._pruned = float("-inf")
        self._thread = DatabaseThread("history", lambda: self._connection)

    async def add(self, samples: Sequence[Measured]) -> None:
        """Keep samples; when this returns they are written."""

        def work(_: Job[None]) -> None:
            rolls = self._open()
            rolls.add(samples)
            if time.monotonic() - self._pruned > DAY:
                self._pruned = time.monotonic()
                rolls.prune(time.time())

        if samples:
            await self._run(work, "written")

    async def past(
        self, environment: str, series: str, since: datetime, until: datetime, places: int = 60
    ) -> Past:
        """A window of one series, in `places` stretches. Raises ValueError for an empty one."""

        def work(_: Job[Past]) -> Past:
            self._open()
            assert self._connection is not None
            return look_back(self._connection, environment, series, since, until, places)

        return await self._run(work, "read")

    async def budget(self, environment: str, target: float, until: datetime) -> Budget:
        """What is left of the failures that `target` (0 to 1) allows over `BUDGET_DAYS` days."""
        past = await self.past(environment, API, until - timedelta(days=BUDGET_DAYS), until, 1)
        return Budget(target=target, days=BUDGET_DAYS, known=past.known, failed=past.failed)

    async def close(self) -> None:
        """Final; does not wait for a disk that hangs."""
        with suppress(TimeoutError, ClosedError):
            await self._thread.stop(lambda _: self._shut(), timeout=self._timeout)

    def _open(self) -> Rolls:
        if self._rolls is None:
            self._folder.make()
            if not self.path.exists():
                self._folder.make_file(self.path)
            self._connection = connect(self.path)
            self._rolls = Rolls(self._connection)
        return self._rolls

    def _shut(self) -> None:
        connection, self._connection, self._rolls = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    async def _run(self, work: Callable[[Job[T]], T], doing: str) -> T:
        def guarded(job: Job[T]) -> T:
            try:
                return work(job)
            except (sqlite3.Error, OSError):
                self._shut()
                raise

        try:
            return await self._thread.run(guarded, timeout=self._timeout)
        except TimeoutError as error:
            raise self._cannot(doing, f"no answer within {self._timeout:g} s") from error
        except OSError as error:
            raise self._cannot(doing, error.strerror or os.strerror(error.errno or 0)) from error
        except sqlite3.Error as error:
            raise self._cannot(doing, str(error)) from error
        except ClosedError as error:
            raise self._cannot(doing, "it is closed") from error

    def _cannot(self, doing: str, why: str) -> OpsError:
        return OpsError(
            f"the history cannot be {doing}: {sanitise_line(why, cap=200)}",
            where=str(self.path),
            means="how it stands now is looked at all the same; what is not kept is missing from the plots",
            next=f"Look at the disk (df -h {self.path.parent}); a damaged history may be moved away, it is "
            "begun anew.",
        )
