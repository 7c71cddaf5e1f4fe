"""What is already here that a muva.toml can be written from: ssh_config, git, and PM2 on the hosts.

`look` reads files of this machine and nothing else; `ask_hosts` opens SSH connections, and is called only
after a person was told so.
"""

from __future__ import annotations

import asyncio
import glob
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from muva_console.config.load import parse
from muva_console.config.model import Host
from muva_console.config.render import render
from muva_console.ops.errors import ConfigError, LinkError, OpsError
from muva_console.ops.pm2.model import Process
from muva_console.ops.text import sanitise_line

GIT_TIMEOUT = 10.0
ASK_TIMEOUT = 20.0
"""Seconds for one host to tell its processes."""
_INCLUDES = 16
"""How deep ssh_config files may include each other (OpenSSH's own limit, readconf.c)."""
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_FORGE = re.compile(r"(^|\.)(github|gitlab|bitbucket|codeberg|ssh\.dev\.azure)\.|^(github|gitlab|bitbucket)")
_SERVER = re.compile(r"vps|prod|stag|web|app|serv|muva|www", re.IGNORECASE)
_BRANCHES = {
    "dev": ("dev", "develop", "development"),
    "staging": ("staging", "stage"),
    "production": ("main", "master", "production", "prod"),
}


class SshHost(Struct, frozen=True, kw_only=True):
    """A host of ssh_config."""

    alias: str
    address: str = ""
    """HostName; empty when it is the alias."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What was found on this machine."""

    hosts: tuple[SshHost, ...] = ()
    checkout: Path | None = None
    """The top of the git checkout that the given folder lies in."""
    repository: str | None = None
    """OWNER/NAME on GitHub, of the remote."""
    branches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be read, and why."""


class HostAnswer(Struct, frozen=True, kw_only=True):
    """What one host told."""

    alias: str
    processes: tuple[Process, ...] = ()
    error: LinkError | None = None


async def look(directory: Path, *, ssh_config: Path | None = None) -> Surroundings:
    """Read ssh_config and the git checkout around `directory`; nothing is asked over any network."""
    file = ssh_config or Path.home() / ".ssh/config"
    hosts, notes = await asyncio.to_thread(ssh_hosts, file)
    checkout: Path | None = None
    repository: str | None = None
    branches: tuple[str, ...] = ()
    try:
        async with asyncio.timeout(GIT_TIMEOUT):
            checkout, repository, branches = await asyncio.to_thread(_git, directory)
    except TimeoutError:
        notes.append(f"git did not answer within {GIT_TIMEOUT:g} s")
    except OpsError as error:
        notes.append(str(error))
    return Surroundings(
        hosts=tuple(hosts), checkout=checkout, repository=repository, branches=branches, notes=tuple(notes)
    )


# --- ssh_config ----------------------------------------------------------------------------------------


def ssh_hosts(file: Path) -> tuple[list[SshHost], list[str]]:
    """The hosts that an ssh_config names one by one, and notes on what could not be read.

    Patterns (`*`, `?`, `!`) and forges (github.com …) are left out; Include is followed (ssh_config(5)).
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    _read_ssh_config(file, file.parent, found, notes, depth=0)
    hosts = [
        SshHost(alias=alias, address=address)
        for alias, address in found.items()
        if _NAME.match(alias) and not _FORGE.search(alias) and not _FORGE.search(address)
    ]
    return hosts, notes


def _read_ssh_config(
    file: Path, folder: Path, found: dict[str, str], notes: list[str], *, depth: int
) -> None:
    if depth > _INCLUDES:
        notes.append(f"{file}: included too deeply")
        return
    try:
        text = file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        notes.append(f"{file}: {error.strerror}")
        return
    current: list[str] = []
    for line in text.splitlines():
        words = _words(line)
        if len(words) < 2:
            continue
        keyword = words[0].lower()
        if keyword == "host":
            current = [word for word in words[1:] if not set(word) & set("*?!")]
            for alias in current:
                found.setdefault(alias, "")
        elif keyword == "match":
            current = []
        elif keyword == "hostname":
            for alias in current:
                found[alias] = found[alias] or words[1]
        elif keyword == "include":
            for pattern in words[1:]:
                path = Path(pattern).expanduser()
                # a pattern of the user's own, absolute or not, which Path.glob does not take
                for included in sorted(glob.glob(str(folder / path))):  # noqa: PTH207
                    _read_ssh_config(Path(included), folder, found, notes, depth=depth + 1)


def _words(line: str) -> list[str]:
    """A line's words; the first may be joined by "=" (ssh_config(5))."""
    line = line.strip()
    if not line or line.startswith("#"):
        return []
    line = re.sub(r"^(\w+)\s*=\s*", r"\1 ", line)
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


# --- git -----------------------------------------------------------------------------------------------


def _git(directory: Path) -> tuple[Path | None, str | None, tuple[str, ...]]:
    """The checkout around a folder: its top, its repository on GitHub, its branches."""
    try:
        import git
    except ImportError:  # GitPython says so when there is no git
        raise OpsError("git is not installed here, so nothing was read of a checkout") from None
    try:
        repository = git.Repo(directory, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return None, None, ()
    with repository:
        try:
            remotes = {remote.name: next(iter(remote.urls), "") for remote in repository.remotes}
            names = [head.name for head in repository.heads]
            for remote in repository.remotes:
                names += [ref.remote_head for ref in remote.refs]
        except (git.GitError, ValueError, OSError) as error:
            told = sanitise_line(type(error).__name__)
            raise OpsError(f"git could not be read ({told})", where=str(directory)) from None
        top = Path(repository.working_tree_dir) if repository.working_tree_dir else None
    url = remotes.get("origin") or next(iter(remotes.values()), "")
    branches = tuple(dict.fromkeys(sanitise_line(name) for name in names if name != "HEAD"))
    return top, repository_of(url), branches


def repository_of(url: str) -> str | None:
    """OWNER/NAME of a GitHub remote, whatever its form; credentials in it are dropped."""
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        host, path = parts.hostname or "", parts.path
    else:
        place, _, path = url.partition(":")
        host = place.rpartition("@")[2]
    if "github" not in host.lower():
        return None
    match = re.fullmatch(r"/?([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+?)(\.git)?/?", path)
    return match[1] if match else None


# --- PM2 -----------------------------------------------------------------------------------------------


async def ask_hosts(aliases: Sequence[str], *, ssh_config: Path | None = None) -> list[HostAnswer]:
    """Ask hosts for their PM2 processes over SSH, side by side. Unknown host keys are not trusted."""
    return list(await asyncio.gather(*(_ask(alias, ssh_config) for alias in aliases)))


async def _ask(alias: str, ssh_config: Path | None) -> HostAnswer:
    from muva_console.ops.errors import Fault
    from muva_console.ops.links.ssh import SshLink
    from muva_console.ops.processes import ProcessReader

    host = Host(address=alias, ssh_config=ssh_config)
    link = SshLink(alias, host)
    reader = ProcessReader(link, host)
    try:
        async with asyncio.timeout(ASK_TIMEOUT):
            return HostAnswer(alias=alias, processes=(await reader.read()).processes)
    except LinkError as error:
        return HostAnswer(alias=alias, error=error)
    except TimeoutError:
        late = LinkError(Fault.TIMEOUT, f"no answer within {ASK_TIMEOUT:g} s", where=alias)
        return HostAnswer(alias=alias, error=late)
    finally:
        await reader.close()
        await link.close()


# --- composing -----------------------------------------------------------------------------------------


def likely_hosts(hosts: Iterable[SshHost]) -> list[str]:
    """The hosts that look like servers; the only one when there is one."""
    aliases = [host.alias for host in hosts]
    likely = [alias for alias in aliases if _SERVER.search(alias)]
    return likely or (aliases if len(aliases) == 1 else [])


def likely_environments(branches: Sequence[str], answers: Sequence[HostAnswer] = ()) -> dict[str, str]:
    """Environments by the branches there are, and by the names of PM2's processes: name to branch; production
    alone when nothing is known.
    """
    processes = [process.name.lower() for answer in answers for process in answer.processes]
    found = {}
    for name, candidates in _BRANCHES.items():
        there = [branch for branch in candidates if branch in branches]
        if there or any(_word_of(name) in process for process in processes):
            found[name] = there[0] if there else candidates[0]
    return found or {"production": "main"}


def _word_of(environment: str) -> str:
    """What a process's name has in it that belongs to the environment."""
    return {"production": "prod", "staging": "stag"}.get(environment, environment)


def likely_processes(
    environment: str, branch: str, answers: Iterable[HostAnswer]
) -> list[tuple[str, Process]]:
    """The processes that seem to be an environment's, with their hosts: by name, else by branch."""
    every = [(answer.alias, process) for answer in answers for process in answer.processes]
    word = _word_of(environment)
    named = [(host, process) for host, process in every if word in process.name.lower()]
    others = {"prod", "stag", "dev"} - {word}
    return named or [
        (host, process)
        for host, process in every
        if process.branch == branch and not any(other in process.name.lower() for other in others)
    ]


def environment_table(
    name: str, branch: str, *, hosts: Sequence[str] = (), answers: Sequence[HostAnswer] = ()
) -> dict[str, Any]:
    """An environment's table from what is known of it."""
    table: dict[str, Any] = {"branch": branch}
    if name == "production":
        table["production"] = True
    if name == "staging":
        table["thresholds"] = {"database": "50ms"}  # the playbook's; the default is production's
    mine = likely_processes(name, branch, answers)
    if mine:
        table["hosts"] = list(dict.fromkeys(host for host, _ in mine))
        directory = next((process.cwd for _, process in mine if process.cwd.startswith("/")), "")
        if directory:
            table["directory"] = directory
        table["processes"] = list(dict.fromkeys(process.name for _, process in mine))
    elif hosts and name != "dev":
        table["hosts"] = list(hosts)
    return table


def text_of(document: Mapping[str, Any], path: Path) -> str:
    """The file's text, read back as a proof. Raises ConfigError with the mistakes in what was given."""
    text = render(document)
    parse(text.encode(), path)
    return text


def write(text: str, path: Path, *, force: bool) -> Path | None:
    """Write the file; returns where the one that was there went, None when there was none.

    Raises ConfigError when there is one and `force` is False, OpsError when it cannot be written.
    """
    backup = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not force:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            return None
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(text, encoding="utf-8")
        try:
            if path.exists():
                backup = path.with_name(path.name + ".bak")
                with suppress(FileNotFoundError):
                    backup.unlink()
                os.link(path, backup)
            beside.replace(path)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()
    except FileExistsError:
        raise ConfigError(
            "there is one already; it is not touched",
            where=str(path),
            mistakes=("--force replaces it (and keeps it beside as .bak)", "muva doctor tries what it names"),
        ) from None
    except OSError as error:
        raise OpsError(f"cannot be written: {error.strerror}", where=str(path)) from None
    return backup
