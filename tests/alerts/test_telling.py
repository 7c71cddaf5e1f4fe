"""The team is told once, by Slack and by any webhook; of what is silenced, and in read-only mode, never."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from muva_console.config.model import Secret
from muva_console.config.release import Alerts as Settings
from muva_console.config.release import Notices
from muva_console.ops.alerts.model import Alert, Silence, Source
from muva_console.ops.alerts.telling import MOST, tell_team
from muva_console.ops.alerts.watch import Change
from muva_console.ops.readings import Level, utc_now
from tests.patience import HANG

pytestmark = pytest.mark.timeout(HANG)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATH = "/hooks/T0001/Zq8planted4secret"


class Door:
    """What is posted to, and how it answers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.posted: list[dict[str, Any]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r")[0])
        self.posted.append(json.loads(await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 2\r\n\r\nok".encode())
        writer.close()


@asynccontextmanager
async def standing(status: int = 200) -> AsyncIterator[Door]:
    door = Door(status)
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    door.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}"
    async with server:
        yield door


def alert(number: int = 0, **more: Any) -> Alert:
    made = Alert(
        environment="production",
        key=f"service/check-{number}",
        source=Source.SERVICE,
        level=Level.FAIL,
        title="API health is down: answers 500 <!channel>",
        raised_at=AT,
    )
    return structs.replace(made, **more)


async def told(
    door: Door, changes: Sequence[Change], *ways: str, read_only: bool = False, given: bool = True
) -> list[str]:
    async def secret(_: Any) -> str:
        return door.url

    reference = Secret(env="X") if given else None
    config = SimpleNamespace(
        alerts=Settings(notify=ways, webhook=reference), notices=Notices(slack=reference)
    )
    workspace = SimpleNamespace(config=config, read_only=read_only, secret=secret)
    return await tell_team(cast(Any, workspace), "production", changes)


async def test_a_webhook_gets_each_alert_as_data_and_slack_one_message() -> None:
    over = Change(alert=alert(1, recovered_at=AT + timedelta(minutes=3)), recovered=True)
    changes = (Change(alert=alert(), recovered=False), over)
    async with standing() as door:
        assert await told(door, changes, "webhook") == ["told by the webhook"]
        (data,) = door.posted
        assert data["environment"] == "production"
        assert [(one["key"], one["state"], one["level"]) for one in data["alerts"]] == [
            ("service/check-0", "raised", "fail"),
            ("service/check-1", "recovered", "fail"),
        ]
        assert "over after 3m" in data["text"]
        assert (await told(door, changes, "slack"))[0].startswith("told in #")
        assert "&lt;!channel&gt;" in door.posted[1]["text"]  # nobody is woken by what an error says
        assert len(door.posted) == 2


async def test_a_flood_is_one_message() -> None:
    changes = [Change(alert=alert(number), recovered=False) for number in range(MOST + 5)]
    async with standing() as door:
        await told(door, changes, "webhook")
        (data,) = door.posted
        assert data["text"].count("service/check-") == MOST
        assert "5 more alerts" in data["text"]
        assert len(data["alerts"]) == MOST + 5


async def test_nobody_is_told_of_what_is_silenced_or_old_news_or_in_read_only_mode() -> None:
    silence = Silence(until=utc_now() + timedelta(hours=1), reason="known", by="eve")
    silenced = Change(alert=alert(silence=silence), recovered=False)
    news = Change(alert=alert(), recovered=False)
    async with standing() as door:
        assert await told(door, (silenced,), "webhook", "slack") == []
        assert await told(door, (), "webhook") == []
        assert await told(door, (news,)) == []
        assert await told(door, (news,), "webhook", read_only=True) == []
        assert door.posted == []
        ended = structs.replace(silence, until=utc_now() - timedelta(seconds=1))
        await told(door, (Change(alert=alert(silence=ended), recovered=False),), "webhook")
        assert len(door.posted) == 1


async def test_a_door_that_refuses_is_told_without_its_address_and_the_other_is_posted_to() -> None:
    async with standing(500) as door:
        lines = await told(door, (Change(alert=alert(), recovered=False),), "webhook", "slack")
    assert len(lines) == 2
    assert lines[0].startswith("webhook: not told: the webhook answered 500")
    assert lines[1].startswith("slack: not told: Slack answered 500")
    assert not any("planted" in line for line in lines)


async def test_a_way_that_is_not_given_is_told() -> None:
    async with standing() as door:
        (line,) = await told(door, (Change(alert=alert(), recovered=False),), "webhook", given=False)
        assert "[alerts] webhook is not given" in line
        assert door.posted == []
