"""The page for Prometheus: where it is, what it says, and what is answered to everything else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from muva_console.ops.errors import OpsError
from muva_console.ops.health.report import HealthReport
from muva_console.ops.health.state import ServiceState, Standing
from muva_console.ops.monitoring.exposition import exposition
from muva_console.ops.monitoring.serving import read_address, serving
from muva_console.ops.readings import Finding, Level, Verdict

AT = datetime(2026, 3, 1, tzinfo=UTC)


def report(environment: str, verdict: Verdict, level: Level, api_ms: float | None) -> HealthReport:
    finding = Finding(check="api-health", level=level, summary="x", at=AT, took_ms=1)
    return HealthReport(
        environment=environment,
        verdict=verdict,
        findings=(finding,),
        at=AT,
        took_ms=12.0,
        api_ms=api_ms,
        restarts=3,
    )


def told(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_what_cannot_be_told_is_absent_and_names_are_escaped() -> None:
    down = {"api-health": ServiceState(standing=Standing.DOWN)}
    text = exposition(
        [
            (report("production", Verdict.NO_GO, Level.FAIL, 41.5), down),
            (report('st"a\\g\ning', Verdict.CANNOT_TELL, Level.UNKNOWN, None), {}),
        ],
        alerts={"production": 2},
        now=(AT + timedelta(seconds=7)).timestamp(),
    )
    figures = told(text)
    assert figures['muva_healthy{environment="production"}'] == 0
    assert figures['muva_check_down{environment="production",check="api-health"}'] == 1
    assert figures['muva_api_milliseconds{environment="production"}'] == 41.5
    assert figures['muva_process_restarts{environment="production"}'] == 3
    assert figures['muva_look_age_seconds{environment="production"}'] == 7
    assert figures['muva_alerts{environment="production"}'] == 2
    assert r'muva_check_level{environment="st\"a\\g\ning",check="api-health"} 3' in text
    assert not any("muva_healthy" in name and "ning" in name for name in figures)
    assert not any("muva_api" in name and "ning" in name for name in figures)
    assert text.count("# TYPE muva_healthy gauge") == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("10.0.0.2:9100", ("10.0.0.2", 9100)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_an_address(text: str, where: tuple[str, int]) -> None:
    assert read_address(text) == where


@pytest.mark.parametrize("text", ["", "here", "1.2.3.4:", "1.2.3.4:99999", "9100x"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        read_address(text)


async def page() -> tuple[str, str]:
    return "text/plain; version=0.0.4", "muva_healthy 1\n"


async def test_the_page_is_served_and_nothing_else_is() -> None:
    async with serving("127.0.0.1", 0, page) as (host, port), httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{host}:{port}/metrics")
        assert (answer.status_code, answer.text) == (200, "muva_healthy 1\n")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        head = await client.head(f"http://{host}:{port}/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert (await client.get(f"http://{host}:{port}/")).status_code == 404
        assert (await client.post(f"http://{host}:{port}/metrics", content=b"x" * 10_000)).status_code == 405


async def test_nonsense_ends_nothing() -> None:
    async with serving("127.0.0.1", 0, page) as (host, port):
        for sent in (b"\x16\x03\x01 not http at all\r\n\r\n", b""):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(sent)
            writer.write_eof()
            await reader.read()
            writer.close()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{host}:{port}/metrics")).status_code == 200


async def test_an_address_that_is_taken_is_told() -> None:
    async with serving("127.0.0.1", 0, page) as (host, port):
        with pytest.raises(OpsError, match=f"{host}:{port} cannot be listened on"):
            async with serving(host, port, page):
                pass
