"""Runs in their states, folded from entries as a journal would hold them, and a console that shows one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, cast

import msgspec

from muva_console.app import MuvaApp
from muva_console.config.model import Contact
from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Entry
from muva_console.ops.readings import Finding, Level
from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import RunKind, Word, answered_data, begun_data, fold, sensed_data
from muva_console.ops.runbooks.standing import RunView, stand
from muva_console.screens.checklist import Checklist
from muva_console.screens.hand import Hand
from tests.screens import estate as e

OUT = "77ab0c9d1e2f30415263748596a7b8c9d0e1f203"
NEW = "0c5d19e77ab0c9d1e2f30415263748596a7b8c9d"
MAIN = e.SHA["production"]
CONTACTS = (
    Contact(role="Tech Lead", name="@lead-dev", reach="Slack"),
    Contact(role="DevOps", name="@devops-lead", reach="Slack"),
    Contact(role="Database", name="@db-admin", reach="Slack"),
    Contact(role="On-Call", name="see the rotation", reach="PagerDuty"),
)
STAGING, PEOPLE = "Staging", "People"
PRODUCTION = Runbook(
    id="pre-deploy-production",
    title="Pre-deployment, production",
    about="Before a pull request to main is opened.",
    environments=("production",),
    steps=(
        Step(id="staging-validated", title="Staging Validated", section=STAGING, check="staging-validated",
             depends=(Basis.OUTGOING,)),
        Step(id="database-sync", title="Database Sync", section=STAGING, check="database-sync"),
        Step(id="performance", title="Performance Check", section=STAGING, check="performance", of="source",
             why="What is slow in staging is slower in production, where there is more of everything.",
             command="muva health --env staging --samples 20"),
        Step(id="migration-tested", title="Migration Tested", section=STAGING, check="migration-tested"),
        Step(id="error-monitoring", title="Error Monitoring", section=STAGING, check="error-patterns"),
        Step(id="backup-plan", title="Backup Plan", section=STAGING, check="backup-plan",
             attest="Is there a way back?", who="DevOps"),
        Step(id="team-notification", title="Team Notification", section=PEOPLE, operation="notify-team",
             why="Whoever answers users tomorrow should not learn of it from them."),
        Step(id="deployment-window", title="Deployment Window", section=PEOPLE, check="deployment-window"),
        Step(id="on-call", title="On-Call Available", section=PEOPLE, check="on-call",
             attest="Who is there for two hours after the deployment, until 05:30?"),
    ),
)  # fmt: skip
STAGING_BOOK = Runbook(
    id="post-deploy-production", title="Post-deployment, production", environments=("production",),
    source="runbooks/post.toml",
    steps=(Step(id="health", title="Health", check="api-health"),
           Step(id="seen", title="Seen", attest="Seen?")),
)  # fmt: skip
NOTES = Runbook(id="notify", title="Stakeholder notification",
                steps=(Step(id="a", title="Slack", operation="notify"),))  # fmt: skip
BOOKS = (PRODUCTION, STAGING_BOOK, NOTES)


class Story:
    """Writes a run's entries; time goes on by what is told."""

    def __init__(self, run: str = "4f1c9a22e07b", *, ago: float = 720.0, book: Runbook = PRODUCTION) -> None:
        self.run, self.at = run, e.NOW - timedelta(seconds=ago)
        self.entries: list[Entry] = []
        about = {"source": "staging", "target": "main"}
        self.add(RunKind.BEGUN, begun_data(book, "production", about))

    def add(self, kind: str, data: dict[str, Any], by: str = "dana") -> None:
        self.entries.append(
            Entry(
                id=len(self.entries) + 1, at=self.at, engineer=by, origin="", session="s",
                environment="production", kind=kind, subject="", text="", data=msgspec.to_builtins(data),
                act=self.run, prev_hash="", hash="",
            )
        )  # fmt: skip

    def sensed(
        self, item: str, level: Level, summary: str, *evidence: str, ago: float = 38.0, **more: Any
    ) -> None:
        self.at = e.NOW - timedelta(seconds=ago)
        finding = Finding(check=item, level=level, summary=summary, evidence=evidence, at=self.at, **more)
        self.add(RunKind.SENSED, sensed_data(item, [finding], {Basis.OUTGOING: OUT}))

    def said(
        self, item: str, word: Word, note: str = "", *, by: str = "dana", ago: float = 20.0, to: str = ""
    ) -> None:
        self.at = e.NOW - timedelta(seconds=ago)
        self.add(
            RunKind.ANSWERED, answered_data(item, word, note=note, to=to, basis={Basis.OUTGOING: OUT}), by
        )

    def ended(self, verdict: str, *, by: str = "dana", ago: float = 5.0) -> None:
        self.at = e.NOW - timedelta(seconds=ago)
        self.add(RunKind.ENDED, {"verdict": verdict}, by)

    def view(self, *, outgoing: str = OUT, **more: Any) -> RunView:
        run = fold(self.entries)
        assert run is not None
        return stand(run, e.NOW, basis={Basis.OUTGOING: outgoing, Basis.TARGET: MAIN}, **more)


def sensed(story: Story, *, slow: bool = False) -> Story:
    """All that a machine can tell, told."""
    ok = Level.OK
    story.sensed("staging-validated", ok, "healthy 20 of 20, serving 77ab0c9", "20 probes, 03:11:02–03:11:21")
    story.sensed("database-sync", ok, "14 tables alike, rows within 0.8–1.1×")
    if slow:
        story.sensed(
            "performance", Level.FAIL, "p95 412 ms against a baseline of 120 ms: 3.4×, the limit is 2×",
            "20 probes, 03:11:02–03:11:21", "slowest 540 ms, fastest 96 ms, median 210 ms",
            "baseline 120 ms, of 2025-11-04 14:20Z",
            next="look at staging's database first: muva health --env staging",
            command="muva health --env staging --samples 20",
        )  # fmt: skip
    else:
        story.sensed("performance", ok, "p95 131 ms against a baseline of 120 ms: 1.1×", ago=37.0)
    story.sensed("migration-tested", ok, "20251105120000_add_bookings applied on staging 2 h ago")
    story.sensed("error-monitoring", ok, "no error pattern in the last 60 min, 3,112 lines")
    story.sensed(
        "backup-plan", ok, "last good release a1b2c3d, backup 2 h old, every migration has a way back"
    )
    story.sensed("deployment-window", ok, "within 02:00-05:00 America/Bogota, no freeze")
    story.sensed("on-call", Level.UNKNOWN, "no rota is configured")
    return story


def half_way() -> RunView:
    """Some sensed, one red, a build under way, two wait for a person."""
    story = sensed(Story(), slow=True)
    return story.view(
        asking=("error-monitoring",),
        progress={"error-monitoring": "muva-staging-error.log: 1,204 lines"},
        tail={"error-monitoring": ("reading muva-staging-out.log", "muva-staging-error.log: 1,204 lines")},
    )


def at_go() -> RunView:
    story = sensed(Story())
    story.said("team-notification", Word.YES, "posted to #muva-chat-production")
    story.said("on-call", Word.YES, "eve, until 06:00", by="eve")
    return story.view()


def no_go_overridden() -> RunView:
    """One red item overridden, another is a no."""
    story = sensed(Story(), slow=True)
    story.said(
        "performance",
        Word.OVERRIDDEN,
        "staging shares its host with the nightly import; known since Monday",
        by="eve",
    )
    story.said("team-notification", Word.NOT_APPLICABLE, "hotfix, the team is in the call", ago=15.0)
    story.said("on-call", Word.NO, "nobody after 04:00", ago=8.0)
    return story.view()


def expired() -> RunView:
    """Another commit goes out since."""
    story = sensed(Story())
    story.said("team-notification", Word.YES, "posted to #muva-chat-production")
    return story.view(outgoing=NEW, notice="the repository cannot be fetched: no route to git.muva.chat")


def ended() -> RunView:
    story = sensed(Story())
    story.said("team-notification", Word.YES, "posted")
    story.said("on-call", Word.YES, "eve", by="eve")
    story.ended("GO")
    return story.view()


class FrozenWalk:
    """Stands still: answers are kept, never written."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        self.said: list[tuple[Any, ...]] = []

    async def views(self) -> AsyncIterator[RunView]:
        yield self.view
        await asyncio.Event().wait()

    def sense(self, ids: Any, *, again: bool = False) -> None:
        self.said.append(("sense", tuple(ids), again))

    def look_again(self) -> None:
        self.said.append(("look",))

    async def close(self) -> None: ...

    async def text_of(self, item: str) -> str:
        return "*Deployment to production*\nv1.5.0 (77ab0c9), 3 commits, 1 migration\nnow, about 10 minutes"

    async def operation(self, item: str) -> Any:
        raise OpsError("no webhook is configured", next="[notices] slack in muva.toml")

    async def answer(self, *arguments: Any, **more: Any) -> None:
        self.said.append(("answer", arguments, more))


class Journal(e.FrozenJournal):
    """Holds the entries of runs."""

    async def read(self, wanted: Any = None) -> list[Entry]:
        found = [one for one in self.entries if not wanted.kinds or one.kind in wanted.kinds]
        return [one for one in found if not wanted.act or one.act == wanted.act]


def console(
    books: tuple[Runbook, ...] | OpsError = BOOKS, entries: tuple[Entry, ...] = (), **console: Any
) -> MuvaApp:
    """A console on a frozen estate that has these runbooks and runs."""
    made = e.Estate(msgspec.structs.replace(e.config(**console), contacts=CONTACTS))
    made.journal = Journal(entries)
    app = made.app(environment="production")
    engine = cast(Any, app.engine)
    engine.stream = engine.iterate
    workspace = cast(Any, app.workspace)
    if isinstance(books, OpsError):
        error = books

        class Broken(type(workspace)):  # type: ignore[misc]
            @property
            def runbooks(self) -> tuple[Runbook, ...]:
                raise error

        app.workspace = cast(Any, Broken(**workspace.__dict__))
    else:
        workspace.runbooks = books
    cast(Any, app.workspace).forget_runbooks = lambda: None
    return app


def hold(app: MuvaApp, view: RunView) -> FrozenWalk:
    """Take a run in hand that stands still."""
    screen = cast(Checklist, app.mode_screen)
    walk = FrozenWalk(view)
    hand = Hand(app, "production", view.run.runbook.title, screen._arrived)
    hand.walk = cast(Any, walk)
    hand.take(view)
    screen.hold(hand)
    return walk


Make = Callable[[], RunView]
