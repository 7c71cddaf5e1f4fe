"""A walk: sensed side by side, answered once, followed by others, gone on with after any end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from muva_console.ops.errors import OpsError
from muva_console.ops.journal.model import Filter
from muva_console.ops.readings import Level, Verdict
from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import RunKind, Word
from muva_console.ops.runbooks.standing import RunView, State
from muva_console.ops.walking.once import sense_once, sensed_verdict
from muva_console.ops.walking.runs import list_runs, read_run
from muva_console.ops.walking.walk import OvertakenError, Walk
from tests.patience import HANG
from tests.walking.conftest import Flow, Open

BOOK = Runbook(
    id="pre",
    title="Before",
    environments=("production",),
    steps=(
        Step(
            id="there", title="There", run="cat feature.txt && test -f README.md", depends=(Basis.OUTGOING,)
        ),
        Step(id="team", title="Team", attest="Was the team told?"),
    ),
)


def book(*steps: Step) -> Runbook:
    return Runbook(id="pre", title="Before", steps=steps)


async def until(walk: Walk, true: Callable[[RunView], object]) -> RunView:
    """The first view of which it is true."""
    async with asyncio.timeout(HANG), aclosing(walk.views()) as views:
        async for view in views:
            if true(view):
                return view
    raise AssertionError


async def test_it_senses_in_the_commit_that_goes_out_and_asks_for_the_rest(console: Open) -> None:
    walk = await Walk.begin(console(), BOOK, "production")
    walk.start()
    try:
        view = await until(walk, lambda view: view.items[0].state is State.SENSED)
        assert (view.items[0].level, view.items[0].summary) == (Level.OK, "new")
        assert view.verdict is Verdict.CANNOT_TELL
        assert view.between == ("Team: Was the team told?",)
        await walk.answer("team", Word.YES, note="on Slack")
        assert walk.view.verdict is Verdict.GO
        with pytest.raises(OpsError, match="sensed, not ticked"):
            await walk.answer("there", Word.YES)
        with pytest.raises(OpsError, match="needs a reason"):
            await walk.answer("there", Word.OVERRIDDEN, note="  ")
        await walk.end()
        with pytest.raises(OpsError, match="ended"):
            await walk.answer("team", Word.NO, note="late")
    finally:
        await walk.close()
    assert (await read_run(console(), walk.run.id[:8])).outcome == "GO"


async def test_a_new_commit_turns_an_item_back_to_unknown(console: Open, flow: Flow) -> None:
    walk = await Walk.begin(console(), BOOK, "production", basis_every=0.05)
    walk.start()
    try:
        await until(walk, lambda view: view.items[0].state is State.SENSED)
        flow.commit("more.txt", "x", "feat: yet more")
        flow.push("staging")
        view = await until(walk, lambda view: view.items[0].state is State.EXPIRED)
        assert "another commit is going out" in view.items[0].expired
        assert view.verdict is Verdict.CANNOT_TELL
        walk.sense()
        await until(walk, lambda view: view.items[0].state is State.SENSED)
    finally:
        await walk.close()


async def test_an_answer_hangs_on_what_was_fetched_last_while_the_remote_is_away(
    console: Open, flow: Flow
) -> None:
    await console().workshop.heads()
    for stamp in flow.folder.rglob("fetched"):
        os.utime(stamp, (0, 0))  # what was fetched a moment ago would not be fetched again
    flow.remote.rename(flow.remote.with_name("away.git"))
    tried = Step(id="tried", title="Tried", attest="Have you tried it?", depends=(Basis.OUTGOING,))
    walk = await Walk.begin(console(), book(tried), "production")
    walk.start()
    try:
        await walk.answer("tried", Word.YES)
        (item,) = walk.view.items
        assert item.answer is not None
        assert item.answer.basis == {Basis.OUTGOING: flow._git("rev-parse", "HEAD")}
        assert walk.view.notice  # and that it may be behind is told
    finally:
        await walk.close()


async def test_two_on_one_run_see_each_other_and_one_item_is_answered_once(console: Open) -> None:
    dana = await Walk.begin(console(), BOOK, "production")
    eve = await Walk.resume(console(), dana.run.id)
    dana.start(sense=False)
    eve.start(sense=False)
    try:
        answers = await asyncio.gather(
            dana.answer("team", Word.YES, note="by dana"),
            eve.answer("team", Word.NO, note="by eve"),
            return_exceptions=True,
        )
        refused = [one for one in answers if isinstance(one, OvertakenError)]
        assert len(refused) == 1
        assert "answered “Team” already" in str(refused[0])
        first = (await until(dana, lambda view: view.items[1].answer)).items[1]
        assert (await until(eve, lambda view: view.items[1].answer)).items[1].summary == first.summary
        await dana.answer("team", Word.WITHDRAWN)
        await until(eve, lambda view: view.items[1].state is State.YOURS)
    finally:
        await dana.close()
        await eve.close()


_KILLED = """
import asyncio, os, sys
from pathlib import Path
from muva_console.config.load import load
from muva_console.ops.workspace import Workspace
from muva_console.ops.walking.walk import Walk
from muva_console.ops.runbooks.run import Word
from tests.walking.test_walk import BOOK

async def main():
    walk = await Walk.begin(Workspace(load(Path(sys.argv[1]))), BOOK, "production")
    await walk.answer("team", Word.YES, note="before the end")
    print(walk.run.id, flush=True)
    walk.start()
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_killed_console_leaves_a_run_to_go_on_with(console: Open, flow: Flow) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, str(flow.config), stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2], env=dict(os.environ),
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(HANG):
        run_id = (await process.stdout.readline()).decode().strip()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    workspace = console()
    assert [run.id for run in await list_runs(workspace, environment="production")] == [run_id]
    walk = await Walk.resume(workspace, run_id)
    assert walk.view.items[1].summary == "before the end"
    walk.start()
    try:
        await until(walk, lambda view: view.verdict is Verdict.GO)
    finally:
        await walk.close()


async def test_what_hangs_or_floods_or_fails_holds_up_nobody(console: Open, flow: Flow) -> None:
    marker = flow.folder / "asked"
    steps = (
        Step(id="hangs", title="Hangs", run="sleep 987654 & sleep 987654", timeout=1.5),
        Step(id="floods", title="Floods", run="trap 'exit 0' TERM; yes & wait", timeout=HANG),
        Step(id="asks", title="Asks", run=f"read -r answer || touch {marker}; exit 7", exit=7),
        Step(id="fails", title="Fails", run="echo 'Error: no such thing' >&2; exit 3"),
        Step(id="prints", title="Prints", run="echo version 7", output=r"version \d"),
        Step(id="other", title="Prints other", run="echo nothing", output=r"version \d"),
        Step(id="nowhere", title="Nowhere", run="true", on="host"),
        Step(id="unknown", title="Unknown check", check="no-such-check"),
        Step(id="elsewhere", title="Elsewhere", check="api-health", of="moon"),
    )
    view = await sense_once(console(), book(*steps), "production")
    level = {item.id: item.level for item in view.items}
    summary = {item.id: item.summary for item in view.items}
    assert (level["hangs"], summary["hangs"]) == (Level.UNKNOWN, "it did not end within 1.5 s")
    # it ends well when it is ended, and was not done all the same
    assert (level["floods"], summary["floods"]) == (
        Level.FAIL,
        "it printed more than 64 MiB, and was ended",
    )
    assert (level["asks"], level["fails"]) == (Level.OK, Level.FAIL)
    assert (level["prints"], level["other"]) == (Level.OK, Level.FAIL)
    assert level["nowhere"] is level["unknown"] is level["elsewhere"] is Level.UNKNOWN
    assert marker.exists()
    fails = view.item("fails")
    assert fails is not None
    assert "Error: no such thing" in fails.findings[0].evidence
    assert sensed_verdict(view) is Verdict.NO_GO
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"987654" in _bytes(path)]
    assert not left


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_names_that_look_like_commands_are_harmless(console: Open, flow: Flow) -> None:
    bad = "-rf $(touch pwned) 'a\"b\nc.txt"
    flow.commit(bad, "x", "feat: $(touch pwned) `id` -- --all")
    flow.push("staging")
    view = await sense_once(console(), book(Step(id="list", title="List", run="ls")), "production")
    assert view.items[0].level is Level.OK
    assert not list(flow.folder.rglob("pwned"))


async def test_a_run_that_cannot_be_written_does_not_begin(console: Open, flow: Flow) -> None:
    (flow.folder / "journal").write_text("a file where the folder should be")
    with pytest.raises(OpsError):
        await Walk.begin(console(), BOOK, "production")


async def test_a_runbook_of_another_environment_is_refused(console: Open) -> None:
    with pytest.raises(OpsError, match="not for staging"):
        await Walk.begin(console(), BOOK, "staging")


async def test_every_step_is_in_the_journal(console: Open) -> None:
    workspace = console()
    walk = await Walk.begin(workspace, BOOK, "production")
    walk.start()
    try:
        await walk.sensed()
        await walk.answer("team", Word.HANDED, to="eve")
    finally:
        await walk.close()
    entries = await workspace.journal.read(Filter(act=walk.run.id))
    assert [entry.kind for entry in entries] == [RunKind.BEGUN, RunKind.SENSED, RunKind.ANSWERED]
    assert entries[2].text == "handed to eve"
