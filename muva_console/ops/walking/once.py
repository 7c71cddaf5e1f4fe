"""Sensing every item of a runbook once, without a run: for scripts and CI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import structs

from muva_console.ops.errors import ConfigError
from muva_console.ops.readings import Level, Verdict, utc_now, worst
from muva_console.ops.runbooks.model import Runbook, Step
from muva_console.ops.runbooks.run import Item, Run, Sensed
from muva_console.ops.runbooks.standing import ItemView, RunView, State, ready, stand
from muva_console.ops.text import sanitise_line
from muva_console.ops.walking.looking import look
from muva_console.ops.walking.sensing import sense

if TYPE_CHECKING:
    from muva_console.ops.workspace import Workspace

Told = Callable[[Step, str | None], None]
"""Called with a step and a line of what it is at; with None when it has been sensed."""


async def sense_once(
    workspace: Workspace,
    runbook: Runbook,
    environment: str,
    *,
    only: Collection[str] = (),
    again: bool = False,
    told: Told = lambda step, line: None,
) -> RunView:
    """Every sensed item, side by side, once; nothing is asked of a person and no run is written.

    Raises ConfigError when the runbook is not for that environment, or has no item of a name in `only`.
    """
    steps = steps_for(runbook, environment)
    for name in only:
        if all(step.id != name for step in steps):
            what = f"{runbook.id} has no item {sanitise_line(name, cap=80)} for {environment}"
            raise ConfigError(what, mistakes=(f"its items are: {', '.join(step.id for step in steps)}",))
    chosen = [step for step in steps if not only or step.id in only]
    await workspace.prepare()
    round_ = look(workspace, environment, folder=workspace.cache / "runs" / "once")

    async def one(step: Step) -> Item:
        findings = await sense(step, round_, lambda line: told(step, line), again=again)
        told(step, None)
        return Item(step=step, sensed=Sensed(findings=findings, by=workspace.engineer.label, at=utc_now()))

    began = utc_now()
    run = Run(
        id="",
        runbook=runbook,
        environment=environment,
        begun_by=workspace.engineer.label,
        begun_at=began,
        items=tuple(Item(step=step) for step in chosen),
        about=about_of(workspace, environment),
    )
    basis: dict[str, str] = {}
    try:
        while wanted := _wanted(run, began, basis, ordered=runbook.ordered and not only):
            found = await asyncio.gather(*(one(step) for step in wanted))
            known = {item.step.id: item for item in found}
            run = structs.replace(run, items=tuple(known.get(item.step.id, item) for item in run.items))
            basis = round_.basis()
    finally:
        round_.end()
    at = max((item.sensed.at for item in run.items if item.sensed), default=began)
    return stand(run, at, basis=basis)


def _wanted(run: Run, began: datetime, basis: dict[str, str], *, ordered: bool) -> list[Step]:
    """What is to be sensed next: all at once, or in an ordered runbook what nothing above holds back."""
    unsensed = [item.step for item in run.items if item.step.sensed and item.sensed is None]
    if not ordered:
        return unsensed
    at = max((item.sensed.at for item in run.items if item.sensed), default=began)
    now = ready(stand(run, at, basis=basis))
    return [step for step in unsensed if step.id in now]


def about_of(workspace: Workspace, environment: str) -> dict[str, str]:
    """What a run of that environment is about: the branches, ``source`` and ``target``."""
    environments = workspace.config.environments
    before = workspace.previous(environment)
    about = {"target": environments[environment].branch}
    if before is not None:
        about["source"] = environments[before].branch
    return about


def steps_for(runbook: Runbook, environment: str) -> tuple[Step, ...]:
    """The steps of a runbook for an environment. Raises ConfigError when it is not for that one."""
    steps = runbook.for_environment(environment)
    if not steps or (runbook.environments and environment not in runbook.environments):
        where = ", ".join(runbook.environments) or "other environments"
        raise ConfigError(f"{runbook.id} is for {where}, not for {environment}")
    return steps


def sensed_verdict(view: RunView) -> Verdict:
    """The verdict as far as a machine can tell: over what was sensed, leaving out what nothing is configured
    for and a person is asked. What was to be told and could not is unknown, whoever may be asked instead.

    CANNOT TELL when nothing was sensed.
    """
    levels = [item.level for item in view.items if item.step.sensed and not _for_a_person(item)]
    match worst(levels):
        case Level.FAIL:
            return Verdict.NO_GO
        case Level.UNKNOWN:
            return Verdict.CANNOT_TELL
        case _:
            return Verdict.GO


def _for_a_person(item: ItemView) -> bool:
    unknown = [finding for finding in item.findings if finding.level is Level.UNKNOWN]
    return item.state in (State.YOURS, State.HANDED) and all(one.unconfigured for one in unknown)
