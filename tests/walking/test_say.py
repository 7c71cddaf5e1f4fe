"""The command line of a run: what is said hangs on what it was said of, and a slip is no verdict."""

from __future__ import annotations

import asyncio

import pytest

from muva_console.ops.runbooks.model import Basis, Runbook, Step
from muva_console.ops.runbooks.run import Word
from muva_console.ops.walking.runs import read_run
from muva_console.ops.walking.walk import Walk
from tests.cli.conftest import Muva
from tests.patience import HANG
from tests.walking.conftest import Flow, Open

TRIED = Runbook(
    id="pre",
    title="Before",
    environments=("production",),
    steps=(Step(id="tried", title="Tried", attest="Have you tried it?", depends=(Basis.OUTGOING,)),),
)


async def test_what_is_said_on_the_command_line_is_asked_anew_for_a_new_commit(
    console: Open, flow: Flow, muva: Muva
) -> None:
    walk = await Walk.begin(console(), TRIED, "production")
    words = ("checklist", "--run", walk.run.id, "--json")
    answer = await muva(*words, "--item", "tried", "--say", "yes", config=flow.config)
    assert (answer.status, answer.data["verdict"]) == (0, "GO"), answer.err
    item = (await read_run(console(), walk.run.id)).item("tried")
    assert item is not None and item.answer is not None
    assert item.answer.word is Word.YES
    assert item.answer.basis == {Basis.OUTGOING: flow._git("rev-parse", "HEAD")}

    flow.commit("more.txt", "x", "feat: yet more")
    flow.push("staging")
    async with asyncio.timeout(HANG):
        while answer.status == 0:  # what was fetched a moment ago is not fetched again
            answer = await muva(*words, config=flow.config)
    assert (answer.status, answer.data["verdict"]) == (3, "CANNOT TELL")
    assert "another commit is going out" in answer.out


@pytest.mark.parametrize(
    "words",
    [
        ("pre-deploy-production", "--env", "staging"),
        ("pre-deploy-production", "--env", "production", "--item", "no-such-item"),
        ("pre-deploy-production", "--env", "production", "--begin", "--item", "on-call-available"),
        ("pre-deploy-production", "--run", "0123abcd"),
        ("--run", "0123abcd"),
        ("--runs", "--run", "0123abcd"),
        ("--run", "0123abcd", "--item", "x", "--note", "said nothing"),
        ("--run", "0123abcd", "--item", "x", "--say", "yes", "--to", "eve"),
        ("--begin",),
        ("--item", "x"),
        ("pre-deploy-production", "--json", "--markdown"),
    ],
)
async def test_a_slip_is_told_as_one_and_not_as_no_go(flow: Flow, muva: Muva, words: tuple[str, ...]) -> None:
    answer = await muva("checklist", *words, config=flow.config)
    assert (answer.status, answer.out) == (2, ""), answer.err
    assert answer.err
