"""Hazards of migrations: precision and recall on the labelled set, and the time for a thousand files.

The set (tests/hazards/labelled) is our own, so what it says of squawk is what squawk says of *our* cases. The
thousand files are the drill application's migrations over and over, each with names of its own and two
statements more, so that no two have one content.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench.report import Figure, header, median
from muva_console.ops.migrations import hazards, squawk
from muva_console.ops.migrations.hazards_cache import Shelf
from tests.hazards.scoring import labels, score, score_squawk

FILES = 1000
ROUNDS = 5
BAR = 1.5
REPEAT_BAR = 0.1
"""Of squawk's own time: "near free"."""
APPLICATION = Path(squawk.__file__).parents[2] / "drill" / "application" / "supabase" / "migrations"


async def measure() -> list[Figure]:
    """The figures."""
    return [*await _labelled(), *await _thousand()]


async def _labelled() -> list[Figure]:
    ours, theirs = await score(), await score_squawk()
    cases = len(labels())
    told = []
    for name in ("precision", "recall"):
        mine, peer = getattr(ours, name), getattr(theirs, name)
        told.append(
            Figure(
                name=f"hazards, {name}, {cases} cases of our own",
                ours=f"{mine:.2f}",
                peer=f"squawk alone {peer:.2f}",
                ratio=mine / peer,
                bar="≥ 1 ×",
                met=mine >= peer,
            )
        )
    return told


def thousand() -> dict[str, bytes]:
    """A thousand files, each of its own content."""
    texts = [path.read_text() for path in sorted(APPLICATION.glob("*.sql"))]
    return {
        f"{20250101000000 + number}_m.sql": (
            texts[number % len(texts)].replace("public.", f"public.m{number}_")
            + f"\nalter table public.x{number} add column y int not null default 3;\n"
            + f"create index concurrently i{number} on public.x{number} (y);\n"
        ).encode()
        for number in range(FILES)
    }


async def _thousand() -> list[Figure]:
    files = thousand()
    alone: list[float] = []
    first: list[float] = []
    again: list[float] = []
    with tempfile.TemporaryDirectory(prefix="muva-b-") as name:
        folder = Path(name)
        for path, text in files.items():
            (folder / path).write_bytes(text)
        for number in range(ROUNDS):
            began = time.perf_counter()
            await _squawk(folder)
            alone.append(time.perf_counter() - began)
            cache = folder / f"cache{number}"
            began = time.perf_counter()
            reports = await hazards.validate(files, folder=cache)
            first.append(time.perf_counter() - began)
            assert len(reports) == FILES and not any(one.notes for one in reports)
            hazards._shelves[cache] = Shelf(cache)  # another process: from the disk
            began = time.perf_counter()
            await hazards.validate(files, folder=cache)
            again.append(time.perf_counter() - began)
    peer = f"squawk alone {median(alone) * 1000:.0f} ms"
    return [
        Figure(
            name=f"validation of {FILES:,} files",
            ours=f"{median(first) * 1000:.0f} ms",
            peer=peer,
            ratio=median(first) / median(alone),
            bar=f"≤ {BAR:g} ×",
            met=median(first) / median(alone) <= BAR,
        ),
        Figure(
            name=f"validation of {FILES:,} files, nothing changed",
            ours=f"{median(again) * 1000:.0f} ms",
            peer=peer,
            ratio=median(again) / median(alone),
            bar=f"≤ {REPEAT_BAR:g} ×",
            met=median(again) / median(alone) <= REPEAT_BAR,
        ),
    ]


async def _squawk(folder: Path) -> None:
    """squawk as it is called by hand, its answer read."""
    process = await asyncio.create_subprocess_exec(
        squawk.program(), "--assume-in-transaction", "--reporter", "json", "*.sql",
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await process.communicate()
    assert process.returncode in (0, 1)


async def main() -> None:
    """Print the figures."""
    print(header())
    for figure in await measure():
        print(figure.line())


if __name__ == "__main__":
    asyncio.run(main())
