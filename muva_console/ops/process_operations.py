"""What may be done to a process of PM2: restart, reload, stop, start, and its memory limit.

By the daemon's own socket where that can be reached, else by `pm2` on the host; the plan says which. What
was asked is never taken for what happened: the process is read before, and watched afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from enum import StrEnum

from muva_console.config.units import parse_size
from muva_console.ops.errors import Fault, LinkError, OpsError
from muva_console.ops.operations import Event, EventKind, Plan, PlannedCommand, Tier
from muva_console.ops.pm2 import client
from muva_console.ops.pm2.client import Call, RpcError
from muva_console.ops.pm2.model import Process, ProcessList
from muva_console.ops.pm2.spoken import pm2_line
from muva_console.ops.process_findings import spell_size
from muva_console.ops.process_watch import Failed, HealthCheck, Tell, Watch, relay
from muva_console.ops.processes import Pm2Down, ProcessReader
from muva_console.ops.readings import utc_now
from muva_console.ops.text import sanitise_line

STABLE_FOR = 8.0
"""Seconds that a started process must stay up. Ours: the playbook's crash loops die within two."""
ACT_TIMEOUT = 60.0
"""Seconds for PM2's answer to an act: kill_timeout and listen_timeout of the application are within."""
LISTEN_TIMEOUT = 2.0
"""Seconds that the act waits for the bus, which only lets the engineer watch."""

SMALLEST_LIMIT = 32 * 1024 * 1024
"""Bytes. Ours: Node alone takes 40 MB; a limit below restarts any application on every check."""
LARGEST_LIMIT = 1024**4

_DOWN = frozenset({"stopped", "errored", "one-launch-status"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.:@+-]*")
_CONFIG_FILE = re.compile(r"\.(?:json5?|ya?ml|config\.(?:js|cjs|mjs)|js|cjs|mjs|ts)$")


class Action(StrEnum):
    """What is done; the value is the operation's stable name."""

    RESTART = "process-restart"
    RELOAD = "process-reload"
    STOP = "process-stop"
    START = "process-start"
    MEMORY_LIMIT = "process-memory-limit"


_VERB = {
    Action.RESTART: "restart",
    Action.RELOAD: "reload",
    Action.STOP: "stop",
    Action.START: "start",
    Action.MEMORY_LIMIT: "restart",
}
_DONE = {
    Action.RESTART: "restarted",
    Action.RELOAD: "reloaded",
    Action.STOP: "stopped",
    Action.START: "started",
    Action.MEMORY_LIMIT: "restarted with its new limit",
}


def memory_limit(text: str) -> int:
    """Bytes of ``512M``, ``1G`` or ``1.5G``, whole mebibytes. Raises OpsError for what would do harm.

    pm2's own command line crashes on ``1.5G`` and ``1g`` and accepts 0, which restarts the application
    on every check; so what is sent is always checked here.
    """
    try:
        size = parse_size(text.strip().upper())
    except ValueError as error:
        raise OpsError(f"a memory limit is a size such as 512M or 1.5G: {error}") from None
    return checked_limit(size)


def checked_limit(size: int) -> int:
    """A limit rounded to whole mebibytes. Raises OpsError below 32M and above 1T."""
    if not SMALLEST_LIMIT <= size <= LARGEST_LIMIT:
        raise OpsError(
            f"a memory limit of {spell_size(size)} is refused",
            means=f"at least {spell_size(SMALLEST_LIMIT)}: below, PM2 restarts the process on every check",
        )
    return round(size / 1024**2) * 1024**2


class ProcessOperation:
    """One act on one process of one host, or on all instances of a name. An `Operation`."""

    def __init__(
        self,
        action: Action,
        reader: ProcessReader,
        process: str,
        *,
        environment: str,
        production: bool,
        pm_id: int | None = None,
        limit: int | None = None,
        save: bool = False,
        stable_for: float = STABLE_FOR,
        health: HealthCheck | None = None,
    ) -> None:
        """`process`: its name; `pm_id`: that instance alone. `limit`: bytes, for MEMORY_LIMIT and only there.
        `save`: run `pm2 save` afterwards. Raises OpsError for a limit that is refused.
        """
        if (limit is not None) != (action is Action.MEMORY_LIMIT):
            raise ValueError("a limit is given for a memory limit and for nothing else")
        self._action = action
        self._reader = reader
        self._name = process
        self._pm_id = pm_id
        self._environment = environment
        self._production = production
        self._limit = None if limit is None else checked_limit(limit)
        self._save = save
        self._stable_for = stable_for
        self._health = health
        self._planned: tuple[Plan, tuple[Process, ...], bool] | None = None

    @property
    def name(self) -> str:
        """Stable name, e.g. ``process-restart``."""
        return self._action.value

    async def plan(self) -> Plan:
        """Look, and say what would be done. Raises OpsError where it makes no sense or cannot be told."""
        reading = await self._reader.read()
        targets = self._targets(reading)
        self._refuse_pointless(targets)
        by_socket = await self._reader.by_socket()
        risky = self._production and self._action is not Action.START
        plan = Plan(
            operation=self.name,
            title=self._title(),
            environment=self._environment,
            target=f"{self._name} on {self._reader.host}",
            tier=Tier.TYPE_NAME if risky else Tier.CONFIRM,
            commands=self._commands(reading, targets, by_socket),
            risks=self._risks(targets),
            undo=self._undo(reading, targets),
            production=self._production,
        )
        self._planned = (plan, targets, by_socket)
        return plan

    async def perform(self, plan: Plan) -> AsyncIterator[Event]:
        """Do what was planned, watch it, and end with DONE or FAILED; raises nothing of its own."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        work = asyncio.create_task(self._work(plan, events), name=f"{self.name} {self._name}")
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    # What is planned

    def _targets(self, reading: ProcessList) -> tuple[Process, ...]:
        found = tuple(
            process
            for process in reading.processes
            if process.name == self._name and self._pm_id in {None, process.pm_id}
        )
        if not found:
            known = ", ".join(dict.fromkeys(p.name for p in reading.processes)) or "nothing"
            number = "" if self._pm_id is None else f" with the number {self._pm_id}"
            raise OpsError(
                f"there is no process {self._name}{number}",
                where=self._reader.host,
                means=f"PM2 on {self._reader.host} has {known}",
            )
        return found

    def _refuse_pointless(self, targets: tuple[Process, ...]) -> None:
        what = ""
        if self._action is Action.START and all(target.status not in _DOWN for target in targets):
            what = f"{self._name} is {targets[0].status} already"
        elif self._action is Action.STOP and all(target.status == "stopped" for target in targets):
            what = f"{self._name} is stopped already"
        elif self._action is Action.MEMORY_LIMIT and all(t.memory_limit == self._limit for t in targets):
            what = f"the memory limit of {self._name} is {spell_size(self._limit or 0)} already"
        if what:
            raise OpsError(what, where=self._reader.host)

    def _title(self) -> str:
        if self._action is Action.MEMORY_LIMIT:
            return f"Restart {self._name} with a memory limit of {spell_size(self._limit or 0)}"
        return f"{_VERB[self._action].capitalize()} {self._name}"

    def _commands(
        self, reading: ProcessList, targets: tuple[Process, ...], by_socket: bool
    ) -> tuple[PlannedCommand, ...]:
        host = self._reader.host
        planned = []
        if by_socket:
            what = ", ".join(f"{self._call(target).message().decode()}" for target in targets)
            planned.append(
                PlannedCommand(
                    host,
                    self._line(self._words(self._spoken(reading))),
                    f"sent to PM2's daemon on its own socket: {what}",
                )
            )
        else:
            planned += [
                PlannedCommand(
                    host, self._line(self._words(str(target.pm_id))), f"run on the host ({target.name})"
                )
                for target in targets
            ]
        if self._save:
            planned.append(PlannedCommand(host, self._line(["save"]), "so that it holds after a reboot"))
        return tuple(planned)

    def _words(self, target: str) -> list[str]:
        words = [_VERB[self._action], target]
        if self._limit is not None:
            words += ["--max-memory-restart", f"{self._limit // 1024**2}M"]
        return words

    def _line(self, words: list[str]) -> str:
        """As a person would type it."""
        return pm2_line(self._reader.config, *words)

    def _spoken(self, reading: ProcessList) -> str:
        """The name where pm2's command line would take it for this and nothing else; the number otherwise:
        it takes numbers for ids, ``all`` for all, a leading dash for an option, ``x.js`` for a file.
        """
        namesakes = [p for p in reading.processes if self._name in {p.name, p.namespace}]
        whole = self._pm_id is None or len(namesakes) == 1
        plain = _PLAIN.fullmatch(self._name) and self._name != "all" and not _CONFIG_FILE.search(self._name)
        if whole and plain and all(p.name == self._name for p in namesakes):
            return self._name
        return " ".join(str(target.pm_id) for target in self._targets(reading))

    def _risks(self, targets: tuple[Process, ...]) -> tuple[str, ...]:
        risks = []
        forked = all(target.exec_mode != "cluster_mode" for target in targets)
        alone = len(targets) == 1
        down = [target for target in targets if target.status in _DOWN]
        if self._action is Action.STOP:
            risks.append(f"{self._name} is down until it is started again")
        elif self._action is Action.RELOAD and not forked:
            risks.append("old and new code answer side by side while the workers are replaced")
        elif self._action is not Action.START and alone and not down:
            risks.append(
                "it is the only instance: requests fail for the seconds it takes to end and to start"
            )
        if self._action is Action.RELOAD and forked:
            risks.append("it runs in fork mode, where PM2's reload is a plain restart")
        if self._action is not Action.STOP:
            risks.append("it starts what lies on the disk now, which may be newer than what runs")
        if self._action in {Action.RESTART, Action.RELOAD}:
            risks.append("it cannot be undone: what the process held in memory is gone")
        if self._action is Action.MEMORY_LIMIT:
            if down:
                risks.append(f"it is {down[0].status}; this starts it")
            if any(target.memory >= (self._limit or 0) for target in targets):
                used = spell_size(max(target.memory for target in targets))
                risks.append(f"it uses {used} now, more than the new limit: PM2 would restart it again soon")
            if any(target.tree and target.memory > 1.2 * target.own_memory for target in targets):
                risks.append("PM2 counts the parent process alone; most of the memory is its children's")
            if targets[0].memory_limit is None:
                risks.append("it has no limit now, and PM2 knows no way back to none but delete and start")
            if not self._save:
                risks.append("it is forgotten when the host reboots, until `pm2 save` is run")
        if self._save:
            risks.append("pm2 save writes down the whole process list as it is now")
        return tuple(risks)

    def _undo(self, reading: ProcessList, targets: tuple[Process, ...]) -> str:
        spoken = self._spoken(reading)
        if self._action is Action.STOP:
            return self._line(["start", spoken])
        if self._action is Action.START:
            return self._line(["stop", spoken])
        if self._action is Action.MEMORY_LIMIT and targets[0].memory_limit is not None:
            before = f"{max(1, targets[0].memory_limit // 1024**2)}M"
            return self._line(["restart", spoken, "--max-memory-restart", before])
        return ""

    def _call(self, target: Process) -> Call:
        match self._action:
            case Action.STOP:
                return client.stop(target.pm_id)
            case Action.RELOAD:
                return client.reload(target.pm_id)
            case _:  # pm2's own `start` of a process it knows is a restart too; it resets the counters
                return client.restart(target.pm_id, memory_limit=self._limit)

    # What is done

    async def _work(self, plan: Plan, events: asyncio.Queue[Event | None]) -> None:
        def tell(kind: EventKind, text: str) -> None:
            events.put_nowait(Event(kind=kind, text=text, at=utc_now()))

        try:
            done = await self._acted_and_verified(plan, tell)
            tell(EventKind.DONE, done)
        except Failed as failure:
            tell(EventKind.FAILED, str(failure))
        except OpsError as error:
            tell(EventKind.FAILED, " ".join(f"{line.rstrip('.')}." for line in error.lines()))
        finally:
            events.put_nowait(None)

    async def _acted_and_verified(self, plan: Plan, tell: Tell) -> str:
        # the performer may have raised the tier and added risks; what would be done must be the same
        if self._planned is None or self._planned[0].commands != plan.commands:
            raise Failed("this plan is not the last one that was made here")
        _, planned, by_socket = self._planned
        self._planned = None  # a plan is performed once
        before = self._unchanged(planned, await self._reader.read(), tell)
        async with contextlib.AsyncExitStack() as stack:
            if by_socket:
                heard = stack.enter_context(
                    contextlib.closing(self._reader.bus.subscribe(process=self._name))
                )
                connected = asyncio.Event()
                listening = asyncio.create_task(relay(heard, self._pm_id, tell, connected))
                stack.callback(listening.cancel)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(connected.wait(), LISTEN_TIMEOUT)
            for target in before:
                await self._act(target, by_socket, tell)
            done = await self._verify(before, tell)
        if self._save:
            await self._saved(tell)
        return done

    def _unchanged(
        self, planned: tuple[Process, ...], reading: ProcessList, tell: Tell
    ) -> tuple[Process, ...]:
        """The targets as they are now. Raises Failed where they are not what was planned for."""
        try:
            present = self._targets(reading)
        except OpsError as error:
            raise Failed(f"it changed since: {error.what}. Plan again") from None
        if {p.pm_id for p in present} != {p.pm_id for p in planned}:
            raise Failed("it changed since: other instances than planned for. Plan again")
        by_id = {process.pm_id: process for process in present}
        for then in planned:
            now = by_id[then.pm_id]
            change = _changed(then, now)
            if change:
                raise Failed(f"it changed since: {change}. Plan again")
            if now.pid != then.pid:
                tell(EventKind.WARNING, f"{now.name} was restarted since the plan was made")
        return present

    async def _act(self, target: Process, by_socket: bool, tell: Tell) -> None:
        verb = _VERB[self._action]
        try:
            if not by_socket:
                await self._command(target, verb, tell)
                return
            call = self._call(target)
            tell(EventKind.STEP, f"{call.method} of {target.name} [{target.pm_id}], to PM2's daemon")
            await self._reader.call(call, timeout=ACT_TIMEOUT)
        except (RpcError, Pm2Down):
            raise
        except LinkError as error:
            if error.fault not in {Fault.TIMEOUT, Fault.CLOSED}:
                raise
            # it may have been done all the same: what the process does next decides
            tell(EventKind.WARNING, f"{error}; looking whether it was done")
            return
        label = verb if self._action is not Action.MEMORY_LIMIT else "restart"
        try:
            await self._reader.call(client.notify(target.pm_id, label))
        except LinkError as error:
            tell(EventKind.WARNING, f"PM2's other listeners were not told: {error}")

    async def _command(self, target: Process, verb: str, tell: Tell) -> None:
        words = self._words(str(target.pm_id))
        tell(EventKind.STEP, self._line(words))
        result = await self._reader.command(*words, timeout=ACT_TIMEOUT)
        if result.exit_status != 0:
            said = sanitise_line((result.stderr or result.stdout).strip().split(b"\n")[-1], cap=300)
            raise Failed(f"pm2 {verb} ended with {result.exit_status}: {said or 'no word'}")

    async def _verify(self, before: tuple[Process, ...], tell: Tell) -> str:
        watch = Watch(self._reader, before, tell)
        if self._action is Action.STOP:
            await watch.until_down()
        else:
            await watch.until_anew()
            await watch.stable(self._stable_for)
            if self._limit is not None:
                await watch.limited(self._limit)
            if self._health is not None:
                await watch.healthy(self._health)
        return f"{self._name} on {self._reader.host} is {_DONE[self._action]}"

    async def _saved(self, tell: Tell) -> None:
        tell(EventKind.STEP, self._line(["save"]))
        result = await self._reader.command("save", timeout=ACT_TIMEOUT)
        if result.exit_status == 0:
            tell(EventKind.VERIFIED, "saved: it holds after a reboot")
        else:
            said = sanitise_line((result.stderr or result.stdout).strip().split(b"\n")[-1], cap=300)
            tell(
                EventKind.WARNING,
                f"pm2 save ended with {result.exit_status}: {said}; after a reboot it is lost",
            )


def _changed(then: Process, now: Process) -> str:
    """What makes another act of what was planned; a crash loop's new pid does not."""
    if (then.status in _DOWN) != (now.status in _DOWN):
        return f"{now.name} was {then.status} and is {now.status}"
    if then.memory_limit != now.memory_limit:
        return f"the memory limit of {now.name} is another"
    if (then.exec_mode, then.cwd) != (now.exec_mode, now.cwd):
        return f"{now.name} was started in another way or place"
    return ""
