"""What the acts of a deployment share: looked at anew when planned and when performed, told in events.

An act that has happened already, whoever did it, is not planned again (`AlreadyError`), and where it happens
between the plan and the act, performing says so and is done. What is true is always asked of where it is
true (the remote, GitHub, the host), never remembered; so an act that was killed at any point is gone on with
by planning it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import ClassVar

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.identity import Engineer
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.links.workshop_changing import Author, Bench
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line


class AlreadyError(OpsError):
    """It has happened: there is nothing to do."""


class Deed(ABC):
    """An act of a deployment, for one environment. An `Operation`."""

    NAME: ClassVar[str]

    def __init__(self, ctx: CheckContext) -> None:
        """Nothing is looked at yet; `ctx.parameters` are the step's."""
        self._ctx = ctx

    @property
    def name(self) -> str:
        """Stable name."""
        return self.NAME

    async def plan(self) -> Plan:
        """Look, and say what would be done. Raises AlreadyError where it has happened, OpsError where it
        cannot be.
        """
        ctx = self._ctx.fresh()
        try:
            return await self._plan(ctx)
        finally:
            ctx.end()

    async def perform(self, plan: Plan) -> AsyncGenerator[Event, None]:
        """Do it; the last event is DONE or FAILED."""
        ctx = self._ctx.fresh()
        events = self._perform(ctx, plan)
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        except AlreadyError as error:
            yield verified(str(error))
            yield done("it has happened meanwhile: nothing was done again")
        except OpsError as error:
            yield failed("\n".join(error.lines()))
        finally:
            ctx.end()

    @abstractmethod
    async def _plan(self, ctx: CheckContext) -> Plan: ...

    @abstractmethod
    def _perform(self, ctx: CheckContext, plan: Plan) -> AsyncGenerator[Event, None]: ...

    def _planned(
        self,
        title: str,
        target: str,
        commands: list[PlannedCommand],
        *,
        risks: list[str] | None = None,
        undo: str = "",
        tier: Tier = Tier.CONFIRM,
        production: bool | None = None,
    ) -> Plan:
        """The plan. `production`: whether it changes what production serves; by the environment when not
        given.
        """
        touches = self._ctx.environment.production if production is None else production
        return Plan(
            operation=self.NAME,
            title=title,
            environment=self._ctx.environment_name,
            target=target,
            tier=tier,
            commands=tuple(commands),
            risks=tuple(risks or ()),
            undo=undo,
            production=touches,
        )


def step(text: str) -> Event:
    """What is being done."""
    return Event(kind=EventKind.STEP, text=text, at=utc_now())


def output(text: str) -> Event:
    """A line of detail."""
    return Event(kind=EventKind.OUTPUT, text=text, at=utc_now())


def warning(text: str) -> Event:
    """What is not as it should be."""
    return Event(kind=EventKind.WARNING, text=text, at=utc_now())


def verified(text: str) -> Event:
    """What was seen to be true afterwards."""
    return Event(kind=EventKind.VERIFIED, text=text, at=utc_now())


def done(text: str) -> Event:
    """The good end."""
    return Event(kind=EventKind.DONE, text=text, at=utc_now())


def failed(text: str) -> Event:
    """The bad end."""
    return Event(kind=EventKind.FAILED, text=text, at=utc_now())


def here(line: str, why: str = "") -> PlannedCommand:
    """A command that a person would type here."""
    return PlannedCommand(where="here", line=line, why=why)


def workshop_of(ctx: CheckContext) -> Workshop:
    """The console's own copy of the repository. Raises OpsError where there is none to be changed."""
    repository = ctx.going_out().repository
    if not isinstance(repository, Workshop):
        raise LinkError(Fault.CONFIG, "there is no copy of the repository to change")
    return repository


def github_of(ctx: CheckContext) -> GitHubLink:
    """The link to GitHub. Raises OpsError where no repository is configured."""
    link = ctx.going_out().github
    if link is None:
        raise LinkError(
            Fault.CONFIG,
            "no repository on GitHub is configured",
            next='Give [project] a repository = "OWNER/NAME".',
        )
    return link


def engineer_of(ctx: CheckContext) -> Engineer:
    """Who acts."""
    return ctx.going_out().journal.engineer


def author_of(bench: Bench, engineer: Engineer) -> Author:
    """Who commits are by: the engineer, with the name and address that git has for them. A name claimed on a
    shared account goes before that of the account.
    """
    name, email = bench.settings.get("user.name", ""), bench.settings.get("user.email", "")
    if engineer.claimed or not name:
        name = engineer.name
    email = email or f"{engineer.account or engineer.name}@{engineer.host}".replace(" ", "-")
    return Author(sanitise_line(name, cap=120), sanitise_line(email, cap=200))


async def relay(events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    """Hand on the events of a part."""
    async for event in events:
        yield event
