"""The post-mortem of an incident as Markdown: what the journal knows is filled in, what it does not is named.

A blank is never passed over in silence: it stands where it belongs, in words that say what is to be written,
and all of them once more at the end. Source of the sections: Google SRE, "Postmortem Culture".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from muva_console.ops.incidents.messages import recovery_of
from muva_console.ops.incidents.model import Incident, Phase, Role, Said, Turn
from muva_console.ops.incidents.timeline import Moment
from muva_console.ops.markdown import as_text
from muva_console.ops.process_findings import spell


class Postmortem(Struct, frozen=True, kw_only=True):
    """The document, and what is still to be written in it."""

    text: str
    blanks: tuple[str, ...]


def write(incident: Incident, moments: Sequence[Moment], *, at: datetime) -> Postmortem:
    """The post-mortem as far as the journal knows it."""
    return _Writer(incident, moments).write(at)


class _Writer:
    def __init__(self, incident: Incident, moments: Sequence[Moment]) -> None:
        self._one, self._moments = incident, moments
        self._blanks: list[str] = []

    def write(self, at: datetime) -> Postmortem:
        one = self._one
        lines = [
            f"# Post-mortem: {as_text(one.title)}",
            "",
            f"Incident {one.id} on {as_text(one.environment)}, {one.severity.value}. Written from the "
            f"journal at {_when(at)}; every line has its entry there.",
            "",
            *self._section("Summary", [self._blank("summary", "what guests saw, in two sentences")]),
            *self._section("Impact", [self._blank("impact", "who could not do what, and how many")]),
            *self._section("Durations", self._durations()),
            *self._section("People", self._people()),
            *self._section("What changed before it began", self._changes()),
            *self._section("Time line", self._timeline()),
            *self._section("Evidence", self._evidence()),
            *self._section("Acts", self._acts()),
            *self._section("Cause", self._cause()),
            *self._section(
                "What went well, what did not",
                [self._blank("lessons", "what helped, what cost time, where we were lucky")],
            ),
            *self._section(
                "What follows from it",
                [
                    self._blank(
                        "follow-ups", "each with a person and a day; one that would have seen it earlier"
                    )
                ],
            ),
        ]
        lines += ["## Still to be written", ""]
        lines += [f"- {blank}" for blank in self._blanks] or ["Nothing."]
        return Postmortem(text="\n".join(lines) + "\n", blanks=tuple(self._blanks))

    def _section(self, title: str, lines: Iterable[str]) -> list[str]:
        return [f"## {title}", "", *lines, ""]

    def _blank(self, name: str, what: str) -> str:
        self._blanks.append(f"{name}: {what}")
        return f"_(to be written: {what})_"

    def _durations(self) -> list[str]:
        one = self._one
        if one.onset is None:
            onset = self._blank("onset", "when it began: from the logs, or from the first guest who told")
            detect = "not known, for the onset is not"
        else:
            onset = f"{_when(one.onset)} ({as_text(one.onset_source)})"
            detect = spell(one.detection or 0.0)
        how = "automatically, with the first red verdict" if one.automatic else "by hand"
        rows = [
            ("Onset", onset),
            ("Opened", f"{_when(one.opened_at)} by {as_text(one.opened_by)}, {how}"),
            ("First act", self._first_act()),
            ("Stable", self._stable()),
            (
                "Closed",
                f"{_when(one.closed_at)} by {as_text(one.closed_by)}" if one.closed_at else "still open",
            ),
            ("Onset to opening", detect),
            ("Onset to stable (recovery)", recovery_of(one)),
        ]
        if one.stable_at and one.closed_at:
            rows.append(("Stable to closed", spell((one.closed_at - one.stable_at).total_seconds())))
        back = sum(said.turn == Turn.UNSTABLE.value for said in one.said)
        if back:
            rows.append(("Came back", f"{back} ×, after it had been called stable"))
        return ["| what | when, or how long |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]

    def _stable(self) -> str:
        one = self._one
        if one.stable_at is None:
            if one.phase is Phase.CLOSED:
                return self._blank(
                    "stable", "when it no longer hurt: it was closed without having been stable"
                )
            return "not yet"
        seen = "seen healthy" if one.verified else "said, not seen healthy by the console"
        return f"{_when(one.stable_at)} by {as_text(one.stable_by)}, {seen}: {as_text(one.stable_how)}"

    def _first_act(self) -> str:
        acts = [one for one in self._moments if one.lane == "act" and not one.before]
        if not acts:
            return "none is in the journal"
        return f"{_when(acts[0].at)}: {as_text(acts[0].text)}"

    def _people(self) -> list[str]:
        lines = []
        for role in Role:
            name = self._one.roles.get(role.value)
            handed = [one for one in self._one.said if one.role == role.value]
            told = as_text(name) if name else "nobody took it"
            lines.append(f"- {role.value.capitalize()}: {told}{_handed(handed)}")
        acted = dict.fromkeys(
            one.by for one in self._moments if one.lane in ("act", "lock") and not one.before
        )
        lines.append(f"- Acted: {', '.join(as_text(name) for name in acted) or 'nobody, by the journal'}")
        said = dict.fromkeys(one.by for one in self._one.said)
        lines.append(f"- Said something: {', '.join(as_text(name) for name in said)}")
        return lines

    def _changes(self) -> list[str]:
        lanes = ("act", "deployment", "lock", "run")
        changes = [one for one in self._moments if one.before and one.lane in lanes]
        if not changes:
            return [
                "Nothing that the journal knows of in the hour before. What was done by hand is not in it."
            ]
        return [_line(one) for one in changes]

    def _timeline(self) -> list[str]:
        return [_line(one) for one in self._moments if not one.before]

    def _evidence(self) -> list[str]:
        lines: list[str] = []
        for one in self._moments:
            if one.lane in ("verdict", "run") and one.detail:
                lines.append(f"- {_when(one.at)} {as_text(one.text)} (entry {one.entry})")
                lines += [f"  - {as_text(fact)}" for fact in one.detail]
        return lines or [self._blank("evidence", "what was seen: no verdict of its time is in the journal")]

    def _acts(self) -> list[str]:
        acts = [one for one in self._moments if one.lane in ("act", "lock", "notice") and not one.before]
        if not acts:
            return ["None, by the journal. What was done by hand is not in it."]
        rows = ["| when | who | what | took | ended |", "|---|---|---|---|---|"]
        for one in acts:
            took = "not known" if one.took is None else spell(one.took)
            rows.append(
                f"| {_when(one.at)} | {as_text(one.by)} | {as_text(one.text)} | {took} "
                f"| {as_text(one.outcome)} |"
            )
        return rows

    def _cause(self) -> list[str]:
        one = self._one
        lines = []
        verdicts = dict.fromkeys(m.text for m in self._moments if m.lane == "verdict" and not m.before)
        if verdicts:
            lines.append("The verdicts, in their order: " + "; ".join(as_text(text) for text in verdicts))
            lines.append("")
        if one.cause:
            lines.append(f"Said when it was closed: {as_text(one.cause)}")
        else:
            lines.append(self._blank("cause", "why it happened, and why it could: a verdict is not a cause"))
        return lines


def _handed(handed: Sequence[Said]) -> str:
    return (
        "" if not handed else " (" + "; ".join(f"{one.at:%H:%M} {as_text(one.text)}" for one in handed) + ")"
    )


def _line(one: Moment) -> str:
    return f"- {_when(one.at)} **{one.lane}** {as_text(one.text)} ({as_text(one.by)}, entry {one.entry})"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
