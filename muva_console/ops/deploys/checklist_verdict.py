"""The check "checklist-verdict": what the pre-deployment checklist said of the very commit that goes out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from muva_console.ops.checks import CheckContext, check, tell
from muva_console.ops.errors import ConfigError
from muva_console.ops.health.words import spell_span
from muva_console.ops.journal.model import Filter
from muva_console.ops.links.outgoing import Outgoing
from muva_console.ops.readings import Finding, Level, Verdict, utc_now
from muva_console.ops.runbooks.model import Basis
from muva_console.ops.runbooks.run import KINDS, Run, RunKind, fold
from muva_console.ops.runbooks.standing import RunView, stand

GOOD_FOR = 60.0
"""Seconds: a run that goes on is another one soon. Ours."""
BELIEVED = 12 * 3600.0
"""Seconds for which the verdict of a run that was ended is believed. Ours: a working day; what an open run
says is believed as long as its items are.
"""
LOOKED_AT = 20
"""Runs of the runbook that are looked at, the newest first. Ours."""


class Said(Struct, frozen=True, kw_only=True):
    """What one run says of a commit."""

    run: Run
    verdict: Verdict
    at: datetime
    """When that was so: the end, or now for an open one."""
    between: tuple[str, ...]
    """What stands between it and GO."""


@check("checklist-verdict", title="Pre-deployment checklist", good_for=GOOD_FOR)
async def checklist_verdict(ctx: CheckContext) -> Finding:
    """The newest run of a step's `runbook` (a parameter) for the commit that goes out, by anybody on this
    journal: GO is ok, NO-GO a failure. None, one that is not finished, or one whose GO is older than twelve
    hours is still to be walked. Where the commit is merged already without a GO, that warns.
    """
    runbook = str(ctx.parameters.get("runbook", ""))
    if not runbook:
        raise ConfigError('the step names no runbook: with = { runbook = "pre-deploy-staging" }')
    outgoing = await ctx.outgoing()
    runs = await _runs(ctx, runbook)
    said = judge(runs, outgoing, utc_now())
    return tell_of(runbook, ctx.environment_name, outgoing, said, utc_now())


async def _runs(ctx: CheckContext, runbook: str) -> list[Run]:
    """The runs of that runbook, newest first."""
    journal = ctx.going_out().journal
    begun = await journal.read(
        Filter(environment=ctx.environment_name, kinds=(RunKind.BEGUN,), limit=10 * LOOKED_AT)
    )
    ids = [entry.act for entry in begun if _named(entry.data) == runbook][-LOOKED_AT:]
    runs = [fold(await journal.read(Filter(act=one, kinds=KINDS, limit=None))) for one in reversed(ids)]
    return [run for run in runs if run is not None]


def _named(data: dict[str, object]) -> str:
    book = data.get("runbook")
    return str(book.get("id", "")) if isinstance(book, dict) else ""


def judge(runs: Iterable[Run], outgoing: Outgoing, now: datetime) -> Said | None:
    """What the newest of these runs (newest first) that is about the outgoing commit says of it."""
    basis = {str(Basis.OUTGOING): outgoing.head, str(Basis.TARGET): outgoing.base}
    for run in runs:
        if _commits(run) != {outgoing.head}:
            continue
        if run.ended_at is not None:
            view = stand(run, run.ended_at)
            verdict = _verdict(run.outcome) or view.verdict
            return Said(run=run, verdict=verdict, at=run.ended_at, between=view.between)
        # once it is merged, the target has moved by that: what hangs on where it stood is not asked again
        view = stand(run, now, basis=basis if outgoing.commits else {})
        return Said(run=run, verdict=view.verdict, at=now, between=_first_red(view))
    return None


def _commits(run: Run) -> set[str]:
    """Every outgoing commit that something of the run was found or said for."""
    told = [item.sensed.basis for item in run.items if item.sensed is not None]
    told += [item.answer.basis for item in run.items if item.answer is not None]
    return {basis[Basis.OUTGOING] for basis in told if basis.get(Basis.OUTGOING)}


def _first_red(view: RunView) -> tuple[str, ...]:
    red = [f"{item.step.title}: {item.summary}" for item in view.items if item.red]
    return (*red, *(line for line in view.between if line not in red))


def _verdict(word: str) -> Verdict | None:
    return next((one for one in Verdict if one.value == word), None)


def tell_of(runbook: str, environment: str, outgoing: Outgoing, said: Said | None, now: datetime) -> Finding:
    """The finding of what a run says; `said` is None where no run is about the outgoing commit."""
    begin = f"muva checklist {runbook} --env {environment} --begin"
    short, merged = outgoing.short, not outgoing.commits
    if said is None:
        summary = f"no run of {runbook} is about {short}"
        if merged:
            return tell(Level.WARN, f"{short} is in {outgoing.target}, and {summary}", command=begin)
        return tell(Level.UNKNOWN, summary, pending=True, command=begin, next=f"Walk it: {begin}")
    run = said.run
    who = f"{run.ended_by} ended it" if run.ended_at is not None else f"{', '.join(run.people)} walked it"
    age = (now - said.at).total_seconds()
    ago = f", {spell_span(age)} ago" if run.ended_at is not None else ""
    told = f"{said.verdict.value} for {short} (run {run.id[:8]}; {who}{ago})"
    again = f"muva checklist --run {run.id[:12]}"
    if said.verdict is Verdict.GO and (merged or run.ended_at is None or age < BELIEVED):
        return tell(Level.OK, told, evidence=_overridden(run, said.at), command=again)
    if merged:
        return tell(
            Level.WARN, f"{short} is in {outgoing.target}, and the checklist said {told}",
            evidence=said.between, command=again,
        )  # fmt: skip
    if said.verdict is Verdict.NO_GO:
        return tell(
            Level.FAIL, told, evidence=said.between, command=again,
            next="Mend what fails and walk it again, or override its items there with a reason.",
        )  # fmt: skip
    if said.verdict is Verdict.GO:
        return tell(
            Level.UNKNOWN, f"{told}: older than {spell_span(BELIEVED)}", pending=True, command=again,
            next=f"Walk it again: {begin}",
        )  # fmt: skip
    return tell(
        Level.UNKNOWN, f"{told}: {len(said.between)} items are open", pending=True, evidence=said.between,
        command=again, next=f"Go on with it: {again}, or on the Checklist screen.",
    )  # fmt: skip


def _overridden(run: Run, at: datetime) -> list[str]:
    """What was passed over with a reason, which stays in sight."""
    return [f"{item.step.title}: {item.summary} ({item.by})" for item in stand(run, at).overridden]
