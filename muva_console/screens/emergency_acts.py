"""From a key on the Emergency screen to what is done: the runbook, a note, an incident by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muva_console.ops.errors import OpsError
from muva_console.screens.reason import Reason

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.ops.diagnosis.model import Diagnosis
    from muva_console.ops.incidents.model import Incident
    from muva_console.ops.runbooks.model import Runbook
    from muva_console.ops.runbooks.run import Run


async def lead(app: MuvaApp, environment: str, book: Runbook, run: Run | None) -> None:
    """Where runbooks are walked: go on with an open run, or begin one. Each act is asked for there."""
    from muva_console.screens.checklist import Checklist

    await app.switch_mode("checklist")
    screen = app.mode_screen
    if isinstance(screen, Checklist) and environment == app.environment:
        if run is not None:
            screen.go_on(run)
        else:
            screen.begin(book)


async def note(app: MuvaApp, incident: Incident) -> None:
    """A note into an incident's time line. Whatever fails is told."""
    from muva_console.ops.incidents.desk import Desk

    lines = [f"{incident.name}: {incident.title}"]
    text = await app.push_screen_wait(Reason("Note", lines, field="note", answer="Write it down"))
    if text is None:
        return
    journal = app.workspace.journal
    try:
        await app.ask_ops(lambda: Desk(journal).note(incident, text))
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not noted", severity="warning", timeout=15)
    else:
        app.tell(text, title="Noted")


async def open_incident(app: MuvaApp, environment: str, diagnosis: Diagnosis | None) -> None:
    """Open an incident by hand. Whatever fails is told."""
    from muva_console.ops.incidents.desk import Desk
    from muva_console.ops.incidents.model import Severity
    from muva_console.ops.incidents.verdicts import severity_of

    lines = [f"An incident of {environment}: what guests see, in a few words."]
    title = await app.push_screen_wait(Reason("Open an incident", lines, field="title", answer="Open it"))
    if title is None:
        return
    journal = app.workspace.journal
    severity = severity_of(diagnosis) if diagnosis is not None else Severity.HIGH
    verdict = diagnosis.scenarios[0].id if diagnosis is not None and diagnosis.scenarios else ""
    try:
        opened = await app.ask_ops(lambda: Desk(journal).open(environment, title, severity, verdict=verdict))
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not opened", severity="warning", timeout=15)
    else:
        app.tell(f"{opened.title} ({opened.severity.value})", title=f"{opened.name} opened")
