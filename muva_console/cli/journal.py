"""`muva journal`: who did what when: read, follow, note, settle, verify, export."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from muva_console.cli.base import (
    Invocation,
    environment_option,
    json_option,
    print_json,
    tell,
    wait,
    wait_while_read,
)
from muva_console.cli.lines import glyph
from muva_console.cli.moments import Moment
from muva_console.ops.errors import Refused
from muva_console.ops.journal.errors import JournalError, JournalProblem
from muva_console.ops.journal.model import Entry, Filter, Life, OpenAct, Verification
from muva_console.ops.readings import Exit, exit_status, verdict

if TYPE_CHECKING:
    from muva_console.ops.journal.store import Journal

LIMIT = 50
"""Entries shown when no number is asked for."""


class Number(click.ParamType[tuple[int, str]]):
    """A head of the journal noted elsewhere: ``ID:HASH``."""

    name = "ID:HASH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, str]:
        """The id and the beginning of the hash."""
        if isinstance(value, tuple):
            return value
        number, _, told = str(value).partition(":")
        known = number.isdecimal() and number.isascii() and int(number) > 0
        if not known or len(told) < 8 or not set(told) <= set("0123456789abcdef"):
            self.fail("as `muva journal verify` prints it: the id, a colon, at least 8 digits of the hash")
        return int(number), told


def _folder_option(function: Any) -> Any:
    return click.option(
        "--directory",
        type=click.Path(file_okay=False, path_type=Path),
        help="Another journal's folder; no configuration is needed then.",
    )(function)


def _filters(function: Any) -> Any:
    for option in (
        click.option("--engineer", default="", metavar="NAME", help="Part of the name."),
        click.option("--grep", "pattern", default="", metavar="RE", help="A regular expression."),
        click.option("--kind", "kinds", multiple=True, metavar="KIND", help="act-begun, act-ended, note …"),
        click.option("--until", type=Moment(), help="Only what was before."),
        click.option("--since", type=Moment(), help="Only what was since."),
        environment_option,
    ):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@_filters
@click.option(
    "--limit", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="The newest so many."
)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--markdown", "as_markdown", is_flag=True, help="A Markdown document.")
@json_option
@_folder_option
@click.pass_context
def journal(
    ctx: click.Context,
    environment: str | None,
    since: datetime | None,
    until: datetime | None,
    kinds: tuple[str, ...],
    pattern: str,
    engineer: str,
    limit: int,
    everything: bool,
    follow: bool,
    as_markdown: bool,
    as_json: bool,
    directory: Path | None,
) -> int:
    """Who did what when, the newest last.

    With --json a list of entries, or an entry a line with --follow.
    """
    if ctx.invoked_subcommand is not None:
        if directory is not None:
            raise click.UsageError(f"--directory stands after {ctx.invoked_subcommand}")
        return Exit.OK
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    if follow and as_markdown:
        raise click.UsageError("--markdown is a whole document: it cannot be followed")
    wanted = _wanted(environment, since, until, kinds, pattern, engineer, None if everything else limit)

    narrowed = any((environment, since, until, kinds, pattern, engineer))

    async def answer() -> int:
        async with _opened(ctx.obj, directory) as opened:
            entries = await opened.read(wanted)
            acts = await opened.open_acts(environment)
            if as_markdown:
                from muva_console.ops.journal.export import markdown

                for line in markdown(entries):
                    click.echo(line)
            elif as_json and not follow:
                print_json([entry_data(entry) for entry in entries])
            else:
                _print(entries, as_json=as_json)
            if not as_json and not as_markdown:
                if not entries:
                    click.echo(
                        "nothing of that is recorded" if narrowed else "nothing is recorded yet", err=True
                    )
                _tell_open(acts)
            if follow:
                after = max([0, *(entry.id for entry in await opened.read(Filter(limit=1)))])
                async with aclosing(opened.follow(wanted, after=after)) as batches:
                    async for batch in batches:
                        _print(batch, as_json=as_json)
        return Exit.OK

    return _reading(lambda: wait_while_read(answer))


@journal.command()
@click.option(
    "--expect",
    type=Number(),
    help="A head noted earlier (verify prints it): that entry must be there, unchanged.",
)
@click.option(
    "--export",
    "export_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Verify an export of everything instead.",
)
@json_option
@_folder_option
@click.pass_obj
def verify(
    invocation: Invocation,
    expect: tuple[int, str] | None,
    export_file: Path | None,
    as_json: bool,
    directory: Path | None,
) -> int:
    """Whether every entry is as it was written.

    Walks the chain of hashes and its anchors, and names the first entry that is bad.

    Exit status: 0 it holds, 1 it does not, 3 that cannot be told.
    """

    async def answer() -> Verification:
        async with _opened(invocation, directory) as opened:
            return await opened.verify(expected=expect)

    def told() -> int:
        result = wait(answer) if export_file is None else _verify_export(export_file, expect)
        if as_json:
            print_json({**_plain(result), "head_token": result.head_token})
        else:
            click.echo(f"{glyph(result.level)} {result.summary}")
            for line in result.evidence:
                click.echo(f"  {line}")
        return exit_status(verdict([result.finding()]))

    return _reading(told)


@journal.command()
@_filters
@click.option("--markdown", "as_markdown", is_flag=True, help="A Markdown document; JSON lines otherwise.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file; else standard output.",
)
@_folder_option
@click.pass_obj
def export(
    invocation: Invocation,
    environment: str | None,
    since: datetime | None,
    until: datetime | None,
    kinds: tuple[str, ...],
    pattern: str,
    engineer: str,
    as_markdown: bool,
    output: Path | None,
    directory: Path | None,
) -> int:
    """Every entry, as JSON lines or Markdown.

    Oldest first; JSON lines hold the columns as they are stored.

    An export of everything as JSON lines can be verified by itself: muva journal verify --export FILE.
    """
    from muva_console.ops.journal.export import json_lines, markdown_of

    wanted = _wanted(environment, since, until, kinds, pattern, engineer, None)
    make = markdown_of if as_markdown else json_lines

    async def answer() -> int:
        async with _opened(invocation, directory) as opened:
            with _written_to(output) as stream:
                count = await opened.scan(lambda reader: _write_lines(make(reader, wanted), stream))
            if output is not None:
                click.echo(f"{count:,} {'line' if count == 1 else 'lines'} written to {output}", err=True)
        return Exit.OK

    return _reading(lambda: wait(answer))


@journal.command()
@click.argument("text")
@environment_option
@json_option
@_folder_option
@click.pass_obj
def note(
    invocation: Invocation, text: str, environment: str | None, as_json: bool, directory: Path | None
) -> int:
    """Write down what should be remembered."""
    if not text.strip():
        raise click.UsageError("an empty note says nothing")

    async def answer() -> Entry:
        async with _opened(invocation, directory) as opened:
            return await opened.note(text, environment=environment or "")

    _written(wait(answer), as_json)
    return Exit.OK


@journal.command("open")
@environment_option
@json_option
@_folder_option
@click.pass_obj
def open_(invocation: Invocation, environment: str | None, as_json: bool, directory: Path | None) -> int:
    """Acts that were begun and have no end.

    Each still runs, or was interrupted and its outcome is unknown.

    Exit status: 0 none was interrupted, 1 at least one was, 3 that cannot be told of at least one.
    """

    async def answer() -> list[OpenAct]:
        async with _opened(invocation, directory) as opened:
            return await opened.open_acts(environment)

    def told() -> int:
        acts = wait(answer)
        if as_json:
            print_json([_act_data(act) for act in acts])
        elif not acts:
            click.echo("no act is open")
        for act in () if as_json else acts:
            click.echo(f"{_LIVES[act.life]} #{act.entry.id} {act.summary}")
        lives = {act.life for act in acts}
        if Life.INTERRUPTED in lives:
            return Exit.BAD
        return Exit.CANNOT_TELL if Life.UNKNOWN in lives else Exit.OK

    return _reading(told)


@journal.command()
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@click.argument("text")
@json_option
@_folder_option
@click.pass_obj
def settle(invocation: Invocation, number: int, text: str, as_json: bool, directory: Path | None) -> int:
    """Close an interrupted act.

    ID is the entry that it began with; TEXT says what became of it.
    """
    if not text.strip():
        raise click.UsageError("say what became of it")
    if invocation.read_only:
        raise Refused("read-only: the act was not settled", next="start muva without --read-only")

    async def answer() -> Entry:
        async with _opened(invocation, directory) as opened:
            return await opened.settle(number, text)

    _written(wait(answer), as_json)
    return Exit.OK


def entry_data(entry: Entry) -> dict[str, Any]:
    """An entry as JSON."""
    data = _plain(entry)
    return {**data, "outcome": entry.outcome} if entry.outcome else data


def entry_line(entry: Entry) -> str:
    """An entry as a line of text."""
    what = f"{entry.kind} {entry.outcome}".strip()
    text = entry.text.replace("\n", " ")
    said = f"{entry.subject}: {text}" if text and entry.subject != entry.kind else text or entry.subject
    where = entry.environment or "–"
    return f"{entry.at:%Y-%m-%d %H:%M:%S}Z #{entry.id:<5} {where:<10} {what:<16} {entry.engineer:<10} {said}"


_LIVES = {Life.RUNNING: "◐", Life.INTERRUPTED: "✖", Life.UNKNOWN: "?", Life.SPOOLED: "▲"}


@asynccontextmanager
async def _opened(invocation: Invocation, directory: Path | None) -> AsyncIterator[Journal]:
    """The journal that is meant; what it has to say is told on standard error."""
    from muva_console.config.redact import redact
    from muva_console.ops.identity import identify
    from muva_console.ops.journal.folder import journal_directory
    from muva_console.ops.journal.store import Journal

    shared = False
    if directory is None:
        loaded = invocation.load()
        directory = journal_directory(loaded.config.journal, beside=loaded.base)
        shared = loaded.config.journal.directory is not None

    def warn(text: str) -> None:
        click.echo(f"muva: {text}", err=True)

    opened = Journal(directory, identify(), redact=redact, shared=shared, on_warning=warn)
    try:
        yield opened
    finally:
        await opened.close()


def _reading(answer: Any) -> int:
    """Run what reads the journal; one that cannot be read is "cannot tell", a damaged one is bad."""
    try:
        status: int = answer()
    except JournalError as error:
        tell(error)
        return Exit.BAD if error.problem is JournalProblem.CORRUPT else Exit.CANNOT_TELL
    return status


def _wanted(
    environment: str | None,
    since: datetime | None,
    until: datetime | None,
    kinds: tuple[str, ...],
    pattern: str,
    engineer: str,
    limit: int | None,
) -> Filter:
    import re

    try:
        re.compile(pattern)
    except re.error as error:
        raise click.BadParameter(f"not a regular expression: {error}", param_hint="--grep") from error
    return Filter(
        environment=environment,
        since=since,
        until=until,
        kinds=kinds,
        pattern=pattern,
        engineer=engineer,
        limit=limit,
    )


def _print(entries: list[Entry], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            print_json(entry_data(entry), line=True)
        else:
            click.echo(entry_line(entry))
    sys.stdout.flush()


def _tell_open(acts: list[OpenAct]) -> None:
    for act in acts:
        click.echo(f"{_LIVES[act.life]} {act.summary}", err=True)
        if act.life is Life.INTERRUPTED:
            click.echo(f"  look what became of it, then: muva journal settle {act.entry.id} TEXT", err=True)


def _written(entry: Entry, as_json: bool) -> None:
    if as_json:
        print_json(entry_data(entry))
    else:
        click.echo(entry_line(entry))


def _plain(value: Any) -> dict[str, Any]:
    from msgspec import to_builtins

    data = to_builtins(value)
    assert isinstance(data, dict)
    return data


def _act_data(act: OpenAct) -> dict[str, Any]:
    return {**_plain(act), "target": act.target, "summary": act.summary}


def _verify_export(file: Path, expected: tuple[int, str] | None) -> Verification:
    from muva_console.ops.journal.chain import verify_rows
    from muva_console.ops.journal.export import rows_of

    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            return verify_rows(rows_of(lines), expected=expected)
    except ValueError as error:
        raise JournalError(JournalProblem.CORRUPT, str(error), where=str(file)) from error


def _write_lines(lines: Iterator[str], stream: TextIO) -> int:
    count = 0
    for line in lines:
        stream.write(f"{line}\n")
        count += 1
    stream.flush()
    return count


def _written_to(output: Path | None) -> Any:
    """Where an export goes: a new file of the caller's own, or standard output."""
    if output is None:
        from contextlib import nullcontext

        return nullcontext(sys.stdout)
    try:
        return os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from error
