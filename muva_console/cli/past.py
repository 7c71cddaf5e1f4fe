"""`muva health --since`: how an environment has been, from the kept history."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import Invocation, environment_of, print_json, wait
from muva_console.cli.base import tell as tell_error
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Exit, utc_now

if TYPE_CHECKING:
    from muva_console.ops.monitoring.model import Budget, Mark, Past


def tell_past(invocation: Invocation, environment: str | None, since: datetime, *, as_json: bool) -> int:
    """Print it. Exit status: 0 told, 3 nothing was kept or it cannot be read."""

    async def tell() -> int:
        from muva_console.ops.monitoring.marks import read_marks
        from muva_console.ops.monitoring.model import KEPT

        until = utc_now()
        if since >= until:
            raise click.UsageError("--since must lie in the past")
        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment)
            history = workspace.history
            target = of.config.thresholds.availability
            try:
                pasts = await asyncio.gather(*(history.past(of.name, one, since, until) for one in KEPT))
                budget = await history.budget(of.name, target, until)
                marks = await read_marks(workspace.journal, of.name, since, until)
            except OpsError as error:
                tell_error(error)
                return Exit.CANNOT_TELL
        if as_json:
            print_json(
                {
                    "environment": of.name,
                    "series": {past.series: _data(past) for past in pasts},
                    "budget": {
                        **to_builtins(budget),
                        "availability": budget.availability,
                        "left": budget.left,
                    },
                    "marks": to_builtins(marks),
                }
            )
        else:
            _print(of.name, pasts, budget, marks)
        return Exit.OK if any(past.known for past in pasts) else Exit.CANNOT_TELL

    return wait(tell)


def _data(past: Past) -> dict[str, Any]:
    data: dict[str, Any] = to_builtins(past)
    return {**data, "availability": past.availability}


def _print(environment: str, pasts: list[Past], budget: Budget, marks: tuple[Mark, ...]) -> None:
    first = min((past.first for past in pasts if past.first is not None), default=None)
    if first is None:
        click.echo(f"{environment}: nothing was kept: the console or muva monitor keeps what they see")
        return
    click.echo(f"{environment}, kept since {max(first, pasts[0].since):%Y-%m-%d %H:%M} UTC")
    for past in pasts:
        if not past.known:
            continue
        if past.series == "restarts":
            click.echo(f"  {past.series:<12} {past.restarts}")
            continue
        share = past.availability
        assert share is not None
        times = "  ".join(
            f"{name} {value:.0f} ms"
            for name, value in (("p50", past.p50), ("p95", past.p95), ("p99", past.p99))
            if value is not None
        )
        click.echo(
            f"  {past.series:<12} {share * 100:.2f} % of {past.known} looks were well, "
            f"{past.failed} failed, {past.slow} slow  {times}"
        )
    if budget.left is not None:
        click.echo(
            f"  error budget {budget.left * 100:.0f} % left: {budget.target * 100:g} % of the looks of "
            f"{budget.days} days are to be well"
        )
    for mark in marks:
        click.echo(f"  {'●' if mark.good else '✖'} {mark.at:%Y-%m-%d %H:%M} {mark.kind} {mark.text}")
