"""How runbooks, runs and verdicts are printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from muva_console.cli.base import print_json
from muva_console.cli.lines import COLOUR, glyph
from muva_console.ops.readings import Level, Verdict
from muva_console.ops.runbooks.export import as_data, as_markdown
from muva_console.ops.runbooks.model import Runbook
from muva_console.ops.runbooks.run import Run
from muva_console.ops.runbooks.standing import FOR_A_PERSON, ItemView, RunView, State

_VERDICT_COLOUR = {Verdict.GO: None, Verdict.NO_GO: "red", Verdict.CANNOT_TELL: "magenta"}


def runbooks(found: Sequence[Runbook], *, as_json: bool) -> None:
    """The list of runbooks."""
    if as_json:
        print_json(
            [
                {
                    "runbook": one.id,
                    "title": one.title,
                    "about": one.about,
                    "environments": one.environments,
                    "source": one.source,
                    "items": [
                        {"item": step.id, "title": step.title, "kind": step.kind} for step in one.steps
                    ],
                }
                for one in found
            ]
        )
        return
    width = max((len(one.id) for one in found), default=0)
    for one in found:
        sensed = sum(step.sensed for step in one.steps)
        whose = "" if one.source == "playbook" else f"  [{one.source}]"
        counted = f"{len(one.steps)} items, {sensed} sensed"
        click.echo(f"{one.id:<{width}}  {one.title} ({counted}){whose}")


def runs(found: Sequence[Run], *, as_json: bool) -> None:
    """The list of runs, newest first."""
    if as_json:
        print_json(
            [
                {
                    "run": run.id,
                    "runbook": run.runbook.id,
                    "environment": run.environment,
                    "begun_by": run.begun_by,
                    "begun_at": run.begun_at,
                    "ended_at": run.ended_at,
                    "outcome": run.outcome,
                }
                for run in found
            ]
        )
        return
    for run in found:
        ended = f"{run.outcome}, ended by {run.ended_by}" if run.ended_at else "open"
        click.echo(
            f"{run.id[:8]}  {run.begun_at:%Y-%m-%d %H:%M}Z  {run.environment:<11} {run.runbook.id:<22} "
            f"{run.begun_by}: {ended}"
        )
    if not found:
        click.echo("no run is in this journal", err=True)


def view(of: RunView, *, as_json: bool, markdown: bool, verbose: bool) -> None:
    """A run as it stands."""
    if as_json:
        print_json(as_data(of))
    elif markdown:
        click.echo(as_markdown(of), nl=False)
    else:
        for line in item_lines(of, verbose=verbose):
            click.echo(line)
        if any(item.state is not State.TEXT for item in of.items):
            click.echo(_verdict(of, of.verdict, whole=True))
        if of.run.id:
            click.echo(f"run {of.run.id[:8]}", err=True)


def once(of: RunView, verdict: Verdict, *, as_json: bool, markdown: bool, verbose: bool) -> None:
    """What was sensed once, and the verdict as far as a machine can tell."""
    waiting = [item.id for item in of.items if item.state in FOR_A_PERSON]
    if as_json:
        data: dict[str, Any] = as_data(of)
        print_json({**data, "verdict": verdict, "whole": of.verdict, "waiting": waiting})
    elif markdown:
        click.echo(as_markdown(of), nl=False)
    else:
        for line in item_lines(of, verbose=verbose):
            click.echo(line)
        click.echo(_verdict(of, verdict, whole=False))


def item_lines(of: RunView, *, verbose: bool) -> list[str]:
    """A line an item; beneath what is not well its evidence, what next, and the command."""
    width = max((len(item.step.title) for item in of.items), default=0)
    lines: list[str] = []
    section = ""
    for item in of.items:
        if item.step.section != section:
            section = item.step.section
            lines += [section] if section else []
        lines += _item(item, width, verbose=verbose)
    return lines


def _item(item: ItemView, width: int, *, verbose: bool) -> list[str]:
    if item.state is State.TEXT:
        return [f"  {'':<9} {item.step.title:<{width}}  {item.summary}"]
    if item.state in (*FOR_A_PERSON, State.WAITING):
        word = "waits" if item.state is State.WAITING else "yours"
        head = f"  ◌ {word:<7} {item.step.title:<{width}}  {item.summary}"
        lines = [head] if glyph(Level.OK) == "●" else [head.replace("◌", "-")]
        if item.state is State.PENDING:
            lines += [f"            {fact}" for finding in item.findings for fact in finding.evidence]
            lines += [f"            next: {finding.next}" for finding in item.findings if finding.next]
        return lines
    word = item.state.value if item.state in (State.OVERRIDDEN, State.EXPIRED) else item.level.value
    by = f" ({item.by})" if item.answer is not None and item.by else ""
    head = f"  {glyph(item.level)} {word:<7} {item.step.title:<{width}}  {item.summary}{by}"
    lines = [click.style(head, fg=COLOUR[item.level])]
    for finding in item.findings:
        if not verbose and finding.level is Level.OK:
            continue
        about = f"{finding.subject}: " if finding.subject else ""
        if len(item.findings) > 1:
            lines.append(f"            {glyph(finding.level)} {about}{finding.summary}")
        lines += [f"            {fact}" for fact in finding.evidence]
        if finding.next:
            lines.append(f"            next: {finding.next}")
        if finding.command:
            lines.append(click.style(f"            $ {finding.command}", dim=True))
    return lines


def _verdict(of: RunView, verdict: Verdict, *, whole: bool) -> str:
    told = [f"{of.count(Level.OK)} ok"]
    told += [
        f"{count} {word}"
        for level, word in ((Level.WARN, "warn"), (Level.FAIL, "fail"), (Level.UNKNOWN, "unknown"))
        if (count := of.count(level))
    ]
    if of.yours:
        told.append(f"{of.yours} for a person")
    if of.waiting:
        told.append(f"{of.waiting} waiting")
    as_far = "" if whole or not of.yours else ", as far as a machine can tell"
    every = len(of.run.runbook.for_environment(of.run.environment))
    part = f", {len(of.items)} of {every} items" if every > len(of.items) else ""
    head = f"{of.run.runbook.title} ({of.run.environment}{part}): {verdict.value}{as_far}"
    return click.style(f"{head}  {' · '.join(told)}", fg=_VERDICT_COLOUR[verdict], bold=True)
