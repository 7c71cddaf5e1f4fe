"""Which of a commit's runs is the deployment, where others ran on the same branch."""

from __future__ import annotations

from msgspec import structs

from muva_console.ops.deploys.which_run import deploying, deployment
from tests.deploys.test_run_checks import run_at

SHA = "a" * 40


def test_tests_on_the_same_branch_are_no_deployment() -> None:
    tests = structs.replace(run_at(SHA), id=9, workflow="CI", path=".github/workflows/ci.yml")
    live = structs.replace(run_at(SHA), id=8, workflow="Ship", path=".github/workflows/deploy-staging.yml")
    older = structs.replace(live, id=7)
    nightly = structs.replace(live, id=10, event="schedule")
    assert deployment([nightly, tests, live, older]) == live
    assert [one.id for one in deploying([tests, live, older])] == [8, 7]
    assert deployment([tests]) == tests, "nothing tells it apart"
    assert deployment([nightly]) is None
