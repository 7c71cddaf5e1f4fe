"""`muva migrations`: what is applied where, what it would lock, apply, and the way back."""

from __future__ import annotations

import click

from muva_console.cli.lazy import LazyGroup

_COMMANDS = {
    "status": ("muva_console.cli.migrations_status", "Files against the history of every environment."),
    "validate": ("muva_console.cli.migrations_validate", "Parse files, and name what they would lock."),
    "apply": ("muva_console.cli.migrations_apply", "Apply what is pending: plan, hazards, backup, verified."),
    "rollback": ("muva_console.cli.migrations_rollback", "Undo the newest by their own way back."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def migrations() -> None:
    """Migrations of the databases: status, validate, apply, rollback."""
