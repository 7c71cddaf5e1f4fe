"""Where incidents are opened, led and read: every word goes to the journal, in the name of who says it.

Two consoles see the same incident, for it is nothing but entries. Of two that say something of the same thing
at once the journal takes the first; the second is told who said what, and nothing of it is written.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from muva_console.ops.errors import ConfigError, Refused
from muva_console.ops.incidents.fold import KINDS, act_of, as_text, fold
from muva_console.ops.incidents.model import ALLOWED, Incident, Phase, Role, Severity, Turn
from muva_console.ops.journal.model import Draft, Entry, Filter, Kind
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise, sanitise_line

if TYPE_CHECKING:
    from muva_console.ops.incidents.verdicts import Sensed
    from muva_console.ops.journal.store import Journal

TITLE = 160
"""Characters of a title. Ours: it stands in a message's first line."""
_PHASES = frozenset({Turn.STABLE, Turn.UNSTABLE, Turn.CLOSED})
_AHEAD = timedelta(minutes=1)
"""How far a moment that is told may lie in the future: clocks differ a little."""


class Desk:
    """The incidents of one journal. Raises JournalError where it cannot be read or written."""

    def __init__(self, journal: Journal) -> None:
        """Nothing is read yet."""
        self._journal = journal

    async def all(self, environment: str | None = None) -> tuple[Incident, ...]:
        """Every incident, the newest last."""
        if environment is not None:
            return fold(await self._journal.read(self._of(environment)))
        return fold(await self._journal.read(Filter(kinds=KINDS, limit=None)))

    async def current(self, environment: str) -> Incident | None:
        """The incident of an environment that is not closed; None where there is none."""
        return next((one for one in reversed(await self.all(environment)) if one.open), None)

    async def get(self, id: int) -> Incident:
        """The incident of that number. Raises ConfigError where there is none."""
        for one in await self.all():
            if one.id == id:
                return one
        raise ConfigError(
            f"there is no incident {id} in this journal",
            where=str(self._journal.directory),
            mistakes=("muva incident list tells those there are",),
        )

    async def open(
        self,
        environment: str,
        title: str,
        severity: Severity,
        *,
        onset: datetime | None = None,
        onset_source: str = "",
        verdict: str = "",
        automatic: bool = False,
        text: str = "",
        commander: str = "",
    ) -> Incident:
        """Open one; an onset that is not given is sensed from the kept verdicts, else it is not known. Raises
        Refused where one is open there already (also where a colleague was faster).
        """
        title = sanitise_line(title, cap=TITLE).strip()
        if not title:
            raise Refused("an incident wants a title: what guests see, in a few words")
        if onset is not None:
            _not_ahead(onset, "the onset")
        elif (sensed := await self._sensed(environment)) is not None:
            onset, onset_source = sensed.onset, sensed.source
        data: dict[str, Any] = {
            "turn": Turn.OPENED.value,
            "title": title,
            "severity": severity.value,
            "verdict": verdict,
            "automatic": automatic,
            "onset": as_text(onset) if onset is not None else "",
            "onset_source": sanitise_line(onset_source, cap=200) if onset is not None else "",
            "roles": {Role.COMMANDER.value: _name(commander)} if commander else {},
        }
        before = await self.all(environment)
        for one in before:
            if one.open:
                raise _open_already(one)
        draft = Draft(
            kind=Kind.INCIDENT,
            subject=act_of(environment),
            text=sanitise(text).strip() or f"opened, {severity.value}: {title}",
            environment=environment,
            data=data,
            act=act_of(environment),
        )
        written = await self._journal.append_next(draft, seen=max((one.last for one in before), default=0))
        if written.entry is None:
            for one in reversed(fold(written.newer, before)):
                raise _open_already(one)
            raise Refused(
                "somebody else has said something of an incident there meanwhile", next="Try again."
            )
        return fold([written.entry])[0]

    async def note(self, incident: Incident, text: str, *, at: datetime | None = None) -> Incident:
        """Slip a note into the time line, at the moment that it is about; now where none is given. A closed
        incident takes notes too.
        """
        text = sanitise(text).strip()
        if not text:
            raise Refused("there is nothing in the note")
        if at is not None:
            _not_ahead(at, "the note's moment")
        draft = Draft(
            kind=Kind.NOTE,
            subject=incident.name,
            text=text,
            environment=incident.environment,
            data={"at": as_text(at)} if at is not None else {},
            act=act_of(incident.environment),
            ref=incident.id,
        )
        return _after(incident, await self._journal.append(draft))

    async def set_severity(self, incident: Incident, severity: Severity, why: str = "") -> Incident:
        """Say how grave it is."""
        if incident.open and incident.severity is severity:
            raise Refused(f"{incident.name} is {severity.value} already")
        text = f"severity {incident.severity.value} → {severity.value}" + _because(why)
        return await self._say(incident, Turn.SEVERITY, text, {"severity": severity.value})

    async def hand_over(self, incident: Incident, role: Role, to: str, why: str = "") -> Incident:
        """Give a role to somebody, by name: explicit, and in the time line."""
        name = _name(to)
        had = incident.roles.get(role.value, "")
        if had == name:
            raise Refused(f"{name} is {role.value} already")
        text = f"{role.value}: {had or 'nobody'} → {name}" + _because(why)
        return await self._say(incident, Turn.ROLE, text, {"role": role.value, "to": name})

    async def set_onset(self, incident: Incident, onset: datetime, source: str) -> Incident:
        """Say when it began, and how that is known."""
        _not_ahead(onset, "the onset")
        if incident.stable_at is not None and onset > incident.stable_at:
            raise Refused("it cannot have begun after it was stable")
        source = sanitise_line(source, cap=200)
        text = f"onset {onset:%Y-%m-%d %H:%M:%S} UTC ({source})"
        data = {"onset": as_text(onset), "onset_source": source}
        return await self._say(incident, Turn.ONSET, text, data)

    async def stable(
        self, incident: Incident, how: str, *, verified: bool, at: datetime | None = None
    ) -> Incident:
        """Say that it no longer hurts; `how`: what was seen, or why it is said all the same."""
        if at is not None:
            _not_ahead(at, "the moment")
            if incident.onset is not None and at < incident.onset:
                raise Refused("it cannot have been stable before it began")
        how = sanitise_line(how, cap=500).strip()
        if not how:
            raise Refused("say what was seen, or why it is called stable")
        seen = "seen healthy" if verified else "said by a person, not seen healthy by the console"
        data: dict[str, Any] = {"how": how, "verified": verified}
        if at is not None:
            data["at"] = as_text(at)
        return await self._say(incident, Turn.STABLE, f"stable ({seen}): {how}", data)

    async def unstable(self, incident: Incident, why: str) -> Incident:
        """Say that it came back."""
        why = sanitise_line(why, cap=500).strip()
        if not why:
            raise Refused("say what is seen again")
        return await self._say(incident, Turn.UNSTABLE, f"not stable after all: {why}", {})

    async def close(self, incident: Incident, *, cause: str = "", reason: str = "") -> Incident:
        """Close it. One that is not stable is closed for a reason only (a false alarm). Raises Refused."""
        cause, reason = sanitise_line(cause, cap=1000).strip(), sanitise_line(reason, cap=500).strip()
        if incident.phase is Phase.OPEN and not reason:
            raise Refused(
                f"{incident.name} is not stable",
                means="closed and stable are apart: an outage is not ended by closing its incident",
                next='muva incident stable first, or close it with --reason "false alarm: …"',
            )
        text = "closed" + (f"; cause: {cause}" if cause else "") + _because(reason)
        return await self._say(incident, Turn.CLOSED, text, {"cause": cause, "reason": reason})

    async def _sensed(self, environment: str) -> Sensed | None:
        from muva_console.ops.incidents.verdicts import sense_onset

        return await sense_onset(self._journal, environment)

    async def _say(self, incident: Incident, turn: Turn, text: str, data: dict[str, Any]) -> Incident:
        one, seen = incident, incident.last
        while True:
            if turn not in ALLOWED[one.phase]:
                raise Refused(_not_now(one, turn))
            draft = Draft(
                kind=Kind.INCIDENT,
                subject=act_of(one.environment),
                text=text,
                environment=one.environment,
                data={**data, "turn": turn.value},
                act=act_of(one.environment),
                ref=one.id,
            )
            written = await self._journal.append_next(draft, seen=seen)
            if written.entry is not None:
                return _after(one, written.entry)
            # what was said of later incidents of the environment is none of this one's
            own = [entry for entry in written.newer if entry.ref == one.id]
            for entry in own:
                if _same_thing(turn, data, entry):
                    raise Refused(
                        f"{entry.engineer} said meanwhile: {sanitise_line(entry.text, cap=300)}",
                        means="nothing was written in your name",
                        next="muva incident show tells how it stands.",
                    )
            one, seen = fold(own, [one])[0], written.newer[-1].id

    @staticmethod
    def _of(environment: str) -> Filter:
        return Filter(act=act_of(environment), kinds=KINDS, limit=None)


def _same_thing(turn: Turn, data: dict[str, Any], entry: Entry) -> bool:
    told = entry.data.get("turn")
    if turn in _PHASES:
        return told in _PHASES
    return told == turn.value and data.get("role") == entry.data.get("role")


def _after(incident: Incident, entry: Entry) -> Incident:
    return fold([entry], [incident])[0]


def _open_already(one: Incident) -> Refused:
    return Refused(
        f"{one.name} is open there already: {one.title}, opened {one.opened_at:%H:%M} UTC by {one.opened_by}",
        next="Add to it with muva incident note, or close it first.",
    )


def _not_now(one: Incident, turn: Turn) -> str:
    if one.phase is Phase.CLOSED:
        return f"{one.name} is closed, by {one.closed_by}"
    if turn is Turn.STABLE:
        return f"{one.name} is stable already, said by {one.stable_by}"
    return f"{one.name} is {one.phase.value}, so it cannot be called {turn.value}"


def _name(name: str) -> str:
    name = sanitise_line(name, cap=80).strip()
    if not name:
        raise Refused("a role is given to somebody, by name")
    return name


def _because(why: str) -> str:
    why = sanitise_line(why, cap=500).strip()
    return f" ({why})" if why else ""


def _not_ahead(at: datetime, what: str) -> None:
    if at > utc_now() + _AHEAD:
        raise Refused(f"{what} lies in the future: {at:%Y-%m-%d %H:%M:%S} UTC")
