"""`muva incident` on a real estate: a process is stopped, seen, led, mended, stable, closed, written up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from muva_console.cli.moments import moment_of
from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.operations import EventKind
from muva_console.ops.performer import Confirmation
from muva_console.ops.process_operations import Action
from tests.cli.conftest import Muva
from tests.hostility.parts import opened

NOW = datetime(2026, 11, 5, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("12m", timedelta(minutes=12)),
        ("90s", timedelta(seconds=90)),
        ("14:05", timedelta(minutes=25)),
        ("23:50", timedelta(hours=14, minutes=40)),
        ("2026-11-05T14:00", timedelta(minutes=30)),
        ("2026-11-05T15:00+01:00", timedelta(minutes=30)),
    ],
)
def test_moments_are_what_a_person_means_by_them(text: str, ago: timedelta) -> None:
    assert moment_of(text, NOW) == NOW - ago
    assert moment_of("soon", NOW) is None
    assert moment_of("25:99", NOW) is None


async def test_an_incident_from_the_first_red_verdict_to_its_post_mortem(
    breakable_estate: Estate, muva: Muva
) -> None:
    config = breakable_estate.config
    assert (await muva("incident", "note", "nobody reads this", config=config)).status == 2
    await faults.break_in(breakable_estate.directory, "process-stopped")
    seen = await muva("diagnose", "--env", "production", "--json", config=config)
    assert seen.status == 1
    assert "was opened with this verdict" in seen.err
    told = await muva("incident", "show", "--json", config=config)
    assert told.status == 1
    number = told.data["id"]
    assert told.data["verdict"] == seen.data["scenarios"][0]["id"] == "process-stopped"
    assert told.data["automatic"]

    early = await muva("incident", "stable", "--no-message", config=config)
    assert early.status == 1, early.err
    assert "is not healthy, so it is not called stable" in early.err
    role = await muva("incident", "role", "commander", "eve", "--yes", "--json", config=config)
    assert role.data["message"]["posted"], role.err
    assert role.data["message"]["text"] in role.err.replace("\n  ", "\n")  # shown before it was sent
    asked = await muva("incident", "severity", "high", "--json", config=config)
    assert not asked.data["message"]["posted"]  # nobody confirmed it
    assert asked.data["severity"] == "high"
    assert (await muva("incident", "note", "guests call", "--at", "1m", config=config)).status == 0

    opened_by_a_verdict = await muva("incident", "tell", "--yes", "--json", config=config)
    assert opened_by_a_verdict.data["message"]["posted"], opened_by_a_verdict.err
    async with opened(config) as workspace:
        operation = workspace.environments["production"].process_operation(
            Action.RESTART, "vps", "muva-production"
        )
        plan = await workspace.performer.prepare(operation)
        confirmation = Confirmation(confirmed=True, typed="production")
        events = [event async for event in workspace.performer.perform(operation, plan, confirmation)]
        assert events[-1].kind is EventKind.DONE
    stable = await muva("incident", "stable", "--no-message", "--json", config=config)
    assert stable.status == 0, stable.err
    assert stable.data["verified"]
    assert stable.data["recovery_s"] > 0
    closed = await muva("incident", "close", "--cause", "stopped by hand", "--yes", "--json", config=config)
    assert closed.data["phase"] == "closed"
    assert "Cause: stopped by hand" in closed.data["message"]["text"]

    shown = await muva("incident", "show", "--id", str(number), "--json", config=config)
    assert shown.status == 0
    lanes = [one["lane"] for one in shown.data["timeline"]]
    assert {"verdict", "incident", "note", "notice"} <= set(lanes)
    assert sum(lane == "notice" for lane in lanes) == 3
    (act,) = [one for one in shown.data["timeline"] if one["lane"] == "act"]
    assert (act["outcome"], act["by"]) == ("done", shown.data["stable_by"])
    assert act["took"] > 0
    assert any(line.startswith("verified: ") for line in act["detail"])
    written = await muva("incident", "postmortem", "--json", config=config)
    assert "stopped by hand" in written.data["markdown"]
    acts = written.data["markdown"].split("## Acts")[1].split("## ")[0]
    assert "Restart" in acts
    assert any(blank.startswith("impact") for blank in written.data["blanks"])
    plain = await muva("incident", "postmortem", config=config)
    assert plain.out.startswith("# Post-mortem: ")
    assert (breakable_estate.directory / "secrets" / "planted").read_text().strip() not in plain.out
    listed = await muva("incident", "list", "--json", config=config)
    assert [one["id"] for one in listed.data] == [number]
    posted = [json.loads(line) for line in _posted(breakable_estate)]
    assert any(f"Incident {number}" in str(one) for one in posted)


def _posted(estate: Estate) -> list[str]:
    return (estate.directory / "slack.jsonl").read_text().splitlines()
