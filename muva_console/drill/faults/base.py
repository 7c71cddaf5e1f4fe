"""What a fault is: something that truly goes wrong in the estate, and how it is put right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from muva_console.drill.state import Estate, Site

Memory = dict[str, str]
"""What breaking leaves for mending to know; kept in the estate's record."""

Act = Callable[[Estate, Site, Memory], Awaitable[None]]


class Fault(Struct, frozen=True, kw_only=True):
    """A fault that can be broken into an estate."""

    name: str
    title: str
    does: str
    """What really happens, and what is seen of it."""
    items: tuple[str, ...] = ()
    """The items of the playbook's checklists that it makes fail, ``RUNBOOK/ITEM``, the one it is meant for
    first."""
    besides: str = ""
    """What cannot be told, or fails, beside those, and why that lies in its nature."""
    environment: str = "production"
    """Where it is broken in when none is named."""
    undone: str
    """How mending undoes it; an engineer may have done so before."""
    rank: int
    """Mending goes by rank: what others stand on comes first."""
    break_in: Act
    """Makes it happen and returns when it can be seen. Raises OpsError when it does not come about."""
    mend: Act
    """Undoes it, wholly or what is left of it; does not wait for the site's health. Raises OpsError."""
