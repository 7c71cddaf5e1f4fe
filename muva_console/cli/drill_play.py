"""`muva drill play` and `muva drill plays`: an outage on the practice estate, against the clock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from muva_console.cli.base import json_option, print_json
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Exit

if TYPE_CHECKING:
    from muva_console.drill.plays import Play


def _spell(seconds: float | None) -> str:
    from muva_console.ops.process_findings import spell

    return "–" if seconds is None else spell(seconds)


def play_lines(play: Play) -> list[str]:
    """What it came to: the three times, and what was done against what was needed."""
    names = " and ".join(f"{one.name} ({one.environment})" for one in play.faults)
    lines = [f"{names}: {play.outcome}" + (", with the drill's own help" if play.helped else "")]
    named = ", ".join(one.name for one in play.faults if one.diagnosed_at is None)
    how = f"not named: {named}" if named else "the right verdict was seen"
    verified = "seen healthy twice" if play.recovered_at else "not seen healthy"
    lines += [
        f"  detected   {_spell(play.seconds(play.detected_at)):>8}  {play.detected_how or 'nobody noticed'}",
        f"  diagnosed  {_spell(play.seconds(play.diagnosed_at)):>8}  {how}",
        f"  recovered  {_spell(play.seconds(play.recovered_at)):>8}  {verified}",
    ]
    lines += [f"  saw        {verdict}" for verdict in play.verdicts]
    lines += [f"  did        {one.outcome}: {one.text} ({one.by}, {_spell(one.took)})" for one in play.done]
    if not play.done:
        lines.append("  did        nothing that is in the journal: what is done by hand is not in it")
    lines += [f"  walked     {name}" for name in play.walked]
    for one in play.faults:
        book = f" (runbook {one.runbook})" if one.runbook else ""
        lines.append(f"  needed     {one.name}: {one.needed}{book}")
    return lines


def as_data(play: Play) -> dict[str, Any]:
    """What ``--json`` prints: the record, and the durations in seconds; null is "it did not come to that"."""
    data: dict[str, Any] = to_builtins(play)
    data["detect_s"] = play.seconds(play.detected_at)
    data["diagnose_s"] = play.seconds(play.diagnosed_at)
    data["recover_s"] = play.seconds(play.recovered_at)
    return data


async def lead(
    folder: Path, names: Sequence[str], *, count: int, within: float, patience: float, as_json: bool
) -> int:
    """Play it, keep it, tell it, and mend what is left. Raises OpsError."""
    from muva_console.drill import faults as broken
    from muva_console.drill.play import Playing, chosen
    from muva_console.drill.plays import keep, plays_file

    def narrate(text: str) -> None:
        click.echo(f"  {text}", err=True)

    faults = chosen(names, count=count)
    playing = Playing(folder, faults, drawn=not names, within=within, patience=patience, progress=narrate)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(RuntimeError, ValueError):  # not the main thread: ended by its caller
            loop.add_signal_handler(number, playing.end)
    narrate("ctrl+c gives it up")
    play = await playing.play()
    if play is None:
        narrate("given up before anything broke")
        return Exit.BAD
    try:
        keep(play, plays_file())
    except OpsError as error:
        click.echo(f"muva: {error}", err=True)
    if as_json:
        print_json(as_data(play))
    else:
        for line in play_lines(play):
            click.echo(line)
    if play.outcome == "recovered":
        narrate("mending what is left of it")
        await broken.mend(folder, [fault.name for fault in faults])
    else:
        narrate("it is broken still: go on by hand, or muva drill mend")
    return Exit.OK if play.outcome == "recovered" and not play.helped else Exit.BAD


@click.command()
@json_option
def plays(as_json: bool) -> None:
    """List the plays that are kept: how long until it was detected, diagnosed, recovered."""
    from muva_console.drill.plays import plays_file, read

    found, bad = read(plays_file())
    if bad:
        click.echo(f"muva: {bad} lines of {plays_file()} are no plays", err=True)
    if as_json:
        print_json([as_data(one) for one in found])
        return
    if not found:
        click.echo("nothing was played yet: muva drill play")
    for one in found:
        names = ", ".join(fault.name for fault in one.faults)
        click.echo(
            f"{one.broken_at:%Y-%m-%d %H:%M}  {names:<24}  {one.outcome:<11}  "
            f"detected {_spell(one.seconds(one.detected_at)):<8} "
            f"diagnosed {_spell(one.seconds(one.diagnosed_at)):<8} "
            f"recovered {_spell(one.seconds(one.recovered_at)):<8} {one.player}"
            + (" (helped)" if one.helped else "")
            + ("" if one.drawn else " (knew it)")
        )
