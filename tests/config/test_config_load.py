"""muva.toml is read whole or every mistake in it is named."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from muva_console.config.load import LoadedConfig, check_document, load, parse
from muva_console.config.model import Config
from muva_console.config.shape import every_key
from muva_console.ops.errors import ConfigError
from muva_console.ops.text import sanitise

FILE = Path("/etc/muva/muva.toml")
SMALL = '[environments.production]\nbranch = "main"\n'


def good(text: str) -> Config:
    return parse(text.encode(), FILE).config


def mistakes(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), FILE)
    assert caught.value.mistakes
    return list(caught.value.mistakes)


def only(text: str) -> str:
    found = mistakes(text)
    assert len(found) == 1, found
    return found[0]


def in_production(lines: str) -> str:
    return f'[hosts.vps]\naddress = "vps"\n[environments.production]\nbranch = "main"\n{lines}\n'


# --- what is read --------------------------------------------------------------------------------------


def test_a_small_file_has_the_playbooks_defaults() -> None:
    config = good(SMALL)
    thresholds = config.environments["production"].thresholds
    assert thresholds.response == 5.0
    assert thresholds.slow_factor == 10.0
    assert thresholds.error_rate == 0.05
    assert config.health.failure_threshold == 3
    assert config.health.recovery_threshold == 2
    assert config.console.refresh == 30.0


def test_durations_and_tuples_are_converted() -> None:
    config = good(
        '[console]\nrefresh = "1m30s"\n'
        + in_production(
            'processes = ["a", "b"]\nhosts = ["vps"]\n[environments.production.thresholds]\ndatabase = "50ms"'
        )
    )
    assert config.console.refresh == 90.0
    assert config.environments["production"].processes == ("a", "b")
    assert config.environments["production"].thresholds.database == pytest.approx(0.05)


def test_paths_are_absolute_and_relative_to_the_file() -> None:
    config = good(
        '[project]\ncheckout = "../app"\n[journal]\ndirectory = "~/journal"\n'
        '[hosts.vps]\naddress = "vps"\nidentity = "/keys/id"\n'
        '[environments.production]\nbranch = "main"\n'
        '[environments.production.database]\nurl = { file = "secret" }\n'
    )
    assert config.project.checkout == Path("/etc/muva/../app")
    assert config.journal.directory == Path.home() / "journal"
    assert config.hosts["vps"].identity == Path("/keys/id")
    database = config.environments["production"].database
    assert database is not None
    assert database.url is not None
    assert database.url.file == Path("/etc/muva/secret")
    assert good(SMALL).project.checkout == Path("/etc/muva")


def test_an_environment_may_have_several_hosts() -> None:
    config = good(
        '[hosts.a]\naddress = "a"\n[hosts.b]\naddress = "10.0.0.2"\njump = "a"\n'
        '[environments.production]\nbranch = "main"\nhosts = ["a", "b"]\n'
    )
    assert config.environments["production"].hosts == ("a", "b")
    assert config.hosts["b"].jump == "a"


def test_the_environments_address_loses_its_last_slash_and_a_dependencys_does_not() -> None:
    config = good(
        in_production(
            'url = "https://muva.chat/"\n[environments.production.dependencies.x]\nurl = "https://x.co/rest/v1/"'
        )
    )
    environment = config.environments["production"]
    assert environment.url == "https://muva.chat"
    assert environment.dependencies["x"].url == "https://x.co/rest/v1/"


def test_the_digest_follows_the_bytes() -> None:
    one, two = parse(SMALL.encode(), FILE), parse(SMALL.encode() + b"# a comment\n", FILE)
    assert one.config == two.config
    assert one.digest != two.digest
    assert len(one.digest) == 64
    assert one.base == FILE.parent


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse(b"\xef\xbb\xbf" + SMALL.encode(), FILE).config == good(SMALL)


# --- mistakes ------------------------------------------------------------------------------------------


def test_all_mistakes_are_named_at_once_with_file_line_table_and_key() -> None:
    found = mistakes(
        '[project]\nnam = "x"\n'
        '[console]\nrefresh = 30\ntheme = "muva-drak"\n'
        '[environments.staging]\nurl = "ftp://x"\nport = 70000\n'
        "[environments.staging.thresholds]\nmemory = 90\nerror_rate = nan\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        f"{FILE}:{line}" for line in (2, 4, 5, 6, 7, 8, 10, 11)
    ]
    assert "[project] nam: unknown key; did you mean name?" in found[0]
    assert '[console] refresh: expected a duration such as "250ms"' in found[1]
    assert 'did you mean "30s"?' in found[1]
    assert "did you mean muva-dark?" in found[2]
    assert "[environments.staging] branch: missing; expected the name of a git branch" in found[3]
    assert "it does not begin with http:// or https://" in found[4]
    assert "at most 65535, found 70000" in found[5]
    assert (
        "[environments.staging.thresholds] memory: expected a number, at least 0 and at most 1, found 90"
        in found[6]
    )
    assert "found nan" in found[7]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "[environments]: there are none; expected at least one"),
        ("[environments]", "there are none"),
        ('environments = "x"', "[environments]: expected tables"),
        ("hosts = 3\n" + SMALL, "[hosts]: expected tables"),
        (in_production('hosts = ["vsp"]'), "there is no [hosts.vsp]; did you mean vps?"),
        (in_production('hosts = "vps"'), 'did you mean ["vps"]?'),
        (in_production('hosts = ["vps", "vps"]'), 'hosts, item 2: "vps" stands there twice'),
        (
            in_production('hosts = ["vps"]\nprocesses = ["x", "x"]'),
            'processes, item 2: "x" stands there twice',
        ),
        (in_production('processes = ["x"]'), "no host is named"),
        (in_production('env_file = ".env"'), "relative to `directory`, which is missing"),
        (in_production('directory = "www/app"'), "expected an absolute path on the host"),
        (in_production('health = "api"'), "expected a path that begins with '/'"),
        (in_production("port = true"), "found true"),
        (in_production("port = 3000.0"), "found 3000.0"),
        (in_production('production = "yes"'), 'expected true or false, found "yes"'),
        (in_production("url = 2025-11-05"), "found 2025-11-05"),
        (in_production('url = "https://"'), "no host is in it"),
        (in_production('url = "https://x.y:99999"'), "its host or port is no host or port"),
        (in_production('url = "https://x y"'), "a character is in it that no address has"),
        (in_production('url = "https://x.y?a=1"'), "paths are appended to it"),
        (in_production('colour = "red"'), "unknown key; known are branch"),
        (in_production("refresh = 3"), "it stands in [console]"),
        (in_production("[environments.production.contacts]"), "[contacts] is a table of its own"),
        (in_production('[environments.production.database]\nthrough = "x"'), "there is no [hosts.x]"),
        (in_production('[environments.production.database]\nuser = "x"'), "host: missing"),
        (
            in_production('[environments.production.database]\nurl = { env = "A" }\nhost = "x"'),
            "`url` holds it already",
        ),
        (in_production("[environments.production.database]\nurl = { }"), "found none of the three keys"),
        (
            in_production('[environments.production.database]\nurl = { env = "A", command = "b" }'),
            "found 2 keys (env, command)",
        ),
        (
            in_production("[environments.production.thresholds]\ndegraded_factor = 10"),
            "expected less than slow_factor (10), found 10",
        ),
        (
            in_production('[environments.production.dependencies."a b"]\nurl = "https://x.y"'),
            "expected a name",
        ),
        (
            in_production("[environments.production.dependencies.a]\nurl = 'https://x.y'\nexpect = [99]"),
            "at least 100",
        ),
        (SMALL + '[hosts.a]\naddress = "root@a"', "without user name, port or scheme"),
        (SMALL + '[hosts.a]\naddress = "-oProxyCommand=x"', "expected a host name"),
        (SMALL + '[hosts.a]\naddress = "a"\nidentity = "~nobody-here-1/x"', "whose home that is"),
        (SMALL + '[hosts.a]\naddress = "a"\nconnect_timeout = "2h"', "at most 10m"),
        (SMALL + '[console]\nrefresh = "0s"', "at least 1s"),
        (SMALL + '[console]\nrefresh = "400d"', "longer than a year"),
        (SMALL + '[[contacts]]\nrole = "x"', "[[contacts]] number 1, name: missing"),
        (SMALL + '[contacts]\nrole = "x"', "[contacts]: expected a list"),
        (SMALL + '[project]\nname = "a\\u0007b"', "a control character is in it"),
    ],
)
def test_one_mistake(text: str, told: str) -> None:
    assert told in only(text)


def test_jumps_in_a_circle_are_told_once_with_their_way() -> None:
    hosts = "".join(f'[hosts.{a}]\naddress = "{a}"\njump = "{b}"\n' for a, b in ("ab", "bc", "cb"))
    assert "the jumps go in a circle: b → c → b" in only(SMALL + hosts)
    assert "vps → vps" in only(SMALL + '[hosts.vps]\naddress = "x"\njump = "vps"\n')


def test_a_process_of_two_environments_on_one_host_is_a_mistake() -> None:
    both = 'hosts = ["vps"]\nprocesses = ["muva"]\n'
    text = in_production(both) + f'[environments.staging]\nbranch = "staging"\n{both}'
    assert (
        '[environments.staging] processes: "muva" on vps already belongs to [environments.production]'
        in only(text)
    )
    other = '[hosts.b]\naddress = "b"\n[environments.staging]\nbranch = "staging"\nhosts = ["b"]\n'
    other += 'processes = ["muva"]\n'
    assert good(in_production(both) + other).environments["staging"].processes == ("muva",)


def test_a_host_with_a_mistake_is_not_called_unknown_as_well() -> None:
    assert "port" in only('[hosts.vps]\naddress = "a"\nport = 0\n' + in_production('hosts = ["vps"]')[27:])


# --- secrets -------------------------------------------------------------------------------------------

PASSWORD = "correct-horse-battery"


@pytest.mark.parametrize(
    "lines",
    [
        f'url = "https://dana:{PASSWORD}@muva.chat"',
        f'url = "https://{PASSWORD}@muva.chat"',
        f'url = "https://muva.chat/{PASSWORD}?password={PASSWORD}"',
        f'pasword = "{PASSWORD}"',
        f'port = "{PASSWORD}"\n[environments.production.database]\npassword = "{PASSWORD}"',
        f'[environments.production.database]\nurl = "postgres://postgres:{PASSWORD}@db.x.co/postgres"',
        f'[environments.production.database]\nurl = {{ env = "postgres://postgres:{PASSWORD}@db" }}',
        f'[environments.production.database]\nurl = {{ command = "echo postgres://u:{PASSWORD}@db/x" }}',
        f'[environments.production.database]\nurl = {{ value = "{PASSWORD}" }}',
        f'[environments.production.database]\nurl = ["{PASSWORD}"]',
        f'[environments.production.database]\nhost = "u:{PASSWORD}@x"',
        f'health = "/api/health?token={PASSWORD}"',
        f'[environments.production.dependencies.x]\nurl = "https://x.co/?apikey={PASSWORD}"',
        f'directory = "postgres://u:{PASSWORD}@db"',
    ],
)
def test_a_literal_secret_is_refused_and_never_repeated(lines: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(in_production(lines.replace(f'port = "{PASSWORD}"\n', "")).encode(), FILE)
    told = "\n".join(caught.value.lines())
    assert PASSWORD not in told
    assert PASSWORD not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_password_in_an_address_is_called_one() -> None:
    assert "holds a literal password" in only(in_production(f'url = "https://u:{PASSWORD}@x.y"'))


def test_a_literal_where_a_reference_is_wanted_is_told_how_to_do_it() -> None:
    told = only(in_production(f'[environments.production.database]\nurl = "{PASSWORD}"'))
    assert 'expected a reference: { env = "NAME" }, { command = "…" } or { file = "…" }' in told


def test_a_command_may_speak_of_passwords() -> None:
    config = good(
        in_production(
            '[environments.production.database]\nurl = { command = "grep ^DB_PASSWORD= .env | cut -d= -f2" }'
        )
    )
    database = config.environments["production"].database
    assert database is not None
    assert database.url is not None
    assert database.url.command == "grep ^DB_PASSWORD= .env | cut -d= -f2"


# --- files ---------------------------------------------------------------------------------------------


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a working folder and no configuration anywhere."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("MUVA_CONFIG", raising=False)
    monkeypatch.chdir(here)
    return tmp_path


def place(path: Path, branch: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'[environments.production]\nbranch = "{branch}"\n')


def branch_of(loaded: LoadedConfig) -> str:
    return loaded.config.environments["production"].branch


def test_it_is_looked_for_in_the_given_order(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(apart / "home/.config/muva/muva.toml", "user")
    assert branch_of(load()) == "user"
    place(apart / "here/muva.toml", "here")
    assert branch_of(load()) == "here"
    place(apart / "variable.toml", "variable")
    monkeypatch.setenv("MUVA_CONFIG", str(apart / "variable.toml"))
    assert branch_of(load()) == "variable"
    place(apart / "here/option.toml", "option")
    loaded = load(Path("option.toml"))
    assert branch_of(loaded) == "option"
    assert loaded.path == apart / "here/option.toml"


def test_none_anywhere_says_where_it_looked_and_what_to_do(apart: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load()
    told = "\n".join(caught.value.lines())
    for word in (
        "--config",
        "$MUVA_CONFIG",
        "here/muva.toml",
        "home/.config/muva/muva.toml",
        "muva init",
        "muva demo",
    ):
        assert word in told


def test_a_named_file_that_is_not_there_is_not_replaced_by_another(
    apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(apart / "here/muva.toml", "here")
    with pytest.raises(ConfigError, match=r"there is no such file \(--config\)"):
        load(Path("other.toml"))
    monkeypatch.setenv("MUVA_CONFIG", "other.toml")
    with pytest.raises(ConfigError, match=r"\$MUVA_CONFIG"):
        load()


def test_in_a_folder_that_is_gone_a_whole_path_still_works(apart: Path) -> None:
    place(apart / "variable.toml", "whole")
    (apart / "here").rmdir()
    with pytest.raises(ConfigError, match="is gone"):
        load()
    assert branch_of(load(apart / "variable.toml")) == "whole"
    (apart / "variable.toml").write_text("x")
    with pytest.raises(ConfigError):
        load(apart / "variable.toml")


def test_what_is_no_file_neither_hangs_nor_crashes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (1024 * 1024 + 1))
    for name in ("pipe", "large", "."):
        with pytest.raises(ConfigError):
            load(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SMALL)
    (tmp_path / "x.toml").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'[a]\nb = "x', ":2: not TOML: Unterminated string"),
        (b"a = 1\nb == 2", ":2:4: not TOML: Invalid value (line 2, column 4)"),
        (b"[a]\n[a]", ":2:3: not TOML: Cannot declare"),
        (b"a = " + b"9" * 5000, "a number of too many digits"),
        (b"a = " + b"[" * 9000, "nested too deeply"),
        (b"a = 1\n# \xff", ":2: expected UTF-8 text, found byte 0xff"),
    ],
)
def test_what_is_not_toml_has_its_line_and_column(text: bytes, place: str) -> None:
    assert place in mistakes(text)[0]


# --- anything at all -----------------------------------------------------------------------------------

_names = st.sampled_from(
    sorted({part for path, _ in every_key() for part in path if part not in "*[]"} | {"vps", "", "a b"})
)
_leaves = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.sampled_from(["vps", "30s", "https://x.y", "https://u:p@x", "main", "~x/y", "/var", "[::1]"])
)
_documents = st.dictionaries(
    _names | st.text(max_size=4),
    st.recursive(
        _leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=4), inner, max_size=5)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


@example({"hosts": {"": {"jump": "0"}, "\x1f": []}})  # every name is listed, what is no name too
@given(_documents)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_document_does_anything_but_load_or_raise_config_error(document: dict[str, Any]) -> None:
    try:
        config = check_document(document, FILE)
    except ConfigError as error:
        assert error.mistakes
        assert all(line == sanitise(line, newlines=False) for line in error.lines())
    else:
        assert config.environments


@given(st.binary(max_size=200) | st.text(alphabet="[]{}=\"'\n#.,abcé\\ 0", max_size=80).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_no_bytes_do_anything_but_load_or_raise_config_error(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse(data, FILE)  # nothing so small has an environment


@given(_documents)
@settings(max_examples=100, deadline=None)
def test_the_lines_of_mistakes_are_lines_of_the_file(document: dict[str, Any]) -> None:
    from muva_console.config.places import places

    try:
        text = tomli_w.dumps(document)
        assert tomllib.loads(text) is not None
    except (TypeError, ValueError, UnicodeEncodeError):
        return
    lines = text.splitlines()
    for path, line in places(text).items():
        last = path[-2] if lines[line - 1].startswith("[[") else path[-1]
        assert 1 <= line <= len(lines)
        head = lines[line - 1].split("=")[0]
        assert last in head or '"' in head, (path, lines[line - 1])


# --- whose commands ------------------------------------------------------------------------------------

COMMANDS = in_production('[environments.production.database]\nurl = { command = "echo x" }')


def test_commands_that_anybody_could_have_written_are_refused(apart: Path) -> None:
    file = apart / "here/muva.toml"
    file.write_text(COMMANDS)
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="anybody on this machine can change it") as caught:
        load()
    assert "chmod o-w" in "\n".join(caught.value.lines())
    file.chmod(0o664)
    assert load().path == file
    file.write_text(SMALL)
    file.chmod(0o666)
    assert load().path == file


def test_somebody_elses_commands_run_only_when_named(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = apart / "here/muva.toml"
    file.write_text(COMMANDS)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    if file.stat().st_uid == 0:
        assert load().path == file  # root's own is everybody's
        os.chown(file, 12345, -1)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        load()
    assert load(file).path == file


@pytest.mark.parametrize(
    "table",
    [
        '[github]\ntoken = { command = "gh auth token" }',
        '[notices]\nslack = { command = "pass show muva/slack" }',
        '[project]\nbuild = "make"',
        '[project]\ntests = "pnpm test"',
    ],
)
def test_the_commands_of_a_release_are_commands_too(
    apart: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    file = apart / "here/muva.toml"
    file.write_text(f"{SMALL}\n{table}\n")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="anybody on this machine can change it"):
        load()
    file.chmod(0o644)
    monkeypatch.setattr("muva_console.config.load.of_another", lambda about: True)
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        load()
    monkeypatch.setenv("MUVA_CONFIG", str(file))
    assert load().path == file


def test_somebody_elses_checkout_holds_commands_too(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default build runs the scripts that stand in it."""
    file = apart / "here/muva.toml"
    file.write_text(f'{SMALL}\n[project]\ncheckout = "app"\n')
    monkeypatch.setattr("muva_console.config.load.of_another", lambda about: True)
    assert load().path == file, "there is no such checkout"
    (apart / "here/app").mkdir()
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        load()


def test_what_is_sent_with_stands_in_no_complaint() -> None:
    webhook = "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnop"
    text = f'{SMALL}\n[notices]\nslack = "{webhook}"\n[github]\ntoken = "ghp_{"a1" * 18}"\n'
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), Path("/x/muva.toml"))
    told = "\n".join(caught.value.lines())
    assert "[notices] slack: expected a reference" in told
    assert "[github] token: expected a reference" in told
    assert "abcdefghijklmnop" not in told
    assert "a1a1a1" not in told


def test_rows_want_a_least_below_the_most() -> None:
    text = in_production("[environments.production.thresholds]\nrows_least = 12.0")
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), Path("/x/muva.toml"))
    assert "expected rows_least less than rows_most, found 12 and 10" in "\n".join(caught.value.lines())


def test_numbers_beyond_every_float_are_told() -> None:
    """Hexadecimal ones have no limit of digits in Python, and cannot be printed either."""
    long, longer = "1" + "0" * 400, "0x" + "f" * 5000
    text = f"{SMALL}\n[console]\nrefresh = {longer}\n[health]\ntimeout = {long}\nprobes = {longer}\n"
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), Path("/x/muva.toml"))
    assert len(caught.value.mistakes) == 3
    assert all("found a number" in line for line in caught.value.mistakes)
