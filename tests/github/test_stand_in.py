"""The stand-in for GitHub's API answers as GitHub describes, and does what it says it did."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from muva_console.drill import repository
from muva_console.drill.github import records
from muva_console.drill.github.app import hub_of
from muva_console.drill.github.app_commits import CommitAnswers
from muva_console.drill.github.app_pulls import PullAnswers
from muva_console.drill.github.pulls import github
from muva_console.drill.state import Estate
from tests.github import description


def bearing(estate: Estate, login: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {records.token_file(estate, login).read_text().strip()}"}


async def a_branch(estate: Estate, name: str, base: str, files: dict[str, bytes]) -> str:
    start = await repository.head(estate, base)
    await repository._git(estate, "update-ref", f"refs/heads/{name}", start)
    return await repository.commit(estate, name, f"feat: {name}", files)


class Valid:
    """Sends requests, and holds each response against the description."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.used: set[tuple[str, str]] = set()

    async def __call__(
        self, method: str, path: str, expect: int = 200, body: Any = None, headers: Any = None
    ) -> Any:
        answer = await self._client.request(
            method, str(self._client.base_url).rstrip("/") + path, json=body, headers=headers
        )
        assert answer.status_code == expect, (method, path, answer.status_code, answer.text[:300])
        assert description.mistakes(answer) == []
        self.used.add((method, description.operation(method.lower(), answer.request.url.path)))
        return answer.json() if answer.content else None


async def test_every_address_answers_as_github_describes(hub: Estate, client: httpx.AsyncClient) -> None:
    ask = Valid(client)
    await a_branch(hub, "feat/menu", "dev", {"menu.md": b"# Menu\n"})
    dev = await repository.head(hub, "dev")

    await ask("GET", "")
    listed = await ask("GET", "/pulls?state=all&per_page=3")
    assert [pull["number"] for pull in listed] == [52, 51, 46]
    opened = await ask("POST", "/pulls", 201, {"title": "Menu", "head": "feat/menu", "base": "dev"})
    number = opened["number"]
    assert (opened["mergeable"], opened["commits"], opened["changed_files"]) == (True, 1, 1)
    await ask("POST", "/pulls", 422, {"title": "Menu", "head": "feat/menu", "base": "dev"})
    await ask("POST", "/pulls", 422, {"title": "Menu", "head": "nowhere", "base": "dev"})
    await ask("GET", "/pulls/4711", 404)
    await ask("POST", f"/pulls/{number}/requested_reviewers", 201, {"reviewers": ["eve-lindqvist"]})
    await ask("POST", f"/pulls/{number}/requested_reviewers", 422, {"reviewers": ["@lead-dev"]})
    await ask("POST", f"/issues/{number}/labels", 200, {"labels": ["release", "production"]})
    await ask("POST", f"/pulls/{number}/reviews", 422, {"event": "APPROVE"})  # one's own
    await ask(
        "POST", f"/pulls/{number}/reviews", 200, {"event": "APPROVE"}, bearing(hub, "eve-lindqvist")
    )  # fmt: skip
    (review,) = await ask("GET", f"/pulls/{number}/reviews")
    assert (review["state"], review["user"]["login"]) == ("APPROVED", "eve-lindqvist")
    whole = await ask("GET", f"/pulls/{number}")
    assert ([one["name"] for one in whole["labels"]], whole["requested_reviewers"]) == (
        ["release", "production"],
        [],
    )
    (commit,) = await ask("GET", f"/pulls/{number}/commits")
    assert commit["sha"] == whole["head"]["sha"]
    assert [one["number"] for one in await ask("GET", f"/commits/{commit['sha']}/pulls")] == [number]

    # merging: not with another head, really, and not twice
    await ask("GET", f"/pulls/{number}/merge", 404)
    await ask("PUT", f"/pulls/{number}/merge", 409, {"sha": dev})
    merged = await ask("PUT", f"/pulls/{number}/merge", 200, {"sha": commit["sha"]})
    assert await repository.head(hub, "dev") == merged["sha"]
    assert await repository.read(hub, "dev", "menu.md") == "# Menu\n"
    await ask("PUT", f"/pulls/{number}/merge", 405)
    await ask("GET", f"/pulls/{number}/merge", 204)
    assert (await ask("GET", f"/pulls/{number}"))["merged_by"]["login"] == "dana-castillo"
    for sha in (merged["sha"], commit["sha"]):
        assert number in [one["number"] for one in await ask("GET", f"/commits/{sha}/pulls")]

    compared = await ask("GET", "/compare/staging...dev?per_page=2")
    assert (compared["status"], compared["ahead_by"], len(compared["commits"])) == ("diverged", 5, 2)
    await ask("GET", "/compare/staging...nowhere", 404)
    branch = await ask("GET", "/branches/dev")
    assert branch["commit"]["sha"] == merged["sha"]
    await ask("GET", "/branches/nowhere", 404)
    with records.store(hub).change() as state:
        state.checks.append(
            records.CheckRun(id=1, sha=dev, name="build", started_at=records.now(), completed_at=None)
        )
    assert (await ask("GET", f"/commits/{dev}/check-runs"))["check_runs"][0]["name"] == "build"
    assert (await ask("GET", "/commits/dev/status"))["state"] == "pending"
    rate = await client.get(f"{hub.github_url}/rate_limit")
    assert description.mistakes(rate) == []

    served = {
        (method, description.operation(method.lower(), _sample(route.path)))
        for subject in (CommitAnswers, PullAnswers)
        for route in subject(hub_of(hub)).routes()
        for method in (route.methods or set()) - {"HEAD"}
        if (method, route.path.rpartition("/")[2]) not in _UNDESCRIBED
    }
    assert served <= ask.used


_UNDESCRIBED = {("PATCH", "{number:int}"), ("GET", "annotations")}
"""What the subset of GitHub's description has not."""


def _sample(path: str) -> str:
    for name, value in {"{number:int}": "1", "{ref:path}": "dev", "{branch:path}": "dev"}.items():
        path = path.replace(name, value)
    return path.replace("{basehead:path}", "a...b")


async def test_a_wrong_response_is_caught(client: httpx.AsyncClient) -> None:
    answer = await client.get("/pulls/45")
    assert description.mistakes(answer) == []
    spoils: tuple[Callable[[Any], object], ...] = (
        lambda pull: pull.pop("merge_commit_sha"),
        lambda pull: pull.update(title=None),
        lambda pull: pull.update(number="45"),
        lambda pull: pull["user"].update(html_url=None),
        lambda pull: pull["base"]["repo"].pop("default_branch"),
        lambda pull: pull.update(created_at="yesterday"),
    )
    for spoil in spoils:
        wrong = copy.deepcopy(answer.json())
        spoil(wrong)
        spoiled = httpx.Response(200, json=wrong, request=answer.request)
        assert description.mistakes(spoiled), spoil
    with pytest.raises(AssertionError, match="does not answer 418"):
        description.mistakes(httpx.Response(418, json={}, request=answer.request))


async def test_tokens_limits_and_etags(hub: Estate, client: httpx.AsyncClient) -> None:
    first = await client.get("/pulls/45")
    again = await client.get("/pulls/45", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    used = [int(one.headers["x-ratelimit-used"]) for one in (first, again)]
    assert used[0] == used[1]
    assert (await client.get("/pulls/45", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await client.get("/pulls/45", headers={"Authorization": ""})).status_code == 404
    with records.store(hub).change() as state:
        state.limit = used[1]
    refused = await client.get("/pulls/45")
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")


async def test_a_conflict_is_not_merged(hub: Estate, client: httpx.AsyncClient) -> None:
    await a_branch(hub, "feat/other", "dev", {"README.md": b"another\n"})
    await repository.commit(hub, "dev", "docs: meanwhile", {"README.md": b"meanwhile\n"})
    before = await repository.head(hub, "dev")
    body = {"title": "Other", "head": "feat/other", "base": "dev"}
    opened = (await client.post("/pulls", json=body)).json()
    assert (opened["mergeable"], opened["mergeable_state"]) == (False, "dirty")
    assert (await client.put(f"/pulls/{opened['number']}/merge", json={})).status_code == 405
    assert await repository.head(hub, "dev") == before


async def test_the_history_is_reviewed_by_others(hub: Estate) -> None:
    state = records.store(hub).read()
    merges = 0
    for branch in ("dev", "staging", "main"):
        for commit in await github(hub).repository.commits(branch):
            if not commit.parents:
                continue
            mine = [p for p in state.pulls.values() if commit.sha in (*p.commits, p.merge_commit)]
            assert mine, commit
            for pull in mine:
                approvers = {review.author for review in pull.reviews if review.state == "APPROVED"}
                assert approvers and pull.author not in approvers
            if len(commit.parents) > 1:
                (own,) = [pull for pull in mine if pull.merge_commit == commit.sha]
                assert commit.message.startswith(f"Merge pull request #{own.number} from {own.head}\n")
                merges += 1
    assert merges
    numbers = [pull.number for pull in state.pulls.values()]
    assert len(numbers) == len(set(numbers))


async def test_slack_takes_what_comes_with_the_secret(hub: Estate) -> None:
    webhook = records.webhook_file(hub).read_text().strip()
    async with httpx.AsyncClient(trust_env=False) as slack:
        assert (await slack.post(webhook, json={"text": "hello"})).text == "ok"
        told = [
            await slack.post(webhook[:-1], json={"text": "hello"}),
            await slack.post(webhook, content=b"{"),
            await slack.post(webhook, json={"text": ""}),
        ]
    assert [(one.status_code, one.text) for one in told] == [
        (403, "invalid_token"), (400, "invalid_payload"), (400, "no_text"),
    ]  # fmt: skip
    (line,) = records.messages_file(hub).read_text().splitlines()
    assert json.loads(line)["text"] == "hello"
