"""`muva checklist` as a script has it: a list's verdict as exit status, its answers as data."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from muva_console.drill import faults
from muva_console.drill.state import Estate
from muva_console.ops.readings import Level
from tests.checklist_cli import cases
from tests.checklist_cli.looking import amiss, assert_fails_alone, look, pushed, told
from tests.cli.conftest import Muva
from tests.hostility.parts import reconfigured

LIST = ("checklist", "pre-deploy-staging", "--env", "staging", "--json")
SENSED = {
    "code-review", "build-success", "tests-pass", "migrations-validated", "migration-status",
    "environment-variables", "dependencies", "no-secrets",
}  # fmt: skip


async def test_a_release_that_may_go_one_that_may_not_and_one_that_does_not_build(
    breakable_estate: Estate, muva: Muva
) -> None:
    config = breakable_estate.config
    pushed(breakable_estate)
    answer = await muva(*LIST, config=config)
    assert answer.status == 0, answer.out
    _shape(answer.data)
    assert (answer.data["verdict"], answer.data["whole"]) == ("GO", "CANNOT TELL")
    assert answer.data["waiting"] == ["local-testing"]
    assert {finding["item"] for finding in answer.data["findings"]} == SENSED
    assert "sensed: Build success" in answer.err
    seen = {finding["item"]: "\n".join(finding["evidence"]) for finding in answer.data["findings"]}
    assert "Compiled successfully" in seen["build-success"] or "Done in" in seen["build-success"]
    assert "fail 0" in seen["tests-pass"]

    await faults.break_in(breakable_estate.directory, "planted-secret")
    pushed(breakable_estate)
    few = [word for name in sorted(SENSED - set(cases.BUILDS)) for word in ("--item", name)]
    answer = await muva(*LIST, *few, config=config)
    assert (answer.status, answer.data["verdict"]) == (1, "NO-GO"), answer.out
    bad = {finding["item"] for finding in answer.data["findings"] if finding["level"] != "ok"}
    assert bad == {"no-secrets"}
    script = breakable_estate.repository  # the key itself is nowhere to be seen
    assert "sk_live_" not in answer.out + answer.err, script
    await faults.mend(breakable_estate.directory)

    for case in cases.BUILT:
        await assert_fails_alone(breakable_estate, case)

    # the builds of the first are remembered for its commit, whoever asks
    view = await look(breakable_estate, "pre-deploy-staging")
    assert amiss(view) == {}, told(view)
    build = view.item("build-success")
    assert build is not None and " by " in build.summary and build.level is Level.OK


async def test_what_cannot_be_told_is_neither(estate: Estate, muva: Muva, tmp_path: Path) -> None:
    def elsewhere(document: dict[str, Any]) -> None:
        document["github"]["api"] = "http://127.0.0.1:9"
        document["project"]["cache"] = str(tmp_path / "cache")

    config = reconfigured(estate, tmp_path / "muva.toml", elsewhere)
    words = ("--item", "code-review", "--item", "migrations-validated")
    answer = await muva(*LIST, *words, config=config)
    assert (answer.status, answer.data["verdict"]) == (3, "CANNOT TELL"), answer.out
    assert {finding["item"]: finding["level"] for finding in answer.data["findings"]} == {
        "code-review": "unknown",
        "migrations-validated": "ok",
    }


def _shape(data: dict[str, Any]) -> None:
    """As DESIGN words it: what every list of findings has."""
    assert data["environment"] == "staging"
    for finding in data["findings"]:
        assert {"check", "level", "summary", "evidence", "command", "took_ms", "at"} <= finding.keys()
        assert finding["level"] in ("ok", "warn", "fail", "unknown")
        assert finding["summary"] and finding["command"] and isinstance(finding["evidence"], list)
        assert isinstance(finding["took_ms"], float) and datetime.fromisoformat(finding["at"]).tzinfo
