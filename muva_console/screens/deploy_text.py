"""Runs, who is waited for, and the lock, as lines. From readings to text, nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from muva_console.ops.deploys.lock import holder
from muva_console.ops.deploys.words import FAILED, sentence, spell, word_of
from muva_console.ops.links.github_runs import WorkflowRun
from muva_console.screens.deploy_read import Deployments
from muva_console.widgets.fit import crop
from muva_console.widgets.format import short
from muva_console.widgets.level import muted
from muva_console.widgets.table import Column, Row

if TYPE_CHECKING:
    from muva_console.ops.deploys.watch import Watch

RUN_COLUMNS = (
    Column("state", 13, keep=100),
    Column("run", 6, keep=80),
    Column("commit", 7, keep=90),
    Column("by", 7, flex=True, keep=70),
    Column("took", 7, align="right", keep=40),
    Column("age", 5, align="right", keep=60),
    Column("branch", 8, keep=30),
)


def state_of(run: WorkflowRun) -> Content:
    """Glyph, word and colour of a run's state; a word that is not known is said and not coloured well."""
    word = word_of(run.status, run.conclusion)
    if not run.finished:
        waits = run.status in ("waiting", "action_required")
        return Content.styled(f"◌ {word}", "$t-warn") if waits else Content(f"◐ {word}")
    if run.conclusion == "success":
        return Content.styled(f"● {word}", "$t-ok")
    if run.conclusion in FAILED:
        return Content.styled(f"✖ {word}", "$t-fail")
    known = run.conclusion in ("cancelled", "action_required", "stale", "skipped", "neutral")
    return Content.styled(f"▲ {word}", "$t-warn") if known else Content.styled(f"? {word}", "$t-unknown")


def run_row(run: WorkflowRun, now: datetime) -> Row:
    """State, number and attempt, commit, who, how long, how old, branch."""
    attempt = f".{run.attempt}" if run.attempt > 1 else ""
    took = spell(((run.updated_at if run.finished else now) - run.started_at).total_seconds())
    cells = (
        state_of(run),
        Content(f"#{run.number}{attempt}"),
        Content(run.sha[:7]),
        Content(run.actor.login or "nobody told"),
        muted(took),
        muted(short((now - run.started_at).total_seconds())),
        muted(run.branch),
    )
    return Row(str(run.id), cells)


def holders_of(known: Deployments) -> list[str]:
    """Who holds the lock, a line a host on which it is held."""
    return [f"{one.host}: {holder(one)}" for one in known.locks if one.held]


def head_lines(known: Deployments, watch: Watch | None, width: int) -> list[Content]:
    """How the run in hand stands and whom it waits for; the lock; the deployment that is led."""
    lines: list[Content] = []
    if watch is not None and watch.run is not None:
        mine = watch.run.id == known.waiting and not watch.run.finished
        told = sentence(watch.run, watch.jobs, known.pending if mine else ())
        lines.append(Content.styled(told, "$t-warn") if mine else Content(told))
        if mine:
            may = any(one.can_approve for one in known.pending)
            keys = "; a approves, x rejects" if may else ""
            lines.append(Content(f"  started by {watch.run.actor.login or 'nobody told'}{keys}"))
    if known.runs_error is not None and known.runs:
        first = known.runs_error.lines()[0]
        told = f"? GitHub cannot be asked, the runs are as they were: {first}"
        lines.append(Content.styled(told, "$t-unknown"))
    if known.lock_error is not None:
        first = known.lock_error.lines()[0]
        lines.append(Content.styled(f"? who holds the lock is not known: {first}", "$t-unknown"))
    elif held := holders_of(known):
        lines.append(Content.styled(f"▲ {held[0]}; B breaks it", "$t-warn"))
    elif known.locks:
        lines.append(muted("the lock is free"))
    if known.walk is not None:
        walk = known.walk
        lines.append(Content(f"▶ {walk.runbook.title} is open, begun by {walk.begun_by}: d goes on"))
    else:
        lines.append(muted("▶ d leads a deployment"))
    return [crop(line, width) for line in lines]
