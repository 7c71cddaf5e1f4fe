"""What of a run is believed, and the verdict over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Entry
from muva_console.ops.readings import Finding, Level, Verdict
from muva_console.ops.runbooks.export import as_data, as_markdown
from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import (
    Run,
    RunKind,
    Word,
    answered_data,
    begun_data,
    fold,
    fold_all,
    sensed_data,
)
from muva_console.ops.runbooks.saying import may_say
from muva_console.ops.runbooks.standing import RunView, State, stand
from muva_console.screens.checklist_text import sayable

NOW = datetime(2026, 11, 25, 3, 12, tzinfo=UTC)
BOOK = Runbook(
    id="pre",
    title="Before",
    steps=(
        Step(id="build", title="Build", check="build", depends=(Basis.OUTGOING,), expires=3600.0),
        Step(id="call", title="On call", check="on-call", attest="Who is there?"),
        Step(id="team", title="Team", attest="Was the team told?", expires=600.0, depends=(Basis.OUTGOING,)),
        Step(id="read", title="Read this", text="Read the plan."),
    ),
)


class Book:
    """Writes entries as a journal would."""

    def __init__(self, run: str = "r1") -> None:
        self.run = run
        self.entries: list[Entry] = []
        self.at = NOW
        self._add(RunKind.BEGUN, begun_data(BOOK, "production", {"source": "staging"}))

    def _add(self, kind: str, data: dict[str, Any], by: str = "dana") -> None:
        self.entries.append(
            Entry(
                id=len(self.entries) + 1, at=self.at, engineer=by, origin="", session="s",
                environment="production", kind=kind, subject="", text="", data=msgspec.to_builtins(data),
                act=self.run, prev_hash="", hash="",
            )
        )  # fmt: skip

    def sensed(self, item: str, *levels: Level, basis: str = "", expires: float | None = None) -> None:
        ends = self.at + timedelta(seconds=expires) if expires is not None else None
        found = [
            Finding(check=item, level=level, summary=f"{item} {level}", at=self.at, expires=ends)
            for level in levels
        ]
        self._add(RunKind.SENSED, sensed_data(item, found, {Basis.OUTGOING: basis} if basis else {}))

    def said(self, item: str, word: Word, note: str = "", *, basis: str = "", by: str = "dana") -> None:
        on: dict[str, str] = {Basis.OUTGOING: basis} if basis else {}
        self._add(RunKind.ANSWERED, answered_data(item, word, note=note, to=note, basis=on), by)

    def view(self, *, after: float = 0.0, outgoing: str = "", asking: tuple[str, ...] = ()) -> RunView:
        run = fold(self.entries)
        assert run is not None
        now = self.at + timedelta(seconds=after)
        return stand(run, now, basis={Basis.OUTGOING: outgoing} if outgoing else {}, asking=asking)


def go() -> Book:
    book = Book()
    book.sensed("build", Level.OK, basis="aaaaaaa1")
    book.sensed("call", Level.OK, expires=3000)
    book.said("team", Word.YES, "told on Slack", basis="aaaaaaa1")
    return book


def state(view: RunView, item: str) -> tuple[Level, State]:
    found = view.item(item)
    assert found is not None
    return found.level, found.state


def test_nothing_asked_is_no_go_ahead() -> None:
    view = Book().view()
    assert view.verdict is Verdict.CANNOT_TELL
    assert state(view, "build") == (Level.UNKNOWN, State.NOT_ASKED)
    assert state(view, "team") == (Level.UNKNOWN, State.YOURS)
    assert state(view, "read")[1] is State.TEXT
    assert len(view.between) == 3


def test_all_well_is_go_and_names_who_said_what() -> None:
    view = go().view(outgoing="aaaaaaa1")
    assert view.verdict is Verdict.GO
    assert (view.between, view.next) == ((), "")
    team = view.item("team")
    assert team is not None
    assert (team.by, team.summary) == ("dana", "told on Slack")


def test_one_failure_is_no_go_and_is_next() -> None:
    book = go()
    book.sensed("build", Level.OK, Level.FAIL, basis="aaaaaaa1")
    view = book.view()
    assert (view.verdict, view.next) == (Verdict.NO_GO, "build")


@pytest.mark.parametrize("what", ["commit", "age", "clock"])
def test_what_has_expired_is_unknown_and_says_why(what: str) -> None:
    view = go().view(
        outgoing="bbbbbbb2" if what == "commit" else "aaaaaaa1",
        after={"commit": 0.0, "age": 3601.0, "clock": -3600.0}[what],
    )
    assert view.verdict is Verdict.CANNOT_TELL
    assert state(view, "build") == (Level.UNKNOWN, State.EXPIRED)
    assert state(view, "team") == (Level.UNKNOWN, State.EXPIRED)
    build = view.item("build")
    assert build is not None
    assert {"commit": "aaaaaaa then, bbbbbbb now", "age": "older than 60 min", "clock": "clock"}[
        what
    ] in build.expired


def test_a_finding_without_a_span_of_its_own_expires_by_the_checks() -> None:
    book = go()
    assert book.view(after=599).item("call") is not None
    assert state(book.view(after=599), "call")[1] is State.SENSED
    assert state(book.view(after=3001), "call")[1] is State.EXPIRED


def test_the_end_that_a_check_knows_holds_before_the_steps_measure() -> None:
    book = go()
    book.sensed("build", Level.OK, basis="aaaaaaa1", expires=60)  # its step says an hour
    assert state(book.view(after=59), "build")[1] is State.SENSED
    assert state(book.view(after=61), "build")[1] is State.EXPIRED


def test_an_override_is_go_and_stays_in_sight() -> None:
    book = go()
    book.sensed("build", Level.FAIL, basis="aaaaaaa1")
    book.said("build", Word.OVERRIDDEN, "the build server is known to fail", basis="aaaaaaa1")
    view = book.view(outgoing="aaaaaaa1")
    assert view.verdict is Verdict.GO
    assert [item.summary for item in view.overridden] == ["overridden: the build server is known to fail"]
    assert "the build server is known to fail" in as_markdown(view)
    assert book.view(outgoing="bbbbbbb2").verdict is Verdict.CANNOT_TELL
    book.said("build", Word.WITHDRAWN)
    assert book.view(outgoing="aaaaaaa1").verdict is Verdict.NO_GO


def test_an_override_of_what_turned_green_is_no_longer_needed() -> None:
    book = go()
    book.said("build", Word.OVERRIDDEN, "in a hurry", basis="aaaaaaa1")
    view = book.view(outgoing="aaaaaaa1")
    assert (state(view, "build"), view.overridden) == ((Level.OK, State.SENSED), ())


def test_an_override_of_an_unknown_does_not_cover_a_red_that_comes_later() -> None:
    book = go()
    book.sensed("build", Level.UNKNOWN, basis="aaaaaaa1")
    book.said("build", Word.OVERRIDDEN, "GitHub is down; I looked myself", basis="aaaaaaa1")
    assert state(book.view(), "build") == (Level.OK, State.OVERRIDDEN)
    book.sensed("build", Level.FAIL, basis="aaaaaaa1")
    assert state(book.view(), "build") == (Level.FAIL, State.SENSED)
    book.said("build", Word.OVERRIDDEN, "a known defect", basis="aaaaaaa1")
    assert state(book.view(), "build") == (Level.OK, State.OVERRIDDEN)


def test_a_person_answers_only_what_a_machine_cannot_tell() -> None:
    book = go()
    book.sensed("call", Level.FAIL)
    book.said("call", Word.YES, "I am there")
    assert state(book.view(), "call") == (Level.FAIL, State.SENSED)
    book.sensed("call", Level.UNKNOWN, expires=60)
    assert state(book.view(), "call") == (Level.OK, State.ANSWERED)
    assert state(book.view(after=61), "call") == (Level.OK, State.ANSWERED)
    fresh = Book()
    fresh.said("call", Word.YES)  # before it was asked
    assert state(fresh.view(), "call") == (Level.UNKNOWN, State.NOT_ASKED)


def test_a_yes_does_not_come_back_when_the_red_after_it_grows_old() -> None:
    book = go()
    book.sensed("call", Level.UNKNOWN)
    book.said("call", Word.YES, "I am there")
    book.sensed("call", Level.FAIL, expires=60)
    assert state(book.view(), "call") == (Level.FAIL, State.SENSED)
    assert state(book.view(after=61), "call") == (Level.UNKNOWN, State.EXPIRED)


def test_no_yes_is_taken_where_the_machine_found_it_red() -> None:
    book = go()
    book.sensed("call", Level.FAIL, expires=60)
    run = fold(book.entries)
    assert run is not None
    item = run.item("call")
    assert item is not None
    for after in (0, 61):  # nor when that has grown old: it is sensed anew
        view = book.view(after=after)
        with pytest.raises(OpsError, match="a machine found it red"):
            may_say(view, item, Word.YES)
        may_say(view, item, Word.OVERRIDDEN, note="eve is on her way")
        seen = view.item("call")
        assert seen is not None
        assert Word.YES not in sayable(seen, ended=False)


def test_an_answer_to_nobody_knows_which_commit_is_asked_anew_once_it_is_known() -> None:
    book = go()
    book.said("team", Word.YES, "the repository was away")
    assert state(book.view(), "team") == (Level.OK, State.ANSWERED)
    view = book.view(outgoing="aaaaaaa1")
    assert state(view, "team") == (Level.UNKNOWN, State.EXPIRED)
    found = view.item("team")
    assert found is not None
    assert "was not known when it was said" in found.expired


def test_no_and_handed_and_not_applicable() -> None:
    book = go()
    book.said("team", Word.NO, "nobody was told")
    assert book.view().verdict is Verdict.NO_GO
    book.said("team", Word.HANDED, "eve")
    assert state(book.view(), "team") == (Level.UNKNOWN, State.HANDED)
    book.said("team", Word.NOT_APPLICABLE, "a drill")
    view = book.view()
    assert view.verdict is Verdict.GO
    assert [item.id for item in view.overridden] == ["team"]


def test_asking_is_not_ok() -> None:
    view = go().view(asking=("build",))
    assert state(view, "build") == (Level.UNKNOWN, State.ASKING)
    assert view.verdict is Verdict.CANNOT_TELL


def test_two_runs_in_one_journal_are_told_apart() -> None:
    one, other = go(), Book("r2")
    found = fold_all([*one.entries, *other.entries])
    assert [run.id for run in found] == ["r1", "r2"]


def test_the_document_takes_nothing_for_markup() -> None:
    book = go()
    book.said("team", Word.NO, "see <script> [x](http://evil) @channel ```")
    text = as_markdown(book.view())
    assert "<script>" not in text
    assert "[x](" not in text
    assert "@channel" not in text
    assert "outgoing commit aaaaaaa" in as_markdown(book.view(outgoing="aaaaaaa1"))  # of what it speaks
    assert as_data(book.view(outgoing="aaaaaaa1"))["basis"] == {Basis.OUTGOING: "aaaaaaa1"}
    data = as_data(book.view())
    assert (data["verdict"], data["environment"]) == ("NO-GO", "production")
    assert msgspec.json.decode(msgspec.json.encode(data))["items"][2]["answer"]["word"] == "no"


_ITEMS = st.sampled_from(["build", "call", "team", "read", "nobody"])
_ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("sensed"), _ITEMS, st.sampled_from(Level), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("said"), _ITEMS, st.sampled_from(Word), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("junk"), _ITEMS, st.just(""), st.just("")),
    ),
    max_size=12,
)


@given(
    acts=_ACTS,
    after=st.floats(-10000, 10000),
    outgoing=st.sampled_from(["", "a", "b"]),
    cut=st.integers(0, 12),
)
def test_unknown_is_never_go_and_reading_in_pieces_is_reading_whole(
    acts: list[Any], after: float, outgoing: str, cut: int
) -> None:
    book = Book()
    for what, item, word, basis in acts:
        if what == "sensed":
            book.sensed(item, word, basis=basis)
        elif what == "said":
            book.said(item, word, "because", basis=basis)
        else:
            book._add(RunKind.SENSED, {"item": item, "findings": "what?"})
    view = book.view(after=after, outgoing=outgoing)
    asked = [item for item in view.items if item.state is not State.TEXT]
    levels = {item.level for item in asked}
    expected = (
        Verdict.NO_GO
        if Level.FAIL in levels
        else Verdict.CANNOT_TELL
        if Level.UNKNOWN in levels
        else Verdict.GO
    )
    assert view.verdict is expected
    assert bool(view.between) == (view.verdict is not Verdict.GO)
    if view.verdict is Verdict.GO:
        for item in asked:
            fresh = item.findings and all(f.level in (Level.OK, Level.WARN) for f in item.findings)
            assert (item.state is State.SENSED and fresh) or item.answer is not None
    whole = fold(book.entries)
    first = fold(book.entries[: cut + 1])
    assert first is not None
    assert fold(book.entries, first) == whole == fold(book.entries[cut + 1 :], first)
    assert isinstance(whole, Run)
