"""The messages to the team say what is known of a release, and of nothing else."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from muva_console.config.model import Config, Environment, Notices, Secret
from muva_console.drill import repository
from muva_console.drill.github import records
from muva_console.drill.state import Estate
from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.acts import message_text, operation_for
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.health.report import HealthReport
from muva_console.ops.journal import Entry, Filter
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.outgoing import FileChange, Outgoing
from muva_console.ops.operations import EventKind
from muva_console.ops.readings import Finding, Level, Verdict, utc_now
from muva_console.ops.release import message
from muva_console.ops.release.context import Release
from muva_console.ops.release.message import Facts, render
from tests.github.test_review import GitSource

SLACK = Secret(env="SLACK")


class Tree(GitSource):
    """The repository with files to read, and a migration that goes out."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(estate)
        self._estate = estate

    async def outgoing(self, source: str, target: str, *, at: str = "") -> Outgoing:
        from msgspec.structs import replace

        files = ("supabase/migrations/1.sql", "README.md")
        return replace(
            await super().outgoing(source, target),
            files=tuple(FileChange(status="A", path=path) for path in files),
        )

    async def read(self, sha: str, path: str, *, limit: int = 0) -> bytes | None:
        return (await self._git.git("show", f"{sha}:{path}")).encode()


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> HealthReport:
    """What the environment says of itself: changed by the test."""
    report: dict[str, Any] = {}

    async def read(ctx: CheckContext, names: Any = ()) -> HealthReport:
        return HealthReport(
            environment=ctx.environment_name, findings=report.get("findings", ()), at=utc_now(), took_ms=1,
            verdict=report.get("verdict", Verdict.GO), commit=report.get("commit", ""),
        )  # fmt: skip

    monkeypatch.setattr(message, "read_health", read)
    return cast(HealthReport, report)


class Blank:
    """A journal without an entry."""

    async def read(self, wanted: Filter) -> list[Entry]:
        return []


def context(
    hub: Estate, github: GitHubLink | None, *, slack: Secret | None = SLACK, **parameters: str
) -> CheckContext:
    async def secret(reference: Secret) -> str:
        assert reference == SLACK
        return records.webhook_file(hub).read_text().strip()

    one = Environment(branch="main", production=True)
    return CheckContext(
        environment_name="production", environment=one, web=cast(Any, None),
        config=Config(environments={"production": one}, notices=Notices(slack=slack)),
        release=Release(
            source_branch="staging", target_branch="main", repository=cast(Any, Tree(hub)),
            journal=cast(Any, Blank()), secret=secret, github=github,
        ),
        parameters=parameters,
    )  # fmt: skip


async def test_pending_tells_what_is_going_out(hub: Estate, link: GitHubLink) -> None:
    head = await repository.head(hub, "staging")
    assert await message_text(context(hub, link, message="pending")) == (
        "🔔 Production deployment pending\nVersion: v1.5.0-rc.1\n"
        f"Commit: {head[:7]}\nChanges: fix(rates): show the rates of next year (#43)\nMigrations: 1"
    )


async def test_deployed_tells_what_the_last_merge_brought(hub: Estate, link: GitHubLink, health: Any) -> None:
    main = await repository.head(hub, "main")
    health["commit"] = main[:7]
    ctx = context(hub, link, message="deployed")
    assert await message_text(ctx) == (
        f"✅ Production deployed successfully\nVersion: v1.4.2\nCommit: {main[:7]}\n"
        "Changes: fix(health): tell the commit that serves (#41); feat(dashboard): occupancy of the coming "
        "weeks (#38)\nHealth: All checks passing"
    )
    # another commit serves than the branch has: nothing is made up from the branch
    health["commit"] = "abcdef0"
    assert "Version: unknown\nCommit: abcdef0\nChanges: unknown\n" in await message_text(ctx)
    health["commit"] = main
    assert "Changes: unknown\n" in await message_text(context(hub, None, message="deployed"))


async def test_health_that_is_not_good_is_not_called_good(hub: Estate, link: GitHubLink, health: Any) -> None:
    health["verdict"] = Verdict.NO_GO
    health["findings"] = (
        Finding(check="api-health", title="API", level=Level.FAIL, summary="answers 500", at=utc_now()),
    )
    text = await message_text(context(hub, link, message="rolled-back", reason="prices were wrong"))
    assert text == (
        "⚠️ Production rollback executed\nReason: prices were wrong\nRolled back to: unknown\n"
        "Status: NOT healthy: API: answers 500"
    )
    text = await message_text(context(hub, link, message="deployed"))
    assert text.startswith("❌ Production deployed, and it is not healthy\nVersion: unknown")
    health.update(verdict=Verdict.CANNOT_TELL, findings=())
    text = await message_text(context(hub, link, message="rolled-back"))
    assert "Reason: unknown" in text and text.endswith("Status: unknown")
    assert "whether it is healthy is not known" in await message_text(context(hub, link, message="deployed"))


async def test_the_operation_posts_the_message(hub: Estate, link: GitHubLink) -> None:
    ctx = context(hub, link, message="pending")
    operation = await operation_for("notify", ctx)
    plan = await operation.plan()
    assert "#muva-chat-production" in plan.title
    told = [event async for event in operation.perform(plan)]
    assert told[-1].kind is EventKind.DONE
    (line,) = records.messages_file(hub).read_text().splitlines()
    assert json.loads(line)["text"] == await message_text(ctx)


async def test_what_is_not_known_is_refused(hub: Estate, link: GitHubLink) -> None:
    with pytest.raises(OpsError, match='no operation "rm"'):
        await operation_for("rm", context(hub, link))
    with pytest.raises(OpsError, match='no message "hello"'):
        await message_text(context(hub, link, message="hello"))
    with pytest.raises(OpsError, match="no webhook") as caught:
        await operation_for("notify", context(hub, link, message="pending", slack=None))
    assert "by hand" in caught.value.next

    class Gone(Tree):
        async def outgoing(self, source: str, target: str, *, at: str = "") -> Outgoing:
            raise LinkError(Fault.DNS, "no way there")

    ctx = context(hub, link, message="pending")
    assert ctx.release
    ctx.release.repository = cast(Any, Gone(hub))
    text = await message_text(ctx)
    assert text.count("unknown") == 4, text


def test_a_message_is_short_and_harmless() -> None:
    facts = Facts(
        environment="staging", changes=("x" * 500, "a\nb\x1b[2J", *"cdefgh"), commit="a" * 40, version="v2"
    )
    lines = render("deployed", facts).split("\n")
    assert lines[0].startswith("⚠️ Staging deployed") and len(lines) == 5
    assert lines[1:3] == ["Version: v2", "Commit: aaaaaaa"]
    assert "; a b; c; d; e; f; and 2 more" in lines[3] and len(lines[3]) < 700
