"""`muva init`: what is found, what is made of it, and that it never hangs nor overwrites."""

from __future__ import annotations

import os
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muva_console.config.load import load, parse
from muva_console.config.render import render, toml
from muva_console.config.shape import every_key
from muva_console.drill.state import Estate
from muva_console.ops import setup
from muva_console.ops.errors import ConfigError
from muva_console.ops.pm2.model import Process
from muva_console.ops.setup import HostAnswer

from .terminal import muva, on_a_terminal

pytestmark = pytest.mark.xdist_group("doctor")

TOKEN = "ghp_" + "a1B2" * 8


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / ".ssh").mkdir(parents=True)
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a remote that holds a token, and branches here and there."""
    made = tmp_path / "muva-chat"
    made.mkdir()
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (
        ["init", "-q", "-b", "main"],
        [*author, "commit", "-q", "--allow-empty", "-m", "x"],
        ["branch", "dev"],
        ["remote", "add", "origin", f"https://x-access-token:{TOKEN}@github.com/muva/muva-chat.git"],
        ["update-ref", "refs/remotes/origin/staging", "HEAD"],
    ):
        subprocess.run(
            ["git", *command], cwd=made, check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"}
        )
    return made


# --- what is found -------------------------------------------------------------------------------------


def test_hosts_of_ssh_config(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.conf").write_text("Host included\n  HostName 10.0.0.3\n")
    (tmp_path / "config").write_text(
        "# a comment\nInclude more/*.conf missing.conf\n"
        "Host vps  web-1 *.internal !no\n  HostName=10.0.0.1\n  User deploy\n"
        'host "quoted"\n\tHostname 10.0.0.2\n'
        "Host github.com forge\n  HostName ssh.github.com\n"
        "Match host x\n  HostName ignored\n"
        "Host bad/name *\nHost\n"
    )
    hosts, notes = setup.ssh_hosts(tmp_path / "config")
    assert {host.alias: host.address for host in hosts} == {
        "included": "10.0.0.3",
        "vps": "10.0.0.1",
        "web-1": "10.0.0.1",
        "quoted": "10.0.0.2",
    }
    assert not notes
    assert setup.likely_hosts(hosts) == ["vps", "web-1"]


def test_ssh_configs_that_include_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Include config\nHost vps\n")
    hosts, notes = setup.ssh_hosts(tmp_path / "config")
    assert [host.alias for host in hosts] == ["vps"]
    assert "included too deeply" in notes[0]


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_ssh_config_breaks_it(text: str) -> None:
    for line in text.splitlines():
        setup._words(line)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("git@github.com:muva/chat.git", "muva/chat"),
        ("ssh://git@github.com:22/muva/chat", "muva/chat"),
        (f"https://{TOKEN}@github.com/muva/chat.git", "muva/chat"),
        ("github-work:muva/chat.git", "muva/chat"),
        ("https://gitlab.com/muva/chat.git", None),
        ("/srv/git/chat.git", None),
        ("https://github.com/muva", None),
        ("https://[bad", None),
        ("", None),
    ],
)
def test_the_repository_of_a_remote(url: str, found: str | None) -> None:
    assert setup.repository_of(url) == found


async def test_a_checkout_is_found_from_below(checkout: Path, tmp_path: Path) -> None:
    below = checkout / "src"
    below.mkdir()
    here = await setup.look(below, ssh_config=tmp_path / "none")
    assert here.checkout == checkout
    assert here.repository == "muva/muva-chat"
    assert set(here.branches) == {"main", "dev", "staging"}
    assert list(setup.likely_environments(here.branches)) == ["dev", "staging", "production"]
    assert TOKEN not in repr(here)


async def test_no_checkout_is_no_trouble(tmp_path: Path) -> None:
    here = await setup.look(tmp_path, ssh_config=tmp_path / "none")
    assert here.checkout is None
    assert setup.likely_environments(here.branches) == {"production": "main"}


def test_processes_name_environments_where_no_branch_does() -> None:
    answer = HostAnswer(alias="vps", processes=(process("muva-production"), process("muva-staging")))
    assert setup.likely_environments([], [answer]) == {"staging": "staging", "production": "main"}
    assert setup.likely_environments(["master"], [answer]) == {"staging": "staging", "production": "master"}


def process(name: str, branch: str = "", cwd: str = "/srv/x") -> Process:
    return Process(
        host="vps", pm_id=0, name=name, status="online", branch=branch, cwd=cwd, created_at=datetime.now(UTC)
    )


def test_processes_go_to_their_environments_by_name_else_by_branch() -> None:
    one = HostAnswer(
        alias="a", processes=(process("muva-production", "main", "/srv/p"), process("muva-staging"))
    )
    two = HostAnswer(alias="b", processes=(process("web", "main"),))
    table = setup.environment_table("production", "main", hosts=["a", "b"], answers=[one, two])
    assert (table["hosts"], table["processes"], table["directory"]) == (["a"], ["muva-production"], "/srv/p")
    assert table["production"] is True
    table = setup.environment_table("production", "main", hosts=["a", "b"], answers=[two])
    assert (table["hosts"], table["processes"]) == (["b"], ["web"])
    staging = setup.environment_table("staging", "staging", hosts=["a"], answers=[one])
    assert staging["processes"] == ["muva-staging"]
    assert staging["thresholds"] == {"database": "50ms"}
    assert "hosts" not in setup.environment_table("dev", "dev", hosts=["a"])


# --- what is written -----------------------------------------------------------------------------------


def test_what_is_written_explains_every_key_and_loads() -> None:
    document = {
        "project": {"name": 'A "quoted" \\ name', "checkout": "."},
        "hosts": {"vps": {"address": "vps"}, "b": {"address": "b"}},
        "environments": {
            "dev": {"branch": "dev"},
            "production": {"branch": "main", "production": True, "hosts": ["vps", "b"], "processes": ["x y"]},
        },
    }
    text = render(document)
    loaded = parse(text.encode(), Path("/x/muva.toml"))
    assert loaded.config.project.name == 'A "quoted" \\ name'
    assert loaded.config.environments["production"].processes == ("x y",)
    for path, key in every_key():
        if key.shape.table is None and (key.shape.item is None or key.shape.item.table is None):
            assert f"{path[-1]} = " in text, path
    assert all(len(line) <= 110 for line in text.splitlines())


@given(st.recursive(st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_values_are_written_as_toml_reads_them(value: object) -> None:
    try:
        text = f"x = {toml(value)}"
        assert tomllib.loads(text)["x"] == value
    except tomllib.TOMLDecodeError:
        assert any(0xD800 <= ord(char) <= 0xDFFF for char in str(value)), value


def test_a_file_that_is_there_is_never_overwritten_unasked(tmp_path: Path) -> None:
    file = tmp_path / "muva.toml"
    assert setup.write("one", file, force=False) is None
    with pytest.raises(ConfigError, match="there is one already"):
        setup.write("two", file, force=False)
    assert file.read_text() == "one"
    assert setup.write("two", file, force=True) == tmp_path / "muva.toml.bak"
    assert file.read_text() == "two"
    assert (tmp_path / "muva.toml.bak").read_text() == "one"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["muva.toml", "muva.toml.bak"]


# --- as it is typed ------------------------------------------------------------------------------------


def test_written_elsewhere_it_finds_the_checkout_where_it_was_typed(checkout: Path, home: Path) -> None:
    file = home / ".config/muva/muva.toml"
    done = muva("--config", file, "init", "--yes", home=home, cwd=checkout)
    assert done.returncode == 0, done.stderr
    config = load(file).config
    assert config.project.checkout.resolve() == checkout.resolve()
    assert list(config.environments) == ["dev", "staging", "production"]


def test_without_a_terminal_it_takes_what_it_finds_and_asks_no_network(checkout: Path, home: Path) -> None:
    (home / ".ssh/config").write_text("Host vps\n  HostName 192.0.2.1\n")
    done = muva("init", home=home, cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert "Asking" not in done.stderr
    config = load(checkout / "muva.toml").config
    assert list(config.environments) == ["dev", "staging", "production"]
    assert config.project.repository == "muva/muva-chat"
    assert config.project.checkout == checkout
    assert config.environments["production"].hosts == ("vps",)
    assert TOKEN not in done.stdout + done.stderr + (checkout / "muva.toml").read_text()
    again = muva("init", "--yes", home=home, cwd=checkout)
    assert again.returncode == 2
    assert "--force" in again.stderr


def ssh_config_of(estate: Estate, file: Path) -> None:
    file.write_text(
        f"Host vps\n  HostName 127.0.0.1\n  Port {estate.ssh_port}\n  User {estate.user}\n"
        f"  IdentityFile {estate.identity}\n  UserKnownHostsFile {estate.known_hosts}\n"
    )


def test_on_a_terminal_it_asks_for_the_rest(checkout: Path, home: Path) -> None:
    (home / ".ssh/config").write_text("Host vps\n  HostName 192.0.2.1\n")
    answers = [
        ("Name of what is operated", "MUVA"),
        ("OWNER/NAME", "not a repository"),
        ("OWNER/NAME of a GitHub repository", "muva/chat"),
        ("Hosts that run it", ""),
        ("over SSH?", "n"),
        ("Environments", "production"),
        ("branch", ""),
        ("address for its users", "ftp://x"),
        ("does not begin with http", "https://muva.chat"),
        ("hosts", ""),
        ("directory on its hosts", "/var/www/muva"),
        ("PM2 processes", "muva-production"),
        ("port there", "99999"),
        ("at most 65535", "3000"),
        ("environment file there", ""),
        ("database's address", "DATABASE_URL"),
    ]
    status, seen = on_a_terminal(["init"], answers, home=home, cwd=checkout)
    assert status == 0, seen
    config = load(checkout / "muva.toml").config
    production = config.environments["production"]
    assert (config.project.name, config.project.repository) == ("MUVA", "muva/chat")
    assert (production.url, production.port, production.hosts) == ("https://muva.chat", 3000, ("vps",))
    assert (production.directory, production.env_file) == ("/var/www/muva", ".env.production")
    assert production.database is not None
    assert production.database.url is not None
    assert production.database.url.env == "DATABASE_URL"


def test_asked_to_it_reads_pm2_on_the_hosts(estate: Estate, home: Path, checkout: Path) -> None:
    ssh_config_of(estate, home / "config")
    done = muva("init", "--yes", "--probe", "--ssh-config", home / "config", home=home, cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert "Asking vps over SSH" in done.stderr
    config = load(checkout / "muva.toml").config
    for name, site in estate.sites.items():
        environment = config.environments[name]
        assert environment.processes == (site.process,)
        assert environment.directory == str(site.directory)
        assert environment.hosts == ("vps",)
    # and what it wrote is enough to reach the host
    tried = muva("doctor", "--env", "production", home=home, cwd=checkout)
    assert "PM2 keeps muva-production" in tried.stdout
