"""`muva health --since`: how an environment has been, from the kept history."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import Invocation, environment_of, print_json, wait
from muva_console.cli.base import tell as tell_error
from muva_console.cli.lines import glyph
from muva_console.ops.errors import OpsError
from muva_console.ops.health.words import floored
from muva_console.ops.readings import Exit, Level, utc_now

if TYPE_CHECKING:
    from muva_console.ops.monitoring.back import Back
    from muva_console.ops.monitoring.model import Past


PLACES = 60
"""Stretches of a window that `--json` tells."""


def tell_past(invocation: Invocation, environment: str | None, since: datetime, *, as_json: bool) -> int:
    """Print it. Exit status: 0 told, 3 nothing was kept or it cannot be read."""

    async def tell() -> int:
        from muva_console.ops.monitoring.back import read_back

        until = utc_now()
        if since >= until:
            raise click.UsageError("--since must lie in the past")
        async with invocation.workspace() as workspace:
            of = environment_of(workspace, environment)
            try:
                back = await read_back(workspace, of.name, since, until, PLACES)
            except OpsError as error:
                tell_error(error)
                return Exit.CANNOT_TELL
        if as_json:
            print_json(
                {
                    "environment": of.name,
                    "series": {past.series: _data(past) for past in back.pasts},
                    "budget": {
                        **to_builtins(back.budget),
                        "availability": back.budget.availability,
                        "left": back.budget.left,
                    },
                    "marks": to_builtins(back.marks),
                }
            )
        else:
            _print(back)
        return Exit.OK if any(past.known for past in back.pasts) else Exit.CANNOT_TELL

    return wait(tell)


def _data(past: Past) -> dict[str, Any]:
    data: dict[str, Any] = to_builtins(past)
    return {**data, "availability": past.availability}


def _print(back: Back) -> None:
    pasts, budget, environment = back.pasts, back.budget, back.environment
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
            f"  {past.series:<12} {floored(share)} of {past.known} looks were well, "
            f"{past.failed} failed, {past.slow} slow  {times}"
        )
    if budget.left is not None:
        click.echo(
            f"  error budget {budget.left * 100:.0f} % left: {budget.target * 100:g} % of the looks of "
            f"{budget.days} days are to be well"
        )
    for mark in back.marks:
        sign = glyph(Level.OK if mark.good else Level.FAIL)
        click.echo(f"  {sign} {mark.at:%Y-%m-%d %H:%M} {mark.kind} {mark.text}")
