"""A release that passes every sensed item, and for each item a fault that makes exactly that one fail.

On a real estate; breaking in, looking and mending as `muva drill` and `muva checklist` do.
"""

from __future__ import annotations

from muva_console.drill import faults
from muva_console.drill.github import server
from muva_console.drill.state import Estate
from muva_console.ops.readings import Level, Verdict
from muva_console.ops.runbooks.load import runbooks_of
from muva_console.ops.runbooks.model import StepKind
from muva_console.ops.walking.once import sensed_verdict
from tests.checklist_cli import cases
from tests.checklist_cli.cases import BUILDS, CASES, LISTS
from tests.checklist_cli.looking import (
    amiss,
    assert_fails_alone,
    assert_go,
    grouped,
    look,
    settle,
    told,
    until_stable,
)
from tests.hostility.parts import frozen, opened


async def test_every_sensed_item_has_a_fault_and_every_fault_names_its_items(estate: Estate) -> None:
    async with opened(estate.config) as workspace:
        sensed = {
            f"{book.id}/{step.id}"
            for book in runbooks_of(workspace.config)
            if book.id in LISTS
            for step in book.for_environment(LISTS[book.id])
            if step.kind is StepKind.CHECK
        }
    assert {f"{case.book}/{name}" for case in CASES for name in case.fails} == sensed
    for fault in faults.FAULTS:
        assert set(fault.items) <= sensed, fault.name
    for case in CASES:
        items = faults.find(case.fault).items
        assert f"{case.book}/{case.fails[0]}" in items, case
        assert len(case.fails) + len(case.unknown) == 1 or case.because, case


async def test_what_goes_out_from_dev(breakable_estate: Estate) -> None:
    for group in grouped(cases.ON_DEV):
        await assert_fails_alone(breakable_estate, *group)
    await assert_go(breakable_estate, "pre-deploy-staging", without=BUILDS)


async def test_what_staging_has_to_show(breakable_estate: Estate) -> None:
    settle(breakable_estate)
    for group in grouped(cases.BEFORE_PRODUCTION):
        await assert_fails_alone(breakable_estate, *group)
    await assert_go(breakable_estate, "pre-deploy-production", "review")


async def test_what_a_deployment_leaves(breakable_estate: Estate) -> None:
    settle(breakable_estate)
    await until_stable(breakable_estate)
    await assert_go(breakable_estate, "post-deploy-production", "post-deploy-staging")
    for group in grouped(cases.AFTER):
        settle(breakable_estate)
        await assert_fails_alone(breakable_estate, *group)


async def test_github_gone_and_github_that_hangs(breakable_estate: Estate) -> None:
    """The item is unknown with the reason, whether it is told at once or never; the others are well."""
    pid = server.server_pid(breakable_estate)
    assert pid is not None
    with frozen(pid):
        hanging = await look(
            breakable_estate, "pre-deploy-staging", without=BUILDS, timeouts={"code-review": 1}
        )
    await faults.break_in(breakable_estate.directory, "github-gone")
    gone = await look(breakable_estate, "pre-deploy-staging", without=BUILDS)
    for view, why in ((hanging, "no answer within 1 s"), (gone, "the connection is refused")):
        assert amiss(view) == {"code-review": Level.UNKNOWN}, told(view)
        item = view.item("code-review")
        assert item is not None and why in item.summary
        assert sensed_verdict(view) is Verdict.CANNOT_TELL
    await faults.mend(breakable_estate.directory)
    await assert_go(breakable_estate, "pre-deploy-staging", without=BUILDS)
