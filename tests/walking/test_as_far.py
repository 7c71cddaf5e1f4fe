"""The verdict as far as a machine can tell: what it was to tell and could not is no GO."""

from __future__ import annotations

import pytest

from muva_console.ops.readings import Level, Verdict
from muva_console.ops.runbooks.model import Step
from muva_console.ops.runbooks.standing import State
from muva_console.ops.walking.once import sense_once, sensed_verdict
from tests.walking.conftest import Flow, Open
from tests.walking.test_walk import book

TESTS = Step(id="tests", title="Tests", check="tests", attest="Did the tests pass?")
WINDOW = Step(id="window", title="Window", check="deployment-window", attest="Is it a quiet time?")


async def test_what_is_not_configured_waits_for_a_person_alone(console: Open, flow: Flow) -> None:
    flow.config.write_text(flow.config.read_text().replace("[project]", '[project]\nbuild = "true"'))
    build = Step(id="build", title="Build", check="build")
    view = await sense_once(console(), book(build, TESTS, WINDOW), "production")
    assert [item.state for item in view.items] == [State.SENSED, State.YOURS, State.YOURS]
    assert sensed_verdict(view) is Verdict.GO


async def test_what_is_built_stands_in_the_command_log(console: Open, flow: Flow) -> None:
    given = '[project]\nbuild = "echo built"\ntests = "echo tested"'
    flow.config.write_text(flow.config.read_text().replace("[project]", given))
    workspace = console()
    await sense_once(workspace, book(TESTS), "production")
    lines = [record.line for record in workspace.commands.records()]
    assert {"echo built", "echo tested"} <= set(lines)


@pytest.mark.parametrize(
    ("build", "tests"), [("true", "no-such-program"), ("no-such-program", "true"), ("false", "true")]
)
async def test_what_is_configured_and_could_not_be_asked_is_unknown(
    console: Open, flow: Flow, build: str, tests: str
) -> None:
    given = f'[project]\nbuild = "{build}"\ntests = "{tests}"'
    flow.config.write_text(flow.config.read_text().replace("[project]", given))
    well = Step(id="well", title="Well", run="true")
    view = await sense_once(console(), book(well, TESTS), "production")
    first, item = view.items
    assert first.level is Level.OK
    assert (item.level, item.state) == (Level.UNKNOWN, State.YOURS)  # a person may know it all the same
    assert sensed_verdict(view) is Verdict.CANNOT_TELL
