"""Copies of one journal, written, sent and taken in in any order: one chain, nothing lost, nothing twice.

No server: what it does is a list here.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from muva_console.ops.journal import replica
from muva_console.ops.journal.chain import COLUMNS, GENESIS, hash_of, verify_rows
from muva_console.ops.journal.reader import SELECT
from muva_console.ops.journal.replica import AnotherJournalError, Row, content_of
from muva_console.ops.journal.schema import connect_writer
from muva_console.ops.readings import Level

NAME = "11111111-1111-4111-8111-111111111111"
INSERT = f"INSERT INTO entry ({', '.join(COLUMNS)}, hash) VALUES ({', '.join('?' * 14)})"


def opened(path: Path) -> sqlite3.Connection:
    path.touch()
    return connect_writer(path)


def rows(connection: sqlite3.Connection) -> list[Row]:
    return connection.execute(f"{SELECT} ORDER BY id").fetchall()


def write(connection: sqlite3.Connection, text: str, ref: int | None = None) -> None:
    last = rows(connection)[-1:] or [(0, *[None] * 12, GENESIS)]
    values: dict[str, Any] = {
        "id": last[0][0] + 1,
        "at": "2026-11-27T12:00:00.000000Z",
        "engineer": "dana",
        "origin": "",
        "session": "s",
        "environment": "",
        "kind": "note",
        "subject": "note",
        "text": text,
        "data": "{}",
        "act": "",
        "ref": ref,
        "prev_hash": last[0][-1],
    }
    connection.execute(INSERT, (*values.values(), hash_of(values)))


class Copies(RuleBasedStateMachine):
    """Two hosts and a server that is a list."""

    hosts = Bundle("hosts")

    def __init__(self) -> None:
        super().__init__()
        self.server: list[Row] = []
        self.connections: dict[str, sqlite3.Connection] = {}
        self.written: list[str] = []

    @initialize(target=hosts)
    def first(self) -> str:
        return self._made("a")

    @initialize(target=hosts)
    def second(self) -> str:
        return self._made("b")

    def _made(self, name: str) -> str:
        import tempfile

        self.connections[name] = opened(Path(tempfile.mkdtemp(prefix="muva-c-")) / "journal.db")
        return name

    @rule(host=hosts, refers=st.booleans())
    def write(self, host: str, refers: bool) -> None:
        """Something is written on a host, whether the server can be reached or not."""
        text = f"{host}{len(self.written)}"
        own = rows(self.connections[host])
        write(self.connections[host], text, own[-1][0] if refers and own else None)
        self.written.append(text)

    @rule(host=hosts, told=st.booleans())
    def send(self, host: str, told: bool) -> None:
        """Under the lock: take in, send; `told` is False where the answer to COMMIT is lost."""
        connection = self.connections[host]
        self.take(host)
        waiting = replica.waiting(connection, NAME)
        self.server += waiting
        if waiting and told:
            replica.confirm(connection, NAME, waiting[-1][0])

    @rule(host=hosts)
    def take(self, host: str) -> None:
        """Take in what the server has."""
        connection = self.connections[host]
        last, _ = replica.confirmed(connection, NAME)
        replica.take(connection, NAME, self.server[last:])

    @invariant()
    def the_chains_hold(self) -> None:
        for chain in (self.server, *(rows(one) for one in self.connections.values())):
            assert verify_rows(chain).flaw is None
            told = [content_of(row) for row in chain]
            assert len(set(told)) == len(told)

    @invariant()
    def what_was_confirmed_is_the_servers(self) -> None:
        for connection in self.connections.values():
            last, _ = replica.confirmed(connection, NAME)
            assert rows(connection)[:last] == self.server[:last]

    @invariant()
    def nothing_is_lost(self) -> None:
        kept = {row[COLUMNS.index("text")] for row in self.server}
        for connection in self.connections.values():
            kept |= {row[COLUMNS.index("text")] for row in rows(connection)}
        assert kept == set(self.written)

    def teardown(self) -> None:
        for host in list(self.connections):
            self.send(host, True)
        for host in self.connections:
            self.take(host)
        texts = [row[COLUMNS.index("text")] for row in self.server]
        assert sorted(texts) == sorted(self.written)
        for host, connection in self.connections.items():
            assert rows(connection) == self.server
            own = [text for text in texts if text[0] == host]
            assert own == [text for text in self.written if text[0] == host]  # in the order of writing
            for row in rows(connection):
                ref = row[COLUMNS.index("ref")]
                assert ref is None or ref < row[0]
            connection.close()


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_a_reference_goes_with_what_it_refers_to(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "a.db"), opened(tmp_path / "b.db")
    write(one, "others")
    write(two, "mine")
    write(two, "about mine", ref=1)
    replica.take(two, NAME, rows(one))
    assert [(row[0], row[8], row[11]) for row in rows(two)] == [
        (1, "others", None),
        (2, "mine", None),
        (3, "about mine", 2),
    ]


def test_the_guard_against_removing_is_there_again_afterwards(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "a.db"), opened(tmp_path / "b.db")
    write(one, "others")
    write(two, "mine")
    replica.take(two, NAME, rows(one))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        two.execute("DELETE FROM entry")
    assert verify_rows(rows(two)).level is not Level.FAIL


def test_another_journals_identity_is_refused(tmp_path: Path) -> None:
    one = opened(tmp_path / "a.db")
    write(one, "a")
    replica.confirm(one, NAME, 1)
    with pytest.raises(AnotherJournalError):
        replica.confirmed(one, "another")
    replica.confirm(one, NAME, 0)  # going back is nothing new
    assert replica.confirmed(one, NAME)[0] == 1
