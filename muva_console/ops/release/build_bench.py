"""The worktree in which the outgoing commit is built and tested, shared by the checks of one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from muva_console.config.model import Secret
from muva_console.ops.checks import CheckContext
from muva_console.ops.links.local import LocalResult, run_local
from muva_console.ops.readings import utc_now
from muva_console.ops.release.build_output import matter, tail_of

OVERHEAD = 180.0
"""Seconds beside a command's own: a fetch, and writing and removing the worktree."""
LIMIT = 64 * 1024 * 1024
"""Bytes that a build may print."""

Progress = Callable[[str], None]


class Ran(Struct, frozen=True, kw_only=True):
    """What came out of a command."""

    command: str
    exit: int
    """The exit status; 128 + n when signal n ended it."""
    timed_out: bool
    truncated: bool
    """It was ended because it printed too much."""
    took_ms: float
    matter: str
    """The line that says why it failed, as far as that can be told."""
    tail: tuple[str, ...]
    """The lines that matter and the last ones: clean, without secrets."""
    kept: Path | None
    at: datetime

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.exit == 0 and not self.timed_out and not self.truncated


class Bench:
    """A worktree of one commit, made when something is to be run in it, and gone when the last user has
    left. Several checks of one run use it at once; the build is run once for all.
    """

    def __init__(self, ctx: CheckContext, sha: str) -> None:
        self._ctx = ctx
        self._sha = sha
        self._users = 0
        self._stack = AsyncExitStack()
        self._tree: Path | None = None
        self._building: asyncio.Task[Ran] | None = None
        self._told: list[Progress] = []

    async def __aenter__(self) -> Bench:
        self._users += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        self._users -= 1
        if self._users == 0:
            building, self._building = self._building, None
            if building is not None and not building.done():
                building.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await building
            stack, self._stack, self._tree = self._stack, AsyncExitStack(), None
            await stack.aclose()

    async def build(self, progress: Progress | None = None) -> Ran:
        """Build, or wait for the build that is under way. Raises OpsError when there is no worktree."""
        if progress is not None and progress not in self._told:
            self._told.append(progress)
        if self._building is None:
            self._building = asyncio.create_task(self._build(), name=f"build {self._sha[:7]}")
        return await asyncio.shield(self._building)

    async def test(self, command: str, progress: Progress) -> Ran:
        """Run the tests where the build was run."""
        assert self._tree is not None
        return await self._run("tests", command, self._tree, progress)

    async def _build(self) -> Ran:
        self._tell(f"a clean worktree of {self._sha[:7]} …")
        worktree = self._ctx.going_out().repository.worktree(self._sha)
        self._tree = await self._stack.enter_async_context(worktree)
        return await self._run("build", self._ctx.config.project.build, self._tree, self._tell)

    def _tell(self, line: str) -> None:
        for progress in self._told:
            progress(line)

    async def _run(self, name: str, command: str, tree: Path, progress: Progress) -> Ran:
        project, release = self._ctx.config.project, self._ctx.going_out()
        folder = release.folder
        at = utc_now()
        progress(f"$ {command}")
        result = await run_local(
            command,
            cwd=tree,
            timeout=project.build_timeout,
            limit=LIMIT,
            without=secret_variables(self._ctx.config),
            on_line=progress,
            log=release.commands,
            keep=folder / f"{name}-{self._sha[:12]}-{at:%Y%m%dT%H%M%S}.log" if folder is not None else None,
        )
        return ran(command, result, at)


async def bench_of(ctx: CheckContext, sha: str) -> Bench:
    """The run's bench for a commit."""

    async def make() -> Bench:
        return Bench(ctx, sha)

    return await ctx.shared(f"build bench {sha}", make)


def ran(command: str, result: LocalResult, at: datetime) -> Ran:
    """A command's result with the lines that matter found."""
    return Ran(
        command=command,
        exit=result.exit_status,
        timed_out=result.timed_out,
        truncated=result.truncated,
        took_ms=result.took_ms,
        matter="" if result.ok else matter(result.output),
        tail=tail_of(result.output, failed=not result.ok),
        kept=result.kept,
        at=at,
    )


def time_for(ctx: CheckContext) -> float:
    """Seconds that one of the two commands may need in all."""
    return ctx.config.project.build_timeout + OVERHEAD


def secret_variables(config: Struct) -> tuple[str, ...]:
    """The variables of the console's environment that the configuration names as secrets: its passwords for
    databases and services are no business of an application's build scripts.
    """
    return tuple(secret.env for secret in _secrets(config) if secret.env is not None)


def _secrets(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secrets(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets(one)
