"""Where alerts are raised, ended, seen to and silenced: every word goes to the journal.

Two consoles see the same alerts, for they are nothing but entries; of two that notice the same thing at once
the journal takes the first, so that the team is told once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from muva_console.ops.alerts.fold import act_of, fold
from muva_console.ops.alerts.model import KIND, Alert, Noticed, Source, Turn
from muva_console.ops.errors import ConfigError, Refused
from muva_console.ops.journal.model import Draft, Filter, timestamp
from muva_console.ops.readings import Level, utc_now
from muva_console.ops.text import sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.journal.store import Journal

LONGEST = timedelta(days=30)
"""How long an alert may be silenced. Ours: what nobody is to hear of for longer is mended or taken out."""


class Alerts:
    """The alerts of one journal. Raises JournalError where it cannot be read or written."""

    def __init__(self, journal: Journal) -> None:
        """Nothing is read yet."""
        self._journal = journal
        self._read: dict[str | None, tuple[dict[tuple[str, str], Alert], int]] = {}
        """By environment (None for all): what was folded so far, and up to which entry. Who looks every half
        minute for a year does not read a year each time.
        """

    async def all(self, environment: str | None = None) -> dict[tuple[str, str], Alert]:
        """Every alert there ever was, by environment and key."""
        known, last = self._read.get(environment, ({}, 0))
        wanted = Filter(environment=environment, kinds=(KIND,), after=last or None, limit=None)
        entries = await self._journal.read(wanted)
        if entries:
            known, last = fold(entries, known.values()), entries[-1].id
            self._read[environment] = (known, last)
        return dict(known)

    async def open(self, environment: str | None = None) -> tuple[Alert, ...]:
        """Those that hold now, the worst first, then the oldest."""
        found = [one for one in (await self.all(environment)).values() if one.open]
        return tuple(sorted(found, key=lambda one: (one.level is not Level.FAIL, one.raised_at)))

    async def find(self, environment: str, word: str) -> Alert:
        """The alert of that key, or whose key begins or ends so. Raises ConfigError for none, and several."""
        known = list((await self.all(environment)).values())
        found = [one for one in known if one.key == word] or [
            one for one in known if one.key.endswith(word) or one.key.startswith(word)
        ]
        if len(found) == 1:
            return found[0]
        what = "there is no alert" if not found else "several alerts fit"
        raise ConfigError(
            f"{what} {sanitise_line(word, cap=60)!r} of {environment}",
            where=str(self._journal.directory),
            mistakes=("muva alerts list tells those there are", *(one.key for one in found[:10])),
        )

    async def raise_(self, noticed: Noticed, known: Alert | None) -> Alert | None:
        """Write that it holds; None where somebody else was faster. A warning that has become a failure is
        raised anew.
        """
        return await self._say(
            noticed,
            Turn.RAISED,
            f"{noticed.level.value}: {noticed.title}",
            {"count": noticed.count, "evidence": list(noticed.evidence)},
            known,
        )

    async def recover(self, alert: Alert, text: str = "") -> Alert | None:
        """Write that it is over; None where somebody else has."""
        return await self._say(alert, Turn.RECOVERED, text or f"over: {alert.title}", {}, alert)

    async def ack(self, alert: Alert, note: str = "") -> Alert:
        """Say that it is seen to. Raises Refused for one that is not open, or was seen to already."""
        if not alert.open:
            raise Refused(f"{alert.key} is not open: there is nothing to see to")
        if alert.acked_by:
            raise Refused(f"{alert.acked_by} has said already that {alert.key} is seen to")
        note = sanitise_line(note, cap=300).strip()
        text = f"seen to{f': {note}' if note else ''}"
        written = await self._say(alert, Turn.ACKED, text, {"note": note}, alert)
        if written is None:
            raise _overtaken(alert)
        return written

    async def silence(self, alert: Alert, reason: str, until: datetime) -> Alert:
        """Tell nobody of it until then. Raises Refused without a reason, for a time that is over, and for one
        too far ahead.
        """
        reason = sanitise_line(reason, cap=300).strip()
        now = utc_now()
        if not reason:
            raise Refused("an alert is silenced for a reason", next="Give --reason.")
        if not now < until <= now + LONGEST:
            raise Refused(
                f"an alert is silenced for up to {LONGEST.days} days from now, not until "
                f"{until:%Y-%m-%d %H:%M} UTC",
                next="Give --for, such as 2h.",
            )
        data = {"until": timestamp(until), "reason": reason}
        text = f"silenced until {until:%Y-%m-%d %H:%M} UTC: {reason}"
        written = await self._say(alert, Turn.SILENCED, text, data, alert)
        if written is None:
            raise _overtaken(alert)
        return written

    async def unsilence(self, alert: Alert) -> Alert:
        """Tell of it again. Raises Refused where it is not silenced."""
        if not alert.silenced(utc_now()):
            raise Refused(f"{alert.key} is not silenced")
        written = await self._say(alert, Turn.UNSILENCED, "no longer silenced", {}, alert)
        if written is None:
            raise _overtaken(alert)
        return written

    async def _say(
        self, one: Noticed | Alert, turn: Turn, text: str, data: dict[str, Any], known: Alert | None
    ) -> Alert | None:
        whole = {
            "turn": turn.value,
            "source": one.source.value,
            "level": one.level.value,
            "title": one.title,
            **data,
        }
        draft = Draft(
            kind=KIND,
            subject=one.key,
            text=text,
            environment=one.environment,
            data=whole,
            act=act_of(one.environment),
        )
        written = await self._journal.append_next(draft, seen=known.last if known is not None else 0)
        if written.entry is None:
            return None
        before = () if known is None else (known,)
        return fold([written.entry], before)[(one.environment, one.key)]


def named(environment: str, key: str) -> Alert:
    """An alert that was never raised, to be silenced beforehand. Raises Refused for what is no key."""
    source, _, rest = key.partition("/")
    if source not in (Source.SERVICE.value, Source.PATTERN.value) or not rest:
        raise Refused(f"{sanitise_line(key, cap=60)} is no alert's key: service/CHECK or pattern/ID")
    return Alert(
        environment=environment, key=key, source=Source(source), level=Level.WARN, title=f"{key}, not raised"
    )


def _overtaken(alert: Alert) -> Refused:
    return Refused(
        f"somebody has said something of {alert.key} meanwhile: nothing was written",
        next="muva alerts list tells how it stands.",
    )
