"""Alerts are raised, seen to, silenced and ended in the journal, once, whoever looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from muva_console.ops.alerts.desk import Alerts, named
from muva_console.ops.alerts.fold import fold
from muva_console.ops.alerts.model import Alert, Noticed, Source
from muva_console.ops.errors import ConfigError, Refused
from muva_console.ops.journal import Draft, Entry, Filter, Journal
from muva_console.ops.readings import Level, utc_now
from tests.alerts.conftest import NOTICED, journal_of

WARNED = structs.replace(NOTICED, level=Level.WARN)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Alerts, Alerts]]:
    """The desks of two consoles on one journal."""
    journals = [journal_of(tmp_path, name) for name in ("dana", "eve")]
    yield Alerts(journals[0]), Alerts(journals[1])
    for journal in journals:
        await journal.close()


async def raised(desk: Alerts, noticed: Noticed = WARNED) -> Alert:
    alert = await desk.raise_(noticed, None)
    assert alert is not None
    return alert


async def test_of_two_that_notice_the_same_thing_one_is_the_first(two: tuple[Alerts, Alerts]) -> None:
    said = await asyncio.gather(*(desk.raise_(WARNED, None) for desk in two))
    assert sum(one is not None for one in said) == 1
    (alert,) = await two[0].open()
    assert alert.open
    assert await two[1].recover(alert) is not None
    assert await two[0].recover(alert) is None
    assert await two[0].open() == ()


async def test_seen_to_calls_for_nobody_until_it_is_raised_again(two: tuple[Alerts, Alerts]) -> None:
    desk = two[0]
    alert = await desk.ack(await raised(desk), "looking into it")
    now = utc_now()
    assert not alert.wants_somebody(now)
    with pytest.raises(Refused, match="already"):
        await desk.ack(alert)
    over = await desk.recover(alert)
    assert over is not None
    with pytest.raises(Refused, match="not open"):
        await desk.ack(over)
    again = await desk.raise_(WARNED, over)
    assert again is not None
    assert again.wants_somebody(now)
    assert again.note == ""


async def test_a_silence_has_a_reason_and_an_end(two: tuple[Alerts, Alerts]) -> None:
    desk = two[0]
    alert = await raised(desk)
    now = utc_now()
    for reason, until in (
        (" ", now + timedelta(hours=1)),
        ("known", now - timedelta(seconds=1)),
        ("known", now + timedelta(days=31)),
    ):
        with pytest.raises(Refused):
            await desk.silence(alert, reason, until)
    alert = await desk.silence(alert, "known", now + timedelta(hours=1))
    assert not alert.wants_somebody(now)
    assert alert.wants_somebody(now + timedelta(hours=2))
    with pytest.raises(Refused, match="meanwhile"):  # what eve saw is not the newest any more
        await two[1].silence(await _stale(two[1], alert), "mine", now + timedelta(hours=1))
    alert = await desk.unsilence(alert)
    assert alert.wants_somebody(now)
    with pytest.raises(Refused, match="not silenced"):
        await desk.unsilence(alert)


async def _stale(desk: Alerts, alert: Alert) -> Alert:
    return structs.replace(alert, last=alert.last - 1)


async def test_one_that_was_never_raised_can_be_silenced_beforehand(two: tuple[Alerts, Alerts]) -> None:
    desk = two[0]
    until = utc_now() + timedelta(hours=1)
    before = await desk.silence(named("production", "service/api-health"), "we deploy", until)
    assert not before.open
    alert = await desk.raise_(WARNED, before)
    assert alert is not None
    assert alert.open
    assert alert.silenced(utc_now())
    with pytest.raises(Refused, match="no alert's key"):
        named("production", "anything")


async def test_what_was_read_is_not_read_again_and_what_others_say_is_seen(
    two: tuple[Alerts, Alerts], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, other = two
    alert = await raised(desk)
    read: list[int] = []
    whole = Journal.read

    async def counted(self: Journal, wanted: Filter | None = None) -> list[Entry]:
        found = await whole(self, wanted)
        read.append(len(found))
        return found

    monkeypatch.setattr(Journal, "read", counted)
    assert (await desk.open())[0].key == alert.key
    assert (await desk.open())[0].key == alert.key
    assert read == [1, 0]
    await other.ack(alert, "mine")
    assert (await desk.open())[0].acked_by == "eve"
    assert read[-1] == 1


async def test_an_alert_is_found_by_a_part_of_its_key(two: tuple[Alerts, Alerts]) -> None:
    desk = two[0]
    await raised(desk)
    assert (await desk.find("production", "api-health")).key == "service/api-health"
    with pytest.raises(ConfigError, match="there is no alert"):
        await desk.find("staging", "api-health")


async def test_what_a_newer_console_or_somebody_else_wrote_is_passed_over(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "dana")
    desk = Alerts(journal)
    await raised(desk)
    for data in ({"turn": "blessed"}, {}, {"turn": "silenced", "until": "soon"}, {"turn": "raised"}):
        await journal.append(
            Draft(
                kind="alert",
                subject="service/api-health",
                environment="production",
                data=data,
                act="alerts production",
            )
        )
    entries = await journal.read(Filter(kinds=("alert",)))
    (alert,) = fold(entries).values()
    assert alert.open
    assert alert.level is Level.WARN
    await journal.close()


def test_a_silence_that_is_over_is_none() -> None:
    from muva_console.ops.alerts.model import Silence

    at = datetime(2026, 3, 1, tzinfo=UTC)
    alert = Alert(
        environment="production",
        key="service/x",
        source=Source.SERVICE,
        level=Level.FAIL,
        title="x",
        raised_at=at,
        silence=Silence(until=at + timedelta(hours=1), reason="r", by="dana"),
    )
    assert alert.silenced(at)
    assert not alert.silenced(at + timedelta(hours=1))
