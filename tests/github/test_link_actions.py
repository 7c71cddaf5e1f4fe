"""The link's workflows: what GitHub's own examples are read as, logs and artifacts from another host."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links import github_actions
from muva_console.ops.links.github_model import Declined, Unsure
from muva_console.ops.links.github_runs import Artifact
from muva_console.ops.readings import utc_now
from tests.github.answering import TOKEN, asking, link_to, response, standing, told
from tests.github.description import document

BELOW = "/repos/muva/muva-chat/actions"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muva_console.ops.links.github_http.PAUSES", (0.0, 0.0))


def example(name: str) -> Any:
    return document()["components"]["examples"][name]["value"]


async def test_github_s_own_examples_are_read() -> None:
    def respond(head: str) -> bytes:
        path = head.split()[1].partition("?")[0].removeprefix(BELOW)
        return told(
            example(
                {
                    "/runs": "workflow-run-paginated",
                    "/workflows/build.yml/runs": "workflow-run-paginated",
                    "/runs/7": "workflow-run",
                    "/runs/7/jobs": "job-paginated",
                    "/runs/7/attempts/2/jobs": "job-paginated",
                    "/runs/7/pending_deployments": "pending-deployment-items",
                    "/runs/7/approvals": "environment-approvals-items",
                    "/runs/7/artifacts": "artifact-paginated",
                    "/artifacts": "artifact-paginated",
                }[path]
            )
        )

    async with asking(respond) as (link, server):
        actions = link.actions
        (run,) = await actions.runs(workflow=".github/workflows/build.yml", branch="main", sha="a" * 40)
        assert (run.id, run.number, run.attempt, run.workflow, run.file) == (
            30433642, 562, 1, "Build", "build.yml",
        )  # fmt: skip
        assert (run.status, run.conclusion, run.finished) == ("queued", "", False)
        assert run.path == ".github/workflows/build.yml" and run.actor.login == "octocat"
        assert len(await actions.runs(status="success", created=">=2026-01-31")) == 1
        assert (await actions.run(7)).started_at == datetime(2020, 1, 22, 19, 33, 8, tzinfo=UTC)
        (job,) = await actions.jobs(7)
        assert await actions.jobs(run=7, attempt=2) == (job,)
        assert [step.number for step in job.steps] == [1, 2, 3, 4, 5, 6, 7, 8, 16, 17]
        assert job.steps[0].started_at == datetime(2020, 1, 20, 17, 42, 40, tzinfo=UTC)
        assert job.finished and job.runner == "my runner"
        (pending,) = await actions.pending(7)
        assert (pending.environment_id, pending.environment, pending.can_approve, pending.reviewers) == (
            161088068, "staging", True, ("octocat", "team justice-league"),
        )  # fmt: skip
        (approval,) = await actions.approvals(7)
        assert (approval.environments, approval.state, approval.comment, approval.by.login) == (
            ("staging",), "approved", "Ship it!", "octocat",
        )  # fmt: skip
        first, _ = await actions.artifacts(7)
        assert (first.name, first.size, first.expired, first.run) == ("Rails", 556, False, 2332938)
        assert first.digest.startswith("sha256:cfc3236b")
        assert len(await actions.all_artifacts("a b")) == 2
        with pytest.raises(LinkError, match="not the file name of a workflow"):
            await actions.runs(workflow="a/../..")
    asked = [line.removeprefix(f"GET {BELOW}") for line in server.lines]
    assert asked[0] == f"/workflows/build.yml/runs?branch=main&head_sha={'a' * 40}&per_page=30"
    assert asked[1] == "/runs?status=success&created=%3E%3D2026-01-31&per_page=30"
    assert asked[3] == "/runs/7/jobs?filter=latest&per_page=100"
    assert asked[-1] == "/artifacts?name=a+b&per_page=100"


async def test_words_that_are_not_known_and_hostile_text_are_kept_harmless() -> None:
    run = {**example("workflow-run"), "status": "dreaming", "conclusion": "sta\x1b[2Jle"}
    run |= {"head_branch": None, "name": None, "display_title": "a\x1b]52;c;x\x07b\u202ec\nd"}
    job = {
        "id": 1, "run_id": 7, "name": "x", "status": "waiting", "html_url": None, "runner_name": None,
        "started_at": "0001-01-01T00:00:00Z", "completed_at": None,
    }  # fmt: skip

    async with asking(lambda head: told({"jobs": [job]} if "/jobs" in head else run)) as (link, _):
        read = await link.actions.run(7)
        assert (read.status, read.conclusion, read.branch) == ("dreaming", "stale", "")
        assert (read.workflow, read.title) == ("build.yml", "ab·c d")
        (queued,) = await link.actions.jobs(read)
        assert (queued.steps, queued.started_at, queued.runner, queued.finished) == ((), None, "", False)


async def test_a_job_s_log_comes_from_another_host_without_the_token() -> None:
    text = b"2026-01-31T10:00:00.0000000Z \x1b[36;1mpnpm build\x1b[0m\r\n2026-01-31T10:00:01Z \xff\n"
    async with (
        standing(lambda _: response(200, text, etag='"x"')) as blobs,
        asking(lambda _: response(302, b"", location=f"{blobs.url}/log?sig=secret")) as (link, server),
    ):
        log = await link.actions.job_log(5)
        assert log == text.decode("utf-8", "replace")
        assert await link.actions.job_log(5) == log
        counts = link.counts
        assert (counts.charged, counts.uncharged, counts.elsewhere, counts.requests) == (2, 0, 2, 4)
    assert server.lines == [f"GET {BELOW}/jobs/5/logs"] * 2
    assert all(f"Bearer {TOKEN}" in head for head in server.heads)
    for head in blobs.heads:
        assert "authorization" not in head.lower() and "x-github" not in head.lower()
        assert "if-none-match" not in head.lower()  # a log is not kept


async def test_a_log_that_is_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    (raw,) = example("job-paginated")["jobs"]
    status = [404]
    links: list[str] = []

    def respond(head: str) -> bytes:
        if "/jobs?" in head:
            return told({"jobs": [raw]})
        if links:
            return response(302, b"", location=links[0])
        return told({"message": "Gone"}, status[0])

    async with asking(respond) as (link, _):
        (job,) = await link.actions.jobs(7)
        assert await link.actions.job_log(job) is None
        status[0] = 410
        assert await link.actions.job_log(job.id) is None
        with pytest.raises(Declined, match="it is gone from GitHub") as gone:
            await link.actions.job_log(job)
        assert (gone.value.fault, gone.value.status) == (Fault.MISSING, 410)
        status[0] = 403
        with pytest.raises(Declined) as refused:
            await link.actions.job_log(job)
        assert refused.value.fault is Fault.AUTH
        async with standing(lambda _: response(404, "<Error>BlobNotFound")) as blobs:
            links.append(f"{blobs.url}/x")
            assert await link.actions.job_log(job) is None
        monkeypatch.setattr(github_actions, "LOG_LIMIT", 100)
        async with standing(lambda _: response(200, b"x" * 5000)) as blobs:
            links[0] = f"{blobs.url}/x"
            assert (
                await link.actions.job_log(job)
                == "x" * 100 + "\n(more than 100 bytes: the rest was not read)\n"
            )


async def test_a_link_that_is_too_old_is_asked_for_again() -> None:
    answers = iter([response(403, "<Error>AuthenticationFailed"), response(500), response(200, b"log")])
    async with (
        standing(lambda _: next(answers)) as blobs,
        asking(lambda _: response(302, b"", location=f"{blobs.url}/x")) as (link, server),
    ):
        assert await link.actions.job_log(5) == "log"
        assert (len(server.heads), link.counts.repeated) == (3, 2)
    async with (
        standing(lambda _: response(403)) as blobs,
        asking(lambda _: response(302, b"", location=f"{blobs.url}/x?sig=secret")) as (link, _),
    ):
        with pytest.raises(Declined) as caught:
            await link.actions.job_log(5)
    assert caught.value.where in blobs.url and "secret" not in "".join(caught.value.lines())
    assert "bear their own right" in caught.value.means


def an_artifact(data: bytes, **more: object) -> Artifact:
    wanted: dict[str, object] = {
        "id": 11, "name": "backup", "size": len(data), "expired": False, "created_at": None,
        "expires_at": utc_now() + timedelta(days=30), "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "run": 7, **more,
    }  # fmt: skip
    return Artifact(**wanted)  # type: ignore[arg-type]


async def test_an_artifact_is_kept_only_when_it_is_what_github_told(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    into = tmp_path / "backup.zip"
    cut = response(200, data)[:-5].replace(b"content-length", b"connection: close\r\ncontent-length", 1)
    served = [data]
    halves = [cut]

    def blob(_: str) -> bytes:
        return halves.pop() if halves else response(200, served[0])

    async with (
        standing(blob) as blobs,
        asking(lambda _: response(302, b"", location=f"{blobs.url}/zip")) as (link, server),
    ):
        fetch = link.actions.fetch_artifact
        await fetch(an_artifact(data), into)  # half of it came first
        assert (into.read_bytes() == data, into.stat().st_mode & 0o777) == (True, 0o600)
        assert (server.lines[0], link.counts.repeated) == (f"GET {BELOW}/artifacts/11/zip", 1)
        before = len(server.heads)
        for wrong, what in (
            (an_artifact(data, digest="sha256:" + "0" * 64), "its SHA-256 is"),
            (an_artifact(data, size=len(data) + 1), "bytes came, GitHub told of"),
            (an_artifact(data, size=100), "more than 100 bytes came"),
        ):
            with pytest.raises(LinkError, match=what):
                await fetch(wrong, tmp_path / "wrong.zip")
        assert len(server.heads) == before + 3
        for expired in (an_artifact(data, expired=True), an_artifact(data, expires_at=utc_now())):
            with pytest.raises(Declined, match="has expired") as caught:
                await fetch(expired, tmp_path / "wrong.zip")
            assert caught.value.status == 410
        assert len(server.heads) == before + 3  # it is not even asked for
        await link.actions.run_logs(7, tmp_path / "logs.zip")
        assert (tmp_path / "logs.zip").read_bytes() == data
        with pytest.raises(LinkError, match="cannot be written"):
            await fetch(an_artifact(data), tmp_path / "nowhere" / "x.zip")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backup.zip", "logs.zip"]


async def test_what_is_asked_of_runs() -> None:
    statuses = {"rerun": 201, "rerun-failed-jobs": 201, "cancel": 202, "force-cancel": 202, "dispatches": 204}

    def respond(head: str) -> bytes:
        place = head.split()[1].rpartition("/")[2]
        return response(statuses.get(place, 200), b"" if place == "dispatches" else "{}")

    async with asking(respond) as (link, server):
        actions = link.actions
        await actions.decide(7, [1, 2], approve=True, comment="looks well")
        await actions.decide(7, [1], approve=False, comment="")
        await actions.rerun(7)
        await actions.rerun(7, failed_only=True)
        await actions.cancel(7)
        await actions.cancel(7, force=True)
        await actions.dispatch("deploy-staging.yml", "staging", {"why": "again"})
        minute = link.counts.last_minute()
        assert (link.counts.writes, link.counts.charged, minute.points) == (7, 7, 35)
    assert [line.removeprefix(f"POST {BELOW}") for line in server.lines] == [
        "/runs/7/pending_deployments", "/runs/7/pending_deployments", "/runs/7/rerun",
        "/runs/7/rerun-failed-jobs", "/runs/7/cancel", "/runs/7/force-cancel",
        "/workflows/deploy-staging.yml/dispatches",
    ]  # fmt: skip
    assert server.sent == [
        {"environment_ids": [1, 2], "state": "approved", "comment": "looks well"},
        {"environment_ids": [1], "state": "rejected", "comment": ""},
        {"ref": "staging", "inputs": {"why": "again"}},
    ]


async def test_refusals_of_runs_say_what_they_are() -> None:
    over_already = told({"message": "Cannot cancel a workflow run that is completed."}, 409)
    async with asking(lambda _: over_already) as (link, _):
        with pytest.raises(Declined, match=r"Cannot cancel a workflow run that is completed\.") as over:
            await link.actions.cancel(7)
        assert (over.value.status, over.value.unsure) == (409, False)
    async with asking(
        lambda _: told({"message": "Not Found"}, 404, x_accepted_github_permissions="actions=write")
    ) as (link, _):
        for asked in (
            link.actions.runs(workflow="deploy.yml"),
            link.actions.dispatch("deploy.yml", "dev", {}),
        ):
            with pytest.raises(Declined, match=r"GitHub knows no workflow deploy\.yml") as renamed:
                await asked
            assert "it was renamed" in renamed.value.means
            assert "actions=write is needed" in renamed.value.means
        with pytest.raises(Declined, match="GitHub answers 404"):
            await link.actions.run(7)


async def test_a_change_whose_answer_is_lost_is_not_sent_again() -> None:
    half = response(201, "{}" * 9)[:-5].replace(b"content", b"connection: close\r\ncontent", 1)
    for answer in (b"", half, response(502), response(503, retry_after="3")):
        async with asking(lambda _, answer=answer: answer) as (link, server):  # type: ignore[misc]
            with pytest.raises(Unsure, match="it is not known whether the run was started again: ") as caught:
                await link.actions.rerun(7)
            assert caught.value.unsure and "Look whether it was done" in caught.value.next
            assert len(server.heads) == 1 and server.lines[0].startswith("POST ")
            assert (link.counts.charged, link.counts.repeated) == (1, 0)
    async with standing(lambda _: response(200)) as gone:
        pass
    link = link_to(gone.url)
    with pytest.raises(LinkError) as refused:
        await link.actions.rerun(7)
    assert (refused.value.fault, refused.value.unsure) == (Fault.REFUSED, False)  # nothing was sent
    assert link.counts.requests == 0
    await link.close()


def test_the_example_job_is_what_it_is_said_to_be() -> None:
    # the other tests lean on it
    assert json.dumps(example("job-paginated")).count('"completed"') == 11
