"""The way to a host, stage by stage: settings, name, port, host key, login."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from muva_console.config.model import Host
from muva_console.ops.doctor.report import Notes
from muva_console.ops.errors import Fault, LinkError
from muva_console.ops.readings import Level
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.links.ssh_connect import Target
    from muva_console.ops.links.ssh_trust import HostKeyOffer

STAGES = ("host-settings", "host-name", "host-port", "host-key", "host-login")


async def reach(notes: Notes, name: str, host: Host, link: SshLink) -> HostKeyOffer | None:
    """Connect, and tell each stage; the key to ask a person about when that is what is missing."""
    from muva_console.ops.links import ssh_connect

    command = notes.ssh
    settings = command.replace("ssh ", "ssh -G ", 1)
    try:
        target = await ssh_connect.resolve(name, host)
    except LinkError as error:
        notes.trouble("host-settings", error, command=settings, next=f"correct [hosts.{name}] in muva.toml")
        notes.not_asked(STAGES[1:], "the settings")
        return None
    way = _way(host, target)
    notes.note(
        "host-settings",
        Level.OK,
        f"{target.user}@{target.address}{way}",
        evidence=(f"configured as {host.address}",) if not target.address.startswith(host.address) else (),
        command=settings,
    )
    direct = not way
    try:
        offer = await link.unknown_host_key()
    except LinkError as error:
        await _where_it_broke(notes, error, target, direct, command)
        return None
    if offer is None:
        for check, told in zip(STAGES[1:], _good(target, direct), strict=True):
            notes.note(check, Level.OK, told, command=command)
    else:
        for check, told in zip(STAGES[1:3], _good(target, direct), strict=False):
            notes.note(check, Level.OK, told, command=command)
        _offered(notes, offer)
        notes.not_asked(STAGES[4:], "the host key")
    return offer


def _way(host: Host, target: Target) -> str:
    if host.jump:
        return f" through {host.jump}"
    if target.jumps:
        return f" through {', '.join(target.jumps)}"
    return " by ProxyCommand" if "proxy_command" in target.options else ""


def _good(target: Target, direct: bool) -> tuple[str, str, str, str]:
    return (
        "the name is known" if direct else "resolved on the way",
        f"{target.address} answers",
        "the host key is the one on record",
        f"logged in as {target.user}",
    )


def _offered(notes: Notes, offer: HostKeyOffer) -> None:
    evidence = (f"{offer.algorithm} {offer.fingerprint}", *(f"on record: {each}" for each in offer.recorded))
    if offer.changed:
        notes.note(
            "host-key",
            Level.FAIL,
            f"the host key of {offer.address} is NOT the one on record",
            evidence=evidence,
            command=f"ssh-keygen -F {shlex.quote(offer.address)} -f {shlex.quote(str(offer.file))}",
            next="set up anew, or somebody is in between: ask who runs the host; only if it was set up anew: "
            f"ssh-keygen -R {shlex.quote(offer.address)} -f {shlex.quote(str(offer.file))}, then muva doctor",
        )
        return
    notes.note(
        "host-key",
        Level.FAIL,
        f"the host key of {offer.address} is not known here",
        evidence=evidence,
        command=f"ssh-keygen -F {shlex.quote(offer.address)} -f {shlex.quote(str(offer.file))}",
        next="compare the fingerprint with what the host's owner tells; `muva doctor` on a terminal asks "
        f"whether to trust it and records it in {offer.file}",
    )


async def _where_it_broke(notes: Notes, error: LinkError, target: Target, direct: bool, command: str) -> None:
    """Tell the stages before the failure as good, the failing one, and the others as not asked."""
    match error.fault:
        case Fault.DNS:
            stage = 1
        case Fault.HOST_KEY:
            stage = 3
        case Fault.AUTH:
            stage = 4
        case Fault.CONFIG:
            stage = 0
        case _:
            stage = 2
    told = _good(target, direct)
    for index in range(1, stage):
        notes.note(STAGES[index], Level.OK, told[index - 1], command=command)
    if stage == 2 and direct and error.fault in (Fault.TIMEOUT, Fault.CLOSED, Fault.PROTOCOL):
        error.means = f"{error.means} {await _greeting(target)}".strip()
    if stage == 0:
        # settings that are found wanting only when they are used: a key file, known_hosts
        notes.findings.clear()
        notes.trouble(STAGES[0], error, command=command)
    else:
        notes.trouble(STAGES[stage], error, command=command)
    notes.not_asked(STAGES[stage + 1 :], STAGES[stage].replace("-", " "))


async def _greeting(target: Target) -> str:
    """What the port says by itself: an SSH server sends its version first (RFC 4253, 4.2)."""
    address, _, port = target.address.rpartition(":")
    seconds = min(target.host.connect_timeout, 5.0)
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address.strip("[]"), int(port), limit=1024)
            line = await reader.readline()
    except TimeoutError:
        return "The port takes connections and says nothing." if writer else "The port takes no connection."
    except (OSError, ValueError):
        return ""
    finally:
        if writer is not None:
            writer.close()
    if line.startswith(b"SSH-"):
        return f"The port greets as {sanitise_line(line, cap=80)}."
    return "What listens there is no SSH server." if line else "The port closes the connection at once."
