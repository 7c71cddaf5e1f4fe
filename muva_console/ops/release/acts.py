"""The operations that a runbook's step may name, made for the environment that it is walked for."""

from __future__ import annotations

from muva_console.ops.checks import CheckContext
from muva_console.ops.errors import OpsError
from muva_console.ops.notices import NAME as NOTIFY
from muva_console.ops.notices import Notice
from muva_console.ops.operations import Operation
from muva_console.ops.release.message import message_for
from muva_console.ops.text import sanitise_line


async def operation_for(name: str, ctx: CheckContext) -> Operation:
    """The operation of that name with the step's parameters; it is not planned yet. Raises OpsError for a
    name that is not known, and where the operation cannot be made (no webhook, no such message).
    """
    if name != NOTIFY:
        raise OpsError(f'there is no operation "{sanitise_line(name, cap=60)}"', next=f"One of: {NOTIFY}.")
    notices = ctx.config.notices
    slack = notices.slack
    if slack is None:
        text, webhook = "-", None  # refused by the notice itself, before anything is looked at
    else:
        secret = ctx.going_out().secret
        text, webhook = await message_text(ctx), lambda: secret(slack)
    return Notice(text, environment=ctx.environment_name, channel=notices.channel, webhook=webhook)


async def message_text(ctx: CheckContext) -> str:
    """The message of a step with ``operation = "notify"``, to be copied by hand. Raises OpsError where the
    step names none that is known.
    """
    return await message_for(str(ctx.parameters.get("message", "")), ctx)
