"""`muva migrations`: what is applied where, what it would lock, apply, and the way back."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "status": ("muva_console.cli.migrations_status", "Files against the history of every environment."),
    "validate": ("muva_console.cli.migrations_validate", "Parse files, and name what they would lock."),
    "apply": ("muva_console.cli.migrations_apply", "Apply what is pending: plan, hazards, backup, verified."),
    "rollback": ("muva_console.cli.migrations_rollback", "Undo the newest by their own way back."),
}


class _Migrations(click.Group):
    """Imports the module of a command when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in _COMMANDS.items()])


@click.group(cls=_Migrations)
def migrations() -> None:
    """Migrations of the databases: status, validate, apply, rollback."""
