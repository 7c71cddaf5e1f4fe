"""Rules of what a transaction holds together: locks kept, several tables locked, what must run alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from muva_console.ops.migrations.deeds import Deed, Do, Stated
from muva_console.ops.migrations.locks import Mode, Taken, taken
from muva_console.ops.migrations.rules import READS_AND_WRITES, Found, Scene, sql
from muva_console.ops.migrations.weigh import Weight

_TIMEOUTS = ("lock_timeout", "statement_timeout")
_OFF = re.compile(r"0+\s*(ms|s|min|h|d|us)?|")
_LONG = frozenset([Do.UPDATE, Do.DELETE, Do.MERGE, Do.READ, Do.COPY, Do.INDEX, Do.REFRESH, Do.VALIDATE])
_WATCHED = frozenset(
    [Do.BEGIN, Do.END, Do.SET, Do.TRIGGERS_OFF, Do.LOCK, Do.VALIDATE, Do.ENUM_ADD, Do.OPAQUE]
)
_TOLD_ANYWAY = frozenset([Do.DROP, Do.TRUNCATE, Do.RENAME])
"""What is told by itself, so that another lock of its kind is no further news."""


@dataclass(slots=True)
class Flow:
    """What a file's transaction holds so far."""

    exclusive: dict[str, int] = field(default_factory=dict)
    """Tables that were there before and are locked ACCESS EXCLUSIVE, and the line where."""
    quiet: set[str] = field(default_factory=set)
    """Those whose lock is told by itself already."""
    begun: int = 0
    """The line of a BEGIN without its end."""
    together: bool = False
    """That several tables are locked is told."""
    held_told: bool = False
    alone: bool = False
    """Something of the file cannot run in a transaction, so that none holds it together."""
    own_told: bool = False

    def concerns(self, stated: Stated, locks: tuple[Taken, ...]) -> bool:
        """Whether `step` may have anything to tell, or to remember."""
        if stated.alone or (locks and not self.alone) or self.exclusive:
            return True
        return any(deed.do in _WATCHED for deed in stated.deeds)

    def step(self, scene: Scene, locks: tuple[Taken, ...]) -> Iterator[Found]:
        """What the next statement adds; `locks` are those it takes on what was there before."""
        stated = scene.stated
        if not self.alone:
            yield from self._held(stated, scene)
            yield from self._together(stated, locks)
        elif stated.alone:
            yield from _alone(scene)
        for deed in stated.deeds:
            if deed.do in _WATCHED:
                yield from self._deed(deed, scene)

    def end(self) -> Iterator[tuple[int, Found]]:
        """What is left at the end of the file, with its line."""
        if self.begun:
            yield (
                self.begun,
                Found(
                    "transaction-left-open",
                    "a transaction is begun and never ended: nothing of it may be kept",
                    Weight.CERTAIN,
                    (),
                    "Leave BEGIN out: a file is applied in a transaction of its own.",
                ),
            )

    def _held(self, stated: Stated, scene: Scene) -> Iterator[Found]:
        if not self.exclusive or self.held_told:
            return
        long = next((one for one in stated.deeds if _is_long(one, scene)), None)
        if long is None:
            return
        self.held_told = True
        held, line = next(iter(self.exclusive.items()))
        more = f" and {len(self.exclusive) - 1} more" if len(self.exclusive) > 1 else ""
        whole = long.do in (Do.INDEX, Do.REFRESH, Do.VALIDATE) or bool({"all", "nulls"} & set(long.marks))
        whole = whole or (long.do is Do.READ and stated.kind.startswith(("INSERT", "CREATE")))
        yield Found(
            "held-lock",
            f"{sql(held)}{more} is locked since line {line}, and stays so until this is done with "
            f"{sql(long.on)}",
            Weight.TIME if whole else Weight.MOMENT,
            (long.on,),
            f"-- this statement in a file of its own, after (or before) the one that locks {sql(held)}",
            long.at,
            f"{READS_AND_WRITES} of {sql(held)}",
        )

    def _together(self, stated: Stated, locks: tuple[Taken, ...]) -> Iterator[Found]:
        told = all(one.do in _TOLD_ANYWAY for one in stated.deeds)
        others = [name for name in self.exclusive if name not in self.quiet]
        for one in locks:
            if one.mode is not Mode.ACCESS_EXCLUSIVE or not one.on or one.on in self.exclusive:
                continue
            self.exclusive[one.on] = stated.line
            if told:
                self.quiet.add(one.on)
            elif others and not self.together:
                self.together = True
                yield Found(
                    "exclusive-together",
                    f"{sql(one.on)} is locked while {', '.join(map(sql, others[:3]))} already is: whoever "
                    "takes "
                    "them in another order ends in a deadlock, and both stay locked until the end",
                    Weight.MOMENT,
                    (one.on, *others),
                    f"-- a file for {sql(one.on)} of its own",
                    0,
                    f"{READS_AND_WRITES} of all of them",
                )

    def _deed(self, deed: Deed, scene: Scene) -> Iterator[Found]:
        match deed.do:
            case Do.BEGIN:
                self.begun = scene.stated.line
            case Do.END:
                self.begun = 0
                self.exclusive.clear()
                self.quiet.clear()
                if not self.own_told:
                    self.own_told = True
                    yield Found(
                        "own-transaction",
                        f"{deed.type} ends the transaction in which the file is applied: what comes before "
                        "it is "
                        "kept even if the rest fails, and is not in the history then",
                        Weight.CARE,
                        (),
                        "Leave BEGIN and COMMIT out: a file is applied in a transaction of its own.",
                    )
            case Do.SET if deed.name in _TIMEOUTS and _OFF.fullmatch(deed.to.strip()):
                yield Found(
                    "no-timeout",
                    f"{deed.name} is switched off: what waits for a lock holds up everybody behind it, for "
                    "ever",
                    Weight.CARE,
                    (),
                    "SET LOCAL lock_timeout = '2s';  -- or leave it to the console, which sets one and "
                    "tries again",
                )
            case Do.SET if deed.name == "session_replication_role" and deed.to.lower() != "origin":
                yield Found(
                    "replica-role",
                    "triggers and foreign keys are off for what follows: rows may come that refer to nothing",
                    Weight.CERTAIN,
                    (),
                    "Leave it as it is; order the statements so that the keys hold.",
                )
            case Do.TRIGGERS_OFF if not scene.is_new(deed.on):
                back = any(one.do is Do.TRIGGERS_ON and one.on == deed.on for one in scene.later())
                yield Found(
                    "triggers-off",
                    f"{'triggers' if deed.name == 'ALL' else deed.name} of {sql(deed.on)} off"
                    f"{' until they are on again below' if back else ', and stay off after this file'}: "
                    "what they hold is not held",
                    Weight.CARE if back else Weight.CERTAIN,
                    (deed.on,),
                    "-- a condition in the trigger's function, or rows that it lets through",
                    deed.at,
                )
            case Do.LOCK if not scene.is_new(deed.on) and Mode(deed.type) not in (
                Mode.ACCESS_SHARE,
                Mode.ROW_SHARE,
                Mode.ROW_EXCLUSIVE,
            ):
                yield Found(
                    "lock-table",
                    f"{sql(deed.on)} is locked ({deed.type}) until the end of the transaction",
                    Weight.CARE,
                    (deed.on,),
                    "-- leave it out: each statement takes the lock it needs; or as late as can be",
                    deed.at,
                    next(taken(deed, scene.known, scene.file)).blocks,
                )
            case Do.VALIDATE:
                yield from _validate(deed, scene)
            case Do.ENUM_ADD if deed.name in scene.read.enums_used and not scene.is_new(deed.on):
                yield Found(
                    "enum-value-used",
                    f"'{deed.name}' is used below: it cannot be, in the transaction that adds it",
                    Weight.CERTAIN,
                    (),
                    "-- ADD VALUE in a file of its own, and its use in the next",
                    deed.at,
                )
            case Do.OPAQUE if not scene.stated.known:
                yield Found(
                    "not-looked-into", "too long or too deep to be looked into", Weight.UNSEEN, (), ""
                )
            case Do.OPAQUE:
                yield Found(
                    "code-unseen",
                    f"{deed.type} runs code that cannot be looked into: what it locks and changes is not "
                    "known",
                    Weight.CARE,
                    (),
                    "Read it, and write plain statements where they do.",
                    deed.at,
                )
            case _:
                return


def _is_long(deed: Deed, scene: Scene) -> bool:
    if deed.do not in _LONG or not deed.on or scene.is_new(deed.on):
        return False
    if deed.do is Do.INDEX:
        return "only" not in deed.marks
    if deed.do is Do.READ:
        # a look at one row is none; what INSERT … SELECT and CREATE TABLE AS read is all of it
        return "all" in deed.marks or scene.stated.kind.startswith(("INSERT", "CREATE"))
    if deed.do is Do.VALIDATE:
        return scene.known.table(deed.on).unvalidated.get(deed.name) != scene.file
    return True


def _validate(deed: Deed, scene: Scene) -> Iterator[Found]:
    if scene.is_new(deed.on) or scene.known.table(deed.on).unvalidated.get(deed.name) != scene.file:
        return
    table = sql(deed.on)
    yield Found(
        "validate-together",
        f"{deed.name} was added in this transaction, whose lock on {table} is kept while every row is "
        "looked at",
        Weight.TIME,
        (deed.on,),
        f"-- in a file of its own, after this one: ALTER TABLE {table} VALIDATE CONSTRAINT {deed.name};",
        deed.at,
        READS_AND_WRITES,
    )


def _alone(scene: Scene) -> Iterator[Found]:
    others = [
        one
        for number, one in enumerate(scene.read.statements)
        if number != scene.number and not all(deed.do is Do.SET for deed in one.deeds)
    ]
    if not others:
        return
    mixed = any(not one.alone for one in others)
    what = "with others in one file it " + (
        "fails, or leaves the file half applied" if mixed else "may leave the file half applied"
    )
    yield Found(
        "alone-with-others",
        f"{scene.stated.kind} cannot run in a transaction; {what}",
        Weight.CERTAIN if mixed else Weight.CARE,
        (),
        "-- in a file of its own",
    )
