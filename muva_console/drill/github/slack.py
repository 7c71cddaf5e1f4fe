"""The place that Slack's incoming webhook posts to, with the answers that Slack gives.

Source: api.slack.com, "Sending messages using incoming webhooks", error handling.
"""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


class Slack:
    """Keeps what is posted, one JSON text a line."""

    def __init__(self, webhook: Path, messages: Path) -> None:
        self._path = urlsplit(webhook.read_text().strip()).path
        self._messages = messages

    async def take(self, request: Request) -> Response:
        """A message: 200 ``ok``, or what Slack says instead."""
        if not hmac.compare_digest(request.url.path.encode(), self._path.encode()):
            return PlainTextResponse("invalid_token", status_code=403)
        try:
            told = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", status_code=400)
        text = told.get("text") if isinstance(told, dict) else None
        if not isinstance(text, str) or not text.strip():
            return PlainTextResponse("no_text", status_code=400)
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "text": text})
        with self._messages.open("a") as file:
            file.write(f"{line}\n")
        return PlainTextResponse("ok")
