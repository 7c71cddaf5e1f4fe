"""From a key on an item to what is written down: answers, acts, the end, the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from textual.content import Content

from muva_console.ops.errors import OpsError
from muva_console.ops.readings import Verdict
from muva_console.ops.runbooks.export import as_data, as_markdown
from muva_console.ops.runbooks.model import StepKind
from muva_console.ops.runbooks.run import Word
from muva_console.ops.runbooks.standing import ItemView, RunView
from muva_console.screens.answering import Asking, ByHand, Reply, Saying
from muva_console.screens.checklist_text import counts, item_lines, verdict_mark
from muva_console.screens.frame import CopyItem
from muva_console.widgets.level import muted, strong

if TYPE_CHECKING:
    from muva_console.app import MuvaApp
    from muva_console.screens.hand import Hand


async def say(app: MuvaApp, hand: Hand, item: ItemView, words: Sequence[Word]) -> None:
    """Ask what is said of an item and write it down; what is refused for want of something is asked again."""
    reply: Reply | None = None
    mistake: Sequence[str] = ()
    while True:
        reply = await app.push_screen_wait(Saying(item, words, reply=reply, mistake=mistake))
        if reply is None:
            return
        refused = await _write(app, hand, item, reply)
        if refused is None:
            return
        mistake = refused.lines()


async def _write(app: MuvaApp, hand: Hand, item: ItemView, reply: Reply) -> OpsError | None:
    """Write an answer; returns why it was refused when asking again may help."""
    from muva_console.ops.walking.walk import OvertakenError

    try:
        await hand.answer(item, reply.word, note=reply.note, to=reply.to)
    except OvertakenError as error:
        app.tell("\n".join(error.lines()), title="Somebody was first", severity="warning", timeout=15)
    except OpsError as error:
        return error
    return None


async def perform(app: MuvaApp, hand: Hand, item: ItemView) -> None:
    """Plan an item's operation, show it, ask, perform it. What a check knows is then sensed again; else the
    item is answered with what happened.
    """
    from muva_console.screens.acting import act

    walk = hand.opened
    try:
        operation = await app.ask_ops(lambda: walk.operation(item.id))
        done = await act(app, operation)
    except OpsError as error:  # it cannot be made, or not be planned: nothing has happened
        if item.step.sensed:
            app.tell("\n".join(error.lines()), title=item.step.title, severity="warning", timeout=15)
            hand.acted(item.id)
        else:
            await _by_hand(app, hand, item, error)
        return
    if item.step.sensed:
        hand.acted(item.id)
    elif done is not None:
        await _attest(app, hand, item, done.text)


async def _by_hand(app: MuvaApp, hand: Hand, item: ItemView, error: OpsError) -> None:
    try:
        text = await hand.message(item)
    except OpsError as no_text:
        lines = [*error.lines(), *no_text.lines()]
        app.tell("\n".join(dict.fromkeys(lines)), title=item.step.title, severity="warning", timeout=15)
        return
    if await app.push_screen_wait(ByHand(item.step.title, text, error.lines())):
        await _attest(app, hand, item, "sent by hand")


async def _attest(app: MuvaApp, hand: Hand, item: ItemView, note: str) -> None:
    refused = await _write(app, hand, item, Reply(Word.YES, note))
    if refused is not None:
        text = "\n".join((f"It was done ({note}), and is not written down:", *refused.lines()))
        app.tell(text, title=item.step.title, severity="error", timeout=20)


async def end(app: MuvaApp, hand: Hand) -> None:
    """Ask whether the run shall end with the verdict it has, and end it."""
    view = hand.view
    if view is None:
        return
    lines = [
        Content.assemble(
            "It ends with ", verdict_mark(view.verdict), muted("   "), muted(" · ").join(counts(view))
        ),
        muted("Nothing can be answered after that. It stays in the journal, and can be written to a file."),
    ]
    if view.verdict is not Verdict.GO:
        lines += [Content(""), muted("between here and GO"), *(Content(f"  {line}") for line in view.between)]
    answer = await app.push_screen_wait(
        Asking(f"End “{view.run.runbook.title}”?", lines, [("end", f"End with {view.verdict.value}")])
    )
    if answer != "end":
        return
    try:
        await hand.end()
    except OpsError as error:
        app.tell("\n".join(error.lines()), title="Not ended", severity="warning", timeout=12)


async def export(app: MuvaApp, hand: Hand, view: RunView) -> None:
    """Write the run as Markdown and JSON into the state folder, and say where; the paths can be copied."""
    import asyncio

    from muva_console.clipboard import save, state_folder

    run = view.run
    of = run.runbook.id if run.runbook.id.endswith(run.environment) else f"{run.runbook.id}-{run.environment}"
    name = f"{of}-{run.id[:8]}-{view.at:%Y%m%dT%H%M%SZ}"
    folder = state_folder() / "checklists"
    markdown, data = as_markdown(view), json_text(view)

    def write() -> list[str]:
        return [
            str(save(text, folder=folder, name=f"{name}.{ending}"))
            for text, ending in ((markdown, "md"), (data, "json"))
        ]

    try:
        hand.written = await asyncio.to_thread(write)
    except FileExistsError:
        app.tell(f"It stands in {folder} already, as of this second.", title="Written")
        return
    except OSError as error:
        app.tell(f"{folder}: {error.strerror or error}", title="Not written", severity="error", timeout=12)
        return
    text = "\n".join((f"{folder}/", f"{name}.md", f"{name}.json", "Y copies the path."))
    app.tell(text, title="Written as Markdown and JSON", timeout=20)


def copies(hand: Hand, view: RunView, item: ItemView | None, message: Sequence[str]) -> list[CopyItem]:
    """What can be copied of a run and of the item under the cursor, what is likeliest first."""
    found: list[CopyItem] = []
    if item is not None:
        if item.step.kind is StepKind.OPERATION:
            found.append(CopyItem("the message", "\n".join(message)))
        found.append(CopyItem("the command", item.command))
        evidence = [line for one in item.findings for line in one.evidence]
        found.append(CopyItem("the evidence", "\n".join(evidence)))
        lines = [line.plain.rstrip() for line in item_lines(view, item, 100, message=message, whole=True)]
        found.append(CopyItem("the item", "\n".join((item.step.title, *lines))))
    found += [CopyItem("the path of what was written", path) for path in hand.written]
    found.append(CopyItem("the run as Markdown", as_markdown(view)))
    found.append(CopyItem("the run as JSON", json_text(view)))
    found.append(CopyItem("the command of the run", f"muva checklist --run {view.run.id[:12]}"))
    return found


def json_text(view: RunView) -> str:
    """The run as JSON, as `muva checklist --run ID --json` prints it."""
    return msgspec.json.format(msgspec.json.encode(as_data(view)), indent=2).decode()


async def go_on_or_anew(app: MuvaApp, title: str, open_since: str, by: str, run_id: str) -> str | None:
    """Offer the run that is open: ``go-on``, ``anew``, or None."""
    lines = [
        Content.assemble("A run of ", strong(title), f" is open: begun by {by} {open_since}."),
        muted(f"run {run_id[:8]}. Going on with it keeps what was found and said."),
    ]
    return await app.push_screen_wait(
        Asking("One is open", lines, [("go-on", "Go on with it"), ("anew", "Begin another")], focus="go-on")
    )
