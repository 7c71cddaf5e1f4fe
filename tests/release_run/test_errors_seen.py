"""The checks "error-patterns" and "new-errors" on real files, read by a real shell."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from muva_console.config.model import Host, Thresholds
from muva_console.ops.checks import CheckContext, run_check
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.readings import Finding, Level, utc_now
from muva_console.ops.release import log_ends
from tests.health.conftest import MakeContext
from tests.logs.helpers import process
from tests.logs.local_link import LocalLink

NAME = "muva-production"


class Logs:
    """The two log files of one process, and a context that reads them."""

    def __init__(self, folder: Path, make: MakeContext) -> None:
        self.process = process(folder)
        self.out, self.err = Path(self.process.out_log), Path(self.process.err_log)
        self.make = make
        self.context = self.make(hosts=("here",), processes=(NAME,))
        self.started(3600)

    def started(self, ago: float, *, asked: float | None = None) -> None:
        """The process began `ago` seconds ago, and was last started on purpose `asked` seconds ago."""
        now = utc_now()
        self.process = replace(
            self.process,
            started_at=now - timedelta(seconds=ago),
            asked_at=None if asked is None else now - timedelta(seconds=asked),
        )

    def write(self, ago: float, text: str, *, out: bool = False, stamp: bool = True) -> None:
        at = datetime.fromtimestamp(time.time() - ago, UTC)
        with (self.out if out else self.err).open("a") as file:
            file.write(f"{at:%Y-%m-%d %H:%M:%S}.000 +00:00: {text}\n" if stamp else f"{text}\n")

    def age(self, ago: float) -> None:
        for path in (self.out, self.err):
            os.utime(path, (time.time() - ago,) * 2)

    async def ask(self, check: str, **parameters: object) -> Finding:
        async def listed() -> ProcessList:
            found: tuple[Process, ...] = (self.process,)
            return ProcessList(host="here", at=utc_now(), processes=found, source="daemon socket")

        ctx: CheckContext = self.context
        ctx.config = replace(ctx.config, hosts={"here": Host(address="here")})
        ctx.hosts = {"here": LocalLink()}
        ctx.take_processes = {"here": listed}
        ctx.parameters = parameters
        (finding,) = await run_check(check, ctx)
        return finding


@pytest.fixture
def logs(tmp_path: Path, context: MakeContext) -> Logs:
    made = Logs(tmp_path, context)
    made.err.touch()
    made.write(7200, "Listening", out=True)
    return made


async def test_errors_within_the_window_fail_and_are_told_by_pattern(logs: Logs) -> None:
    logs.write(3600, "Error: from long ago")
    for n in range(3):
        logs.write(600 - n, f"⨯ Error: connect ECONNREFUSED 127.0.0.1:{n}\n    at connect (x.js:1:1)")
    logs.write(60, " POST /api/bookings/7 500 in 8ms", out=True)
    found = await logs.ask("error-patterns")
    assert found.level is Level.FAIL
    assert found.summary == (
        "4 errors in the last 30m: 3 × Error: connect ECONNREFUSED ‹n›, 1 × POST /api/bookings/‹id› 500"
    )
    assert "UTC to " in found.evidence[0]
    assert "from long ago" not in " ".join(found.evidence)
    assert found.command.startswith("ssh here 'pm2 logs muva-production")
    ignoring = await logs.ask("error-patterns", ignore=["ECONNREFUSED", "POST /api/bookings"])
    assert ignoring.level is Level.OK
    assert "4 error lines known to be harmless left out" in ignoring.evidence
    logs.context.environment = replace(logs.context.environment, thresholds=Thresholds(errors=4))
    assert (await logs.ask("error-patterns")).level is Level.OK


async def test_a_quiet_log_is_well_and_a_missing_one_is_unknown(logs: Logs) -> None:
    found = await logs.ask("error-patterns")
    assert (found.level, found.summary) == (Level.OK, "no error in the last 30m (1 line read)")
    logs.out.unlink()
    logs.err.unlink()
    for check in ("error-patterns", "new-errors"):
        found = await logs.ask(check)
        assert (found.level, found.summary) == (Level.UNKNOWN, "there is no log file to read")


@pytest.mark.parametrize("ignore", [7, [""], ["(unclosed"], ["x"] * 51])
async def test_a_step_that_ignores_by_nonsense_is_told_so(logs: Logs, ignore: object) -> None:
    found = await logs.ask("error-patterns", ignore=ignore)
    assert found.level is Level.UNKNOWN
    assert "regular expression" in found.summary or "expressions" in found.summary


async def test_an_expression_that_explodes_is_given_up(logs: Logs) -> None:
    logs.write(60, "Error: " + "a" * 60 + "!")
    found = await logs.ask("error-patterns", ignore=["(a+)+$"])
    assert found.level is Level.UNKNOWN
    assert "takes too long" in found.summary


async def test_a_log_without_times_tells_by_its_last_change_alone(logs: Logs) -> None:
    logs.out.write_text("Listening\nGET / 200 in 3ms\n")
    logs.write(0, "Error: boom", stamp=False)
    logs.write(0, "Warning: slow", stamp=False)
    found = await logs.ask("error-patterns")
    assert found.level is Level.UNKNOWN
    assert "1 error line without a time" in found.summary
    assert "--time" in found.next
    logs.write(0, "Error: at the end", stamp=False)
    found = await logs.ask("error-patterns")
    assert (found.level, found.summary) == (
        Level.FAIL,
        "1 error in the last 30m: 1 × Error: at the end",
    )
    logs.age(2000)
    assert (await logs.ask("error-patterns")).level is Level.OK


async def test_a_busy_log_is_read_further_back_and_what_is_not_read_is_told(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_ends, "MOST", 16 * 1024)
    logs.write(60, "GET /rates 500 in 3ms", out=True)
    with logs.out.open("a") as file:
        stamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.000 +00:00: GET /rates 200 in 3ms\n"
        file.write(stamp * 500)
    found = await logs.ask("error-patterns")
    assert (found.level, found.summary) == (Level.FAIL, "1 error in the last 30m: 1 × GET /rates 500")
    monkeypatch.setattr(log_ends, "PACKED", 100)
    found = await logs.ask("error-patterns")
    assert found.level is Level.UNKNOWN
    assert found.summary.startswith("no error in the end of the log that was read, which goes back ")
    assert any("its end only" in line for line in found.evidence)
    found = await logs.ask("new-errors")
    assert found.level is Level.UNKNOWN
    assert "does not reach back to the start" in found.summary


async def test_a_pattern_that_was_never_seen_before_the_start_is_new(logs: Logs) -> None:
    logs.write(1200, "Error: connect ECONNREFUSED 127.0.0.1:1")
    logs.started(300)
    found = await logs.ask("new-errors")
    assert (found.level, found.summary) == (
        Level.OK,
        f"no error since {NAME} was started 5m ago (2 lines read)",
    )
    logs.write(100, "Error: connect ECONNREFUSED 127.0.0.1:2")
    found = await logs.ask("new-errors")
    assert (found.level, found.summary) == (
        Level.OK,
        f"no new error since {NAME} was started 5m ago; 1 known one",
    )
    logs.write(90, "TypeError: room is undefined")
    found = await logs.ask("new-errors")
    assert found.level is Level.FAIL
    assert found.summary == (
        f"1 new error pattern since {NAME} was started 5m ago: 1 × TypeError: room is undefined"
    )
    assert (await logs.ask("new-errors", ignore=["TypeError"])).level is Level.OK


async def test_a_known_pattern_that_comes_much_more_often_is_a_warning(logs: Logs) -> None:
    logs.started(300)
    for ago in (1800, 900):
        logs.write(ago, "Error: timeout 1")
    for ago in (30, 20, 10):
        logs.write(ago, "Error: timeout 2")
    found = await logs.ask("new-errors")
    assert found.level is Level.WARN
    assert found.summary.startswith("known errors come more often: Error: timeout ‹n›: 3 × since, 2 × in the")


async def test_the_error_of_a_crash_after_the_deployment_is_the_deployments(logs: Logs) -> None:
    logs.started(30, asked=300)
    logs.write(31, "TypeError: room is undefined")
    assert (await logs.ask("new-errors")).level is Level.FAIL


async def test_what_cannot_be_compared_is_unknown(logs: Logs) -> None:
    logs.started(300)
    logs.out.unlink()
    logs.write(100, "Error: boom")
    found = await logs.ask("new-errors")
    assert found.level is Level.UNKNOWN
    assert "does not reach back before the start" in found.summary
    logs.write(50, "GET / 200", out=True, stamp=False)
    logs.err.write_text("Error: boom\nError: boom\n")
    found = await logs.ask("new-errors")
    assert found.level is Level.UNKNOWN
    assert found.summary.startswith("the log carries no times")
    logs.age(400)
    assert (await logs.ask("new-errors")).level is Level.OK
    logs.process = replace(logs.process, started_at=None)
    assert (await logs.ask("new-errors")).level is Level.UNKNOWN
