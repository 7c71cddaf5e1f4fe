"""How a figure is told: ours beside its peer, the ratio and the bar, a line each.

A figure is a ratio within one run, because machines differ and drift; the absolute values stand beside it
for the reader. A missed bar is told, and makes `make bench` end with 1; it is never a test.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WIDTHS = (46, 22, 26, 12, 14)


@dataclass(frozen=True)
class Figure:
    """One measured number of DESIGN."""

    name: str
    ours: str
    peer: str
    ratio: float | None
    bar: str
    """As DESIGN words it, e.g. ``≤ 1.3``."""
    met: bool | None
    """None when there is no bar, or it could not be measured (`peer` then says why)."""

    def line(self) -> str:
        """The figure as a line of the table."""
        ratio = "–" if self.ratio is None else f"{self.ratio:.2f}×"
        word = {True: "ok", False: "MISSED", None: "–"}[self.met]
        cells = (self.name, self.ours, self.peer, ratio, self.bar)
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)) + "  " + word


def header() -> str:
    """The table's head."""
    cells = ("figure", "ours", "peer", "ratio", "bar")
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)) + "  verdict"


def median(values: Sequence[float]) -> float:
    """The middle one: these machines are noisy, a mean would tell of the noise."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
