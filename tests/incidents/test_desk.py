"""Two engineers at one journal: the same incident, and the one who acts is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from muva_console.ops.diagnosis.model import Diagnosis, Scenario
from muva_console.ops.errors import ConfigError, Refused
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.incidents.messages import message_of
from muva_console.ops.incidents.model import Phase, Role, Severity, Turn
from muva_console.ops.incidents.postmortem import write
from muva_console.ops.incidents.timeline import read_timeline
from muva_console.ops.incidents.verdicts import keep_verdict, sense_onset
from muva_console.ops.journal import Draft, Journal, Kind
from muva_console.ops.readings import Finding, Level, utc_now
from tests.journal.conftest import DANA, EVE

Open = Callable[..., Journal]
EVE_LABEL = "eve (account deploy)"


def diagnosis(scenario: str, level: Level = Level.FAIL) -> Diagnosis:
    at = utc_now()
    scenarios = (
        (Scenario(id=scenario, title=scenario.capitalize(), confidence="very likely", supports=("PM2",)),)
        if scenario
        else ()
    )
    seen = Finding(
        check="api-health", title="API", level=level, summary="refused | <b>", command="curl x", at=at
    )
    return Diagnosis(
        environment="production",
        scenarios=scenarios,
        findings=(seen,),
        cannot_tell="" if scenario else "cannot tell, because nothing answers",
        at=at,
        took_ms=1.0,
    )


async def test_two_consoles_see_one_incident_and_name_who_said_what(open_journal: Open) -> None:
    dana, eve = Desk(open_journal(engineer=DANA)), Desk(open_journal(engineer=EVE))
    opened = await asyncio.gather(
        dana.open("production", "down", Severity.CRITICAL, commander="dana"),
        eve.open("production", "it is down", Severity.HIGH),
        return_exceptions=True,
    )
    refused = [one for one in opened if isinstance(one, Refused)]
    assert len(refused) == 1  # one incident, not two
    assert "is open there already" in str(refused[0])
    mine = await dana.current("production")
    theirs = await eve.current("production")
    assert mine is not None
    assert mine == theirs

    # different things at once: both are written
    await asyncio.gather(
        dana.set_severity(mine, Severity.LOW), eve.hand_over(mine, Role.OPERATIONS, "eve", "I am at the host")
    )
    both = await dana.get(mine.id)
    assert (both.severity, both.roles["operations"]) == (Severity.LOW, "eve")

    # the same thing at once: the first stands, the second is told who was first
    said = await asyncio.gather(
        dana.hand_over(both, Role.COMMUNICATIONS, "dana"),
        eve.hand_over(both, Role.COMMUNICATIONS, "mia"),
        return_exceptions=True,
    )
    lost = [one for one in said if isinstance(one, Refused)]
    assert len(lost) == 1
    first = (await eve.get(mine.id)).said[-1]
    assert first.by in str(lost[0])
    assert first.text in str(lost[0])

    # what eve says of an outdated view of it is held against what has been said since
    await dana.stable(both, "8 health checks passed", verified=True)
    with pytest.raises(Refused, match="dana said meanwhile: stable"):
        await eve.close(both, reason="a false alarm")
    now = await eve.get(mine.id)
    closed = await eve.close(now, cause="a full disk")
    assert (closed.phase, closed.closed_by, closed.stable_by) == (Phase.CLOSED, EVE_LABEL, "dana")
    with pytest.raises(Refused, match="closed; cause: a full disk"):
        await dana.unstable(now, "again")
    # the next one is another
    again = await dana.open("production", "down again", Severity.HIGH)
    assert [one.id for one in await eve.all()] == [mine.id, again.id]
    # and what is found of the first one afterwards is said of the first one
    found = await dana.set_onset(closed, closed.opened_at - timedelta(minutes=9), "its log")
    assert found.recovery is not None
    assert found.recovery > 540
    assert (await eve.get(again.id)).onset is None
    with pytest.raises(ConfigError, match="no incident 9999"):
        await eve.get(9999)


async def test_closed_and_stable_are_apart(open_journal: Open) -> None:
    desk = Desk(open_journal())
    one = await desk.open("staging", "slow", Severity.LOW)
    with pytest.raises(Refused, match="is not stable"):
        await desk.close(one, cause="no idea")
    for wrong in (
        desk.note(one, "  "),
        desk.hand_over(one, Role.COMMANDER, " "),
        desk.stable(one, "", verified=True),
        desk.set_onset(one, utc_now() + timedelta(hours=1), "x"),
        desk.set_severity(one, Severity.LOW),
        desk.unstable(one, "it never was"),
    ):
        with pytest.raises(Refused):
            await wrong
    assert (await desk.close(one, reason="a false alarm")).phase is Phase.CLOSED


async def test_the_first_red_verdict_of_production_opens_one_and_tells_since_when(open_journal: Open) -> None:
    journal = open_journal()
    desk = Desk(journal)
    assert await keep_verdict(journal, diagnosis("healthy", Level.OK), opens=True) is None
    well = (await journal.read())[-1].data["at"]
    assert await keep_verdict(journal, diagnosis("", Level.UNKNOWN), opens=True) is None  # unknown is not red
    assert await desk.current("production") is None
    assert await keep_verdict(journal, diagnosis("process-stopped"), opens=False) is None  # as for staging
    red = await sense_onset(journal, "production")
    assert red is not None
    assert red.well is not None
    assert well.startswith(f"{red.well:%Y-%m-%dT%H:%M:%S}")
    opened = await keep_verdict(journal, diagnosis("process-stopped"), opens=True)
    assert opened is not None
    assert (opened.automatic, opened.verdict, opened.severity) == (True, "process-stopped", Severity.CRITICAL)
    assert opened.onset == red.onset
    assert "seen healthy last at" in opened.onset_source
    assert await keep_verdict(journal, diagnosis("process-stopped"), opens=True) is None  # there is one
    # the same verdict is not kept again and again, another one is
    states = [e.data["scenarios"] for e in await journal.read() if e.kind == Kind.FINDING]
    assert states == [["healthy"], [], ["process-stopped"]]
    # opened by hand in the same streak: its onset is sensed too, where nobody gives it
    await desk.close(opened, reason="to be led anew")
    again = await desk.open("production", "guests call", Severity.HIGH)
    assert (again.onset, again.onset_source) == (opened.onset, opened.onset_source)
    await keep_verdict(journal, diagnosis("healthy", Level.OK), opens=True)
    assert await sense_onset(journal, "production") is None


async def test_the_time_line_writes_itself_and_notes_stand_where_they_belong(open_journal: Open) -> None:
    dana, eve = open_journal(engineer=DANA), open_journal(engineer=EVE)
    desk = Desk(dana)
    plan = {"operation": "process-restart", "target": "muva-production on vps", "title": "Restart"}

    async def act(name: str, outcome: str | None, environment: str = "production") -> None:
        draft = Draft(
            kind=Kind.ACT_BEGUN,
            subject=f"process-restart {name}",
            text=f"Restart {name}",
            environment=environment,
            data={"plan": plan},
            act=name,
        )
        await eve.begin_act(draft, target="muva-production on vps")
        if outcome:
            await eve.end_act(
                Draft(
                    kind=Kind.ACT_ENDED,
                    subject=draft.subject,
                    text="it serves | again",
                    environment=environment,
                    data={"outcome": outcome, "took_s": 2.5, "verified": ["online for 10 s"]},
                    act=name,
                )
            )

    await act("earlier", "done")  # what changed before it began
    await act("elsewhere", "done", "staging")
    await keep_verdict(dana, diagnosis("process-stopped"), opens=True)
    one = await desk.current("production")
    assert one is not None
    assert one.onset is not None
    await act("first", "done")
    await act("second", None)
    one = await desk.note(one, "a guest called: *nothing* <loads>", at=one.onset + timedelta(microseconds=1))
    one = await Desk(eve).hand_over(one, Role.COMMANDER, "eve")
    one = await Desk(eve).stable(one, "8 health checks passed", verified=True)
    moments = await read_timeline(dana, one, now=utc_now())

    lanes = [(m.lane, m.before) for m in moments]
    assert lanes == [
        ("act", True), ("note", False), ("verdict", False), ("incident", False), ("act", False),
        ("act", False), ("incident", False), ("incident", False),
    ]  # fmt: skip
    first, second = (m for m in moments if m.lane == "act" and not m.before)
    assert (first.by, first.outcome, first.took) == (EVE_LABEL, "done", 2.5)
    assert second.outcome == "open"
    assert not any("elsewhere" in m.text for m in moments)

    made = write(one, moments, at=utc_now())
    names = [blank.split(":")[0] for blank in made.blanks]
    assert names == ["summary", "impact", "cause", "lessons", "follow-ups"]
    for blank in made.blanks:
        assert made.text.count(blank.split(": ", 1)[1]) == 2  # where it belongs, and at the end
    assert "| Onset to stable (recovery) |" in made.text
    assert r"a guest called: \*nothing\* \<loads\>" in made.text
    assert r"it serves \| again" in made.text
    assert r"refused \| \<b\>" in made.text
    assert "Restart earlier" in made.text.split("## What changed before it began")[1].split("## ")[0]
    assert EVE_LABEL in made.text.split("- Acted:")[1].split("\n")[0]
    assert "nobody" in made.text  # a role that nobody took

    # an onset that nobody knows is a blank too, and no recovery is made up
    other = await desk.open("staging", "odd", Severity.LOW)
    other = await desk.close(other, reason="a false alarm", cause="a test")
    untold = write(other, await read_timeline(dana, other, now=utc_now()), at=utc_now())
    assert {blank.split(":")[0] for blank in untold.blanks} >= {"onset", "stable", "evidence"}
    assert "cause" not in {blank.split(":")[0] for blank in untold.blanks}


async def test_each_turn_has_its_message(open_journal: Open) -> None:
    desk = Desk(open_journal())
    began = utc_now() - timedelta(minutes=12)
    one = await desk.open("production", "bookings fail", Severity.HIGH, onset=began, onset_source="a guest")
    opened = message_of(one, Turn.OPENED)
    assert opened.splitlines()[0] == f"🟡 Incident {one.id} opened on production: bookings fail"
    assert f"Began: {began:%H:%M} UTC (a guest)" in opened
    assert "Lead: nobody yet" in opened
    one = await desk.hand_over(one, Role.COMMANDER, "eve")
    assert "commander: nobody → eve (by dana)" in message_of(one, Turn.ROLE)
    one = await desk.stable(one, "said by a guest", verified=False)
    stable = message_of(one, Turn.STABLE)
    assert "not seen healthy by the console" in stable
    assert "Recovery: 12m from onset" in stable
    one = await desk.unstable(one, "it fails again")
    assert "it is back" in message_of(one, Turn.UNSTABLE)
    assert "Recovery" not in message_of(one, Turn.UNSTABLE)
    one = await desk.close(one, reason="handed to the vendor")
    assert "Recovery: it was never called stable" in message_of(one, Turn.CLOSED)
    assert "Cause: not written yet" in message_of(one, Turn.CLOSED)
