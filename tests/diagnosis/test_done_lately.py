"""What was done lately, by the journal and by PM2; a journal that cannot be read is unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from muva_console.ops.diagnosis.probes import Seen
from muva_console.ops.diagnosis.probes_done import done_lately
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Draft, Journal, Kind, no_redaction
from muva_console.ops.readings import Finding, Level, utc_now


def context(journal: Any, *, asked: datetime | None = None, away: bool = False) -> Any:
    async def processes(host: str) -> Any:
        if away:
            raise LinkError(Fault.TIMEOUT, "no answer", where=host)
        process = SimpleNamespace(name="muva-production", asked_at=asked)
        return SimpleNamespace(processes=(process,))

    environment = SimpleNamespace(hosts=("vps",), processes=("muva-production",))
    return cast(
        Any,
        SimpleNamespace(
            environment_name="production", environment=environment, journal=journal, processes=processes
        ),
    )


async def looked(ctx: Any) -> Finding:
    (finding,) = await done_lately(ctx, Seen())
    return finding


async def test_acts_deployments_and_restarts_by_hand_the_newest_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Engineer(name="eve", host="jump-1", origin="t"), redact=no_redaction)
    await journal.append(
        Draft(
            kind="deployment",
            subject="deployment",
            environment="production",
            data={"commit": "a1b2c3d4e5", "status": "success"},
        )
    )
    await journal.append(
        Draft(
            kind=Kind.ACT_ENDED,
            subject="migrations-apply to production",
            environment="production",
            data={"outcome": "failed"},
        )
    )
    await journal.append(Draft(kind=Kind.ACT_ENDED, subject="elsewhere", environment="staging"))
    finding = await looked(context(journal, asked=utc_now() - timedelta(minutes=5)))
    await journal.close()
    assert finding.level is Level.OK
    assert [line.partition(": ")[2] for line in finding.evidence] == [
        "migrations-apply to production, failed, by eve",
        "deployed a1b2c3d, success (written by eve)",
        "muva-production on vps was started by hand or by a deployment",
    ]
    assert finding.summary.endswith("; 2 more before it")


async def test_what_was_done_before_a_day_is_not_why_and_a_host_that_is_away_hides_nothing(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, Engineer(name="eve", host="jump-1", origin="t"), redact=no_redaction)
    old = await looked(context(journal, asked=utc_now() - timedelta(days=2)))
    assert old.summary.startswith("nothing was done")
    await journal.append(Draft(kind=Kind.ACT_ENDED, subject="process-restart x", environment="production"))
    away = await looked(context(journal, away=True))
    await journal.close()
    assert "process-restart x" in away.summary


async def test_a_journal_that_cannot_be_read_is_unknown() -> None:
    class Broken:
        async def read(self, _: Any) -> Any:
            raise OpsError("the disk is gone")

    finding = await looked(context(Broken(), away=True))
    assert finding.level is Level.UNKNOWN
    assert "the disk is gone" in finding.summary
