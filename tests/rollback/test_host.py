"""The script on the host, with a real checkout and a server that tells what runs: every end, every kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from muva_console.ops.rollback.host_job import _in_order, script
from tests.patience import HANG

ID = "20261127T000000Z-abcdef"
BUILD = "mkdir -p dist modules/deep && git rev-parse HEAD > dist/commit && cp dist/commit modules/deep/one"
MVS = 14
"""More than the script ever renames."""


class Site:
    """A folder on a "host": its checkout, what runs of it, and the answers of its health endpoint."""

    def __init__(self, root: Path, template: Path) -> None:
        self.root, self.live, self.job = root, root / "live", root / ID
        shutil.copytree(template, self.live, symlinks=True)
        self.job.mkdir()
        (root / ".env.live").touch()
        for name in ("events", "log"):
            (self.job / name).touch()
        commits = self.git("rev-parse", "HEAD~1", "HEAD").split()
        self.good, self.bad = commits
        subprocess.run(["sh", "-c", BUILD], cwd=self.live, check=True)
        self.running.write_text(self.bad)
        self.ill: set[str] = set()
        """Commits that answer 503."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                commit = site.running.read_text().strip()
                body = json.dumps({"commit": commit}).encode()
                self.send_response(503 if commit in site.ill else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def running(self) -> Path:
        return self.root / "running"

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.live, check=True, capture_output=True, text=True
        ).stdout.strip()

    def lay(self, **changed: str) -> None:
        # short where it is to be waited out; else it bounds a machine that has other things to do
        patience = "5" if self.ill or changed.get("health") == "/none" else "30"
        parameters = {
            "id": ID, "commit": self.good, "old": self.bad, "branch": "main", "directory": str(self.live),
            "way": "in-place", "env_file": ".env", "build": BUILD, "build_timeout": "20", "start": "",
            "spare": "39000", "port": str(self.server.server_port), "health": "/", "restart":
            f"cp dist/commit {self.running}", "pids": "echo 1", "save": "true", "passes": "2",
            "every": "0.05", "patience": patience, "hold": "", "reason": "why not", "restore_file": "",
        }  # fmt: skip
        (self.job / "job.sh").write_bytes(script(parameters | changed))

    def run(self, *mode: str, path: str = "") -> str:
        """Run it to its end, or to its death; the word of its end."""
        env = {**os.environ, "PATH": f"{path}{os.environ['PATH']}"}
        command = ["sh", str(self.job / "job.sh"), str(self.job), *mode]
        subprocess.run(command, env=env, timeout=HANG, check=False, stdin=subprocess.DEVNULL)
        end = self.job / "end"
        return end.read_text().partition("\t")[0] if end.exists() else ""

    def holds(self, commit: str) -> None:
        """Everything of the folder is of one release, that release runs, and nothing else lies about."""
        assert self.git("rev-parse", "HEAD") == commit
        assert (self.live / "version").read_text() == ("good" if commit == self.good else "bad")
        for built in ("dist/commit", "modules/deep/one"):
            assert (self.live / built).read_text().strip() == commit, built
        assert self.running.read_text().strip() == commit
        assert self.git("status", "--porcelain") == ""
        assert self.git("branch", "--show-current") == "main", "the next pull works as ever"
        assert not list(self.root.glob(".muva-*")), "what was built beside is gone"
        assert len(self.git("worktree", "list").splitlines()) == 1


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "live"
    folder.mkdir()

    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("dist/\nmodules/\n.env\n")
    for version in ("good", "bad"):
        (folder / "version").write_text(version)
        git("add", ".")
        git("commit", "-qm", version)
    (folder / ".env").write_text("SECRET=1\n")
    return folder


@pytest.fixture
def site(tmp_path: Path, template: Path) -> Iterator[Site]:
    made = Site(tmp_path, template)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_it_goes_back_and_leaves_nothing_about(site: Site) -> None:
    site.lay()
    assert site.run() == "rolled-back"
    site.holds(site.good)
    assert (site.live / ".env").read_text() == "SECRET=1\n", "the environment's file is not built"
    told = [line.split("\t")[3].partition(":")[0] for line in (site.job / "events").read_text().splitlines()]
    wanted = ["fetch", "build", "flip", "restart", "verify", "save"]
    assert [one for one in told if one in wanted] == wanted
    assert site.run() == "rolled-back", "begun twice it is done once"


def test_what_does_not_get_well_is_taken_back(site: Site) -> None:
    site.ill = {site.good}
    (site.live / "version").write_text("bad")  # as it is
    (site.live / ".gitignore").write_text("dist/\nmodules/\n.env\n# a change that nobody committed\n")
    site.lay()
    assert site.run() == "returned"
    assert "nobody committed" in (site.live / ".gitignore").read_text(), "put back with the rest"
    site.git("checkout", "--", ".gitignore")
    site.holds(site.bad)
    assert "well 2 times" in (site.job / "end").read_text()


def test_that_what_served_before_is_ill_too_is_told(site: Site) -> None:
    site.ill = {site.good, site.bad}
    site.lay()
    assert site.run() == "returned"
    site.holds(site.bad)
    assert "NOT well" in (site.job / "end").read_text()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"build": "echo the reason; exit 3"}, "does not build"),
        ({"build": "sleep 20", "build_timeout": "0.2"}, "does not build"),
        ({"commit": "0" * 40}, "not to be had"),
        ({"old": "1" * 40}, "another release"),
        ({"env_file": ".env.gone"}, "there is no .env.gone"),
        ({"start": "exit 1"}, "ended at once"),
        (
            {"start": "exec python3 -m http.server $PORT --bind 127.0.0.1", "health": "/none"},
            "did not get well",
        ),
        ({"hold": "1"}, "nobody said"),
    ],
)
def test_what_fails_before_it_is_put_in_place_changes_nothing(
    site: Site, changed: dict[str, str], why: str
) -> None:
    site.lay(**changed)
    assert site.run() == "untouched"
    assert why in (site.job / "end").read_text()
    site.holds(site.bad)


def test_it_waits_for_the_word_and_goes_on(site: Site) -> None:
    site.lay(hold="20")
    (site.job / "go").touch()
    assert site.run() == "rolled-back"
    site.holds(site.good)


def test_it_is_tried_beside_with_its_own_port(site: Site) -> None:
    page = "exec python3 -m http.server $PORT --bind 127.0.0.1 --directory dist"
    site.lay(start=page, health="/commit")
    assert site.run() == "rolled-back", (site.job / "end").read_text()
    assert "beside: answers 200" in (site.job / "events").read_text()


def test_a_link_is_made_to_lead_to_the_other_release(site: Site) -> None:
    real = site.root / "first"
    site.live.rename(real)
    site.live.symlink_to(real)
    site.git("remote", "add", "origin", str(real))
    site.lay(way="symlink")
    assert site.run() == "rolled-back", (site.job / "log").read_text()
    assert site.live.resolve() == site.root / f"rollback-{ID}"
    site.holds(site.good)
    assert (real / "dist/commit").read_text().strip() == site.bad, "the other one stays as it was"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, MVS + 1))
def test_killed_at_any_step_it_is_one_release_or_the_other(site: Site, number: int, when: str) -> None:
    """`mv` is what every step ends and every change is made with: the job is killed at each of them."""
    counted = site.root / "count"
    counted.write_text("0")
    program = site.root / "bin"
    program.mkdir()
    kill = f'kill -9 "$(cat {site.job}/pid)"; exit 1'
    (program / "mv").write_text(
        f"#!/bin/sh\nn=$(($(cat {counted}) + 1)); echo $n > {counted}\n"
        f'[ "$n.{when}" != "{number}.before" ] || {{ {kill}; }}\n'
        f'/bin/mv "$@"; s=$?\n[ "$n.{when}" != "{number}.after" ] || {{ {kill}; }}\nexit $s\n'
    )
    (program / "mv").chmod(0o755)
    site.lay()
    outcome = site.run(path=f"{program}:")
    if number > int(counted.read_text()):
        assert outcome == "rolled-back"
        return
    if not outcome:
        outcome = site.run("recover")
    assert outcome in ("rolled-back", "returned", "untouched")
    site.holds(site.good if outcome == "rolled-back" else site.bad)


def test_what_is_told_stands_where_it_came_in_the_log() -> None:
    log = b"fetched\nline 1\nline 2\nafter\n"
    events = b"1\t0\tphase\tfetch: x\n2\t8\tphase\tbuild: y\nno event\n3\t22\tseen\twell\n"
    told = [(one.kind, one.text) for one in _in_order(events, log, 0)]
    assert told == [
        ("phase", "fetch: x"), ("output", "fetched"), ("phase", "build: y"), ("output", "line 1"),
        ("output", "line 2"), ("seen", "well"), ("output", "after"),
    ]  # fmt: skip
    later = [(one.kind, one.text) for one in _in_order(b"3\t22\tseen\twell\n", log[15:], 15)]
    assert later == [("output", "line 2"), ("seen", "well"), ("output", "after")], "from an offset on"
    hostile = list(_in_order(b"1\t999999\tphase\t\x1b[31mx\x07\n", b"\x1b]0;title\x07", 0))
    assert not any(ord(character) < 32 for one in hostile for character in one.text)


@pytest.mark.parametrize("well", [True, False], ids=["well", "refused"])
def test_what_pm2_prints_is_told_where_it_would_not(site: Site, well: bool) -> None:
    table = "printf '│ id │ name │\\n'"
    kept = f"cp dist/commit {site.running}"
    site.lay(restart=f"{table} && {kept}" if well else f"{table}; {kept}; exit 3")
    assert site.run() == ("rolled-back" if well else "broken")
    assert ("│ id │ name │" in (site.job / "log").read_text()) is not well
