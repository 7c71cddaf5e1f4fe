"""`muva doctor` and `muva config` as they are typed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import tomli_w

from muva_console.drill.state import Estate

from .terminal import muva, on_a_terminal

pytestmark = pytest.mark.xdist_group("doctor")


def stranger(estate: Estate, folder: Path) -> Path:
    """The estate's configuration with an empty known_hosts; only its host is in it."""
    made = tomllib.loads(estate.config.read_text())
    made["hosts"]["vps"]["known_hosts"] = str(folder / "known_hosts")
    made["environments"] = {"production": {"branch": "main", "hosts": ["vps"]}}
    file = folder / "muva.toml"
    file.write_text(tomli_w.dumps(made))
    return file


def test_json_is_data_alone_and_the_status_is_the_verdict(estate: Estate, tmp_path: Path) -> None:
    done = muva(
        "--config", estate.config, "doctor", "--env", "production", "--json", home=tmp_path, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["environment"] == "production"
    assert told["verdict"] == "GO"
    assert {"check", "level", "summary", "evidence", "command", "next", "took_ms", "at"} <= set(
        told["findings"][0]
    )
    assert {finding["level"] for finding in told["findings"]} == {"ok"}
    assert "Nothing is changed" in done.stderr


def test_without_a_terminal_an_unknown_key_is_told_and_never_trusted(estate: Estate, tmp_path: Path) -> None:
    done = muva("--config", stranger(estate, tmp_path), "doctor", home=tmp_path, cwd=tmp_path)
    assert done.returncode == 1
    assert "is not known here" in done.stdout
    assert "NO-GO" in done.stdout
    assert "\x1b" not in done.stdout
    assert not (tmp_path / "known_hosts").exists()


def test_a_person_is_shown_the_fingerprint_and_a_yes_is_recorded(estate: Estate, tmp_path: Path) -> None:
    file = stranger(estate, tmp_path)
    status, seen = on_a_terminal(
        ["--config", file, "doctor"], [("(yes/no)", "yes")], home=tmp_path, cwd=tmp_path
    )
    assert "SHA256:" in seen
    assert "Compare it with what the host's owner tells you" in seen
    assert "logged in as deploy" in seen
    recorded = (tmp_path / "known_hosts").read_text().split()
    assert recorded[2] in estate.known_hosts.read_text()
    # the checkout of this configuration is the estate's; with the key trusted all is well
    assert status == 0, seen
    assert "GO" in seen


@pytest.mark.parametrize("answer", ["no", "", "y"])
def test_anything_but_a_whole_yes_records_nothing(estate: Estate, tmp_path: Path, answer: str) -> None:
    file = stranger(estate, tmp_path)
    status, seen = on_a_terminal(
        ["--config", file, "doctor"], [("(yes/no)", answer)], home=tmp_path, cwd=tmp_path
    )
    assert status == 1, seen
    assert not (tmp_path / "known_hosts").exists()


def test_mistakes_end_it_with_2_and_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "muva.toml").write_text("[console]\nrefresh = 3\n[environments.a]\n")
    for command in (["doctor", "--json"], ["config", "check"]):
        done = muva(*command, home=tmp_path, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "muva.toml:2: [console] refresh" in done.stderr
        assert "muva.toml:3: [environments.a] branch: missing" in done.stderr


def test_no_configuration_at_all_says_what_to_do(tmp_path: Path) -> None:
    done = muva("doctor", home=tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "muva init" in done.stderr
    assert "muva demo" in done.stderr


def test_an_environment_that_is_none_is_a_usage_error(estate: Estate, tmp_path: Path) -> None:
    done = muva("--config", estate.config, "doctor", "--env", "prod", home=tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "dev, " in done.stderr


def test_config_check_and_schema(tmp_path: Path) -> None:
    (tmp_path / "muva.toml").write_text('[environments.a]\nbranch = "b"\n')
    done = muva("config", "check", "--json", home=tmp_path, cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["environments"] == ["a"]
    done = muva("config", "schema", home=tmp_path, cwd=tmp_path)
    assert json.loads(done.stdout)["title"] == "muva.toml"
