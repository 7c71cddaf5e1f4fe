"""The checks "build" and "tests": the commit that goes out, built and tested in a clean worktree.

Both share one worktree, and the build in it. What came out is remembered in the journal for that commit
and command: nobody waits for the same build twice, whoever began it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.health.words import spell_ms, spell_span
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.readings import Finding, Level
from muva_console.ops.release import build_memory
from muva_console.ops.release.build_bench import Bench, Ran, bench_of, time_for
from muva_console.ops.release.build_output import missing_tool

GOOD_FOR = 24 * 3600.0
"""Seconds. A commit does not change; what it is built with does, some day. Ours."""


class _Job(Struct, frozen=True):
    """What is run, and how it is told."""

    kind: str
    """Of the entries that remember it."""
    commands: tuple[str, ...]
    """All that has to pass, in this order; the last is the job's own."""
    good: str
    bad: str
    noun: str


def _time_for_both(ctx: CheckContext) -> float:
    return 2 * time_for(ctx)


@check("build", title="Build", good_for=GOOD_FOR, timeout=_time_for_both)
async def build(ctx: CheckContext) -> Finding:
    """[project] build ends with 0 in a clean worktree of the outgoing commit, within build_timeout. A result
    that the journal remembers for that commit and command is believed.
    """
    command = ctx.config.project.build
    job = _Job(build_memory.BUILD, (command,), "builds", "does not build", "the build")
    return await _answer(ctx, job)


@check("tests", title="Tests", good_for=GOOD_FOR, timeout=_time_for_both)
async def tests(ctx: CheckContext) -> Finding:
    """[project] tests ends with 0 after the build, in the same worktree, within build_timeout. Remembered
    as the build is; unknown where no command is configured.
    """
    command = ctx.config.project.tests
    if command is None:
        return tell(
            Level.UNKNOWN,
            "no test command is configured",
            next='Give [project] a tests = "pnpm test" or whatever runs them.',
            unconfigured=True,
        )
    commands = (ctx.config.project.build, command)
    job = _Job(build_memory.TESTS, commands, "passes its tests", "does not pass its tests", "the tests")
    return await _answer(ctx, job)


async def _answer(ctx: CheckContext, job: _Job) -> Finding:
    outgoing = await ctx.outgoing()
    release = ctx.going_out()
    bench = await bench_of(ctx, outgoing.head)
    again = ctx.parameters.get("again") is True
    # entered before anything is awaited: both checks of one run are in before either can be done
    async with bench:
        memory = build_memory.Memory(release.journal, job.kind, outgoing.head, job.commands)
        remembered = None if again else await memory.recall()
        if remembered is not None:
            return _finding(ctx, outgoing, job, remembered, [], hint=_if_remembered(remembered))
        ran = await _run(bench, job, ctx.progress)
        if ran is None:
            return _not_tested(outgoing, job, await bench.build())
        missing = missing_tool(ran, job.commands[-1])
        notes = [f"the whole output: {ran.kept}"] if ran.kept is not None else []
        if missing:
            return tell(
                Level.UNKNOWN,
                f"{missing} is not installed here, so {job.noun} of {outgoing.short} could not be run",
                evidence=[*ran.tail, *notes],
                command=_typed(outgoing, job.commands),
                next=f"Put {missing} on the PATH of the console, or name it whole in [project].",
            )
        trouble = await memory.keep(ran, environment=ctx.environment_name)
        return _finding(ctx, outgoing, job, memory.fresh(ran), [*notes, trouble])


async def _run(bench: Bench, job: _Job, progress: Callable[[str], None]) -> Ran | None:
    """What came out of the job; None when it could not begin because the build before it failed."""
    built = await bench.build(progress)
    if job.kind == build_memory.BUILD:
        return built
    return await bench.test(job.commands[-1], progress) if built.ok else None


def _finding(
    ctx: CheckContext,
    outgoing: Outgoing,
    job: _Job,
    result: build_memory.Result,
    notes: list[str],
    *,
    hint: str = "",
) -> Finding:
    took = spell_ms(result.took_ms)
    before = f" ({result.told})" if result.told else ""
    evidence = [f"commit {outgoing.head} of {outgoing.source}"]
    if result.ok:
        level, summary = Level.OK, f"{outgoing.short} {job.good} in {took}{before}"
        evidence += result.tail[-8:]
        if not outgoing.fetched:
            level = Level.UNKNOWN
            summary += ", but whether it is what goes out cannot be told"
            evidence.append(f"the last fetch failed: {outgoing.fetch_error}")
    elif result.timed_out:
        limit = spell_span(ctx.config.project.build_timeout)
        # a machine that is busy is no mistake of the commit's: what did not end is not known
        level, summary = Level.UNKNOWN, f"{job.noun} of {outgoing.short}: not done within {limit}{before}"
        evidence += ["last printed:", *result.tail]
        hint = hint or "Give [project] build_timeout more, or see where it stands still."
    else:
        reason = f": {result.matter}" if result.matter else ""
        how = "it printed too much" if result.truncated else f"exit {result.exit} after {took}"
        level, summary = Level.FAIL, f"{outgoing.short} {job.bad}{before}{reason}"
        evidence += [how, *result.tail]
    return tell(
        level,
        summary,
        evidence=[*evidence, *notes],
        command=_typed(outgoing, job.commands),
        next=hint,
    )


def _not_tested(outgoing: Outgoing, job: _Job, built: Ran) -> Finding:
    why = f": {built.matter}" if built.matter else ""
    return tell(
        Level.UNKNOWN,
        f"{job.noun} of {outgoing.short} could not begin, for the build failed{why}",
        evidence=[f"exit {built.exit} of the build", *built.tail],
        command=_typed(outgoing, job.commands),
    )


def _if_remembered(result: build_memory.Result) -> str:
    return "" if result.ok else "Run it anew where this machine was to blame (a registry out of reach, say)."


def _typed(outgoing: Outgoing, commands: tuple[str, ...]) -> str:
    """What a person would have typed in the checkout."""
    folder = shlex.quote(f"../build-{outgoing.short}")
    steps = [command if _plain(command) else f"sh -c {shlex.quote(command)}" for command in commands]
    tree = f"git worktree add --detach {folder} {shlex.quote(outgoing.head)}"
    return " && ".join(["git fetch", tree, f"cd {folder}", *steps])


def _plain(command: str) -> bool:
    """Whether a command can stand between two `&&` as it is."""
    return not any(mark in command for mark in ("\n", ";", "||", "#")) and "& " not in command.replace(
        "&& ", ""
    )
