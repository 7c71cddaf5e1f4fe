"""AMP framing: whatever the pieces, the same frames; whatever the bytes, an error and bounded memory."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.pm2.amp import Decoder, encode

arguments = st.lists(st.binary(min_size=1, max_size=300), max_size=15).map(tuple)
frames = st.lists(arguments, max_size=6)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(frames, st.lists(st.integers(min_value=0), max_size=20))
def test_any_pieces_give_the_same_frames(sent: list[tuple[bytes, ...]], cuts: list[int]) -> None:
    data = b"".join(map(encode, sent))
    decoder = Decoder()
    assert [frame for piece in cut(data, cuts) for frame in decoder.feed(piece)] == sent
    assert decoder.pending == 0


@given(frames)
def test_one_byte_at_a_time(sent: list[tuple[bytes, ...]]) -> None:
    decoder = Decoder()
    data = b"".join(map(encode, sent))
    assert [frame for i in range(len(data)) for frame in decoder.feed(data[i : i + 1])] == sent


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_hostile_bytes_are_an_error_or_wait_within_the_limit(pieces: list[bytes]) -> None:
    decoder = Decoder(limit=100)
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                assert len(frame) <= 15
            assert decoder.pending <= 100 + 5
    except LinkError as error:
        assert error.fault is Fault.PROTOCOL


def test_what_the_daemon_sends_empty_is_read() -> None:
    # amp's own encoder would send an empty blob so; its parser could not read it, ours can
    assert Decoder().feed(b"\x12\x00\x00\x00\x00\x00\x00\x00\x01x\x10") == [(b"", b"x"), ()]


@pytest.mark.parametrize("first", [0x00, 0x22, 0x7B, 0xFF])
def test_another_version_is_refused(first: int) -> None:
    with pytest.raises(LinkError, match="not an AMP frame") as caught:
        Decoder(where="vps").feed(bytes([first, 0, 0]))
    assert caught.value.fault is Fault.PROTOCOL
    assert caught.value.where == "vps"


def test_a_frame_that_announces_too_much_is_refused_before_it_comes() -> None:
    decoder = Decoder(limit=1000)
    with pytest.raises(LinkError, match="limit"):
        decoder.feed(b"\x11\xff\xff\xff\xff")
    parts = Decoder(limit=1000)  # the arguments together count, not each alone
    with pytest.raises(LinkError, match="limit"):
        parts.feed(b"\x12" + (600).to_bytes(4, "big") + b"x" * 600 + (600).to_bytes(4, "big"))


def test_nothing_is_sent_that_pm2_cannot_read() -> None:
    with pytest.raises(ValueError, match="15"):
        encode([b"x"] * 16)
    with pytest.raises(ValueError, match="empty"):
        encode([b"x", b""])


def test_a_large_frame_in_small_pieces_is_looked_at_once() -> None:
    data = encode([b"x" * 8_000_000, b"id"])
    decoder = Decoder()
    began = time.process_time()
    got = [frame for i in range(0, len(data), 4096) for frame in decoder.feed(data[i : i + 4096])]
    assert [len(argument) for argument in got[0]] == [8_000_000, 2]
    assert time.process_time() - began < 5.0  # quadratic work takes many more
