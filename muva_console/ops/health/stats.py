"""Small statistics: percentiles, and what a count of failures allows to be said about a rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959964
"""Two-sided 95 % of the normal distribution."""


def percentile(values: Sequence[float], fraction: float) -> float:
    """The nearest-rank percentile (the smallest value that `fraction` of all do not exceed).

    Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = max(1, math.ceil(fraction * len(ordered) - 1e-9))
    return ordered[rank - 1]


def wilson(failures: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """The interval in which the true rate lies with 95 % confidence (Wilson 1927); (0, 1) of nothing."""
    if total == 0:
        return 0.0, 1.0
    rate = failures / total
    spread = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    middle = rate + z * z / (2 * total)
    scale = 1 + z * z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def samples_to_exclude(rate: float, confidence: float = 0.95) -> int | None:
    """How many answers without a failure say that the true rate is below `rate`; None when none do."""
    if rate >= 1:
        return 1
    return math.ceil(math.log(1 - confidence) / math.log(1 - rate)) if rate > 0 else None
