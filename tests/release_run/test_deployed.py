"""Staging validated, the commit served, the response time and the flows, on an application on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from muva_console.config.model import Host, Thresholds
from muva_console.config.release import Flow
from muva_console.config.types import Seconds
from muva_console.ops.checks import CheckContext, run_check
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.outgoing import Outgoing, OutgoingCommit
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.release.context import Release
from tests.health.conftest import HEALTHY, App, MakeContext
from tests.logs.local_link import LocalLink

HEAD = str(HEALTHY["commit"])
BASE = "b" * 40
OLDER = "c" * 40


class Repository:
    """Tells what goes out, or why it cannot."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.error: LinkError | None = None

    async def outgoing(self, source: str, target: str, *, at: str = "") -> Outgoing:
        if self.error is not None:
            raise self.error
        now = datetime(2026, 11, 25, tzinfo=UTC)
        commits = tuple(
            OutgoingCommit(sha=sha, subject="s", author="a", at=now) for sha in (HEAD, "d" * 40, OLDER)
        )
        told = Outgoing(at=now, source=source, target=target, head=HEAD, base=BASE, commits=commits, files=())
        return replace(told, **self.changes)


def going(ctx: CheckContext, repository: Repository, source: CheckContext | None) -> CheckContext:
    ctx.release = Release(
        source_branch="staging",
        target_branch="main",
        repository=cast(Any, repository),
        journal=cast(Any, None),
        secret=cast(Any, None),
        source=source,
    )
    return ctx


async def ask(name: str, ctx: CheckContext) -> Finding:
    (finding,) = await run_check(name, ctx)
    return finding


# --- staging validated


async def test_a_healthy_staging_that_serves_what_goes_out_is_validated(
    app: App, context: MakeContext
) -> None:
    ctx = going(context(), Repository(), context(url=app.url))
    found = await ask("staging-validated", ctx)
    assert (found.level, found.summary) == (Level.OK, f"healthy 20 of 20, serving {HEAD[:7]}")
    app.answers["/api/health"] = (200, {**HEALTHY, "commit": HEAD[:7]})
    assert (await ask("staging-validated", ctx)).level is Level.OK


@pytest.mark.parametrize(
    ("commit", "level", "told"),
    [
        (OLDER, Level.FAIL, f"serving ccccccc, but {HEAD[:7]} goes out (2 commits behind {HEAD[:7]})"),
        (BASE, Level.FAIL, "(what main stands at: nothing of the 3 that go out)"),
        ("e" * 40, Level.FAIL, "serving eeeeeee, but"),
        (HEAD[:6], Level.UNKNOWN, f"its health document names no commit; {HEAD[:7]} goes out"),
    ],
)
async def test_another_commit_on_staging_fails_and_both_are_named(
    app: App, context: MakeContext, commit: str, level: Level, told: str
) -> None:
    app.answers["/api/health"] = (200, {**HEALTHY, "commit": commit})
    found = await ask("staging-validated", going(context(), Repository(), context(url=app.url)))
    assert found.level is level
    assert told in found.summary


async def test_an_unhealthy_staging_fails_and_a_single_slip_is_a_warning(
    app: App, context: MakeContext
) -> None:
    ctx = going(context(), Repository(), context(url=app.url))
    app.status_of = lambda n: 503 if n == 7 else 200
    found = await ask("staging-validated", ctx)
    assert found.level is Level.WARN
    assert found.summary.startswith("healthy 19 of 20 (answers 503")
    app.status_of = lambda n: 503 if n % 2 else 200
    found = await ask("staging-validated", ctx)
    assert found.level is Level.FAIL
    assert found.summary.startswith("healthy 10 of 20 (answers 503")


async def test_without_a_source_or_a_fetch_staging_is_not_known(app: App, context: MakeContext) -> None:
    found = await ask("staging-validated", going(context(), Repository(), None))
    assert (found.level, found.summary) == (
        Level.UNKNOWN,
        "no environment is configured for staging, where the code comes from",
    )
    unfetched = Repository(fetched=False, fetch_error="no route")
    found = await ask("staging-validated", going(context(), unfetched, context(url=app.url)))
    assert (found.level, "cannot be reached" in found.summary) == (Level.UNKNOWN, True)
    unfetched.error = LinkError(Fault.MISSING, "no such branch")
    found = await ask("staging-validated", going(context(), unfetched, context(url=app.url)))
    assert (found.level, "no such branch" in found.summary) == (Level.UNKNOWN, True)


# --- the commit served


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a name that a shell would stumble over, at a commit that is not the application's."""
    import subprocess

    place = tmp_path / "it's $(a) copy"
    place.mkdir()
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "s"],
    ):
        subprocess.run(["git", *words], cwd=place, check=True, timeout=20)
    return place


async def test_the_commit_served_is_the_branchs_head_here_and_on_the_host(
    app: App, context: MakeContext, checkout: Path
) -> None:
    link = LocalLink("vps")
    told = (
        await link.run(
            f"cd '{str(checkout).replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'; git rev-parse HEAD"
        )
    ).stdout
    head = told.decode().strip()
    app.answers["/api/health"] = (200, {**HEALTHY, "commit": head[:12]})
    ctx = going(context(url=app.url, hosts=("vps",), directory=str(checkout)), Repository(base=head), None)
    ctx.hosts = {"vps": link}
    ctx.config = replace(ctx.config, hosts={"vps": Host(address="vps")})
    found = await ask("commit-served", ctx)
    assert (found.level, found.summary) == (Level.OK, f"serves {head[:7]}, as main and vps")
    assert "git rev-parse HEAD" in found.command or "rev-parse HEAD" in found.command

    going(ctx, Repository(base=HEAD), None)
    found = await ask("commit-served", ctx)
    assert found.level is Level.FAIL
    assert found.summary == (
        f"production serves {head[:7]}; vps has checked out {head[:7]}, but main stands at {HEAD[:7]}"
    )
    app.answers["/api/health"] = (200, HEALTHY)
    found = await ask("commit-served", ctx)
    assert found.summary == f"vps has checked out {head[:7]}, but main stands at {HEAD[:7]}"
    ctx.parameters = {"hosts": False}
    assert (await ask("commit-served", ctx)).level is Level.OK

    ctx.parameters = {}
    ctx.environment = replace(ctx.environment, directory=str(checkout / "nowhere"))
    found = await ask("commit-served", ctx)
    assert (found.level, found.summary.startswith("vps: ")) == (Level.UNKNOWN, True)
    link.pull()
    assert (await ask("commit-served", ctx)).level is Level.UNKNOWN


async def test_a_commit_that_is_not_told_or_not_fetched_is_unknown(app: App, context: MakeContext) -> None:
    ctx = going(context(url=app.url), Repository(base=HEAD, fetched=False, fetch_error="no route"), None)
    found = await ask("commit-served", ctx)
    assert (found.level, "cannot be fetched" in found.summary) == (Level.UNKNOWN, True)
    app.answers["/api/health"] = (200, {"status": "healthy"})
    found = await ask("commit-served", going(ctx, Repository(base=HEAD), None))
    assert (found.level, found.summary) == (
        Level.UNKNOWN,
        f"production: its health document names no commit; main stands at {HEAD[:7]}",
    )


# --- the processes


async def stable(context: MakeContext, age: float, **changes: Any) -> Finding:
    now = utc_now()
    told = Process(
        host="vps",
        pm_id=0,
        name="muva",
        pid=7,
        status="online",
        restarts=3,
        restarts_in_window=0,
        started_at=now - timedelta(seconds=age),
    )

    async def listed() -> ProcessList:
        return ProcessList(host="vps", at=now, processes=(replace(told, **changes),), source="daemon socket")

    ctx = context(hosts=("vps",), processes=("muva",))
    ctx.config = replace(ctx.config, hosts={"vps": Host(address="vps")})
    ctx.take_processes = {"vps": listed}
    ctx.parameters = {"stable_for": "40s"}
    return await ask("process-stable", ctx)


async def test_a_process_is_stable_once_it_has_run_for_long_enough(context: MakeContext) -> None:
    found = await stable(context, 90)
    assert (found.level, found.summary) == (
        Level.OK,
        "muva is up for 1m 30s, no restart that nobody asked for",
    )
    found = await stable(context, 12.5)
    assert (found.level, found.summary) == (
        Level.UNKNOWN,
        "muva is up for 12s only, look again in 28s",
    )
    assert found.expires is not None
    assert 27 < (found.expires - found.at).total_seconds() < 28


@pytest.mark.parametrize(
    ("changes", "level", "told"),
    [
        ({"restarts_in_window": 1}, Level.FAIL, "PM2 had to restart it once"),
        ({"status": "errored", "pid": None, "started_at": None}, Level.FAIL, "PM2 gave up on muva"),
        ({"status": "launching"}, Level.UNKNOWN, "is not up yet"),
        ({"restarts_in_window": None}, Level.UNKNOWN, "how fast they come is not known yet"),
        ({"memory_limit": 100, "own_memory": 95}, Level.WARN, "beyond which PM2 restarts it"),
        ({"name": "other"}, Level.FAIL, "does not have muva"),
    ],
)
async def test_an_unstable_process_is_told_as_such(
    context: MakeContext, changes: dict[str, Any], level: Level, told: str
) -> None:
    found = await stable(context, 90, **changes)
    assert found.level is level
    assert told in found.summary


# --- the response time and the flows


async def test_of_a_few_response_times_the_worst_counts(app: App, context: MakeContext) -> None:
    ctx = context(url=app.url)
    found = await ask("response-time", ctx)
    assert found.level is Level.OK
    assert "slowest" in found.summary and found.summary.endswith("of 5; the limit is 5.0 s")
    ctx = context(url=app.url, thresholds=Thresholds(response=Seconds(0.05)))
    app.delay = lambda n: 0.08 if n == 8 else 0.0
    found = await ask("response-time", ctx)
    assert found.level is Level.FAIL
    assert found.summary.endswith("the limit is 50 ms")
    app.delay, app.status_of = (lambda n: 0.0), lambda n: 503
    found = await ask("response-time", ctx)
    assert (found.level, found.summary.startswith("answers 503 in")) == (Level.UNKNOWN, True)
    found = await ask("response-time", context(url="http://127.0.0.1:1"))
    assert (found.level, found.summary.startswith("no answer: ")) == (Level.FAIL, True)


async def test_each_flow_is_asked_and_what_came_instead_is_told(app: App, context: MakeContext) -> None:
    app.headers = "Content-Type: text/html\r\n"
    app.answers["/rates"] = (200, b"<html><title>Rates</title>" + b" " * 100_000 + b"Sea View</html>")
    app.answers["/login"] = (200, b"<TITLE>Not \x1b[31m a \n login &lt;b&gt;</TITLE>")
    app.answers["/gone"] = (500, {"error": "internal"})
    flows = {
        "rates": Flow(path="/rates", contains="Sea View"),
        "login": Flow(path="/login", contains="Sign in"),
        "gone": Flow(path="/gone"),
        "closed": Flow(path="/closed", expect=(401, 404)),
    }
    findings = await run_check("user-flows", context(url=app.url, flows=flows))
    told = {finding.subject: finding for finding in findings}
    assert {name: finding.level for name, finding in told.items()} == {
        "rates": Level.OK,
        "login": Level.FAIL,
        "gone": Level.FAIL,
        "closed": Level.OK,
    }
    assert told["login"].summary == 'answers 200, but without "Sign in": a page "Not a login <b>"'
    assert told["gone"].summary.endswith('200 is expected: \'{"error": "internal"}\'')
    found = await ask("user-flows", context(url=app.url))
    assert (found.level, found.summary) == (Level.UNKNOWN, "no flow is configured")
