"""Whatever is done in whatever order: one end for every begin, one last event, no act without leave."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from muva_console.ops.errors import Refused
from muva_console.ops.journal import Filter, Journal, Kind
from muva_console.ops.operations import Event, EventKind, Plan, Tier
from muva_console.ops.performer import PLAN_VALID, Confirmation, Performer
from tests.patience import HANG
from tests.performer.conftest import DANA, Clock, Scripted, event, redact

T = TypeVar("T")
ENDS = {EventKind.DONE, EventKind.FAILED}
TARGETS = ("web", "worker")
SCRIPTS = ("hangs", "hangs", "done", "failed", "raises", "silent", "chatty", "ends twice")


class Running:
    """An act under way and what its viewer has seen."""

    def __init__(self, operation: Scripted, task: asyncio.Task[None], seen: list[Event], script: str) -> None:
        self.operation, self.task, self.seen, self.script = operation, task, seen, script


def script_of(name: str) -> Any:
    async def script(_: Scripted) -> AsyncGenerator[Event, None]:
        yield event(EventKind.STEP)
        if name == "raises":
            raise ValueError("broken")
        if name == "hangs":
            await asyncio.Event().wait()
        if name == "chatty":
            for number in range(30):
                yield event(EventKind.OUTPUT, str(number))
        if name in {"done", "chatty", "ends twice"}:
            yield event(EventKind.DONE)
        if name in {"failed", "ends twice"}:
            yield event(EventKind.FAILED)

    return script


ANSWERS = ((True, "staging"), (True, "staging"), (True, ""), (False, "production"), (False, ""))
EXPECTED = {
    "done": "done", "chatty": "done", "ends twice": "done", "failed": "failed", "raises": "failed",
    "silent": "failed", "hangs": "abandoned",
}  # fmt: skip


class Acting(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        # in memory where there is such a place: the disk's syncs are not what is tried here
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="muva-machine-", dir=base))
        self.clock = Clock()
        self.journal = Journal(self.folder / "journal", DANA, redact=redact)
        self.performer = Performer(self.journal, DANA, read_only=False, redact=redact, clock=self.clock)
        self.plans: list[tuple[Scripted, Plan, float, str]] = []
        self.used: list[Plan] = []
        self.running: dict[str, Running] = {}
        self.outcomes: list[str] = []
        self.refused = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, HANG))

    @rule(
        thing=st.sampled_from(TARGETS), script=st.sampled_from(SCRIPTS), tier=st.sampled_from(list(Tier)),
        production=st.booleans(),
    )  # fmt: skip
    def prepare(self, thing: str, script: str, tier: Tier, production: bool) -> None:
        # the title makes each plan one of its own
        operation = Scripted(
            script_of(script), target=thing, tier=tier, production=production, undo=f"plan {len(self.plans)}"
        )
        self.plans.append((operation, self.run(self.performer.prepare(operation)), self.clock.now, script))

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), answer=st.sampled_from(ANSWERS))
    def perform(self, data: st.DataObject, answer: tuple[bool, str]) -> None:
        confirmed, typed = answer
        operation, plan, prepared, script = data.draw(st.sampled_from(self.plans[-4:]))
        allowed = (
            not self.performer.read_only
            and plan not in self.used
            and self.clock.now - prepared <= PLAN_VALID
            and plan.target not in self.running
            and {Tier.NONE: True, Tier.CONFIRM: confirmed, Tier.TYPE_NAME: typed == "staging"}[plan.tier]
        )
        began = operation.began
        seen: list[Event] = []

        async def view() -> None:
            async for told in self.performer.perform(
                operation, plan, Confirmation(confirmed=confirmed, typed=typed)
            ):
                seen.append(told)  # noqa: PERF401  # seen while it goes on, not at its end

        async def start() -> asyncio.Task[None]:
            task = asyncio.create_task(view())
            if script == "hangs":
                while not task.done() and not seen:
                    await asyncio.sleep(0.001)
            else:
                await asyncio.wait({task})
            return task

        task = self.run(start())
        if not allowed:
            assert isinstance(task.exception(), Refused)
            assert operation.began == began
            assert not seen
            self.refused += 1
            return
        self.used.append(plan)
        assert operation.began == began + 1
        if script == "hangs":
            self.running[plan.target] = Running(operation, task, seen, script)
        else:
            self.ended(Running(operation, task, seen, script), viewed=True)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(["cancel", "close"]))
    def abandon(self, data: st.DataObject, how: str) -> None:
        if how == "close":
            self.run(self.performer.close())
            for running in list(self.running.values()):
                self.run(asyncio.wait_for(running.task, HANG))
                self.ended(running, viewed=True)
            self.running.clear()
            return
        running = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        running.task.cancel()
        self.run(_over(running.task))
        self.ended(running, viewed=False)

    @rule(seconds=st.sampled_from([1.0, 1.0, 20.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(read_only=st.booleans())
    def switch_read_only(self, read_only: bool) -> None:
        self.performer.read_only = read_only

    def ended(self, running: Running, *, viewed: bool) -> None:
        self.outcomes.append(EXPECTED[running.script])
        assert running.operation.finished == running.operation.began
        ends = [told.kind for told in running.seen if told.kind in ENDS]
        if viewed:
            assert len(ends) == 1
            assert running.seen[-1].kind is (
                EventKind.DONE if self.outcomes[-1] == "done" else EventKind.FAILED
            )
        else:
            assert ends == []

    @invariant()
    def the_journal_tells_the_same(self) -> None:
        entries = self.run(self.journal.read(Filter(limit=None)))
        begun = {entry.act: entry.id for entry in entries if entry.kind == Kind.ACT_BEGUN}
        ends = [entry for entry in entries if entry.kind == Kind.ACT_ENDED]
        assert len(begun) == len(self.outcomes) + len(self.running)
        assert [entry.outcome for entry in ends] == self.outcomes
        assert len({entry.act for entry in ends}) == len(ends)
        assert all(entry.ref == begun[entry.act] for entry in ends)
        assert {acting.target for acting in self.performer.acting} == self.running.keys()
        assert len(self.run(self.journal.open_acts())) == len(self.running)

    def teardown(self) -> None:
        self.run(self.performer.close())
        self.run(_all_over([running.task for running in self.running.values()]))
        self.run(self.journal.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        shutil.rmtree(self.folder)


async def _over(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})


async def _all_over(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


TestActing = Acting.TestCase
TestActing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
