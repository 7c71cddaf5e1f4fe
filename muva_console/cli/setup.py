"""`muva init`, `muva doctor` and `muva config`: getting to a configuration that works."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from muva_console.cli.base import Invocation, environment_option, json_option, print_json, wait
from muva_console.cli.lines import COLOUR, glyph
from muva_console.config.model import Environment, Project, Secret, Table
from muva_console.config.shape import Kind, keys
from muva_console.config.walk import objection
from muva_console.ops.doctor.report import NOT_ASKED
from muva_console.ops.errors import ConfigError, OpsError
from muva_console.ops.readings import Finding, Level, exit_status

if TYPE_CHECKING:
    from muva_console.ops.doctor import Terminal
    from muva_console.ops.doctor.report import Group, Report
    from muva_console.ops.links.ssh_trust import HostKeyOffer
    from muva_console.ops.setup import HostAnswer, Surroundings


def _interactive() -> bool:
    """Whether a person is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _say(text: str = "") -> None:
    """Narration: to standard error."""
    click.echo(text, err=True)


# --- config --------------------------------------------------------------------------------------------


@click.group()
def config() -> None:
    """Check the configuration, or print its JSON Schema."""


@config.command()
@json_option
@click.pass_obj
def check(invocation: Invocation, as_json: bool) -> None:
    """Read the configuration and name every mistake in it. Nothing it names is reached."""
    loaded = invocation.load()
    about = {
        "path": str(loaded.path),
        "digest": loaded.digest,
        "environments": list(loaded.config.environments),
        "hosts": list(loaded.config.hosts),
    }
    if as_json:
        print_json(about)
    else:
        click.echo(f"{loaded.path}: no mistakes; environments {', '.join(loaded.config.environments)}")


@config.command()
def schema() -> None:
    """Print the JSON Schema of muva.toml, for editors."""
    from muva_console.config.schema import schema_text

    click.echo(schema_text(), nl=False)


# --- doctor --------------------------------------------------------------------------------------------


@click.command()
@environment_option
@json_option
@click.pass_obj
def doctor(invocation: Invocation, environment: str | None, as_json: bool) -> int:
    """Try what the configuration names, all at once, and say how to mend what does not work.

    Nothing is changed. On a terminal, an unknown host key is shown and you are asked whether to trust it.
    """
    names = invocation.load().config.environments
    if environment is not None and environment not in names:
        raise ConfigError(
            f"there is no environment {environment!r}", mistakes=(f"--env takes one of: {', '.join(names)}",)
        )
    _say(f"Trying what {invocation.load().path} names. Nothing is changed.")
    report = wait(lambda: _examine(invocation, environment, quiet=as_json))
    while not as_json and _interactive() and _trusted(report.offers):
        _say("Once more, with the key trusted.")
        report = wait(lambda: _examine(invocation, environment, quiet=as_json))
    if as_json:
        print_json({"environment": environment, "verdict": report.verdict.value, "findings": report.findings})
    else:
        _summarise(report)
    return exit_status(report.verdict)


async def _examine(invocation: Invocation, environment: str | None, *, quiet: bool) -> Report:
    from muva_console.ops.doctor import examine

    async with invocation.workspace() as workspace:
        return await examine(
            workspace,
            environment=environment,
            terminal=_terminal(),
            on_group=None if quiet else _show_group,
        )


def _trusted(offers: Sequence[HostKeyOffer]) -> bool:
    """Ask about each key and record those that are trusted; whether there were any."""
    from muva_console.ops.links.ssh_trust import accept

    some = False
    for offer in offers:
        if _trust(offer):
            accept(offer)
            _say(f"Recorded in {offer.file}.")
            some = True
        else:
            _say('Not trusted, and nothing recorded: only a whole "yes" is one.')
    return some


def _trust(offer: HostKeyOffer) -> bool:
    """Show a host key and ask. Only a whole "yes" is one, as with ssh."""
    _say()
    _say(f"The host key of {offer.address} ({offer.host}) is not known here:")
    _say(f"  {offer.algorithm}  {offer.fingerprint}")
    for line in offer.randomart.splitlines():
        _say(f"  {line}")
    _say("Compare it with what the host's owner tells you, by another way than this network. On the host:")
    _say("  for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lvf $f; done")
    answer = click.prompt("Trust it from now on? (yes/no)", default="no", err=True)
    return bool(answer.strip().lower() == "yes")


def _terminal() -> Terminal | None:
    """The terminal that the console would open on; None when there is none."""
    if not sys.stdout.isatty() and not sys.stderr.isatty():
        return None
    from muva_console.ops.doctor import Terminal

    size = shutil.get_terminal_size()
    return Terminal(
        environ=dict(os.environ), columns=size.columns, rows=size.lines, encoding=sys.stdout.encoding or ""
    )


_INDENT = 29
"""Columns before what a finding says."""


def _show_group(group: Group) -> None:
    click.echo()
    click.echo(click.style(group.title, bold=True))
    waiting: list[str] = []
    for finding in group.findings:
        if finding.level is Level.UNKNOWN and finding.summary.startswith(NOT_ASKED):
            waiting.append(finding.check)
        else:
            _show(finding, group.title)
    if waiting:
        names = ", ".join(dict.fromkeys(waiting))
        click.echo(
            f"  {_mark(Level.UNKNOWN)} {'not asked':<15}  {_hanging(f'waiting on what failed: {names}')}"
        )


def _show(finding: Finding, title: str) -> None:
    about = f"{finding.subject}: " if finding.subject and not title.endswith(finding.subject) else ""
    click.echo(f"  {_mark(finding.level)} {finding.check:<15}  {_hanging(about + finding.summary)}")
    if finding.level is Level.OK:
        return
    for line in finding.evidence:
        click.echo(" " * _INDENT + click.style(_hanging(line), dim=True))
    if finding.next:
        click.echo(" " * _INDENT + _hanging(f"next: {finding.next}"))
    if finding.command:
        click.echo(" " * _INDENT + click.style(f"$ {finding.command}", dim=True))  # one line, to be copied


def _mark(level: Level) -> str:
    return click.style(f"{glyph(level)} {level.value:<7}", fg=COLOUR[level])


def _hanging(text: str) -> str:
    """Wrapped to the terminal under itself; as it is where there is none."""
    if not sys.stdout.isatty():
        return text
    width = max(40, shutil.get_terminal_size().columns - _INDENT)
    return ("\n" + " " * _INDENT).join(textwrap.wrap(text, width, break_on_hyphens=False) or [""])


def _summarise(report: Report) -> None:
    counts = {level: sum(finding.level is level for finding in report.findings) for level in Level}
    told = ", ".join(f"{count} {level.value}" for level, count in counts.items() if count)
    colour = {"GO": None, "NO-GO": "red"}.get(report.verdict.value, "magenta")
    click.echo()
    click.echo(f"{click.style(report.verdict.value, fg=colour, bold=True)}  {told}")


# --- init ----------------------------------------------------------------------------------------------


@click.command()
@click.option("--yes", "-y", "assume", is_flag=True, help="Ask nothing: take what was found.")
@click.option("--force", is_flag=True, help="Replace a file that is there (it is kept beside as .bak).")
@click.option(
    "--probe/--no-probe",
    default=None,
    help="Ask the hosts for their PM2 processes over SSH; without it you are asked, and --yes does not.",
)
@click.option(
    "--ssh-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of ~/.ssh/config.",
)
@click.pass_obj
def init(
    invocation: Invocation, assume: bool, force: bool, probe: bool | None, ssh_config: Path | None
) -> None:
    """Write a muva.toml from what is here: hosts of ssh_config, the git checkout, PM2's processes.

    Written to --config, else to ./muva.toml. Nothing is asked over a network before you said so.
    """
    path = Path.cwd() / (invocation.config or Path("muva.toml"))
    if path.exists() and not force:
        from muva_console.ops.setup import write

        write("", path, force=False)  # says why not, before anybody has answered a question
    if not assume and not _interactive():
        _say("There is no terminal to ask on, so what was found is taken (--yes).")
        assume = True
    document = _compose(path, assume=assume, probe=probe, ssh_config=ssh_config)
    from muva_console.ops.setup import text_of, write

    backup = write(text_of(document, path), path, force=force)
    if backup is not None:
        _say(f"The one that was there is now {backup}.")
    click.echo(str(path))
    _say("Next: read it, then `muva doctor` tries what it names.")


def _compose(path: Path, *, assume: bool, probe: bool | None, ssh_config: Path | None) -> dict[str, Any]:
    from muva_console.ops import setup

    folder = path.parent if path.parent.is_dir() else Path.cwd()
    here = wait(lambda: setup.look(folder, ssh_config=ssh_config))
    if here.checkout is None and folder != Path.cwd():
        # written elsewhere, the user's configuration folder say, from within the application's checkout
        here = wait(lambda: setup.look(Path.cwd(), ssh_config=ssh_config))
    _tell(here)
    likely = setup.likely_hosts(here.hosts)
    name, repository = _project_of(here, path)
    hosts: Sequence[str] = likely
    if not assume:
        name = _ask("Name of what is operated", name, (Project, "name"))
        repository = _ask("Its repository on GitHub, OWNER/NAME", repository, (Project, "repository"))
        hosts = _several("Hosts that run it, aliases of ssh_config or addresses", likely)
    answers = _probe(hosts, assume=assume, probe=probe, ssh_config=ssh_config)
    branches = setup.likely_environments(here.branches, answers)
    if not assume:
        wanted = _several("Environments", list(branches)) or list(branches)
        branches = {each: branches.get(each, each) for each in wanted}
    environments = {
        each: setup.environment_table(each, branch, hosts=hosts, answers=answers)
        for each, branch in branches.items()
    }
    if not assume:
        for each, table in environments.items():
            _ask_environment(each, table, hosts)
    host_tables = {each: {"address": each} for each in hosts}
    if ssh_config is not None:
        host_tables = {
            each: {**table, "ssh_config": str(Path.cwd() / ssh_config)} for each, table in host_tables.items()
        }
    project = {"name": name, "checkout": _relative(here.checkout, path.parent)}
    if repository:
        project["repository"] = repository
    return {"project": project, "hosts": host_tables, "environments": environments}


def _tell(here: Surroundings) -> None:
    _say("Found here, without asking any network:")
    _say(f"  ssh_config  {', '.join(host.alias for host in here.hosts) or 'no hosts by name'}")
    if here.checkout is None:
        _say("  git         no checkout around this folder")
    else:
        _say(f"  git         {here.checkout}, {here.repository or 'no remote on GitHub'}")
        _say(f"  branches    {', '.join(here.branches[:12]) or 'none'}")
    for note in here.notes:
        _say(f"  ! {note}")


def _project_of(here: Surroundings, path: Path) -> tuple[str, str]:
    if here.repository:
        return here.repository.partition("/")[2], here.repository
    return (here.checkout or path.parent).name or "MUVA Chat", ""


def _probe(
    hosts: Sequence[str], *, assume: bool, probe: bool | None, ssh_config: Path | None
) -> list[HostAnswer]:
    """PM2's processes on the hosts, if that is wanted; what was not answered is told."""
    if not hosts or probe is False or (probe is None and assume):
        return []
    if probe is None and not click.confirm(
        f"Ask {', '.join(hosts)} now for PM2's processes, over SSH?", default=True, err=True
    ):
        return []
    from muva_console.ops.setup import ask_hosts

    _say(f"Asking {', '.join(hosts)} over SSH …")
    answers = wait(lambda: ask_hosts(hosts, ssh_config=ssh_config))
    for answer in answers:
        if answer.error is not None:
            _say(f"  {answer.alias}: {answer.error.what}")
        else:
            names = ", ".join(process.name for process in answer.processes) or "no processes"
            _say(f"  {answer.alias}: {names}")
    return answers


def _ask_environment(name: str, table: dict[str, Any], hosts: Sequence[str]) -> None:
    """Ask for what of an environment could not be found; a dash leaves a key out."""
    _say(f"\n[environments.{name}]  (- for none)")
    table["branch"] = _ask("  branch", table["branch"], (Environment, "branch")) or table["branch"]
    _put(table, "url", _ask("  address for its users, https://…", "", (Environment, "url")))
    if hosts:
        _put(table, "hosts", [each for each in _several("  hosts", table.get("hosts", [])) if each in hosts])
    if not table.get("hosts"):
        for key in ("hosts", "directory", "processes"):
            table.pop(key, None)
    else:
        directory = _ask("  directory on its hosts", table.get("directory", ""), (Environment, "directory"))
        _put(table, "directory", directory)
        _put(table, "processes", _several("  PM2 processes", table.get("processes", []), "processes"))
        port = _ask("  port there", "", (Environment, "port"))
        _put(table, "port", int(port) if port else None)
        if directory:
            _put(
                table, "env_file", _ask("  environment file there", f".env.{name}", (Environment, "env_file"))
            )
    variable = _ask("  environment variable of yours that holds its database's address", "", (Secret, "env"))
    if variable:
        table["database"] = {"url": {"env": variable}}


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    if value:
        table[key] = value
    else:
        table.pop(key, None)


def _ask(question: str, default: str, key: tuple[type[Table], str]) -> str:
    """One answer, asked for again until it fits the key; empty for none."""
    while True:
        answer = str(click.prompt(question, default=default or "-", err=True)).strip()
        if answer in ("", "-"):
            return ""
        shape = keys(key[0])[key[1]].shape
        value = int(answer) if shape.kind is Kind.WHOLE and answer.isdecimal() else answer
        wrong = objection(*key, value)
        if not wrong:
            return answer
        _say(f"    {wrong}")


def _several(question: str, default: Sequence[str], key: str = "hosts") -> list[str]:
    """Several answers, separated by commas or spaces."""
    while True:
        answer = str(
            click.prompt(f"{question}, separated by commas", default=", ".join(default) or "-", err=True)
        )
        found = list(dict.fromkeys(word for word in answer.replace(",", " ").split() if word != "-"))
        wrong = objection(Environment, key, found)
        if not wrong:
            return found
        _say(f"    {wrong}")


def _relative(checkout: Path | None, folder: Path) -> str:
    if checkout is None:
        return "."
    try:
        return os.path.relpath(checkout, folder)
    except (ValueError, OSError) as error:
        raise OpsError(f"the checkout's place could not be told: {error}") from None
