"""The playbook's own runbooks: whole, sound, and in its words."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from muva_console.config.load import load
from muva_console.config.model import Contact
from muva_console.ops.checks import all_checks
from muva_console.ops.deploys.acts import ACTS
from muva_console.ops.errors import ConfigError
from muva_console.ops.runbooks.document import Known, read_document
from muva_console.ops.runbooks.load import (
    ESTATE,
    PLAYBOOK,
    find_runbook,
    load_runbooks,
    runbooks_of,
)
from muva_console.ops.runbooks.model import Basis, StepKind

TOP = Path(__file__).parents[2]
FOLDER = TOP / "muva_console/playbook"


def test_every_file_is_sound_and_names_what_there_is() -> None:
    assert sorted(file.stem for file in FOLDER.glob("*.toml")) == sorted(PLAYBOOK)
    known = Known(
        checks=frozenset(check.name for check in all_checks()),
        operations=frozenset(ACTS),
        environments=tuple(ESTATE),
    )
    for name in PLAYBOOK:
        file = FOLDER / f"{name}.toml"
        document = read_document(file.read_bytes(), file.name, known, team=False)
        assert document.mistakes == []
        assert document.id == name
        assert not document.commands
        assert max(map(len, file.read_text().splitlines())) <= 125, name


def test_the_checklists_have_the_playbooks_items_in_its_order() -> None:
    books = load_runbooks()
    assert [book.id for book in books] == list(PLAYBOOK)
    assert {book.source for book in books} == {"playbook"}
    staging, production = (find_runbook(books, f"pre-deploy-{name}") for name in ("staging", "production"))
    assert [step.title for step in staging.steps] == [
        "Code review",
        "Build success",
        "Tests pass",
        "Local testing",
        "Migrations validated",
        "Migration status",
        "Environment variables",
        "Dependencies",
        "No secrets",
    ]
    assert [step.check or step.operation for step in production.steps] == [
        "staging-validated",
        "database-sync",
        "performance",
        "migration-tested",
        "error-patterns",
        "backup-plan",
        "notify",
        "deployment-window",
        "on-call",
    ]
    assert [step.id for step in production.steps if step.of == "source"] == [
        "performance-check",
        "error-monitoring",
    ]
    assert [step.id for step in staging.steps if not step.sensed] == ["local-testing"]
    sections = {step.section for step in find_runbook(books, "post-rollback").steps}
    assert {section[0] for section in sections} == set("123456")


def test_no_answer_is_believed_for_ever_and_every_item_says_why() -> None:
    """Whatever a person says before or after a deployment hangs on a commit or on time. After a rollback it
    is about the incident, and stays.
    """
    for book in load_runbooks():
        for step in book.steps:
            where = f"{book.id}: {step.id}"
            if step.kind is StepKind.TEXT:
                assert step.text, where
                continue
            assert len(step.why) > 40, where
            assert "\n" not in step.why, where
            if book.id != "post-rollback":
                assert step.depends or step.expires, where
            if step.attest:
                assert "?" in step.attest, where
            if book.id.startswith("post-deploy") and step.sensed:
                assert Basis.SERVING in step.depends, where
                assert step.expires, where
    build = find_runbook(load_runbooks(), "pre-deploy-staging").step("build-success")
    assert build is not None
    assert (build.expires, build.depends) == (None, (Basis.OUTGOING,)), "a build hangs on its commit alone"


def test_what_no_machine_may_be_able_to_tell_is_then_asked() -> None:
    steps = [(book.id, step) for book in load_runbooks() for step in book.steps]
    both = {
        step.check or step.operation for _, step in steps if step.attest and step.kind is not StepKind.ATTEST
    }
    assert both == {
        "tests",
        "deployment-window",
        "on-call",
        "user-flows",
        "maintenance-on",
        "maintenance-off",
        "notify",
    }
    reviewed = [step for _, step in steps if step.check == "code-review"]
    assert len(reviewed) == 2
    assert not any(step.attest for step in reviewed), "unknown without GitHub, never ticked"


def test_commands_that_do_not_exist_are_not_passed_on() -> None:
    """incidents.md, where the playbook is wrong."""
    for book in load_runbooks():
        for step in book.steps:
            assert "--request-review" not in step.command
            assert not re.search(r"cat \.env", step.command)
    approve = find_runbook(load_runbooks(), "review").step("approve")
    assert approve is not None
    assert "does not exist" in approve.text


def test_every_command_of_the_checklists_is_there() -> None:
    """The commands of the playbook's checklists, so far as they observe."""
    told = "\n".join(step.command for book in load_runbooks() for step in book.steps)
    for command in (
        "pnpm run build",
        "scripts/validate-migrations.ts",
        "scripts/migration-status.ts --env=dev",
        "curl https://simmerdown.staging.muva.chat/api/health | jq",
        "curl https://simmerdown.staging.muva.chat/api/health/db | jq",
        "curl https://simmerdown.muva.chat/api/health | jq",
        "curl https://simmerdown.muva.chat/api/health/db | jq",
        "scripts/migration-status.ts --env=staging",
        "scripts/migration-status.ts --env=production",
        "scripts/alert-on-failure.ts --env=staging",
        "scripts/alert-on-failure.ts --env=production",
        "scripts/deployment-metrics.ts --report --env=staging --days=1",
        "scripts/monitoring-dashboard.ts --env=production --refresh=30",
        "pm2 logs muva-production --lines 50",
        "--record --env=production --status=success",
        "--record --env=production --status=rollback",
    ):
        assert command in told, command


# --- the estate ----------------------------------------------------------------------------------------


def test_staging_and_production_are_found_by_what_they_are() -> None:
    estate = {"entwicklung": False, "vorschau": False, "eu": True, "us": True}
    books = load_runbooks(environments=estate)
    assert find_runbook(books, "pre-deploy-staging").environments == ("vorschau",)
    assert find_runbook(books, "pre-deploy-production").environments == ("eu", "us")
    notify = find_runbook(books, "notify")
    assert notify.environments == ("vorschau", "eu", "us")
    assert len(notify.for_environment("vorschau")) == 1
    assert len(notify.for_environment("us")) == 3
    alone = find_runbook(load_runbooks(environments={"live": True}), "pre-deploy-staging")
    assert alone.environments == ("@staging",), "for no environment, not for every one"


def test_the_contacts_are_those_of_the_configuration() -> None:
    config = load(TOP / "muva.toml").config
    book = find_runbook(runbooks_of(config), "contacts")
    assert [(step.title, step.text) for step in book.steps[1:]] == [
        ("Tech Lead", "@lead-dev (Slack)"),
        ("DevOps", "@devops-lead (Slack)"),
        ("Database", "@db-admin (Slack)"),
        ("On-Call", "see the rotation (PagerDuty)"),
    ]
    assert {step.kind for step in book.steps} == {StepKind.TEXT}
    (one,) = find_runbook(load_runbooks(contacts=[Contact(role="A\x1b[2J", name="b")]), "contacts").steps[1:]
    assert one.title == "A"
    assert "No contacts" in find_runbook(load_runbooks(), "contacts").steps[1].title


def test_a_runbook_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="did you mean pre-deploy-staging") as caught:
        find_runbook(load_runbooks(), "pre-deploy-stagin")
    assert "post-rollback" in "\n".join(caught.value.lines())


def test_the_wheel_holds_the_files(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=TOP,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in PLAYBOOK:
        assert f"muva_console/playbook/{name}.toml" in names
