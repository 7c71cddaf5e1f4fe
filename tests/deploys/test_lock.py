"""The lock, over real shells: one holds it, on all hosts or on none, and it outlives its console."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from muva_console.ops.deploys import lock
from muva_console.ops.deploys.deed import AlreadyError
from muva_console.ops.deploys.lock import HeldError, Lock, drop, holder, new_owner, read_lock, take
from muva_console.ops.deploys.lock_acts import break_factory, lock_factory, unlock_factory
from muva_console.ops.errors import Fault, LinkError, OpsError, Refused
from muva_console.ops.links.base import CommandResult
from tests.deploys.scene import DANA, Scene, act, last
from tests.logs.local_link import LocalLink

EVE = replace(DANA, name="eve", account="eve")


class HomeLink(LocalLink):
    """A host with a home of its own."""

    def __init__(self, host: str, home: Path) -> None:
        super().__init__(host)
        self.home = home
        self.lost: set[str] = set()
        """Commands with this in them are run, and their answer is lost."""
        home.mkdir()

    async def run(self, command: str, **options: object) -> CommandResult:
        line = f"HOME={self.home}; export HOME; {command}"
        result = await super().run(line, **options)  # type: ignore[arg-type]
        for word in tuple(self.lost):
            if word in command:
                self.lost.discard(word)
                raise LinkError(Fault.CLOSED, "connection lost", where=self.host)
        return result

    @property
    def folder(self) -> Path:
        return self.home / ".muva" / "lock"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[HomeLink, HomeLink]]:
    yield HomeLink("vps-1", tmp_path / "one"), HomeLink("vps-2", tmp_path / "two")


@pytest.fixture
def locked(scene: Scene, hosts: tuple[HomeLink, HomeLink]) -> Scene:
    scene.links = {link.host: link for link in hosts}
    return scene


async def test_two_that_take_it_at_once_are_one_that_has_it(hosts: tuple[HomeLink, HomeLink]) -> None:
    people = [replace(DANA, name=f"p{n}") for n in range(6)]
    owners = [new_owner(one, "deployment") for one in people]
    outcomes = await asyncio.gather(
        *(take(hosts, "production", one) for one in owners), return_exceptions=True
    )
    won = [one for one in outcomes if not isinstance(one, BaseException)]
    assert len(won) == 1 and all(isinstance(one, HeldError) for one in outcomes if one is not won[0])
    states = [await read_lock(link, "production") for link in hosts]
    assert len({one.token for one in states}) == 1 and all(one.held for one in states)
    assert states[0].age is not None and states[0].age < 60
    assert sorted(one.name for one in hosts[0].folder.iterdir()) == ["production"], "nothing is left over"


async def test_held_on_one_host_it_is_taken_on_none(hosts: tuple[HomeLink, HomeLink]) -> None:
    theirs = new_owner(EVE, "hotfix", version="v1.4.3")
    await take(hosts[1:], "production", theirs)
    with pytest.raises(HeldError, match=r"eve on jump-1 holds the lock for 0s: hotfix \(v1.4.3\)"):
        await take(hosts, "production", new_owner(DANA, "deployment"))
    assert not (await read_lock(hosts[0], "production")).held
    assert (await read_lock(hosts[1], "production")).token == theirs.token


async def test_a_host_that_is_away_lets_the_others_go(hosts: tuple[HomeLink, HomeLink]) -> None:
    hosts[1].pull()
    with pytest.raises(LinkError):
        await take(hosts, "production", new_owner(DANA, "deployment"))
    assert not (await read_lock(hosts[0], "production")).held


async def test_an_answer_that_is_lost_is_looked_for(hosts: tuple[HomeLink, HomeLink]) -> None:
    hosts[0].lost = {".owner"}
    owner = new_owner(DANA, "deployment")
    assert len(await take(hosts, "production", owner)) == 2
    assert (await read_lock(hosts[0], "production")).token == owner.token


async def test_only_the_lock_that_was_seen_is_let_go(hosts: tuple[HomeLink, HomeLink]) -> None:
    link = hosts[0]
    ours, theirs = new_owner(DANA, "one"), new_owner(EVE, "two")
    await take([link], "production", ours)
    await drop(link, "production", ours.token)
    await take([link], "production", theirs)
    with pytest.raises(OpsError, match="another one by now"):
        await drop(link, "production", ours.token)
    assert (await read_lock(link, "production")).token == theirs.token
    await drop(link, "production", theirs.token)
    await drop(link, "production", theirs.token)  # once more is no harm
    assert [one.name for one in link.folder.iterdir()] == []


async def test_one_that_was_killed_before_it_could_say_who_it_is(hosts: tuple[HomeLink, HomeLink]) -> None:
    (hosts[0].folder / "production").mkdir(parents=True)
    found = await read_lock(hosts[0], "production")
    assert found.held and holder(found) == "the lock is held, by whom is not known"
    with pytest.raises(HeldError):
        await take(hosts, "production", new_owner(DANA, "deployment"))
    await drop(hosts[0], "production", "")
    assert not (await read_lock(hosts[0], "production")).held


async def test_what_stands_in_the_file_is_harmless(hosts: tuple[HomeLink, HomeLink]) -> None:
    link = hosts[0]
    (link.folder / "production").mkdir(parents=True)
    evil = {
        "who": "\x1b]52;c;evil\x07dana\n",
        "token": "'; touch pwned; '",
        "why": ["no text"],
        "host": "h" * 999,
    }
    (link.folder / "production" / "owner").write_text(json.dumps(evil))
    owner = (await read_lock(link, "production")).owner
    assert owner is not None and "\x1b" not in owner.who and "\n" not in owner.who
    assert (owner.token, owner.why) == ("", "") and len(owner.host) < 200
    with pytest.raises(LinkError, match="not the token"):
        await drop(link, "production", "'; touch pwned; '")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_any_file_is_some_owner_or_none(text: str) -> None:
    found = lock._owner(text)
    assert found is None or not re.search("[\x00-\x1f]", found.who + found.why)


async def test_the_step_is_led_from_free_to_yours_to_free(locked: Scene) -> None:
    assert await locked.checked("deploy-locked") == ("pending", "the lock is free")
    assert (await locked.checked("deploy-unlocked"))[0] == "ok"
    operation = lock_factory(locked.context(version="v1.5.0"))
    plan = await operation.plan()
    assert [one.where for one in plan.commands] == ["vps-1", "vps-2"]
    assert plan.commands[0].line == "mkdir -p ~/.muva/lock && mkdir ~/.muva/lock/production"
    assert last([event async for event in operation.perform(plan)]) == ("done", "production is locked")
    assert operation.kept()["token"]
    level, summary = await locked.checked("deploy-locked")
    assert level == "ok" and re.match(r"yours for \d+s: deployment to production \(v1.5.0\)", summary)
    assert (await locked.checked("deploy-unlocked"))[0] == "pending"
    with pytest.raises(AlreadyError):  # another console of the same engineer, or the same one after its death
        await lock_factory(locked.context()).plan()
    assert last(await act(unlock_factory(locked.context())))[0] == "done"
    assert (await locked.checked("deploy-unlocked"))[0] == "ok"
    with pytest.raises(AlreadyError):
        await unlock_factory(locked.context()).plan()


async def test_a_lock_half_taken_is_completed(locked: Scene, hosts: tuple[HomeLink, HomeLink]) -> None:
    """Killed between two hosts: what is theirs stays theirs, and the rest is taken."""
    await take(hosts[:1], "production", new_owner(DANA, "deployment"))
    assert await locked.checked("deploy-locked") == ("pending", "the lock is free on vps-2")
    assert last(await act(lock_factory(locked.context())))[0] == "done"
    assert (await locked.checked("deploy-locked"))[0] == "ok"


async def test_another_ones_lock_is_told_and_broken_with_a_reason_alone(
    locked: Scene, hosts: tuple[HomeLink, HomeLink]
) -> None:
    theirs = new_owner(EVE, "hotfix")
    await take(hosts, "production", theirs)
    level, summary = await locked.checked("deploy-locked")
    assert level == "fail" and summary.startswith("eve on jump-1 holds the lock for ")
    with pytest.raises(HeldError):
        await lock_factory(locked.context()).plan()
    with pytest.raises(AlreadyError, match="you do not hold"):
        await unlock_factory(locked.context()).plan()
    with pytest.raises(Refused, match="wants a reason"):
        await break_factory(locked.context()).plan()
    operation = break_factory(locked.context(reason="Eve's laptop is in the lake"))
    plan = await operation.plan()
    assert plan.production and "lake" in plan.title
    assert any("eve on jump-1 holds the lock" in risk for risk in plan.risks)
    events = [event async for event in operation.perform(plan)]
    assert last(events)[0] == "done"
    assert operation.kept()["reason"] == "Eve's laptop is in the lake"
    level, summary = await locked.checked("deploy-locked")
    assert level == "pending" and "by dana: Eve's laptop is in the lake" in summary
    with pytest.raises(AlreadyError):
        await break_factory(locked.context(reason="again")).plan()


async def test_no_hosts_is_nowhere_to_lock(scene: Scene) -> None:
    found = await scene.check("deploy-locked")
    assert found.unconfigured and not found.pending


async def test_a_host_that_is_away_leaves_it_unknown(locked: Scene, hosts: tuple[HomeLink, HomeLink]) -> None:
    hosts[1].pull()
    level, _ = await locked.checked("deploy-locked")
    assert level == "unknown"


def test_an_age_that_is_not_known_is_not_told() -> None:
    assert holder(Lock(host="h", held=False)) == "the lock is free"
