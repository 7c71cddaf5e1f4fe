"""`muva migrations validate`: any files without a configuration; those that go to an environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muva_console.cli import run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def answer(capsys: pytest.CaptureFixture[str], *words: str, **options: Any) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run([*options.get("first", ()), "migrations", "validate", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_any_files_without_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "it's $(good).sql", tmp_path / "bad.sql"
    good.write_text("alter table t add column x int")
    bad.write_text("-- é\nselect 'é'; alter table t alter column x type json using x::json;")
    status, out, err = answer(capsys, str(good))
    assert (status, err) == (0, "") and "no hazard" in out
    status, out, _ = answer(capsys, str(bad), "--locks")
    assert status == 1
    assert f"fail    {bad}:2:40  column-type  x becomes json: t and its indexes are rewritten" in out
    for line in (
        "blocks reads and writes",
        "on public.t (size unknown, taken as large)",
        "safe: ALTER TABLE t",
    ):
        assert f"    {line}" in out
    assert (
        "ALTER TABLE: ACCESS EXCLUSIVE on public.t (blocks reads, writes and schema changes; rewrites it)"
        in out
    )
    bad.write_text("alter table t drop column x;\nselekt")
    status, out, _ = answer(capsys, str(bad), "--json")
    document = json.loads(out)
    assert status == 1 and (document["environment"], document["verdict"]) == (None, "NO-GO")
    (finding,) = document["findings"]
    assert finding["subject"] == f"{bad}:2:1" and "syntax error" in finding["summary"]
    assert {"check", "level", "summary", "evidence", "command", "took_ms", "at"} <= set(finding)


def test_exit_statuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, str(tmp_path / "none.sql"))[0] == 2
    (tmp_path / "empty").mkdir()
    status, _, err = answer(capsys, str(tmp_path / "empty"))
    assert status == 2 and "no file of this folder ends in .sql" in err
    warn, deep = tmp_path / "warn.sql", tmp_path / "deep.sql"
    warn.write_text("drop function f()")
    assert answer(capsys, str(warn))[0] == 0
    deep.write_text("delete from t where " + "not " * 4000 + "a")
    assert answer(capsys, str(deep))[0] == 3
    assert answer(capsys, "--env", "production")[0] == 2  # no configuration
    status, out, _ = answer(capsys, "--rules")
    assert status == 0 and "require-lock-timeout" in out


def test_a_folder_of_numbered_files_is_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "1_a.sql").write_text("create table t (id bigint primary key, name varchar(20))")
    (folder / "2_b.sql").write_text("alter table t alter column name type varchar(40)")
    assert answer(capsys, str(folder))[0] == 0
    (folder / "1_a.sql").rename(folder / "a.sql")  # now each stands for itself
    status, out, _ = answer(capsys, str(folder), "--json")
    document = json.loads(out)
    assert (status, document["level"]) == (0, "warn")
    assert [Path(one["path"]).name for one in document["files"]] == ["2_b.sql", "a.sql"]
    hazard = document["files"][0]["hazards"][0]
    assert (hazard["rule"], hazard["line"]) == ("column-type", 1)
    assert document["files"][0]["statements"][0]["locks"][0]["mode"] == "ACCESS EXCLUSIVE"


def test_what_goes_to_an_environment_weighs_by_its_sizes(
    estate_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("--config", str(estate_config))
    status, out, err = answer(capsys, "--env", "production", "--json", first=first)
    document = json.loads(out)
    assert status in (0, 1), err
    assert document["environment"] == "production" and document["untold"] == []
    # every file of the branch, where what is applied is known to be small
    status, out, err = answer(capsys, "--env", "production", "--all", "--json", first=first)
    document = json.loads(out)
    assert len(document["files"]) >= 8
    file = tmp_path / "index.sql"
    file.write_text("create index on public.staff (role)")
    status, out, err = answer(capsys, str(file), "--env", "production", "--json", first=first)
    (finding,) = json.loads(out)["findings"]
    assert (status, finding["level"]) == (0, "ok")
    assert "rows" in finding["evidence"][1] and "in production" in finding["evidence"][1]
