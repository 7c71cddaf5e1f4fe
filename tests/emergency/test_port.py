"""Who has the application's port, and what is not ended: on made-up hosts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from muva_console.config.model import Host
from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.emergency.port import ClearPort, port_free
from muva_console.ops.errors import OpsError
from muva_console.ops.operations import EventKind
from muva_console.ops.readings import Level

STRANGER = 'LISTEN 0 64 127.0.0.1:3000 0.0.0.0:* users:(("python3",pid=77,fd=3))\n'
OURS = 'LISTEN 0 511 *:3000 *:* users:(("next-server",pid=88,fd=18))\n'
OTHERS = "LISTEN 0 64 127.0.0.1:3000 0.0.0.0:*\n"
FAMILIES = {
    77: "77 77 python3\n77 60 bash\n",
    88: "88 88 next-server\n88 80 sh\n88 12 PM2 v6.0.5: Go\n",
    99: "",
    66: "66 66 node\n66 44 sh\n66 12 PM2 v6.0.5: Go\n",
    55: "55 55 node\n55 5 npm\n",
}


class FakeHost:
    """Answers as a host does. A program that is asked to end is gone afterwards, unless `kill` fails; another
    may come `again`.
    """

    def __init__(self, listed: str, *, again: bool = False, kill: int = 0) -> None:
        self.listed, self.again, self.kill = listed, again, kill
        self.ended: list[str] = []

    async def run(self, line: str, *, timeout: float) -> Any:
        status, out = 0, ""
        if line.startswith("ss "):
            out = self.listed
        elif line.startswith("for first"):
            asked = line.removeprefix("for first in ").partition(";")[0].split()
            out = "".join(FAMILIES[int(pid)] for pid in asked)
        elif line.startswith("kill "):
            self.ended.append(line.split()[2])
            status = self.kill
            if not status:
                self.listed = STRANGER.replace("pid=77", "pid=99") if self.again else ""
        elif line.startswith("readlink"):
            out = "/usr/bin/python3\nof deploy, since 2026-03-01 10:00:00\n"
        return SimpleNamespace(exit_status=status, stdout=out.encode(), stderr=b"")


class FakeContext:
    """As much of a context as the port needs: one host, one process that PM2 restarts again and again."""

    def __init__(self, host: FakeHost, *, restarts: int = 5) -> None:
        self.hosts = {"vps": host}
        self.config = SimpleNamespace(hosts={"vps": Host(address="vps.example.org")})
        self.environment = SimpleNamespace(hosts=("vps",), port=3000, processes=("muva",), production=True)
        self.environment_name = "production"
        self.parameters: dict[str, object] = {}
        self._restarts = restarts

    async def processes(self, host: str) -> Any:
        one = SimpleNamespace(name="muva", pid=5, status="online", restarts_in_window=self._restarts)
        other = SimpleNamespace(name="muva-staging", pid=44, status="online", restarts_in_window=0)
        return SimpleNamespace(processes=(one, other))

    def ssh_line(self, host: str, line: str) -> str:
        return f"ssh {host} {line}"

    def fresh(self) -> FakeContext:
        return self

    def end(self) -> None:
        pass


def context(host: FakeHost, **more: Any) -> Any:
    return cast(Any, FakeContext(host, **more))


async def level(host: FakeHost, **more: Any) -> tuple[Level, bool]:
    found = await port_free(context(host, **more))
    (one,) = cast(Any, found)
    return one.level, one.pending


async def test_only_what_is_neither_kept_nor_a_child_of_what_is_kept_is_a_stranger() -> None:
    assert await level(FakeHost(STRANGER)) == (Level.UNKNOWN, True)
    assert await level(FakeHost(OURS)) == (Level.OK, False), "PM2 is among its parents"
    assert await level(FakeHost("")) == (Level.OK, False)
    assert await level(FakeHost(STRANGER), restarts=0) == (Level.OK, False), "the application is up and calm"
    child = OURS.replace("pid=88", "pid=55")
    assert await level(FakeHost(child)) == (Level.OK, False), "the process itself is among its parents"
    lost = STRANGER.replace("pid=77", "pid=99")
    assert await level(FakeHost(lost)) == (Level.UNKNOWN, True), "whose parents are not known is not kept"


@pytest.mark.parametrize(
    ("listed", "said"),
    [(OURS.replace("pid=88", "pid=66"), "PM2's own muva-staging"), (OTHERS, "another user's")],
)
async def test_what_the_act_would_not_mend_is_red_and_is_not_ended(listed: str, said: str) -> None:
    host = FakeHost(listed)
    (one,) = cast(Any, await port_free(context(host)))
    assert (one.level, one.pending) == (Level.FAIL, False)
    assert said in one.summary
    assert one.next
    with pytest.raises(OpsError):
        await ClearPort(context(host)).plan()


async def test_it_is_named_with_its_owner_ended_and_looked_at_again() -> None:
    host = FakeHost(STRANGER)
    act = ClearPort(context(host))
    plan = await act.plan()
    assert plan.target == "python3 (pid 77) on vps"
    assert "of deploy, since" in plan.commands[0].why
    assert not host.ended, "a plan only looks"
    events = [event async for event in act.perform(plan)]
    assert host.ended == ["77"]
    assert events[-1].kind is EventKind.DONE
    assert any(event.kind is EventKind.VERIFIED for event in events)
    with pytest.raises(AlreadyError):
        await act.plan()


async def test_another_than_was_planned_is_not_ended() -> None:
    host = FakeHost(STRANGER)
    act = ClearPort(context(host))
    plan = await act.plan()
    host.listed = STRANGER.replace("pid=77", "pid=99")
    last = [event async for event in act.perform(plan)][-1]
    assert (last.kind, host.ended) == (EventKind.FAILED, [])
    assert "taken by another now" in last.text


@pytest.mark.parametrize(("more", "said"), [({"again": True}, "taken again"), ({"kill": 1}, "did not end")])
async def test_what_does_not_end_or_comes_again_is_told(more: dict[str, Any], said: str) -> None:
    host = FakeHost(STRANGER, **more)
    act = ClearPort(context(host))
    last = [event async for event in act.perform(await act.plan())][-1]
    assert last.kind is EventKind.FAILED
    assert said in last.text


async def test_without_a_port_nothing_is_ended() -> None:
    made = context(FakeHost(STRANGER))
    made.environment.port = None
    with pytest.raises(OpsError, match="no port is configured"):
        await ClearPort(made).plan()
