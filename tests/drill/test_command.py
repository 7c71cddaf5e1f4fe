"""`muva drill` from a shell: data on standard output, narration on standard error, the exit status."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from muva_console.drill import faults
from muva_console.drill.state import Estate
from tests import prepared
from tests.patience import HANG


def muva(*words: str | Path) -> subprocess.CompletedProcess[str]:
    status, out, err = prepared.run("drill", *words, env=os.environ, seconds=HANG)
    return subprocess.CompletedProcess(words, status, out, err)


def test_the_faults_are_listed_with_what_they_do() -> None:
    told = json.loads(muva("faults", "--json").stdout)
    assert {entry["name"] for entry in told} == {fault.name for fault in faults.FAULTS}
    assert all(entry["does"] and entry["undone"] for entry in told)


def test_status_of_a_whole_estate(estate: Estate) -> None:
    done = muva("status", "--dir", estate.directory, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["phase"], told["faults"]) == (0, "up", [])
    assert {server["name"] for server in told["servers"] if server["running"]} >= {"postgres", "sshd", "pm2"}


def test_break_status_and_mend(breakable_estate: Estate) -> None:
    where = ("--dir", breakable_estate.directory)
    broken = muva("break", "ssh-gone", *where)
    assert (broken.returncode, broken.stdout) == (0, "")
    done = muva("status", "--json", *where)
    assert (done.returncode, json.loads(done.stdout)["faults"][0]["name"]) == (1, "ssh-gone")
    mended = muva("mend", *where)
    assert mended.returncode == 0
    assert "healthy" in mended.stderr
    assert muva("status", *where).returncode == 0


def test_mistakes_are_told_without_a_traceback(tmp_path: Path, estate: Estate) -> None:
    for words in (
        ("status", "--dir", tmp_path),
        ("break", "ssh-gone", "--dir", estate.directory, "--env", "moon"),
        ("up", "--dir", estate.directory),
    ):
        done = muva(*words)
        assert done.returncode == 1, words
        assert done.stderr.startswith("muva: "), words
        assert "Traceback" not in done.stderr
    assert muva("explode").returncode == 2
    assert muva("break", "flood", "--dir", estate.directory).returncode == 2
    nothing = muva("down", "--dir", tmp_path)
    assert (nothing.returncode, nothing.stdout) == (0, "")
