"""The workflows' language: expressions, files, commands in logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muva_console.drill.github import expressions, workflow
from muva_console.drill.github.expressions import Invalid, fill, holds
from muva_console.drill.github.joblogs import JobLog
from muva_console.drill.github.steps import _pairs
from muva_console.drill.parts import APPLICATION
from muva_console.ops.errors import OpsError

GOOD = {"success": True, "failure": False, "cancelled": False, "always": True}
VALUES: dict[str, Any] = {
    "github": {"sha": "abc", "ref_name": "staging"}, "needs": {"deploy": {"outputs": {"previous": "1f"}}},
    "steps": {"a": {"outputs": {"n": "3"}}, "b": {"outputs": {"n": "4"}}}, "()": GOOD,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${{ github.sha }}", "abc"),
        ("to ${{ github['ref_name'] }}!", "to staging!"),
        ("${{ needs.deploy.outputs.previous != '' && 'yes' || 'no' }}", "yes"),
        ("${{ 'It''s' }}", "It's"),
        ("${{ 1 < 2 }} ${{ 'A' == 'a' }} ${{ null }}", "true true "),
        ("${{ contains(github.ref_name, 'STAG') }}", "true"),
        ("${{ format('{0}-{1}', github.sha, 2) }}", "abc-2"),
        ("${{ join(steps.*.outputs.n, '+') }}", "3+4"),
        ("${{ github.nothing.there }}", ""),
    ],
)
def test_expressions(text: str, told: str) -> None:
    assert fill(text, VALUES) == told


@pytest.mark.parametrize(
    "text", ["${{ nobody.sha }}", "${{ 1 + 1 }}", "${{ (1 }}", "${{ f() }}", "${{ github.sha"]
)
def test_what_github_would_not_take(text: str) -> None:
    with pytest.raises(Invalid):
        expressions.check(text)


@given(st.text(alphabet="abgithu.b()'!&|=<> 01[]*,", max_size=25))
def test_nothing_else_comes_of_any_text(text: str) -> None:
    try:
        expressions.compiled(text)(VALUES)
    except Invalid:
        pass
    except TypeError:
        assert "(" in text  # a function with the wrong number of arguments


def test_a_condition_asks_how_things_went() -> None:
    bad = {**VALUES, "()": {**GOOD, "success": False, "failure": True}}
    assert holds("", VALUES) and not holds("", bad)
    assert holds("github.sha == 'abc'", VALUES) and not holds("github.sha == 'abc'", bad)
    condition = expressions.condition("${{ failure() && needs.deploy.outputs.previous != '' }}")
    assert holds(condition, bad) and not holds(condition, VALUES)
    assert holds("always()", bad)


def test_the_workflows_of_the_practice_application() -> None:
    folder = APPLICATION / "github/workflows"
    staging, production = (
        workflow.parse(f"deploy-{name}.yml", (folder / f"deploy-{name}.yml").read_text())
        for name in ("staging", "production")
    )
    # the playbook's eight, in its words
    assert [step.name for step in staging.jobs[0].steps] == [
        "Checkout code", "Setup Node.js + pnpm", "Install dependencies", "Build application",
        "Apply database migrations", "Deploy to VPS staging", "Run health checks", "Restart PM2 service",
    ]  # fmt: skip
    assert [job.key for job in production.jobs] == [
        "approval", "backup", "migrations", "deploy", "health", "rollback",
    ]  # fmt: skip
    assert len(production.jobs[4].steps) == 6, "a checkout and the five checks"
    assert (staging.starts_on("staging"), staging.starts_on("dev"), production.starts_on("main")) == (
        True, False, True,
    )  # fmt: skip
    assert production.jobs[0].environment == "production"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on: push\njobs: {}", "No jobs"),
        ("on: push\njobs:\n  a:\n    steps: [{run: x}]", "runs-on"),
        ("on: push\njobs:\n  a:\n    runs-on: u\n    needs: b\n    steps: [{run: x}]", "unknown job 'b'"),
        ("on: push\njobs:\n  a:\n    runs-on: u\n    steps: [{uses: some/action@v1}]", "beyond this runner"),
        ("on: push\njobs:\n  a:\n    runs-on: u\n    steps: [{run: '${{ x }}'}]", "named-value"),
        ("on: [push", "yaml"),
        ("on: pull_request\njobs: {}", "pull_request"),
    ],
)
def test_a_broken_file_says_where(text: str, said: str) -> None:
    with pytest.raises(workflow.Broken, match=said):
        workflow.parse("x.yml", text)


def test_a_log_hides_secrets_and_does_commands(tmp_path: Path) -> None:
    log = JobLog(tmp_path / "work.log", ["hunter22", "-----BEGIN\nline-two\n-----END"])
    for line in ("a hunter22 b", "line-two", "::group::Build", "::endgroup::", "::error file=x::bad%0Athing",
                 "::add-mask::more-secret", "more-secret", "::unknown::x"):  # fmt: skip
        log.printed(line)
    assert not (tmp_path / "1.txt").exists()
    log.end(tmp_path / "1.txt")
    lines = (tmp_path / "1.txt").read_text().splitlines()
    assert [line[29:] for line in lines if line[4:5] == "-"] == [
        "a *** b", "***", "##[group]Build", "##[endgroup]", "##[error]bad", "***", "::unknown::x",
    ]  # fmt: skip


def test_what_a_step_leaves(tmp_path: Path) -> None:
    file = tmp_path / "output"
    file.write_text("a=1\nb<<END\nx\ny=2\nEND\nc==\n")
    assert _pairs(file) == {"a": "1", "b": "x\ny=2", "c": "="}
    file.write_text("nonsense\n")
    with pytest.raises(OpsError, match="Invalid format"):
        _pairs(file)
