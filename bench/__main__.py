"""``python -m bench [NAME …]``: every figure, or those of the named files."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import sys
import time
import traceback

import bench
from bench.report import Figure, header

HELPERS = {"report", "__main__"}


async def run(names: list[str]) -> int:
    """Measure and print; 1 when a bar was missed or a measurement failed."""
    known = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in HELPERS)
    unknown = set(names) - set(known)
    if unknown:
        print(f"no such figures: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    bad = False
    print(header(), flush=True)
    for name in names or known:
        module = importlib.import_module(f"bench.{name}")
        if not hasattr(module, "measure"):
            continue
        began = time.monotonic()
        try:
            figures: list[Figure] = await module.measure()
        except Exception:
            traceback.print_exc()
            bad = True
            continue
        for figure in figures:
            print(figure.line(), flush=True)
            bad = bad or figure.met is False
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
