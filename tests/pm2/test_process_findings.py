"""What a list of processes means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from muva_console.config.model import Thresholds
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.process_findings import judge, spell, spell_size
from muva_console.ops.readings import Finding, Level, Verdict, verdict

AT = datetime(2026, 11, 22, 3, 12, 44, tzinfo=UTC)
MIB = 1024 * 1024
THRESHOLDS = Thresholds()
WEB = Process(
    host="vps",
    pm_id=0,
    name="web",
    pid=7,
    status="online",
    memory=100 * MIB,
    own_memory=100 * MIB,
    restarts_in_window=0,
    started_at=AT - timedelta(hours=2),
    created_at=AT - timedelta(days=3),
)


def web(**changes: Any) -> Process:
    return msgspec.structs.replace(WEB, **changes)


def judged(
    *processes: Process, expected: tuple[str, ...] = ("web",), late: float = 0.0
) -> tuple[Finding, ...]:
    reading = ProcessList(host="vps", at=AT, processes=processes, source="daemon socket")
    return judge(reading, expected, THRESHOLDS, AT + timedelta(seconds=late))


def only(*processes: Process) -> Finding:
    (finding,) = judged(*processes)
    return finding


def test_up() -> None:
    finding = only(WEB)
    assert (finding.level, finding.summary) == (Level.OK, "web is up for 2h")
    assert (finding.check, finding.subject, finding.command) == ("processes", "web on vps", "pm2 ls")
    assert "pid 7" in finding.evidence[0]
    assert finding.expires is not None


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"status": "stopped", "pid": None, "started_at": None}, Level.FAIL, "web is stopped"),
        (
            {"status": "stopped", "pid": None, "last_signal": "SIGKILL"},
            Level.FAIL,
            "web is stopped; SIGKILL ended the last run",
        ),
        (
            {"status": "errored", "pid": None, "exit_code": 1},
            Level.FAIL,
            "PM2 gave up on web: it failed to start again and again; the last run ended with code 1",
        ),
        (
            {"restarts_in_window": 14, "created_at": AT - timedelta(minutes=3), "exit_code": 1},
            Level.FAIL,
            "PM2 restarted web 14 times in 5 minutes; the last run ended with code 1",
        ),
        (
            {"restarts_in_window": 3, "status": "launching"},
            Level.FAIL,
            "PM2 restarted web 3 times in 5 minutes",
        ),
        (
            {"restarts_in_window": 1, "last_signal": "SIGSEGV"},
            Level.WARN,
            "web is up for 2h, but PM2 had to restart it once in 5 minutes; SIGSEGV ended the last run",
        ),
        ({"status": "launching"}, Level.WARN, "web is not up yet: PM2 calls it launching"),
        ({"status": "waiting restart"}, Level.WARN, "web is not up yet: PM2 calls it waiting restart"),
        (
            {"memory_limit": 110 * MIB},
            Level.WARN,
            "web uses 100M of the 110M beyond which PM2 restarts it",
        ),
        (
            {"memory_limit": 512 * MIB, "memory": 900 * MIB, "tree": True},
            Level.WARN,
            "web uses 900M with its children and its limit is 512M, "
            "but PM2 counts only the 100M of their parent",
        ),
        ({"memory_limit": 512 * MIB}, Level.OK, "web is up for 2h"),
        ({"pid": None}, Level.UNKNOWN, "PM2 calls web online but tells no pid"),
        (
            {"restarts_in_window": None, "restarts": 40, "started_at": AT - timedelta(seconds=9)},
            Level.UNKNOWN,
            "web is up for 9s after 40 restarts; how fast they come is not known yet",
        ),
        ({"restarts_in_window": None, "restarts": 40}, Level.OK, "web is up for 2h"),
        ({"restarts_in_window": None, "started_at": AT - timedelta(seconds=9)}, Level.OK, "web is up for 9s"),
        ({"status": "unknown"}, Level.UNKNOWN, "PM2 tells no status of web that is known here"),
    ],
)
def test_in_the_words_of_a_colleague(changes: dict[str, Any], level: Level, words: str) -> None:
    finding = only(web(**changes))
    assert (finding.level, finding.summary) == (level, words)


def test_the_memory_limit_as_the_cause() -> None:
    finding = only(web(restarts_in_window=5, memory_restarts=4, memory_limit=512 * MIB))
    assert finding.level is Level.FAIL
    assert finding.evidence[1] == "4 of the restarts because it used more than 512M, its memory limit"


def test_missing() -> None:
    (finding,) = judged(web(name="other"))
    assert (finding.level, finding.summary) == (Level.FAIL, "PM2 on vps does not have web")
    assert finding.evidence[0] == "PM2 on vps has other"
    (finding,) = judged()
    assert finding.evidence[0] == "PM2 on vps has nothing at all"


def test_instances_are_one_finding_by_the_worst() -> None:
    finding = only(WEB, web(pm_id=1, status="errored", pid=None))
    assert finding.level is Level.FAIL
    assert finding.summary.endswith("(1 of 2 instances of web are up)")
    assert len(finding.evidence) == 3
    assert only(WEB, web(pm_id=1)).summary == "2 of 2 instances of web are up"


def test_another_environments_process_on_the_same_host_is_not_judged() -> None:
    assert [f.subject for f in judged(WEB, web(name="staging", status="errored", pid=None))] == ["web on vps"]


def test_with_nothing_expected_everything_is_judged() -> None:
    findings = judged(WEB, web(name="b", status="stopped", pid=None), expected=())
    assert [(f.subject, f.level) for f in findings] == [("web on vps", Level.OK), ("b on vps", Level.FAIL)]
    (finding,) = judged(expected=())
    assert (finding.level, finding.summary) == (Level.WARN, "PM2 on vps runs nothing")


def test_an_old_reading_says_nothing_of_now() -> None:
    findings = judged(WEB, late=121)
    assert verdict(findings) is Verdict.CANNOT_TELL
    assert findings[0].summary == "not asked for 2m 1s; then: web is up for 2h"
    assert judged(WEB, late=119)[0].level is Level.OK


def test_uptime_is_by_the_hosts_clock() -> None:
    reading = ProcessList(host="vps", at=AT, processes=(WEB,), source="", clock_offset=-3600.0)
    assert reading.uptime(WEB) == 3600.0
    assert judge(reading, ["web"], THRESHOLDS, AT)[0].summary == "web is up for 1h"
    assert reading.uptime(web(started_at=AT + timedelta(days=1))) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (252, "4m 12s"),
        (7800, "2h 10m"),
        (7205, "2h"),
        (1e6, "11d 13h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert spell(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0B"), (999, "999B"), (52 * MIB + 3, "52M"), (512 * MIB, "512M"), (1024 * MIB, "1G")],
)
def test_sizes(size: int, words: str) -> None:
    assert spell_size(size) == words
