"""How values are spread: counts in buckets of growing width, from which percentiles are told.

The buckets' borders grow by 10 %, so a percentile told from them is at most 5 % off (as in DDSketch, Masson
et al. 2019, with a relative accuracy of 0.05). What is in a bucket can be added to and taken from, so an hour
and a day are sums of their samples.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping

_GROWTH = math.log(1.1)
_LEAST = 0.1
"""Milliseconds. What is below is counted as this."""
_MOST = 200
"""The last bucket: 0.1 ms × 1.1^200 is five hours."""
_PAIR = struct.Struct("<BI")


def bucket(value: float) -> int:
    """The bucket of a value in milliseconds, 0 to `_MOST`."""
    if not value > _LEAST:
        return 0
    return min(_MOST, round(math.log(value / _LEAST) / _GROWTH))


def value_of(place: int) -> float:
    """The value that a bucket stands for, in milliseconds."""
    return _LEAST * math.exp(place * _GROWTH)


def packed(counts: Mapping[int, int]) -> bytes:
    """Counts by bucket as bytes; buckets without a count are left out."""
    return b"".join(_PAIR.pack(place, count) for place, count in sorted(counts.items()) if count > 0)


def unpacked(data: bytes) -> dict[int, int]:
    """The opposite of `packed`; what is torn at the end is passed over."""
    whole = len(data) - len(data) % _PAIR.size
    return dict(_PAIR.iter_unpack(data[:whole]))


def added(parts: Iterable[bytes]) -> dict[int, int]:
    """The sum of several."""
    total: dict[int, int] = {}
    for part in parts:
        for place, count in _PAIR.iter_unpack(part[: len(part) - len(part) % _PAIR.size]):
            total[place] = total.get(place, 0) + count
    return total


def percentile(counts: Mapping[int, int], fraction: float) -> float | None:
    """The value below which that share lies (nearest rank), at most 5 % off; None where there is nothing."""
    total = sum(counts.values())
    if not total:
        return None
    rank = max(1, math.ceil(fraction * total))
    seen = 0
    for place in sorted(counts):
        seen += counts[place]
        if seen >= rank:
            return value_of(place)
    return value_of(max(counts))
