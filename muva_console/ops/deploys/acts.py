"""The operations that a runbook's step may name, made for the environment that it is walked for.

A factory is ``module:function``: ``function(ctx) -> Operation``, or a coroutine of one. `ctx.parameters` hold
what the step says, and the ``version`` that the engineer asked for. It is imported when it is first named.
"""

from __future__ import annotations

import inspect
from importlib import import_module

from muva_console.ops.checks import CheckContext
from muva_console.ops.deploys.told import COMMIT, MESSAGE, refuse_told
from muva_console.ops.errors import OpsError
from muva_console.ops.notices import NAME as NOTIFY
from muva_console.ops.notices import Notice
from muva_console.ops.operations import Operation
from muva_console.ops.release.message import facts_for, message_for, render
from muva_console.ops.text import sanitise_line

INCIDENT = "incident"
"""The message that tells of the incident in hand, as it stands."""
REVIEW = "hotfix-review"
"""The message that asks for the review of a hotfix."""
_HERE = "muva_console.ops.deploys."
_EMERGENCY = "muva_console.ops.emergency."

ACTS: dict[str, str] = {
    NOTIFY: f"{_HERE}acts:notice",
    "deploy-merge": f"{_HERE}merge_act:factory",
    "deploy-lock": f"{_HERE}lock_acts:lock_factory",
    "deploy-unlock": f"{_HERE}lock_acts:unlock_factory",
    "deploy-lock-break": f"{_HERE}lock_acts:break_factory",
    "release-branch": f"{_HERE}branch_act:factory",
    "release-pull": f"{_HERE}pull_act:factory",
    "release-request": f"{_HERE}request_act:factory",
    "release-approve": f"{_HERE}review_acts:factory",
    "release-merge": f"{_HERE}merge_pull_act:factory",
    "deploy-approve": f"{_HERE}approval_acts:approve_factory",
    "deploy-reject": f"{_HERE}approval_acts:reject_factory",
    "deploy-record": f"{_HERE}record_act:factory",
    "release-publish": f"{_HERE}publish_act:factory",
    "release-close-issues": f"{_HERE}close_act:factory",
    "process-start": f"{_EMERGENCY}processes:start",
    "process-restart": f"{_EMERGENCY}processes:restart",
    "process-memory-limit": f"{_EMERGENCY}processes:raise_limit",
    "pm2-resurrect": f"{_EMERGENCY}daemon:factory",
    "port-clear": f"{_EMERGENCY}port:factory",
    "maintenance-on": f"{_EMERGENCY}maintenance:on_factory",
    "maintenance-off": f"{_EMERGENCY}maintenance:off_factory",
    "rollback": "muva_console.ops.rollback.act:factory",
    "hotfix-branch": f"{_HERE}hotfix_acts:branch_factory",
    "hotfix-staging": f"{_HERE}hotfix_acts:staging_factory",
    "hotfix-pull": f"{_HERE}hotfix_pull:factory",
    "hotfix-backport": f"{_HERE}backport:factory",
}
"""By name: where the operation is made."""


async def operation_for(name: str, ctx: CheckContext) -> Operation:
    """The operation of that name with the step's parameters; it is not planned yet. Raises OpsError for a
    name that is not known, and where the operation cannot be made (no webhook, no such message).
    """
    if name not in ACTS:
        known = ", ".join(ACTS)
        raise OpsError(f'there is no operation "{sanitise_line(name, cap=60)}"', next=f"One of: {known}.")
    module, _, factory = ACTS[name].partition(":")
    made = getattr(import_module(module), factory)(ctx)
    operation: Operation = await made if inspect.isawaitable(made) else made
    return operation


async def notice(ctx: CheckContext) -> Notice:
    """The message of a step with ``operation = "notify"``. Raises AlreadyError where the team was told it of
    the same deployment, OpsError where the step names no message that is known.
    """
    notices = ctx.config.notices
    slack = notices.slack
    if slack is None:  # refused by the notice itself, before anything is looked at
        return Notice("-", environment=ctx.environment_name, channel=notices.channel, webhook=None)
    secret = ctx.going_out().secret
    message = str(ctx.parameters.get("message", ""))
    if message in (INCIDENT, REVIEW):
        return Notice(
            await message_text(ctx),
            environment=ctx.environment_name,
            channel=notices.channel,
            webhook=lambda: secret(slack),
        )
    facts = await facts_for(message, ctx)
    await refuse_told(ctx.going_out().journal, ctx.environment_name, message, facts.commit)
    return Notice(
        render(message, facts),
        environment=ctx.environment_name,
        channel=notices.channel,
        webhook=lambda: secret(slack),
        about={MESSAGE: message, COMMIT: facts.commit},
    )


async def message_text(ctx: CheckContext) -> str:
    """The message of such a step, to be copied by hand. Raises OpsError where it names none that is known."""
    message = str(ctx.parameters.get("message", ""))
    if message == REVIEW:
        from muva_console.ops.deploys.hotfix_pull import review_message

        return await review_message(ctx)
    if message != INCIDENT:
        return await message_for(message, ctx)
    from muva_console.ops.incidents.checks import message_in_hand

    text = await message_in_hand(ctx)
    if not text:
        raise OpsError(
            f"there is no incident of {ctx.environment_name} to tell of", next="muva incident open"
        )
    return text
