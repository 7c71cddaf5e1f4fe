"""The same release by the console's own link, against the stand-in for GitHub that an estate has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from muva_console.drill.github import records
from muva_console.drill.state import Estate
from muva_console.ops.deploys.branch_act import factory as branch
from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.merge_pull_act import factory as merge
from muva_console.ops.deploys.publish_act import factory as publish
from muva_console.ops.deploys.pull_act import factory as pull
from muva_console.ops.deploys.request_act import factory as request
from muva_console.ops.deploys.review_acts import factory as approve
from muva_console.ops.errors import Refused
from muva_console.ops.journal import Journal
from muva_console.ops.links.github import GitHubLink
from muva_console.ops.links.workshop import Workshop
from tests.deploys.scene import DANA, Scene, act, last
from tests.github.conftest import _standing, hub  # noqa: F401 - fixtures
from tests.workshop.team import Team, git

pytestmark = pytest.mark.xdist_group("github")


def link_of(estate: Estate, login: str) -> GitHubLink:
    async def token() -> str:
        return records.token_file(estate, login).read_text().strip()

    return GitHubLink(estate.github_url, records.REPOSITORY, token, timeout=10)


@pytest.fixture
async def real(hub: Estate, tmp_path: Path) -> AsyncIterator[Scene]:  # noqa: F811
    """A scene whose remote and whose GitHub are the estate's."""
    git(tmp_path, "clone", "-q", "--template=", str(hub.repository), str(tmp_path / "checkout"))
    git(tmp_path, "clone", "-q", "--template=", str(hub.repository), str(tmp_path / "other"))
    team = Team(tmp_path)
    team.remote = hub.repository
    made = Scene(
        tmp_path,
        team,
        Workshop(team.checkout, tmp_path / "cache", fresh=0),
        Journal(tmp_path / "journal", DANA, redact=lambda text: text),
        cast(Any, link_of(hub, "dana-castillo")),
    )
    made.release = {"reviewers": ("eve-lindqvist",)}
    yield made
    await made.workshop.close()
    await made.web.close()
    await made.hub.close()  # type: ignore[attr-defined]
    await made.journal.close()


async def test_a_release_by_the_link_against_the_stand_in(real: Scene, hub: Estate) -> None:  # noqa: F811
    level, summary = await real.checked("release-branch")
    assert level == "pending", summary
    assert summary == "there is no prod/v1.5.0 yet", "staging says 1.5.0-rc.1"
    for factory in (branch, pull, request):
        assert last(await act(factory(real.context())))[0] == "done"
    with pytest.raises(Refused, match="own"):
        await approve(real.context()).plan()
    dana, real.hub = real.hub, cast(Any, link_of(hub, "eve-lindqvist"))
    assert last(await act(approve(real.context())))[0] == "done"
    await real.hub.close()  # type: ignore[attr-defined]
    real.hub = dana
    assert last(await act(merge(real.context())))[0] == "done"
    assert last(await act(publish(real.context())))[0] == "done"
    steps = ("release-branch", "release-pull", "release-requested", "release-approved", "release-merged")
    assert [(await real.checked(name))[0] for name in (*steps, "release-published")] == ["ok"] * 6
    for made in (branch, pull, request, approve, merge, publish):
        with pytest.raises(AlreadyError):
            await made(real.context()).plan()
