"""Host keys: strict, and a new one accepted by a person only."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import threading
from pathlib import Path

import asyncssh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muva_console.config.model import Host
from muva_console.ops.errors import Fault, LinkError, OpsError, Refused
from muva_console.ops.links import ssh_errors, ssh_trust
from muva_console.ops.links.ssh_trust import HostKeyOffer, KnownHosts
from tests.ssh.conftest import MakeLink
from tests.ssh.servers import USER, Server

KEY, OTHER = (asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(2))
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=2048).convert_to_public()


def line(name: str, key: asyncssh.SSHKey = KEY) -> str:
    return f"{name} {key.export_public_key().decode().strip()}\n"


def offer(file: Path, address: str = "vps.example", key: asyncssh.SSHKey = KEY) -> HostKeyOffer:
    name, _, port = address.strip("[").partition("]:")
    return KnownHosts([file], name=name, port=int(port or 22)).judge("vps", key)


# ---------------------------------------------------------------------- over a connection


async def test_an_unknown_key_is_trusted_by_a_person_once_and_for_all(
    server: Server, make_link: MakeLink
) -> None:
    server.known_hosts = server.directory / "not yet" / "known_hosts"
    link = make_link(server.host())
    with pytest.raises(LinkError) as caught:
        await link.run("true")
    assert caught.value.fault is Fault.HOST_KEY
    found = await link.unknown_host_key()
    assert found is not None
    printed = subprocess.run(
        ["ssh-keygen", "-lf", f"{server.host_key}.pub"], capture_output=True, text=True, check=True
    ).stdout
    assert found.fingerprint in printed
    assert found.fingerprint in caught.value.means
    assert (found.host, found.address, found.changed) == ("vps", f"[127.0.0.1]:{server.port}", False)
    assert found.algorithm == "ssh-ed25519"
    await link.accept_host_key(found)
    assert (await link.run("true")).exit_status == 0
    assert await link.unknown_host_key() is None
    assert (await make_link(server.host(), name="again").run("true")).exit_status == 0
    assert server.known_hosts.stat().st_mode & 0o777 == 0o600
    assert server.known_hosts.parent.stat().st_mode & 0o777 == 0o700


async def test_openssh_understands_what_was_recorded(server: Server, make_link: MakeLink) -> None:
    server.known_hosts.unlink()
    link = make_link(server.host())
    found = await link.unknown_host_key()
    assert found is not None
    await link.accept_host_key(found, hashed=True)
    assert "127.0.0.1" not in server.known_hosts.read_text()
    answer = subprocess.run(
        ["ssh-keygen", "-F", found.address, "-f", str(server.known_hosts)], capture_output=True, check=False
    )
    assert answer.returncode == 0
    assert (await link.run("true")).exit_status == 0


async def test_a_changed_key_is_told_apart_and_never_accepted(server: Server, make_link: MakeLink) -> None:
    server.known_hosts.write_text(line(f"[127.0.0.1]:{server.port}", OTHER))
    before = server.known_hosts.read_bytes()
    link = make_link(server.host())
    with pytest.raises(LinkError) as caught:
        await link.run("true")
    assert caught.value.fault is Fault.HOST_KEY
    assert "not the one on record" in caught.value.what
    found = await link.unknown_host_key()
    assert found is not None
    assert found.changed
    assert found.recorded == (f"ssh-ed25519 {OTHER.get_fingerprint()}",)
    with pytest.raises(Refused) as refused:
        await link.accept_host_key(found)
    assert "ssh-keygen -R" in refused.value.next
    assert server.known_hosts.read_bytes() == before


async def test_a_key_of_another_kind_is_a_changed_key(server: Server, make_link: MakeLink) -> None:
    server.known_hosts.write_text(line(f"[127.0.0.1]:{server.port}", RSA))
    link = make_link(server.host())
    with pytest.raises(LinkError) as caught:
        await link.run("true")
    assert caught.value.fault is Fault.HOST_KEY
    found = await link.unknown_host_key()
    assert found is not None
    assert found.changed
    assert found.algorithm == "ssh-ed25519"


async def test_a_revoked_key_is_refused(server: Server, make_link: MakeLink) -> None:
    key = asyncssh.read_public_key(f"{server.host_key}.pub")
    server.known_hosts.write_text(
        line(f"[127.0.0.1]:{server.port}", key) + "@revoked " + line(f"[127.0.0.1]:{server.port}", key)
    )
    with pytest.raises(LinkError) as caught:
        await make_link(server.host()).run("true")
    assert caught.value.fault is Fault.HOST_KEY


async def test_a_key_known_for_the_address_does_not_vouch_for_the_name(
    server: Server, make_link: MakeLink, tmp_path: Path
) -> None:
    """Else whoever answers for the name could send us to any host whose key is on record."""
    config = tmp_path / "config"
    config.write_text("Host other\n  HostName localhost\n")
    link = make_link(server.host(address="other", ssh_config=config))
    with pytest.raises(LinkError) as caught:
        await link.run("true")
    assert caught.value.fault is Fault.HOST_KEY


async def test_an_alias_for_the_key_is_heeded(server: Server, make_link: MakeLink, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  HostKeyAlias the-vps\n")
    server.known_hosts.write_text("")
    link = make_link(server.host(ssh_config=config))
    found = await link.unknown_host_key()
    assert found is not None
    assert found.address == "the-vps"
    await link.accept_host_key(found)
    assert (await link.run("true")).exit_status == 0


async def test_a_file_that_is_not_understood_trusts_nobody(server: Server, make_link: MakeLink) -> None:
    server.known_hosts.write_text("garbage\n")
    with pytest.raises(LinkError) as caught:
        await make_link(server.host()).run("true")
    assert caught.value.fault is Fault.CONFIG
    assert str(server.known_hosts) in str(caught.value)


async def test_user_known_hosts_file_of_ssh_config(
    server: Server, make_link: MakeLink, tmp_path: Path
) -> None:
    folder = tmp_path / "known"
    folder.mkdir()
    (folder / f"127.0.0.1-{server.port}%").write_text(server.known_hosts.read_text())
    config = tmp_path / "config"
    config.write_text(f"Host *\n  UserKnownHostsFile {folder}/%h-%p%%\n")
    link = make_link(server.host(ssh_config=config, known_hosts=None, user=USER))
    assert (await link.run("true")).exit_status == 0


# ---------------------------------------------------------------------- the file


def test_another_port_of_a_known_host_is_vouched_for_but_never_changed(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line("vps.example"))
    known = KnownHosts([file], name="vps.example", port=2222)
    assert known.trusted()[0] == [KEY]
    assert known.recorded() == []
    assert not offer(file, "[vps.example]:2222", OTHER).changed
    assert offer(file, "vps.example", OTHER).changed


def test_a_line_without_an_end_is_not_spoilt(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line("first.example").rstrip("\n"))
    ssh_trust.accept(offer(file))
    assert file.read_text() == line("first.example") + f"vps.example {offer(file).key}\n"


def test_names_are_hidden_where_the_others_are(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line(ssh_trust.hash_name("first.example")))
    ssh_trust.accept(offer(file))
    assert "vps.example" not in file.read_text()
    assert KnownHosts([file], name="vps.example", port=22).trusted()[0] == [KEY]


def test_an_offer_that_lies_about_the_change_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    stale = offer(file)
    file.write_text(line("vps.example", OTHER))  # recorded by somebody else meanwhile
    with pytest.raises(Refused):
        ssh_trust.accept(stale)


def test_a_file_that_keeps_nothing_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="not found again"):
        ssh_trust.accept(offer(Path(os.devnull)))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line("first.example"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))
    try:
        with pytest.raises(OpsError, match="could not be recorded"):
            ssh_trust.accept(offer(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_text() == line("first.example")


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    made = offer(tmp_path / "known_hosts")
    made.file.mkdir()
    with pytest.raises(OpsError, match="cannot be read"):
        ssh_trust.accept(made)


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    offers = [offer(file, f"host{number}.example") for number in range(16)]
    threads = [threading.Thread(target=ssh_trust.accept, args=(one,)) for one in offers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text.split()[0] for text in file.read_text().splitlines()) == sorted(
        one.address for one in offers
    )


HOSTNAME = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTNAME, st.integers(1, 65535), st.booleans())
def test_what_is_accepted_is_trusted_and_nothing_else(
    tmp_path: Path, name: str, port: int, hashed: bool
) -> None:
    file = tmp_path / "known_hosts"
    file.unlink(missing_ok=True)
    known = KnownHosts([file], name=name, port=port)
    ssh_trust.accept(known.judge("vps", KEY), hashed=hashed)
    assert known.trusted()[0] == [KEY]
    assert known.judge("vps", OTHER).changed
    assert KnownHosts([file], name="x" + name, port=port).trusted()[0] == []


def test_the_picture_is_the_one_that_ssh_keygen_draws(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    for key in (KEY, OTHER, RSA):
        file.write_bytes(key.export_public_key())
        drawn = subprocess.run(["ssh-keygen", "-lvf", str(file)], capture_output=True, text=True, check=True)
        ours = ssh_trust.randomart(key.public_data, key.get_algorithm())
        assert ours.splitlines()[1:] == drawn.stdout.splitlines()[2:]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), Fault.UNREACHABLE),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Fault.UNREACHABLE),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Fault.CLOSED),
        (TimeoutError(), Fault.TIMEOUT),
        (asyncssh.ChannelOpenError(1, "administratively prohibited"), Fault.REFUSED),
        (asyncssh.ChannelOpenError(2, "Name or service not known"), Fault.DNS),
        (asyncssh.ChannelOpenError(2, "Connection timed out"), Fault.TIMEOUT),
        (asyncssh.DisconnectError(2, "Too many authentication failures"), Fault.AUTH),
        (asyncssh.ProtocolError("bad \x1b[31mpacket"), Fault.PROTOCOL),
        (ValueError("odd"), Fault.CONFIG),
        (RuntimeError("odd"), Fault.OTHER),
    ],
)
def test_every_failure_has_its_fault_and_harmless_words(error: Exception, fault: Fault) -> None:
    told = ssh_errors.while_connecting(error, "vps", "vps.example:22", "deploy")
    assert told.fault is fault
    assert all(character.isprintable() for text in told.lines() for character in text)
    assert Host(address="vps").address in told.where
