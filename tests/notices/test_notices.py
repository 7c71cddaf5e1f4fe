"""A notice is shown whole, posted once, and its webhook's address is seen by nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from muva_console.config.redact import redact
from muva_console.ops.errors import OpsError
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Journal
from muva_console.ops.notices import Notice
from muva_console.ops.operations import Event, EventKind, Tier
from muva_console.ops.performer import Confirmation, Performer

SECRET = "/services/T0001/B0001/Zq8planted4secret"
TEXT = "✅ Production deployed successfully\nChanges: a & b <!channel> 'quoted' $(id)"
OK = b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok"


class Slack:
    """What stands for Slack: answers as it is told and keeps what was posted."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.posted: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert f"POST {SECRET} " in head
        length = int(head.lower().split("content-length: ")[1].split("\r")[0])
        self.posted.append(json.loads(await reader.readexactly(length))["text"])
        writer.write(self.answer)
        if self.answer:
            writer.close()
        else:
            await reader.read()  # silent until the other has enough
            writer.close()


@asynccontextmanager
async def standing(answer: bytes = OK) -> AsyncIterator[Slack]:
    made = Slack(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{SECRET}"
    async with server:
        yield made


def notice(address: str, *, text: str = TEXT, timeout: float = 20) -> Notice:
    async def webhook() -> str:
        return address

    return Notice(text, environment="production", channel="#muva-chat", webhook=webhook, timeout=timeout)


async def events(one: Notice) -> list[Event]:
    return [event async for event in one.perform(await one.plan())]


async def test_the_plan_shows_the_whole_message_and_the_channel() -> None:
    plan = await notice(f"https://hooks.slack.com{SECRET}").plan()
    (command,) = plan.commands
    assert (plan.tier, plan.production, plan.target) == (Tier.CONFIRM, False, "Slack #muva-chat")
    assert command.why == f"to #muva-chat:\n{TEXT}"
    assert command.line.endswith('"$SLACK_WEBHOOK"') and "&lt;!channel&gt;" in command.line
    assert "'\"'\"'quoted'\"'\"'" in command.line
    assert "planted" not in str(plan)


async def test_it_is_posted_once_and_recorded_without_the_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    dana = Engineer(name="dana", host="jump", origin="test", account="dana")
    journal = Journal(tmp_path, dana, redact=redact)
    performer = Performer(journal, dana, read_only=False, redact=redact)
    async with standing() as slack:
        one = notice(slack.url)
        plan = await performer.prepare(one)
        told = [event async for event in performer.perform(one, plan, Confirmation(confirmed=True))]
    assert [event.kind for event in told] == [EventKind.STEP, EventKind.VERIFIED, EventKind.DONE]
    escaped = TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert slack.posted == [escaped]
    entries = await journal.read()
    await journal.close()
    assert entries and "deployed successfully" in str(entries)
    assert "planted" not in str([entries, told, caplog.text])
    data = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"planted" not in data


def answer(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (answer(403, "invalid_token"), "Slack answered 403 invalid_token (the webhook is not known"),
        (answer(410, "channel_is_archived"), "archived"),
        (answer(429, ""), "one message a second"),
        (answer(500, "x" * 5000), "Slack answered 500 xxx"),
        (answer(200, "<html>"), "Slack answered 200 <html>"),
        (answer(200, "ok")[:-1], "whether it was posted is not known"),
        (b"", "no answer within 0.3 s whether it was posted is not known"),
    ],
)
async def test_what_is_no_ok_was_not_posted_or_is_not_known(told: bytes, words: str) -> None:
    async with standing(told) as slack:
        *_, last = await events(notice(slack.url, timeout=20 if told else 0.3))
    assert (last.kind, words in last.text) == (EventKind.FAILED, True), last
    assert len(slack.posted) == 1 and "planted" not in last.text and len(last.text) < 400


@pytest.mark.parametrize(
    "address",
    ["hello", f"http://hooks.slack.com{SECRET}", f"https://user:pw@hooks.slack.com{SECRET}", "https://[x/y"],
)
async def test_an_address_that_is_none_is_not_posted_to(address: str) -> None:
    with pytest.raises(OpsError, match="not the address of a webhook") as caught:
        await notice(address).plan()
    assert "planted" not in str(caught.value.lines()) and "user" not in str(caught.value.lines())


async def test_without_a_webhook_it_is_copied_by_hand() -> None:
    with pytest.raises(OpsError) as caught:
        Notice(TEXT, environment="production", channel="#muva-chat", webhook=None)
    assert "Copy the message" in caught.value.next


async def test_a_secret_in_the_message_is_not_posted() -> None:
    one = notice("x", text="token: ghp_0123456789abcdef0123456789abcdef0123\x1b[2J\u202ex")
    assert "0123456789" not in one.text and "\x1b" not in one.text and "\u202e" not in one.text


async def test_slack_that_is_not_there() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    *_, last = await events(notice(f"http://127.0.0.1:{port}{SECRET}"))
    assert (last.kind, "the connection is refused" in last.text) == (EventKind.FAILED, True)
