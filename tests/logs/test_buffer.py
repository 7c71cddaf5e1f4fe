"""The ring, its filters and its index against a model that knows no tricks."""

from __future__ import annotations

import re
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from muva_console.ops.logs import buffer as buffer_module
from muva_console.ops.logs.buffer import LogBuffer
from muva_console.ops.logs.filter import FilterError, LogFilter, parse_filter
from muva_console.ops.logs.index import LogIndex
from muva_console.ops.logs.model import LogLevel, LogLine, Origin, Stream, note
from tests.logs.helpers import line, numbered

WORDS = st.sampled_from(["alpha", "Beta", "gamma 12", "É", "ERROR x", "", "a\nb"])
FILTERS = st.sampled_from(
    ["", "a", "!a", "Beta", "/[a-b]+$/", "!/12/", "level:warn", "!level:error", "process:one",
     "!process:one", "stream:err", "host:vps level:error a", "é", "!É", "process:two !beta", "zzz"]
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> LogLine:
    if draw(st.integers(0, 15)) == 0:
        return note("vps", "a gap", process=draw(st.sampled_from(["", "one"])))
    origin = Origin("vps", draw(st.sampled_from(["one", "two"])), draw(st.sampled_from(list(Stream)[:2])))
    return LogLine(origin, draw(WORDS), draw(st.sampled_from(LogLevel)), draw(st.none() | st.integers(0, 99)))


def passes(source: str, one: LogLine) -> bool:
    """What filter.py's docstring promises, said in the plainest way."""
    if one.stream is Stream.NOTE:
        named = [word for word in source.split() if word.lstrip("!").startswith("process:")]
        return not one.process or all(
            (word.split(":")[1] in one.process) is not word.startswith("!") for word in named
        )
    rest = []
    for word in source.split():
        inverted = word.startswith("!")
        kind, _, value = word.lstrip("!").partition(":")
        if kind == "level":
            level = LogLevel[value.upper()]
            found = one.level is level if inverted else one.level >= level
        elif kind in ("process", "host"):
            found = value in getattr(one, kind)
        elif kind == "stream":
            found = one.stream.value == value
        else:
            rest.append(word)
            continue
        if found is inverted:
            return False
    text = " ".join(rest)
    inverted = text.startswith("!")
    text = text[1:] if inverted else text
    if not text:
        return True
    if text.startswith("/"):
        return (re.search(text.strip("/"), one.text, re.IGNORECASE) is not None) is not inverted
    here = one.text.lower() if text == text.lower() else one.text
    return (text in here) is not inverted


class BufferMachine(RuleBasedStateMachine):
    """A small ring in small blocks, so that everything that can happen at an edge happens."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes = buffer_module.BLOCK_LINES, buffer_module.BLOCK_BYTES
        buffer_module.BLOCK_LINES, buffer_module.BLOCK_BYTES = 7, 60
        self.buffer = LogBuffer(40)
        self.index = LogIndex(self.buffer)
        self.model: list[LogLine] = []
        self.source = ""
        self.pinned_from: int | None = None

    def teardown(self) -> None:
        buffer_module.BLOCK_LINES, buffer_module.BLOCK_BYTES = self._sizes

    @rule(batch=st.lists(lines(), max_size=25))
    def append(self, batch: list[LogLine]) -> None:
        self.buffer.append(batch)
        self.model += [
            LogLine(one.origin, one.text.replace("\n", " "), one.level, one.at_ms, one.clock, seq)
            for seq, one in enumerate(batch, len(self.model))
        ]

    @rule(source=FILTERS)
    def filter(self, source: str) -> None:
        self.source = source
        self.index.set_filter(parse_filter(source))

    @rule(pinned=st.booleans())
    def pin(self, pinned: bool) -> None:
        self.settle()
        self.index.pin(pinned)
        self.settle()
        if not pinned:
            self.pinned_from = None
        elif self.pinned_from is None:  # pinned once more it holds what it held
            self.pinned_from = self.buffer.first_seq

    @precondition(lambda self: self.pinned_from is None)
    @rule()
    def clear(self) -> None:
        self.buffer.clear()

    @rule()
    def a_slice(self) -> None:
        self.index.refresh(0)

    def settle(self) -> None:
        self.index.refresh(10)

    @invariant()
    def the_ring_keeps_its_promises(self) -> None:
        first = self.buffer.first_seq
        assert self.buffer.next_seq == len(self.model)
        assert len(self.buffer) <= 40 + 7
        kept = [one for block in self.buffer.blocks() for one in block.texts()]
        assert kept == [one.text for one in self.model[first:]]

    @invariant()
    def the_index_holds_what_passes(self) -> None:
        self.settle()
        first = self.buffer.first_seq if self.pinned_from is None else self.pinned_from
        end = self.index.next_seq
        assert self.index.full or end == len(self.model)
        expected = [one for one in self.model[first:end] if passes(self.source, one)]
        got = list(self.index.lines())
        assert got == expected
        assert self.index.backlog == 0
        for position, one in enumerate(expected):
            assert self.index.position(one.seq) == position
        assert self.index.position(len(self.model)) == len(expected)
        loud = [one.level is LogLevel.ERROR for one in expected]
        for place, one in enumerate(expected):
            after = next((p for p in range(place + 1, len(loud)) if loud[p] and not loud[p - 1]), None)
            before = next((p for p in range(place - 1, -1, -1) if loud[p] and not (p and loud[p - 1])), None)
            for step, wanted in ((1, after), (-1, before)):
                seq = self.index.find_level(one.seq, step)
                assert seq == (None if wanted is None else expected[wanted].seq), (place, step)


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


def test_memory_and_time_of_a_million_lines_stay_small() -> None:
    """A tenth of DESIGN's million, so that a defect is found here and not by the bench alone."""
    ring = LogBuffer(100_000)
    index = LogIndex(ring)
    began = time.process_time()
    for start in range(0, 100_000, 5000):
        ring.append(numbered(start, 5000))
    index.refresh(10)
    assert time.process_time() - began < 30, "quadratic work takes many minutes"
    assert len(index) == 100_000
    held = sum(block.size for block in ring.blocks())
    assert held < 100_000 * 75


def test_bytes_bound_the_ring_too() -> None:
    ring = LogBuffer(1_000_000, max_bytes=2_000_000)
    for _ in range(100):
        ring.append([line("x" * 4000)] * 100)
    assert len(ring) < 600
    assert len(ring) > 400


def test_a_new_filter_over_many_lines_comes_in_slices_newest_first() -> None:
    ring = LogBuffer(60_000)
    ring.append(numbered(0, 60_000))
    index = LogIndex(ring)
    index.refresh(10)
    index.set_filter(parse_filter("/x{3}$/"))
    slices = 0
    while True:
        index.refresh(0.002)
        slices += 1
        assert index.line(len(index) - 1).seq > 59_000
        if not index.backlog:
            break
    assert slices > 3, "a slice is a small part of the work"
    assert len(index) == sum(number % 120 >= 3 for number in range(60_000))


def test_an_expression_that_explodes_is_given_up_and_the_lines_stay_in_sight() -> None:
    ring = LogBuffer()
    ring.append([line("a" * 3000 + "b"), line("aaa")])
    index = LogIndex(ring)
    index.set_filter(parse_filter("/(a+)+$/"))
    with pytest.raises(FilterError, match="too long"):
        index.refresh(10)
    index.refresh(10)
    assert len(index) == 2
    assert not index.filter


def test_a_highlight_that_explodes_is_none() -> None:
    wanted = parse_filter("/(a+)+$|b/")
    assert wanted.spans("a" * 3000 + "c") == []
    assert wanted.spans("b") == [(0, 1)]


def test_outside_of_the_main_thread_such_an_expression_is_refused() -> None:
    outcome: list[object] = []

    def work(source: str) -> None:
        try:
            outcome.append(parse_filter(source))
        except FilterError as error:
            outcome.append(str(error))

    for source in ("/(a+)+$/", "/(?:a|b*)*x/", "/.*.*.*.*x/", "/ECONN\\w+ \\d+/"):
        thread = threading.Thread(target=work, args=(source,))
        thread.start()
        thread.join()
    assert ["repeat" in str(one) for one in outcome[:3]] == [True, True, True]
    assert isinstance(outcome[3], LogFilter)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/(/", "not a regular expression yet"),
        ("/[a/", "not a regular expression yet"),
        ("level:loud", "the levels are error, warn, info, debug"),
        ("stream:in", "there are stream:out and stream:err"),
    ],
)
def test_what_is_wrong_with_a_filter_is_said(source: str, said: str) -> None:
    with pytest.raises(FilterError, match=re.escape(said)):
        parse_filter(source)


def test_small_letters_match_any_case_and_capitals_their_own() -> None:
    assert parse_filter("econn").matches(line("ECONNREFUSED"))
    assert not parse_filter("Econn").matches(line("ECONNREFUSED"))
    assert parse_filter("/econn\\w/").matches(line("ECONNREFUSED"))
    assert parse_filter("/econn\\S/").matches(line("ECONNREFUSED")), "an escape is no capital"
    assert not parse_filter("/Econn/").matches(line("ECONNREFUSED"))


def test_spans_to_highlight() -> None:
    assert parse_filter("ab").spans("AB cab") == [(0, 2), (4, 6)]
    assert parse_filter("/a.|^/").spans("ab x ac") == [(0, 2), (5, 7)]
    assert parse_filter("!ab").spans("ab") == []
    assert parse_filter("").spans("ab") == []


def test_one_thread_writes_while_another_reads() -> None:
    ring = LogBuffer(5000)
    index = LogIndex(ring)
    index.set_filter(parse_filter("level:error"))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            ring.append(numbered(number, 137))
            number += 137

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deadline = time.monotonic() + 1.0
        looked = 0
        while time.monotonic() < deadline:
            index.refresh(0.005)
            for one in index.lines(max(0, len(index) - 30)):
                assert one.seq % 20 == 0
                assert one.text.startswith(f"line {one.seq}")
                looked += 1
    finally:
        stop.set()
        writer.join()
    assert looked > 100


def test_a_reader_keeps_lines_that_left_the_ring_up_to_a_bound() -> None:
    ring = LogBuffer(2000)
    ring.append(numbered(0, 2000))
    index = LogIndex(ring)
    index.refresh()
    index.pin(True)
    ring.append(numbered(2000, 1500))
    index.refresh()
    assert index.line(0).seq == 0
    assert ring.first_seq > 0
    for start in range(3500, 60_000, 500):
        ring.append(numbered(start, 500))
        index.refresh()
    assert index.full
    assert len(index) <= 2 * 2000 + 3 * buffer_module.BLOCK_LINES
    assert index.line(0).seq == 0
    index.pin(False)
    index.refresh()
    assert [one.seq for one in index.lines()] == list(range(ring.first_seq, ring.next_seq))


def test_listeners_are_told_and_can_leave() -> None:
    ring = LogBuffer()
    told: list[int] = []
    stop = ring.listen(lambda: told.append(ring.next_seq))
    ring.append(numbered(0, 3))
    ring.append([])
    stop()
    ring.append(numbered(3, 3))
    assert told == [3]
