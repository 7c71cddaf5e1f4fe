"""What the journal keeps, finds again, and makes harmless."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from muva_console.ops.errors import OpsError
from muva_console.ops.journal import Draft, Entry, Filter, Journal, JournalError, Kind, Life, Outcome, new_act
from muva_console.ops.journal import reader as reader_module
from muva_console.ops.readings import utc_now
from tests.journal.conftest import EVE, SECRET
from tests.patience import HANG

Open = Callable[..., Journal]


async def test_an_entry_says_who_what_when_and_where(journal: Journal) -> None:
    before = utc_now()
    entry = await journal.append(
        Draft(kind=Kind.FINDING, subject="api-health", text="502", environment="staging", data={"n": 1})
    )
    assert [entry] == await journal.read()
    assert (entry.id, entry.engineer, entry.origin) == (1, "dana", "jump-1: ssh from 10.0.0.7")
    assert (entry.environment, entry.kind, entry.subject, entry.text) == (
        "staging", "finding", "api-health", "502",
    )  # fmt: skip
    assert entry.data == {"n": 1}
    assert before <= entry.at <= utc_now()
    assert entry.session == journal.session


async def test_a_claimed_name_is_kept_with_the_account(open_journal: Open) -> None:
    entry = await open_journal(engineer=EVE).note("hello")
    assert entry.engineer == "eve (account deploy)"


async def test_nothing_is_made_by_looking(journal: Journal, folder: Path) -> None:
    assert await journal.read() == []
    assert await journal.open_acts() == []
    assert (await journal.verify()).entries == 0
    assert not (await journal.status()).exists
    assert not folder.exists()


async def test_filters(journal: Journal, open_journal: Open) -> None:
    await journal.note("deployed ABC", environment="production")
    await journal.append(
        Draft(kind=Kind.FINDING, subject="db", environment="staging", data={"host": "vps-7"})
    )
    await open_journal(engineer=EVE).note("looked at logs", environment="production")
    await journal.note("fourth")

    async def ids(**wanted: object) -> list[int]:
        return [entry.id for entry in await journal.read(Filter(**wanted))]  # type: ignore[arg-type]

    assert await ids() == [1, 2, 3, 4]
    assert await ids(environment="production") == [1, 3]
    assert await ids(environment="") == [4]
    assert await ids(kinds=(Kind.FINDING,)) == [2]
    assert await ids(kinds=(Kind.FINDING, Kind.NOTE)) == [1, 2, 3, 4]
    assert await ids(engineer="EVE") == [3]
    assert await ids(text="abc") == [1]
    assert await ids(text="VPS-7") == [2]
    assert await ids(pattern=r"vps-\d") == [2]
    assert await ids(text="%") == []
    assert await ids(limit=2) == [3, 4]
    assert await ids(limit=2, before=3) == [1, 2]
    assert await ids(after=2) == [3, 4]
    assert await ids(since=utc_now() + timedelta(hours=1)) == []
    assert await ids(until=utc_now() - timedelta(hours=1)) == []
    assert await ids(since=utc_now() - timedelta(hours=1)) == [1, 2, 3, 4]


async def test_no_secret_reaches_the_files(open_journal: Open, folder: Path) -> None:
    journal = open_journal(busy_timeout=0.05)
    nested = {
        "plan": {"commands": [{"line": f"psql postgres://u:{SECRET}@h/db"}], SECRET: {"deep": [[SECRET]]}},
        "password": "unknown to the redaction",
        "api_key": "also unknown",
    }
    act = new_act()
    draft = Draft(kind="", subject=SECRET, text=f"a {SECRET}", environment="dev", data=nested, act=act)
    await journal.append(Draft(kind=SECRET, subject=SECRET, text=SECRET, environment=SECRET, data=nested))
    await journal.begin_act(draft, target="x")
    with sqlite3.connect(folder / "journal.db") as other:
        other.execute("BEGIN EXCLUSIVE")  # so that the end has to go to the spool
        ended = await journal.end_act(draft)
        assert ended.entry is None
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert "‹redacted›".encode() in content or b"\\u2039redacted\\u203a" in content
    for planted in (SECRET, "unknown to the redaction", "also unknown"):
        assert planted.encode() not in content


async def test_a_secret_split_by_an_escape_sequence_is_found(journal: Journal) -> None:
    entry = await journal.note(f"{SECRET[:6]}\x1b[0m{SECRET[6:]}")
    assert SECRET not in entry.text
    assert "redacted" in entry.text


async def test_hostile_text_is_made_harmless(journal: Journal) -> None:
    entry = await journal.append(
        Draft(
            kind=Kind.NOTE,
            subject="\x1b]52;c;ZXZpbA==\x07 two\nlines",
            text="a\x00b\u202e\ud800 [red]x[/]\nsecond",
            data={"\x1b[31mkey": "v\x07", "nan": float("nan"), "object": Path("/x"), "deep": _nest(40)},
        )
    )
    whole = json.dumps([entry.subject, entry.text, entry.data], ensure_ascii=False)
    assert not any(ord(character) < 32 and character != "\n" for character in entry.subject + entry.text)
    assert "\\u001b" not in whole
    assert "\u202e" not in whole
    assert entry.data["nan"] == "nan"
    assert "\n" not in entry.subject
    assert "second" in entry.text


def _nest(depth: int) -> object:
    value: object = "bottom"
    for _ in range(depth):
        value = [value]
    return value


async def test_what_is_enormous_is_cut_and_says_so(journal: Journal) -> None:
    entry = await journal.append(
        Draft(
            kind=Kind.NOTE,
            subject="s" * 10_000,
            text="t" * 10_000_000,
            data={"outcome": "done", "many": ["x" * 5000] * 5000},
        )
    )
    assert len(entry.subject) < 600
    assert len(entry.text) < 20_000
    assert "characters" in entry.text
    assert entry.data["outcome"] == "done"
    assert entry.data["too_large"] > 500_000


async def test_the_database_itself_refuses_changes(journal: Journal, folder: Path) -> None:
    await journal.note("one")
    with sqlite3.connect(folder / "journal.db") as other:
        for statement in (
            "UPDATE entry SET text = 'x'",
            "DELETE FROM entry",
            "INSERT OR REPLACE INTO entry SELECT * FROM entry",
            "REPLACE INTO entry SELECT id, at, engineer, origin, session, environment, kind, subject, 'x',"
            " data, act, ref, prev_hash, hash FROM entry",
            "INSERT INTO entry SELECT id + 5, at, engineer, origin, session, environment, kind, subject,"
            " text, data, act, ref, hash, '" + "f" * 64 + "' FROM entry",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(statement)
    assert [entry.text for entry in await journal.read()] == ["one"]


async def test_many_are_written_together_or_not_at_all(journal: Journal) -> None:
    await journal.note("before")
    good = Draft(kind=Kind.FINDING, subject="good")
    with pytest.raises(JournalError):
        await journal.append_many([good, Draft(kind="", subject="no kind")])
    assert [entry.text for entry in await journal.read()] == ["before"]
    assert [entry.id for entry in await journal.append_many([good, good])] == [2, 3]


async def test_followers_see_what_any_console_writes(journal: Journal, open_journal: Open) -> None:
    await journal.note("before anybody looks")
    other = open_journal(engineer=EVE)
    seen: asyncio.Queue[Entry] = asyncio.Queue()
    ready = asyncio.Event()

    async def follow() -> None:
        async with aclosing(journal.follow(Filter(kinds=(Kind.NOTE,)), after=1, interval=0.02)) as batches:
            ready.set()
            async for batch in batches:
                for entry in batch:
                    seen.put_nowait(entry)

    task = asyncio.create_task(follow())
    await ready.wait()
    await other.append(Draft(kind=Kind.FINDING, subject="not a note"))
    await other.note("by another console")
    await journal.note("by this one")
    async with asyncio.timeout(HANG):
        assert [(await seen.get()).text, (await seen.get()).text] == ["by another console", "by this one"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_follower_waits_for_a_journal_that_is_not_there_yet(
    journal: Journal, open_journal: Open
) -> None:
    async def first() -> list[Entry]:
        async with aclosing(journal.follow(after=0, interval=0.02)) as batches:
            async for batch in batches:
                return batch
        return []

    task = asyncio.create_task(first())
    await open_journal(engineer=EVE).note("the first")
    async with asyncio.timeout(HANG):
        assert [entry.text for entry in await task] == ["the first"]


async def test_an_act_is_open_until_its_end_is_written(journal: Journal) -> None:
    act = new_act()
    draft = Draft(
        kind="", subject="restart x", environment="staging", data={"plan": {"target": "x"}}, act=act
    )
    begun = await journal.begin_act(draft, target="x")
    (open_act,) = await journal.open_acts("staging")
    assert (open_act.entry, open_act.life, open_act.target) == (begun.entry, Life.RUNNING, "x")
    assert await journal.open_acts("production") == []
    with pytest.raises(OpsError, match="still running"):
        await journal.settle(begun.entry.id, "surely not")
    ended = await journal.end_act(
        Draft(kind="", subject="restart x", environment="staging", data={"outcome": "done"}, act=act)
    )
    assert ended.entry is not None
    assert (ended.entry.ref, ended.entry.outcome) == (begun.entry.id, Outcome.DONE)
    assert await journal.open_acts() == []
    with pytest.raises(OpsError, match="not an act without an end"):
        await journal.settle(begun.entry.id, "twice")


async def test_of_two_that_begin_on_one_target_the_second_sees_the_first(
    journal: Journal, open_journal: Open
) -> None:
    other = open_journal(engineer=EVE)

    def draft(target: str, environment: str = "staging") -> Draft:
        return Draft(
            kind="", subject="s", environment=environment, data={"plan": {"target": target}}, act=new_act()
        )

    async with asyncio.TaskGroup() as group:
        first = group.create_task(journal.begin_act(draft("x"), target="x"))
        second = group.create_task(other.begin_act(draft("x"), target="x"))
    assert sorted([len(first.result().others), len(second.result().others)]) == [0, 1]
    assert (await journal.begin_act(draft("y"), target="y")).others == ()
    assert (await journal.begin_act(draft("x", "production"), target="x")).others == ()


async def test_closing_twice_and_using_it_afterwards_is_told(journal: Journal) -> None:
    await journal.note("one")
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.note("two")


async def test_it_can_be_used_from_several_event_loops(journal: Journal) -> None:
    await journal.note("here")
    await asyncio.to_thread(lambda: asyncio.run(journal.note("there")))
    assert [entry.text for entry in await journal.read()] == ["here", "there"]


async def test_open_acts_are_looked_up_not_searched_for(journal: Journal, folder: Path) -> None:
    """With ten thousand acts a search through all ends for each begin takes longer than the time-out."""
    await journal.note("one")
    with sqlite3.connect(folder / "journal.db") as other:
        for query in (reader_module.OPEN, "SELECT 1 FROM entry WHERE act = 'x' AND kind = 'act-ended'"):
            told = " ".join(row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {query}"))
            assert "entry_act (act=? AND kind=?)" in told
            assert "SCAN" not in told.replace("SCAN begin USING INDEX", "")
