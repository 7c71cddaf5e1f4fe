"""Several hosts: all are built before the first is changed; where one does not get well the rest stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from muva_console.ops.operations import Event, EventKind, Plan, Tier
from muva_console.ops.rollback import act as acting
from muva_console.ops.rollback import following
from muva_console.ops.rollback.act import Rollback
from muva_console.ops.rollback.begun import Underway
from muva_console.ops.rollback.host_job import start
from tests.patience import HANG
from tests.rollback.test_following import ID, Here

JOB = """
commit={commit}
old={old}
mkdir "$1/begun" 2>/dev/null || exit 0
echo $$ > "$1/pid"
echo 'because of it' > "$1/reason"
{build}
echo "{name} built" >> {order}
printf 'hold\\n' > "$1/phase"
while [ ! -e "$1/go" ]; do
  if [ -e "$1/stop" ]; then printf 'untouched\\ttold to stop\\n' > "$1/end"; exit; fi
  sleep 0.02
done
echo "{name} flipped" >> {order}
printf '{end}\\tthat is how\\n' > "$1/end"
"""
PLAN = Plan(
    operation="rollback", title="", environment="production", target="", tier=Tier.CONFIRM, commands=()
)


async def performed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Mapping[str, str], slow: str = ""
) -> tuple[list[str], dict[str, str]]:
    """The order of what the hosts did, and the word of each one's end."""
    monkeypatch.setattr(following, "EVERY", 0.01)
    order, heard = tmp_path / "order", {}

    async def conclude(
        _: Any, job: Underway, told: Mapping[str, Any], *, stopped: str
    ) -> AsyncGenerator[Event, None]:
        heard.update({host: one.outcome for host, one in told.items()})
        yield Event(kind=EventKind.DONE, text="", at=cast(Any, None))

    monkeypatch.setattr(acting, "conclude", conclude)
    links = {}
    for name, end in ends.items():
        (tmp_path / name).mkdir()
        links[name] = Here(tmp_path / name, losing=False)
        links[name].host = name
        build = f"while [ ! -e {tmp_path}/release ]; do sleep 0.02; done" if name == slow else ""
        job = JOB.format(commit="a" * 40, old="b" * 40, name=name, order=order, end=end, build=build)
        await start(cast(Any, links[name]), "production", ID, job.encode())
    ctx = SimpleNamespace(hosts=links, environment_name="production", parameters={})
    deed = Rollback(cast(Any, ctx))
    deed._open = Underway(
        id=ID, commit="a" * 40, old="b" * 40, reason="because of it", restore="", hosts=tuple(ends)
    )

    async def go() -> None:
        async for _ in deed._perform(cast(Any, ctx), PLAN):
            pass

    async with asyncio.timeout(HANG):
        task = asyncio.create_task(go())
        if slow:
            others = len(ends) - 1
            while not order.exists() or order.read_text().count("built") < others:
                await asyncio.sleep(0.01)
            assert "flipped" not in order.read_text(), "one is still building, so none is changed"
            (tmp_path / "release").touch()
        await task
    return order.read_text().splitlines(), heard


async def test_all_are_built_before_the_first_is_changed_and_changed_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"one": "rolled-back", "two": "rolled-back", "three": "rolled-back"}
    order, heard = await performed(tmp_path, monkeypatch, ends, slow="three")
    assert sorted(order[:3]) == ["one built", "three built", "two built"]
    assert order[3:] == ["one flipped", "two flipped", "three flipped"]
    assert heard == ends


async def test_where_one_does_not_get_well_those_after_it_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"one": "rolled-back", "two": "returned", "three": "rolled-back"}
    order, heard = await performed(tmp_path, monkeypatch, ends)
    assert [line for line in order if "flipped" in line] == ["one flipped", "two flipped"]
    assert heard == {"one": "rolled-back", "two": "returned", "three": "untouched"}
