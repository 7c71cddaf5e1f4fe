"""What goes out, and what the checklist said of that very commit."""

from __future__ import annotations

import json
from datetime import timedelta

from muva_console.ops.checks import run_check
from muva_console.ops.deploys import checklist_verdict
from muva_console.ops.deploys.checklist_verdict import Said, tell_of
from muva_console.ops.readings import Finding, Level, Verdict, utc_now
from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import Word
from muva_console.ops.walking.looking import look
from muva_console.ops.walking.walk import Walk
from muva_console.ops.workspace import Workspace
from tests.walking.conftest import Flow, Open

BOOK = Runbook(
    id="pre-deploy-production",
    title="Before",
    steps=(Step(id="team", title="Team", attest="Told?", depends=(Basis.OUTGOING,)),),
)


async def asked(workspace: Workspace, name: str, *, commit: str = "", **given: str) -> Finding:
    workspace.workshop.expire()
    round_ = look(workspace, "production", commit=commit)
    try:
        ctx = round_.target
        ctx.parameters = given
        (found,) = await run_check(name, ctx)
        return found
    finally:
        round_.end()


async def verdict(workspace: Workspace) -> Finding:
    return await asked(workspace, "checklist-verdict", runbook=BOOK.id)


async def walked(workspace: Workspace, word: Word, *, note: str = "told", end: bool = True) -> Walk:
    walk = await Walk.begin(workspace, BOOK, "production")
    walk.start(sense=False)
    await walk.known()
    await walk.answer("team", word, note=note)
    if end:
        await walk.end()
    await walk.close()
    return walk


async def test_the_verdict_is_that_of_the_newest_run_for_this_very_commit(console: Open, flow: Flow) -> None:
    workspace = console()
    none = await verdict(workspace)
    assert (none.level, none.pending) == (Level.UNKNOWN, True)
    assert "muva checklist pre-deploy-production --env production --begin" in none.next
    walk = await walked(workspace, Word.YES)
    go = await verdict(workspace)
    assert (go.level, go.pending) == (Level.OK, False)
    assert walk.run.id[:8] in go.summary
    await walked(workspace, Word.NO, note="nobody is there")
    no = await verdict(workspace)
    assert (no.level, no.evidence) == (Level.FAIL, ("Team: no: nobody is there",))
    open_ = await Walk.begin(workspace, BOOK, "production")
    await open_.close()
    assert (await verdict(workspace)).level is Level.FAIL, "a run that says nothing yet is about no commit"
    await walked(workspace, Word.YES, end=False)
    assert (await verdict(workspace)).level is Level.OK, "an open run that stands at GO"
    flow.commit("more.txt", "x", "feat: more")
    flow.push("staging")
    other = await verdict(console())
    assert (other.level, other.pending) == (Level.UNKNOWN, True), "no verdict of another commit"
    flow.push("main")
    late = await verdict(console())
    assert (late.level, late.pending) == (Level.WARN, False), "it went out without one"


async def test_a_go_of_yesterday_is_walked_again(console: Open) -> None:
    workspace = console()
    walk = await walked(workspace, Word.YES)
    outgoing = await workspace.workshop.outgoing("staging", "main")
    now = utc_now()
    for hours, level in ((1, Level.OK), (13, Level.UNKNOWN)):
        at = now - timedelta(hours=hours)
        said = Said(run=walk.run, verdict=Verdict.GO, at=at, between=())
        assert tell_of(BOOK.id, "production", outgoing, said, now).level is level
    assert checklist_verdict.BELIEVED == 12 * 3600


async def test_what_goes_out_is_told_once_for_a_person_to_read(console: Open, flow: Flow) -> None:
    flow.commit("package.json", json.dumps({"dependencies": {"left-pad": "1.3.0"}}), "build: pad")
    (flow.checkout / "supabase/migrations").mkdir(parents=True)
    flow.commit("supabase/migrations/20260101000000_x.sql", "SELECT 1;", "feat: a table")
    head = flow.commit("app.js", "export const key = process.env.BOOKING_KEY;\n", "feat: a key")
    flow.push("staging")
    workspace = console()
    found = await asked(workspace, "going-out")
    assert found.level is Level.OK
    for part in ("4 commits by Dana", "1 migration", "1 new variable", "of dependencies"):
        assert part in found.summary, found.summary
    told = "\n".join(found.evidence)
    for part in (
        "feat: a key (Dana)",
        "20260101000000_x.sql",
        "BOOKING_KEY",
        "left-pad",
        "pull requests: no",
    ):
        assert part in told, told
    flow.commit("later.txt", "x", "feat: later")
    flow.push("staging")
    moved = await asked(console(), "going-out", commit=head)
    assert moved.level is Level.WARN
    assert "feat: later" not in "\n".join(moved.evidence)
    assert "which this run is not for" in moved.summary
    flow.push("main")
    nothing = await asked(console(), "going-out")
    assert (nothing.level, "nothing is left to go out" in nothing.summary) == (Level.OK, True)
