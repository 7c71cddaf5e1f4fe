"""The runbook "incident": what it senses is what was said in the journal, on whichever console."""

from __future__ import annotations

import pytest

from muva_console.ops.deploys.acts import message_text
from muva_console.ops.errors import OpsError
from muva_console.ops.incidents.desk import Desk
from muva_console.ops.incidents.model import Role, Severity
from muva_console.ops.runbooks.load import find_runbook, load_runbooks
from tests.deploys.conftest import _gathered, scene
from tests.deploys.scene import Scene

__all__ = ["_gathered", "scene"]


async def test_it_senses_what_was_said_and_tells_the_team(scene: Scene) -> None:
    desk = Desk(scene.journal)
    names = ("incident-open", "incident-led", "incident-stable")

    async def levels() -> list[str]:
        return [(await scene.checked(name))[0] for name in names]

    assert await levels() == ["unknown", "unknown", "unknown"]
    with pytest.raises(OpsError, match="no incident of production"):
        await message_text(scene.context(message="incident"))
    await desk.open("staging", "another's", Severity.LOW)
    assert await levels() == ["unknown", "unknown", "unknown"]
    one = await desk.open("production", "bookings fail", Severity.CRITICAL)
    assert await levels() == ["ok", "fail", "fail"]
    one = await desk.hand_over(one, Role.COMMANDER, "eve")
    assert (await scene.checked("incident-led")) == ("warn", "nobody has operations and communications")
    assert "commander: nobody → eve" in await message_text(scene.context(message="incident"))
    one = await desk.set_severity(one, Severity.LOW)
    assert await levels() == ["ok", "ok", "fail"]
    one = await desk.stable(one, "a guest says so", verified=False)
    assert (await scene.checked("incident-stable"))[0] == "warn"
    one = await desk.unstable(one, "again")
    one = await desk.stable(one, "8 health checks passed", verified=True)
    assert await levels() == ["ok", "ok", "ok"]
    await desk.close(one)
    assert await levels() == ["unknown", "unknown", "ok"]
    assert "closed" in await message_text(scene.context(message="incident"))


def test_it_is_for_every_environment_that_guests_or_testers_use() -> None:
    book = find_runbook(load_runbooks(), "incident")
    assert book.environments == ("staging", "production")
    assert not book.ordered
    assert {step.check for step in book.steps} >= {"incident-open", "incident-led", "incident-stable"}
