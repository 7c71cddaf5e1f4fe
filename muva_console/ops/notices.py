"""Notices: a message to the team's channel by Slack's incoming webhook, or data to any other.

The webhook's address is a secret, whoever has it may post: it is in no plan, log, error or journal. Source of
the protocol and its errors: api.slack.com, "Sending messages using incoming webhooks"; of the escapes:
"Formatting text for app surfaces" (an unescaped ``<!channel>`` in a commit's subject would wake everybody).
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from muva_console.config.redact import redact, redactor
from muva_console.ops.errors import OpsError
from muva_console.ops.links.addresses import is_loopback
from muva_console.ops.links.github_errors import failure
from muva_console.ops.links.http_client import open_client
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise, sanitise_line

NAME = "notify"
TIMEOUT = 10.0
"""Seconds that Slack may take."""
LONGEST = 4000
"""Characters of a message: Slack's own advice for `text`."""
_ANSWER = 4096
_SECRET_PATH = 16
"""Characters. A shorter path is no webhook's, and may stand in any line."""
_MEANS = {
    "invalid_payload": "Slack cannot read the message",
    "no_text": "Slack cannot read the message",
    "invalid_token": "the webhook is not known to Slack: it was made anew, or is another workspace's",
    "action_prohibited": "an administrator of the workspace forbids it",
    "posting_to_general_channel_denied": "an administrator of the workspace forbids it",
    "channel_not_found": "the webhook's channel is gone",
    "channel_is_archived": "the webhook's channel is archived",
    "no_service": "the webhook was disabled or removed",
    "no_team": "the workspace is gone",
    "team_disabled": "the workspace is disabled",
    "user_not_found": "whoever made the webhook is gone",
}


class Notice:
    """One message to the channel. An `Operation`; nothing of an environment is changed by it."""

    def __init__(
        self,
        text: str,
        *,
        environment: str,
        channel: str,
        webhook: Callable[[], Awaitable[str]] | None,
        timeout: float = TIMEOUT,
        about: Mapping[str, str] | None = None,
    ) -> None:
        """`webhook` tells the address; None where none is configured. `about`: what the journal keeps of what
        it is about. Raises OpsError for None and for a message without a text.
        """
        self._about = dict(about or {})
        self._text = redact(sanitise(text)).strip()[:LONGEST]
        self._environment = environment
        self._channel = sanitise_line(channel, cap=100)
        self._timeout = timeout
        if not self._text:
            raise OpsError("there is no message to post")
        if webhook is None:
            raise OpsError(
                f"no webhook is configured, so nothing can be posted to {self._channel}",
                next="Copy the message and post it by hand, or give [notices] slack in muva.toml.",
            )
        self._webhook = webhook

    @property
    def name(self) -> str:
        """Stable name: ``notify``."""
        return NAME

    @property
    def text(self) -> str:
        """The message as it reads."""
        return self._text

    def kept(self) -> Mapping[str, object]:
        """What it is about, for whoever would tell it again."""
        return self._about

    async def plan(self) -> Plan:
        """The whole message and where it goes. Raises OpsError where the webhook cannot be had."""
        await self._address()
        data = shlex.quote(self._payload())
        line = f"curl -sS -H 'Content-Type: application/json' --data {data} \"$SLACK_WEBHOOK\""
        return Plan(
            operation=NAME,
            title=f"Post to {self._channel}",
            environment=self._environment,
            target=f"Slack {self._channel}",
            tier=Tier.CONFIRM,
            commands=(PlannedCommand(where="here", line=line, why=f"to {self._channel}:\n{self._text}"),),
            risks=("everybody in the channel reads it; what was posted is not taken back from here",),
        )

    async def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Post once and look at the answer; it is never posted again by itself."""
        yield _event(EventKind.STEP, f"posting to {self._channel}")
        try:
            status, answer = await self._post(await self._address())
        except OpsError as error:
            yield _event(EventKind.FAILED, " ".join(error.lines()))
            return
        if status == 200 and answer == "ok":
            yield _event(EventKind.VERIFIED, "Slack answered 200 ok")
            yield _event(EventKind.DONE, f"posted to {self._channel}")
            return
        means = _MEANS.get(answer, "")
        if status == 429:
            means = "Slack takes one message a second; post it again in a while"
        said = f" {redact(answer)}" if answer else ""
        yield _event(
            EventKind.FAILED, f"not posted: Slack answered {status}{said}{f' ({means})' if means else ''}"
        )

    def _payload(self) -> str:
        return json.dumps({"text": _escaped(self._text)}, ensure_ascii=False)

    async def _address(self) -> str:
        return _checked(await self._webhook(), "[notices] slack", "https://hooks.slack.com/services/…")

    async def _post(self, address: str) -> tuple[int, str]:
        """Slack's status and its word for it. Raises OpsError."""
        return await _posted(address, self._payload().encode(), "Slack", self._timeout)


async def post_to_slack(address: str, text: str, *, timeout: float = TIMEOUT) -> None:
    """Post a text to a webhook of Slack, once. Raises OpsError where it was not taken."""
    address = _checked(address, "[notices] slack", "https://hooks.slack.com/services/…")
    text = redact(sanitise(text)).strip()[:LONGEST]
    payload = json.dumps({"text": _escaped(text)}, ensure_ascii=False).encode()
    status, answer = await _posted(address, payload, "Slack", timeout)
    if status != 200 or answer != "ok":
        means = _MEANS.get(answer, "")
        raise OpsError(f"Slack answered {status} {redact(answer)}".rstrip(), means=means)


async def post_json(address: str, data: object, *, timeout: float = TIMEOUT) -> None:
    """Post data to any webhook, once, secrets taken out. Raises OpsError where the answer is not a 2xx."""
    address = _checked(address, "[alerts] webhook", "https://HOST/…")
    payload = redact(msgspec.json.encode(data).decode()).encode()
    status, answer = await _posted(address, payload, "the webhook", timeout)
    if not 200 <= status < 300:
        raise OpsError(f"the webhook answered {status} {redact(answer)}".rstrip())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _checked(address: str, key: str, expected: str) -> str:
    """The address, known to the redaction from now on. Raises OpsError for what is none."""
    address = address.strip()
    redactor.add(address)
    wrong = OpsError(f"what {key} refers to is not the address of a webhook", means=f"{expected} is expected")
    try:
        split = urlsplit(address)
        host = split.hostname or ""
        split.port  # noqa: B018 - a port that is none is told here
    except ValueError:
        raise wrong from None
    if "@" in split.netloc or not host or len(split.path) < 2:
        raise wrong
    if len(split.path) >= _SECRET_PATH:
        redactor.add(split.path)
    if split.scheme != "https" and not (split.scheme == "http" and is_loopback(host)):
        raise wrong
    return address


async def _posted(address: str, payload: bytes, where: str, timeout: float) -> tuple[int, str]:
    """The status and the beginning of the answer. Raises OpsError."""
    began = False
    try:
        async with asyncio.timeout(timeout):
            client = await open_client(address, where=where, timeout=timeout)
            async with client:
                request = client.build_request(
                    "POST", address, content=payload, headers={"Content-Type": "application/json"}
                )
                response = await client.send(request, stream=True)
                began = True
                answer = b""
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > _ANSWER:
                        break
                await response.aclose()
    except OpsError:
        raise
    except Exception as error:  # all that the network has; its texts hold the address
        told = failure(error, where=where, timeout=timeout, began=began)
        told.means = "whether it was posted is not known: look into the channel before posting again"
        raise told from None
    return response.status_code, sanitise_line(answer, cap=80).strip()


def _event(kind: EventKind, text: str) -> Event:
    return Event(kind=kind, text=text, at=utc_now())
