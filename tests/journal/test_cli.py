"""`muva journal`, as a person and as a script use it."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from muva_console.cli import run
from muva_console.ops.journal import Draft, Journal, Kind, Outcome, new_act
from tests.journal.conftest import DANA, redact
from tests.patience import HANG


class Cli:
    """Runs commands on one journal's folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.err = ""

    def __call__(self, *arguments: str, status: int = 0, before: tuple[str, ...] = ()) -> str:
        """What it prints on standard output; `err` keeps standard error."""
        got = run([*before, "journal", *arguments, "--directory", str(self.folder)])
        out, self.err = self._capsys.readouterr()
        assert got == status, (out, self.err)
        return out

    def json(self, *arguments: str, status: int = 0) -> Any:
        """What it prints with --json, which is JSON and nothing else."""
        return json.loads(self(*arguments, "--json", status=status))


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(folder, capsys)


def written(folder: Path) -> None:
    async def main() -> None:
        journal = Journal(folder, DANA, redact=redact)
        act = new_act()
        draft = Draft(
            kind="",
            subject="process-restart muva on vps",
            text="Restart",
            environment="production",
            data={"plan": {"target": "muva on vps"}},
            act=act,
        )
        await journal.begin_act(draft, target="muva on vps")
        await journal.end_act(
            Draft(
                kind="",
                subject="process-restart muva on vps",
                text="no answer",
                environment="production",
                data={"outcome": Outcome.FAILED.value},
                act=act,
            )
        )
        await journal.append(
            Draft(kind=Kind.FINDING, subject="api-health", text="502", environment="staging")
        )
        await journal.note("**bold** | <script> `x`\nsecond line", environment="staging")
        await journal.close()

    asyncio.run(main())


def test_an_empty_journal(cli: Cli) -> None:
    assert cli() == ""
    assert cli.json() == []
    assert "empty" in cli("verify")
    assert cli("open") == "no act is open\n"
    assert cli("export") == ""
    assert not cli.folder.exists()


def test_reading(cli: Cli) -> None:
    written(cli.folder)
    lines = cli().splitlines()
    assert len(lines) == 4
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ #2 +production +act-ended failed +dana +", lines[1])
    assert lines[1].endswith("process-restart muva on vps: no answer")
    assert [entry["id"] for entry in cli.json()] == [1, 2, 3, 4]
    assert [entry["id"] for entry in cli.json("--env", "staging", "--kind", "finding")] == [3]
    assert [entry["id"] for entry in cli.json("--kind", "note", "--kind", "finding", "--limit", "1")] == [4]
    assert [entry["id"] for entry in cli.json("--grep", "no ANSWER|502")] == [2, 3]
    assert [entry["id"] for entry in cli.json("--since", "1h")] == [1, 2, 3, 4]
    assert cli.json("--until", "1h") == []
    assert cli.json("--since", "2999-01-01") == []
    assert cli.json("--engineer", "eve") == []
    assert cli.json()[1]["outcome"] == "failed"
    assert len(cli.json("--all", "--limit", "1")) == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("--grep", "("),
        ("--since", "yesterday"),
        ("--json", "--markdown"),
        ("--follow", "--markdown"),
        ("note", " "),
        ("verify", "--expect", "1"),
        ("verify", "--expect", "x:abcdef0123"),
        ("settle", "0", "x"),
        ("--limit", "0"),
    ],
)
def test_usage_is_told_apart(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments, status=2) == ""
    assert cli.err


def test_verify(cli: Cli) -> None:
    written(cli.folder)
    good = cli.json("verify")
    assert (good["level"], good["entries"], good["flaw"]) == ("ok", 4, None)
    head = good["head_token"]
    assert f"head {head}" in cli("verify")
    assert cli.json("verify", "--expect", head)["level"] == "ok"
    assert cli.json("verify", "--expect", f"4:{'0' * 12}", status=1)["flaw"]["problem"] == "rewritten"
    with sqlite3.connect(cli.folder / "journal.db") as other:
        other.execute("DROP TRIGGER entry_is_never_changed")
        other.execute("UPDATE entry SET text = 'all was well' WHERE id = 2")
    told = cli("verify", status=1)
    assert "entry 2 is not what was written" in told
    assert cli.json("verify", status=1)["flaw"] == {
        "id": 2,
        "problem": "edited",
        "text": "entry 2 is not what was written: its hash does not fit",
    }
    (cli.folder / "journal.anchors").unlink()
    for path in cli.folder.glob("journal.db*"):
        path.unlink()
    written(cli.folder)
    (cli.folder / "journal.anchors").unlink()
    assert cli.json("verify", status=3)["level"] == "unknown"


def test_what_cannot_be_read_is_not_healthy(cli: Cli) -> None:
    cli.folder.mkdir()
    (cli.folder / "journal.db").write_bytes(b"no database" * 1000)
    for arguments in ((), ("verify",), ("open",), ("export",)):
        assert cli(*arguments, status=1) == ""
        assert "damaged" in cli.err
        assert "move" in cli.err
    written_newer = sqlite3.connect(cli.folder / "newer.db")
    written_newer.execute("PRAGMA application_id = 0x6D757661")
    written_newer.execute("PRAGMA user_version = 99")
    written_newer.close()
    (cli.folder / "newer.db").rename(cli.folder / "journal.db")
    assert cli("verify", status=3) == ""
    assert "update muva-console" in cli.err


def test_export_and_verify_the_export(cli: Cli, tmp_path: Path) -> None:
    written(cli.folder)
    file = tmp_path / "export.jsonl"
    assert cli("export", "--output", str(file)) == ""
    assert "4 lines" in cli.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cli("export") == file.read_text()
    head = cli.json("verify")["head_token"]
    assert cli.json("verify", "--export", str(file), status=3)["entries"] == 4
    assert cli.json("verify", "--export", str(file), "--expect", head)["level"] == "ok"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].replace("no answer", "fine"), *lines[2:]]))
    assert cli.json("verify", "--export", str(file), status=1)["flaw"]["id"] == 2
    file.write_text("\n".join(lines[:3]))
    assert cli.json("verify", "--export", str(file), "--expect", head, status=1)["flaw"]["id"] == 4
    file.write_text("no export")
    assert cli("verify", "--export", str(file), status=1) == ""
    assert "line 1" in cli.err
    assert cli("export", "--output", str(file), status=2) == ""
    assert "File exists" in cli.err
    assert file.read_text() == "no export"


def test_markdown_stays_text(cli: Cli) -> None:
    written(cli.folder)
    for told in (cli("--markdown"), cli("export", "--markdown")):
        row = next(line for line in told.splitlines() if "second line" in line)
        assert r"\*\*bold\*\* \| \<script\> \`x\`<br>second line" in row
        assert re.sub(r"\\.", "", row).count("|") == 7
        assert told.startswith("# Journal\n")


def test_notes(cli: Cli) -> None:
    entry = cli.json("note", "the database is back \x1b[31m", "--env", "production")
    assert (entry["kind"], entry["environment"]) == ("note", "production")
    assert entry["text"].startswith("the database is back")
    assert "\x1b" not in entry["text"]
    assert "a second" in cli("note", "a second")
    assert len(cli.json()) == 2
    cli("note", "password=hunter2hunter2 postgres://u:hunter2hunter2@db/x")
    assert b"hunter2" not in b"".join(path.read_bytes() for path in cli.folder.iterdir() if path.is_file())


def test_a_killed_act_is_listed_and_settled(cli: Cli) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.worker", "act", str(cli.folder), "1"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    number = process.stdout.readline().split()[1].decode()
    assert "still running" in cli("open")
    assert [act["life"] for act in cli.json("open")] == ["running"]
    assert "still running" in cli("settle", number, "no", status=1) + cli.err
    process.kill()
    process.communicate()
    assert "interrupted: outcome unknown" in cli("open", status=1)
    cli()
    assert f"muva journal settle {number}" in cli.err
    assert cli("settle", number, "x", before=("--read-only",), status=1) == ""
    assert "read-only" in cli.err
    assert "interrupted" in cli("open", status=1)
    assert cli.json("settle", number, "it was restarted")["outcome"] == "unknown"
    assert cli("open") == "no act is open\n"
    cli("settle", number, "twice", status=1)
    assert "not an act without an end" in cli.err


def test_the_configuration_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "muva.toml"
    config.write_text('[journal]\ndirectory = "team"\n[environments.dev]\nbranch = "dev"\n')
    monkeypatch.chdir("/")
    assert run(["--config", str(config), "journal", "note", "hello"]) == 0, capsys.readouterr()
    assert stat.S_IMODE((tmp_path / "team").stat().st_mode) == 0o2770
    assert (tmp_path / "team" / "journal.db").exists()
    config.write_text('[environments.dev]\nbranch = "dev"\n')
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert run(["--config", str(config), "journal", "note", "hello"]) == 0
    (own,) = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert (own / "journal.db").exists()


async def test_following(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "muva_console", "journal", "--follow", "--json", "--directory", str(folder),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    journal = Journal(folder, DANA, redact=redact)
    try:
        async with asyncio.timeout(HANG):
            reading = asyncio.create_task(process.stdout.readline())
            while not reading.done():  # it may not be looking yet when the first ones are written
                await journal.note("hello")
                await asyncio.wait({reading}, timeout=0.1)
            assert json.loads(await reading)["text"] == "hello"
    finally:
        process.terminate()
        await process.wait()
        await journal.close()
