"""An application on loopback whose health can be dictated, and contexts that look at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from muva_console.config.model import Config, Environment, Health, Seconds, Thresholds, Url
from muva_console.ops.checks import CheckContext
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.web import WebLink
from tests.web.conftest import page, serving

HEALTHY = {
    "status": "healthy",
    "version": "1.4.2",
    "commit": "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    "services": {"database": {"status": "ok", "latency_ms": 3.1}, "chat": {"status": "ok"}},
}


class App:
    """What it answers, by path: (status, document or raw body)."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, tuple[int, Any]] = {
            "/api/health": (200, HEALTHY),
            "/api/health/db": (200, {"status": "ok", "latency_ms": 4.2}),
        }
        self.delay: Callable[[int], float] = lambda n: 0.0
        self.status_of: Callable[[int], int] | None = None
        self.headers = "Content-Type: application/json\r\n"
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked.append(path)
            number = len(self.asked)
            if delay := self.delay(number):
                await asyncio.sleep(delay)
            status, document = self.answers.get(path, (404, {"error": "not found"}))
            if self.status_of is not None:
                status = self.status_of(number)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            writer.write(page(body, status=f"{status} Whatever", headers=self.headers))
            await writer.drain()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def app() -> AsyncIterator[App]:
    made = App()
    async with serving(made.serve) as port:
        made.port = port
        yield made


MakeContext = Callable[..., CheckContext]


@pytest.fixture
async def context() -> AsyncIterator[MakeContext]:
    """Makes contexts; `url` and other keys of the environment, `timeout` and `probes` of [health]."""
    links: list[WebLink] = []

    def make(
        *, timeout: float = 5.0, probes: int = 25, thresholds: Thresholds | None = None, **environment: Any
    ) -> CheckContext:
        if "url" in environment:
            environment["url"] = Url(environment["url"])
        one = Environment(branch="main", thresholds=thresholds or Thresholds(), **environment)
        config = Config(
            health=Health(timeout=Seconds(timeout), probes=probes), environments={"production": one}
        )
        links.append(WebLink("web production", CommandLog(), environment="production"))
        return CheckContext(environment_name="production", environment=one, config=config, web=links[-1])

    yield make
    for link in links:
        await link.close()
