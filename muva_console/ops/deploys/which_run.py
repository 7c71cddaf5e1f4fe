"""Which of a commit's workflow runs is its deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muva_console.ops.links.github_runs import WorkflowRun

STARTS = ("push", "workflow_dispatch")
"""What starts a deployment: the playbook's workflows name these two."""
_WORD = "deploy"


def deploying(runs: Sequence[WorkflowRun]) -> list[WorkflowRun]:
    """The runs that deploy, in their order: those whose workflow's file or name says so, as the playbook's
    do. Where none says so, all that a push or a person started: tests on the same branch are no deployment,
    but nothing else tells them apart.
    """
    started = [one for one in runs if one.event in STARTS]
    named = [one for one in started if _WORD in one.file.lower() or _WORD in one.workflow.lower()]
    return named or started


def deployment(runs: Sequence[WorkflowRun]) -> WorkflowRun | None:
    """The newest of them."""
    return next(iter(deploying(runs)), None)
