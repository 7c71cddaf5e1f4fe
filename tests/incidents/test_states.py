"""The states of an incident: what may be said when, whatever is said in whichever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.incidents.fold import act_of, as_text, fold
from muva_console.ops.incidents.model import ALLOWED, Incident, Phase, Turn
from muva_console.ops.journal.model import Entry, Kind

BEGAN = datetime(2026, 11, 5, 14, 0, tzinfo=UTC)
ENVIRONMENT = "production"


def entry(id: int, data: dict[str, Any], *, ref: int | None = None, kind: str = Kind.INCIDENT) -> Entry:
    return Entry(
        id=id,
        at=BEGAN + timedelta(minutes=id),
        engineer=f"person{id % 3}",
        origin="",
        session="s",
        environment=ENVIRONMENT,
        kind=kind,
        subject=act_of(ENVIRONMENT),
        text=str(data.get("turn", "note")),
        data=data,
        act=act_of(ENVIRONMENT),
        ref=ref,
        prev_hash="",
        hash="",
    )


WORDS: dict[str, dict[str, Any]] = {
    Turn.OPENED: {"title": "down", "severity": "critical", "onset": as_text(BEGAN)},
    Turn.SEVERITY: {"severity": "low"},
    Turn.ROLE: {"role": "commander", "to": "eve"},
    Turn.ONSET: {"onset": as_text(BEGAN - timedelta(minutes=5)), "onset_source": "a guest called"},
    Turn.STABLE: {"how": "seen", "verified": True},
    Turn.UNSTABLE: {},
    Turn.CLOSED: {"cause": "the disk"},
    "note": {},
    "of-a-newer-console": {"turn": "merged"},
    "malformed": {"severity": "terrible"},
}


def _told(words: list[tuple[str, int]]) -> list[Entry]:
    """Entries as a journal may have them: with turns of several incidents, and some that cannot be."""
    entries: list[Entry] = []
    for number, (word, back) in enumerate(words, 1):
        openings = [one.id for one in entries if one.data.get("turn") == Turn.OPENED]
        ref = openings[-1 - back % len(openings)] if openings and word != Turn.OPENED else None
        kind = Kind.NOTE if word == "note" else Kind.INCIDENT
        turn = Turn.SEVERITY if word == "malformed" else word
        entries.append(entry(number, {"turn": str(turn), **WORDS[word]}, ref=ref, kind=kind))
    return entries


@given(st.lists(st.tuples(st.sampled_from(sorted(WORDS)), st.integers(0, 2)), max_size=30))
def test_whatever_is_said_an_incident_stands_where_its_allowed_turns_lead(
    words: list[tuple[str, int]],
) -> None:
    entries = _told([(str(Turn.OPENED), 0), *words])
    incidents: tuple[Incident, ...] = ()
    for one in entries:
        before = {incident.id: incident for incident in incidents}
        incidents = fold([one], incidents)
        assert sum(incident.open for incident in incidents) <= 1
        for incident in incidents:
            had = before.get(incident.id)
            if had is None or incident == had:
                continue
            turn = incident.said[-1].turn
            assert turn == "note" or Turn(turn) in ALLOWED[had.phase]
            if had.phase is Phase.CLOSED:
                assert incident.phase is Phase.CLOSED
                assert (incident.closed_at, incident.severity) == (had.closed_at, had.severity)
    assert fold(entries) == incidents  # at once as one by one
    assert fold(entries, incidents) == incidents  # read again, nothing is said twice
    for incident in incidents:
        assert (incident.phase is Phase.STABLE) <= (incident.stable_at is not None)
        assert incident.open == (incident.closed_at is None)
        if incident.recovery is not None and incident.onset is not None:
            assert incident.stable_at is not None
            assert incident.recovery == (incident.stable_at - incident.onset).total_seconds()


def test_recovery_is_measured_from_onset_and_forgotten_when_it_comes_back() -> None:
    entries = _told([(str(Turn.OPENED), 0), (str(Turn.STABLE), 0)])
    (stable,) = fold(entries)
    assert stable.recovery == 120.0
    assert stable.detection == 60.0
    (back,) = fold([entry(3, {"turn": "unstable"}, ref=1)], [stable])
    assert (back.phase, back.recovery, back.verified) == (Phase.OPEN, None, False)
    (later,) = fold([entry(4, {"turn": "stable", "how": "x"}, ref=1)], [back])
    (closed,) = fold([entry(5, {"turn": "closed"}, ref=1)], [later])
    assert closed.recovery == 240.0
    # found in the logs after it was closed
    told = {"turn": "onset", "onset": as_text(BEGAN - timedelta(minutes=6)), "onset_source": "its log"}
    (corrected,) = fold([entry(6, told, ref=1)], [closed])
    assert (corrected.recovery, corrected.onset_source) == (600.0, "its log")


def test_without_an_onset_no_recovery_is_made_up() -> None:
    opened = entry(1, {"turn": "opened", "title": "down", "severity": "high"})
    (one,) = fold([opened, entry(2, {"turn": "stable", "how": "x"}, ref=1)])
    assert (one.recovery, one.detection) == (None, None)
