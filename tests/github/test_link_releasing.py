"""The link's pull requests, issues, releases and checks; reads that are sent again, and how it is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import github_releasing
from muva_console.ops.links.base import LinkStatus
from muva_console.ops.links.github_answers import Answer, KeptAnswers
from muva_console.ops.links.github_counts import Counts
from muva_console.ops.links.github_http import GitHubHttp
from muva_console.ops.links.github_model import Declined, RateLimited, Unsure
from muva_console.ops.links.github_runs import Check, Checks
from tests.github.answering import asking, response, token, told
from tests.github.description import document

BELOW = "/repos/muva/muva-chat"
SHA = "a" * 40


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muva_console.ops.links.github_http.PAUSES", (0.0, 0.0))
    monkeypatch.setattr(github_releasing, "MERGEABLE_PAUSES", (0.0, 0.0))


def a_pull(number: int = 61, **more: Any) -> dict[str, Any]:
    return {
        "number": number, "title": "v1.2.0", "state": "open", "created_at": "2026-01-01T00:00:00Z",
        "html_url": "https://github.com/x", "user": {"login": "dana"}, "mergeable": None,
        "base": {"ref": "main", "sha": SHA, "repo": {"full_name": "muva/muva-chat"}},
        "head": {"ref": "prod/v1.2.0", "sha": SHA, "repo": {"full_name": "muva/muva-chat"}},
        "requested_reviewers": [{"login": "eve"}], "requested_teams": [{"slug": "leads"}], **more,
    }  # fmt: skip


async def test_a_pull_request_is_found_by_its_branches() -> None:
    other = a_pull(70, head={"ref": "prod/v1.1.0", "sha": SHA, "repo": {"full_name": "muva/muva-chat"}})
    fork = a_pull(69, head={"ref": "prod/v1.2.0", "sha": SHA, "repo": {"full_name": "eve/muva-chat"}})
    closed = a_pull(68, state="closed")
    async with asking(lambda _: told([other, fork, closed, a_pull()])) as (link, server):
        found = await link.releasing.find_pull("prod/v1.2.0", "main", state="all")
        assert found is not None
        assert (found.number, found.requested, found.mergeable) == (61, ("eve", "team leads"), None)
        assert await link.releasing.find_pull("prod/v9.9.9", "main") is None
    assert server.lines[0] == f"GET {BELOW}/pulls?state=all&head=muva%3Aprod%2Fv1.2.0&base=main&per_page=100"


async def test_what_a_release_changes() -> None:
    def respond(head: str) -> bytes:
        method, path, _ = head.split(maxsplit=2)
        match method, path.removeprefix(BELOW).partition("?")[0]:
            case "POST", "/pulls":
                return told(a_pull(), 201)
            case "PUT", "/pulls/61/merge":
                return told({"sha": "b" * 40, "merged": True, "message": "done"})
            case "GET", "/issues/5":
                return told({"number": 5, "state": "open", "title": "Rates\x1b[1m"})
            case "GET", "/issues/6":
                return told({"number": 6, "state": "closed", "title": "x"})
            case "GET", "/releases/tags/v1.2.0":
                return told(document()["components"]["examples"]["release"]["value"])
            case "POST", "/releases":
                return told(document()["components"]["examples"]["release"]["value"], 201)
            case "GET", "/branches/main":
                return told(document()["components"]["examples"]["branch-get"]["value"])
            case "GET", _:
                return told({"login": "dana"}) if path == "/user" else told({"message": "Not Found"}, 404)
        return told({}, 201)

    async with asking(respond) as (link, server):
        release = link.releasing
        assert (await release.me()).login == "dana"
        pull = await release.open_pull("prod/v1.2.0", "main", "v1.2.0", "why")
        await release.request_reviewers(pull.number, ["@eve", "oskar", "muva/leads"])
        await release.add_labels(pull.number, ["release"])
        await release.approve(pull.number, SHA, "fine")
        assert await release.merge(pull.number, sha=SHA, title="Release") == "b" * 40
        assert await release.issue(5) == (True, "Rates")
        assert await release.close_issue(5, "in v1.2.0")
        assert not await release.close_issue(6, "in v1.2.0")
        made = await release.create_release("v1.2.0", "main", "v1.2.0", "notes")
        assert await release.release_by_tag("v1.2.0") == made
        assert (made.tag, made.draft) == ("v1.0.0", False)
        assert await release.release_by_tag("v9") is None
        branch = await release.branch("main")
        assert branch is not None and (branch.sha[:7], branch.protected) == ("7fd1a60", False)
        assert await release.branch("nowhere") is None
    assert server.sent == [
        {"head": "prod/v1.2.0", "base": "main", "title": "v1.2.0", "body": "why", "draft": False},
        {"reviewers": ["eve", "oskar"], "team_reviewers": ["leads"]},
        {"labels": ["release"]},
        {"commit_id": SHA, "event": "APPROVE", "body": "fine"},
        {"sha": SHA, "merge_method": "merge", "commit_title": "Release"},
        {"state": "closed", "state_reason": "completed"},
        {"body": "in v1.2.0"},
        {"tag_name": "v1.2.0", "target_commitish": "main", "name": "v1.2.0", "body": "notes"},
    ]


@pytest.mark.parametrize(
    ("status", "what", "means"),
    [
        (409, "the head of #61 is not aaaaaaa any more, and nothing was merged", "somebody pushed"),
        (405, "GitHub does not merge #61: At least 1 approving review is required", "a conflict, a rule"),
        (403, "GitHub refuses it to the configuration: At least 1", "pull_requests=write and contents=write"),
    ],
)
async def test_a_merge_that_github_declines(status: int, what: str, means: str) -> None:
    answer = told(
        {"message": "At least 1 approving review is required"}, status,
        x_accepted_github_permissions="pull_requests=write,contents=write",
    )  # fmt: skip
    async with asking(lambda _: answer) as (link, server):
        with pytest.raises(Declined) as caught:
            await link.releasing.merge(61, sha=SHA)
        assert len(server.heads) == 1
    assert caught.value.status == status and not caught.value.unsure
    assert what in caught.value.what and means in caught.value.means


async def test_a_merge_whose_answer_is_lost_is_looked_at_and_not_sent_again() -> None:
    for answer in (b"", told({"odd": 1}), response(200, "<html>")):
        async with asking(lambda _, answer=answer: answer) as (link, server):  # type: ignore[misc]
            with pytest.raises(Unsure, match=r"it is not known whether #61 was merged: "):
                await link.releasing.merge(61, sha=SHA)
            assert len(server.heads) == 1


async def test_the_fields_that_github_does_not_take_are_named() -> None:
    body = {
        "message": "Validation Failed",
        "errors": [{"resource": "PullRequest", "field": "head", "code": "invalid"}, "another thing"],
    }
    async with asking(lambda _: told(body, 422)) as (link, _):
        with pytest.raises(Declined) as caught:
            await link.releasing.open_pull("x", "main", "x", "")
        assert caught.value.what == (
            "GitHub does not take it: Validation Failed; head: invalid; another thing"
        )
        assert caught.value.fields == ("head",)
        with pytest.raises(Declined, match="GitHub does not ask lead-dev for a review: ") as nobody:
            await link.releasing.request_reviewers(61, ["@lead-dev"])
        assert "does not exist" in nobody.value.means
        assert link.state.status is LinkStatus.UP  # a no is an answer


async def test_mergeable_is_asked_again_while_github_does_not_know() -> None:
    known: Iterator[Any] = iter([None, None, True])
    async with asking(lambda _: told(a_pull(mergeable=next(known)))) as (link, server):
        assert (await link.releasing.wait_mergeable(61)).mergeable is True
        assert len(server.heads) == 3
    for pull, times in ((a_pull(), 3), (a_pull(state="closed"), 1)):
        async with asking(lambda _, pull=pull: told(pull)) as (link, server):  # type: ignore[misc]
            assert (await link.releasing.wait_mergeable(61)).mergeable is None
            assert len(server.heads) == times


async def test_checks_are_runs_and_statuses_together() -> None:
    runs = [{"name": "build", "status": "completed", "conclusion": "success"}]
    statuses: list[dict[str, str]] = []

    def respond(head: str) -> bytes:
        if "/check-runs" in head:
            return told({"total_count": 1, "check_runs": runs})
        return told({"state": "pending", "statuses": statuses})

    async with asking(respond) as (link, _):
        checks = await link.releasing.checks("dev")
        assert (checks.state, [one.name for one in checks.checks]) == ("success", ["build"])
        statuses.append({"context": "ci/sonar", "state": "pending"})
        assert (await link.releasing.checks("dev")).state == "pending"
        statuses[0]["state"] = "error"
        assert (await link.releasing.checks("dev")).state == "failure"
        with pytest.raises(LinkError, match="not a branch"):
            await link.releasing.checks("../../pulls")


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ("", "none"), ("success neutral skipped", "success"), ("success never-heard-of", "unknown"),
        ("success -", "pending"), ("- failure", "failure"), ("startup_failure", "failure"),
        ("stale never-heard-of", "failure"),
    ],
)  # fmt: skip
def test_the_worst_check_counts(words: str, state: str) -> None:
    checks = tuple(
        Check(name=word, status="queued" if word == "-" else "completed", conclusion=word, url="")
        for word in words.split()
    )
    assert Checks(ref="x", checks=checks).state == state


async def test_deployments_have_their_latest_state() -> None:
    examples = document()["components"]["examples"]

    def respond(head: str) -> bytes:
        kind = "deployment-status-items" if "/statuses" in head else "deployment-items"
        return told(examples[kind]["value"])

    async with asking(respond) as (link, server):
        (record,) = await link.releasing.deployments("production", SHA)
    assert (record.id, record.environment, record.state) == (1, "production", "success")
    assert server.lines[0].endswith(f"/deployments?environment=production&sha={SHA}&per_page=10")


async def test_reads_are_sent_again_and_it_is_seen() -> None:
    half = response(200, "{}" * 9)[:-5].replace(b"content", b"connection: close\r\ncontent", 1)
    answers = iter([response(502, "<html>"), half, told({"login": "dana"})])
    async with asking(lambda _: next(answers)) as (link, server):
        assert (await link.releasing.me()).login == "dana"
        assert (len(server.heads), link.counts.repeated, link.counts.charged) == (3, 2, 3)
        assert link.state.status is LinkStatus.UP
    async with asking(lambda _: response(500)) as (link, server):
        with pytest.raises(Declined) as caught:
            await link.releasing.me()
        assert (caught.value.status, len(server.heads), link.state.status) == (500, 3, LinkStatus.DOWN)


async def test_a_pause_is_seen_and_a_read_is_not_sent_again_beyond_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with asking(lambda _: response(500)) as (link, server):
        link._http._clock = iter((0.0, 19.9, 20.0)).__next__
        with pytest.raises(Declined):
            await link.releasing.me()
        assert len(server.heads) == 2
    monkeypatch.setattr("muva_console.ops.links.github_http.PAUSES", (60.0,))
    async with asking(lambda _: response(500)) as (link, server):
        asked = asyncio.create_task(link.releasing.me())
        while link.resting is None:
            await asyncio.sleep(0.001)
        assert "GitHub answers 500: asked again" in link.resting.why
        assert "left alone until" in link.state.detail
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_a_limit_is_in_sight_and_holds_for_all() -> None:
    async with asking(lambda _: response(503, "{}", retry_after="30")) as (link, server):
        for asked in (link.releasing.me(), link.actions.run(7), link.actions.rerun(7)):
            with pytest.raises(RateLimited, match="asks to be left alone") as caught:
                await asked
            assert not caught.value.unsure
        assert len(server.heads) == 1
        assert link.resting is not None and link.resting.until == caught.value.until
        assert "left alone until" in link.state.detail
        assert link.counts.limited == 1


async def test_a_304_is_charged_only_without_a_token() -> None:
    def respond(head: str) -> bytes:
        if "if-none-match" in head.lower():
            return b"HTTP/1.1 304 X\r\ncontent-length: 0\r\n\r\n"
        return told({"login": "dana"}, etag='"one"')

    async with asking(respond) as (link, _):
        for _ in range(3):
            assert (await link.releasing.me()).login == "dana"
        assert (link.counts.charged, link.counts.uncharged) == (1, 2)

        async def nobody() -> str | None:
            return None

        anonymous = GitHubHttp(link._http.api, nobody, timeout=20)
        for _ in range(2):
            await anonymous.ask("/user")
        assert (anonymous.counts.charged, anonymous.counts.uncharged) == (2, 0)
        await anonymous.close()


async def test_what_is_kept_may_go_while_it_is_asked_for() -> None:
    def respond(head: str) -> bytes:
        if "if-none-match" in head.lower():
            link._http._kept.clear()  # as another request does that finds another token
            return b"HTTP/1.1 304 X\r\ncontent-length: 0\r\n\r\n"
        return told({"login": "dana"}, etag='"one"')

    async with asking(respond) as (link, _):
        await link.releasing.me()
        assert (await link.releasing.me()).login == "dana"


def test_kept_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muva_console.ops.links.github_answers.KEPT_ANSWERS", 2)
    monkeypatch.setattr("muva_console.ops.links.github_answers.KEPT_BYTES", 80)
    kept = KeptAnswers()

    def keep(url: str, size: int) -> None:
        kept.keep(url, Answer(200, {"etag": '"x"'}, b"x" * size, url))

    def held() -> str:
        return "".join(url for url in "abcd" if kept.find(url) is not None)

    keep("a", 10)
    keep("b", 10)
    assert kept.find("a") is not None  # used since
    keep("c", 10)
    assert held() == "ac"
    keep("d", 11)  # an eighth of all is too large
    assert held() == "ac"
    kept.clear()
    assert held() == ""


def test_the_last_minute_is_counted() -> None:
    now = [100.0]
    counts = Counts(lambda: now[0])
    counts.add(charged=True, write=True)
    now[0] += 40
    counts.add(charged=False)
    counts.add(charged=True)
    minute = counts.last_minute()
    assert (minute.charged, minute.uncharged, minute.points) == (2, 1, 7)
    now[0] += 30
    assert counts.last_minute().points == 2
    assert (counts.charged, counts.uncharged, counts.writes) == (2, 1, 1)


async def test_changes_are_sent_one_after_the_other() -> None:
    going = [0, 0]
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        going[0] += 1
        going[1] = max(going)
        await release.wait()
        going[0] -= 1
        writer.write(response(201, "{}", connection="close"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        http = GitHubHttp(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", token, timeout=20)
        both = [asyncio.create_task(http.send("POST", f"/{n}", doing="it was")) for n in range(3)]
        while not going[0]:
            await asyncio.sleep(0.001)
        release.set()
        await asyncio.gather(*both)
        await http.close()
    assert going[1] == 1


def test_faults_of_the_house_are_unsure_only_when_said() -> None:
    assert not LinkError(Fault.OTHER, "x").unsure
    assert Unsure(Fault.OTHER, "x").unsure
