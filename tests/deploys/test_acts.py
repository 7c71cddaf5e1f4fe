"""The names that runbooks use: each leads to an act or a check of that name."""

from __future__ import annotations

import pytest

from muva_console.ops.checks import find
from muva_console.ops.deploys.acts import ACTS, operation_for
from tests.deploys.scene import Scene

CHECKS = (
    "merged", "deploy-locked", "deploy-unlocked", "release-branch", "release-pull", "release-requested",
    "release-approved", "release-merged", "deploy-approved", "deploy-recorded", "release-published",
    "issues-closed",
)  # fmt: skip


LOOK_FIRST = ("notify", "process-start", "process-restart", "process-memory-limit")
"""What is made of what is there: tested beside their checks."""


@pytest.mark.parametrize("name", [name for name in ACTS if name not in LOOK_FIRST])
async def test_an_act_is_made_by_its_name(scene: Scene, name: str) -> None:
    assert (await operation_for(name, scene.context())).name == name


def test_each_act_has_its_check() -> None:
    assert [name for name in CHECKS if find(name) is None] == []
