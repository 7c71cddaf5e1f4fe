"""The checks that ask over HTTP, against an application that is really asked."""

from __future__ import annotations

import asyncio
import shlex
import ssl
from datetime import timedelta

import pytest

from muva_console.config.model import Dependency, Seconds, Thresholds, Url
from muva_console.ops.checks import run_check
from muva_console.ops.health.report import read_health
from muva_console.ops.links.base import CommandLog
from muva_console.ops.links.web import WebLink
from muva_console.ops.readings import Finding, Level, Verdict
from tests.web.conftest import Authority, authority, page, replying, serving

from .conftest import HEALTHY, App, MakeContext

__all__ = ["authority"]  # the fixture


async def one(name: str, ctx: object) -> Finding:
    (finding,) = await run_check(name, ctx)  # type: ignore[arg-type]
    return finding


class TestApi:
    async def test_healthy(self, app: App, context: MakeContext) -> None:
        finding = await one("api-health", context(url=app.url))
        assert finding.level is Level.OK
        assert finding.summary.startswith("healthy, ")
        assert any("a1b2c3d" in line and "1.4.2" in line for line in finding.evidence)
        assert any("first byte" in line for line in finding.evidence)
        assert finding.command == f"curl -sS {app.url}/api/health | jq"

    @pytest.mark.parametrize(
        ("status", "document", "level", "says"),
        [
            (200, {"status": "degraded"}, Level.WARN, "degraded"),
            (200, {"status": "unhealthy", "error": "ECONNREFUSED"}, Level.FAIL, "ECONNREFUSED"),
            (200, {"status": "starting"}, Level.UNKNOWN, "starting"),
            (200, {}, Level.FAIL, "not with the health document"),
            (200, b"<html>Welcome to nginx!</html>", Level.FAIL, "not with the health document"),
            (200, b"", Level.FAIL, "not with the health document"),
            (
                503,
                {"status": "degraded", "services": {"supabase": {"status": "error"}}},
                Level.FAIL,
                "supabase",
            ),
            (502, b"Bad Gateway", Level.FAIL, "502"),
            (404, b"", Level.FAIL, "404"),
            (401, b"", Level.UNKNOWN, "does not let us ask"),
            (429, b"", Level.UNKNOWN, "does not let us ask"),
        ],
    )
    async def test_answers(
        self, app: App, context: MakeContext, status: int, document: object, level: Level, says: str
    ) -> None:
        app.answers["/api/health"] = (status, document)
        finding = await one("api-health", context(url=app.url))
        assert finding.level is level
        assert says in finding.summary

    async def test_a_redirect_is_no_answer(self, app: App, context: MakeContext) -> None:
        app.answers["/api/health"] = (307, b"")
        app.headers = "Location: https://elsewhere.test/login\r\n"
        finding = await one("api-health", context(url=app.url))
        assert finding.level is Level.FAIL
        assert "elsewhere.test/login" in finding.summary

    async def test_slower_than_the_limit(self, app: App, context: MakeContext) -> None:
        app.delay = lambda n: 0.2
        finding = await one("api-health", context(url=app.url, thresholds=Thresholds(response=Seconds(0.1))))
        assert finding.level is Level.FAIL
        assert "the limit is 100 ms" in finding.summary

    async def test_silence_and_refusal_are_told_apart(self, app: App, context: MakeContext) -> None:
        app.delay = lambda n: 30.0
        silent = await one("api-health", context(url=app.url, timeout=0.3))
        refused = await one("api-health", context(url="http://127.0.0.1:1"))
        assert silent.level is refused.level is Level.FAIL
        assert "connected, but no answer within 0.3 s" in silent.summary
        assert "refused" in refused.summary

    async def test_trouble_of_our_own_is_unknown(self, context: MakeContext) -> None:
        assert (await one("api-health", context(url="http://255.255.255.255"))).level is Level.UNKNOWN

    async def test_no_address_is_unknown(self, context: MakeContext) -> None:
        finding = await one("api-health", context())
        assert finding.level is Level.UNKNOWN
        assert "[environments.production]" in finding.next

    async def test_a_truncated_document_is_no_document(self, app: App, context: MakeContext) -> None:
        app.answers["/api/health"] = (200, b'{"status":"healthy","pad":"' + b"x" * 70_000 + b'"}')
        assert (await one("api-health", context(url=app.url))).level is Level.FAIL


class TestDatabaseThroughTheApplication:
    @pytest.mark.parametrize(
        ("status", "document", "level", "says"),
        [
            (200, {"status": "ok", "latency_ms": 4.2}, Level.OK, "4.2 ms"),
            (200, {"status": "ok", "latency_ms": 140}, Level.FAIL, "the threshold is 100 ms"),
            (200, {"status": "ok"}, Level.WARN, "does not tell its latency"),
            (200, {"status": "error", "error": "ECONNREFUSED 5432"}, Level.FAIL, "ECONNREFUSED 5432"),
            (503, {"status": "error", "error": "ECONNREFUSED 5432"}, Level.FAIL, "ECONNREFUSED 5432"),
            (200, b"hello", Level.FAIL, "not with the database's health document"),
            (404, {}, Level.UNKNOWN, "404"),
        ],
    )
    async def test_answers(
        self, app: App, context: MakeContext, status: int, document: object, level: Level, says: str
    ) -> None:
        app.answers["/api/health/db"] = (status, document)
        finding = await one("database", context(url=app.url))
        assert (finding.level, finding.subject) == (level, "asked by the application")
        assert says in finding.summary

    async def test_one_slow_moment_is_asked_again(self, app: App, context: MakeContext) -> None:
        class Once(dict[str, object]):
            pass

        asked = 0
        serve = app.serve

        async def first_slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            latency = 900 if asked == 1 else 5
            app.answers["/api/health/db"] = (200, {"status": "ok", "latency_ms": latency})
            await serve(reader, writer)

        async with serving(first_slow) as port:
            finding = await one("database", context(url=f"http://127.0.0.1:{port}"))
        assert finding.level is Level.OK
        assert asked == 3
        assert any("900 ms, 5.0 ms, 5.0 ms" in line for line in finding.evidence)

    async def test_an_application_that_is_not_there_tells_nothing_of_the_database(
        self, context: MakeContext
    ) -> None:
        assert (await one("database", context(url="http://127.0.0.1:1"))).level is Level.UNKNOWN

    async def test_an_application_that_hangs_on_it_does(self, app: App, context: MakeContext) -> None:
        app.delay = lambda n: 30.0
        assert (await one("database", context(url=app.url, timeout=0.3))).level is Level.FAIL


class TestDependencies:
    async def test_named_and_configured(self, app: App, context: MakeContext) -> None:
        app.answers["/rest"] = (401, {})
        app.answers["/chat"] = (500, {})
        findings = await run_check(
            "dependencies",
            context(
                url=app.url,
                dependencies={
                    "supabase": Dependency(url=Url(f"{app.url}/rest"), expect=(200, 401)),
                    "whatsapp": Dependency(url=Url(f"{app.url}/chat")),
                    "mail": Dependency(url=Url("http://127.0.0.1:1/")),
                },
            ),
        )
        told = {f.subject: (f.level, f.summary) for f in findings}
        assert told["database"] == (Level.OK, "the application says ok, 3.1 ms")
        assert told["chat"][0] is Level.OK
        assert told["supabase"][0] is Level.OK
        assert told["whatsapp"][0] is Level.FAIL
        assert "200 is expected" in told["whatsapp"][1]
        assert told["mail"][0] is Level.FAIL
        assert "refused" in told["mail"][1]
        assert all(f.command.startswith("curl ") for f in findings)

    async def test_a_service_that_fails_is_named(self, app: App, context: MakeContext) -> None:
        services = {"database": {"status": "error", "error": "ECONNREFUSED"}}
        app.answers["/api/health"] = (503, {"status": "unhealthy", "services": services})
        finding = await one("dependencies", context(url=app.url))
        assert (finding.subject, finding.level) == ("database", Level.FAIL)
        assert "ECONNREFUSED" in finding.summary

    async def test_silence_of_the_application_is_unknown(self, context: MakeContext) -> None:
        assert (await one("dependencies", context(url="http://127.0.0.1:1"))).level is Level.UNKNOWN

    async def test_nothing_named_is_unknown_and_says_what_to_do(self, app: App, context: MakeContext) -> None:
        app.answers["/api/health"] = (200, {"status": "healthy"})
        finding = await one("dependencies", context(url=app.url))
        assert finding.level is Level.UNKNOWN
        assert "[environments.production.dependencies]" in finding.next

    async def test_they_are_asked_side_by_side(self, app: App, context: MakeContext) -> None:
        app.delay = lambda n: 0.2
        asked = {f"d{n}": Dependency(url=Url(f"{app.url}/api/health?{n}")) for n in range(40)}
        app.answers.update({f"/api/health?{n}": (200, HEALTHY) for n in range(40)})
        findings = await run_check("dependencies", context(url=app.url, dependencies=asked))
        assert {f.level for f in findings} == {Level.OK}
        assert findings[0].took_ms < 1500, "forty times 200 ms in a row would be 8 s"


class TestCertificate:
    async def look(self, authority: Authority, context: MakeContext, days: int) -> Finding:
        async with serving(replying(page(b'{"status":"healthy"}')), authority.server(days=days)) as port:
            ctx = context(url=f"https://127.0.0.1:{port}")
            trusting = ssl.create_default_context(cafile=str(authority.root))
            ctx.web = WebLink("web", CommandLog(), context=trusting)
            return await one("certificate", ctx)

    async def test_good_ending_and_ended(self, authority: Authority, context: MakeContext) -> None:
        good = await self.look(authority, context, 90)
        ending = await self.look(authority, context, 10)
        ended = await self.look(authority, context, -2)
        assert [good.level, ending.level, ended.level] == [Level.OK, Level.WARN, Level.FAIL]
        assert good.summary.startswith(("good for 89d", "good for 90d"))
        assert ending.summary.startswith(("expires in 9d", "expires in 10d"))
        assert "expired 2d" in ended.summary
        assert shlex.split(good.command)[:2] == ["openssl", "s_client"]

    async def test_without_a_connection_it_is_unknown(self, context: MakeContext) -> None:
        finding = await one("certificate", context(url="https://127.0.0.1:1"))
        assert finding.level is Level.UNKNOWN
        assert finding.expires is not None
        assert finding.expires - finding.at == timedelta(hours=1)


class TestReport:
    async def test_a_report_has_what_is_served_and_a_verdict(self, app: App, context: MakeContext) -> None:
        report = await read_health(context(url=app.url), ("api-health", "dependencies", "performance"))
        assert report.verdict is Verdict.GO
        assert (report.commit, report.version) == (HEALTHY["commit"], "1.4.2")
        assert report.api_ms is not None
        assert report.level_of("api-health") is Level.OK
        assert report.level_of("never-run") is Level.UNKNOWN

    async def test_without_a_database_to_ask_it_cannot_tell(self, app: App, context: MakeContext) -> None:
        report = await read_health(context(url=app.url))
        assert report.database_ms == 4.2
        assert report.verdict is Verdict.CANNOT_TELL
        assert report.level_of("critical-tables") is Level.UNKNOWN

    async def test_a_failure_is_no_go(self, app: App, context: MakeContext) -> None:
        app.answers["/api/health"] = (500, {})
        assert (await read_health(context(url=app.url))).verdict is Verdict.NO_GO

    async def test_an_environment_with_nothing_to_ask(self, context: MakeContext) -> None:
        report = await read_health(context())
        assert (report.findings, report.verdict) == ((), Verdict.CANNOT_TELL)
