"""What the team was told already: the journal's acts of telling, so that nobody is told the same twice."""

from __future__ import annotations

from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.journal import Filter, Journal, Kind, Outcome
from muva_console.ops.notices import NAME as NOTIFY
from muva_console.ops.release.records import KIND
from muva_console.ops.release.served import same

MESSAGE, COMMIT = "message", "commit"
"""Keys of what the end of such an act keeps."""


async def refuse_told(journal: Journal, environment: str, message: str, commit: str) -> None:
    """Raises AlreadyError where the message about a commit was posted since the newest deployment that is
    recorded of the environment: another deployment of the same commit is told again. JournalError.
    """
    if not commit:
        return
    entries = await journal.read(
        Filter(environment=environment, kinds=(KIND, Kind.ACT_ENDED), limit=None, text=commit)
    )
    for entry in reversed(entries):
        if entry.kind == KIND:
            return
        data = entry.data
        if not entry.subject.startswith(f"{NOTIFY} ") or data.get("outcome") != Outcome.DONE.value:
            continue
        if data.get(MESSAGE) == message and same(str(data.get(COMMIT, "")), commit):
            at = f"{entry.at:%Y-%m-%d %H:%M}Z"
            raise AlreadyError(
                f"the team was told at {at}, by {entry.engineer}",
                next="To say it once more, copy the message and post it by hand.",
            )
