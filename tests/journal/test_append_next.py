"""An entry that is written only as the next one of its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from muva_console.ops.journal import Draft, Journal
from tests.journal.conftest import DANA, EVE


def _answer(text: str, item: str = "list: one") -> Draft:
    return Draft(kind="run-answered", subject=item, text=text, act="a1", environment="production")


async def test_the_second_of_two_is_told_what_the_first_said(open_journal: Callable[..., Journal]) -> None:
    dana, eve = open_journal(engineer=DANA), open_journal(engineer=EVE)
    first, second = await asyncio.gather(
        dana.append_next(_answer("yes"), seen=0), eve.append_next(_answer("no"), seen=0)
    )
    won, lost = (first, second) if first.entry is not None else (second, first)
    assert won.entry is not None
    assert lost.entry is None
    assert [entry.text for entry in lost.newer] == [won.entry.text]
    assert len(await dana.read()) == 1


async def test_it_is_written_after_what_was_seen_and_beside_others(journal: Journal) -> None:
    first = (await journal.append_next(_answer("yes"), seen=0)).entry
    assert first is not None
    assert (await journal.append_next(_answer("no", "list: two"), seen=0)).entry is not None
    assert (await journal.append_next(_answer("withdrawn"), seen=first.id)).entry is not None
    assert (await journal.append_next(_answer("yes"), seen=first.id)).entry is None
    assert (await journal.verify()).level == "ok"
