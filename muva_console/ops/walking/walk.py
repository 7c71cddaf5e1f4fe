"""One engineer's walk through a run: what is sensed, what is answered, and what colleagues do meanwhile.

The run is in the journal; this follows it there, so that two people on one run see the same. What has been
found or said is written before it is shown as such. Lives in the event loop of the ops.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.errors import JournalError
from muva_console.ops.journal.model import Draft, Filter
from muva_console.ops.journal.store import new_act
from muva_console.ops.readings import Finding, utc_now
from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import (
    KINDS,
    Item,
    Run,
    RunKind,
    Sensed,
    Word,
    answered_data,
    begun_data,
    fold,
    sensed_data,
    subject,
)
from muva_console.ops.runbooks.saying import may_say
from muva_console.ops.runbooks.standing import RunView, State, ready, stand, summary_of
from muva_console.ops.text import sanitise_line
from muva_console.ops.walking.basis import read_basis
from muva_console.ops.walking.looking import HOTFIX, Look, look
from muva_console.ops.walking.once import about_of, steps_for
from muva_console.ops.walking.runs import read_run
from muva_console.ops.walking.sensing import sense

if TYPE_CHECKING:
    from muva_console.ops.checks import CheckContext
    from muva_console.ops.journal.model import Entry
    from muva_console.ops.operations import Operation
    from muva_console.ops.workspace import Workspace

FOLLOW_EVERY = 0.5
"""Seconds between looks for what colleagues wrote: they are seen within two, as asked."""
BASIS_EVERY = 30.0
"""Seconds between looks whether what the items hang on has changed (a fetch, the health document). Ours."""
BASIS_TIMEOUT = 20.0
DRAW_EVERY = 0.1
"""Seconds between two views handed on, at least: output that comes fast is drawn ten times a second."""
NOT_SOONER = 5.0
"""Seconds until an item of an ordered runbook that expires at once is sensed again by itself. Ours."""
WRITE_EVERY = 60.0
"""Seconds after which a finding that stays as it was is written down again, where it is asked again and
again. Ours: a run of ten minutes is ten entries."""
COMMIT, VERSION = "commit", "version"
"""What `Run.about` calls the commit that a run of an ordered runbook is for, and the version asked for."""
GIVEN = (VERSION, HOTFIX, "summary", "incident")
NOTE_CAP = 2000
TAIL = 60
"""Lines of output kept in sight of an item that is being sensed; all of them are in the kept output."""


class OvertakenError(OpsError):
    """Somebody else answered the item meanwhile."""


class Walk:
    """A run in hand. Close it at the end; the run stays as it is."""

    def __init__(
        self,
        workspace: Workspace,
        run: Run,
        *,
        now: Callable[[], datetime] = utc_now,
        follow_every: float = FOLLOW_EVERY,
        basis_every: float = BASIS_EVERY,
    ) -> None:
        """`begin` and `resume` make one."""
        self._workspace = workspace
        self._run = run
        self._now = now
        self._follow_every, self._basis_every = follow_every, basis_every
        self._basis: dict[str, str] = {}
        self._basis_error = ""
        self._journal_error = ""
        self._sensing: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, str] = {}
        self._tail: dict[str, deque[str]] = {}
        self._quiet: set[str] = set()
        """Items that are asked again by themselves: what was found of them stays in sight meanwhile."""
        self._looked: dict[str, float] = {}
        """When items were sensed last by this walk, on the monotonic clock."""
        self._kept: dict[str, float] = {}
        """Likewise, when that was written down."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._version = 0
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._basis_read = asyncio.Event()
        self._look_again = asyncio.Event()

    @classmethod
    async def begin(
        cls,
        workspace: Workspace,
        runbook: Runbook,
        environment: str,
        *,
        given: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Walk:
        """Begin a run: it is in the journal when this returns. Raises JournalError, and OpsError when the
        runbook is not for that environment.

        A run of an ordered runbook is for the commit that goes out now, whatever is pushed meanwhile. `given`
        is told to every check and operation (``version``).
        """
        steps_for(runbook, environment)
        about = about_of(workspace, environment) | dict(given or {})
        if runbook.ordered:
            about |= await _commit(workspace, environment)
        entry = await workspace.journal.append(
            Draft(
                kind=RunKind.BEGUN,
                subject=subject(runbook.id),
                text=f"{runbook.title}: begun",
                environment=environment,
                data=begun_data(runbook, environment, about),
                act=new_act(),
            )
        )
        run = fold([entry])
        assert run is not None
        return cls(workspace, run, **options)

    @classmethod
    async def resume(cls, workspace: Workspace, run_id: str, **options: Any) -> Walk:
        """Go on with a run of this journal, whoever began it. Raises JournalError, and OpsError when there is
        no such run.
        """
        return cls(workspace, await read_run(workspace, run_id), **options)

    # --- what is known

    @property
    def run(self) -> Run:
        """The run as far as it was read."""
        return self._run

    @property
    def view(self) -> RunView:
        """How it stands now."""
        notice = " · ".join(text for text in (self._journal_error, self._basis_error) if text)
        return stand(
            self._run,
            self._now(),
            basis=self._basis,
            asking=self._sensing.keys() - self._quiet,
            progress=self._progress,
            tail=self._tail,
            notice=notice,
        )

    async def views(self) -> AsyncGenerator[RunView, None]:
        """The newest view now and whenever something changes, and once a second for what expires; never ends
        by itself.
        """
        seen = -1
        while True:
            seen, self._changed = self._version, asyncio.Event()
            yield self.view
            await asyncio.sleep(DRAW_EVERY)
            if self._version == seen:
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._changed.wait()

    # --- living

    def start(self, *, sense: bool = True) -> None:
        """Follow the journal and what the items hang on; `sense` what was not sensed or has expired."""
        self._spawn(self._follow(), "follow")
        self._spawn(self._watch_basis(), "basis")
        if not sense or self._run.ended_at is not None:
            return
        if not self._run.runbook.ordered:
            self.sense()
        if self._run.runbook.ordered or any(item.step.again for item in self._run.items):
            self._spawn(self._go_on(), "go on")

    async def known(self) -> None:
        """Wait until what the items hang on was looked at once (at most BASIS_TIMEOUT seconds)."""
        await self._basis_read.wait()

    async def close(self) -> None:
        """Stop. What is being sensed is given up; the run can be gone on with."""
        tasks = [*self._tasks, *self._sensing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def sensed(self) -> None:
        """Wait until nothing is being sensed."""
        while self._sensing:
            await asyncio.gather(*self._sensing.values(), return_exceptions=True)

    async def all_sensed(self, *, again: bool = False) -> None:
        """Sense all that can be now and wait for it: in an ordered runbook one after the other, as far as
        nothing holds back what follows.
        """
        done: set[str] = set()
        while True:
            wanted = [one for one in self._unsensed() if one not in done]
            done |= set(wanted)
            self.sense(wanted, again=again)
            await self.sensed()
            if not wanted:
                return

    def _unsensed(self) -> list[str]:
        view = self.view
        if self._run.runbook.ordered:
            return list(ready(view))
        return [item.id for item in view.items if item.step.sensed and (not item.findings or item.expired)]

    def look_again(self) -> None:
        """Look now whether what the items hang on has changed."""
        self._look_again.set()

    # --- sensing

    def sense(
        self, items: Iterable[str] | None = None, *, again: bool = False, quietly: bool = False
    ) -> None:
        """Sense these items side by side, by default all that are not sensed or have expired (in an ordered
        runbook, those that nothing above holds back); those that are under way go on. `again` asks anew what
        was remembered (a build); `quietly` leaves in sight what was found before.
        """
        chosen = set(self._unsensed() if items is None else items)
        steps = [
            item.step
            for item in self.view.items
            if item.step.sensed and item.id in chosen and item.id not in self._sensing
        ]
        if not steps:
            return
        round_ = self._look()
        tasks = []
        for step in steps:
            if quietly:
                self._quiet.add(step.id)
            task = asyncio.create_task(self._sense(step, round_, again=again), name=f"sense {step.id}")
            self._sensing[step.id] = task
            task.add_done_callback(partial(self._not_sensing, step.id))
            tasks.append(task)
        self._spawn(_end_after(tasks, round_), "round")
        self._touch()

    async def _sense(self, step: Step, round_: Look, *, again: bool) -> None:
        await self._workspace.prepare()

        def progress(line: str) -> None:
            line = sanitise_line(line, cap=300)
            self._progress[step.id] = line
            self._tail.setdefault(step.id, deque(maxlen=TAIL)).append(line)
            self._touch()

        findings = await sense(step, round_, progress, again=again)
        basis = await self._basis_for(step, round_)
        self._looked[step.id] = time.monotonic()
        if step.id in self._quiet and self._as_before(step, findings):
            self._keep(step, findings, basis)
            return
        self._kept[step.id] = time.monotonic()
        data = sensed_data(step.id, findings, basis)
        draft = self._draft(RunKind.SENSED, step, summary_of(findings), data)
        try:
            await self._workspace.journal.append(draft)
            await self._catch_up()
        except JournalError as error:
            self._journal_error = f"not written down: {error}"
            self._keep(step, findings, basis)
        else:
            self._journal_error = ""

    def _as_before(self, step: Step, findings: tuple[Finding, ...]) -> bool:
        """Whether what was asked again is no news for the journal: as it was, and that was written lately."""
        item = self._run.item(step.id)
        before = item.sensed.findings if item is not None and item.sensed is not None else ()
        lately = time.monotonic() - self._kept.get(step.id, -WRITE_EVERY) < WRITE_EVERY
        return lately and [(f.level, f.pending, f.subject) for f in before] == [
            (f.level, f.pending, f.subject) for f in findings
        ]

    def _keep(self, step: Step, findings: tuple[Finding, ...], basis: Mapping[str, str]) -> None:
        """Keep here what could not be written, or is no news."""
        sensed = Sensed(
            findings=findings, by=self._workspace.engineer.label, at=self._now(), basis=dict(basis)
        )
        items = tuple(
            structs.replace(item, sensed=sensed) if item.step.id == step.id else item
            for item in self._run.items
        )
        self._run = structs.replace(self._run, items=items)
        self._touch()

    def _not_sensing(self, id: str, _: object) -> None:
        self._sensing.pop(id, None)
        self._quiet.discard(id)
        self._progress.pop(id, None)
        self._tail.pop(id, None)
        self._touch()

    # --- answering

    async def answer(
        self, id: str, word: Word, *, note: str = "", to: str = "", seen: int | None = None
    ) -> Entry:
        """Say something of an item; it is in the journal when this returns.

        `seen` is the view's `said` that the person looked at. Raises OvertakenError when somebody else has
        said something since, JournalError when it cannot be written, and OpsError when it may not be said:
        without the reason that it needs, or a yes where a machine can tell.
        """
        item = self._item(id)
        note, to = sanitise_line(note.strip(), cap=NOTE_CAP), sanitise_line(to.strip(), cap=120)
        may_say(self.view, item, word, note=note, to=to)
        basis = await self._basis_for(item.step, None)
        data = answered_data(id, word, note=note, to=to, basis=basis)
        said = f"{word.value}{f' to {to}' if to else ''}{f': {note}' if note else ''}"
        appended = await self._workspace.journal.append_next(
            self._draft(RunKind.ANSWERED, item.step, said, data), seen=item.said if seen is None else seen
        )
        if appended.entry is None:
            await self._catch_up()
            first = appended.newer[-1]
            raise OvertakenError(
                f"{first.engineer} has answered “{item.step.title}” already: {first.text}",
                next="look at it; it can be withdrawn, and then answered anew",
            )
        await self._catch_up()
        return appended.entry

    async def operation(self, id: str) -> Operation:
        """The act of an operation's item, to be planned, confirmed and performed; its item is to be sensed
        again afterwards (`acted`). Raises OpsError, also where an item above is not well yet.
        """
        from muva_console.ops.deploys.acts import operation_for

        item = self._item(id)
        stands = self.view.item(id)
        if stands is not None and stands.waits_on:
            raise OpsError(
                f"“{item.step.title}” waits on “{stands.waits_on}”",
                next="Settle that first: do it, sense it again, or override it with a reason.",
            )
        return await operation_for(item.step.operation, self.context_of(item.step))

    def context_of(self, step: Step) -> CheckContext:
        """What a step's operation looks at: the run's environment, what goes out, the step's parameters."""
        round_ = self._look()
        ctx = round_.target
        ctx.parameters = {**round_.given, **step.parameters}
        return ctx

    def acted(self, id: str) -> None:
        """Sense an item again after its act, whatever became of that."""
        self._workspace.workshop.expire()
        if self._item(id).step.sensed:
            self.sense([id], again=True)
        self.look_again()

    async def text_of(self, id: str) -> str:
        """What an operation's item would send, to be copied by hand. Raises OpsError."""
        from muva_console.ops.deploys.acts import message_text
        from muva_console.ops.notices import NAME as NOTIFY

        item = self._item(id)
        if item.step.operation != NOTIFY:
            raise OpsError(f"“{item.step.title}” sends no message")
        return await message_text(self.context_of(item.step))

    async def end(self) -> Entry:
        """End the run with the verdict that it has now. Raises JournalError, OpsError when it has ended."""
        if self._run.ended_at is not None:
            raise OpsError("this run was ended already")
        view = self.view
        data = {
            "verdict": view.verdict.value,
            "between": list(view.between),
            "overridden": [f"{item.step.title}: {item.summary}" for item in view.overridden],
        }
        draft = Draft(
            kind=RunKind.ENDED,
            subject=subject(self._run.runbook.id),
            text=f"{self._run.runbook.title}: {view.verdict.value}",
            environment=self._run.environment,
            data=data,
            act=self._run.id,
        )
        appended = await self._workspace.journal.append_next(draft, seen=self._run.last)
        if appended.entry is None:
            await self._catch_up()
            raise OvertakenError(f"{appended.newer[-1].engineer} has ended this run already")
        await self._catch_up()
        return appended.entry

    # --- inside

    def _item(self, id: str) -> Item:
        item = self._run.item(id)
        if item is None:
            raise OpsError(f"there is no item {sanitise_line(id, cap=80)} in {self._run.runbook.id}")
        return item

    def _draft(self, kind: str, step: Step, text: str, data: dict[str, Any]) -> Draft:
        return Draft(
            kind=kind,
            subject=subject(self._run.runbook.id, step.id),
            text=text,
            environment=self._run.environment,
            data=data,
            act=self._run.id,
        )

    def _look(self) -> Look:
        about = self._run.about
        given = {name: about[name] for name in GIVEN if about.get(name)}
        return look(
            self._workspace,
            self._run.environment,
            folder=self._folder(),
            commit=about.get(COMMIT, ""),
            given=given,
        )

    def _folder(self) -> Path:
        return self._workspace.cache / "runs" / self._run.id[:12]

    async def _basis_for(self, step: Step, round_: Look | None) -> dict[str, str]:
        """What the item hangs on: as the round read it, else as it was read last."""
        if not step.depends:
            return {}
        found = round_.basis() if round_ is not None else {}
        if any(on not in found for on in step.depends):
            with suppress(TimeoutError):
                async with asyncio.timeout(BASIS_TIMEOUT):
                    await self._basis_read.wait()
        if any(self._basis.get(on, sha) != sha for on, sha in found.items()):
            self.look_again()  # the round saw another world than the last look did: one of them is old
        known = {**self._basis, **found}
        return {on: known[on] for on in step.depends if on in known}

    async def _catch_up(self) -> None:
        entries = await self._workspace.journal.read(
            Filter(act=self._run.id, kinds=KINDS, after=self._run.last, limit=None)
        )
        self._run = fold(entries, self._run) or self._run
        self._touch()

    async def _follow(self) -> None:
        wanted = Filter(act=self._run.id, kinds=KINDS)
        while True:
            try:
                await self._catch_up()
                self._journal_error = ""
                following = self._workspace.journal.follow(
                    wanted, after=self._run.last, interval=self._follow_every
                )
                async with aclosing(following):
                    async for entries in following:
                        self._run = fold(entries, self._run) or self._run
                        self._touch()
            except JournalError as error:
                self._journal_error = str(error)
                self._touch()
            await asyncio.sleep(1.0)

    async def _watch_basis(self) -> None:
        needed = {on for item in self._run.items for on in item.step.depends}
        if not needed:
            self._basis_read.set()
        while needed:
            self._look_again.clear()
            try:
                async with asyncio.timeout(BASIS_TIMEOUT):
                    found, self._basis_error = await read_basis(
                        self._workspace, self._run.environment, needed
                    )
                if Basis.OUTGOING in needed and COMMIT in self._run.about:
                    found[Basis.OUTGOING] = self._run.about[COMMIT]
                self._basis |= found
            except TimeoutError:
                self._basis_error = f"no answer within {BASIS_TIMEOUT:g} s whether a new commit goes out"
            self._basis_read.set()
            self._touch()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._basis_every):
                    await self._look_again.wait()

    async def _go_on(self) -> None:
        """Sense what is next in an ordered runbook, and again what changes by itself."""
        while True:
            if self._run.ended_at is None:
                if self._run.runbook.ordered:
                    now = time.monotonic()
                    wanted = ready(self.view)
                    self.sense(one for one in wanted if now - self._looked.get(one, -inf) >= NOT_SOONER)
                self.sense(self._due(), quietly=True)
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._moved.wait()
            await asyncio.sleep(DRAW_EVERY)

    def _due(self) -> list[str]:
        now = time.monotonic()
        return [
            item.id
            for item in self.view.items
            if item.step.again is not None
            and item.open
            and item.state in (State.SENSED, State.PENDING)
            and now - self._looked.get(item.id, -inf) >= item.step.again
        ]

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"walk {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._journal_error = f"a defect: {type(error).__name__}: {error}"
            self._touch()

    def _touch(self) -> None:
        self._version += 1
        self._moved.set()
        self._changed.set()


async def _end_after(tasks: list[asyncio.Task[None]], round_: Look) -> None:
    try:
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        round_.end()


async def _commit(workspace: Workspace, environment: str) -> dict[str, str]:
    """The commit that goes out now. Raises LinkError where that cannot be told."""
    before = workspace.previous(environment)
    branch = workspace.config.environments[before or environment].branch
    workspace.workshop.expire()  # what was pushed a moment ago is what goes out
    heads = await workspace.workshop.heads()
    if branch not in heads:
        raise OpsError(f"the repository has no branch {branch}, so nothing can go out from it")
    return {COMMIT: heads[branch]}
