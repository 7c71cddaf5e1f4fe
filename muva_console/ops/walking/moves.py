"""What a deployment that leads itself does next: decided from how its run stands, and from nothing else."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct

from muva_console.ops.runbooks.standing import ItemView, RunView, State

_LOOKED_FOR = (State.NOT_ASKED, State.ASKING, State.EXPIRED, State.WAITING)


class Turn(StrEnum):
    """What is to be done next."""

    LOOK = "look"
    """Something is being sensed, or will be by itself."""
    ACT = "act"
    """The item's act can be done."""
    WAIT = "wait"
    """It changes by itself, or somebody else has to act."""
    STOP = "stop"
    """It goes no further without a person."""
    DONE = "done"
    """Nothing is left that can be done from here."""


class Move(Struct, frozen=True, kw_only=True):
    """The next turn, and the item that it is about."""

    turn: Turn
    item: ItemView | None = None


def next_move(view: RunView, *, left: Collection[str] = (), approve: bool = False) -> Move:
    """The next turn in an ordered runbook: its first item that is not well decides.

    `left` are items that were left to a person and hold nothing up: messages that could not be sent. An act
    that is another's by role (a step's `who`) is waited for, unless `approve`: whoever leads a deployment is
    not the one who approves it.
    """
    for item in view.items:
        step = item.step
        if not item.open or item.id in left or not (step.sensed or step.operation):
            continue
        return Move(turn=_turn(item, approve=approve), item=item)
    return Move(turn=Turn.DONE)


def _turn(item: ItemView, *, approve: bool) -> Turn:
    if item.red:
        return Turn.STOP
    if item.state in _LOOKED_FOR and not item.actable:
        return Turn.LOOK
    if item.actable:
        return Turn.WAIT if item.step.who and not approve else Turn.ACT
    if item.state is State.PENDING:  # nothing of the console's makes it so: a checklist that is to be walked
        return Turn.WAIT if item.step.operation and item.step.again else Turn.STOP
    return Turn.WAIT if item.step.again else Turn.STOP


def for_a_person(view: RunView) -> tuple[ItemView, ...]:
    """What is left at the end: questions, and messages that could not be sent."""
    return tuple(item for item in view.items if item.open)


def act_needed(view: RunView) -> str:
    """The act that is next and can be done, once every act above it was looked at; else empty. Of two that
    are needed the second may be found first, and does not help before the other.
    """
    item = view.item(view.next)
    if item is None or item.state is not State.PENDING or not item.actable:
        return ""
    above = view.items[: view.items.index(item)]
    unseen = any(one.step.operation and one.state in (State.NOT_ASKED, State.ASKING) for one in above)
    return "" if unseen else item.id
