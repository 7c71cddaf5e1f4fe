"""Who is on call: [on_call] as shifts, asked for any moment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from muva_console.config.calendar import read_moment
from muva_console.ops.errors import OpsError

if TYPE_CHECKING:
    from muva_console.config.release import OnCall


class RotaShift(Struct, frozen=True):
    """A shift of [on_call] that was read; times are UTC."""

    who: str
    reach: str
    start: datetime
    end: datetime

    @property
    def told(self) -> str:
        """Who, from when until when, and where to reach them."""
        reach = f", reach {self.reach}" if self.reach else ""
        return f"{self.who} {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC{reach}"


def read_shifts(rota: OnCall) -> list[RotaShift]:
    """The shifts by their start. Raises OpsError that names the one which cannot be read."""
    shifts = []
    for n, shift in enumerate(rota.shifts, 1):
        place = f"[[on_call.shifts]] number {n} ({shift.name})"
        try:
            start, end = read_moment(shift.start), read_moment(shift.end)
        except ValueError as error:
            raise OpsError(str(error), where=place, next="Correct muva.toml.") from None
        if end <= start:
            raise OpsError(
                f"ends at {shift.end}, which is not after its start, {shift.start}",
                where=place,
                next="Correct muva.toml.",
            )
        shifts.append(RotaShift(shift.name, shift.reach, start, end))
    return sorted(shifts, key=lambda one: one.start)


def on_call_at(rota: OnCall, now: datetime) -> RotaShift | None:
    """The shift that lasts longest of those that are on at a moment; None for nobody. Raises OpsError."""
    there = [shift for shift in read_shifts(rota) if shift.start <= now < shift.end]
    return max(there, key=lambda shift: shift.end, default=None)
