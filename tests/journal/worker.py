"""A console of its own: ``python -m tests.journal.worker MODE FOLDER [ARGUMENT]``.

Every line on standard output tells of something that the journal has promised.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from muva_console.ops.identity import Engineer
from muva_console.ops.journal import Draft, Filter, Journal, JournalError, Kind, Outcome, new_act


def say(*words: object) -> None:
    sys.stdout.write(f"{' '.join(map(str, words))}\n")
    sys.stdout.flush()


def act_draft(act: str, **data: object) -> Draft:
    return Draft(
        kind=Kind.ACT_BEGUN,
        subject="process-restart muva-production on vps",
        text="Restart muva-production",
        environment="production",
        data={"plan": {"target": "muva-production on vps"}, **data},
        act=act,
    )


async def append_for_ever(journal: Journal, name: str) -> None:
    """Appends until it is killed (or so many times); tells each entry once append has returned."""
    rounds = 0
    while True:
        rounds += 1
        if rounds % 5 == 0:
            act = new_act()
            begun = await journal.begin_act(act_draft(act), target="muva-production on vps")
            say("wrote", begun.entry.id, begun.entry.hash)
            ended = await journal.end_act(act_draft(act, outcome=Outcome.DONE.value))
            assert ended.entry is not None
            say("wrote", ended.entry.id, ended.entry.hash)
        else:
            entry = await journal.note(f"{name} {rounds}", environment="production")
            say("wrote", entry.id, entry.hash)


async def append_some(journal: Journal, name: str, count: int) -> None:
    for number in range(count):
        entry = await journal.note(f"{name} {number}")
        say("wrote", entry.id, entry.hash)


async def hang_in_act(journal: Journal) -> None:
    """Begins an act and never ends it."""
    begun = await journal.begin_act(act_draft(new_act()), target="muva-production on vps")
    say("begun", begun.entry.id, len(begun.others))
    await asyncio.Event().wait()


async def outgrow(journal: Journal, limit: int) -> None:
    """Appends until no file may grow further; ends an act that was begun while there was room."""
    act = new_act()
    await journal.begin_act(act_draft(act), target="muva-production on vps")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    written = refused = 0
    while refused < 5:  # the first refusal folds the -wal into the database, which makes room once more
        try:
            await journal.note("x" * 2000)
            written, refused = written + 1, 0
        except JournalError as error:
            refused, problem = refused + 1, error.problem.value
    say("refused", written, problem)
    ended = await journal.end_act(act_draft(act, outcome=Outcome.FAILED.value, last_output=["y" * 3000]))
    say("ended", ended.entry is None, type(ended.error).__name__)
    say("entries", len(await journal.read(Filter(limit=None))))


async def main(mode: str, folder: Path, argument: str) -> None:
    engineer = Engineer(name=f"worker {argument}", host="jump-1", origin="test", account="worker")
    journal = Journal(folder, engineer, redact=str, shared=True)
    match mode:
        case "for-ever":
            await append_for_ever(journal, argument)
        case "some":
            await append_some(journal, argument, 25)
        case "act":
            await hang_in_act(journal)
        case "outgrow":
            await outgrow(journal, int(argument))
    await journal.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
