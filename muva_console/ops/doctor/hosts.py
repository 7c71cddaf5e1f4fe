"""A host: can it be reached, is its key known, may we log in, and is there what the console needs?"""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from muva_console.config.model import Environment, Host
from muva_console.ops.doctor.reach import reach
from muva_console.ops.doctor.report import NOT_ASKED, Group, Needs, Notes
from muva_console.ops.errors import LinkError
from muva_console.ops.links.shell import ssh_line
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.readings import Level, utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.links.ssh import SshLink

AFTERWARDS = ("host-commands", "host-clock", "pm2-daemon")
CLOCK_LIMIT = 5.0
"""Seconds that a host's clock may be off before it is told. Ours: people read logs to the second."""
NEEDED = ("sh", "cat", "head", "tail", "grep", "sed", "awk", "df", "date", "stat", "timeout")
"""What the console's own readings run."""
WANTED = ("git", "node", "pnpm")
"""What the playbook's procedures run on a host."""

# $1: the port to look for in /proc/net/tcp{,6}, four hexadecimal digits; state 0A is LISTEN (proc(5)).
_LISTENS = 'cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q -i ":$1 [0-9A-F:]* 0A "'
_ASSIGNMENT = "^[[:space:]]*(export[[:space:]]+)?[A-Za-z_][A-Za-z0-9_]*="
# Of an environment file the lines are counted: a line of a long value can look like a name, so none is shown.
_PLACE = """
d={directory}; f={env_file}; p={port}
printf 'place %s\\n' {number}
if [ -d "$d" ] && [ -x "$d" ]; then
  printf 'directory %s\\n' "$(cd -P -- "$d" && pwd)"
  b=$(git -C "$d" rev-parse --abbrev-ref HEAD 2>/dev/null) && printf 'branch %s\\n' "$b"
  c=$(git -C "$d" rev-parse HEAD 2>/dev/null) && printf 'commit %s\\n' "$c"
fi
if [ -n "$f" ] && [ -e "$d/$f" ]; then
  printf 'file-mode %s\\n' "$(stat -L -c %a -- "$d/$f")"
  if [ -r "$d/$f" ]; then
    printf 'names %s\\n' "$(grep -c -E '{assignment}' -- "$d/$f")"
  fi
fi
if [ -n "$p" ]; then set -- "$p"; if {listens}; then echo listens yes; else echo listens no; fi; fi
"""


class _Place(Struct):
    """What stands in an environment's directory on a host."""

    directory: str = ""
    branch: str = ""
    commit: str = ""
    file_mode: str = ""
    names: int | None = None
    listens: bool | None = None


class _Survey(Struct):
    clock: float | None = None
    user: str = ""
    commands: dict[str, str] = field(default_factory=dict)
    places: dict[int, _Place] = field(default_factory=dict)


async def examine_host(needs: Needs, name: str, environments: Mapping[str, Environment]) -> Group:
    """Everything about one host. `environments` are those to look for on it."""
    host, link = needs.config.hosts[name], needs.host(name)
    way = ssh_line(host, hosts=needs.config.hosts)
    notes = Notes(name, needs.redact, ssh=way)
    offer = await reach(notes, name, host, link)
    here = {key: value for key, value in environments.items() if name in value.hosts}
    if any(finding.level is Level.FAIL for finding in notes.findings):
        notes.not_asked(AFTERWARDS, f"SSH to {name}")
        for environment, settings in here.items():
            checks = ("app-directory", "app-env-file", "app-port", "app-processes")
            asked = (settings.directory, settings.env_file, settings.port, settings.processes)
            for check, given in zip(checks, asked, strict=True):
                if given:
                    notes.note(
                        check,
                        Level.UNKNOWN,
                        f"not asked: it waits on SSH to {name}",
                        subject=_at(environment, name),
                    )
    else:
        # the two go side by side; each notes for itself, so that the order stays
        pm2_notes = Notes(name, needs.redact, ssh=way)
        await asyncio.gather(
            _look_around(notes, name, host, link, here), _ask_pm2(pm2_notes, name, host, link, here)
        )
        notes.findings += pm2_notes.findings
    offers = (offer,) if offer is not None and not offer.changed else ()
    return Group(title=f"host {name}", findings=tuple(notes.findings), offers=offers)


# --- looking around ------------------------------------------------------------------------------------


def _remote(path: str) -> str:
    """A path of the host as a word of its shell; a leading ~ stays the home."""
    if path == "~":
        return '"$HOME"'
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def _script(host: Host, environments: Mapping[str, Environment]) -> str:
    pm2 = _first_word(host.pm2)
    lines = [
        "printf 'clock %s\\n' \"$(date +%s.%N)\"",
        "printf 'user %s\\n' \"$(id -un)\"",
        f"for c in {' '.join(shlex.quote(name) for name in (*NEEDED, *WANTED, pm2))}; do",
        '  w=$(command -v "$c") && printf \'has %s %s\\n\' "$c" "$w"',
        "done",
    ]
    for number, environment in enumerate(environments.values()):
        lines.append(
            _PLACE.format(
                number=number,
                directory=_remote(environment.directory) if environment.directory else "",
                env_file=shlex.quote(environment.env_file) if environment.env_file else "",
                port=f"{environment.port:04X}" if environment.port else "",
                listens=_LISTENS,
                assignment=_ASSIGNMENT,
            )
        )
    return "\n".join(lines) + "\ntrue\n"


def _first_word(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return words[0] if words else "pm2"


def _understood(text: str) -> _Survey:
    survey, place = _Survey(), _Place()
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        value = sanitise_line(value, cap=400)
        match key:
            case "clock":
                survey.clock = _number(value)
            case "user":
                survey.user = value
            case "has":
                name, _, way = value.partition(" ")
                survey.commands[name] = way
            case "place":
                place = survey.places.setdefault(int(value) if value.isdigit() else -1, _Place())
            case "directory" | "branch" | "commit":
                setattr(place, key, value)
            case "file-mode":
                place.file_mode = value
            case "names":
                place.names = int(value) if value.isdigit() else None
            case "listens":
                place.listens = value == "yes"
    return survey


def _number(text: str) -> float | None:
    # a date(1) without nanoseconds prints the %N as it stands
    match = re.match(r"\d{1,12}(\.\d+)?", text)
    return float(match[0]) if match else None


async def _look_around(
    notes: Notes, name: str, host: Host, link: SshLink, environments: Mapping[str, Environment]
) -> None:
    asked = utc_now().timestamp()
    began = time.monotonic()
    try:
        answer = await link.run(_script(host, environments), limit=64 * 1024)
    except LinkError as error:
        notes.trouble("host-commands", error, command=notes.ssh)
        notes.not_asked(("host-clock",), "a command")
        return
    took = time.monotonic() - began
    survey = _understood(answer.stdout.decode("utf-8", "replace"))
    _tell_commands(notes, name, host, survey)
    off = None if survey.clock is None else survey.clock - (asked + took / 2)
    _tell_clock(notes, host, name, off, uncertain=took / 2)
    for number, (environment, settings) in enumerate(environments.items()):
        _tell_place(notes, _at(environment, name), host, settings, survey.places.get(number, _Place()))


def _tell_commands(notes: Notes, name: str, host: Host, survey: _Survey) -> None:
    pm2 = _first_word(host.pm2)
    needed = [command for command in NEEDED if command not in survey.commands]
    wanted = [command for command in (*WANTED, pm2) if command not in survey.commands]
    command = f"{notes.ssh} {shlex.quote(f'command -v {pm2} node git pnpm')}"
    if needed:
        notes.note(
            "host-commands",
            Level.FAIL,
            f"{', '.join(needed)} not found on {name}: the console's readings run them",
            command=command,
            next="install them (Debian: coreutils, grep, sed, gawk)",
        )
    elif wanted:
        notes.note(
            "host-commands",
            Level.WARN,
            f"{', '.join(wanted)} not found on {name} without a login shell",
            evidence=(
                "a command over SSH reads no .profile, so what nvm or npm put on the PATH there is missing",
            ),
            command=command,
            next=f'link them into /usr/local/bin; for pm2 its path does: [hosts.{name}] pm2 = "/…/bin/pm2"',
        )
    else:
        evidence = tuple(f"{each}: {survey.commands[each]}" for each in (*WANTED, pm2))
        notes.note("host-commands", Level.OK, "every command is there", evidence=evidence, command=command)


def _tell_clock(notes: Notes, host: Host, name: str, off: float | None, *, uncertain: float) -> None:
    """`off`: seconds that the host's clock is ahead; `uncertain`: by how much that may be wrong."""
    command = f"date -u; {notes.ssh} date -u"
    if off is None:
        notes.note("host-clock", Level.UNKNOWN, f"{name} does not tell the time", command=command)
    elif abs(off) <= CLOCK_LIMIT + uncertain:
        most = max(abs(off), uncertain)
        notes.note("host-clock", Level.OK, f"its clock is within {most:.1f} s of ours", command=command)
    else:
        notes.note(
            "host-clock",
            Level.WARN,
            f"the clock of {name} is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} this machine's",
            evidence=("times in its logs and here do not match",),
            command=command,
            next="timedatectl on both: set-ntp true where the clock is not synchronised",
        )


def _at(environment: str, host: str) -> str:
    return f"{environment} on {host}"


def _tell_place(notes: Notes, subject: str, host: Host, settings: Environment, place: _Place) -> None:
    directory = settings.directory or ""
    if directory:
        command = f"{notes.ssh} {shlex.quote(f'ls -ld {directory}; git -C {directory} log -1 --oneline')}"
        if not place.directory:
            notes.note(
                "app-directory",
                Level.FAIL,
                f"there is no directory {directory} that {host.user or 'our login'} can enter",
                subject=subject,
                command=command,
                next="correct `directory` in muva.toml, or the permissions on the host",
            )
        elif not place.commit:
            notes.note(
                "app-directory",
                Level.WARN,
                f"{directory} is there, but git reads no commit in it",
                subject=subject,
                command=command,
                next="if it belongs to another user: "
                f"git config --global --add safe.directory {shlex.quote(directory)}",
            )
        else:
            same = place.branch in (settings.branch, "HEAD")
            notes.note(
                "app-directory",
                Level.OK if same else Level.WARN,
                f"{directory} has {place.commit[:7]} of {place.branch}"
                + ("" if same else f", not of {settings.branch}"),
                subject=subject,
                command=command,
                next="" if same else "is another branch deployed, or is `branch` in muva.toml another?",
            )
    if settings.env_file:
        _tell_file(notes, subject, host, f"{directory}/{settings.env_file}", place)
    if settings.port:
        notes.note(
            "app-port",
            Level.OK if place.listens else Level.UNKNOWN if place.listens is None else Level.WARN,
            f"port {settings.port} is listened on"
            if place.listens
            else f"nothing listens on port {settings.port}"
            if place.listens is False
            else "the host does not tell who listens",
            subject=subject,
            command=f"{notes.ssh} {shlex.quote(f'ss -ltn sport = :{settings.port}')}",
            next="" if place.listens else "is the application stopped, or is `port` in muva.toml another?",
        )


def _tell_file(notes: Notes, subject: str, host: Host, file: str, place: _Place) -> None:
    command = f"{notes.ssh} {shlex.quote(f'ls -l {file}; grep -c = {file}')}"
    if place.names is None:
        what = "cannot be read by our login" if place.file_mode else "is not there"
        notes.note(
            "app-env-file",
            Level.FAIL,
            f"{file} {what}",
            subject=subject,
            command=command,
            next="correct `env_file` in muva.toml, or let our login read it (chgrp, chmod g+r)",
        )
    elif place.file_mode[-1:] not in ("0", ""):
        notes.note(
            "app-env-file",
            Level.WARN,
            f"everybody on the host can read {file} (mode {place.file_mode}), secrets and all",
            subject=subject,
            command=command,
            next=f"chmod o= {shlex.quote(file)}",
        )
    else:
        notes.note("app-env-file", Level.OK, f"{file}: {place.names} names", subject=subject, command=command)


# --- PM2 -----------------------------------------------------------------------------------------------


async def _ask_pm2(
    notes: Notes, name: str, host: Host, link: SshLink, environments: Mapping[str, Environment]
) -> None:
    from muva_console.ops.processes import COMMAND, ProcessReader

    command = f"{notes.ssh} {shlex.quote(pm2_line(host, 'list'))}"
    wanted = {key: value for key, value in environments.items() if value.processes}
    reader = ProcessReader(link, host)
    try:
        listed = await reader.read()
    except LinkError as error:
        notes.trouble(
            "pm2-daemon",
            error,
            command=command,
            next=f"is pm2_home in [hosts.{name}] right ({host.pm2_home})?",
        )
        for environment in wanted:
            notes.note(
                "app-processes",
                Level.UNKNOWN,
                f"{NOT_ASKED}: it waits on PM2",
                subject=_at(environment, name),
            )
        return
    finally:
        await reader.close()
    version = f" {listed.daemon_version}" if listed.daemon_version else ""
    if listed.source == COMMAND:
        notes.note(
            "pm2-daemon",
            Level.WARN,
            "PM2 answers by `pm2 jlist` only: its sockets cannot be reached; live logs come from files",
            evidence=(f"{listed.took_ms:.0f} ms, and Node boots on the host each time",),
            command=command,
            next="in the host's sshd_config: AllowStreamLocalForwarding yes (and no DisableForwarding)",
        )
    else:
        notes.note(
            "pm2-daemon",
            Level.OK,
            f"PM2's daemon{version} answers on its socket in {listed.took_ms:.0f} ms",
            evidence=(f"{len(listed.processes)} processes",),
            command=command,
        )
    present = {process.name: process.status for process in listed.processes}
    for environment, settings in wanted.items():
        missing = [process for process in settings.processes if process not in present]
        found = tuple(
            f"{process}: {present[process]}" for process in settings.processes if process in present
        )
        if missing:
            notes.note(
                "app-processes",
                Level.FAIL,
                f"PM2 has no process {', '.join(missing)}",
                subject=_at(environment, name),
                evidence=(*found, f"it has: {', '.join(present) or 'none'}"),
                command=command,
                next="correct `processes` in muva.toml, or start it once: pm2 start … --name …; pm2 save",
            )
        else:
            notes.note(
                "app-processes",
                Level.OK,
                f"PM2 keeps {', '.join(settings.processes)}",
                subject=_at(environment, name),
                evidence=found,
                command=command,
            )
