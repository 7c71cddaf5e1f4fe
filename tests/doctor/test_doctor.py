"""`muva doctor` against the shared estate, and against everything that can be wrong with a configuration."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from muva_console.config.load import load
from muva_console.drill.state import Estate
from muva_console.ops import doctor
from muva_console.ops.doctor.reach import STAGES
from muva_console.ops.readings import Finding, Level, Verdict
from muva_console.ops.workspace import Workspace
from tests.patience import HANG

pytestmark = pytest.mark.xdist_group("doctor")

PLANTED = "planted-value-5f2c"


def examine(file: Path, **options: Any) -> doctor.Report:
    """A whole run in a loop and a thread of its own."""

    async def main() -> doctor.Report:
        workspace = Workspace(load(file))
        try:
            return await doctor.examine(workspace, **options)
        finally:
            await workspace.close()

    made: list[doctor.Report] = []
    thread = threading.Thread(target=lambda: made.append(asyncio.run(main())))
    thread.start()
    thread.join()
    return made[0]


def document(estate: Estate) -> dict[str, Any]:
    return tomllib.loads(estate.config.read_text())


def write(folder: Path, made: dict[str, Any]) -> Path:
    file = folder / "muva.toml"
    file.write_text(tomli_w.dumps(made))
    return file


def one(report: doctor.Report, check: str, subject: str) -> Finding:
    found = [each for each in report.findings if each.check == check and each.subject == subject]
    assert len(found) == 1, (check, subject, report.findings)
    return found[0]


# --- a healthy estate ----------------------------------------------------------------------------------


def test_a_healthy_estate_is_go_and_every_part_of_it_was_tried(estate: Estate) -> None:
    groups: list[str] = []
    report = examine(estate.config, on_group=lambda group: groups.append(group.title))
    bad = [finding for finding in report.findings if finding.level is not Level.OK]
    assert not bad
    assert report.verdict is Verdict.GO
    assert groups == ["this machine", "host vps", "environment production", "environment staging"]
    tried = {(finding.check, finding.subject) for finding in report.findings}
    for check in ("configuration", "journal", "checkout"):
        assert (check, "this machine") in tried
    for check in ("host-settings", "host-name", "host-port", "host-key", "host-login"):
        assert (check, "vps") in tried
    for check in ("host-commands", "host-clock", "pm2-daemon"):
        assert (check, "vps") in tried
    for check in ("app-directory", "app-env-file", "app-port", "app-processes"):
        assert (check, "production on vps") in tried
        assert (check, "staging on vps") in tried
    for check in ("web-health", "web-health-db", "database-secret", "database", "database-tables"):
        assert (check, "production") in tried
    assert "daemon" in one(report, "pm2-daemon", "vps").summary
    assert not report.offers


def test_one_environment_asks_only_what_it_needs(estate: Estate) -> None:
    report = examine(estate.config, environment="dev")
    assert {finding.subject for finding in report.findings} == {"this machine"}
    assert report.environment == "dev"


# --- everything wrong at once --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="module")
def ill(
    estate: Estate, silent_port: int, closed_port: int, tmp_path_factory: pytest.TempPathFactory
) -> tuple[doctor.Report, float]:
    """The report on a configuration in which every part has something wrong, and how long it took."""
    folder = tmp_path_factory.mktemp("ill")
    made = document(estate)
    good = made["hosts"]["vps"]
    other_key = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other_key], check=True)
    kind, key = other_key.with_suffix(".pub").read_text().split()[:2]
    (folder / "changed").write_text(f"[127.0.0.1]:{estate.ssh_port} {kind} {key}\n")
    made["hosts"] |= {
        "refused": good | {"port": closed_port},
        "silent": good | {"port": silent_port, "connect_timeout": "1s"},
        "nowhere": good | {"address": "nosuch.invalid", "connect_timeout": "2s"},
        "stranger": good | {"known_hosts": str(folder / "empty")},
        "changed": good | {"known_hosts": str(folder / "changed")},
        "locked-out": good | {"identity": str(other_key)},
        "keyless": good | {"identity": str(folder / "no-such-key")},
        "no-pm2": good | {"pm2_home": str(folder / "pm2"), "pm2": "no-such-pm2"},
        "beyond": good | {"jump": "refused"},
    }
    app = folder / "app"
    app.mkdir()
    (app / ".env.open").write_text(f"A={PLANTED}\nexport B=2\nKEY='\n{PLANTED}=\n'\n# C=3\n")
    (app / ".env.open").chmod(0o644)
    production = made["environments"]["production"]
    database = production["database"]
    open_secret = folder / "open-secret"
    open_secret.write_text(PLANTED)
    open_secret.chmod(0o644)
    wrong = folder / "wrong-password"
    wrong.write_text(PLANTED)
    wrong.chmod(0o600)
    bare = {"branch": "main", "hosts": ["vps"]}
    made["environments"] = {
        "no-directory": bare | {"directory": "/no/such/directory", "env_file": ".env"},
        "open-file": bare | {"directory": str(app), "env_file": ".env.open", "port": closed_port},
        "no-process": bare | {"processes": ["no-such-process"]},
        "wrong-path": {"branch": "main", "url": production["url"], "health": "/no/such/path"},
        "web-refused": {"branch": "main", "url": f"http://127.0.0.1:{closed_port}"},
        "dependency": {
            "branch": "main",
            "dependencies": {"fussy": {"url": production["url"] + "/api/health", "expect": [401]}},
        },
        "no-secret": {"branch": "main", "database": {"url": {"env": "MUVA_NO_SUCH_VARIABLE"}}},
        "open-secret": {"branch": "main", "database": database | {"password": {"file": str(open_secret)}}},
        "wrong-password": {"branch": "main", "database": database | {"password": {"file": str(wrong)}}},
        "no-table": {
            "branch": "main",
            "database": database | {"critical_tables": ["bookings", "no_such_table"]},
        },
        "far": {
            "branch": "no-such-branch",
            "hosts": ["refused"],
            "directory": "/x",
            "processes": ["x"],
            "database": database | {"through": "refused"},
        },
    }
    made["journal"]["directory"] = "/proc/no-such-folder"
    made["project"]["checkout"] = str(estate.checkout)
    began = time.monotonic()
    report = examine(
        write(folder, made), terminal=doctor.Terminal(environ={}, columns=60, rows=20, encoding="ascii")
    )
    return report, time.monotonic() - began


Ill = tuple[doctor.Report, float]


def test_all_of_it_takes_little_longer_than_the_slowest(ill: Ill) -> None:
    report, took = ill
    assert report.verdict is Verdict.NO_GO
    assert took < 20


@pytest.mark.parametrize(
    ("host", "stage", "words"),
    [
        ("refused", "host-port", "refused"),
        ("silent", "host-port", ""),
        ("stranger", "host-key", "is not known here"),
        ("changed", "host-key", "is NOT the one on record"),
        ("locked-out", "host-login", "did not accept"),
        ("keyless", "host-settings", "there is no key"),
        ("beyond", "host-port", "refused"),
    ],
)
def test_a_host_tells_at_which_stage_it_fails(ill: Ill, host: str, stage: str, words: str) -> None:
    stages = [*STAGES, "host-commands", "pm2-daemon"]
    report, _ = ill
    found = one(report, stage, host)
    assert found.level is Level.FAIL
    assert words in found.summary
    assert found.next
    assert found.command.startswith(("ssh ", "ssh-keygen "))
    for before in stages[: stages.index(stage)]:
        assert one(report, before, host).level is Level.OK, before
    for after in stages[stages.index(stage) + 1 :]:
        assert one(report, after, host).level is Level.UNKNOWN, after
        assert "not asked" in one(report, after, host).summary


def test_a_name_that_leads_nowhere(ill: Ill) -> None:
    report, _ = ill
    found = [each for each in report.findings if each.subject == "nowhere" and each.level is Level.FAIL]
    # the resolver of a machine without a network does not even say no
    assert [each.check for each in found] in (["host-name"], ["host-port"])


def test_a_port_that_says_nothing_is_told_from_one_that_is_closed(ill: Ill) -> None:
    report, _ = ill
    assert "says nothing" in " ".join(one(report, "host-port", "silent").evidence)


def test_only_an_unknown_key_is_offered_and_with_its_fingerprint(ill: Ill, estate: Estate) -> None:
    report, _ = ill
    assert [offer.host for offer in report.offers] == ["stranger"]
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", estate.known_hosts], capture_output=True, text=True, check=True
    ).stdout
    assert report.offers[0].fingerprint in shown
    assert report.offers[0].fingerprint in " ".join(one(report, "host-key", "stranger").evidence)


@pytest.mark.parametrize(
    ("check", "subject", "level", "words", "advice"),
    [
        ("journal", "this machine", Level.FAIL, "may not make it", "directory in [journal]"),
        ("checkout", "this machine", Level.WARN, "does not know the branch of far", "fetch"),
        ("terminal", "this machine", Level.FAIL, "no UTF-8", "80 x 24"),
        ("app-directory", "no-directory on vps", Level.FAIL, "/no/such/directory", "`directory`"),
        ("app-env-file", "no-directory on vps", Level.FAIL, "is not there", "`env_file`"),
        ("app-directory", "open-file on vps", Level.WARN, "no commit", "safe.directory"),
        ("app-env-file", "open-file on vps", Level.WARN, "everybody on the host can read", "chmod o="),
        ("app-port", "open-file on vps", Level.WARN, "nothing listens", "`port`"),
        ("app-processes", "no-process on vps", Level.FAIL, "no-such-process", "`processes`"),
        ("pm2-daemon", "no-pm2", Level.FAIL, "PM2", "pm2_home"),
        ("host-commands", "no-pm2", Level.WARN, "no-such-pm2 not found", "pm2 = "),
        ("web-health", "wrong-path", Level.FAIL, "answers 404", "is the path right?"),
        ("web-health", "web-refused", Level.FAIL, "refused", "is the web server up"),
        ("dependency", "dependency: fussy", Level.FAIL, "answers 200, expected 401", "`expect`"),
        ("database-secret", "no-secret", Level.FAIL, "MUVA_NO_SUCH_VARIABLE is not set", "export"),
        ("database", "no-secret", Level.UNKNOWN, "waits on the secret", ""),
        ("database-secret", "open-secret", Level.FAIL, "mode 0644", "chmod 600"),
        ("database-secret", "wrong-password", Level.OK, "had from the file", ""),
        ("database", "wrong-password", Level.FAIL, "password", ""),
        ("database-tables", "no-table", Level.FAIL, "no_such_table", "critical_tables"),
        ("database", "far", Level.FAIL, "refused", ""),
        ("app-processes", "far on refused", Level.UNKNOWN, "waits on SSH to refused", ""),
    ],
)
def test_what_is_wrong_is_named_and_how_to_mend_it(
    ill: Ill, check: str, subject: str, level: Level, words: str, advice: str
) -> None:
    found = one(ill[0], check, subject)
    assert found.level is level
    assert words in found.summary
    assert advice in found.next


def test_of_an_environment_file_lines_are_counted_and_nothing_is_shown(ill: Ill) -> None:
    report, _ = ill
    for finding in report.findings:
        assert PLANTED not in repr(finding)


def test_what_is_right_is_told_as_right_beside_it(ill: Ill) -> None:
    report, _ = ill
    assert one(report, "pm2-daemon", "vps").level is Level.OK
    assert one(report, "database", "no-table").level is Level.OK


def test_it_leaves_nothing_in_the_journals_folder(estate: Estate) -> None:
    examine(estate.config, environment="dev")
    assert not list(estate.journal.glob(".doctor-*"))


def test_what_hangs_is_given_up(estate: Estate, silent_port: int, tmp_path: Path) -> None:
    made = document(estate)
    made["hosts"] = {"silent": made["hosts"]["vps"] | {"port": silent_port, "connect_timeout": "200s"}}
    made["environments"] = {"a": {"branch": "main"}}
    began = time.monotonic()
    report = examine(write(tmp_path, made), limit=1.0)
    assert time.monotonic() - began < HANG
    assert one(report, "doctor", "host silent").level is Level.UNKNOWN
    assert report.verdict is not Verdict.GO
