"""The team is told of a deployment once: what the journal's acts of telling say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.told import refuse_told
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Draft, Journal, Kind, Outcome
from muva_console.ops.release.records import KIND
from tests.deploys.scene import Scene

ONE, OTHER = "a" * 40, "b" * 40


@pytest.fixture
def journal(scene: Scene) -> Journal:
    return scene.journal


@pytest.fixture
def tell(journal: Journal) -> Callable[..., Awaitable[None]]:
    async def tell(commit: str, outcome: Outcome = Outcome.DONE, message: str = "deployed") -> None:
        act = f"act {commit[:2]} {outcome} {message}"
        plan = Draft(
            kind=Kind.ACT_BEGUN, subject="notify Slack #team", text="Post", environment="production", act=act
        )
        who = Engineer(name="eve", host="jump", origin="here")
        await journal.begin_act(plan, target="Slack #team", engineer=who)
        data = {"outcome": outcome.value, "message": message, "commit": commit}
        end = Draft(
            kind=Kind.ACT_ENDED,
            subject="notify Slack #team",
            text="posted",
            environment="production",
            data=data,
            act=act,
        )
        await journal.end_act(end, engineer=who)

    return tell


async def test_once_a_deployment(journal: Journal, tell: Callable[..., Awaitable[None]]) -> None:
    await refuse_told(journal, "production", "deployed", ONE)
    await tell(ONE, Outcome.FAILED)
    await tell(ONE, message="pending")
    await tell(OTHER)
    await refuse_told(journal, "production", "deployed", ONE)
    await tell(ONE)
    with pytest.raises(AlreadyError, match=r"the team was told at .*, by .*eve"):
        await refuse_told(journal, "production", "deployed", ONE[:9])
    await refuse_told(journal, "staging", "deployed", ONE)
    await refuse_told(journal, "production", "deployed", "")
    again = Draft(kind=KIND, subject="deployment x", text="", environment="production", data={"commit": ONE})
    await journal.append(again)
    await refuse_told(journal, "production", "deployed", ONE)
