"""What the keys of the Migrations screen do, on made-up matrices."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs
from textual.screen import ModalScreen
from textual.widgets import Input

from muva_console.app import MuvaApp
from muva_console.config.model import Journal
from muva_console.ops.errors import OpsError
from muva_console.ops.jobs.model import Request, Started
from muva_console.ops.jobs.store import STARTED, EventFile, jobs_folder, make_job, write
from muva_console.ops.journal.liveness import this_process
from muva_console.ops.migrations.apply_ground import Choice, NotApplicable, NothingToApply
from muva_console.ops.migrations.model import State
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.performer import Confirmation
from muva_console.ops.readings import utc_now
from muva_console.screens import acting as acts
from muva_console.screens import deeds, migrations_acts, migrations_ahead
from muva_console.screens.acting import Performing, PlanDialog
from muva_console.screens.migrations_ahead import Ahead, BackupState, Outlook
from muva_console.screens.migrations_lead import Leading, Refusal
from muva_console.screens.migrations_text import Wanted
from muva_console.widgets.answer import Answer
from muva_console.widgets.sql import highlighted
from tests.checklist.test_checklist import heard, until
from tests.migrations_screen import made
from tests.migrations_screen.test_pictures import opened
from tests.patience import HANG
from tests.screens import estate as e
from tests.screens.show_text import text_of
from tests.screens.test_pictures import still

FOUND_JOBS = deeds.found_jobs
ENVIRONMENTS = ["dev", "staging", "production"]


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> made.Reading:
    return made.Reading(monkeypatch)


def titles(app: MuvaApp) -> list[str]:
    return [row.key.split("_", 1)[1] for row in cast(Any, app.mode_screen).table.rows]


async def test_the_way_through_the_matrix_by_keys(reading: made.Reading) -> None:
    app = made.console(made.troubled())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        assert titles(app)[0] == "index_bookings_by_guest", "the newest first"
        assert screen.migration is not None
        assert screen.migration.name == "add_reviews", "it begins at the first problem"
        assert "public.reviews is there" in text_of(app), "of what failed half-way the history is told"
        seen = []
        for _ in range(6):
            await pilot.press("]")
            seen.append(screen.migration.name)
        assert seen == [
            "enable_row_level_security", "add_chat_indexes", "create_chat", "create_staff",
            "add_reviews", "enable_row_level_security",
        ]  # fmt: skip
        await pilot.press("[", "[")
        assert screen.migration.name == "create_staff"
        await until(pilot, lambda: "− ran" in text_of(app), "the difference, of what drifted")
        assert "default 'night'" in text_of(app)
        # a section that was chosen stays chosen
        await pilot.press("right")
        await until(pilot, lambda: "create function" in text_of(app), "the SQL")
        await pilot.press("end", "home")
        await until(pilot, lambda: "CREATE INDEX without" in text_of(app), "hazards below their lines")
        await pilot.press("right", "right")
        await until(pilot, lambda: "SHARE on public.bookings" in text_of(app), "the locks")

        await pilot.press("slash")
        screen.query_one("#filter", Input).value = "state:problem !chat"
        await pilot.press("enter")
        assert titles(app) == ["add_reviews", "enable_row_level_security", "create_staff"]
        assert "3 of 10" in text_of(app)
        await pilot.press("escape")
        assert len(titles(app)) == 10


async def test_a_new_reading_leaves_the_cursor_on_its_migration_and_reads_it_once(
    reading: made.Reading,
) -> None:
    given = made.estate(made.pending())
    app = given.app(environment="production")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        screen.table.choose(f"{made.version(5)}_add_bookings")
        await still(pilot)
        asked = len(reading.asked)
        longer = made.matrix({9: State.PENDING, 10: State.PENDING, 11: State.PENDING}, count=12)
        given.feed("migrations").give(e.fresh(longer, interval=60.0))
        await still(pilot)
        assert screen.migration is not None
        assert screen.migration.name == "add_bookings"
        assert len(titles(app)) == 12
        assert len(reading.asked) == asked, "the same row of the same branch is not read again"


async def test_ten_thousand_rows_are_drawn_and_filtered_at_once() -> None:
    app = made.console(made.matrix({9_990: State.PENDING}, count=10_000))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        assert screen.migration is not None
        assert screen.migration.name == "change_9990"
        began = time.process_time()
        screen.refresh_all()
        await pilot.press("end", "home", "pagedown")
        screen._filter_by("state:pending")
        await pilot.pause()
        took = time.process_time() - began
        assert titles(app) == ["change_9990"]
        assert took < 1.5, f"{took:.2f} s: something draws what is not in sight"


def test_what_a_filter_keeps() -> None:
    matrix = made.troubled()

    def kept(text: str) -> list[str]:
        wanted = Wanted(text, ENVIRONMENTS)
        return [row.name for row in matrix.rows if wanted.keeps(row)]

    assert kept("production:pending") == ["index_bookings_by_guest"]
    assert kept("staging:drifted") == []
    assert kept("state:out-of") == ["enable_row_level_security"]
    assert kept("CHAT !index") == ["create_chat"]
    assert kept("!state:applied") == ["index_bookings_by_guest"]
    assert len(kept("!production:applied")) == 6
    assert len(kept("")) == len(matrix.rows)
    assert kept("eve create_g") == ["create_guests"], "who applied it is a text too"


async def test_narrow_the_detail_takes_the_place_of_the_matrix() -> None:
    app = made.console(made.pending())
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        assert "create function" not in text_of(app)
        cast(Any, app.mode_screen).table.choose(f"{made.version(5)}_add_bookings")
        await still(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "alter table" in text_of(app), "the detail")
        assert "create_staff" not in text_of(app)
        app.set_environment("staging")  # other columns, while the matrix is out of sight
        await still(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "create_staff" in text_of(app), "the matrix again")


async def test_a_detail_that_lost_its_room_gives_the_keys_back() -> None:
    app = made.console(made.pending())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is screen.detail.text, "the detail has the keys")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.focused is screen.table, "the matrix has them")
        screen.set_focus(None)
        app.push_screen(ModalScreen())
        await still(pilot)
        app.pop_screen()
        await still(pilot)
        await pilot.press("x")
        assert screen.query_one("#filter", Input).value == "", "nothing is typed into what is not shown"


async def test_hostile_text_stays_text(reading: made.Reading) -> None:
    reading.more = {"text": "select '[red]bold[/red]'; -- [@click=app.quit]here[/]\n" + "x" * 50_000}
    app = made.console(made.pending())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "[red]bold[/red]" in text_of(app), "markup is shown")
        assert "[@click=app.quit]here[/]" in text_of(app)


@pytest.mark.parametrize(
    "text", ["$" * 30_000, "/*" * 15_000, "'" * 30_001, "e'" + "\\" * 30_000, "(" * 30_000]
)
def test_highlighting_takes_no_more_than_the_text_is_long(text: str) -> None:
    began = time.process_time()
    lines = highlighted(text)
    assert time.process_time() - began < 1
    assert "\n".join(line.plain for line in lines) == text


def test_strings_comments_and_words_of_the_language_are_told_apart() -> None:
    (first, second) = highlighted("SELECT 'a''b\nc' -- SELECT")
    spans = [(first.plain[span.start : span.end], span.style) for span in first.spans]
    assert spans == [("SELECT", "$t-sql-keyword"), ("'a''b", "$t-sql-string")]
    assert [second.plain[span.start : span.end] for span in second.spans] == ["c'", "-- SELECT"]


# acting

PLAN = Plan(
    operation="migrations-apply", title="Apply 1 migration of main", environment="production",
    target="db.muva.chat:5432/production", tier=Tier.TYPE_NAME, production=True,
    commands=(PlannedCommand("db.muva.chat", "\\i 20251010090000_index.sql", "one transaction"),),
)  # fmt: skip


class Performer:
    """Plans what it is given, and tells what it is told to."""

    def __init__(self) -> None:
        self.prepared: list[Any] = []
        self.performed: list[Confirmation] = []
        self.wait: Any = None

    async def prepare(self, operation: Any) -> Plan:
        self.prepared.append(operation)
        return PLAN if operation.name == "migrations-apply" else structs.replace(PLAN, tier=Tier.NONE)

    async def perform(self, operation: Any, plan: Plan, confirmation: Confirmation) -> Any:
        self.performed.append(confirmation)
        yield Event(kind=EventKind.STEP, text="1/3, line 2: alter table public.bookings", at=e.NOW)
        if self.wait is not None:
            await self.wait.wait()
        yield Event(kind=EventKind.VERIFIED, text="the history holds 1 file more", at=e.NOW)
        yield Event(kind=EventKind.DONE, text="1 migration applied and recorded", at=e.NOW)


def outlook(*, good: bool) -> Outlook:
    return Outlook(
        environment="production", production=True, branch="main", sha=e.SHA["production"],
        files=(Ahead(title="20251010090000_index_bookings", statements=3, looked=made.LOOKED),), warnings=(),
        backup=BackupState(needed=True, good=good, told="production-…dump, 12 min old" if good else
                                      "there is none of production"),
    )  # fmt: skip


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A console whose acts are played: `answers` are what looking ahead tells, one after the other."""
    state = SimpleNamespace(answers=[], choices=[], backups=0, performer=Performer())

    async def look_ahead(workspace: Any, environment: str, choice: Choice) -> Outlook:
        state.choices.append(choice)
        answer = state.answers.pop(0)
        if isinstance(answer, OpsError):
            raise answer
        return cast(Outlook, answer)

    async def back_up(app: MuvaApp, environment: str) -> None:
        state.backups += 1

    monkeypatch.setattr(migrations_ahead, "look_ahead", look_ahead)

    async def backup_of(app: MuvaApp, environment: str) -> BackupState:
        return outlook(good=True).backup

    async def applying(app: MuvaApp, environment: str, choice: Choice) -> None:
        await acts.act(app, cast(Any, SimpleNamespace(name="migrations-apply", choice=choice)))

    monkeypatch.setattr(migrations_acts, "back_up", back_up)
    monkeypatch.setattr(migrations_acts, "_backup_of", backup_of)
    monkeypatch.setattr(migrations_acts, "_applying", applying)
    given = made.estate(made.pending())
    given.performer = state.performer
    state.app = given.app(environment="production")
    return state


async def test_an_apply_is_led_from_hazards_to_its_verified_end(acting: SimpleNamespace) -> None:
    import asyncio

    app: Any = acting.app
    performer = acting.performer
    acting.answers = [outlook(good=False)]
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(app, pilot)
        performer.wait = asyncio.Event()
        await pilot.press("a")
        await heard(app, pilot, Leading)
        words = text_of(app)
        assert "12,400,000 rows" in words, "hazards with sizes"
        assert "there is none of production" in words
        assert app.screen.focused.id == "cancel"
        await pilot.press("right")
        assert app.screen.focused.id == "backup-now"
        await pilot.press("enter")
        await until(pilot, lambda: acting.backups == 1, "a backup")
        await until(pilot, lambda: isinstance(app.screen, Leading) and "12 min old" in text_of(app), "again")
        await heard(app, pilot, Leading)
        await pilot.press("right", "enter")
        await heard(app, pilot, PlanDialog)
        assert not performer.performed, "the plan asks for the name"
        app.screen.query_one("#name", Input).value = "production"
        await pilot.pause()
        app.screen.query_one("#do", Answer).action_answer()
        await until(
            pilot, lambda: isinstance(app.screen, Performing) and "1/3, line 2" in text_of(app), "goes on"
        )
        assert performer.performed == [Confirmation(confirmed=True, typed="production")]

        # whoever leaves finds it again, under way; the act does not stop
        await pilot.press("escape")
        await until(pilot, lambda: "under way" in text_of(app), "told on the screen")
        await pilot.press("w")
        await until(
            pilot, lambda: isinstance(app.screen, Performing) and "1/3, line 2" in text_of(app), "there"
        )
        performer.wait.set()
        await until(pilot, lambda: "● done" in text_of(app), "the end")
        assert "verified" in text_of(app)


async def test_a_held_enter_confirms_nothing_and_a_reason_is_a_sentence(
    acting: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = acting.app
    acting.answers = [outlook(good=False)]
    monkeypatch.setattr(Leading, "DEAF", HANG)
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Leading), "the question")
        await pilot.press(*["enter"] * 3)
        assert isinstance(app.screen, Leading), "deaf at first"
        monkeypatch.setattr(Leading, "DEAF", 0.0)
        app.screen.query_one("#reason", Input).value = "yes"
        await pilot.press("shift+tab", "enter")
        assert app.screen.query_one("#without", Answer).disabled, "yes is no reason"
        app.screen.query_one("#reason", Input).value = "it is a copy"
        await pilot.press("enter")
        assert cast(Any, app.screen.focused).id == "without"
        await pilot.press("enter")
        await heard(app, pilot, PlanDialog)
        assert acting.performer.prepared[-1].choice.without_backup == "it is a copy"
        await pilot.press("escape")
        assert not acting.performer.performed


async def test_what_stands_in_the_way_is_told_whole(acting: SimpleNamespace) -> None:
    app: Any = acting.app
    reasons = (
        "create_staff was applied on production with another content",
        "create_chat: the files lack it",
    )
    acting.answers = [
        NotApplicable(reasons, where="production", next="Bring files and history into line first."),
        NothingToApply("nothing to apply: production has all 10 migrations of main"),
    ]
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(app, pilot)
        for words in (*reasons, "into line first"), ("has all 10 migrations",):
            await pilot.press("a")
            await heard(app, pilot, Refusal)
            for word in words:
                assert word in " ".join(text_of(app).split())
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(app.screen, Refusal), "closed")
        assert not acting.performer.prepared


async def test_nothing_is_done_where_the_database_cannot_be_asked() -> None:
    app = made.console(made.unreachable())
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: app._notifications, "the reason")
        assert any("connection refused" in each.message for each in app._notifications)
        app.set_environment("dev")
        await still(pilot)
        assert "no database" in text_of(app)
        assert not [
            one for one in app.screen.active_bindings.values() if one.binding.id == "migrations.apply"
        ]


async def test_the_states_without_a_matrix_say_why(reading: made.Reading) -> None:
    given = made.never_fetched()
    app = given.app(environment="production")
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        assert "the repository was never fetched" in text_of(app)
        given.feed("migrations").give(e.fresh(made.matrix(count=0)))
        await still(pilot)
        assert "No branch and no history holds a migration" in text_of(app)
        given.feed("migrations").give(e.fresh(made.troubled()))
        await still(pilot)
        assert "3 missing" not in text_of(app)
        assert "✖" in text_of(app)


async def test_a_job_of_another_console_is_found_again_and_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deeds, "found_jobs", FOUND_JOBS)
    given = made.estate(made.pending())
    app = given.app(environment="production")
    workspace = cast(Any, app.workspace)
    workspace.base, workspace.config = (
        tmp_path,
        structs.replace(given.config, journal=Journal(directory=tmp_path)),
    )
    request = Request(
        operation="migrations-apply", environment="production", arguments={}, plan=PLAN, config="muva.toml",
        confirmation=Confirmation(confirmed=True, typed="production"), engineer=e.ENGINEER, digest="",
        read_only=False, at=utc_now(),
    )  # fmt: skip
    path = make_job(jobs_folder(workspace), request)
    write(path, STARTED, Started(owner=this_process(), at=utc_now()))
    log = EventFile(path)
    log.add(Event(kind=EventKind.STEP, text="2/3, line 5: create function", at=e.NOW))
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: app.current_mode == "overview", "the overview")
        await pilot.press("4")
        await until(pilot, lambda: "w looks at it: Apply 1 migration" in text_of(app), "it is told")
        await pilot.press("w")
        await until(pilot, lambda: "2/3, line 5" in text_of(app), "what happened before")
        assert f"as job {path.name}" in text_of(app)
        log.add(Event(kind=EventKind.DONE, text="1 migration applied and recorded", at=e.NOW))
        log.close()
        await until(pilot, lambda: "● done" in text_of(app), "its end")
