"""A play against the clock: what was seen and done is taken from the journal, and recovery is verified."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muva_console.cli.drill_play import play_lines
from muva_console.drill import estate as estates
from muva_console.drill import faults
from muva_console.drill.play import Playing, chosen, playable
from muva_console.drill.plays import Broken, Play, keep, read
from muva_console.drill.state import Estate
from muva_console.ops.errors import OpsError
from muva_console.ops.operations import EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.process_operations import Action
from tests.cli.conftest import Answer, Muva, muva
from tests.hostility.parts import opened
from tests.patience import HANG

__all__ = ["muva"]

AT = datetime(2026, 11, 5, 14, 0, tzinfo=UTC)


def played(**more: object) -> Play:
    told: dict[str, object] = {
        "id": "x",
        "player": "dana",
        "drawn": True,
        "faults": (Broken(name="ssh-gone", environment="production", scenarios=("x",), needed="start it"),),
        "broken_at": AT,
        "ended_at": AT,
        "outcome": "given up",
    }
    return Play(**{**told, **more})  # type: ignore[arg-type]


def test_plays_are_kept_and_lines_that_are_none_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "data" / "plays.jsonl"
    assert read(file) == ((), 0)
    first, second = played(), played(id="y", detected_at=AT + timedelta(seconds=9))
    keep(first, file)
    with file.open("a") as torn:
        torn.write('{"id": "half\n')
    keep(second, file)
    assert read(file) == ((first, second), 1)
    assert file.stat().st_mode & 0o777 == 0o600
    lines = play_lines(first)
    assert "nobody noticed" in lines[1]
    assert "not named: ssh-gone" in lines[2]
    assert "not seen healthy" in lines[3]


def test_of_several_faults_each_must_be_named() -> None:
    two = tuple(
        Broken(name=name, environment="production", scenarios=(), needed="", diagnosed_at=at)
        for name, at in (("a", AT + timedelta(seconds=5)), ("b", AT + timedelta(seconds=8)))
    )
    assert played(faults=two).diagnosed_at == AT + timedelta(seconds=8)
    assert played(faults=(two[0], played().faults[0])).diagnosed_at is None


def test_what_is_drawn_can_be_played() -> None:
    names = {fault.name for fault in playable()}
    assert {"crash-loop", "process-stopped", "database-stopped", "ssh-gone"} <= names
    drawn = [chosen((), count=2, lot=random.Random(seed)) for seed in range(30)]
    assert all(len({fault.name for fault in pair} & names) == 2 for pair in drawn)
    assert len({pair[0].name for pair in drawn}) > 2
    assert all(one.break_in.__module__ != two.break_in.__module__ for one, two in drawn), (
        "they hide each other"
    )
    with pytest.raises(OpsError, match="cannot be played"):
        chosen(["planted-secret"])


async def _mended_by_an_engineer(estate: Estate, muva: Muva) -> Answer:
    """See it, and restart the process with the console."""
    ends = time.monotonic() + HANG
    while True:
        told = await muva("diagnose", "--env", "production", "--json", config=estate.config)
        if told.status == 1:
            break
        assert time.monotonic() < ends, told.out
    begun = await muva(
        "checklist", "emergency-service-down", "--env", "production", "--begin", config=estate.config
    )
    assert "NO-GO" in begun.out, begun.err
    async with opened(estate.config) as workspace:
        operation = workspace.environments["production"].process_operation(
            Action.RESTART, "vps", "muva-production"
        )
        plan = await workspace.performer.prepare(operation)
        confirmation = Confirmation(confirmed=True, typed="production")
        events = [event async for event in workspace.performer.perform(operation, plan, confirmation)]
    assert events[-1].kind is EventKind.DONE, events
    return told


async def test_a_play_takes_the_time_to_detect_diagnose_and_recover(
    breakable_estate: Estate, muva: Muva, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    where = ("--dir", str(breakable_estate.directory))
    words = ("drill", "play", "process-stopped", *where, "--within", "0s", "--patience", "2m", "--json")
    done, seen = await asyncio.gather(
        muva(*words, timeout=3 * HANG), _mended_by_an_engineer(breakable_estate, muva)
    )
    assert done.status == 0, done.err
    play = done.data
    assert (play["outcome"], play["helped"], play["drawn"]) == ("recovered", False, False)
    assert 0 <= play["detect_s"] <= play["diagnose_s"] <= play["recover_s"]
    assert play["faults"][0]["scenarios"] == ["process-stopped"] == [seen.data["scenarios"][0]["id"]]
    assert play["detected_how"].endswith("a red verdict")
    (act,) = play["done"]
    assert (act["outcome"], "Restart" in act["text"]) == ("done", True)
    assert play["faults"][0]["needed"] == "`pm2 restart`."
    assert play["faults"][0]["runbook"] == "emergency-service-down"
    assert play["walked"] == ["emergency-service-down"]
    assert (await estates.status(breakable_estate.directory)).whole
    listed = await muva("drill", "plays", "--json")
    assert [one["id"] for one in listed.data] == [play["id"]]

    # given up before anything breaks, nothing is kept; what is broken already is no play
    nothing = Playing(breakable_estate.directory, chosen(["ssh-gone"]), drawn=False, within=HANG)
    nothing.end()
    assert await nothing.play() is None
    await faults.break_in(breakable_estate.directory, "process-stopped")
    with pytest.raises(OpsError, match="something is broken already: process-stopped"):
        await Playing(breakable_estate.directory, chosen(["ssh-gone"]), drawn=False).play()


async def test_what_the_drill_mends_is_no_recovery_by_the_player(breakable_estate: Estate) -> None:
    playing = Playing(breakable_estate.directory, chosen(["process-stopped"]), drawn=False, within=0.0)
    task = asyncio.create_task(playing.play())
    ends = time.monotonic() + HANG
    while not (await estates.status(breakable_estate.directory)).faults:
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)
    while not playing.red:
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)
    await faults.mend(breakable_estate.directory)
    play = await task
    assert play is not None
    assert (play.outcome, play.helped, play.detected_at, play.done) == ("recovered", True, None, ())
    assert play.recovered_at is not None
