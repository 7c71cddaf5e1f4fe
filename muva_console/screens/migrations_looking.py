"""What was read of migrations that somebody stood before: each once, as long as it is the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import structs

from muva_console.ops.errors import OpsError
from muva_console.ops.migrations.matrix import Matrix, Row
from muva_console.screens.migrations_read import Judged, Looked, Seen, judge_going, look, look_into

if TYPE_CHECKING:
    from muva_console.app import MuvaApp

KEPT = 60
"""Migrations that are remembered. Ours."""
PAUSE = 0.12
"""Seconds that the cursor rests before a migration is read: who holds an arrow down reads none. Ours."""


class Looking:
    """Reads what is under the cursor, one at a time, and remembers it."""

    def __init__(self, app: MuvaApp, changed: Callable[[], None]) -> None:
        """`changed` is called when something was read."""
        self._app, self._changed = app, changed
        self._seen: OrderedDict[object, Seen] = OrderedDict()
        self._judged: dict[object, Judged | OpsError] = {}
        self._asked: object = None

    def seen(self, matrix: Matrix, row: Row, environment: str) -> Seen | None:
        """What is known of a row; what is not is asked for."""
        key = _key(matrix, row, environment)
        found = self._seen.get(key)
        if found is not None:
            self._seen.move_to_end(key)
        if (found is None or found.looked is None) and self._asked != key:
            self._asked = key
            self._app.work_on(
                f"reading {row.title}",
                lambda: self._read(key, matrix, row, environment),
                group="migrations.look",
                exclusive=True,
            )
        return found

    async def _read(self, key: object, matrix: Matrix, row: Row, environment: str) -> None:
        app = self._app
        workspace = app.workspace
        try:
            if key not in self._seen:
                await asyncio.sleep(PAUSE)
                self._keep(key, await app.ask_ops(lambda: look(workspace, matrix, row, environment)))
            seen = self._seen[key]
            detail = seen.detail
            if detail is None:
                return
            judged = await self._judge(matrix, environment)
            if isinstance(judged, OpsError):
                looked = Looked(why=tuple(judged.lines()))
            else:
                looked = await app.ask_ops(lambda: look_into(workspace, judged, detail))
            self._keep(key, structs.replace(seen, looked=looked))
        finally:
            if self._asked == key:
                self._asked = None

    async def _judge(self, matrix: Matrix, environment: str) -> Judged | OpsError:
        """The hazards of what is going to the environment: once, while the same goes to the same."""
        app = self._app
        workspace = app.workspace
        column = matrix.columns[matrix.place(environment)]
        key = (
            environment,
            column.applied,
            column.highest,
            tuple(sorted(matrix.heads.items())),
            column.reachable,
        )
        if key not in self._judged:
            self._judged.clear()
            try:
                self._judged[key] = await app.ask_ops(lambda: judge_going(workspace, environment))
            except OpsError as error:
                return error
        return self._judged[key]

    def _keep(self, key: object, seen: Seen) -> None:
        self._seen[key] = seen
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        self._changed()


def _key(matrix: Matrix, row: Row, environment: str) -> object:
    """The same as long as the row is, and the file's branch."""
    return (environment, row, tuple(sorted(matrix.heads.items())))
