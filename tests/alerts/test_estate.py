"""Alerts and what is kept, by the command line on a real estate: told once, over once, looked back at."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from muva_console.drill import faults
from muva_console.drill.state import Estate
from tests.cli.conftest import Muva
from tests.patience import HANG

pytestmark = pytest.mark.timeout(4 * HANG)


def own_journal(estate: Estate, folder: Path, more: str = "") -> Path:
    """The estate's configuration with a journal of the test's own."""
    text = estate.config.read_text()
    text = re.sub(r'(\[journal\]\ndirectory = )"[^"]*"', rf'\1"{folder / "journal"}"', text)
    assert str(folder) in text
    config = folder / "muva.toml"
    config.write_text(text + more)
    config.chmod(0o600)
    return config


def posted(estate: Estate) -> list[str]:
    """What the stand-in for Slack was told."""
    file = estate.directory / "slack.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if "[service/" in line]


async def test_a_failure_is_told_once_and_so_is_its_end(
    breakable_estate: Estate, muva: Muva, tmp_path: Path
) -> None:
    estate = breakable_estate
    config = own_journal(estate, tmp_path, '\n[alerts]\nnotify = ["slack"]\n')
    before = len(posted(estate))
    calm = await muva("alerts", "--env", "production", "--errors-only", "--json", config=config)
    assert calm.status == 0, calm.out + calm.err
    assert calm.data["alerts"] == []
    await faults.break_in(estate.directory, "process-stopped")
    ours = ("alerts", "--env", "production", "--notify", "--check-errors-only")
    down = await muva(*ours, "--json", config=config)
    assert down.status == 1, down.out + down.err
    keys = {alert["key"] for alert in down.data["alerts"]}
    assert "service/api-health" in keys
    assert all(alert["level"] == "fail" for alert in down.data["alerts"])
    assert {one["alert"]["key"] for one in down.data["changes"]} >= keys
    again = await muva(*ours, "--json", config=config)
    assert again.status == 1
    assert again.data["changes"] == []
    assert len(posted(estate)) == before + 1  # one message, for all of them, once
    said = await muva("alerts", "ack", "api-health", "--env", "production", "--note", "on it", config=config)
    assert said.status == 0, said.err
    told = await muva("handover", "--env", "production", "--json", config=config)
    assert [one["note"] for one in told.data["alerts"] if one["key"] == "service/api-health"] == ["on it"]
    await faults.mend(estate.directory)
    over = await muva("alerts", "--env", "production", "--notify", "--json", config=config)
    ended = {one["alert"]["key"] for one in over.data["changes"] if one["recovered"]}
    assert "service/api-health" in ended
    assert any("over after" in text for text in posted(estate)[before + 1 :])
    listed = await muva("alerts", "list", "--env", "production", "--json", config=config)
    assert "service/api-health" not in {
        one["key"] for one in listed.data["alerts"] if one["recovered_at"] is None
    }


async def test_what_is_watched_is_kept_served_and_looked_back_at(
    estate: Estate, muva: Muva, tmp_path: Path
) -> None:
    config = own_journal(estate, tmp_path)
    nothing = await muva("health", "--env", "production", "--since", "1h", config=config)
    assert nothing.status == 3
    assert "nothing was kept" in nothing.out

    async def watch() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "muva_console",
            "--config",
            str(config),
            "monitor",
            "--serve",
            "0",
            "--refresh",
            "1",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            line = (await process.stderr.readline()).decode()
            url = line.partition("serving ")[2].strip()
            async with httpx.AsyncClient(trust_env=False) as client:
                while True:
                    text = (await client.get(url)).text
                    if "muva_api_milliseconds" in text:
                        return text
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            await process.wait()

    async with asyncio.timeout(HANG):
        page = await watch()
    # how quick it is hangs on what else the machine does: that it is told of both is what is looked at
    for name in ("production", "staging"):
        assert f'muva_check_level{{environment="{name}",check="api-health"}}' in page
        assert f'muva_check_down{{environment="{name}",check="api-health"}} 0' in page
    back = await muva("health", "--env", "production", "--since", "1h", "--json", config=config)
    assert back.status == 0, back.err
    api = back.data["series"]["api-health"]
    assert api["known"] >= 1
    assert 0 <= api["availability"] <= 1
    assert api["p95"] > 0
    assert back.data["budget"]["known"] == api["known"]


async def test_a_week_of_deployments_has_the_figures_that_were_reckoned_by_hand(
    estate: Estate, muva: Muva, tmp_path: Path
) -> None:
    config = own_journal(estate, tmp_path)
    now = datetime.now(UTC).replace(microsecond=0)
    start = now - timedelta(days=7)

    async def recorded(day: float, *more: str) -> None:
        at = (start + timedelta(days=day)).isoformat()
        answer = await muva(
            "metrics", "record", "--env", "production", "--duration", "120", "--at", at, *more, config=config
        )
        assert answer.status == 0, answer.err

    await recorded(1, "--status", "success")
    await recorded(2, "--status", "rollback", "--error", "unhealthy after the restart")
    await recorded(3, "--status", "success")  # mended an hour later by a hotfix
    await recorded(3 + 1 / 24, "--status", "success", "--kind", "hotfix")
    await recorded(4, "--status", "failed", "--error", "the build broke")  # never live: counts nowhere
    await recorded(6, "--status", "success")
    # by hand: 5 went live in 7 days; 2 of 5 failed; the second was over after 0 s, the third after 3600 s
    report = await muva(
        "metrics", "report", "--env", "production", "--from", start.isoformat(), "--to", now.isoformat(),
        "--json", config=config,
    )  # fmt: skip
    assert report.status == 0, report.err
    figures = {one["name"]: one for one in report.data["report"]["figures"]}
    assert figures["deployment frequency"]["value"] == pytest.approx(5 / 7)
    assert (figures["change fail rate"]["value"], figures["change fail rate"]["n"]) == (
        pytest.approx(2 / 5),
        5,
    )
    assert figures["failed deployment recovery time"]["value"] == pytest.approx(1800)
    assert figures["failed deployment recovery time"]["too_few"]
    assert figures["rework rate"]["value"] == pytest.approx(1 / 5)
    assert report.data["report"]["failed_before"] == 1
    assert len(report.data["trend"]) == 8
    wrong = await muva(
        "metrics", "record", "--env", "production", "--status", "success", "--duration", "-1", config=config
    )
    assert wrong.status == 1
    assert "a duration of -1 s cannot be" in wrong.err
    back = await muva(
        "metrics", "record", "--env", "production", "--status", "success",
        "--at", (start + timedelta(days=5)).isoformat(), config=config,
    )  # fmt: skip
    assert back.status == 1
    assert "the clock was set back" in back.err
    both = await muva(
        "metrics", "report", "--env", "production", "--from", "1d", "--window", "2d", config=config
    )
    assert both.status == 2
    data = await muva("metrics", "report", "--env", "production", "--format", "csv", config=config)
    assert data.out.count("\n") == 6
    assert json.loads(
        (await muva("metrics", "report", "--env", "production", "--format", "json", config=config)).out
    )


async def test_what_cannot_be_told_is_told_so(estate: Estate, muva: Muva, tmp_path: Path) -> None:
    config = own_journal(estate, tmp_path)
    dev = await muva("alerts", "--env", "dev", config=config)
    assert dev.status == 3
    assert "not all could be looked at" in dev.out
    assert "nothing was looked at" in dev.err
    (tmp_path / "journal").mkdir(exist_ok=True)
    (tmp_path / "journal" / "history.db").write_bytes(b"no database at all" * 100)
    seen = await muva("monitor", "--env", "production", "--count", "1", "--json", config=config)
    assert seen.status == 0  # looking goes on
    assert "the history cannot be written" in seen.err
    past = await muva("health", "--env", "production", "--since", "1h", config=config)
    assert past.status == 3
    assert "moved away" in past.err
    assert (await muva("health", "--env", "production", "--since", "2030-01-01", config=config)).status == 2
    assert (await muva("monitor", "--serve", "nowhere", "--count", "1", config=config)).status == 2
