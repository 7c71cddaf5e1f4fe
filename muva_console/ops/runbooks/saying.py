"""What a person may say of an item: a reason where one is needed, and no tick where a machine can tell."""

from __future__ import annotations

from muva_console.ops.errors import OpsError
from muva_console.ops.runbooks.model import Step, StepKind
from muva_console.ops.runbooks.run import NEEDS_REASON, Item, Word
from muva_console.ops.runbooks.standing import RunView, State


def words_for(step: Step) -> tuple[Word, ...]:
    """What can ever be said of a step, apart from withdrawing it."""
    if step.kind is StepKind.TEXT:
        return ()
    asked = (Word.YES, Word.NO) if step.attest or not step.sensed else ()
    return (*asked, Word.OVERRIDDEN, Word.NOT_APPLICABLE, Word.HANDED)


def may_say(view: RunView, item: Item, word: Word, *, note: str = "", to: str = "") -> None:
    """Returns when it may be said. Raises OpsError with the reason why not."""
    step = item.step
    if view.run.ended_at is not None:
        raise OpsError("this run was ended", next="begin another one")
    if step.kind is StepKind.TEXT:
        raise OpsError(f"“{step.title}” is to be read; nothing is asked")
    if word in NEEDS_REASON and not note:
        raise OpsError(f"{word.value} needs a reason", next="it stays in sight beside the verdict")
    if word is Word.HANDED and not to:
        raise OpsError("to whom is it handed?", next="give a name")
    if word is Word.WITHDRAWN and item.answer is None:
        raise OpsError("nothing was said of it that could be withdrawn")
    if word is Word.WITHDRAWN or word in words_for(step):
        stands = view.item(step.id)
        early = stands is not None and stands.state in (State.NOT_ASKED, State.ASKING, State.WAITING)
        if step.sensed and early and word in (Word.YES, Word.NO):
            raise OpsError("it is not asked yet; a person answers what a machine cannot tell")
        if word is Word.YES and stands is not None and stands.state is State.PENDING:
            raise OpsError(
                f"“{step.title}” is not ticked: it has not happened yet",
                next="do it from here, or sense it again once it is done",
            )
        if word is Word.YES and stands is not None and stands.found_red:
            raise OpsError(
                f"“{step.title}” is not ticked: a machine found it red",
                next="sense it again, or override it with a reason",
            )
        return
    raise OpsError(
        f"“{step.title}” is sensed, not ticked",
        next="sense it again, or override it with a reason",
    )
