"""A console with its own engine on a real repository and a real journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from muva_console.app import MuvaApp
from muva_console.config.load import load
from muva_console.engine import Engine
from muva_console.ops.workspace import Workspace
from tests.stylesheets import style_sheets_parsed_once
from tests.walking.conftest import Flow

__all__ = ["style_sheets_parsed_once"]

QUICK = """
id = "quick"
title = "Quick"
environments = ["@production"]

[[step]]
id = "built"
title = "Build"
run = "echo compiling; test -f feature.txt && echo built"
depends = ["outgoing"]

[[step]]
id = "broken"
title = "Tests"
why = "What is red here is red for everybody."
run = "echo '1 of 3 failed'; exit 1"
depends = ["outgoing"]

[[step]]
id = "team"
title = "Team"
attest = "Does the team know?"
depends = ["outgoing"]

[[step]]
id = "there"
title = "On call"
attest = "Who is there?"
"""


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    made = Flow(tmp_path)
    made.config.write_text(f'{made.config.read_text()}\n[runbooks]\ndirectory = "runbooks"\n')
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "quick.toml").write_text(QUICK)
    return made


Open = Callable[[], MuvaApp]


@pytest.fixture
async def console(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    """Opens consoles on the flow; their engines are stopped and their workspaces closed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(flow.folder / "state"))
    opened: list[tuple[Engine, Workspace]] = []

    def make() -> MuvaApp:
        engine, workspace = Engine(), Workspace(load(flow.config))
        engine.start()
        opened.append((engine, workspace))
        environ = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        return MuvaApp(workspace, engine, environment="production", environ=environ, live=False)

    yield make
    for engine, workspace in opened:
        engine.stop(workspace.close)
