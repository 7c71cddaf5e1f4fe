"""The `muva` command: the console, or one answer headless.

Exit statuses are an interface: 0 healthy / GO / done, 1 unhealthy / NO-GO / refused, 2 usage or
configuration, 3 cannot tell; 130 and 141 are the shell's words for ctrl+c and for an answer that nobody
read. With `--json`, data and data alone goes to standard output.
Commands are imported when they are called, so that none pays for the others.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from muva_console.cli.base import Invocation, tell
from muva_console.cli.lazy import LazyGroup
from muva_console.ops.errors import ConfigError, LinkError, OpsError
from muva_console.ops.readings import Exit

_COMMANDS = {
    "demo": ("muva_console.cli.demo", "The console on a drill estate of its own; gone when it closes."),
    "init": ("muva_console.cli.setup", "Write a muva.toml from what is here, asking for the rest."),
    "doctor": (
        "muva_console.cli.setup",
        "What can be reached, and how to mend what cannot.",
    ),
    "config": ("muva_console.cli.setup", "The configuration: check it, or print its JSON Schema."),
    "health": ("muva_console.cli.observe", "Every health check once."),
    "monitor": (
        "muva_console.cli.monitor",
        "The health dashboard, repeated; a line each time with --json.",
    ),
    "alerts": (
        "muva_console.cli.alerts",
        "Service failures and error patterns: look, see to, silence.",
    ),
    "diagnose": ("muva_console.cli.diagnose", "Look at everything at once, and rank what may be wrong."),
    "processes": ("muva_console.cli.observe", "PM2's processes on all hosts of an environment."),
    "logs": ("muva_console.cli.logs", "The processes' logs, out and err interleaved by time."),
    "checklist": (
        "muva_console.cli.checklist",
        "The runbooks: list them, or sense every item of one and give the verdict.",
    ),
    "deploy": (
        "muva_console.cli.deploy",
        "The deployment runbook, led: merged or released, followed, verified, recorded, told.",
    ),
    "rollback": (
        "muva_console.cli.rollback",
        "Go back to the last release that was good.",
    ),
    "incident": (
        "muva_console.cli.incident",
        "Incidents: open, note, hand over, stable, close, and the post-mortem.",
    ),
    "hotfix": (
        "muva_console.cli.hotfix",
        "The hotfix runbook, led: branch, minimal change, test, review, live, carried back.",
    ),
    "runs": ("muva_console.cli.runs", "The workflows' runs on GitHub: list, watch live, read the log."),
    "handover": (
        "muva_console.cli.handover",
        "A shift for whoever comes next: incidents, deployments, overrides, how it stands.",
    ),
    "metrics": (
        "muva_console.cli.metrics",
        "Deployments as figures: report, record by hand, import from GitHub.",
    ),
    "migrations": (
        "muva_console.cli.migrations",
        "What is applied where, what it would lock, apply, and the way back.",
    ),
    "db": ("muva_console.cli.db", "The databases as a whole: back up, list backups, restore."),
    "jobs": ("muva_console.cli.jobs", "Acts that go on by themselves: list, follow, stop."),
    "journal": ("muva_console.cli.journal", "Who did what when: read, verify, export."),
    "drill": ("muva_console.cli.drill", "Practice on a small real estate on this machine."),
}


UNREAD = 141
"""Exit status when the reader of standard output went first: what was answered is not called healthy."""

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


class _Commands(LazyGroup):
    """Tells when standard output cannot be written."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BaseExceptionGroup as several:
            _write_failed(_first(several))
            raise _first(several) from several
        except OSError as error:
            _write_failed(error)
            raise


@click.group(
    cls=_Commands,
    lazy=_COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 healthy or done, 1 unhealthy or refused, 2 usage or configuration, 3 cannot tell.",
)
@click.option("--config", "config", type=click.Path(dir_okay=False), help="The configuration file.")
@click.option("--read-only", is_flag=True, help="Refuse every operation.")
@click.option("--env", "environment", help="The environment in hand when the console opens.")
@click.version_option(package_name="muva-console", prog_name="muva")
@click.pass_context
def cli(ctx: click.Context, config: str | None, read_only: bool, environment: str | None) -> None:
    """The operations console of MUVA Chat. Without a command it opens full-screen."""
    if os.environ.get("NO_COLOR"):  # no-color.org; click knows only whether there is a terminal
        ctx.color = False
    ctx.obj = Invocation(config=config, read_only=read_only)
    if ctx.invoked_subcommand is None:
        from muva_console.cli.console import open_console

        ctx.exit(open_console(ctx.obj, environment))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; errors are told on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal of few letters shows a ? for the others
            stream.reconfigure(errors="replace")
    try:
        outcome = cli.main(args=arguments, prog_name="muva", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        click.echo("stopped", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except OpsError as error:
        tell(error)
        return status_of(error)
    except KeyboardInterrupt:
        return 130
    return outcome if isinstance(outcome, int) else Exit.OK


def _first(several: BaseExceptionGroup) -> BaseException:
    """What a task group's first task failed with."""
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _write_failed(error: BaseException) -> None:
    """Ends the command when it was standard output that failed; what else failed is the caller's.

    Raises click.exceptions.Exit.
    """
    if not isinstance(error, OSError) or error.filename is not None:
        return
    if isinstance(error, BrokenPipeError):  # the reader (head, less) has seen enough
        status = UNREAD
    elif error.errno in _UNWRITABLE:
        click.echo(f"muva: the answer could not be written to standard output: {error.strerror}", err=True)
        status = int(Exit.CANNOT_TELL)
    else:
        return
    # what the interpreter still flushes must not complain
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise click.exceptions.Exit(status)


def status_of(error: OpsError) -> int:
    """The exit status that an error ends a command with."""
    match error:
        case ConfigError():
            return Exit.USAGE
        case LinkError():
            return Exit.CANNOT_TELL
        case _:
            return Exit.BAD
