"""A deployment that leads itself: senses, acts in order, waits for what takes time, stops at what is wrong.

It asks nothing by itself: what an act is confirmed with, and where it is told, is its face's (the command
line; a job of its own). Whatever happens, the run is in the journal and is gone on with where the world is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from muva_console.ops.errors import ConfigError, LinkError, OpsError
from muva_console.ops.readings import Exit, Level, utc_now, worst
from muva_console.ops.runbooks.load import find_runbook
from muva_console.ops.runbooks.model import Runbook
from muva_console.ops.runbooks.run import Run, Word
from muva_console.ops.runbooks.standing import ItemView, RunView, State
from muva_console.ops.walking.moves import Move, Turn, for_a_person, next_move
from muva_console.ops.walking.runs import list_runs, read_run
from muva_console.ops.walking.walk import COMMIT, VERSION, Walk

if TYPE_CHECKING:
    from muva_console.ops.operations import Operation
    from muva_console.ops.workspace import Workspace

RECORD = "deploy-record"
"""The act that writes a deployment down, whatever became of it."""
PATIENCE = 3600.0
"""Seconds that something may stay as it is while it is waited for. Ours: an approval may take its time."""
SEEN_WITHIN = 60.0
"""Seconds within which the check must see what an act has done. Ours: GitHub's own delay is some seconds."""


class Face(Protocol):
    """How a led deployment is seen and confirmed."""

    async def act(self, item: ItemView, operation: Operation) -> str | None:
        """Plan it, have it confirmed, do it; what it ended with, or None where it was not done (told there).
        Raises OpsError where it cannot be planned or may not be done.
        """
        ...

    def settled(self, item: ItemView) -> None:
        """An item stands otherwise than it did: well, not well, to be waited for."""
        ...

    async def waits(self, item: ItemView, walk: Walk) -> None:
        """An item is waited for from now on: what it does may be shown until this is cancelled."""
        ...


class Ending(Struct, frozen=True, kw_only=True):
    """How it ended."""

    status: int
    """The exit status."""
    item: ItemView | None = None
    """Where it stopped; None where all was done."""
    why: str = ""
    next: str = ""
    view: RunView


class Leader:
    """Leads one walk to its end, or to where a person is needed."""

    def __init__(
        self,
        walk: Walk,
        face: Face,
        *,
        overrides: Mapping[str, str] | None = None,
        approve: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        """`overrides`: items that may be passed over when they are not well, each with the reason.
        `approve`: acts that are another's by role are done too.
        """
        self._walk, self._face = walk, face
        self._overrides = dict(overrides or {})
        self._approve = approve
        self._patience = patience
        self._left: set[str] = set()
        self._looked: set[str] = set()
        self._began = utc_now()
        self._told: dict[str, tuple[State, Level, str]] = {}
        self._acted: dict[str, float] = {}
        self._since: tuple[str, str, float] = ("", "", 0.0)

    async def lead(self) -> Ending:
        """Lead it. Raises JournalError where it cannot be recorded."""
        from muva_console.ops.walking.waiting import Waiting

        self._walk.start()
        try:
            async with Waiting(self._face, self._walk) as waiting, aclosing(self._walk.views()) as views:
                async for view in views:
                    self._tell(view)
                    move = next_move(view, left=self._left, approve=self._approve)
                    waiting.on(move.item if move.turn is Turn.WAIT else None)
                    ending = await self._turn(view, move)
                    if ending is not None:
                        return ending
            raise AssertionError
        finally:
            await self._walk.close()

    async def _turn(self, view: RunView, move: Move) -> Ending | None:
        item = move.item
        if item is None:
            return await self._end(view)
        if move.turn is Turn.STOP and self._looks_again(item):
            return None
        reason = self._overrides.pop(item.id, "") if move.turn in (Turn.STOP, Turn.WAIT) else ""
        if reason:
            await self._walk.answer(item.id, Word.OVERRIDDEN, note=reason)
            return None
        match move.turn:
            case Turn.ACT:
                return await self._act(view, item)
            case Turn.WAIT:
                return self._out_of_patience(view, item)
            case Turn.STOP:
                if item.red:
                    await self._record(view)
                return _stopped(view, item)
            case _:
                return None

    def _looks_again(self, item: ItemView) -> bool:
        """Whether what stops it was found before it began to lead, and is looked at again: somebody may have
        mended it since.
        """
        found = [finding.at for finding in item.findings]
        if not item.step.sensed or item.id in self._looked or not found or min(found) >= self._began:
            return False
        self._looked.add(item.id)
        self._walk.sense([item.id], again=True)
        return True

    async def _act(self, view: RunView, item: ItemView) -> Ending | None:
        done = self._acted.get(item.id)
        if done is not None:
            if time.monotonic() - done < SEEN_WITHIN:
                return None
            why = f"its act was done {SEEN_WITHIN:.0f} s ago, and its check does not see it: {item.summary}"
            return Ending(status=Exit.CANNOT_TELL, item=item, why=why, view=view)
        message = not item.step.sensed
        try:
            operation = await self._walk.operation(item.id)
            text = await self._face.act(item, operation)
        except OpsError as error:
            if message and _already(error):
                await self._walk.answer(item.id, Word.YES, note=error.what)
                return None
            if message:  # nothing depends on it: it is sent by hand
                self._left.add(item.id)
                return None
            self._walk.acted(item.id)
            if _already(error):
                self._acted[item.id] = time.monotonic()
                return None
            return _failed(view, item, error)
        if text is None:
            if not message:
                return Ending(status=Exit.BAD, item=item, why="not done", view=self._walk.view)
            self._left.add(item.id)
        elif message:
            await self._walk.answer(item.id, Word.YES, note=text)
        else:
            self._acted[item.id] = time.monotonic()
            self._walk.acted(item.id)
        return None

    async def _record(self, view: RunView) -> None:
        """Write down what has come to a bad end, where it has one: of what went well alone no figure can be
        made.
        """
        from muva_console.ops.deploys.acts import operation_for

        item = next((one for one in view.items if one.step.operation == RECORD and one.open), None)
        if item is None:
            return
        try:
            await self._face.act(item, await operation_for(RECORD, self._walk.context_of(item.step)))
        except OpsError:
            return

    def _out_of_patience(self, view: RunView, item: ItemView) -> Ending | None:
        name, summary, since = self._since
        now = time.monotonic()
        if (name, summary) != (item.id, item.summary):
            self._since = (item.id, item.summary, now)
            return None
        if now - since < self._patience:
            return None
        why = f"nothing has changed for {self._patience / 60:.0f} min: {item.summary}"
        return Ending(status=Exit.CANNOT_TELL, item=item, why=why, next=_next_of(item), view=view)

    async def _end(self, view: RunView) -> Ending:
        if not for_a_person(view) and view.run.ended_at is None:
            await self._walk.end()
        return Ending(status=Exit.OK, view=self._walk.view)

    def _tell(self, view: RunView) -> None:
        for item in view.items:
            if not (item.step.sensed or item.step.operation):
                continue
            if item.state in (State.NOT_ASKED, State.ASKING, State.WAITING, State.EXPIRED):
                continue
            if not item.open:  # done and seen: were it to be done anew, that is another act
                self._acted.pop(item.id, None)
            now = (item.state, item.level, item.summary)
            if self._told.get(item.id) != now:
                self._told[item.id] = now
                self._face.settled(item)


def _already(error: OpsError) -> bool:
    from muva_console.ops.deploys.deed import AlreadyError

    return isinstance(error, AlreadyError)


def _stopped(view: RunView, item: ItemView) -> Ending:
    status = Exit.BAD if item.red else Exit.CANNOT_TELL
    return Ending(status=status, item=item, why=item.summary, next=_next_of(item), view=view)


def _failed(view: RunView, item: ItemView, error: OpsError) -> Ending:
    status = Exit.CANNOT_TELL if isinstance(error, LinkError) else Exit.BAD
    why, *more = error.lines()
    return Ending(status=status, item=item, why=why, next=" ".join(more), view=view)


def _next_of(item: ItemView) -> str:
    return next((finding.next for finding in item.findings if finding.next), "")


# --- which run


def deployment_of(workspace: Workspace, environment: str) -> Runbook:
    """The runbook that deploys to an environment. Raises ConfigError where there is none."""
    production = workspace.config.environments[environment].production
    book = find_runbook(workspace.runbooks, "deploy-production" if production else "deploy-staging")
    if environment not in book.environments or workspace.previous(environment) is None:
        where = ", ".join(book.environments) or "no environment"
        raise ConfigError(f"nothing is deployed to {environment} from here: {book.id} is for {where}")
    return book


async def open_walk(
    workspace: Workspace, environment: str, *, version: str = "", anew: bool = False, run_id: str = ""
) -> tuple[Walk, bool]:
    """The walk to lead, and whether it was begun before: the run of that id, or the newest open one for
    the commit that goes out now, or that has begun to change something and is not red; else another.
    Raises OpsError.
    """
    if run_id:
        return await Walk.resume(workspace, run_id), True
    book = deployment_of(workspace, environment)
    if not anew:
        found = await open_run(workspace, environment, book, version)
        if found is not None:
            return await Walk.resume(workspace, found.id), True
    given = {VERSION: version} if version else None
    return await Walk.begin(workspace, book, environment, given=given), False


async def open_run(workspace: Workspace, environment: str, book: Runbook, version: str = "") -> Run | None:
    """The newest run of a deployment's runbook that is open and is to be gone on with; None where none is."""
    before = workspace.previous(environment)
    workspace.workshop.expire()
    heads = await workspace.workshop.heads()
    head = heads.get(workspace.config.environments[before or environment].branch, "")
    for one in await list_runs(workspace, environment=environment):
        if one.runbook.id != book.id or one.ended_at is not None:
            continue
        run = await read_run(workspace, one.id)
        if version and run.about.get(VERSION, "") != version:
            continue
        if run.about.get(COMMIT) == head or under_way(run):
            return run
    return None


def under_way(run: Run) -> bool:
    """Whether a run has begun to change something and nothing of it is red: it is to be seen to its end, also
    where another commit could go out by now.
    """
    levels = {
        item.step.id: worst(finding.level for finding in item.sensed.findings)
        for item in run.items
        if item.sensed is not None
    }
    done = any(
        levels.get(item.step.id) in (Level.OK, Level.WARN) for item in run.items if item.step.operation
    )
    return done and Level.FAIL not in levels.values()


def acts_left(view: RunView) -> Sequence[ItemView]:
    """The acts that are still to be done, in their order."""
    return [item for item in view.items if item.step.operation and item.open]
