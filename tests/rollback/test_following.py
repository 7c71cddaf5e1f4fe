"""The job begun and heard through a link that is lost all the time; the script is told apart by its words."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import Any, cast

import pytest

from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.links.base import CommandResult
from muva_console.ops.operations import EventKind
from muva_console.ops.rollback import following
from muva_console.ops.rollback.following import Follower
from muva_console.ops.rollback.host_job import begin, hear, start
from tests.patience import HANG

ID = "20261127T000000Z-abcdef"
JOB = """
commit={commit}
old={old}
mkdir "$1/begun" 2>/dev/null || exit 0
echo $$ > "$1/pid"
echo once >> "$1/../times"
echo 'because of it' > "$1/reason"
printf 'hold\\n' > "$1/phase"
printf '1\\t0\\tphase\\thold: built\\n' >> "$1/events"
echo 'a line' >> "$1/log"
while [ ! -e "$1/go" ]; do sleep 0.02; done
printf '2\\t7\\tseen\\twell\\n' >> "$1/events"
printf 'rolled-back\\twell 2 times\\n' > "$1/end"
""".format(commit="a" * 40, old="b" * 40)


class Here:
    """A link to this machine with a home of its own; two of five answers are lost, before or after it ran."""

    host = "here"

    def __init__(self, home: Path, *, losing: bool = True) -> None:
        self.home, self.losing, self.asked = home, losing, 0

    async def run(self, command: str, *, input: bytes | None = None, **_: Any) -> CommandResult:
        self.asked += 1
        if self.losing and self.asked % 5 == 1:
            raise LinkError(Fault.CLOSED, "the connection was lost", where="here")
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env={**os.environ, "HOME": str(self.home)},
        )  # fmt: skip
        out, err = await process.communicate(input or b"")
        if self.losing and self.asked % 5 == 3:
            raise LinkError(Fault.CLOSED, "the answer was lost", where="here")
        assert process.returncode is not None
        return CommandResult(exit_status=process.returncode, stdout=out, stderr=err, took_ms=1.0)


def _link(here: Here) -> Any:
    return cast(Any, here)


async def _until_started(here: Here, job: bytes) -> None:
    while True:
        try:
            await start(_link(here), "production", ID, job)
        except LinkError:
            continue
        return


async def test_a_link_that_is_lost_all_the_time_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY", 0.01)
    here = Here(tmp_path)
    async with asyncio.timeout(HANG):
        await _until_started(here, JOB.encode())
        follower = Follower(_link(here), "production", ID, prefix="here: ")
        events = [one async for one in follower.follow(lambda heard: heard.phase == "hold")]
        assert follower.heard is not None
        assert (follower.heard.commit, follower.heard.old) == ("a" * 40, "b" * 40)
        assert follower.heard.reason == "because of it"
        await follower.tell("go")
        events += [one async for one in follower.follow(lambda heard: False)]
    assert follower.heard.outcome == "rolled-back"
    told = [one.text for one in events if one.kind is not EventKind.WARNING and "again" not in one.text]
    assert told == ["here: built: built", "here: a line", "here: well"], "each once, in its order"
    folder = tmp_path / ".muva/rollback/production"
    assert (folder / "times").read_text() == "once\n", "however often it was begun"


async def test_one_whose_process_is_gone_is_put_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY", 0.01)
    here = Here(tmp_path, losing=False)
    job = f"""
if [ "${{2:-}}" = recover ]; then printf 'returned\\tput in order\\n' > "$1/end"; exit; fi
commit={"a" * 40}
echo 999999999 > "$1/pid"; echo flip > "$1/phase"
"""
    async with asyncio.timeout(HANG):
        await start(_link(here), "production", ID, job.encode())
        follower = Follower(_link(here), "production", ID)
        events = [one async for one in follower.follow(lambda heard: False)]
    assert follower.heard is not None
    assert (follower.heard.outcome, follower.heard.why) == ("returned", "put in order")
    assert any("broken off at flip" in one.text for one in events)


async def test_the_newest_is_found_and_what_is_no_job_is_not(tmp_path: Path) -> None:
    here = Here(tmp_path, losing=False)
    assert await hear(_link(here), "production") is None
    for name in ("20250101T000000Z-aaaaaa", ID):
        await start(_link(here), "production", name, b"exit 0\n")
    found = await hear(_link(here), "production")
    assert found is not None and found.id == ID
    assert await hear(_link(here), "production", "20990101T000000Z-aaaaaa") is None
    with pytest.raises(LinkError):
        await begin(_link(here), "production", "20990101T000000Z-aaaaaa")
    assert shlex.quote(ID) == ID, "it is a word of the shell"


async def test_one_that_was_laid_down_and_never_begun_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY", 0.01)
    here = Here(tmp_path, losing=False)
    folder = tmp_path / ".muva/rollback/production" / ID
    folder.mkdir(parents=True)
    for name in ("events", "log", "go"):
        (folder / name).touch()
    (folder / "job.sh").write_text(JOB)
    follower = Follower(_link(here), "production", ID)
    async with asyncio.timeout(HANG):
        assert [one async for one in follower.follow(lambda heard: False)]
    assert follower.heard is not None and follower.heard.outcome == "rolled-back"
