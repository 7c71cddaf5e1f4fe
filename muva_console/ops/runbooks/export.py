"""A run as a document: Markdown for a pull request or an incident, plain data for a program."""

from __future__ import annotations

import re
from typing import Any

from msgspec import to_builtins

from muva_console.ops.markdown import as_text
from muva_console.ops.readings import Level
from muva_console.ops.runbooks.standing import ItemView, RunView, State
from muva_console.ops.text import sanitise_line

_MARK = {Level.OK: "[x]", Level.WARN: "[x]", Level.FAIL: "[ ]", Level.UNKNOWN: "[ ]"}
_WORD = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "**fail**", Level.UNKNOWN: "**unknown**"}
EVIDENCE = 12
"""Lines of evidence an item in the document."""

_FENCE = re.compile(r"`{3,}")


def as_data(view: RunView) -> dict[str, Any]:
    """The run as JSON has it: ``environment``, ``verdict`` and ``findings`` as every list of findings, and
    ``items`` with what people said.
    """
    run = view.run
    return {
        "run": run.id,
        "runbook": run.runbook.id,
        "title": run.runbook.title,
        "environment": run.environment,
        "about": run.about,
        "basis": view.basis,
        "verdict": view.verdict,
        "between": list(view.between),
        "begun_by": run.begun_by,
        "begun_at": run.begun_at,
        "ended_at": run.ended_at,
        "outcome": run.outcome,
        "items": [_item(item) for item in view.items],
        "findings": [finding for item in view.items for finding in _findings(item)],
        "notice": view.notice,
    }


def _findings(item: ItemView) -> list[dict[str, Any]]:
    return [
        {**to_builtins(finding), "item": item.id, "took_ms": round(finding.took_ms, 2)}
        for finding in item.findings
    ]


def _item(item: ItemView) -> dict[str, Any]:
    answer = item.answer
    return {
        "item": item.id,
        "title": item.step.title,
        "kind": item.step.kind,
        "level": item.level,
        "state": item.state,
        "summary": item.summary,
        "at": item.at,
        "by": item.by,
        "expired": item.expired,
        "operation": item.step.operation,
        "actable": item.actable,
        "waits_on": item.waits_on if item.open else "",
        "command": item.command,
        "answer": to_builtins(answer) if answer is not None else None,
    }


def as_markdown(view: RunView) -> str:
    """The run as a document that GitHub and Slack show; what came from outside cannot become markup."""
    run = view.run
    about = "".join(f" · {as_text(f'{key} {value}')}" for key, value in run.about.items())
    about += "".join(f" · {as_text(f'{on} commit {sha[:7]}')}" for on, sha in view.basis.items())
    lines = [
        f"## {as_text(run.runbook.title)}: {view.verdict.value}",
        "",
        f"{as_text(run.environment)}{about}  ",
        f"begun {run.begun_at:%Y-%m-%d %H:%M}Z by {as_text(run.begun_by)}, as of {view.at:%Y-%m-%d %H:%M:%S}Z"
        + (f", ended {run.ended_at:%Y-%m-%d %H:%M}Z by {as_text(run.ended_by)}" if run.ended_at else ""),
    ]
    if view.between:
        lines += ["", "Between here and GO:", *(f"- {as_text(line)}" for line in view.between)]
    if view.overridden:
        lines += ["", "Passed over with a reason:"]
        lines += [
            f"- **{as_text(item.step.title)}**: {as_text(item.summary)} ({as_text(item.by)})"
            for item in view.overridden
        ]
    section = None
    for item in view.items:
        if item.step.section != section:
            section = item.step.section
            lines += ["", f"### {as_text(section)}"] if section else [""]
        elif item is view.items[0]:
            lines.append("")
        lines += _markdown_item(item)
    return "\n".join(lines) + "\n"


def _markdown_item(item: ItemView) -> list[str]:
    if item.state is State.TEXT:
        return [f"- {as_text(item.step.title)}: {as_text(item.summary)}"]
    when = f", {item.at:%H:%M:%S}Z" if item.at else ""
    who = f" by {as_text(item.by)}" if item.by and item.answer is not None else ""
    word = {State.PENDING: "not yet", State.WAITING: "not yet"}.get(item.state, _WORD[item.level])
    head = f"- {_MARK[item.level]} **{as_text(item.step.title)}** {word}: {as_text(item.summary)}"
    lines = [f"{head} _({item.state.value}{who}{when})_"]
    told = [line for finding in item.findings for line in finding.evidence]
    if told and item.level is not Level.OK:
        shown = [_FENCE.sub("``", sanitise_line(line)) for line in told[:EVIDENCE]]
        more = [f"… {len(told) - EVIDENCE} more"] if len(told) > EVIDENCE else []
        lines += ["  ```", *(f"  {line}" for line in (*shown, *more)), "  ```"]
    return lines
