"""What is judged here: the configuration file, the journal's folder, the git checkout, the terminal."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

from msgspec import Struct

from muva_console.config.load import shown
from muva_console.ops.doctor.report import Group, Needs, Notes
from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Level

TIMEOUT = 10.0
"""Seconds for each check here; a dead network file system hangs for ever."""
MINIMUM = (80, 24)
_PRIVATE = stat.S_IWGRP | stat.S_IWOTH


class Terminal(Struct, frozen=True, kw_only=True):
    """The terminal that the console would open on, as the command line sees it."""

    environ: Mapping[str, str]
    columns: int
    rows: int
    encoding: str
    """Of standard output."""


async def examine_here(needs: Needs, environments: tuple[str, ...], terminal: Terminal | None) -> Group:
    """Everything about this machine. `terminal` is None where there is none: then it is not judged."""
    parts = [
        _apart(needs, "configuration", _configuration),
        _apart(needs, "journal", _journal),
        _shared_journal(needs),
        _apart(needs, "checkout", lambda needs, notes: _checkout(needs, notes, environments)),
    ]
    if terminal is not None:
        given = terminal
        parts.append(_apart(needs, "terminal", lambda _, notes: _terminal(given, notes)))
    found = await asyncio.gather(*parts)
    return Group(
        title="this machine", findings=tuple(finding for notes in found for finding in notes.findings)
    )


async def _apart(needs: Needs, check: str, look: Callable[[Needs, Notes], None]) -> Notes:
    """Run one blocking check in a thread, for a bounded time."""
    notes = Notes("this machine", needs.redact)
    try:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.to_thread(look, needs, notes)
    except TimeoutError:
        late = Notes("this machine", needs.redact)
        late.note(
            check,
            Level.UNKNOWN,
            f"no answer within {TIMEOUT:g} s",
            next="a file system that does not answer? Try: df",
        )
        return late
    except OpsError as error:
        notes.trouble(check, error)
    return notes


async def _shared_journal(needs: Needs) -> Notes:
    """Whether the journal that several jump hosts share can be reached, where one is configured."""
    notes = Notes("this machine", needs.redact)
    reference = needs.config.journal.url
    if reference is None:
        return notes
    from muva_console.config.model import Database
    from muva_console.ops.links.postgres import PostgresLink

    link = PostgresLink("journal", Database(url=reference), lambda: needs.secret(reference), needs.commands)
    session = link.session()
    try:
        async with asyncio.timeout(TIMEOUT):
            await session.open()
            ((there, may),) = await session.fetch(
                "SELECT to_regclass('muva_journal.entry') IS NOT NULL,"
                " has_database_privilege(current_database(), 'CREATE')"
            )
    except TimeoutError:
        notes.note("journal-shared", Level.UNKNOWN, f"no answer within {TIMEOUT:g} s")
    except OpsError as error:
        notes.trouble("journal-shared", error)
    else:
        if there:
            notes.note("journal-shared", Level.OK, f"reached, {session.where}")
        elif may:
            notes.note("journal-shared", Level.OK, f"{session.where} is reached, and its schema can be made")
        else:
            notes.note(
                "journal-shared",
                Level.FAIL,
                f"{session.where} has no journal yet, and this user may not make one",
                next="let its owner open a console once, or grant CREATE on that database",
            )
    finally:
        await session.close()
        await link.close()
    return notes


def _configuration(needs: Needs, notes: Notes) -> None:
    path = needs.path
    about = path.stat()
    mode = stat.S_IMODE(about.st_mode)
    evidence = (f"SHA-256 {needs.loaded.digest[:12]}…", f"mode {mode:04o}")
    command = f"muva --config {_quoted(path)} config check"
    if mode & stat.S_IWOTH:
        notes.note(
            "configuration",
            Level.WARN,
            f"anybody on this machine can change {shown(path)}, and commands of it run as you",
            evidence=evidence,
            command=command,
            next=f"chmod o-w {_quoted(path)}",
        )
    else:
        notes.note(
            "configuration", Level.OK, f"{shown(path)} has no mistakes", evidence=evidence, command=command
        )


# --- journal -------------------------------------------------------------------------------------------


def _journal(needs: Needs, notes: Notes) -> None:
    from muva_console.ops.journal.folder import Folder, file_system, journal_directory

    table = needs.config.journal
    directory = journal_directory(table, beside=needs.base)
    folder = Folder(directory)
    command = f"ls -ld {_quoted(directory)}"
    shared = "shared with the team" if table.directory is not None else "your own; colleagues do not see it"
    other = "name another folder: directory in [journal] of muva.toml"
    if not directory.exists():
        above = next((parent for parent in directory.parents if parent.exists()), Path("/"))
        if _can_make_in(above):
            notes.note(
                "journal",
                Level.OK,
                f"{shown(directory)} is not there yet and can be made ({shared})",
                command=command,
            )
        else:
            notes.note(
                "journal",
                Level.FAIL,
                f"{shown(directory)} is not there and you may not make it",
                evidence=(
                    f"{above} is not writable for you",
                    "without a journal no operation on production starts",
                ),
                command=command,
                next=f"sudo install -d -m 2770 -g $(id -gn) {_quoted(directory)}, or {other}",
            )
        return
    kind = file_system(directory)
    evidence = (f"on {kind}" if kind else "", shared)
    try:
        _try_write_ahead(directory)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        notes.note(
            "journal",
            Level.FAIL,
            f"{shown(directory)} cannot hold the journal: {reason}",
            evidence=(*evidence, "without a journal no operation on production starts"),
            command=command,
            next=f"mend its permissions or its disk, or {other}",
        )
        return
    warnings = folder.warnings()
    notes.note(
        "journal",
        Level.WARN if warnings else Level.OK,
        warnings[0]
        if warnings
        else f"{shown(directory)} can be written, and SQLite's WAL works there ({shared})",
        evidence=(*evidence, *warnings[1:]),
        command=command,
        next=other if warnings else "",
    )


def _can_make_in(folder: Path) -> bool:
    """Whether a folder can be made there: tried, since root may everything and /proc takes nothing."""
    try:
        Path(tempfile.mkdtemp(prefix=".doctor-", dir=folder)).rmdir()
    except OSError:
        return False
    return True


def _try_write_ahead(directory: Path) -> None:
    """Make a database in WAL mode, write to it, and take it away. Raises OSError or sqlite3.Error."""
    file = directory / f".doctor-{uuid4().hex}.db"
    try:
        with closing(sqlite3.connect(file, timeout=2.0)) as connection:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise sqlite3.OperationalError(f"SQLite's WAL mode does not work there (it stays in {mode})")
            connection.execute("CREATE TABLE probe (x)")
            connection.execute("INSERT INTO probe VALUES (1)")
            connection.commit()
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                file.with_name(file.name + suffix).unlink()


# --- checkout ------------------------------------------------------------------------------------------


def _checkout(needs: Needs, notes: Notes, environments: tuple[str, ...]) -> None:
    directory = needs.config.project.checkout
    command = f"git -C {_quoted(directory)} status -sb"
    mend = "clone the application there, or name its folder: checkout in [project] of muva.toml"
    if shutil.which("git") is None:
        notes.note(
            "checkout", Level.FAIL, "git is not installed here", command="git --version", next="install git"
        )
        return
    if not directory.is_dir():
        notes.note(
            "checkout", Level.FAIL, f"there is no folder {shown(directory)}", command=command, next=mend
        )
        return
    top = _git(directory, "rev-parse", "--show-toplevel")
    if top.returncode != 0:
        told = _last(top.stderr)
        unsafe = "safe.directory" in top.stderr.decode("utf-8", "replace")
        notes.note(
            "checkout",
            Level.FAIL,
            f"{shown(directory)} belongs to somebody else, and git refuses it"
            if unsafe
            else f"{shown(directory)} is no git checkout",
            evidence=(told,),
            command=command,
            next=f"git config --global --add safe.directory {_quoted(directory)}" if unsafe else mend,
        )
        return
    refs = set(
        _git(directory, "for-each-ref", "--format=%(refname)").stdout.decode("utf-8", "replace").split("\n")
    )
    remotes = [ref.split("/", 3)[3] for ref in refs if ref.startswith("refs/remotes/")]
    heads = [ref.split("/", 2)[2] for ref in refs if ref.startswith("refs/heads/")]
    wanted = {name: needs.config.environments[name].branch for name in environments}
    missing = {name: branch for name, branch in wanted.items() if branch not in (*heads, *remotes)}
    if missing:
        notes.note(
            "checkout",
            Level.WARN,
            f"{shown(directory)} does not know the branch of {', '.join(missing)}",
            evidence=tuple(f"{name}: {branch}" for name, branch in missing.items()),
            command=f"git -C {_quoted(directory)} branch --all",
            next=f"git -C {_quoted(directory)} fetch --all, or correct `branch` in muva.toml",
        )
        return
    notes.note(
        "checkout",
        Level.OK,
        f"{shown(directory)} is a git checkout that knows {', '.join(dict.fromkeys(wanted.values()))}",
        command=command,
    )


def _git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Ask git something that changes nothing: no lock, no prompt, no pager, no hook."""
    environ = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            ["git", "-C", str(directory), "--no-pager", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT - 1,
            env=environ,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OpsError("git does not answer", where=str(directory)) from None


def _last(data: bytes) -> str:
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[0] if lines else ""


# --- terminal ------------------------------------------------------------------------------------------


def _terminal(terminal: Terminal, notes: Notes) -> None:
    name = terminal.environ.get("TERM", "")
    colours = terminal_colours(terminal.environ)
    utf8 = terminal.encoding.lower().replace("-", "").replace("_", "") == "utf8"
    evidence = [
        f"TERM={name or '(not set)'}, {colours}",
        f"{terminal.columns} x {terminal.rows}",
        f"text as {terminal.encoding or 'nothing known'}",
    ]
    advice: list[str] = []
    if name in ("", "dumb"):
        advice.append("TERM names no terminal that can be drawn on: log in with `ssh -t`, or set TERM")
    if not utf8:
        advice.append("the console falls back to ASCII glyphs; for the others: export LC_ALL=C.UTF-8")
    if terminal.columns < MINIMUM[0] or terminal.rows < MINIMUM[1]:
        advice.append(f"make the window at least {MINIMUM[0]} x {MINIMUM[1]}")
    if "TMUX" in terminal.environ:
        told, mend = _tmux()
        evidence += told
        advice += mend
    bad = name in ("", "dumb")
    notes.note(
        "terminal",
        Level.FAIL if bad else Level.WARN if advice else Level.OK,
        f"{name or 'no terminal type'}: {colours}, {'UTF-8' if utf8 else 'no UTF-8'}",
        evidence=tuple(evidence),
        command="echo $TERM $COLORTERM; locale charmap; tput colors",
        next="; ".join(advice),
    )


def terminal_colours(environ: Mapping[str, str]) -> str:
    """How many colours the terminal says it has, by the conventions of termstandard.org and no-color.org."""
    if environ.get("NO_COLOR"):
        return "no colours (NO_COLOR)"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "24-bit colour"
    name = environ.get("TERM", "")
    if "direct" in name or name.startswith(("xterm-kitty", "alacritty", "wezterm", "xterm-ghostty")):
        return "24-bit colour"
    if "256color" in name:
        return "256 colours"
    return "no colours" if name in ("", "dumb", "vt100", "vt220") else "16 colours"


def _tmux() -> tuple[list[str], list[str]]:
    """Whether copying reaches the clipboard through tmux: `load-buffer -w` is there from 3.2 on, and does
    nothing where set-clipboard is off (tmux(1)).
    """
    version, options = _ask_tmux("-V"), _ask_tmux("show-options", "-sv", "set-clipboard")
    if not version:
        return ["within tmux, which does not answer"], []
    evidence = [f"within {version}: set-clipboard {options or 'unknown'}"]
    number = re.search(r"(\d+)\.(\d+)", version)
    if number is not None and (int(number[1]), int(number[2])) < (3, 2):
        return evidence, ["copying cannot reach your clipboard through a tmux older than 3.2"]
    if options == "off":
        return evidence, [
            "copying cannot reach your clipboard; in ~/.tmux.conf: set -s set-clipboard external"
        ]
    return evidence, []


def _ask_tmux(*arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["tmux", *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.decode("utf-8", "replace").strip()


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
