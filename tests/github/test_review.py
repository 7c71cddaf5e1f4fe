"""The check "code-review" over real commits and the stand-in's pull requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from muva_console.config.model import Config, Environment, GitHub
from muva_console.drill import repository
from muva_console.drill.github import pulls, records
from muva_console.drill.github.gitdata import Repository
from muva_console.drill.state import Estate
from muva_console.ops.checks import CheckContext, run_check
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.github_model import Account, PullRequest, Review
from muva_console.ops.links.outgoing import Outgoing, OutgoingCommit
from muva_console.ops.readings import Level, utc_now
from muva_console.ops.release.context import Release
from muva_console.ops.release.review import Approval, approval


class GitSource:
    """What goes out, from a bare repository."""

    def __init__(self, estate: Estate, *, fetched: bool = True) -> None:
        self._git = Repository(estate.repository)
        self._fetched = fetched

    async def outgoing(self, source: str, target: str, *, at: str = "") -> Outgoing:
        commits = tuple(
            OutgoingCommit(
                sha=one.sha, subject=one.message.splitlines()[0], author=one.author,
                at=datetime.fromisoformat(one.authored), merge=len(one.parents) > 1,
            )
            for one in await self._git.commits(f"{target}..{source}")
        )  # fmt: skip
        head, base = await self._git.resolve(source), await self._git.resolve(target)
        assert head and base
        return Outgoing(
            at=utc_now(), source=source, target=target, head=head, base=base, commits=commits, files=(),
            fetched=self._fetched, fetch_error="" if self._fetched else "origin: no route",
        )  # fmt: skip


Context = Callable[..., CheckContext]


@pytest.fixture
def context(hub: Estate, link: GitHubLink) -> Context:
    """The context of a release to staging, or to another branch."""

    def make(
        target: str = "staging", *, approvals: int = 1, fetched: bool = True,
        github: GitHubLink | None = link, parameters: dict[str, Any] | None = None,
    ) -> CheckContext:  # fmt: skip
        source = {"staging": "dev", "main": "staging"}[target]
        environments = {
            "dev": Environment(branch="dev"), "staging": Environment(branch="staging"),
            "production": Environment(branch="main", production=True),
        }  # fmt: skip
        name = next(name for name, one in environments.items() if one.branch == target)
        return CheckContext(
            environment_name=name,
            environment=environments[name],
            config=Config(environments=environments, github=GitHub(approvals=approvals)),
            web=cast(Any, None),
            release=Release(
                source_branch=source, target_branch=target, github=github, journal=cast(Any, None),
                repository=cast(Any, GitSource(hub, fetched=fetched)), secret=cast(Any, None),
            ),
            parameters=parameters or {},
        )  # fmt: skip

    return make


async def pushed(estate: Estate, subject: str = "fix: quick", branch: str = "dev") -> str:
    return await repository.commit(estate, branch, subject, {"quick.md": subject.encode()})


async def level_of(context: CheckContext) -> Level:
    return (await run_check("code-review", context))[0].level


async def test_the_seeded_history_is_reviewed_on_both_ways(context: Context) -> None:
    (to_staging,) = await run_check("code-review", context("staging"))
    assert to_staging.level is Level.OK, to_staging
    assert to_staging.summary == "3 commits, each reviewed: #45, #51, #52"
    assert any(
        "#51 docs: reviews, by eve-lindqvist, approved by oskar-weiss" in e for e in to_staging.evidence
    )
    assert "/commits/" in to_staging.command and "ghp_" not in to_staging.command
    (to_main,) = await run_check("code-review", context("main"))
    assert (to_main.level, to_main.summary) == (Level.OK, "2 commits, each reviewed: #43, #46")


async def test_commits_that_were_not_reviewed_are_each_named(hub: Estate, context: Context) -> None:
    one = await pushed(hub, "fix: straight to dev")
    two = await pushed(hub, "fix: nobody looked")
    number = await pulls.unreviewed(hub, [two])
    (finding,) = await run_check("code-review", context())
    assert finding.level is Level.FAIL
    assert "2 commits of 5 not reviewed" in finding.summary
    assert finding.evidence == (
        f"{two[:7]} fix: nobody looked (Oskar Weiss): #{number}: nobody approved it",
        f"{one[:7]} fix: straight to dev (Oskar Weiss): no pull request has it",
    )
    await pulls.reviewed(hub, [one, two])
    assert await level_of(context()) is Level.OK
    assert await level_of(context(approvals=2)) is Level.FAIL


@pytest.mark.parametrize("how", [pulls.self_approved, pulls.changes_requested, pulls.dismissed])
async def test_approvals_that_are_none(hub: Estate, context: Context, how: Any) -> None:
    await how(hub, [await pushed(hub)])
    assert await level_of(context()) is Level.FAIL


async def test_a_release_does_not_review_what_it_carries(hub: Estate, context: Context) -> None:
    sha = await pushed(hub)
    github = pulls.github(hub)
    release = await github.open(author="dana-castillo", title="Release", head="dev", base="staging")
    await github.review(release.number, author="eve-lindqvist", event="APPROVE")
    await github.merge(release.number, author="dana-castillo")
    (finding,) = await run_check("code-review", context("main"))
    assert finding.level is Level.FAIL
    carried = f"#{release.number} only carried it from dev to staging"
    assert finding.evidence == (f"{sha[:7]} fix: quick (Oskar Weiss): {carried}",)
    assert await level_of(context("main", parameters={"release_pulls": True})) is Level.OK


async def test_a_merge_by_hand_is_explained_when_it_adds_nothing(hub: Estate, context: Context) -> None:
    git = Repository(hub.repository)
    dev, staging = await repository.head(hub, "dev"), await repository.head(hub, "staging")
    tree = await git.git("rev-parse", f"{dev}^{{tree}}")
    person = ("-c", "user.name=Dana", "-c", "user.email=dana@example.com")
    parents = ("-p", staging, "-p", dev, "-m", "Merge branch 'dev' into staging")
    clean = (await git.git(*person, "commit-tree", tree.strip(), *parents)).strip()
    await git.git("update-ref", "refs/heads/staging", clean)
    assert await level_of(context("main")) is Level.OK
    old = await git.git("rev-parse", f"{dev}~4^{{tree}}")
    evil = (await git.git(*person, "commit-tree", old.strip(), *parents)).strip()
    await git.git("update-ref", "refs/heads/staging", evil)
    (finding,) = await run_check("code-review", context("main"))
    assert finding.level is Level.FAIL and finding.evidence[0].startswith(evil[:7])


async def test_a_pull_request_names_its_commits_once(
    hub: Estate, context: Context, link: GitHubLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = await repository.head(hub, "dev")
    await Repository(hub.repository).git("update-ref", "refs/heads/feat/many", start)
    for number in range(6):
        await pushed(hub, f"feat: part {number}", "feat/many")
    github = pulls.github(hub)
    pull = await github.open(author="eve-lindqvist", title="Many", head="feat/many", base="dev")
    await github.review(pull.number, author="oskar-weiss", event="APPROVE")
    await github.merge(pull.number, author="eve-lindqvist")
    asked: list[str] = []
    ask = link._http.ask

    async def counted(path: str, **more: Any) -> Any:
        asked.append(path)
        return await ask(path, **more)

    monkeypatch.setattr(link._http, "ask", counted)
    (finding,) = await run_check("code-review", context())
    assert (finding.level, finding.summary[:10]) == (Level.OK, "10 commits")
    # the merge and the three of before, by commit; four reviews; one list
    assert len(asked) == 4 + 4 + 1


async def test_what_cannot_be_asked_is_unknown(hub: Estate, context: Context) -> None:
    assert await level_of(context(github=None)) is Level.UNKNOWN
    assert await level_of(context(fetched=False)) is Level.UNKNOWN
    with records.store(hub).change() as state:
        state.limit = 0
    (limited,) = await run_check("code-review", context())
    assert limited.level is Level.UNKNOWN
    assert "limit of 0 requests an hour is used up" in limited.summary
    assert "Ask again after" in limited.next


async def test_beyond_five_hundred_commits_the_rest_is_unknown(
    hub: Estate, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muva_console.ops.release.review.MOST", 2)
    (finding,) = await run_check("code-review", context())
    assert finding.level is Level.UNKNOWN
    assert "1 commit of 3 could not be looked at: only the newest 2" in finding.summary


def a_pull(author: str = "eve") -> PullRequest:
    return PullRequest(
        number=1, title="", author=Account(login=author), state="closed", base="dev", head="work",
        head_sha="f" * 40, fork=False, draft=False, labels=(), created_at=datetime(2026, 1, 1, tzinfo=UTC),
        merged_at=None, merge_commit="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reviews", "by", "against"),
    [
        ("dana:APPROVED", "dana", ""),
        ("dana:APPROVED oskar:CHANGES_REQUESTED", "dana", "oskar"),
        ("oskar:CHANGES_REQUESTED oskar:APPROVED", "oskar", ""),
        ("dana:APPROVED dana:COMMENTED", "dana", ""),
        ("dana:APPROVED dana:DISMISSED", "", ""),
        ("EVE:APPROVED", "", ""),
        ("ci[bot]:APPROVED", "", ""),
        (":APPROVED", "", ""),
        ("dana:PENDING", "", ""),
        ("dana:APPROVED Dana:CHANGES_REQUESTED", "", "Dana"),
    ],
)
def test_the_last_word_of_each_reviewer_counts(reviews: str, by: str, against: str) -> None:
    told = [
        Review(author=Account(login=who, bot=who.endswith("[bot]")), state=state, commit="f" * 40, at=None)
        for who, _, state in (one.rpartition(":") for one in reviews.split())
    ]
    found = approval(a_pull(), told)
    assert (" ".join(found.by), " ".join(found.against)) == (by, against)


def test_an_approval_of_before_the_last_push_is_told() -> None:
    early = Review(author=Account(login="dana"), state="APPROVED", commit="e" * 40, at=None)
    assert approval(a_pull(), [early]) == Approval(by=("dana",), stale=True)
