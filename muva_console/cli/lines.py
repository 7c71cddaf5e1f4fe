"""Answers as lines of text for people; the terminal's own colours, and none in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from muva_console.ops.readings import Finding, Level, Verdict

if TYPE_CHECKING:
    from muva_console.ops.health.report import HealthReport
    from muva_console.ops.pm2.model import ProcessList

_GLYPH = {Level.OK: "●", Level.WARN: "▲", Level.FAIL: "✖", Level.UNKNOWN: "?"}
_ASCII = {Level.OK: "o", Level.WARN: "!", Level.FAIL: "x", Level.UNKNOWN: "?"}
COLOUR = {Level.OK: None, Level.WARN: "yellow", Level.FAIL: "red", Level.UNKNOWN: "magenta"}
"""A healthy answer is quiet: colour is for bad news."""
_VERDICT = {Verdict.GO: "healthy", Verdict.NO_GO: "unhealthy", Verdict.CANNOT_TELL: "cannot tell"}


def glyph(level: Level) -> str:
    """The level's glyph, or its ASCII twin where standard output has no such letters."""
    return (_GLYPH if "utf" in (sys.stdout.encoding or "").lower() else _ASCII)[level]


def finding_lines(findings: Sequence[Finding], *, verbose: bool) -> list[str]:
    """A line a finding; beneath what is not well (beneath all when `verbose`), its evidence, what to do next
    and its command. Findings of one check are told apart by what they are about.
    """
    lines = []
    names = [finding.title or finding.check for finding in findings]
    width = max(map(len, names), default=0)
    for name, finding in zip(names, findings, strict=True):
        mark = f"{glyph(finding.level)} {finding.level.value:<7}"
        about = f"{finding.subject}: " if finding.subject and names.count(name) > 1 else ""
        head = f"{mark} {name:<{width}}  {about}{finding.summary}"
        lines.append(click.style(head, fg=COLOUR[finding.level]))
        if verbose or finding.level is not Level.OK:
            lines += [f"            {fact}" for fact in finding.evidence]
            if finding.next:
                lines.append(f"            next: {finding.next}")
            if finding.command:
                lines.append(click.style(f"            $ {finding.command}", dim=True))
    return lines


def verdict_line(report: HealthReport) -> str:
    """``production: healthy, serving a1b2c3d v1.4.2, 7 checks in 312 ms``."""
    serving = " ".join(
        part for part in (report.commit[:7], f"v{report.version}" if report.version else "") if part
    )
    told = f", serving {serving}" if serving else ""
    checks = len({finding.check for finding in report.findings})
    line = (
        f"{report.environment}: {_VERDICT[report.verdict]}{told}, {checks} checks in {report.took_ms:.0f} ms"
    )
    colour = {Verdict.GO: None, Verdict.NO_GO: "red", Verdict.CANNOT_TELL: "magenta"}[report.verdict]
    return click.style(line, fg=colour, bold=True)


def process_lines(lists: Sequence[ProcessList]) -> list[str]:
    """A table of processes, a host after the other."""
    from muva_console.ops.process_findings import spell, spell_size

    rows = [("HOST", "ID", "NAME", "STATUS", "CPU", "MEMORY", "LIMIT", "RESTARTS", "UP", "PID", "COMMIT")]
    for of_host in lists:
        for process in of_host.processes:
            uptime = of_host.uptime(process)
            recent = process.restarts_in_window
            rows.append(
                (
                    of_host.host,
                    str(process.pm_id),
                    process.name,
                    process.status,
                    f"{process.cpu:.0f}%",
                    spell_size(process.memory),
                    spell_size(process.memory_limit) if process.memory_limit else "–",
                    f"{process.restarts}" + (f" ({recent} lately)" if recent else ""),
                    "–" if uptime is None else spell(uptime),
                    str(process.pid or "–"),
                    process.commit[:7] or "–",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
