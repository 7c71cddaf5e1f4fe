"""The pull request's body: filled with what is known, ticked where evidence says so and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from muva_console.ops.deploys.body import read_facts, render, way_back
from muva_console.ops.deploys.candidate import candidate_of
from muva_console.ops.deploys.evidence import BEFORE_PRODUCTION, BEFORE_STAGING
from muva_console.ops.journal.model import Draft
from muva_console.ops.journal.store import new_act
from muva_console.ops.readings import Finding, Level
from muva_console.ops.runbooks.model import Runbook, Step
from muva_console.ops.runbooks.run import RunKind, Word, answered_data, begun_data, sensed_data, subject
from tests.deploys.scene import Scene

HEADINGS = [
    "## Release Summary", "## Changes Included", "## Testing", "## Database Migrations", "## Rollback Plan",
    "## Post-Deployment Verification", "## Approver Checklist",
]  # fmt: skip


async def walked(scene: Scene, runbook: str, environment: str, items: Mapping[str, Any], commit: str) -> None:
    """A run in the journal: items with the level that a machine found, or the word that a person said."""
    steps = tuple(Step(id=name, title=name, check="x") for name in items)
    act = new_act()

    async def write(kind: str, data: dict[str, Any], item: str = "") -> None:
        await scene.journal.append(
            Draft(kind=kind, subject=subject(runbook, item), environment=environment, data=data, act=act)
        )

    await write(RunKind.BEGUN, begun_data(Runbook(id=runbook, title=runbook, steps=steps), environment, {}))
    for item, told in items.items():
        basis = {"outgoing": commit}
        if isinstance(told, Word):
            await write(RunKind.ANSWERED, answered_data(item, told, note="because", basis=basis), item)
            continue
        finding = Finding(check="x", level=told, summary=f"{item} seen", at=datetime.now(UTC))
        await write(RunKind.SENSED, sensed_data(item, [finding], basis), item)


async def body_of(scene: Scene, **given: Any) -> str:
    ctx = scene.context(**given)
    return render(await read_facts(ctx, await candidate_of(ctx)))


async def test_the_playbooks_body_is_filled_in(scene: Scene) -> None:
    scene.commit(
        "staging",
        "feat(reviews): let guests review (#45)",
        {"supabase/migrations/20251121100000_add_reviews.sql": b"alter table bookings drop column note;\n"},
    )
    number = scene.hub.add("dev", "staging", "carried on")
    scene.hub.pull_requests[45] = scene.hub.pull_requests.pop(number)
    text = await body_of(scene)
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    assert (
        "- reviews: let guests review (#45, " in text and "- rates: show the rates of next year (#43" in text
    )
    assert "Pull requests:" not in text, "one between branches of the flow only carries"
    assert "- [x] Migration file: `20251121100000_add_reviews.sql`" in text
    assert "  - fail, line 1: " in text or "  - warn, line 1: " in text
    assert "- not known: no database is configured for production: every table is taken as large" in text
    assert "What production serves now is not known; its branch stands at" in text
    assert "The journal has no good deployment on record" in text
    assert "- [ ] Tested in staging environment — no run of pre-deploy-production is in the journal" in text
    assert text.count("- [x]") == 1, "nothing is ticked without evidence"


async def test_what_others_wrote_is_text_and_calls_nobody(scene: Scene) -> None:
    scene.commit("staging", "fix: thank @everyone <script> **bold** \x1b[31m`x`", {"x.txt": b"1"})
    text = await body_of(scene)
    assert "@everyone" not in text and "<script" not in text.replace("\\<", "") and "\x1b" not in text
    assert r"\*\*bold\*\*" in text


async def test_only_what_evidence_shows_of_this_commit_is_ticked(scene: Scene) -> None:
    staging, dev = scene.head("staging"), scene.head("staging^2")
    await walked(
        scene, BEFORE_STAGING, "staging",
        {"local-testing": Word.YES, "build-success": Level.OK, "migrations-validated": Word.NOT_APPLICABLE},
        dev,
    )  # fmt: skip
    await walked(scene, BEFORE_PRODUCTION, "production", {"staging-validated": Level.OK}, "0" * 40)
    await walked(
        scene, BEFORE_PRODUCTION, "production",
        {"staging-validated": Level.OK, "performance-check": Level.WARN, "error-monitoring": Level.UNKNOWN},
        staging,
    )  # fmt: skip
    text = await body_of(scene)
    lines = {line.partition("] ")[2].partition(" —")[0]: line for line in text.splitlines() if "] " in line}
    assert lines["Tested in dev environment"].startswith("- [x]")
    assert "said by dana: because" in lines["Tested in dev environment"]
    assert lines["Build and tests pass"].startswith("- [x]"), "the merge of it adds nothing"
    assert lines["Tested in staging environment"].startswith("- [x]"), "the newest run counts"
    assert lines["Performance verified"].startswith("- [ ]") and "warn: " in lines["Performance verified"]
    assert lines["Error monitoring clear"].startswith("- [ ]")
    assert "not applicable by dana: because" in lines["Database migrations validated"]
    scene.commit("staging", "fix: newer", {"newer.txt": b"1"})
    text = await body_of(scene)
    assert "- [ ] Tested in staging environment" in text and f"found for {staging[:7]}, and " in text
    assert "- [x]" not in text.partition("## Database")[0]


async def test_overridden_is_not_shown_as_tested(scene: Scene) -> None:
    staging = scene.head("staging")
    await walked(scene, BEFORE_PRODUCTION, "production", {"staging-validated": Word.OVERRIDDEN}, staging)
    assert "- [ ] Tested in staging environment — overridden by dana: because" in await body_of(scene)


async def test_the_release_to_return_to(scene: Scene) -> None:
    main = scene.head("main")
    await scene.journal.append(
        Draft(
            kind="deployment",
            subject="deployment",
            environment="production",
            data={
                "id": "production/run/6/1",
                "environment": "production",
                "commit": main,
                "branch": "main",
                "version": "1.4.2",
                "status": "success",
                "finished": "2026-11-20T10:00:00Z",
            },
        )
    )
    lines = await way_back(scene.context(), main)
    assert lines[1] == f"The last deployment that is recorded as good is `{main[:12]}` v1.4.2 of 2026-11-20"


async def test_a_very_long_body_fits(scene: Scene) -> None:
    for number in range(3):
        scene.commit("staging", f"fix: {number} {'x' * 250}", {"a.txt": b"%d" % number})
    assert len(await body_of(scene, summary="y" * 10_000)) < 65_536
