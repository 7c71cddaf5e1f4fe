"""`muva deploy`, end to end on an estate: from a commit on dev to staging, and on to production.

One test: what comes later stands on what came before, and a deployment takes its time.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from muva_console.drill import estate as estates
from muva_console.drill import faults, repository
from muva_console.drill.state import Estate
from tests.cli.conftest import Answer, Muva
from tests.drill_actions.test_deployments import Hub, serves
from tests.patience import HANG
from tests.workshop.team import git

PASSED = ("--override", "checklist=walked by hand", "--yes")
QUICK = """
id = "deploy-{environment}"

[[replace]]
id = "stable"
title = "Stable"
why = "A test has less patience than a release."
check = "process-stable"
with = {{ stable_for = "2s" }}
again = "1s"
"""


def quick(estate: Estate) -> Path:
    """The estate's configuration, with a process called stable sooner."""
    folder = estate.directory / "quick"
    folder.mkdir(mode=0o700)
    for environment in estate.sites:
        (folder / f"deploy-{environment}.toml").write_text(QUICK.format(environment=environment))
    config = estate.config.with_name("quick.toml")
    config.write_text(f'{estate.config.read_text()}\n[runbooks]\ndirectory = "quick"\n')
    return config


class Commits:
    """An engineer who pushes to dev."""

    def __init__(self, estate: Estate, folder: Path) -> None:
        self._folder = folder
        git(
            folder.parent,
            "clone",
            "-q",
            "--template=",
            "--branch",
            "dev",
            str(estate.repository),
            str(folder),
        )

    def push(self, message: str, path: str, text: str, *, branch: str = "dev") -> str:
        git(self._folder, "fetch", "-q", "origin")
        git(self._folder, "checkout", "-q", "-B", branch, f"origin/{branch}")
        (self._folder / path).write_text(text)
        git(self._folder, "add", "-A")
        git(self._folder, "commit", "-q", "-m", message)
        git(self._folder, "push", "-q", "origin", branch)
        return git(self._folder, "rev-parse", "HEAD")


def done(answer: Answer) -> list[str]:
    return [act["plan"]["operation"] for act in answer.data["acts"]]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="the workflows deploy with ssh")
async def test_from_dev_to_production(muva: Muva, breakable_estate: Estate, tmp_path: Path) -> None:
    try:
        await _walk(muva, breakable_estate, tmp_path / "clone")
    finally:
        await estates.down(breakable_estate.directory)  # its branches are not as the others expect them


async def _walk(muva: Muva, estate: Estate, clone: Path) -> None:
    hub, dev, config = Hub(estate), Commits(estate, clone), quick(estate)

    async def deploy(environment: str, *more: str) -> Answer:
        words = ("deploy", "--env", environment, "--json", *PASSED, *more)
        return await muva(*words, config=config, timeout=3 * HANG)

    # staging
    pushed = dev.push("fix(rates): round them", "docs/rates.md", "# Rates\n")
    answer = await deploy("staging")
    assert answer.status == 0, answer.err
    assert done(answer) == ["deploy-merge", "deploy-record", "notify"]
    staged = await repository.head(estate, "staging")
    assert await serves(estate, "staging") == staged
    assert (await repository.between(estate, pushed, "staging"))[0] == staged
    assert not await repository.between(estate, "staging", pushed)
    assert "==> deploy of staging done" in answer.err, "the host's own lines, live"
    assert "pm2      muva-staging [1] restart, by hand" in answer.err
    assert re.search(r"health   healthy, .* serves [0-9a-f]{7}", answer.err)
    assert re.search(r"application .*Ready in", answer.err)
    assert "note     muva-staging: restart" not in answer.err, "told once"
    again = await deploy("staging")
    assert (again.status, done(again)) == (0, []), again.err

    # production: rejected at first, and gone on with where it stands once somebody agrees
    leading = asyncio.create_task(deploy("production", "--confirm", "production"))
    number = await _opened(hub)
    await hub("eve-lindqvist", "POST", f"/pulls/{number}/reviews", {"event": "APPROVE"})
    run = await hub.until_waiting("main")
    assert await serves(estate, "production") != run.sha
    await hub.approve(run, "rejected")
    answer = await leading
    assert answer.status == 1, answer.err
    assert answer.data["stopped"]["item"] == "environment-approval"
    assert "rejected by eve-lindqvist" in answer.err
    assert (estate.host_home / ".muva/lock/production").is_dir()
    await hub("dana-castillo", "POST", f"/actions/runs/{run.id}/rerun")
    await hub.approve(await hub.until_waiting("main"))
    answer = await deploy("production", "--confirm", "production")
    assert answer.status == 0, answer.err
    assert done(answer) == ["deploy-record", "notify", "release-publish", "deploy-unlock"]
    assert await serves(estate, "production") == run.sha
    assert not (estate.host_home / ".muva/lock/production").exists()

    # what is well on staging and ill on production: the workflow takes it back, and that is told and recorded
    health = (clone / "src/health.js").read_text()
    wanted = "public.chat_${process.env.MUVA_ENV === 'production' ? 'talks' : 'conversations'} where"
    ill = health.replace('"select', "`select").replace("'open'\",", "'open'`,")
    dev.push(
        "perf(health): ask less", "src/health.js", ill.replace("public.chat_conversations where", wanted)
    )
    answer = await deploy("staging")
    assert answer.status == 0, answer.err
    staged = await serves(estate, "staging")
    leading = asyncio.create_task(deploy("production", "--confirm", "production"))
    number = await _opened(hub)
    await hub("eve-lindqvist", "POST", f"/pulls/{number}/reviews", {"event": "APPROVE"})
    await hub.approve(await hub.until_waiting("main"))
    answer = await leading
    assert (answer.status, answer.data["stopped"]["item"]) == (1, "run"), answer.err
    assert "brought the release before back" in answer.err
    assert await serves(estate, "production") == run.sha
    assert done(answer)[-1] == "deploy-record"
    assert "recorded: rollback, planned: " in answer.err

    # what does not build
    dev.push("feat: hasty", "src/pages.js", "module.exports = {\n")
    answer = await deploy("staging")
    assert answer.status == 1
    assert answer.data["stopped"]["item"] == "run"
    assert "failed at Build application" in answer.err
    assert "recorded: failed, planned: " in answer.err
    assert await serves(estate, "staging") == staged

    # a conflict: both sides are told, and nothing is pushed
    dev.push("docs: ours", "README.md", "# Theirs\n", branch="staging")
    before = await repository.head(estate, "staging")
    dev.push("docs: mine", "README.md", "# Mine\n")
    answer = await deploy("staging")
    assert answer.status == 1
    assert answer.data["stopped"]["item"] == "merge"
    assert "README.md" in answer.err and "# Mine" in answer.err and "# Theirs" in answer.err
    assert await repository.head(estate, "staging") == before

    # what was recorded by itself is what the figures are made of; what GitHub has beside it comes once
    answer = await muva("metrics", "report", "--env", "production", "--json", config=config)
    assert answer.status == 0, answer.err
    changes = answer.data["report"]["changes"]
    assert [one["failed"] for one in changes] == ["", "taken back by its own workflow"]
    assert [len(one["leads"]) > 0 for one in changes] == [False, True], "nothing was live before the first"
    figures = {one["name"]: one for one in answer.data["report"]["figures"]}
    assert (figures["change fail rate"]["value"], figures["change fail rate"]["too_few"]) == (0.5, True)
    await hub.until("staging", before, "completed")  # what the colleague's push began
    await muva("metrics", "import", "--env", "staging", config=config)
    again = await muva("metrics", "import", "--env", "staging", config=config)
    assert (again.status, again.out) == (0, ""), again.out
    for words, said in (
        (("--duration", "-1"), "cannot be"),
        (("--commit", "dead00beef"), "has no commit"),
        (("--at", "30d"), "before the newest record"),
        (("--at", "2099-01-01"), "has not come yet"),
    ):
        wrong = await muva("metrics", "record", "--env", "production", "--status", "success", *words,
                           config=config)  # fmt: skip
        assert wrong.status == 1 and said in wrong.err, wrong.err

    # whoever comes next is told of all of it
    answer = await muva("handover", "--since", "1h", config=config)
    assert answer.status == 0, answer.out + answer.err
    assert "production: healthy" in answer.out and "## Incidents\n\n- none\n" in answer.out
    assert answer.out.count("overridden: Pre-deployment checklist: walked by hand") >= 3, answer.out
    assert "rollback, planned: " in answer.out and "## Backups\n\n- production: " in answer.out

    # the logs of what was watched stay, whatever becomes of GitHub
    await faults.break_in(estate.directory, "github-gone")
    answer = await muva("runs", "log", str(run.id), config=config)
    assert answer.status == 0 and "not from GitHub" in answer.err, answer.err
    assert "Finished supabase db push." in answer.out
    answer = await muva("runs", "log", "1", config=config)
    assert answer.status == 3 and "refused" in answer.err, answer.err


async def _opened(hub: Hub) -> int:
    async with asyncio.timeout(2 * HANG):
        while not (found := await hub("eve-lindqvist", "GET", "/pulls?state=open")):
            await asyncio.sleep(0.2)
    return int(found[0]["number"])
