"""Where the file ends and the bus begins, however the two overlap."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.ops.logs.seam import DATED_LATE, HOLD, Place, Seam, overlap

BYTES = st.binary(max_size=40).map(lambda data: bytes(byte % 3 + 97 for byte in data))


@settings(deadline=None)
@given(BYTES, BYTES)
def test_overlap_is_the_longest(written: bytes, heard: bytes) -> None:
    naive = max(
        length for length in range(min(len(written), len(heard)) + 1) if written.endswith(heard[:length])
    )
    assert overlap(written, heard) == naive


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=64, max_size=300), st.binary(max_size=300))
def test_overlap_of_long_pieces(before: bytes, both: bytes, after: bytes) -> None:
    assert overlap(before + both, both + after) >= len(both)


PIECES = st.lists(st.integers(0, 10**9).map(lambda n: f"line {n}\n".encode()), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    PIECES,
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 12),
    st.booleans(),
)
def test_every_line_once(pieces: list[bytes], opened: int, read: int, dated: int, clock: bool) -> None:
    """The file holds the first `read` pieces; the bus, open since `opened`, says the others too."""
    pieces = [b"%d " % number + piece for number, piece in enumerate(pieces)]
    opened = min(opened, len(pieces))
    read = min(max(read, opened), len(pieces))
    written, heard = b"".join(pieces[:read]), pieces[opened:]
    until = max(read, min(dated, len(pieces)))  # what is dated before the reading may not be in the file yet
    seam = Seam(written, until if clock else None)
    shown, now = written, 0.0
    for number, piece in enumerate(heard, opened + 1):
        shown += seam.take(piece, number, now)
    shown += seam.due(now + HOLD)[0]
    assert shown == b"".join(pieces)


def test_what_comes_later_passes_at_once_and_closes_the_seam() -> None:
    seam = Seam(b"tick\n", 100)
    assert seam.take(b"tick\n", 101 + DATED_LATE, 0.0) == b"tick\n"
    assert seam.closed


def test_what_the_file_had_before_pm2_looked_at_the_clock_is_not_said_twice() -> None:
    seam = Seam(b"line 2719\n", 100)
    assert seam.take(b"line 2719\n", 100 + DATED_LATE, 0.0) == b""
    assert seam.take(b"line 2720\n", 101 + DATED_LATE, 0.0) == b"line 2720\n"


def test_nothing_is_held_where_nothing_was_written() -> None:
    seam = Seam(b"", 100)
    assert seam.take(b"x", 1, 0.0) == b"x"
    assert not seam.holding


def test_a_bus_that_lags_behind_the_file_says_the_rest_later() -> None:
    seam = Seam(b"a 1\nb 2\nc 3\n", 100)
    assert seam.take(b"a 1\n", 1, 0.0) == b""
    assert seam.due(HOLD + 0.1) == (b"", 1)
    assert seam.take(b"b 2\nc 3\nd 4\n", 2, 1.0) == b"d 4\n"


def test_a_place_is_found_again_by_what_stood_before_it() -> None:
    place = Place(7, 0, b"")
    place.advance(b"x" * 300 + b"end of what was seen\n")
    data = b"x" * 300 + b"end of what was seen\n"
    assert place.offset == len(data)
    assert place.unseen(7, place.start, data[place.start :] + b"new") == (b"new", True)
    # rotated into another file that begins with the end of the old one
    assert place.unseen(8, 0, data + b"new") == (b"new", True)
    # another file altogether
    assert place.unseen(8, 0, b"fresh\n") == (b"fresh\n", False)
    # cut and grown beyond the place again
    assert place.unseen(7, place.start, b"z" * 400) == (b"z" * 400, False)
