"""Operations that do as a test tells them, and performers on real journals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.performer import Confirmation, Performer
from muva_console.ops.readings import utc_now
from tests.patience import HANG

DANA = Engineer(name="dana", host="jump-1", origin="test", account="dana")
EVE = Engineer(name="eve", host="jump-1", origin="test", account="eve")
SECRET = "hunter2-planted-secret"

YES = Confirmation(confirmed=True)


def redact(text: str) -> str:
    return text.replace(SECRET, "‹redacted›")


def event(kind: EventKind, text: str = "told") -> Event:
    return Event(kind=kind, text=text, at=utc_now())


STEP, DONE, FAILED = (event(kind) for kind in (EventKind.STEP, EventKind.DONE, EventKind.FAILED))

Script = Callable[["Scripted"], AsyncGenerator[Event, None]]


class Scripted:
    """An operation whose acting is a generator of the test's."""

    def __init__(
        self,
        script: Script | list[Event] | None = None,
        *,
        environment: str = "staging",
        target: str = "muva-staging on vps",
        tier: Tier = Tier.CONFIRM,
        production: bool = False,
        name: str = "process-restart",
        **fields: Any,
    ) -> None:
        self.name = name
        self.began = 0
        self.finished = 0
        self._script = [STEP, DONE] if script is None else script
        self._plan = Plan(
            operation=name,
            title="Restart the process",
            environment=environment,
            target=target,
            tier=tier,
            production=production,
            commands=(PlannedCommand(where="vps", line="pm2 restart muva-staging"),),
            **fields,
        )

    async def plan(self) -> Plan:
        return self._plan

    async def perform(self, plan: Plan) -> AsyncIterator[Event]:
        self.began += 1
        try:
            if isinstance(self._script, list):
                for told in self._script:
                    yield told
            else:
                async with aclosing(self._script(self)) as events:
                    async for told in events:
                        yield told
        finally:
            self.finished += 1


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(tmp_path: Path, clock: Clock) -> AsyncIterator[Callable[..., Performer]]:
    """Makes performers, each with a journal of its own on the same folder."""
    made: list[Performer] = []

    def build(engineer: Engineer = DANA, *, read_only: bool = False, **options: Any) -> Performer:
        journal = Journal(tmp_path / "journal", engineer, redact=redact, **options)
        performer = Performer(journal, engineer, read_only=read_only, redact=redact, clock=clock)
        made.append(performer)
        return performer

    yield build
    for performer in made:
        await performer.close()
        await performer.journal.close()


@pytest.fixture
def performer(make: Callable[..., Performer]) -> Performer:
    return make()


async def act(performer: Performer, operation: Scripted, confirmation: Confirmation = YES) -> list[Event]:
    """Prepare and perform; all events."""
    plan = await performer.prepare(operation)
    return [told async for told in performer.perform(operation, plan, confirmation)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(HANG):
        while not condition():
            await asyncio.sleep(0.002)
