"""A scene made once, and a copy of it for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muva_console.ops.journal import Journal
from muva_console.ops.links.workshop import Workshop
from tests.deploys.hub import Hub
from tests.deploys.scene import DANA, PACKAGE, Scene
from tests.workshop.team import Team, git


@pytest.fixture(scope="session")
def _gathered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main 1.4.2; staging one fix further, merged there by hand; dev a feature and a migration further."""
    folder = tmp_path_factory.mktemp("deploys")
    team = Team(folder)
    team.gather()
    git(team.other, "checkout", "-q", "main")
    team.commit(
        "feat: begin", {"package.json": PACKAGE, "pages.txt": b"".join(b"%d\n" % n for n in range(40))}
    )
    git(team.other, "branch", "-q", "-f", "staging")
    git(team.other, "checkout", "-q", "-b", "dev")
    team.commit("fix(rates): show the rates of next year (#43)", {"src/rates.js": b"1\n"})
    git(team.other, "checkout", "-q", "staging")
    git(team.other, "merge", "-q", "--no-ff", "-m", "Merge branch 'dev' into staging", "dev")
    git(team.other, "checkout", "-q", "dev")
    team.commit("feat(reviews): let guests review (#45)\n\nCloses #12", {"src/reviews.js": b"1\n"})
    team.push("origin", "-f", "main", "staging", "dev")
    return folder


@pytest.fixture
async def scene(_gathered: Path, tmp_path: Path) -> AsyncIterator[Scene]:
    shutil.copytree(_gathered, tmp_path, dirs_exist_ok=True)
    team = Team(tmp_path)
    git(tmp_path, "clone", "-q", "--template=", str(team.remote), str(tmp_path / "hub"))
    git(team.checkout, "config", "user.name", "Dana Castillo")
    git(team.checkout, "config", "user.email", "dana@example.com")
    journal = Journal(tmp_path / "journal", DANA, redact=lambda text: text)
    workshop = Workshop(team.checkout, tmp_path / "cache", fresh=0)
    made = Scene(tmp_path, team, workshop, journal, Hub(team.remote, tmp_path / "hub"))
    yield made
    await workshop.close()
    await made.web.close()
    await journal.close()
