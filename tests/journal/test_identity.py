"""Who is the engineer: what the system vouches for, and what somebody only claims."""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
from pathlib import Path

import pytest

from muva_console.ops.identity import identify

ME = pwd.getpwuid(os.getuid()).pw_name
NOBODY = pwd.getpwnam("nobody")
UNSET = "4294967295"


@pytest.fixture
def loginuid(tmp_path: Path) -> Path:
    file = tmp_path / "loginuid"
    file.write_text(UNSET)
    return file


def test_the_account_of_the_process(loginuid: Path) -> None:
    engineer = identify({}, loginuid_file=loginuid)
    assert (engineer.name, engineer.account, engineer.claimed) == (ME, ME, False)
    assert engineer.label == ME
    assert engineer.origin == "this host"
    assert engineer.at_host == f"{ME}@{engineer.host}"
    assert engineer.host == os.uname().nodename


def test_variables_that_anybody_may_set_are_not_believed(loginuid: Path) -> None:
    engineer = identify(
        {"USER": "mallory", "LOGNAME": "mallory", "SUDO_USER": "mallory"}, loginuid_file=loginuid
    )
    assert engineer.label == ME


def test_the_audit_login_survives_sudo(loginuid: Path) -> None:
    loginuid.write_text(str(NOBODY.pw_uid))
    engineer = identify({"SUDO_UID": str(os.getuid())}, loginuid_file=loginuid)
    assert engineer.label == "nobody"
    assert engineer.origin == f"this host, running as {ME}"


@pytest.mark.skipif(os.getuid() != 0, reason="sudo's word is believed of root alone")
def test_sudo(loginuid: Path) -> None:
    engineer = identify({"SUDO_UID": str(NOBODY.pw_uid)}, loginuid_file=loginuid)
    assert (engineer.label, engineer.origin) == ("nobody", "this host, running as root")
    for nonsense in ("", "x", "-1", "1; rm", "١"):
        assert identify({"SUDO_UID": nonsense}, loginuid_file=loginuid).label == ME


def test_sudo_is_not_believed_of_others(loginuid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: NOBODY.pw_uid)
    assert identify({"SUDO_UID": "0"}, loginuid_file=loginuid).label == "nobody"


def test_an_account_without_a_name(loginuid: Path) -> None:
    loginuid.write_text("3999999999")
    assert identify({}, loginuid_file=loginuid).label == "uid 3999999999"


def test_no_audit(tmp_path: Path) -> None:
    assert identify({}, loginuid_file=tmp_path / "missing").label == ME
    (tmp_path / "odd").write_text("\x00nonsense")
    assert identify({}, loginuid_file=tmp_path / "odd").label == ME


def test_a_claimed_name_never_stands_alone(loginuid: Path) -> None:
    engineer = identify({"MUVA_ENGINEER": "dana"}, loginuid_file=loginuid)
    assert (engineer.name, engineer.account, engineer.claimed) == ("dana", ME, True)
    assert engineer.label == f"dana (account {ME})"
    same = identify({"MUVA_ENGINEER": ME}, loginuid_file=loginuid)
    assert (same.label, same.claimed) == (ME, False)
    assert identify({"MUVA_ENGINEER": "  "}, loginuid_file=loginuid).label == ME


def test_hostile_claims(loginuid: Path) -> None:
    engineer = identify(
        {"MUVA_ENGINEER": "da\x1b[31mna\n\u202e" + "x" * 500, "SSH_CONNECTION": "\x1b]0;x\x07 1 2 3"},
        loginuid_file=loginuid,
    )
    for text in (engineer.label, engineer.origin):
        assert text.isprintable()
        assert len(text) < 300
    assert f"(account {ME})" in engineer.label


def test_where_the_session_came_from(loginuid: Path) -> None:
    engineer = identify({"SSH_CONNECTION": "10.0.0.7 52114 10.0.0.1 22"}, loginuid_file=loginuid)
    assert engineer.origin == "ssh from 10.0.0.7"


def test_the_key_that_opened_the_session(
    loginuid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = b"\0\0\0\x0bssh-ed25519" + bytes(36)
    key = base64.b64encode(blob).decode()
    fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    told = tmp_path / "auth"
    told.write_text(f"password\npublickey ssh-ed25519 {key}\n")
    environ = {"SSH_CONNECTION": "10.0.0.7 1 10.0.0.1 22", "SSH_USER_AUTH": str(told)}

    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    real = pwd.getpwnam
    monkeypatch.setattr(
        pwd, "getpwnam", lambda name: pwd.struct_passwd((*real(name)[:5], str(home), "/bin/sh"))
    )
    assert identify(environ, loginuid_file=loginuid).origin == f"ssh from 10.0.0.7, key {fingerprint}"
    (home / ".ssh" / "authorized_keys").write_text(
        f"# old: ssh-ed25519 {key} mallory\nssh-ed25519 AAAAother other@x\n"
        f'from="10.0.0.0/8" ssh-ed25519 {key} dana@laptop\n'
    )
    assert (
        identify(environ, loginuid_file=loginuid).origin
        == f"ssh from 10.0.0.7, key dana@laptop {fingerprint}"
    )
    for broken in ("", "publickey", "publickey ssh-ed25519 !!!", "\xff\x00"):
        told.write_text(broken)
        assert identify(environ, loginuid_file=loginuid).origin.startswith("ssh from 10.0.0.7")
    assert "key" not in identify({"SSH_USER_AUTH": "/nowhere\0"}, loginuid_file=loginuid).origin
