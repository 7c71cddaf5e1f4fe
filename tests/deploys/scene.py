"""A team in small: a remote, three branches, a journal, and a GitHub of our own over the same remote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from muva_console.config.model import Config, Environment, Host, Project, Url
from muva_console.config.release import GitHub
from muva_console.ops.checks import CheckContext, run_checks
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.web import WebLink
from muva_console.ops.links.workshop import Workshop
from muva_console.ops.operations import Event, EventKind, Operation
from muva_console.ops.readings import Finding
from muva_console.ops.release.context import Release
from tests.deploys.hub import Hub
from tests.logs.local_link import LocalLink
from tests.workshop.team import Team, git

DANA = Engineer(name="dana", host="jump-1", origin="ssh from 10.0.0.7", account="dana")
PACKAGE = b'{\n\t"name": "muva-chat",\n\t"version": "1.4.2",\n\t"engines": {"version": "9"}\n}\n'


@dataclass
class Scene:
    """`checks` and operations for one environment; everything is asked anew each time."""

    folder: Path
    team: Team
    workshop: Workshop
    journal: Journal
    hub: Hub
    links: dict[str, LocalLink] = field(default_factory=dict)
    web: WebLink = field(default_factory=lambda: WebLink("web", CommandLog()))
    url: str | None = None
    release: dict[str, Any] = field(default_factory=dict)
    """What [release] has."""

    def config(self) -> Config:
        hosts = tuple(self.links)
        url = None if self.url is None else Url(self.url)
        return Config(
            project=Project(checkout=self.team.checkout),
            github=GitHub(**self.release),
            hosts={name: Host(address=f"{name}.example.org") for name in hosts},
            environments={
                "dev": Environment(branch="dev"),
                "staging": Environment(branch="staging", hosts=hosts, url=url),
                "production": Environment(branch="main", production=True, hosts=hosts, url=url),
            },
        )

    def context(
        self, environment: str = "production", *, commit: str = "", **parameters: Any
    ) -> CheckContext:
        config = self.config()
        source = {"production": "staging", "staging": "dev"}[environment]

        def made(name: str) -> CheckContext:
            return CheckContext(
                environment_name=name,
                environment=config.environments[name],
                config=config,
                web=self.web,
                hosts=dict(self.links),
                parameters=parameters,
            )

        target, before = made(environment), made(source)
        target.release = before.release = Release(
            source_branch=before.environment.branch,
            target_branch=target.environment.branch,
            repository=self.workshop,
            journal=self.journal,
            secret=cast(Any, None),
            source=before,
            github=cast(Any, self.hub),
            commit=commit,
        )
        return target

    async def check(self, name: str, environment: str = "production", **given: Any) -> Finding:
        (found,) = await run_checks([name], self.context(environment, **given), timeout=60)
        return found

    async def checked(self, name: str, environment: str = "production", **given: Any) -> tuple[str, str]:
        """The level, or "pending", and the summary."""
        found = await self.check(name, environment, **given)
        return ("pending" if found.pending else found.level.value), found.summary

    def head(self, branch: str) -> str:
        return git(self.team.remote, "rev-parse", "--verify", f"refs/heads/{branch}")

    def commit(self, branch: str, message: str, files: dict[str, bytes]) -> str:
        """A commit of somebody else's, pushed."""
        git(self.team.other, "fetch", "-q", "origin")
        git(self.team.other, "checkout", "-q", "-B", branch, f"origin/{branch}")
        sha = self.team.commit(message, files)
        self.team.push("origin", branch)
        return sha


async def act(operation: Operation) -> list[Event]:
    """Plan and perform; the events."""
    return await perform(operation, await operation.plan())


async def perform(operation: Operation, plan: Any) -> list[Event]:
    return [event async for event in operation.perform(plan)]


def last(events: list[Event]) -> tuple[str, str]:
    """How it ended."""
    ends = [event for event in events if event.kind in (EventKind.DONE, EventKind.FAILED)]
    assert len(ends) == 1 and ends[0] is events[-1]
    return ends[0].kind.value, ends[0].text
