"""`muva hotfix` on a real estate: from a branch of main to live in production, and back to staging and dev.

One test, for a deployment takes its time. The reviewer is another person, at another keyboard.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from muva_console.drill import estate as estates
from muva_console.drill.state import Estate
from tests.cli.conftest import Muva
from tests.drill_actions.test_deployments import Hub, serves
from tests.patience import HANG
from tests.workshop.team import git

FIX = ("--yes", "--confirm", "production", "--json")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="the workflows deploy with ssh")
async def test_a_hotfix_is_led_live_and_carried_back(
    breakable_estate: Estate, muva: Muva, tmp_path: Path
) -> None:
    try:
        await _mend(breakable_estate, muva, tmp_path / "clone")
    finally:
        await estates.down(breakable_estate.directory)  # its branches are not as the others expect them


async def _mend(estate: Estate, muva: Muva, clone: Path) -> None:
    hub, config = Hub(estate), estate.config
    text = config.read_text()
    assert text.count("[github]\n") == 1
    config.write_text(text.replace("[github]\n", '[github]\nreviewers = ["eve-lindqvist"]\n'))
    opened = await muva(
        "incident", "open", "rates fail", "--env", "production", "--no-message", "--json", config=config
    )
    assert opened.status == 0, opened.err

    begun = await muva("hotfix", "Rates are empty", *FIX, config=config)
    assert (begun.status, begun.data["stopped"]["item"]) == (3, "change"), begun.err
    assert "git switch hotfix/rates-are-empty" in begun.data["stopped"]["next"]

    git(clone.parent, "clone", "-q", "--template=", str(estate.repository), str(clone))
    git(clone, "checkout", "-q", "hotfix/rates-are-empty")
    (clone / "src/pages.js").write_text((clone / "src/pages.js").read_text() + "// never empty\n")
    git(clone, "commit", "-qam", "fix(pages): never empty")
    git(clone, "push", "-q", "origin", "hotfix/rates-are-empty")

    reviewer = asyncio.create_task(_review(hub))
    led = await muva(
        "hotfix", "rates-are-empty", "--skip-staging", "guests wait",
        "--override", "stable=half a minute is long for a test", *FIX, config=config, timeout=4 * HANG,
    )  # fmt: skip
    reviewer.cancel()
    assert led.status == 0, led.err
    assert led.data["done"]
    items = {item["item"]: item for item in led.data["items"]}
    assert "guests wait" in str(items["staging"])
    merged = git(estate.repository, "rev-parse", "main").strip()
    assert await serves(estate, "production") == merged
    for branch in ("staging", "dev"):
        told = git(estate.repository, "log", "-1", "--format=%B", branch)
        assert "fix(pages): never empty" in told
        assert "(cherry picked from commit " in told
    told = (estate.directory / "slack.jsonl").read_text()
    assert "Hotfix waits for its review: #" in told
    assert "Production deployed successfully" in told
    recorded = await muva("journal", "--kind", "deployment", "--json", config=config)
    (record,) = [entry["data"] for entry in recorded.data if entry["data"]["commit"] == merged]
    assert (record["kind"], record["status"]) == ("hotfix", "success")
    assert record["incident"] == str(opened.data["id"])


async def _review(hub: Hub) -> None:
    """Approve the pull request when it is there, and then the run that waits."""
    ends = time.monotonic() + 3 * HANG
    number = 0
    while time.monotonic() < ends:
        pulls = await hub("eve-lindqvist", "GET", "/pulls?state=open")
        found = [one for one in pulls if one["head"]["ref"] == "hotfix/rates-are-empty"]
        if found and not number:
            number = found[0]["number"]
            await hub("eve-lindqvist", "POST", f"/pulls/{number}/reviews", {"event": "APPROVE"})
        waiting = [run for run in hub.runs.list() if run.branch == "main" and run.status == "waiting"]
        if waiting:
            await hub.approve(waiting[0])
            return
        await asyncio.sleep(0.2)
    raise AssertionError("nothing waited for the reviewer")
